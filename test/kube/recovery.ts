/**
 * Whether an operator came back from a restart of its API server as fast as that let it, told without a clock: by what it
 * waited for and what it was answered (waits.ts). How long it took is for `npm run bench:fleet`, beside a bare client.
 *
 * 1. While the server is away its readyz is asked for again after 300 ms at the latest.
 * 2. From its readyz on nothing on the way to a reconcile waits longer than 300 ms: no backoff of the outage is left over, and
 *    a key whose writes were refused waits no longer than as many refusals make it.
 */
import type { Answer, Recorded, Wait } from './waits.ts';

/** src/kube/health.ts and reflector.ts: PROBE_BACKOFF, WARMING_UP_RETRY_MS, WARMING_UP_MS. */
const LONGEST_MS = 300;
const WARMING_UP_MS = 5_000;
/** src/kube/queue.ts, of a key whose reconcile failed. */
const FIRST_RETRY_MS = 50;

/**
 * Nobody's reconcile waits for these: renewals of the lease and Events go their own ways; a term's limit for datacenters
 * runs out beside what it was for; the canary's next ping. And where an outage outlived the lease, what a new term asks for
 * first and is refused is asked for again after a second or two.
 */
const BESIDE = [
  'kube/lease.ts',
  'kube/events.ts',
  'kube/health.ts Health.#idle',
  'controllers/term.ts synced',
  'controllers/server-version.ts',
  'controllers/credentials-key.ts',
];

const isReadyz = (a: Answer): boolean => a.path.startsWith('/readyz');
const isGood = (a: Answer): boolean => a.status !== undefined && a.status < 300;
const pathOf = (a: Answer): string => a.path.split('?')[0] ?? '';

/** When readyz was answered with 200 after it had not been; Infinity where others were answered before it was asked again. */
export function upAt({ answers }: Recorded): number {
  const probes = answers.filter(isReadyz);
  const lastBad = probes.findLastIndex((a) => !isGood(a));
  return probes.find((a, i) => i > lastBad && isGood(a))?.at ?? Infinity;
}

/** Refusals of one path at most: as often may a key have failed, and its retries have doubled. */
function mostRefused(answers: readonly Answer[]): number {
  const refused = new Map<string, number>();
  for (const a of answers.filter((x) => !isGood(x) && !isReadyz(x)))
    refused.set(pathOf(a), (refused.get(pathOf(a)) ?? 0) + 1);
  return Math.max(0, ...refused.values());
}

/** Of the time from the death of the server until everything was reconciled: what should not have been, in words. */
export function faultsOf(recorded: Recorded): readonly string[] {
  const { waits, answers } = recorded;
  const up = upAt(recorded);
  const retryMs = FIRST_RETRY_MS * 2 ** mostRefused(answers);
  const isTooLong = ({ ms, by, begun, ended }: Wait): boolean => {
    if (BESIDE.some((b) => by.startsWith(b))) return false;
    if (by.startsWith('kube/queue.ts')) return ended > up && ms > Math.max(retryMs, LONGEST_MS);
    if (by.startsWith('kube/health.ts') && ended <= up) return by.includes('#outage') && ms > LONGEST_MS;
    return ended > up && begun < up + WARMING_UP_MS && ms > LONGEST_MS;
  };
  return waits.filter(isTooLong).map((w) => `${w.by} waited ${Math.round(w.ms)} ms`);
}

/** Lists of this path that were answered. */
export const listsOf = ({ answers }: Recorded, path: string): number =>
  answers.filter((a) => a.method === 'GET' && pathOf(a) === path && !a.path.includes('watch=') && isGood(a)).length;
