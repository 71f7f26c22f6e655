/** The campaign's judgement, which must not be lenient: a table full of `ok` is worth what this is worth. */
import { describe, expect, it } from 'vitest';
import { BREAKAGES } from './breakages.ts';
import { overlapping } from './meter.ts';
import { KINDS } from './types.ts';
import { isAsExpected, isGreen, summaryOf, tableOf, verdictOf } from './verdict.ts';
import type { Row, Seen } from './verdict.ts';

const whole: Seen = { evidence: undefined, down: [0], overlaps: [], faults: [] };

describe('what came of a row is', () => {
  it('healed, where everything is whole and nobody refused anything', () => {
    expect(verdictOf({ ...whole, down: [4] })).toEqual({ outcome: 'healed', why: [] });
  });
  it('refused or inconclusive only where that was said', () => {
    expect(verdictOf({ ...whole, evidence: { kind: 'refused', touched: false } }).outcome).toBe('refused');
    expect(verdictOf({ ...whole, evidence: { kind: 'inconclusive' } }).outcome).toBe('inconclusive');
  });
  it.each([
    ['a refusal that came after a touch', { evidence: { kind: 'refused', touched: true } }],
    ['two API servers down at once', { overlaps: ['cp-1 and cp-2'] }],
    ['something that is not whole at the end', { faults: ['cp-1: the agent is gone'] }],
    ['a refusal that leaves something broken', { evidence: { kind: 'refused', touched: false }, faults: ['it'] }],
  ] satisfies [string, Partial<Seen>][])('lost, for %s', (_name, seen) => {
    expect(verdictOf({ ...whole, ...seen }).outcome).toBe('lost');
  });
});

describe('two at once', () => {
  const down = (node: string, from: number, to: number) => ({ node, from, to });
  it('is what meets, on two nodes, since judging began', () => {
    expect(overlapping([down('a', 0, 10), down('b', 9, 20)], 0)).toHaveLength(1);
    expect(overlapping([down('a', 0, 10), down('b', 10, 20)], 0)).toEqual([]);
    expect(overlapping([down('a', 0, 10), down('a', 5, 20)], 0)).toEqual([]);
    expect(overlapping([down('a', 0, 10), down('b', 5, 20)], 10)).toEqual([]);
    expect(overlapping([down('a', 0, 12), down('b', 5, 20)], 10)).toHaveLength(1);
  });
});

describe('the last lines', () => {
  const row = (nodes: 1 | 3, seen: Partial<Seen>): Row => {
    const [breakage] = BREAKAGES.filter((b) => b.nodes === nodes && b.expect === 'healed');
    if (breakage === undefined) throw new Error('no such breakage');
    const all = { ...whole, ...seen };
    return { breakage, seen: all, verdict: verdictOf(all), seconds: 1 };
  };
  it('have two API servers that were down at once, of a row that was repeated too', () => {
    const rows = [row(3, { overlaps: ['cp-1 and cp-2 at once for 1.0 s'] }), row(3, { down: [1, 3, 8] })];
    const asked = [row(3, {}).breakage];
    const summary = summaryOf({ asked, rows, minutes: 9, stopped: false });
    expect(summary).toContain(`on three nodes: 2 runs, two down at once in 1: ${asked[0]?.id}`);
    expect(summary).toContain(`down for 3.0 s (median), at most 8.0 s (${asked[0]?.id})`);
    expect(isGreen(asked, rows)).toBe(true);
    expect(summaryOf({ asked, rows: rows.slice(1), minutes: 9, stopped: false })).toContain('never two down at once');
  });
  it('are not green where nothing was asked or something was not run', () => {
    expect(isGreen([], [])).toBe(false);
    expect(isGreen([row(1, {}).breakage, row(3, {}).breakage], [row(1, {})])).toBe(false);
  });
});

describe('the table of breakages', () => {
  it('names each once, and shows whatever is not as expected', () => {
    expect(new Set(BREAKAGES.map((b) => b.id)).size).toBe(BREAKAGES.length);
    const [breakage] = BREAKAGES;
    if (breakage === undefined) throw new Error('no breakages');
    const row = { breakage, seen: whole, verdict: { outcome: 'lost', why: [] }, seconds: 1 } as const;
    expect(isAsExpected(row)).toBe(false);
    expect(tableOf([row])).toMatch(new RegExp(`^NOT +${breakage.id}`, 'm'));
  });
  it('has every kind', () => {
    expect([...new Set(BREAKAGES.map((b) => b.kind))]).toEqual(KINDS);
  });
});
