/** What is committed: generated files are what the sources make, and no file holds half a merge. */
import { readFileSync, readdirSync } from 'node:fs';
import { extname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generated } from './generate.ts';

const ROOT = resolve(import.meta.dirname, '../..');
/** What an installation applies: nothing else that `npm run check` runs reads it. */
const APPLIED = ['crds', 'deploy'];

const filesBelow = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { withFileTypes: true, recursive: true })
    .filter((e) => e.isFile())
    .map((e) => relative(ROOT, join(e.parentPath, e.name)));

const textOf = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

describe('what is committed', () => {
  it.each(generated())('is what the sources make (npm run generate): $path', ({ path, text }) => {
    expect(textOf(path)).toBe(text);
  });

  it('has nothing that was generated once and is no more', () => {
    const made = new Set(generated().map(({ path }) => path));
    const files = APPLIED.flatMap(filesBelow).filter((f) => extname(f) === '.yaml');
    expect(files.length).toBeGreaterThan(made.size);
    expect(files.filter((f) => textOf(f).startsWith('# Generated from src/') && !made.has(f))).toEqual([]);
  });

  it('holds no marks of a merge', () => {
    const marked = APPLIED.flatMap(filesBelow).filter((f) => /^(<{7}|={7}|>{7}|\|{7})( |$)/m.test(textOf(f)));
    expect(marked).toEqual([]);
  });
});
