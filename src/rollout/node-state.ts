/**
 * What one node does next, decided from plain facts. Pure: the node room gathers the facts, asks here, and acts; a
 * process that was killed asks again with the same journal and the same disk, and goes on where it was.
 *
 *   Settled --install--> Installing --renamed--> Probing --healthy--> Settled (new)
 *                            |                      |
 *                            | not renamed          | crash loop, or not healthy in time
 *                            v                      v
 *                    Settled (as before)       RollingBack --> Held
 *
 * Rules:
 * 1. Nothing is committed but by an API server that is ready several times in a row, in a process that started after the
 *    rename, with the new flags.
 * 2. A rollback begins at the second crash, and in any case when the time is over and the API server is not healthy.
 * 3. Not healthy after the rollback either: `Inconclusive`. Something else is broken (etcd, the disk): nobody is blamed.
 *    Neither is the revision where there is a doubt that it was the cause (blame.ts), once.
 * 4. A HOLD file stops everything, on either side.
 * 5. A kubelet that came up without its API deletes no pod, so the bad one stays in the restored manifest's way for ever.
 *    Then the restored pod borrows the bad one's UID, which makes it a change in place, until the API is back.
 * 6. A manifest that somebody else wrote anew while it was probed (an upgrade) ends the change, and blames nobody.
 */
import type { Digest } from '../render/types.ts';

/** Milliseconds since the epoch, by the clock that was handed in. */
export type Instant = number;

export type Reason = 'CrashLoop' | 'NotHealthyInTime' | 'OutOfMemory' | 'DiskError';

/** What may have stopped an API server beside its revision (blame.ts). */
export type Doubt = 'StorageAway' | 'Rebooted';

export type NodeState =
  | { readonly phase: 'Settled'; readonly current: Digest | null; readonly lastGood: Digest | null }
  | {
      readonly phase: 'Installing';
      /** null for a removal. */
      readonly to: Digest | null;
      readonly from: Digest | null;
      readonly lastGood: Digest | null;
      readonly since: Instant;
    }
  | {
      readonly phase: 'Probing';
      readonly to: Digest | null;
      readonly from: Digest | null;
      readonly lastGood: Digest | null;
      readonly since: Instant;
    }
  | {
      readonly phase: 'RollingBack';
      readonly bad: Digest | null;
      readonly to: Digest | null;
      readonly lastGood: Digest | null;
      readonly why: Reason;
      /** Something else may have been the cause. */
      readonly doubt?: Doubt | undefined;
      readonly since: Instant;
    }
  | {
      readonly phase: 'Held';
      readonly current: Digest | null;
      readonly lastGood: Digest | null;
      readonly refused: Digest | null;
      readonly why: Reason | 'Inconclusive' | 'Rescued' | 'WebhookFallback';
    };

export type NodeFacts = {
  readonly hold: boolean;
  /** The manifest against the journal's hashes. */
  readonly manifest: 'Before' | 'After' | 'Borrowed' | 'Other';
  /** Forbidden: 401 or 403, which is alive and not ready. */
  readonly health: 'Down' | 'NotReady' | 'Forbidden' | 'Ready';
  /**
   * The process that listens: started since this phase began and with the flags of the manifest (`New`), another one
   * (`Old`), none, or not to be seen from here.
   */
  readonly process: 'New' | 'Old' | 'None' | 'Hidden';
  /** The API server was seen down since this phase began: all the evidence there is where processes are hidden. */
  readonly wentDown: boolean;
  /** Ends of processes with the new flags since this phase began; what a reboot ended did not crash. */
  readonly crashes: number;
  /** Ready answers in a row, this one included, and for how long. */
  readonly readyInARow: number;
  readonly readyMs: number;
  /** How long a pod of another manifest stands in the way of the restored one, of which no process has started; or 0. */
  readonly blockedMs: number;
  /**
   * How long this process has watched this phase, by a clock that no one sets: a jump of time changes no verdict, and time
   * in which it was stopped (a paused VM) does not count.
   */
  readonly watchedMs: number;
  /** How long the manifest has been `Other`: a file that is just being written is not yet someone's. */
  readonly otherMs?: number;
};

export type ProbeRules = {
  readonly timeoutMs: number;
  readonly minReadyMs: number;
  /** Ready answers in a row. */
  readonly readyTimes: number;
  readonly maxCrashes: number;
};

export const DEFAULT_RULES: ProbeRules = { timeoutMs: 300_000, minReadyMs: 0, readyTimes: 3, maxCrashes: 2 };

export type Step =
  | { readonly do: 'Rest' }
  | { readonly do: 'Wait' }
  /** The rename never happened: put the record back, forget the journal. */
  | { readonly do: 'Abandon' }
  | { readonly do: 'StartProbing' }
  | { readonly do: 'Commit' }
  | { readonly do: 'RollBack'; readonly why: Reason }
  /**
   * Somebody wrote the manifest anew: what runs now is theirs, and proves nothing about the revision. `rescue`: the API
   * server was in trouble, so that it may have been the reason.
   */
  | { readonly do: 'GiveWay'; readonly rescue: boolean }
  | { readonly do: 'RestoreManifest' }
  /** The restored manifest, under the UID of the pod that is in its way. */
  | { readonly do: 'BorrowUid' }
  /** `doubt`: the API server is healthy again, and the revision gets one more try. */
  | { readonly do: 'EndRollBack'; readonly verdict: Reason | 'Inconclusive'; readonly doubt?: Doubt };

const isNewProcess = (f: NodeFacts): boolean => f.process === 'New' || (f.process === 'Hidden' && f.wentDown);

const isProven = (f: NodeFacts, rules: ProbeRules): boolean =>
  f.health === 'Ready' && isNewProcess(f) && f.readyInARow >= rules.readyTimes && f.readyMs >= rules.minReadyMs;

const OTHER_MS = 1_000;
/** A restart takes less, with watches open. */
const TROUBLE_MS = 60_000;

function probing(f: NodeFacts, rules: ProbeRules): Step {
  if (f.manifest === 'Other' && (f.otherMs ?? 0) >= OTHER_MS)
    return { do: 'GiveWay', rescue: f.crashes > 0 || f.watchedMs > TROUBLE_MS };
  if (isProven(f, rules)) return { do: 'Commit' };
  if (f.crashes >= rules.maxCrashes) return { do: 'RollBack', why: 'CrashLoop' };
  // Put back, by a process that found no room to write it down, or by a person.
  if (f.manifest === 'Before') return { do: 'RollBack', why: 'NotHealthyInTime' };
  // An API server that is healthy when the time is over is only waited for, up to minReadyMs more; and always so often
  // that it can be seen ready several times in a row: whoever was stopped meanwhile sees it once, and late.
  const healthy = f.health === 'Ready' && isNewProcess(f);
  if (healthy && f.readyInARow < rules.readyTimes) return { do: 'Wait' };
  const limit = rules.timeoutMs + (healthy ? rules.minReadyMs : 0);
  return f.watchedMs >= limit ? { do: 'RollBack', why: 'NotHealthyInTime' } : { do: 'Wait' };
}

/** Killing an API server takes up to its grace period of 30 s, and the kubelet up to 15 s to look again; a dead one, none. */
const isBlocked = (f: NodeFacts): boolean =>
  f.health !== 'Ready' && f.blockedMs >= (f.process === 'None' ? 15_000 : 60_000);

function rollingBack(s: Extract<NodeState, { phase: 'RollingBack' }>, f: NodeFacts, rules: ProbeRules): Step {
  if (f.manifest === 'After') return { do: 'RestoreManifest' };
  // The previous flags are in a process that may never have ended (the kubelet had not acted yet): alive is enough.
  const ready = f.health === 'Ready' && f.process !== 'Old';
  const back = ready && f.readyInARow >= rules.readyTimes;
  // Under a borrowed UID it is waited for without end: without an API, the manifest itself would be stuck again.
  if (f.manifest === 'Borrowed') return { do: back ? 'RestoreManifest' : 'Wait' };
  if (f.manifest === 'Before' && isBlocked(f)) return { do: 'BorrowUid' };
  if (back)
    return s.doubt === undefined
      ? { do: 'EndRollBack', verdict: s.why }
      : { do: 'EndRollBack', verdict: 'Inconclusive', doubt: s.doubt };
  if (ready) return { do: 'Wait' };
  return f.watchedMs >= rules.timeoutMs ? { do: 'EndRollBack', verdict: 'Inconclusive' } : { do: 'Wait' };
}

export function nextStep(state: NodeState, facts: NodeFacts, rules: ProbeRules): Step {
  if (facts.hold) return { do: 'Wait' };
  switch (state.phase) {
    case 'Settled':
    case 'Held':
      return { do: 'Rest' };
    case 'Installing':
      return facts.manifest === 'After' ? { do: 'StartProbing' } : { do: 'Abandon' };
    case 'Probing':
      return probing(facts, rules);
    case 'RollingBack':
      return rollingBack(state, facts, rules);
  }
}
