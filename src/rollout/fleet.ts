/**
 * Which control planes may take what a datacenter says now? Pure. Counted is what they report, so that a controller that
 * starts anew, or another one, goes on where the last one was; asked twice, it gives the same answer.
 *
 * 1. Where nothing runs yet, nothing can be harmed: those take it at once, and so do those that cannot act at all.
 * 2. Canaries come first, and all others wait until they have been ready for the soak time.
 * 3. At most `maxUnavailable` are on their way at a time. `maxFailures` failed ones stop it, and so does `paused`.
 * 4. What is newer pre-empts: those that are on their way to something older, or failed with it, go first; as many as a wave can
 *    have been, since where many more are not ready it was no wave but an outage.
 * 5. Those that are halted run something, and may go on with what is new: many of them, such as after a certificate has expired,
 *    take turns like others, but for nobody's turn, and none of them keeps the others from theirs by never taking it.
 * 6. A datacenter that goes, or selects no longer, leaves in the same way: no fleet loses its audit log at once.
 */

export type Member = {
  /** namespace/name */
  readonly key: string;
  readonly canary: boolean;
  /** Digest of what it has of this datacenter, and of what it is to have; null: nothing. */
  readonly has: string | null;
  readonly wants: string | null;
  /** Stuck: it acts on nothing, for a reason of its own. Halted: nor does this one, but what it runs may change when it is told. */
  readonly state: 'Fresh' | 'Ready' | 'Busy' | 'Failed' | 'Stuck' | 'Halted';
  /** Since when it is ready, in milliseconds since the epoch. */
  readonly readySince?: number;
};

export type FleetRules = {
  /** A number, or a percentage of all members, rounded up; at least one. */
  readonly maxUnavailable: string;
  readonly maxFailures: number;
  readonly paused: boolean;
  readonly soakMs: number;
};
export const FLEET_DEFAULTS = { maxUnavailable: '10%', maxFailures: 1, paused: false, soakSeconds: 600 } as const;

export type Plan = {
  readonly phase: 'Complete' | 'Progressing' | 'Canary' | 'Soaking' | 'Paused' | 'Stopped';
  /** Those that may take it now. */
  readonly admit: readonly string[];
  /** Of those that have it: what stops the rest. */
  readonly failed: readonly string[];
  /** When time alone changes the answer. */
  readonly afterMs?: number;
};

/** So long each of those that are halted has, to take it. */
const HALTED_MS = 60_000;

const isThere = (m: Member): boolean => m.has === m.wants;

export function shareOf(share: string, all: number): number {
  const percent = /^(\d+)%$/.exec(share);
  const wanted = percent === null ? Number(share) : Math.ceil((Number(percent[1]) / 100) * all);
  return Math.max(1, Number.isFinite(wanted) ? wanted : 1);
}

export function planFleet(members: readonly Member[], rules: FleetRules, now: number): Plan {
  const sorted = [...members].sort((a, b) => (a.key < b.key ? -1 : 1));
  const waiting = sorted.filter((m) => !isThere(m));
  const failed = sorted.filter((m) => isThere(m) && m.state === 'Failed').map((m) => m.key);
  const free = waiting.filter((m) => m.state === 'Fresh' || m.state === 'Stuck').map((m) => m.key);
  const halted = waiting.filter((m) => m.state === 'Halted');
  const rest = waiting.filter((m) => !['Fresh', 'Stuck', 'Halted'].includes(m.state));
  const stay = (phase: Plan['phase'], more: Partial<Plan> = {}): Plan => ({ phase, admit: free, failed, ...more });
  if (rest.length === 0 && halted.length === 0) return stay(waiting.length === 0 ? 'Complete' : 'Progressing');
  if (rules.paused) return stay('Paused');
  if (failed.length >= rules.maxFailures) return stay('Stopped');
  const canaries = sorted.filter((m) => m.canary && m.state !== 'Stuck' && m.state !== 'Halted');
  const turn = canaries.some((m) => !isThere(m)) ? rest.filter((m) => m.canary) : rest;
  const soak = turn === rest ? soakLeft(canaries, rules.soakMs, now) : 0;
  if (soak !== 0) return stay('Soaking', soak === Infinity ? {} : { afterMs: soak });
  const share = shareOf(rules.maxUnavailable, members.length);
  const unsettled = sorted.filter((m) => m.state === 'Busy' || m.state === 'Failed');
  const mayPreempt = Math.max(0, share + rules.maxFailures - unsettled.filter(isThere).length);
  const preempted = turn.filter((m) => m.state !== 'Ready').slice(0, mayPreempt);
  const slots = Math.max(0, share - unsettled.length);
  const next = turn.filter((m) => m.state === 'Ready').slice(0, slots);
  const { some, afterMs } = someOf(
    halted.filter((m) => turn === rest || m.canary),
    { slots, now },
  );
  const admit = [...free, ...[...preempted, ...next, ...some].map((m) => m.key)].sort();
  const later = afterMs === undefined ? {} : { afterMs };
  return { phase: turn === rest ? 'Progressing' : 'Canary', admit, failed, ...later };
}

/** Others with each minute, since one that takes nothing looks like one that was not asked. */
function someOf(
  halted: readonly Member[],
  { slots, now }: { readonly slots: number; readonly now: number },
): { readonly some: readonly Member[]; readonly afterMs?: number } {
  if (slots === 0 || halted.length <= slots) return { some: slots === 0 ? [] : halted };
  const first = (Math.floor(now / HALTED_MS) % Math.ceil(halted.length / slots)) * slots;
  return { some: halted.slice(first, first + slots), afterMs: HALTED_MS - (now % HALTED_MS) };
}

/** In milliseconds; Infinity while one of them is not ready, since no time tells when it will be. */
function soakLeft(canaries: readonly Member[], soakMs: number, now: number): number {
  const left = canaries.map((m) =>
    m.state === 'Ready' ? Math.max(0, (m.readySince ?? now) + soakMs - now) : Infinity,
  );
  return Math.max(0, ...left);
}
