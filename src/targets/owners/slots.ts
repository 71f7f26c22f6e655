/**
 * The fields of an owner's object that are auditing's, as values: read out, without what is ours, with what is ours, and
 * given back as they were. And the guarded JSON patch from one object to another that differs in these fields only.
 * Pure; called by target.ts.
 */
import { isSameJson } from '../../config/canonical.ts';
import type { PatchOp } from '../hosted/patch.ts';
import { covers, unlessSame } from '../hosted/volumes.ts';
import { at, isJsonRecord } from '../hosted/workload.ts';
import type { Json } from '../hosted/workload.ts';
import type { FlagText, Kept, Slot, Slots, Values } from './types.ts';

export const valuesOf = (object: unknown, slots: Slots): Values =>
  Object.fromEntries(Object.entries(slots).map(([name, { at: path }]) => [name, at(object, ...path)]));

const itemsOf = (v: Json | undefined): readonly Json[] => (Array.isArray(v) ? (v as readonly Json[]) : []);
const isAudit = (flag: FlagText | undefined): boolean => flag?.[0].startsWith('--audit-') === true;

const each = (slots: Slots, f: (slot: Slot, name: string) => Json | undefined): Values =>
  Object.fromEntries(Object.entries(slots).map(([name, slot]) => [name, f(slot, name)]));

/** Audit flags in effect, the last of several counts, as for kube-apiserver; and settings that stand for flags. */
export function flagsIn(values: Values, slots: Slots): ReadonlyMap<string, string> {
  const texts = Object.entries(slots).flatMap(([name, slot]): (FlagText | undefined)[] => {
    const value = values[name];
    if (slot.as === 'List') return slot.flag === undefined ? [] : itemsOf(value).map(slot.flag);
    if (slot.as === 'Map') return isJsonRecord(value) ? Object.entries(value).map(([k, v]) => slot.flag(k, v)) : [];
    return [];
  });
  const whole = Object.entries(slots).flatMap(([name, slot]) => {
    const value = values[name];
    return slot.as !== 'Whole' || value === undefined ? [] : slot.settings(value);
  });
  return new Map([...texts.filter((f) => f !== undefined).filter((f) => isAudit(f)), ...whole]);
}

/** Without anything of ours, and without any audit setting. */
export function bareOf(values: Values, slots: Slots): Values {
  return each(slots, (slot, name) => {
    const value = values[name];
    switch (slot.as) {
      case 'List':
        return Array.isArray(value) ? itemsOf(value).filter((i) => !slot.isOurs(i) && !isAudit(slot.flag?.(i))) : value;
      case 'Map':
        return isJsonRecord(value)
          ? Object.fromEntries(Object.entries(value).filter(([k, v]) => !isAudit(slot.flag(k, v))))
          : value;
      case 'Whole':
        return undefined;
    }
  });
}

/** Audit settings that are the owner's own, and where they stand. */
export function keptFrom(values: Values, slots: Slots): readonly Kept[] {
  return Object.entries(slots).flatMap(([slot, s]): readonly Kept[] => {
    const value = values[slot];
    if (value === undefined) return [];
    switch (s.as) {
      case 'List':
        return itemsOf(value).flatMap((item, index) =>
          !s.isOurs(item) && isAudit(s.flag?.(item)) ? [{ slot, index, value: item }] : [],
        );
      case 'Map':
        return Object.entries(isJsonRecord(value) ? value : {}).flatMap(([key, v]) =>
          isAudit(s.flag(key, v)) ? [{ slot, key, value: v }] : [],
        );
      case 'Whole':
        return [{ slot, value }];
    }
  });
}

/** `exact`: nothing else has changed, so that each goes where it was; otherwise items go to the end. */
export function giveBack(bare: Values, kept: readonly Kept[], exact: boolean): Values {
  const out: Record<string, Json | undefined> = { ...bare };
  for (const k of kept) {
    const now = out[k.slot];
    if (k.index !== undefined) {
      const items = [...itemsOf(now)];
      items.splice(exact ? k.index : items.length, 0, k.value);
      out[k.slot] = items;
    } else if (k.key === undefined) out[k.slot] ??= k.value;
    // A key that the owner has set since is the owner's.
    else out[k.slot] = { [k.key]: k.value, ...(isJsonRecord(now) ? now : {}) };
  }
  return out;
}

const sortedBy = (items: readonly Json[], key: string): readonly Json[] => {
  const keyOf = (v: Json): string => String(at(v, key) ?? '');
  return [...items].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
};

/** As one reader sees it like another: for comparison. */
export const unordered = (values: Values, slots: Slots): Values =>
  each(slots, (slot, name) => {
    const value = values[name];
    return slot.as === 'List' && slot.key !== undefined && Array.isArray(value)
      ? sortedBy(itemsOf(value), slot.key)
      : value;
  });

/** Ours behind theirs; among them by key, where that is how theirs are sorted. */
function together(theirs: readonly Json[], mine: readonly Json[], key: string | undefined): readonly Json[] {
  if (key === undefined) return [...theirs, ...mine];
  const isSorted = sortedBy(theirs, key).every((v, i) => v === theirs[i]);
  return isSorted ? sortedBy([...theirs, ...mine], key) : [...theirs, ...sortedBy(mine, key)];
}

/** With what is ours in each slot. */
export const withOurs = (bare: Values, ours: Readonly<Record<string, Json>>, slots: Slots): Values =>
  each(slots, (slot, name) => {
    const [theirs, mine] = [bare[name], ours[name]];
    if (mine === undefined) return theirs;
    switch (slot.as) {
      case 'List':
        return itemsOf(mine).length === 0 ? theirs : together(itemsOf(theirs), itemsOf(mine), slot.key);
      case 'Map':
        return { ...(isJsonRecord(theirs) ? theirs : {}), ...(isJsonRecord(mine) ? mine : {}) };
      case 'Whole':
        return mine;
    }
  });

/** How many keys of a path are there. */
function depthOf(object: unknown, path: readonly string[]): number {
  const there = path.findIndex((_, i) => at(object, ...path.slice(0, i + 1)) === undefined);
  return there < 0 ? path.length : there;
}

/** Of slots that are not there yet, how deep their path was there: what we made above them goes with them. */
export const depthsOf = (object: unknown, slots: Slots): Readonly<Record<string, number>> =>
  Object.fromEntries(
    Object.entries(slots).flatMap(([name, { at: path }]) => {
      const depth = depthOf(object, path);
      return depth === path.length ? [] : [[name, depth]];
    }),
  );

export const isEmpty = (v: Json | undefined): boolean =>
  (Array.isArray(v) && v.length === 0) || (isJsonRecord(v) && Object.keys(v).length === 0);

/** A copy with a value at a path; undefined takes it out. */
function put(object: Json | undefined, [key, ...rest]: readonly string[], value: Json | undefined): Json | undefined {
  if (key === undefined) return value;
  const { [key]: old, ...others } = isJsonRecord(object) ? object : {};
  const inner = put(old, rest, value);
  if (inner === undefined && !isJsonRecord(object)) return undefined;
  return inner === undefined ? others : { ...others, [key]: inner };
}

/**
 * The object with other values in the slots. Of what was not there before us (`made`, by slot), nothing that is empty
 * stays behind: some APIs refuse empty objects and lists.
 */
export function withValues(
  object: Json,
  slots: Slots,
  values: Values,
  made: Readonly<Record<string, number>> = {},
): Json {
  let out = object;
  for (const [name, slot] of Object.entries(slots)) {
    const { as, at: path } = slot;
    const [now, wanted] = [at(out, ...path), values[name]];
    const gone = made[name] !== undefined && isEmpty(wanted);
    if (now === undefined && (wanted === undefined || gone)) continue;
    if (
      now !== undefined &&
      wanted !== undefined &&
      !gone &&
      hasAll(now, wanted, slot) &&
      (as === 'Whole' || sameSize(now, wanted))
    )
      continue;
    out = put(out, path, gone ? undefined : wanted) ?? {};
  }
  for (const [name, depth] of Object.entries(made)) {
    const path = slots[name]?.at ?? [];
    for (let n = path.length - 1; n > depth; n--)
      if (isEmpty(at(out, ...path.slice(0, n)))) out = put(out, path.slice(0, n), undefined) ?? {};
  }
  return out;
}

const hasAll = (now: Json, wanted: Json, slot: Slot): boolean =>
  slot.as === 'List' && slot.key !== undefined && Array.isArray(now) && Array.isArray(wanted)
    ? unlessSame(now as readonly Json[], wanted as readonly Json[]) === now
    : covers(now, wanted);

/** `covers` lets an API server fill things in beneath items and entries, not beside them. */
const sameSize = (a: Json, b: Json): boolean =>
  Array.isArray(a) || !isJsonRecord(a) || !isJsonRecord(b) || Object.keys(a).length === Object.keys(b).length;

const pointer = (path: readonly string[]): string =>
  path.map((k) => `/${k.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');

/** From one object to the other, each operation behind a `test` of what was read; slots are replaced as a whole. */
export function difference(was: Json, wanted: Json, slots: Slots): readonly PatchOp[] {
  const whole = new Set(Object.values(slots).map((s) => pointer(s.at)));
  const walk = (a: Json | undefined, b: Json | undefined, path: readonly string[]): readonly PatchOp[] => {
    if (Object.is(a, b) || (a !== undefined && b !== undefined && isSameJson(a, b))) return [];
    const p = pointer(path);
    if (b === undefined)
      return [
        { op: 'test', path: p, value: a },
        { op: 'remove', path: p },
      ];
    if (a !== undefined && isJsonRecord(a) && isJsonRecord(b) && !whole.has(p))
      return [...new Set([...Object.keys(a), ...Object.keys(b)])].flatMap((k) => walk(a[k], b[k], [...path, k]));
    return [
      { op: 'test', path: p, value: a ?? null },
      { op: a === undefined ? 'add' : 'replace', path: p, value: b },
    ];
  };
  return walk(was, wanted, []);
}
