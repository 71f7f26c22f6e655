/**
 * One rule in numbers, and whether it matches a request in numbers. The engine (segment.ts) asks this only of the few
 * rules that its index leaves over; what decides most requests is worked out by class.
 */
import type { Rule } from '../../api/audit.ts';
import { isResourceRule } from '../match.ts';
import { compileEntry, entryCovers } from './entries.ts';
import type { Entry, ResourceNumbers } from './entries.ts';
import { ASK_GROUPS, ASK_NAME, ASK_NAMESPACE, ASK_USER } from './query.ts';
import type { Query } from './query.ts';
import type { Symbols, SymbolTables } from './symbols.ts';

/** Undefined: whatever it is. */
type Values = ReadonlySet<number> | undefined;

export type NumberedRule = {
  /** Index in the policy. */
  readonly index: number;
  /** Index in its segment. */
  readonly position: number;
  readonly users: Values;
  readonly userGroups: Values;
  /** Bit n for the verb with number n, where no verb has a greater number than 31. */
  readonly verbBits: number | undefined;
  readonly verbs: Values;
  readonly namespaces: Values;
  readonly entries: readonly Entry[];
  /** Whether it looks at requests for resources, and at others. */
  readonly forResources: boolean;
  readonly forEveryPath: boolean;
  /** All that it can ask for beyond verb and what it is about. */
  readonly asks: number;
};

const valuesOf = (list: readonly string[], symbols: Symbols): Values =>
  list.length === 0 ? undefined : new Set(list.map((v) => symbols.intern(v)));

const bitsOf = (numbers: Iterable<number>): number => [...numbers].reduce((bits, n) => bits | (1 << n), 0);

/** Most policies name few verbs, and most rules fail by theirs. */
export const takesVerb = (r: NumberedRule, verb: number): boolean =>
  r.verbBits === undefined || verb > 31 ? r.verbs === undefined || r.verbs.has(verb) : (r.verbBits & (1 << verb)) !== 0;

export function numberRule(r: Rule, t: SymbolTables, at: { index: number; position: number }): NumberedRule {
  const hasPaths = r.nonResourceURLs.length > 0;
  const verbs = valuesOf(r.verbs, t.verb);
  const entries = r.resources.map((e) => compileEntry(e, t));
  const who = { users: valuesOf(r.users, t.user), userGroups: valuesOf(r.userGroups, t.userGroup) };
  const where = { ...who, namespaces: valuesOf(r.namespaces, t.namespace) };
  return {
    ...at,
    ...where,
    verbs,
    verbBits: verbs === undefined ? -1 : [...verbs].every((v) => v < 32) ? bitsOf(verbs) : undefined,
    entries,
    forResources: isResourceRule(r) || !hasPaths,
    forEveryPath: !isResourceRule(r) && !hasPaths,
    asks: asksFor(
      where,
      entries.some((e) => e.names !== undefined),
    ),
  };
}

/** The resources that a rule can match, or undefined where it names none in one of its entries or at all. */
export function namedResources(r: NumberedRule): ReadonlySet<number> | undefined {
  const general = (e: Entry): boolean => e.anyResource || e.subresources.size > 0;
  if (r.entries.length === 0 || r.entries.some(general)) return undefined;
  return new Set(r.entries.flatMap((e) => [...e.exact.keys(), ...e.withAllSubresources]));
}

/** How a rule's `resources` take a group, resource and subresource: for every name, for some names, not at all. */
export function covers(r: NumberedRule, q: ResourceNumbers): 'EveryName' | 'SomeNames' | 'No' {
  if (r.entries.length === 0) return 'EveryName';
  let some = false;
  for (const e of r.entries) {
    if (!entryCovers(e, q)) continue;
    if (e.names === undefined) return 'EveryName';
    some = true;
  }
  return some ? 'SomeNames' : 'No';
}

/** What of a request must be known to say whether the rule matches it, beyond verb and what it is about. */
export const asksFor = (r: Pick<NumberedRule, 'users' | 'userGroups' | 'namespaces'>, names: boolean): number =>
  (r.users === undefined ? 0 : ASK_USER) |
  (r.userGroups === undefined ? 0 : ASK_GROUPS) |
  (r.namespaces === undefined ? 0 : ASK_NAMESPACE) |
  (names ? ASK_NAME : 0);

function hasGroup(groups: ReadonlySet<number>, q: Query): boolean {
  for (let i = 0; i < q.userGroupCount; i++) if (groups.has(q.userGroups[i] ?? 0)) return true;
  return false;
}

const namesIt = (r: NumberedRule, q: Query): boolean =>
  r.entries.length === 0 || r.entries.some((e) => entryCovers(e, q) && (e.names === undefined || e.names.has(q.name)));

/** Whether the rule matches a request, whose path (for one that is not for a resource) the caller has looked at. */
export const matches = (r: NumberedRule, q: Query): boolean =>
  takesVerb(r, q.verb) &&
  (r.users === undefined || r.users.has(q.user)) &&
  (r.userGroups === undefined || hasGroup(r.userGroups, q)) &&
  (!q.isResource || (r.forResources && (r.namespaces === undefined || r.namespaces.has(q.namespace)) && namesIt(r, q)));
