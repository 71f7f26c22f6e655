/**
 * Newer credentials of a webhook lie ready, and cannot be given to what runs (carried.ts): is that worth an alarm? Not while the
 * revision that they belong to is on its way, which an ordinary change to another receiver is: what runs sends with what it has,
 * and soon it does not run any more. Only where nothing moves, for a pause, a window or a failure, or where it takes far longer
 * than a rollout does, the old ones may come to their end first. Pure; called by decide.ts and hosted/hosted.ts.
 */
import type { AuditConfigStatus } from '../api/auditconfig.ts';
import type { Reasons, Verdict } from '../api/conditions.ts';

/** It goes on by itself, as far as that can be told. */
const MOVES: ReadonlySet<string> = new Set<Reasons['RolledOut']>(['Progressing', 'Waiting']);
/** A few nodes, one after the other, have taken less; and the shortest credentials that are usual live for an hour. */
const SLOW_MS = 15 * 60_000;

/** When it is to be said, in milliseconds from now: 0 is now. Nobody tells that time has passed. */
export function saidIn(
  rolled: Pick<Verdict<'RolledOut'>, 'reason'>,
  { conditions }: Pick<AuditConfigStatus, 'conditions'>,
  now: number,
): number {
  if (!MOVES.has(rolled.reason)) return 0;
  const before = conditions?.find((c) => c.type === 'RolledOut');
  const since = before?.status === 'False' ? Date.parse(before.lastTransitionTime) : now;
  const age = now - since;
  return Math.min(SLOW_MS, Math.max(0, SLOW_MS - (age >= 0 ? age : 0)));
}
