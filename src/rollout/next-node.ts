/**
 * Which node of a control plane gets a revision next. One restart at a time: the next node starts only when every
 * other one is settled, and it gets what its predecessor proved. Pure; the controller calls it on every reconcile and
 * the same facts always give the same answer, so a controller that died in mid-rollout is no special case.
 */
import type { NodePhase } from '../api/auditnode.ts';

/** What the controller asks of a node: a revision, the removal of ours, or nothing yet. */
export type Desired =
  /** `at` names the object that holds it, where that matters: a spec that points elsewhere is not what was asked. */
  { readonly type: 'Revision'; readonly digest: string; readonly at?: string } | { readonly type: 'Removed' };

export type { NodePhase };

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
  /** When the node settled on what it runs, in ms since the epoch. */
  readonly settledAt?: number;
};

export type RolloutRules = {
  readonly paused: boolean;
  readonly minReadyMs: number;
  /** A node of this control plane that somebody else's change is in flight on. */
  readonly busy?: string;
};

export type NextNode =
  | { readonly kind: 'Assign'; readonly node: string }
  | { readonly kind: 'Done' }
  /** `afterMs` is there when only time must pass; otherwise an event of the node is awaited. */
  | {
      readonly kind: 'Wait';
      readonly why: 'InFlight' | 'Unanswered' | 'MinReady' | 'AgentSilent';
      readonly node: string;
      readonly afterMs?: number;
    }
  | { readonly kind: 'Stopped'; readonly why: 'Paused' | 'NodeHeld' | 'NoNodes'; readonly node?: string };

export const sameDesired = (a: Desired | null, b: Desired | null): boolean =>
  a === b ||
  (a !== null &&
    b !== null &&
    a.type === b.type &&
    (a.type !== 'Revision' || b.type !== 'Revision' || (a.digest === b.digest && a.at === b.at)));

/** The node runs what is wanted, and its agent says so. */
export function isAt(node: NodeView, want: Desired): boolean {
  const digest = want.type === 'Revision' ? want.digest : null;
  return sameDesired(node.assigned, want) && node.observed && node.phase === 'Settled' && node.current === digest;
}

/** The node tried exactly this and went back: it is not tried again until something changes. */
const hasRefused = (node: NodeView, want: Desired): boolean =>
  want.type === 'Revision' &&
  sameDesired(node.assigned, want) &&
  node.observed &&
  node.phase === 'Held' &&
  node.refused === want.digest;

/** In flight: something was asked that the agent has not brought to an end. A newer revision pre-empts it. */
export const isInFlight = (node: Pick<NodeView, 'assigned' | 'observed' | 'phase'>): boolean =>
  node.assigned !== null && (!node.observed || (node.phase !== 'Settled' && node.phase !== 'Held'));

/** Held nodes first: they wait for exactly this newer revision. Then by name, so that the order is known beforehand. */
const byNeed = (a: NodeView, b: NodeView): number => {
  const need = (n: NodeView): number => (n.phase === 'Held' ? 0 : 1);
  return need(a) - need(b) || (a.name < b.name ? -1 : 1);
};

/** `now` in ms since the epoch. */
export function nextNode(nodes: readonly NodeView[], want: Desired, rules: RolloutRules, now: number): NextNode {
  if (nodes.length === 0) return { kind: 'Stopped', why: 'NoNodes' };
  const held = nodes.find((n) => hasRefused(n, want));
  if (held !== undefined) return { kind: 'Stopped', why: 'NodeHeld', node: held.name };
  const left = nodes.filter((n) => !isAt(n, want));
  const [flying, ...more] = nodes.filter(isInFlight);
  if (flying !== undefined) {
    // What it was asked is not wanted (any more), and it may be stuck there: it is asked anew. Its agent ends what it
    // does first, and no other node is touched.
    const misled = more.length === 0 && !sameDesired(flying.assigned, want);
    if (misled && rules.busy === undefined && !rules.paused) return { kind: 'Assign', node: flying.name };
    const silent = flying.phase === undefined ? 'AgentSilent' : 'Unanswered';
    return { kind: 'Wait', why: flying.observed ? 'InFlight' : silent, node: flying.name };
  }
  const candidate = [...left].sort(byNeed)[0];
  if (candidate === undefined) return { kind: 'Done' };
  if (rules.paused) return { kind: 'Stopped', why: 'Paused', node: candidate.name };
  if (rules.busy !== undefined) return { kind: 'Wait', why: 'InFlight', node: rules.busy };
  // A node whose clock is ahead by more than the wait itself says nothing about when; it must not hold the rest for hours.
  const believed = (t: number): boolean => t <= now + rules.minReadyMs;
  const times = nodes.filter((n) => isAt(n, want)).map((n) => n.settledAt ?? 0);
  const last = Math.max(0, ...times.filter(believed));
  const ready = last + rules.minReadyMs;
  if (last > 0 && ready > now) return { kind: 'Wait', why: 'MinReady', node: candidate.name, afterMs: ready - now };
  return { kind: 'Assign', node: candidate.name };
}
