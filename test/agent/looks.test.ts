import { describe, expect, it } from 'vitest';
import { Looks } from '../../src/agent/looks.ts';

const HOUR = 3_600_000;

/** Runs until `count` looks were made, or a second has passed; `during` is called in the middle of each. */
async function look(count: number, during: (looks: Looks, nth: number) => void): Promise<readonly unknown[]> {
  const looks = new Looks();
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), 1_000);
  const seen: unknown[] = [];
  const turn = async (): Promise<void> => {
    seen.push('look');
    if (seen.filter((s) => s === 'look').length === count) stop.abort();
    during(looks, seen.length);
    await Promise.resolve();
  };
  await looks.run(HOUR, turn, (e) => seen.push(e), stop.signal);
  clearTimeout(timer);
  return seen;
}

describe('looks', () => {
  it('come at once when woken in between', async () => {
    expect(await look(2, (looks) => setTimeout(() => looks.wake(), 5))).toEqual(['look', 'look']);
  });

  it('come once more when woken in the middle of one, which began before', async () => {
    expect(await look(2, (looks, nth) => (nth === 1 ? looks.wake() : undefined))).toEqual(['look', 'look']);
  });

  it('do not come again unasked', async () => {
    expect(await look(2, () => undefined)).toEqual(['look']);
  });

  it('go on after one that failed, which is told', async () => {
    const seen = await look(2, (looks, nth) => {
      setTimeout(() => looks.wake(), 5);
      if (nth === 1) throw new Error('disk');
    });
    expect(seen).toEqual(['look', new Error('disk'), 'look']);
  });
});
