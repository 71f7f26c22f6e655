/**
 * Differences of texts by lines: a unified diff for people, hunks for three-way merges (merge.ts). Pure and free of
 * dependencies; `patch`, `diff` and, for drift events, the controller and the agent use it. The caller decides what may
 * be shown: secrets never come here.
 */

/** Lines with their line ends, so that a missing newline at the end and CRLF are differences like any other. */
export const splitLines = (text: string): readonly string[] => text.match(/[^\n]*\n|[^\n]+$/g) ?? [];

/** Lines [aFrom, aTo) of `a` are replaced by lines [bFrom, bTo) of `b`. */
export type Hunk = { readonly aFrom: number; readonly aTo: number; readonly bFrom: number; readonly bTo: number };

/** Myers' greedy shortest edit script; gives for each line of `a` the line of `b` it is matched with, or -1. */
function matchLines(a: readonly string[], b: readonly string[]): Int32Array {
  const [n, m] = [a.length, b.length];
  const match = new Int32Array(n).fill(-1);
  let head = 0;
  while (head < n && head < m && a[head] === b[head]) match[head] = head++;
  let tail = 0;
  while (tail < n - head && tail < m - head && a[n - 1 - tail] === b[m - 1 - tail]) {
    match[n - 1 - tail] = m - 1 - tail;
    tail++;
  }
  walkBack(a.slice(head, n - tail), b.slice(head, m - tail), (i, j) => (match[head + i] = head + j));
  return match;
}

/** Furthest x on each diagonal k, one copy for each number of edits. */
function furthest(a: readonly string[], b: readonly string[]): readonly Map<number, number>[] {
  const trace: Map<number, number>[] = [];
  let last = new Map([[1, 0]]);
  for (let d = 0; d <= a.length + b.length; d++) {
    const now = new Map<number, number>();
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && (last.get(k - 1) ?? -1) < (last.get(k + 1) ?? -1));
      let x = down ? (last.get(k + 1) ?? 0) : (last.get(k - 1) ?? 0) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++;
      now.set(k, x);
      if (x >= a.length && x - k >= b.length) return [...trace, now];
    }
    trace.push(now);
    last = now;
  }
  return trace;
}

function walkBack(a: readonly string[], b: readonly string[], matched: (i: number, j: number) => void): void {
  const trace = furthest(a, b);
  let [x, y] = [a.length, b.length];
  for (let d = trace.length - 1; d >= 0; d--) {
    const before = d === 0 ? new Map([[1, 0]]) : (trace[d - 1] ?? new Map<number, number>());
    const k = x - y;
    const down = k === -d || (k !== d && (before.get(k - 1) ?? -1) < (before.get(k + 1) ?? -1));
    const fromX = d === 0 ? 0 : (before.get(down ? k + 1 : k - 1) ?? 0);
    const fromY = d === 0 ? 0 : fromX - (down ? k + 1 : k - 1);
    while (x > fromX && y > fromY && x > 0 && y > 0 && a[x - 1] === b[y - 1]) matched(--x, --y);
    [x, y] = [fromX, fromY];
  }
}

/** What turns `a` into `b`, in order, never touching each other. */
export function hunks(a: readonly string[], b: readonly string[]): readonly Hunk[] {
  const match = matchLines(a, b);
  const found: Hunk[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && match[i] === j) {
      i++;
      j++;
      continue;
    }
    const [aFrom, bFrom] = [i, j];
    while (i < a.length && match[i] === -1) i++;
    j = i < a.length ? (match[i] ?? j) : b.length;
    found.push({ aFrom, aTo: i, bFrom, bTo: j });
  }
  return found;
}

const CONTEXT = 3;

/** Hunks whose context would overlap are shown together. */
function grouped(all: readonly Hunk[]): readonly (readonly Hunk[])[] {
  const groups: Hunk[][] = [];
  for (const h of all) {
    const last = groups.at(-1);
    const before = last?.at(-1);
    if (last !== undefined && before !== undefined && h.aFrom - before.aTo <= 2 * CONTEXT) last.push(h);
    else groups.push([h]);
  }
  return groups;
}

const shown = (sign: string, line: string): string =>
  line.endsWith('\n') ? `${sign}${line}` : `${sign}${line}\n\\ No newline at end of file\n`;

const range = (from: number, count: number): string =>
  count === 1 ? `${from + 1}` : `${count === 0 ? from : from + 1},${count}`;

function showGroup(group: readonly Hunk[], a: readonly string[], b: readonly string[]): string {
  const [first, last] = [group[0], group.at(-1)];
  if (first === undefined || last === undefined) return '';
  const lead = Math.min(CONTEXT, first.aFrom);
  const [aFrom, bFrom] = [first.aFrom - lead, first.bFrom - lead];
  const [aTo, bTo] = [Math.min(a.length, last.aTo + CONTEXT), Math.min(b.length, last.bTo + CONTEXT)];
  let out = `@@ -${range(aFrom, aTo - aFrom)} +${range(bFrom, bTo - bFrom)} @@\n`;
  let at = aFrom;
  for (const h of group) {
    out += [
      ...a.slice(at, h.aFrom).map((l) => shown(' ', l)),
      ...a.slice(h.aFrom, h.aTo).map((l) => shown('-', l)),
      ...b.slice(h.bFrom, h.bTo).map((l) => shown('+', l)),
    ].join('');
    at = h.aTo;
  }
  return (
    out +
    a
      .slice(at, aTo)
      .map((l) => shown(' ', l))
      .join('')
  );
}

/** As `diff -u` prints it; `''` where the texts are equal. Names are shown as given (`/dev/null` for "not there"). */
export function unifiedDiff(from: { name: string; text: string }, to: { name: string; text: string }): string {
  const [a, b] = [splitLines(from.text), splitLines(to.text)];
  const groups = grouped(hunks(a, b));
  if (groups.length === 0) return '';
  return `--- ${from.name}\n+++ ${to.name}\n${groups.map((g) => showGroup(g, a, b)).join('')}`;
}
