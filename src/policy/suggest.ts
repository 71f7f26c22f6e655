/** "Did you mean": the known word nearest to an unknown one. The words themselves are in suggest-words.ts. */

/**
 * Edits between two words: insert, delete, replace, or swap of neighbours (Damerau-Levenshtein, optimal string
 * alignment). Stops counting at `limit` and gives `limit + 1`. Linear memory.
 */
export function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min((row[j - 1] ?? 0) + 1, (previous[j] ?? 0) + 1, (previous[j - 1] ?? 0) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, (before[j - 2] ?? 0) + 1);
      }
      row.push(best);
    }
    if (Math.min(...row) > limit) return limit + 1;
    [before, previous] = [previous, row];
  }
  return Math.min(previous[b.length] ?? 0, limit + 1);
}

/** Words longer than this are no misspellings of ours. */
const MAX_WORD = 100;

/**
 * The candidate nearest to `word`, or undefined where none is near: a word may differ in one of three letters, case
 * apart, and by at least one edit. Ties go to the earlier candidate. A candidate equal to `word` gives undefined.
 */
export function suggest(word: string, candidates: readonly string[]): string | undefined {
  if (word === '' || word.length > MAX_WORD || candidates.includes(word)) return undefined;
  const lower = word.toLowerCase();
  let found: string | undefined;
  let best = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(lower, candidate.toLowerCase(), best - 1);
    if (distance >= best || distance >= candidate.length) continue;
    best = distance;
    found = candidate;
    if (best === 0) break;
  }
  return found;
}

/** `suggest` as the end of a sentence: `; did you mean "x"?`, or nothing. */
export function didYouMean(word: string, candidates: readonly string[]): string {
  const found = suggest(word, candidates);
  return found === undefined ? '' : `; did you mean "${found}"?`;
}
