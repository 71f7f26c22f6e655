/**
 * When proof is due. The log is looked at often, which costs a `stat` and nothing of the API; a request is sent once an
 * interval, and sooner where the log looks as if it were no longer written to. Pure; all times are milliseconds of a
 * clock that nobody sets.
 */
import type { ProofResult } from '../api/auditnode.ts';

/** The log file as `stat` tells it; null where there is none. */
export type LogLook = { readonly inode: bigint; readonly size: bigint } | null;

export type Proven = {
  /** What it was about: digest of the revision. */
  readonly digest: string;
  readonly result: ProofResult;
  readonly at: number;
  /** The log after it. */
  readonly look: LogLook;
};

export type Why = 'Settled' | 'Interval' | 'Gone' | 'Back' | 'Shrunk' | 'Rotated' | 'Silent' | 'Again';

/** Shares of the interval: with an hour 10 s, 5, 10 and 15 minutes. */
const SOON = 1 / 360;
const AGAIN = 1 / 12;
const ROTATED = 1 / 6;
const SILENT = 1 / 4;

/** How often to look, in ms: twice a minute with an interval of an hour. */
export const lookEveryMs = (intervalMs: number): number => Math.min(30_000, Math.max(250, intervalMs / 120));

/** Differences between two looks that say that something happened to the file. */
function changeOf(before: LogLook, now: LogLook): 'Gone' | 'Back' | 'Shrunk' | 'Rotated' | 'Silent' | undefined {
  if (before === null) return now === null ? undefined : 'Back';
  if (now === null) return 'Gone';
  if (now.inode !== before.inode) return 'Rotated';
  if (now.size < before.size) return 'Shrunk';
  return now.size === before.size ? 'Silent' : undefined;
}

/** Why to send a request now; undefined: not yet. At most `1 + 12 + 6 + 4` an interval, for whatever happens to the log. */
export function dueNow(q: {
  readonly last: Proven | undefined;
  readonly digest: string;
  readonly look: LogLook;
  readonly now: number;
  readonly intervalMs: number;
}): Why | undefined {
  const { last, look, intervalMs } = q;
  if (last === undefined || last.digest !== q.digest) return 'Settled';
  const age = (q.now - last.at) / intervalMs;
  if (age >= 1) return 'Interval';
  if (last.result === 'NothingToObserve') return undefined;
  const change = changeOf(last.look, look);
  switch (change) {
    case 'Gone':
    case 'Back':
    case 'Shrunk':
      // Each of them once: the next look is compared with the one after this proof.
      if (age >= SOON) return change;
      break;
    case 'Rotated':
      if (age >= ROTATED) return change;
      break;
    case 'Silent':
      if (age >= SILENT) return change;
      break;
    case undefined:
      break;
  }
  return last.result !== 'EventFound' && age >= AGAIN ? 'Again' : undefined;
}
