/** Tables of a Markdown page as data, for the tests that hold a page against the code. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const DOCS = resolve(import.meta.dirname, '../../docs');

export type Row = Readonly<Record<string, string>>;
export type Table = { readonly section: string; readonly rows: readonly Row[] };

const cellsOf = (line: string): string[] =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());

/** Every table of a page below docs/, with the heading that it stands under; cells by their column's heading. */
export function tablesOf(page: string): readonly Table[] {
  const tables: { section: string; rows: Row[] }[] = [];
  let section = '';
  let columns: string[] | undefined;
  for (const line of readFileSync(join(DOCS, page), 'utf8').split('\n')) {
    const heading = /^#+ +(.*)$/.exec(line)?.[1];
    if (heading !== undefined) section = heading;
    if (!line.startsWith('|')) {
      columns = undefined;
    } else if (columns === undefined) {
      columns = cellsOf(line);
      tables.push({ section, rows: [] });
    } else if (!/^\|[-:| ]+\|$/.test(line)) {
      const cells = cellsOf(line);
      if (cells.length !== columns.length) throw new Error(`${page}: a row with ${cells.length} cells: ${line}`);
      tables.at(-1)?.rows.push(Object.fromEntries(columns.map((c, i) => [c, cells[i] ?? ''])));
    }
  }
  return tables;
}

/** What stands in backquotes, alone in its cell. */
export const codeIn = (cell: string | undefined): string => /^`([^`]+)`$/.exec(cell ?? '')?.[1] ?? '';
