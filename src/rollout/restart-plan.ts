/**
 * What the controller writes on the Lease under which API servers restart: every API server of the control plane, and
 * when each may be restarted. And whether a Lease that is held may be taken from its holder, which only two things allow:
 * its Node is deleted, or it is dead and its AuditConfig says allowDegraded. Never time alone. Pure; called by
 * src/controllers/restart-lease.ts.
 */
import { rolloutSpec } from '../api/auditconfig.ts';
import type { AuditNodeStatus } from '../api/auditnode.ts';
import { holderOf, uidOfHolder } from '../api/restart-lease.ts';
import type { Instance } from '../api/restart-lease.ts';
import { claimantOf, isControlPlane, selects } from './claims.ts';
import type { Claimant } from './claims.ts';

export type PlanNode = {
  readonly name: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  /** As the Node says; absent where it was not looked up. */
  readonly internalIp?: string;
  /** uid of the AuditConfig in its AuditNode. */
  readonly owner?: string;
  readonly timeoutSeconds?: number;
  readonly status?: AuditNodeStatus;
};

export type PlanConfig = Claimant & { readonly deleting: boolean; readonly spec: unknown };

export type PlanFacts = {
  /** Every Node, not of control planes only. */
  readonly nodes: readonly PlanNode[];
  readonly configs: readonly PlanConfig[];
  /** What the Lease says now. */
  readonly before: readonly Instance[];
};

/** A node with an API server: labelled as one, or chosen by an AuditConfig, or told to run something. */
export const isInstance = (node: PlanNode, configs: readonly Claimant[]): boolean =>
  node.owner !== undefined || isControlPlane(node.labels) || configs.some((c) => selects(c.nodeSelector, node.labels));

type Rules = Pick<Instance, 'paused' | 'allowDegraded' | 'windows'>;

const rulesIn = ({ paused, allowDegraded, windows }: Rules): Rules => ({
  ...(paused === undefined ? {} : { paused }),
  ...(allowDegraded === undefined ? {} : { allowDegraded }),
  ...(windows === undefined ? {} : { windows }),
});

/** Of a spec that cannot be read, the rules that were there stay. */
function rulesOf(config: PlanConfig | undefined, before: Instance | undefined): Rules {
  if (config === undefined) return {};
  const { rollout } = (config.spec ?? {}) as { rollout?: unknown };
  const parsed = rolloutSpec.safeParse(rollout ?? {});
  if (!parsed.success) return before === undefined ? { paused: true } : rulesIn(before);
  const { paused, allowDegraded, windows } = parsed.data;
  return rulesIn({
    // Whoever deletes wants it gone; a pause of what is being deleted does not hold that back.
    paused: paused === true && !config.deleting ? true : undefined,
    allowDegraded: allowDegraded === true ? true : undefined,
    windows: windows === undefined || windows.length === 0 ? undefined : windows,
  });
}

/** By name. */
export function planOf({ nodes, configs, before }: PlanFacts): readonly Instance[] {
  const there = nodes.filter((n) => isInstance(n, configs));
  return [...there]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((n): Instance => {
      const claimant = claimantOf(n.labels, n.owner, configs);
      const config = configs.find((c) => c.uid === claimant?.uid);
      const old = before.find((i) => i.node === n.name);
      const host = n.status?.apiServer?.host ?? n.internalIp;
      const port = n.status?.apiServer?.port;
      return {
        node: n.name,
        ...(host === undefined ? {} : { host }),
        ...(port === undefined ? {} : { port }),
        ...rulesOf(config, old),
      };
    });
}

/** In flight as its agent says: such a node holds the Lease, also where somebody deleted that. */
export function inFlight(nodes: readonly PlanNode[]): string | undefined {
  const phases: readonly (string | undefined)[] = ['Installing', 'Probing', 'RollingBack'];
  const node = nodes.find((n) => phases.includes(n.status?.phase));
  return node === undefined ? undefined : holderOf(node.name, node.uid);
}

/** What the API server itself says of the holder's Node, asked before anything is taken from anybody. */
export type HolderNode = Readiness & { readonly uid: string };

/** Of a Node's condition Ready; `since` in ms since the epoch. */
export type Readiness = { readonly ready: boolean; readonly since: number };

const REBOOT_MS = 600_000;

/** A change and its rollback take up to timeoutSeconds each: a kubelet that is away for longer than both, and a reboot. */
const deadAfterMs = (timeoutSeconds: number): number => 2 * timeoutSeconds * 1000 + REBOOT_MS;

/** Nothing is awaited of such a node where allowDegraded is set. `now` as `since`. */
export const isDead = (r: Readiness, timeoutSeconds: number, now: number): boolean =>
  !r.ready && now - r.since >= deadAfterMs(timeoutSeconds);

export type HolderVerdict =
  | { readonly free: true; readonly why: 'NodeDeleted' | 'NodeDead' }
  /** `lookAgain`: only its Node tells when it is dead. */
  | { readonly free: false; readonly lookAgain: boolean };

/** May the Lease be taken from its holder? `node` is undefined where there is no such Node. `now` as `since`. */
export function holderVerdict(
  holder: string,
  node: HolderNode | undefined,
  rules: { readonly allowDegraded: boolean; readonly timeoutSeconds: number },
  now: number,
): HolderVerdict {
  const uid = uidOfHolder(holder);
  if (node === undefined || (uid !== '' && uid !== node.uid)) return { free: true, why: 'NodeDeleted' };
  if (!rules.allowDegraded) return { free: false, lookAgain: false };
  return isDead(node, rules.timeoutSeconds, now) ? { free: true, why: 'NodeDead' } : { free: false, lookAgain: true };
}
