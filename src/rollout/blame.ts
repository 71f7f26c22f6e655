/**
 * Did the revision stop its API server, or something that has nothing to do with it? After a rollback all is well in both
 * cases, once etcd is back. Pure; the node room asks when it begins to roll back (src/node/follow.ts).
 *
 * Rules:
 * 1. A doubt never delays a rollback: it only decides what is said of the revision afterwards.
 * 2. It is given once for a revision on a node: the second time it is the revision's fault, whatever was said.
 * 3. An API server that ends with words about auditing names our part of its flags: there is no doubt then.
 * 4. What the API server says of its storage counts; and a crash loop in another boot than that of the rename, since
 *    etcd comes up beside it there, and its failure to do so may be all that the API server dies of.
 */
import type { Doubt, Reason } from './node-state.ts';

export type Case = {
  readonly why: Reason;
  /** This is another boot than that in which the change was begun. */
  readonly rebooted: boolean;
  /** This change is the second try of a revision that was doubted. */
  readonly doubted: boolean;
  /** Last lines of the API server: klog's errors and fatals, `Error: `, panics. */
  readonly words: readonly string[];
};

/** What a program says as its last: klog's fatal, cobra's `Error:`, Go's panic. */
const LAST = /^(?:F\d{4} |Error: |panic: |fatal error: )/;
const AUDIT = /audit/i;
/** client-go's word for etcd is storage, etcd's client speaks gRPC. */
const STORAGE = /etcd|storage factory|storage backend|creating leases|rpc error: code = |:2379\b/i;
const AWAY =
  /refused|unreachable|no route to host|deadline exceeded|timed? ?out|unavailable|no leader|leader changed|reset by peer|EOF|not ready|failed/i;

const speaksOfStorage = (line: string): boolean => STORAGE.test(line) && AWAY.test(line);

/** Why the revision may not be to blame; null where it is. */
export function doubtOf({ why, rebooted, doubted, words }: Case): Doubt | null {
  if (doubted || (why !== 'CrashLoop' && why !== 'NotHealthyInTime')) return null;
  if (words.some((line) => LAST.test(line) && AUDIT.test(line))) return null;
  if (words.some(speaksOfStorage)) return 'StorageAway';
  // One that hangs for as long as the change may take has had the time for any etcd to come up.
  return rebooted && why === 'CrashLoop' ? 'Rebooted' : null;
}
