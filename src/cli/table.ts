/** A table as kubectl prints one: columns padded, three blanks between them, nothing at the end of a line. */
import { printable } from './printable.ts';

export function table(cells: readonly (readonly string[])[]): string {
  const rows = cells.map((r) => r.map(printable));
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((r) => (r[i] ?? '').length)));
  const line = (r: readonly string[]): string =>
    r
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('   ')
      .trimEnd();
  return rows.map((r) => `${line(r)}\n`).join('');
}
