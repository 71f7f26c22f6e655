/**
 * Up to 1,024 consecutive rules, as an index. Requests of one class (verb, group, resource and subresource, or verb and
 * path) meet the same rules, but for those that look at the user, his groups, the namespace or the name. So a class
 * knows the first rule that needs none of these, and what the rules before it ask for: only that is looked up. A rule
 * with a rare name is found by this name alone (by-name.ts); the other rules before the sure one are tried one by one.
 * A thousand rules so cost little more than thirty. Called by evaluate.ts only.
 */
import type { Rule } from '../../api/audit.ts';
import { isResourceRule } from '../match.ts';
import { ByName } from './by-name.ts';
import { Classes } from './classes.ts';
import type { Class } from './classes.ts';
import { addEnding, newEndings } from './endings.ts';
import { PathTree } from './paths.ts';
import { ASK_GROUPS, ASK_NAME, ASK_NAMESPACE, ASK_USER, hintsOf, resolve } from './query.ts';
import type { Query } from './query.ts';
import { Rows } from './rows.ts';
import { asksFor, covers, matches, namedResources, numberRule, takesVerb } from './rule.ts';
import type { NumberedRule } from './rule.ts';
import type { SymbolTables } from './symbols.ts';

export const RULES_A_SEGMENT = 1024;

const NO_RULE = 0x7fffffff;

export class Segment {
  readonly #rules: readonly NumberedRule[];
  /** Rules for resources: by each resource that they name, and those that take some without naming them. */
  readonly #byResource = new Map<number, NumberedRule[]>();
  readonly #general: NumberedRule[] = [];
  readonly #byName: ByName;
  readonly #resourceClasses = new Classes();
  readonly #pathClasses = new Classes();
  readonly #paths: PathTree;
  readonly #pathRows: Rows;
  readonly #tables: SymbolTables;

  constructor(rules: readonly Rule[], firstIndex: number, tables: SymbolTables) {
    this.#tables = tables;
    this.#rules = rules.map((r, position) => numberRule(r, tables, { index: firstIndex + position, position }));
    for (const r of this.#rules) this.#place(r);
    this.#byName = new ByName(this.#rules, tables);
    this.#pathRows = new Rows(Math.ceil(rules.length / 32));
    this.#pathRows.add();
    for (const r of this.#rules) if (r.forEveryPath) this.#pathRows.put(0, r.position);
    this.#paths = new PathTree(this.#pathRows, rules.flatMap(pathPatterns), 0);
  }

  #place(rule: NumberedRule): void {
    if (!rule.forResources) return;
    const resources = namedResources(rule);
    if (resources === undefined) this.#general.push(rule);
    for (const resource of resources ?? []) {
      const rules = this.#byResource.get(resource) ?? [];
      rules.push(rule);
      this.#byResource.set(resource, rules);
    }
  }

  /** Index in the policy of the first rule of this segment that matches, or -1. */
  find(q: Query): number {
    const c = q.isResource ? this.#resourceClass(q) : this.#pathClass(q);
    let best = c.sure;
    if (c.othersAsk !== 0) best = this.#firstOther(c, q);
    if (c.ways !== 0) best = this.#firstNamed(c, q, best);
    return best === NO_RULE ? -1 : best;
  }

  #firstOther(c: Class, q: Query): number {
    resolve(q, c.othersAsk, this.#tables);
    for (const rule of c.others) if (matches(rule, q)) return rule.index;
    return c.sure;
  }

  #firstNamed(c: Class, q: Query, before: number): number {
    const hints = hintsOf(q, c.ways, c.endings);
    if (hints === 0) return before;
    resolve(q, hints, this.#tables);
    let best = before;
    if ((hints & ASK_USER) !== 0) best = this.#first(this.#byName.user(q), q, best);
    if ((hints & ASK_GROUPS) !== 0)
      for (let i = 0; i < q.userGroupCount; i++) best = this.#first(this.#byName.userGroup(q, i), q, best);
    if (!q.isResource) return best;
    if ((hints & ASK_NAMESPACE) !== 0) best = this.#first(this.#byName.namespace(q), q, best);
    if ((hints & ASK_NAME) !== 0) best = this.#first(this.#byName.object(q), q, best);
    return best;
  }

  /** The first of the rules with one name that matches, where it is less than `best`. */
  #first(rules: readonly NumberedRule[] | undefined, q: Query, best: number): number {
    if (rules === undefined) return best;
    for (const rule of rules) {
      if (rule.index >= best) return best;
      resolve(q, rule.asks, this.#tables);
      if (matches(rule, q) && (q.isResource || this.#pathRows.has(q.pathRow, rule.position))) return rule.index;
    }
    return best;
  }

  #resourceClass(q: Query): Class {
    const { resource, subresource, verb } = this.#tables;
    const what = (q.group * resource.count + q.resource) * subresource.count + q.subresource;
    const key = what * verb.count + q.verb;
    return this.#resourceClasses.get(key) ?? this.#resourceClasses.set(key, this.#classOf(q));
  }

  #pathClass(q: Query): Class {
    const { path } = q;
    q.pathRow =
      typeof path === 'string' ? this.#paths.find(path) : this.#paths.findBytes(path.bytes, path.start, path.end);
    const key = q.pathRow * this.#tables.verb.count + q.verb;
    return this.#pathClasses.get(key) ?? this.#pathClasses.set(key, this.#classOf(q));
  }

  #classOf(q: Query): Class {
    const others: NumberedRule[] = [];
    const endings = newEndings(this.#rules.length);
    let othersAsk = 0;
    let ways = 0;
    const upTo = (sure: number): Class => ({ sure, others, othersAsk, ways, endings });
    for (const rule of this.#candidates(q)) {
      const fit = this.#fit(rule, q);
      if (fit === 'No') continue;
      const asks = asksFor(rule, fit === 'SomeNames');
      if (asks === 0) return upTo(rule.index);
      const filed = this.#byName.filed(rule);
      if (filed === undefined) {
        others.push(rule);
        othersAsk |= asks;
        continue;
      }
      ways |= filed.ask;
      for (const ending of filed.endings) addEnding(endings, filed.ask, ending);
    }
    return upTo(NO_RULE);
  }

  /** In the policy's order: those, and others, that some request of the class of this one may meet. */
  #candidates(q: Query): readonly NumberedRule[] {
    if (!q.isResource) return this.#rules;
    return merged(this.#general, this.#byResource.get(q.resource) ?? []);
  }

  /** Whether a rule matches requests of the class of this one, but for what it asks for besides. */
  #fit(rule: NumberedRule, q: Query): ReturnType<typeof covers> {
    if (!takesVerb(rule, q.verb)) return 'No';
    if (q.isResource) return covers(rule, q);
    return this.#pathRows.has(q.pathRow, rule.position) ? 'EveryName' : 'No';
  }
}

/** Two lists of rules, each in the policy's order, as one. */
function merged(a: readonly NumberedRule[], b: readonly NumberedRule[]): readonly NumberedRule[] {
  const all: NumberedRule[] = [];
  let i = 0;
  for (const rule of a) {
    for (let next = b[i]; next !== undefined && next.index < rule.index; next = b[++i]) all.push(next);
    all.push(rule);
  }
  return [...all, ...b.slice(i)];
}

const pathPatterns = (r: Rule, position: number): { position: number; text: string }[] =>
  isResourceRule(r) ? [] : r.nonResourceURLs.map((text) => ({ position, text }));
