/**
 * How a datacenter counts an AuditConfig, from its status alone: fresh, ready, on its way, failed, stuck or halted. What is stuck acts
 * on nothing for a reason of its own, and takes nobody's turn: an owner's mistake, such as a workload that is not there, must
 * not hold back what is enforced on all others. Pure; called by datacenters.ts.
 */
import { auditConfigStatus } from '../api/auditconfig.ts';
import type { AuditConfigStatus } from '../api/auditconfig.ts';
import type { KubeObject } from '../kube/types.ts';
import type { MemberFact } from '../rollout/datacenter.ts';
import { isFresh } from './governed.ts';
import { DISCOVERED_LABEL } from './hosted/discovery.ts';

/** What counts as failed, and what acts on nothing. */
const FAILED: ReadonlySet<string> = new Set(['NodeHeld', 'DriftFight', 'FieldFight', 'Inconclusive']);
const STUCK: ReadonlySet<string> = new Set(['NoNodes', 'WorkloadNotFound', 'WorkloadRefused']);
/** Nor do these, but what a datacenter says anew may be what they waited for: a webhook that works, or a right. */
const HALTED: ReadonlySet<string> = new Set(['NotAccepted', 'Blocked']);

type State = Pick<MemberFact, 'state' | 'readySince' | 'failure'>;
/** Objects of a store are replaced, never changed; and a datacenter looks at all of them again and again. */
const STATES = new WeakMap<KubeObject, State>();

export function stateOf(config: KubeObject): State {
  const state = STATES.get(config) ?? stateIn(config);
  STATES.set(config, state);
  return state;
}

function stateIn(config: KubeObject): State {
  // One that was discovered is new, and its API server is not.
  if (isFresh(config) && config.metadata.labels?.[DISCOVERED_LABEL] === undefined) return { state: 'Fresh' };
  const parsed = auditConfigStatus.safeParse(config['status']);
  const status: AuditConfigStatus = parsed.success ? parsed.data : {};
  const of = (type: string) => status.conditions?.find((c) => c.type === type);
  const [rolled, degraded] = [of('RolledOut'), of('Degraded')];
  const bad = [rolled, degraded].find((c) => c !== undefined && FAILED.has(c.reason));
  if (bad !== undefined) return { state: 'Failed', failure: { reason: bad.reason, message: bad.message } };
  if (rolled !== undefined && STUCK.has(rolled.reason)) return { state: 'Stuck' };
  if (rolled !== undefined && HALTED.has(rolled.reason)) return { state: 'Halted' };
  const current = status.observedGeneration === config.metadata.generation;
  if (rolled?.status !== 'True' || !current) return { state: 'Busy' };
  return { state: 'Ready', readySince: Date.parse(rolled.lastTransitionTime) };
}
