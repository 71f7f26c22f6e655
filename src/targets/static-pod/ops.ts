/**
 * Edits of a manifest's lists as data: made by flags.ts and mounts.ts, applied twice, to the plain data (here) and to the
 * text (edit.ts). The two must agree, else the plan is refused: that is what makes the text edit safe.
 */
import { at, isRecord, listOf } from './manifest.ts';
import type { Json, ListName, Manifest } from './manifest.ts';

/** Indices are those of the list before any op. `after` is -1 for an empty list. */
export type ListOp =
  | { readonly op: 'Set'; readonly list: ListName; readonly index: number; readonly value: string }
  | { readonly op: 'Remove'; readonly list: ListName; readonly index: number }
  | { readonly op: 'Insert'; readonly list: ListName; readonly after: number; readonly values: readonly Json[] };

function applyToList(list: readonly Json[], ops: readonly ListOp[]): readonly Json[] {
  const inserted = (after: number): readonly Json[] =>
    ops.flatMap((o) => (o.op === 'Insert' && o.after === after ? o.values : []));
  return [
    ...inserted(-1),
    ...list.flatMap((item, i) => {
      const set = ops.find((o) => o.op === 'Set' && o.index === i);
      const gone = ops.some((o) => o.op === 'Remove' && o.index === i);
      return [...(gone ? [] : [set?.op === 'Set' ? set.value : item]), ...inserted(i)];
    }),
  ];
}

/** The pod that the edited manifest must be. */
export function applyToPod(m: Manifest, ops: readonly ListOp[]): Json {
  const listed = (owner: Json | undefined, names: readonly ListName[]): Json => {
    const changed = names.filter((n) => ops.some((o) => o.list === n));
    const lists = changed.map((n): [string, Json] => [
      n,
      applyToList(
        listOf(at(owner, n)),
        ops.filter((o) => o.list === n),
      ),
    ]);
    return { ...(isRecord(owner) ? owner : {}), ...Object.fromEntries(lists) };
  };
  const spec = at(m.pod, 'spec');
  const containers = listOf(at(spec, 'containers')).map((c, i) =>
    i === m.container ? listed(c, ['command', 'args', 'volumeMounts']) : c,
  );
  const edited = listed(spec, ['volumes']);
  return { ...(isRecord(m.pod) ? m.pod : {}), spec: { ...(isRecord(edited) ? edited : {}), containers } };
}

/** Deep equality, in which an empty list, null and an absent field are the same: so they are to Kubernetes. */
export function samePod(a: Json | undefined, b: Json | undefined): boolean {
  const empty = (v: Json | undefined): boolean => v === undefined || v === null || (Array.isArray(v) && v.length === 0);
  if (empty(a) || empty(b)) return empty(a) && empty(b);
  if (Array.isArray(a) || Array.isArray(b)) {
    const [x, y] = [listOf(a), listOf(b)];
    return Array.isArray(a) && Array.isArray(b) && x.length === y.length && x.every((v, i) => samePod(v, y[i]));
  }
  if (isRecord(a) && isRecord(b))
    return [...new Set([...Object.keys(a), ...Object.keys(b)])].every((k) => samePod(a[k], b[k]));
  return a === b;
}
