/**
 * The `resources` of a rule in numbers. All ways in which a string there can match (`pods`, `pods/log`, `*`, `*` before
 * a slash, `*` behind one) are worked out once, when the policy is compiled; the engine (segment.ts) then asks by
 * number. A string with slashes is taken apart at each of them, since the API server joins resource and subresource
 * before it compares.
 */
import type { GroupResources } from '../../api/audit.ts';
import { NO_SUBRESOURCE } from './symbols.ts';
import type { SymbolTables } from './symbols.ts';

export type Entry = {
  /** -1: every group. */
  readonly group: number;
  readonly anyResource: boolean;
  /** By resource: the subresources with which it is named. */
  readonly exact: ReadonlyMap<number, ReadonlySet<number>>;
  readonly subresources: ReadonlySet<number>;
  readonly withAllSubresources: ReadonlySet<number>;
  /** Undefined: every name. */
  readonly names: ReadonlySet<number> | undefined;
};

type Building = {
  readonly exact: Map<number, Set<number>>;
  readonly subresources: Set<number>;
  readonly withAllSubresources: Set<number>;
};

function addExact(to: Building, resource: number, subresource: number): void {
  const set = to.exact.get(resource) ?? new Set<number>();
  to.exact.set(resource, set.add(subresource));
}

function addPattern(to: Building, pattern: string, t: SymbolTables): void {
  addExact(to, t.resource.intern(pattern), NO_SUBRESOURCE);
  for (let i = pattern.indexOf('/'); i >= 0; i = pattern.indexOf('/', i + 1)) {
    const subresource = pattern.slice(i + 1);
    if (subresource === '') continue;
    addExact(to, t.resource.intern(pattern.slice(0, i)), t.subresource.intern(subresource));
  }
  if (pattern.startsWith('*/') && pattern !== '*/') to.subresources.add(t.subresource.intern(pattern.slice(2)));
  if (pattern.endsWith('/*')) to.withAllSubresources.add(t.resource.intern(pattern.slice(0, -2)));
}

/** As in the API server, an entry without `resources` matches its whole group, whatever its `resourceNames`. */
export function compileEntry(e: GroupResources, t: SymbolTables): Entry {
  const to: Building = { exact: new Map(), subresources: new Set(), withAllSubresources: new Set() };
  for (const pattern of e.resources) addPattern(to, pattern, t);
  const everyName = e.resources.length === 0 || e.resourceNames.length === 0;
  return {
    ...to,
    group: e.group === '*' ? -1 : t.group.intern(e.group),
    anyResource: e.resources.length === 0 || e.resources.includes('*'),
    names: everyName ? undefined : new Set(e.resourceNames.map((n) => t.name.intern(n))),
  };
}

export type ResourceNumbers = { readonly group: number; readonly resource: number; readonly subresource: number };

/** Whether an entry names the group and the resource; names are another matter. */
export function entryCovers(e: Entry, q: ResourceNumbers): boolean {
  if (e.group !== q.group && e.group !== -1) return false;
  return (
    e.anyResource ||
    e.withAllSubresources.has(q.resource) ||
    e.exact.get(q.resource)?.has(q.subresource) === true ||
    (q.subresource !== NO_SUBRESOURCE && e.subresources.has(q.subresource))
  );
}
