/**
 * Which node of a control plane gets a revision next. One restart at a time: the next node starts only when every
 * other one is settled, and it gets what its predecessor proved. Pure; the controller calls it on every reconcile and
 * the same facts always give the same answer, so a controller that died in mid-rollout is no special case.
 */
import type { NodePhase } from '../api/auditnode.ts';

/** What the controller asks of a node: a revision, the removal of ours, or nothing yet. */
export type Desired =
  /** `at` names the object that holds it, where that matters: a spec that points elsewhere is not what was asked. */
  | {
      readonly type: 'Revision';
      readonly digest: string;
      readonly at?: string;
      /** Digest of the webhook's certificate and token. */
      readonly credentials?: string;
    }
  | { readonly type: 'Removed' };

export type { NodePhase };

export type Waiting = {
  readonly reason: string;
  readonly message: string;
  /** Which node it waits for. */
  readonly node?: string;
};

export type NodeView = {
  readonly name: string;
  /** What spec asks for now; null where nothing was ever asked. */
  readonly assigned: Desired | null;
  /** True when the agent has seen the newest spec. */
  readonly observed: boolean;
  /** Absent until the agent reported for the first time. */
  readonly phase?: NodePhase;
  /** The digest that runs; null for none of ours. */
  readonly current: string | null;
  /** A digest that this node refused or rolled back from, and will not try again. */
  readonly refused?: string;
  /** Why its agent does not restart its API server now; only in phase Waiting. */
  readonly waiting?: Waiting;
  /** Its log has no events, or its API server does not answer: what is wanted now may mend that. */
  readonly isUnhealthy?: boolean;
  /** Its kubelet is away for so long that nothing is awaited of it; only where allowDegraded is set. */
  readonly isDead?: boolean;
  /** When the node settled on what it runs, in ms since the epoch. */
  readonly settledAt?: number;
};

export type RolloutRules = {
  readonly paused: boolean;
  readonly minReadyMs: number;
  /** The rollout stops when so many nodes went back or refused. */
  readonly maxFailures: number;
  /** There while no window is open; ms since the epoch. */
  readonly opensAt?: number;
  /** A node of this control plane that somebody else's change is in flight on. */
  readonly busy?: string;
};

export type NextNode =
  | { readonly kind: 'Assign'; readonly node: string }
  | { readonly kind: 'Done' }
  /** `afterMs` is there when only time must pass; otherwise an event of the node is awaited. */
  | {
      readonly kind: 'Wait';
      readonly why: 'InFlight' | 'Unanswered' | 'MinReady' | 'AgentSilent' | 'Dead';
      readonly node: string;
      readonly afterMs?: number;
    }
  | { readonly kind: 'Wait'; readonly why: 'OutsideWindow'; readonly node: string; readonly afterMs: number }
  /** Its agent was told, and waits for its turn. */
  | { readonly kind: 'Wait'; readonly why: 'NotItsTurn'; readonly node: string; readonly waiting: Waiting }
  | { readonly kind: 'Stopped'; readonly why: 'Paused' | 'NodeHeld' | 'NoNodes'; readonly node?: string };

const sameRevision = (a: Desired, b: Desired): boolean =>
  a.type === 'Revision' && b.type === 'Revision' && a.digest === b.digest && a.at === b.at;

export const sameDesired = (a: Desired | null, b: Desired | null): boolean =>
  a === b ||
  (a !== null &&
    b !== null &&
    a.type === b.type &&
    (a.type !== 'Revision' || b.type !== 'Revision' || (sameRevision(a, b) && a.credentials === b.credentials)));

/** Only its webhook's certificate or token is another: that restarts nothing, so it waits for nobody. */
const isRotation = ({ assigned }: NodeView, want: Desired): boolean =>
  assigned !== null && sameRevision(assigned, want) && !sameDesired(assigned, want);

/** The node runs what is wanted, and its agent says so. */
export function isAt(node: NodeView, want: Desired): boolean {
  const digest = want.type === 'Revision' ? want.digest : null;
  return sameDesired(node.assigned, want) && node.observed && node.phase === 'Settled' && node.current === digest;
}

/** The node tried exactly this and went back, or refused it: the rest waits until something changes. */
const hasRefused = (node: NodeView, want: Desired): boolean =>
  sameDesired(node.assigned, want) &&
  node.observed &&
  node.phase === 'Held' &&
  (want.type === 'Removed' || node.refused === want.digest);

/** In flight: something was asked that the agent has not brought to an end. A newer revision pre-empts it. */
export const isInFlight = (node: Pick<NodeView, 'assigned' | 'observed' | 'phase'>): boolean =>
  node.assigned !== null && (!node.observed || (node.phase !== 'Settled' && node.phase !== 'Held'));

/**
 * Held nodes first: they wait for exactly this newer revision. Then those that are unhealthy with what they have. Then
 * by name, so that the order is known beforehand.
 */
const byNeed = (a: NodeView, b: NodeView): number => {
  const need = (n: NodeView): number => (n.phase === 'Held' ? 0 : n.isUnhealthy === true ? 1 : 2);
  return need(a) - need(b) || (a.name < b.name ? -1 : 1);
};

/** `now` in ms since the epoch. */
export function nextNode(nodes: readonly NodeView[], want: Desired, rules: RolloutRules, now: number): NextNode {
  if (nodes.length === 0) return { kind: 'Stopped', why: 'NoNodes' };
  const rotated = nodes.find((n) => isRotation(n, want));
  if (rotated !== undefined) return { kind: 'Assign', node: rotated.name };
  const refused = nodes.filter((n) => hasRefused(n, want));
  const stopped: NextNode | undefined =
    refused[0] === undefined ? undefined : { kind: 'Stopped', why: 'NodeHeld', node: refused[0].name };
  if (stopped !== undefined && refused.length >= rules.maxFailures) return stopped;
  const flying = nodes.filter(isInFlight);
  const left = nodes.filter((n) => !isAt(n, want) && !refused.includes(n) && !flying.includes(n)).sort(byNeed);
  const awaited = flying.filter((n) => n.isDead !== true);
  if (awaited.length > 0) return whileFlying(awaited, left, want, rules);
  const candidate = left[0];
  if (candidate !== undefined) return start(candidate, { nodes, want, rules, now });
  const dead = flying[0];
  return stopped ?? (dead === undefined ? { kind: 'Done' } : { kind: 'Wait', why: 'Dead', node: dead.name });
}

/** Nodes that wait for their turn change nothing, so they hold nobody back who ends their waiting. */
function whileFlying(
  flying: readonly NodeView[],
  left: readonly NodeView[],
  want: Desired,
  rules: RolloutRules,
): NextNode {
  const [changing, ...more] = flying.filter((n) => n.waiting === undefined);
  const free = rules.busy === undefined && !rules.paused;
  // What it was asked is not wanted (any more), and it may be stuck there: it is asked anew. Its agent ends what it does
  // first, and no other node is touched.
  const misled = (changing === undefined ? flying : [changing]).find((n) => !sameDesired(n.assigned, want));
  if (misled !== undefined && more.length === 0 && free) return { kind: 'Assign', node: misled.name };
  if (changing !== undefined) {
    const silent = changing.phase === undefined ? 'AgentSilent' : 'Unanswered';
    return { kind: 'Wait', why: changing.observed ? 'InFlight' : silent, node: changing.name };
  }
  // It waits for an API server that only this revision may mend.
  const mended = left.find((n) =>
    flying.some((f) => f.waiting?.reason === 'PeerNotReady' && f.waiting.node === n.name),
  );
  if (mended !== undefined && free && rules.opensAt === undefined) return { kind: 'Assign', node: mended.name };
  const [first] = flying;
  if (first?.waiting === undefined) throw new Error('nobody is in flight');
  return { kind: 'Wait', why: 'NotItsTurn', node: first.name, waiting: first.waiting };
}

type Round = {
  readonly nodes: readonly NodeView[];
  readonly want: Desired;
  readonly rules: RolloutRules;
  readonly now: number;
};

/** Nothing is in flight. */
function start(candidate: NodeView, { nodes, want, rules, now }: Round): NextNode {
  if (rules.paused) return { kind: 'Stopped', why: 'Paused', node: candidate.name };
  if (rules.busy !== undefined) return { kind: 'Wait', why: 'InFlight', node: rules.busy };
  if (rules.opensAt !== undefined)
    return { kind: 'Wait', why: 'OutsideWindow', node: candidate.name, afterMs: rules.opensAt - now };
  // A node whose clock is ahead by more than the wait itself says nothing about when; it must not hold the rest for hours.
  const believed = (t: number): boolean => t <= now + rules.minReadyMs;
  const times = nodes.filter((n) => isAt(n, want)).map((n) => n.settledAt ?? 0);
  const last = Math.max(0, ...times.filter(believed));
  const ready = last + rules.minReadyMs;
  if (last > 0 && ready > now) return { kind: 'Wait', why: 'MinReady', node: candidate.name, afterMs: ready - now };
  return { kind: 'Assign', node: candidate.name };
}
