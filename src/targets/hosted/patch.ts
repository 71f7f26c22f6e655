/**
 * JSON Patch operations (RFC 6902) as data, and those that bring one list or map of an object from what was read to what
 * is wanted. Each is guarded by a `test` of what was read: whoever wrote the same list since makes the whole patch fail, and
 * it is planned anew. Called by the hosted target only.
 */
import { isSameJson } from '../../config/canonical.ts';

export type PatchOp =
  | { readonly op: 'add' | 'replace' | 'test'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string };

/** A key as a part of a JSON pointer (RFC 6901). */
const pointer = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1');

/** `test` with null holds for a field that is not there (seen on 1.35 and 1.36). */
const guard = (path: string, was: unknown): PatchOp => ({ op: 'test', path, value: was });

/** A list as a whole: `args` is atomic, and volumes are few. An empty one is taken out, as the API server would. */
export function listOps(path: string, was: readonly unknown[] | null, wanted: readonly unknown[]): readonly PatchOp[] {
  if (isSameJson(was ?? [], wanted)) return [];
  if (wanted.length === 0) return [guard(path, was), { op: 'remove', path }];
  return [guard(path, was), { op: was === null ? 'add' : 'replace', path, value: wanted }];
}

/** One key of a map of texts; null takes it out, and the map with it where nothing else is in it. */
export function entryOps(
  path: string,
  was: Readonly<Record<string, string>> | null,
  key: string,
  wanted: string | null,
): readonly PatchOp[] {
  const there = was?.[key] ?? null;
  if (there === wanted) return [];
  const at = `${path}/${pointer(key)}`;
  if (was === null) return [guard(path, null), { op: 'add', path, value: { [key]: wanted } }];
  if (wanted !== null) return [guard(at, there), { op: 'add', path: at, value: wanted }];
  const isLast = Object.keys(was).length === 1;
  return isLast ? [guard(path, was), { op: 'remove', path }] : [guard(at, there), { op: 'remove', path: at }];
}
