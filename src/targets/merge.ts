/**
 * Three-way merge of texts by lines: what `theirs` changed in `base` and what `ours` changed in it, together. Targets use
 * it to take their own edit out of a file that someone else has edited since. It refuses (null) where both changed the
 * same lines; it knows nothing of the file's meaning, so callers check what comes out.
 */
import { hunks, splitLines } from './diff.ts';
import type { Hunk } from './diff.ts';

type Edit = { readonly from: number; readonly to: number; readonly text: string };

const edit = (h: Hunk, lines: readonly string[]): Edit => ({
  from: h.aFrom,
  to: h.aTo,
  text: lines.slice(h.bFrom, h.bTo).join(''),
});

const same = (x: Edit, y: Edit): boolean => x.from === y.from && x.to === y.to && x.text === y.text;

/** Neighbours may touch, but two insertions at one place have no order, and neither may reach into the other. */
const clash = (x: Edit, y: Edit): boolean =>
  x.from === y.from ? x.to === y.to || (x.from < x.to && y.from < y.to) : x.from < y.to && y.from < x.to;

/** `base` with both sides' changes, or null where they clash. */
export function merge3(base: string, ours: string, theirs: string): string | null {
  const o = splitLines(base);
  const [a, b] = [splitLines(ours), splitLines(theirs)];
  const mine = hunks(o, a).map((h) => edit(h, a));
  const others = hunks(o, b)
    .map((h) => edit(h, b))
    .filter((e) => !mine.some((m) => same(m, e)));
  if (others.some((e) => mine.some((m) => clash(m, e)))) return null;
  // An insertion comes before a replacement that begins at the same line.
  const all = [...mine, ...others].sort((x, y) => x.from - y.from || x.to - y.to);
  let out = '';
  let at = 0;
  for (const e of all) {
    out += o.slice(at, e.from).join('') + e.text;
    at = e.to;
  }
  return out + o.slice(at).join('');
}
