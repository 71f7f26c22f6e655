/**
 * Which files have passed types and lint in the state they are in: a file's key is made of its own content and of all
 * that it imports, however far away, since types come from there. Modification times say nothing in a fresh clone.
 * Called by types-and-lint.ts. Coarser than the compiler's own memory, which knows whether a change shows outside of a
 * file, but one that the lint rules can rely on too.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import ts from 'typescript';

const digest = (parts: Iterable<string>): string => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part).update('\0');
  return hash.digest('base64');
};

type Source = { readonly digest: string; readonly imports: readonly string[] };

/** Undefined where there is no such file: an import of nothing is the compiler's business. */
function readSource(file: string): Source | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
  // Imports within the repository are spelled as paths, with their extension: nothing has to be resolved.
  const names = file.endsWith('.ts') ? ts.preProcessFile(text).importedFiles.map((i) => i.fileName) : [];
  const imports = names.filter((n) => n.startsWith('.')).map((n) => resolve(dirname(file), n));
  return { digest: digest([text]), imports };
}

/**
 * The key of each of these files; `decisive` files are part of everyone's. All paths are absolute; files that are not
 * there count as empty.
 */
export function keysOf(files: readonly string[], decisive: readonly string[]): Map<string, string> {
  const sources = new Map<string, Source | undefined>();
  const source = (file: string): Source | undefined => {
    if (!sources.has(file)) sources.set(file, readSource(file));
    return sources.get(file);
  };
  const base = digest(decisive.flatMap((f) => [f, source(f)?.digest ?? '']));
  const keyOf = (file: string): string => {
    const seen = new Set([file]);
    for (const f of seen) for (const to of source(f)?.imports ?? []) seen.add(to);
    const all = [...seen].sort();
    return digest([base, ...all.flatMap((f) => [f, source(f)?.digest ?? ''])]);
  };
  return new Map(files.map((f) => [f, keyOf(f)]));
}

/** Nothing where it cannot be read: then all is looked at. */
export function readPassed(cache: string): ReadonlyMap<string, string> {
  try {
    const read: unknown = JSON.parse(readFileSync(cache, 'utf8'));
    return new Map(Object.entries(read as Record<string, string>));
  } catch {
    return new Map();
  }
}

export function writePassed(cache: string, keys: ReadonlyMap<string, string>): void {
  mkdirSync(dirname(cache), { recursive: true });
  writeFileSync(`${cache}.new`, JSON.stringify(Object.fromEntries(keys)));
  renameSync(`${cache}.new`, cache);
}
