/** Line differences and three-way merges, against their definitions on small generated texts. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hunks, splitLines, unifiedDiff } from '../../src/targets/diff.ts';
import { merge3 } from '../../src/targets/merge.ts';

const SEED = 20261121;
const text = fc
  .tuple(
    fc.array(fc.constantFrom('a\n', 'b\n', 'c\n', 'd\r\n', '\n'), { maxLength: 12 }),
    fc.constantFrom('', 'a', 'z'),
  )
  .map(([lines, last]) => lines.join('') + last);

/** `a` with the hunks' lines taken from `b`. */
function patched(a: readonly string[], b: readonly string[]): string {
  let out = '';
  let at = 0;
  for (const h of hunks(a, b)) {
    out += a.slice(at, h.aFrom).join('') + b.slice(h.bFrom, h.bTo).join('');
    at = h.aTo;
  }
  return out + a.slice(at).join('');
}

/** Length of the longest common subsequence, by the book. */
function common(a: readonly string[], b: readonly string[]): number {
  let row = new Array<number>(b.length + 1).fill(0);
  for (const x of a) {
    const next = [0];
    for (const [j, y] of b.entries()) next.push(x === y ? (row[j] ?? 0) + 1 : Math.max(row[j + 1] ?? 0, next[j] ?? 0));
    row = next;
  }
  return row[b.length] ?? 0;
}

describe('a difference of lines', () => {
  it('turns one text into the other, with as few lines as can be', () => {
    fc.assert(
      fc.property(text, text, (x, y) => {
        const [a, b] = [splitLines(x), splitLines(y)];
        expect(patched(a, b)).toBe(y);
        const changed = hunks(a, b).reduce((n, h) => n + (h.aTo - h.aFrom) + (h.bTo - h.bFrom), 0);
        expect(changed).toBe(a.length + b.length - 2 * common(a, b));
      }),
      { seed: SEED, numRuns: 2_000 },
    );
  });

  it('is shown as diff -u shows it', () => {
    const lines = (n: number): string => Array.from({ length: n }, (_, i) => `${i + 1}\n`).join('');
    expect(unifiedDiff({ name: 'a', text: lines(12) }, { name: 'b', text: lines(12).replace('6\n', 'six\n') })).toBe(
      '--- a\n+++ b\n@@ -3,7 +3,7 @@\n 3\n 4\n 5\n-6\n+six\n 7\n 8\n 9\n',
    );
    expect(unifiedDiff({ name: '/dev/null', text: '' }, { name: 'b', text: 'x' })).toBe(
      '--- /dev/null\n+++ b\n@@ -0,0 +1 @@\n+x\n\\ No newline at end of file\n',
    );
    expect(unifiedDiff({ name: 'a', text: 'x\n' }, { name: 'b', text: 'x\n' })).toBe('');
  });
});

describe('a three-way merge', () => {
  it('with one side unchanged is the other side', () => {
    fc.assert(
      fc.property(text, text, (x, y) => {
        expect(merge3(x, y, x)).toBe(y);
        expect(merge3(x, x, y)).toBe(y);
        expect(merge3(x, y, y)).toBe(y);
      }),
      { seed: SEED, numRuns: 1_000 },
    );
  });

  it('takes both sides’ changes of different lines, neighbours too', () => {
    expect(merge3('a\nb\nc\n', 'A\nb\nc\n', 'a\nb\nC\n')).toBe('A\nb\nC\n');
    expect(merge3('a\nb\n', 'A\nb\n', 'a\nB\n')).toBe('A\nB\n');
    expect(merge3('a\nb\n', 'x\na\nb\n', 'a\nb\ny\n')).toBe('x\na\nb\ny\n');
  });

  it('refuses where both changed one line, or put lines into one place', () => {
    expect(merge3('a\nb\nc\n', 'a\nX\nc\n', 'a\nY\nc\n')).toBeNull();
    expect(merge3('a\nb\nc\n', 'a\nc\n', 'a\nY\nc\n')).toBeNull();
    expect(merge3('a\n', 'a\nx\n', 'a\ny\n')).toBeNull();
  });
});
