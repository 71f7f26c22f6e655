/**
 * May this webhook keep requests waiting? A receiver that dies takes the API with it, so it takes a datacenter's word (a
 * mode that it sets itself, or lists in limits.webhook.modes), and somebody who goes back to Batch in time: the agent of a node, or
 * the controller, where it is given a kubeconfig to ask a hosted API server with. What an owner's API makes of its object is
 * not the controller's to change, so there it is refused. Pure; called by accept.ts.
 */
import { isNodeTarget, TARGET_TYPES } from '../api/auditconfig-target.ts';
import type { Reasons } from '../api/conditions.ts';
import type { Finding } from '../api/findings.ts';
import type { EffectiveConfig } from '../config/types.ts';
import { isOwnerSpec } from '../targets/managed.ts';
import type { Facts } from './facts.ts';

export type BlockingRefused = { readonly reason: Reasons['Accepted']; readonly finding: Finding };

const PATH = 'spec.webhook.mode';

function isOnNodes(object: unknown): boolean {
  const asked = (object as { spec?: { target?: { type?: unknown } } } | null)?.spec?.target?.type;
  const type = TARGET_TYPES.find((t) => t === asked);
  return type !== undefined && isNodeTarget(type);
}

/** Undefined where it may, and where it blocks nothing. Codes: Unsupported, WebhookModeNotPermitted. */
export function refusedBlocking(
  { spec: { webhook }, provenance }: EffectiveConfig,
  { object, governed, workload }: Pick<Facts, 'object' | 'governed' | 'workload'>,
): BlockingRefused | undefined {
  if (webhook === undefined || webhook.mode === 'Batch') return undefined;
  const { mode } = webhook;
  const message = `${PATH} ${mode} keeps requests waiting, and hangs the API when the receiver dies`;
  const why = isOnNodes(object) ? undefined : noWayBack(workload);
  if (why !== undefined) return refused('Unsupported', { code: 'Unsupported', message: `${message}: ${why}` });
  const isTheirs = provenance['webhook.mode']?.set.from === 'Datacenter';
  const isListed = governed?.datacenters.some((d) => d.content.limits?.webhook?.modes?.includes(mode) === true);
  if (isTheirs || isListed === true) return undefined;
  const needs = 'it needs a datacenter that lists it in limits.webhook.modes';
  return refused('NotPermitted', { code: 'WebhookModeNotPermitted', message: `${message}: ${needs}` });
}

/** Where no agent asks: why nobody goes back to Batch. */
function noWayBack(workload: Facts['workload']): string | undefined {
  if (workload === undefined || isOwnerSpec(workload.spec))
    return 'only targets on nodes, and Deployments and StatefulSets, have a way back to Batch';
  return workload.kubeconfig === undefined
    ? 'without target.hosted.kubeconfigSecretRef nobody can tell when to go back to Batch'
    : undefined;
}

const refused = (
  reason: Reasons['Accepted'],
  { code, message }: Pick<Finding, 'code' | 'message'>,
): BlockingRefused => ({
  reason,
  finding: { severity: 'error', code, path: PATH, message },
});
