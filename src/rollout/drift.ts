/**
 * What is done about a node on which a revision was installed, and whose manifest or files are not as it left them. Pure:
 * src/node/drift.ts gathers the facts, the agent acts. The rules, in this order:
 *
 * 1. A file HOLD stops everything.
 * 2. What was stopped stays so: until another revision comes, a person says `again`, or it is put right by hand.
 * 3. A manifest that cannot be read is nobody's finished work.
 * 4. What was written while the API server was down is someone's rescue, and never undone. Where nobody saw whether it
 *    was, it counts as one too, unless it is an upgrade (another image), which no one makes in an emergency.
 * 5. Three corrections within an hour did not help: somebody else manages this manifest, and has the last word.
 * 6. A whole-file rewrite (kubeadm upgrade) goes on: it is awaited until healthy and quiet, then patched again.
 * 7. All else is put right at once. A restart only where the process runs, or may run, with something else.
 */
import type { Instant } from './node-state.ts';

/**
 * `Gone`: the manifest is right, and files that it names are not there: no API server starts without them, so that their
 * removal rescues none. `Files`: the manifest is right, a policy or webhook file is not. `Ours`: of the manifest, only what is ours was changed.
 * `Rewrite`: more than that. `Upgrade`: the image too.
 */
export type DriftKind = 'None' | 'Gone' | 'Files' | 'Ours' | 'Rewrite' | 'Upgrade' | 'Unreadable';

/** Was the API server serving when the node became as it is now? */
export type Edited = 'Serving' | 'Down' | 'Unknown';

export const STOP_REASONS = ['DriftFight', 'Rescued'] as const;
export type StopReason = (typeof STOP_REASONS)[number];
export type WaitReason = 'Hold' | 'Unreadable' | 'Rewritten' | 'Settling' | 'Starting' | 'NotReady';

export type DriftFacts = {
  readonly hold: boolean;
  readonly kind: DriftKind;
  readonly edited: Edited;
  readonly health: 'Down' | 'NotReady' | 'Forbidden' | 'Ready';
  /** Since somebody else last changed the manifests folder, by a clock that no one sets; Infinity: nobody was seen to. */
  readonly quietMs: number;
  /**
   * Did the process that runs with these flags start with the files as they should be? `None`: no such process, so that
   * the next one will. `Hidden`: processes cannot be seen.
   */
  readonly loaded: 'Right' | 'Unsure' | 'None' | 'Hidden';
  /** When earlier corrections began. */
  readonly corrections: readonly Instant[];
  readonly stopped: StopReason | null;
  readonly now: Instant;
};

export type DriftRules = {
  /** How long a rewritten manifest must be left alone, by an API server that is ready. */
  readonly quietMs: number;
};

export const DRIFT_RULES: DriftRules = { quietMs: 120_000 };

export type DriftStep =
  | { readonly do: 'Nothing' }
  /** `afterMs`: look again then; without it, at the next change of a file. */
  | { readonly do: 'Wait'; readonly why: WaitReason; readonly afterMs?: number }
  /** `restart`: by the changed manifest, of the process alone, or none. */
  | { readonly do: 'Repair'; readonly restart: 'Manifest' | 'Process' | 'No' }
  | { readonly do: 'Stop'; readonly why: StopReason };

/** An hour, and what a half-hourly job is late. */
export const FIGHT_MS = 65 * 60_000;
const FIGHT_TIMES = 3;
/** Editors and scripts save more than once. */
const SETTLE_MS = 1_000;
const LOOK_AGAIN_MS = 5_000;
const HOLD_LOOK_MS = 10_000;

/** The last three corrections were made within an hour, and it is not long ago. */
export function isFight(corrections: readonly Instant[], now: Instant): boolean {
  const last = corrections.slice(-FIGHT_TIMES);
  const [first, latest] = [last[0], last.at(-1)];
  if (first === undefined || latest === undefined || last.length < FIGHT_TIMES) return false;
  return Math.abs(latest - first) <= FIGHT_MS && Math.abs(now - latest) <= FIGHT_MS;
}

type Rule = (f: DriftFacts, rules: DriftRules) => DriftStep | undefined;

const isManifest = (f: DriftFacts): boolean => f.kind === 'Ours' || f.kind === 'Rewrite' || f.kind === 'Upgrade';

const nothing: Rule = (f) => (f.kind === 'None' && f.loaded !== 'Unsure' ? { do: 'Nothing' } : undefined);

const held: Rule = (f) => (f.hold ? { do: 'Wait', why: 'Hold', afterMs: HOLD_LOOK_MS } : undefined);

const stopped: Rule = (f) => (f.stopped === null ? undefined : { do: 'Stop', why: f.stopped });

const unreadable: Rule = (f) => (f.kind === 'Unreadable' ? { do: 'Wait', why: 'Unreadable' } : undefined);

const rescued: Rule = (f) => {
  if (f.kind === 'None' || f.kind === 'Gone') return undefined;
  const isRescue = f.edited === 'Down' || (f.edited === 'Unknown' && f.kind !== 'Upgrade');
  return isRescue ? { do: 'Stop', why: 'Rescued' } : undefined;
};

const fought: Rule = (f) => (isFight(f.corrections, f.now) ? { do: 'Stop', why: 'DriftFight' } : undefined);

const awaited: Rule = (f, rules) => {
  if (f.kind !== 'Rewrite' && f.kind !== 'Upgrade') return undefined;
  if (f.quietMs < rules.quietMs) return { do: 'Wait', why: 'Rewritten', afterMs: rules.quietMs - f.quietMs };
  return f.health === 'Ready' ? undefined : { do: 'Wait', why: 'Rewritten', afterMs: LOOK_AGAIN_MS };
};

const settling: Rule = (f) =>
  f.quietMs < SETTLE_MS ? { do: 'Wait', why: 'Settling', afterMs: SETTLE_MS - f.quietMs } : undefined;

/** 401 and 403 are the answers of one that just starts: it cannot be probed yet, and so it cannot be changed. */
const starting: Rule = (f) =>
  isManifest(f) && f.health === 'Forbidden' ? { do: 'Wait', why: 'Starting', afterMs: SETTLE_MS } : undefined;

/** A process is only ended while it serves: one that does not is somebody's trouble already. Its files come first. */
const repaired: Rule = (f) => {
  if (isManifest(f)) return { do: 'Repair', restart: 'Manifest' };
  if (f.kind === 'Files' || f.kind === 'Gone') return { do: 'Repair', restart: 'No' };
  return f.health === 'Ready'
    ? { do: 'Repair', restart: 'Process' }
    : { do: 'Wait', why: 'NotReady', afterMs: LOOK_AGAIN_MS };
};

const RULES: readonly Rule[] = [
  nothing,
  held,
  stopped,
  unreadable,
  rescued,
  fought,
  awaited,
  settling,
  starting,
  repaired,
];

export function driftStep(facts: DriftFacts, rules: DriftRules = DRIFT_RULES): DriftStep {
  for (const rule of RULES) {
    const step = rule(facts, rules);
    if (step !== undefined) return step;
  }
  throw new Error('the last rule always says something');
}

/**
 * Before a revision that is new to this node: a manifest that someone is just writing is awaited too, so that an upgrade
 * in mid-rollout comes to its end first. `foreign`: what is there is not what was left there.
 */
export function beforeInstall(
  f: Pick<DriftFacts, 'health' | 'quietMs'> & { readonly foreign: boolean },
  rules: DriftRules = DRIFT_RULES,
): DriftStep {
  if (!f.foreign || f.quietMs === Infinity) return { do: 'Nothing' };
  if (f.quietMs < rules.quietMs) return { do: 'Wait', why: 'Rewritten', afterMs: rules.quietMs - f.quietMs };
  return f.health === 'Ready' ? { do: 'Nothing' } : { do: 'Wait', why: 'Rewritten', afterMs: LOOK_AGAIN_MS };
}
