/**
 * Rules by a name that few of them share: a request that does not have this user, group, namespace or object name cannot
 * meet them, so nothing is asked of them. Each rule is filed in one dimension only, in which its names are rarest.
 */
import { ASK_GROUPS, ASK_NAME, ASK_NAMESPACE, ASK_USER } from './query.ts';
import type { Query } from './query.ts';
import type { NumberedRule } from './rule.ts';
import type { Symbols, SymbolTables } from './symbols.ts';

/** A rule is filed under a name that at most so many rules share; beyond, it is tried in each class it belongs to. */
const MAX_NAMESAKES = 64;

type Rules = readonly NumberedRule[] | undefined;

/** One dimension: rules by the number of a name. */
type Dimension = {
  readonly ask: number;
  readonly symbols: Symbols;
  readonly namesOf: (r: NumberedRule) => ReadonlySet<number> | undefined;
  readonly rules: (NumberedRule[] | undefined)[];
};

/** Where a rule is filed (ASK_...), and how the names end under which it is. */
export type Filed = { readonly ask: number; readonly endings: readonly number[] };

/** The names of objects without which a rule matches nothing; an entry without names would make it match without. */
function objectNames(r: NumberedRule): ReadonlySet<number> | undefined {
  const names = new Set<number>();
  for (const e of r.entries) {
    if (e.names === undefined) return undefined;
    for (const name of e.names) names.add(name);
  }
  return names.size === 0 ? undefined : names;
}

export class ByName {
  readonly #user: Dimension;
  readonly #object: Dimension;
  readonly #namespace: Dimension;
  readonly #userGroup: Dimension;
  readonly #filed = new Map<NumberedRule, Filed>();

  constructor(rules: readonly NumberedRule[], t: SymbolTables) {
    this.#user = { ask: ASK_USER, symbols: t.user, namesOf: (r) => r.users, rules: [] };
    this.#object = { ask: ASK_NAME, symbols: t.name, namesOf: objectNames, rules: [] };
    this.#namespace = { ask: ASK_NAMESPACE, symbols: t.namespace, namesOf: (r) => r.namespaces, rules: [] };
    this.#userGroup = { ask: ASK_GROUPS, symbols: t.userGroup, namesOf: (r) => r.userGroups, rules: [] };
    const crowds = [this.#user, this.#object, this.#namespace, this.#userGroup].map((d) => crowdOf(d, rules));
    for (const rule of rules) this.#file(rule, crowds);
  }

  #file(rule: NumberedRule, crowds: readonly ReturnType<typeof crowdOf>[]): void {
    const ways = crowds.map((c) => ({ ...c, size: c.size(rule) })).filter((c) => c.size <= MAX_NAMESAKES);
    const [best] = ways.sort((a, b) => a.size - b.size);
    if (best === undefined) return;
    const { ask, symbols, rules, namesOf } = best.dimension;
    const names = [...(namesOf(rule) ?? [])];
    for (const name of names) (rules[name] ??= []).push(rule);
    this.#filed.set(rule, { ask, endings: names.map((name) => symbols.endingOf(name)) });
  }

  filed(rule: NumberedRule): Filed | undefined {
    return this.#filed.get(rule);
  }

  user(q: Query): Rules {
    return this.#user.rules[q.user];
  }

  /** By the request's i-th known group. */
  userGroup(q: Query, i: number): Rules {
    return this.#userGroup.rules[q.userGroups[i] ?? 0];
  }

  namespace(q: Query): Rules {
    return this.#namespace.rules[q.namespace];
  }

  object(q: Query): Rules {
    return this.#object.rules[q.name];
  }
}

/** How many rules share the commonest of a rule's names; infinitely many where it has none. */
function crowdOf(
  dimension: Dimension,
  rules: readonly NumberedRule[],
): {
  readonly dimension: Dimension;
  readonly size: (r: NumberedRule) => number;
} {
  const counts = new Map<number, number>();
  for (const rule of rules)
    for (const name of dimension.namesOf(rule) ?? []) counts.set(name, (counts.get(name) ?? 0) + 1);
  const size = (r: NumberedRule): number => {
    const names = dimension.namesOf(r);
    return names === undefined ? Infinity : [...names].reduce((most, n) => Math.max(most, counts.get(n) ?? 0), 0);
  };
  return { dimension, size };
}
