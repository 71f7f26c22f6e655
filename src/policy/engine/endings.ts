/**
 * How a string ends, as a small number. Most strings of a request are in no policy; their ending says so, before anyone
 * hashes and compares them. Symbols (symbols.ts) keep the endings of all that they know; a class of requests
 * (classes.ts) those of the names that its rules ask for, a set of few bits.
 */
export const ENDINGS = 4096;

/** A number below ENDINGS for the length and the last three characters: names that are numbered differ there. */
export function endingOf(s: string): number {
  const n = s.length;
  if (n < 3) return n;
  const last = s.charCodeAt(n - 1) + s.charCodeAt(n - 2) * 11 + s.charCodeAt(n - 3) * 101;
  return (last + n * 37) & (ENDINGS - 1);
}

/** Endings by dimension (ASK_... of query.ts), as bits. Two may share one: what is not in it was not added. */
export type EndingSet = Int32Array;

/** @param most how many names there may be; beyond, more and more strings look as if they were among them. */
export const newEndings = (most: number): EndingSet => new Int32Array(most > 64 ? 64 : 16);

const bitOf = (set: EndingSet, ask: number, ending: number): number => (ending * 5 + ask * 61) & (set.length * 32 - 1);

export function addEnding(to: EndingSet, ask: number, ending: number): void {
  const bit = bitOf(to, ask, ending);
  to[bit >>> 5] = (to[bit >>> 5] ?? 0) | (1 << (bit & 31));
}

export function mayEndLike(set: EndingSet, ask: number, s: string): boolean {
  const bit = bitOf(set, ask, endingOf(s));
  return ((set[bit >>> 5] ?? 0) & (1 << (bit & 31))) !== 0;
}
