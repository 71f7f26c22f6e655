/**
 * Intervals in which a node served requests and did not record them as its revision says. Two witnesses report: the
 * process (which flags it runs with) and the proof (whether an event arrived). One list is kept: intervals never overlap
 * and none is lost, whatever the order in which the witnesses speak, and whatever the clock does. Pure; src/agent/gaps.ts
 * asks and remembers.
 */

export const GAP_REASONS = [
  /** An API server ran without a policy or without an output. */
  'FlagsMissing',
  /** It ran with a policy that is not of this node's revision. */
  'OtherPolicy',
  /** The node went back to a state without auditing. */
  'RolledBack',
  /** What proof says: from the last event that was found until the next. */
  'EventMissing',
  'LogMissing',
  'WrongLevel',
] as const;
export type GapReason = (typeof GAP_REASONS)[number];

/** Milliseconds since 1970. */
export type Gap = { readonly start: number; readonly end: number; readonly reason: GapReason };
export type OpenGap = Omit<Gap, 'end'>;

export const WITNESSES = ['process', 'proof'] as const;
export type Witness = (typeof WITNESSES)[number];

export type Gaps = {
  /** What each witness says now; null: all is well. */
  readonly said: Readonly<Record<Witness, GapReason | null>>;
  readonly open: OpenGap | null;
  /** Oldest first, the latest ones. */
  readonly closed: readonly Gap[];
  /** End of the latest that was ever closed: no later interval begins before it. */
  readonly until: number;
};

export const NO_GAPS: Gaps = { said: { process: null, proof: null }, open: null, closed: [], until: 0 };

/** As many as a status shows. */
export const KEPT_GAPS = 10;

export type Testimony = {
  readonly by: Witness;
  /** null: all is well. */
  readonly reason: GapReason | null;
  /** Since when that is so, as far as the witness knows. */
  readonly from: number;
};

/** What is new: the list, and what was closed by this. */
export type Heard = { readonly gaps: Gaps; readonly ended: readonly Gap[] };

const otherThan = (by: Witness, said: Gaps['said']): GapReason | null =>
  WITNESSES.filter((w) => w !== by).map((w) => said[w])[0] ?? null;

function close(g: Gaps, at: number): Heard {
  if (g.open === null) return { gaps: g, ended: [] };
  const end = Math.max(g.open.start, at);
  const until = Math.max(g.until, end);
  // Of no length: nothing was missed.
  if (end === g.open.start) return { gaps: { ...g, open: null, until }, ended: [] };
  const gap: Gap = { ...g.open, end };
  return { gaps: { ...g, open: null, closed: [...g.closed, gap].slice(-KEPT_GAPS), until }, ended: [gap] };
}

export function hear(g: Gaps, t: Testimony): Heard {
  const before = g.said[t.by];
  const said = { ...g.said, [t.by]: t.reason };
  const start = Math.max(t.from, g.until);
  if (t.reason !== null) {
    // The first reason stays; what began earlier than was known is not lost.
    if (g.open !== null)
      return { gaps: { ...g, said, open: { ...g.open, start: Math.min(g.open.start, start) } }, ended: [] };
    return { gaps: { ...g, said, open: { start, reason: t.reason } }, ended: [] };
  }
  if (before === null) return { gaps: g, ended: [] };
  const other = otherThan(t.by, said);
  // What the other witness says goes on, under the reason that it gave.
  if (other !== null && other === g.open?.reason) return { gaps: { ...g, said }, ended: [] };
  const { gaps, ended } = close({ ...g, said }, t.from);
  return { gaps: other === null ? gaps : { ...gaps, open: { start: gaps.until, reason: other } }, ended };
}

/** Nothing is promised any more: what is open ends now. */
export function dismiss(g: Gaps, at: number): Heard {
  return close({ ...g, said: NO_GAPS.said }, at);
}

/** What the process that runs says of itself. `ours`: where policies of revisions lie, and the one that was adopted. */
export function reasonOfFlags(
  flags: ReadonlyMap<string, string>,
  isOurs: (policyFile: string) => boolean,
): 'FlagsMissing' | 'OtherPolicy' | null {
  const policy = flags.get('--audit-policy-file') ?? '';
  const output = ['--audit-log-path', '--audit-webhook-config-file'].some((n) => (flags.get(n) ?? '') !== '');
  if (policy === '' || !output) return 'FlagsMissing';
  return isOurs(policy) ? null : 'OtherPolicy';
}
