/** The generators keep what the differential run relies on: reproducible, mostly real, small when shown. */
import { describe, expect, it } from 'vitest';
import { minimized, shown } from './minimize.ts';
import type { Generated } from './policies.ts';
import { fixedPolicies, policies } from './policies.ts';
import { Random } from './random.ts';

const some = (seed: number, count: number): Generated[] => {
  const all = policies(new Random(seed));
  return Array.from({ length: count }, () => all.next().value);
};

describe('the generators', () => {
  it('make the same policies from the same seed, and others from another', () => {
    expect(some(5, 300)).toEqual(some(5, 300));
    expect(some(5, 300)).not.toEqual(some(6, 300));
  });

  it('edit real policies most of the time', () => {
    const real = some(1, 2000).filter((p) => p.origin === 'edited' || p.origin === 'spliced');
    expect(real.length).toBeGreaterThan(1200);
  });

  it('write bytes only', () => {
    const texts = [...fixedPolicies(), ...some(2, 2000)].map((p) => p.text);
    expect(texts.filter((t) => /[^\0-\xff]/.test(t))).toEqual([]);
  });
});

describe('a minimized disagreement', () => {
  it('keeps what matters and nothing else', async () => {
    const text = `${'noise\n'.repeat(200)}a [ needle ] b\n${'more: noise\n'.repeat(200)}`;
    expect(await minimized(text, (t) => Promise.resolve(t.includes('needle')))).toBe('needle');
  });

  it('is shown with every byte, and cut where it is long', () => {
    expect(shown('a\n\xff\x01"')).toBe('"a\\n\\xff\\x01\\""');
    expect(shown('x'.repeat(5000))).toMatch(/^"x{1499}\.\.\. \(5000 bytes\)$/);
  });
});
