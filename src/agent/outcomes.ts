/**
 * When the worker (worker.ts) looks again, from what became of its work. What nobody tells of is asked for ever more
 * rarely; what a watch tells is waited for.
 */
import type { Outcome } from '../kube/queue.ts';
import type { ApplyOutcome } from '../node/outcome.ts';
import type { Wait } from '../rollout/turn.ts';

/** Nothing on the node tells that the reason of a refusal has gone. */
const REFUSED_RETRY_MS = 5 * 60_000;
/** A kube-apiserver that starts answers 403 for seconds, as one does for ever that lets nobody in. */
const CANNOT_PROBE_RETRY_MS = 30_000;
const HOLD_RETRY_MS = 10_000;
const UNREADABLE_RETRY_MS = 60_000;
const INCONCLUSIVE_RETRY_MS = 60_000;
export const AWAY_RETRY_MS = 1_000;
/** An API server that is not ready has no watch; who waits for one asks ever more rarely. */
const PEER_RETRY_MS = 2_000;

/** A change of the Lease, which is watched, tells of all but other API servers and the time. */
function waitFor({ reason, afterMs }: Wait): Outcome {
  switch (reason) {
    case 'LeaseHeld':
    case 'LeaseMissing':
    case 'NotAnInstance':
    case 'Paused':
      return { kind: 'Done' };
    case 'OutsideWindow':
      return { kind: 'Again', afterMs: afterMs ?? 0 };
    case 'PeerNotReady':
      return { kind: 'Retry', afterMs: PEER_RETRY_MS };
    case 'LeaseUnreadable':
      return { kind: 'Retry', afterMs: AWAY_RETRY_MS };
  }
}

export function outcomeOf(outcome: ApplyOutcome): Outcome {
  switch (outcome.kind) {
    case 'Settled':
    case 'Held':
    case 'Interrupted':
      return { kind: 'Done' };
    case 'StateUnreadable':
      return { kind: 'Again', afterMs: UNREADABLE_RETRY_MS };
    case 'RolledBack':
      // Nobody is to blame, so it is tried again, ever more rarely.
      return outcome.failure.reason === 'Inconclusive'
        ? { kind: 'Retry', afterMs: INCONCLUSIVE_RETRY_MS }
        : { kind: 'Done' };
    case 'Refused':
      return {
        kind: 'Again',
        afterMs: outcome.findings.some((f) => f.code === 'CannotProbe') ? CANNOT_PROBE_RETRY_MS : REFUSED_RETRY_MS,
      };
    case 'NotItsTurn':
      return waitFor(outcome.wait);
    case 'OnHold':
      return { kind: 'Again', afterMs: HOLD_RETRY_MS };
    case 'Overtaken':
    case 'DiskFailed':
      return { kind: 'Retry', afterMs: 1_000 };
  }
}
