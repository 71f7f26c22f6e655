/** Gaps: intervals from two witnesses, in any order, become one list without overlap and without loss. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GAP_REASONS, KEPT_GAPS, NO_GAPS, dismiss, hear, reasonOfFlags } from '../../src/analysis/gaps.ts';
import type { Gap, GapReason, Gaps, Testimony } from '../../src/analysis/gaps.ts';

const process = (reason: GapReason | null, from: number): Testimony => ({ by: 'process', reason, from });
const proof = (reason: GapReason | null, from: number): Testimony => ({ by: 'proof', reason, from });

function all(...testimonies: Testimony[]): { gaps: Gaps; ended: Gap[] } {
  let gaps = NO_GAPS;
  const ended: Gap[] = [];
  for (const t of testimonies) {
    const heard = hear(gaps, t);
    gaps = heard.gaps;
    ended.push(...heard.ended);
  }
  return { gaps, ended };
}

describe('gaps', () => {
  it.each<[string, Testimony[], Gap[], Gaps['open']]>([
    ['none while all is well', [process(null, 1), proof(null, 2)], [], null],
    ['one from its start', [process('FlagsMissing', 5)], [], { start: 5, reason: 'FlagsMissing' }],
    [
      'one until all is well again',
      [process('FlagsMissing', 5), process(null, 9)],
      [{ start: 5, end: 9, reason: 'FlagsMissing' }],
      null,
    ],
    [
      'said again and again, one',
      [process('FlagsMissing', 5), process('FlagsMissing', 5), process('OtherPolicy', 7), process(null, 9)],
      [{ start: 5, end: 9, reason: 'FlagsMissing' }],
      null,
    ],
    [
      'of both witnesses, one after the other',
      [process('FlagsMissing', 5), proof('EventMissing', 3), process(null, 9), proof(null, 12)],
      [
        { start: 3, end: 9, reason: 'FlagsMissing' },
        { start: 9, end: 12, reason: 'EventMissing' },
      ],
      null,
    ],
    [
      'of the other witness alone, to its end',
      [proof('EventMissing', 3), process('FlagsMissing', 5), process(null, 9), proof(null, 12)],
      [{ start: 3, end: 12, reason: 'EventMissing' }],
      null,
    ],
    [
      'what proof missed since before an earlier gap is counted once',
      [process('FlagsMissing', 5), process(null, 9), proof('EventMissing', 2), proof(null, 20)],
      [
        { start: 5, end: 9, reason: 'FlagsMissing' },
        { start: 9, end: 20, reason: 'EventMissing' },
      ],
      null,
    ],
    ['of no length, none', [process('FlagsMissing', 5), process(null, 5)], [], null],
    [
      'by a clock that was set back, none that ends before it begins',
      [process('FlagsMissing', 50), process(null, 5)],
      [],
      null,
    ],
  ])('%s', (_, testimonies, ended, open) => {
    const got = all(...testimonies);
    expect(got.ended).toEqual(ended);
    expect(got.gaps.open).toEqual(open);
    expect(got.gaps.closed).toEqual(ended);
  });

  it('an open one ends when nothing is promised any more', () => {
    const { gaps } = all(process('FlagsMissing', 5), proof('LogMissing', 6));
    expect(dismiss(gaps, 8).ended).toEqual([{ start: 5, end: 8, reason: 'FlagsMissing' }]);
    expect(dismiss(gaps, 8).gaps.said).toEqual({ process: null, proof: null });
  });

  const testimony = fc.record({
    by: fc.constantFrom<Testimony['by']>('process', 'proof'),
    reason: fc.option(fc.constantFrom(...GAP_REASONS), { nil: null }),
    from: fc.nat(1_000),
  });

  it('never overlap, never end before they begin, and no ended one is lost, whatever is said in whatever order', () => {
    fc.assert(
      fc.property(fc.array(testimony, { maxLength: 60 }), (testimonies) => {
        const { gaps, ended } = all(...testimonies);
        for (const [i, g] of ended.entries()) {
          expect(g.end).toBeGreaterThan(g.start);
          expect(g.start).toBeGreaterThanOrEqual(ended[i - 1]?.end ?? 0);
        }
        expect(gaps.closed).toEqual(ended.slice(-KEPT_GAPS));
        if (gaps.open !== null) expect(gaps.open.start).toBeGreaterThanOrEqual(ended.at(-1)?.end ?? 0);
        const isBad = Object.values(gaps.said).some((r) => r !== null);
        expect(gaps.open !== null).toBe(isBad);
      }),
      { numRuns: 2_000 },
    );
  });

  it('cover exactly the moments in which a witness says so, where time only goes on', () => {
    const step = fc.record({ by: testimony.map((t) => t.by), bad: fc.boolean(), wait: fc.integer({ min: 1, max: 9 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        let [now, gaps] = [0, NO_GAPS];
        const covered: Gap[] = [];
        const bad = { process: false, proof: false };
        const missed: number[] = [];
        for (const s of steps) {
          for (let t = now; t < now + s.wait; t++) if (bad.process || bad.proof) missed.push(t);
          now += s.wait;
          bad[s.by] = s.bad;
          const heard = hear(gaps, { by: s.by, reason: s.bad ? 'EventMissing' : null, from: now });
          gaps = heard.gaps;
          covered.push(...heard.ended);
        }
        if (gaps.open !== null) covered.push({ ...gaps.open, end: now });
        const moments = covered.flatMap((g) => Array.from({ length: g.end - g.start }, (_, i) => g.start + i));
        expect(moments).toEqual(missed);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('what the flags of a process say', () => {
  const flags = (...all: [string, string][]): ReadonlyMap<string, string> => new Map(all);
  const [policy, log]: [string, string][] = [
    ['--audit-policy-file', '/revisions/a/policy.yaml'],
    ['--audit-log-path', '/log'],
  ];
  it.each([
    ['nothing', flags(), 'FlagsMissing'],
    ['a policy without an output', flags(policy ?? ['', '']), 'FlagsMissing'],
    ['an output without a policy', flags(log ?? ['', '']), 'FlagsMissing'],
    ['both', flags(policy ?? ['', ''], log ?? ['', '']), null],
    ['another policy', flags(['--audit-policy-file', '/else'], log ?? ['', '']), 'OtherPolicy'],
  ])('%s', (_, is, want) => {
    expect(reasonOfFlags(is, (p) => p.startsWith('/revisions/'))).toBe(want);
  });
});
