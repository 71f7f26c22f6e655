/**
 * Up to 1,024 consecutive rules, compiled: for each dimension of a request and each value that a rule names, the set of
 * rules that this value does not rule out. A decision is the AND of one set a dimension, and the least rule in it.
 * What makes a thousand rules as cheap as thirty: rules are not in the order of the policy but sorted by what they
 * constrain, so that the rules of one user, resource or namespace share few words, and the first words of the rows
 * (rows.ts) leave few words to look at. Called by evaluate.ts only.
 */
import type { Rule } from '../../api/audit.ts';
import { compileEntry, entryCovers } from './entries.ts';
import type { Entry } from './entries.ts';
import { isResourceRule } from '../match.ts';
import { NumberMap } from './number-map.ts';
import { PathTree } from './paths.ts';
import { Rows } from './rows.ts';
import { resolveWho } from './symbols.ts';
import type { ByteRange, Query, Symbols, SymbolTables } from './symbols.ts';

export const RULES_A_SEGMENT = 1024;

/** Sets for combinations of group, resource and subresource are kept up to this number, then made anew. */
const MAX_CLASSES = 4096;

const NO_RULE = 0x7fffffff;

/** One dimension: row 0 holds the rules that name no value there, and every other row those too. */
type Dimension = { readonly rows: Rows; readonly rowOf: Uint32Array };

type Placed = { readonly position: number; readonly entry: Entry };

/** Sort key: rules that constrain the same dimensions by the same values become neighbours. */
function signature(r: Rule): string {
  const first = (list: readonly string[]): string => (list.length === 0 ? '' : `1${list[0] ?? ''}`);
  const e = r.resources[0];
  const parts = [r.users, r.namespaces, r.nonResourceURLs, r.userGroups].map(first);
  return [...parts, e === undefined ? '' : `1${e.group} ${e.resources[0] ?? ''}`].join('\u0000');
}

/** Positions to rule indices: sorted by signature, then ascending within each word of 32. */
function order(rules: readonly Rule[], firstIndex: number): Int32Array {
  const keys = rules.map(signature);
  const sorted = rules.map((_, i) => i).sort((a, b) => compare(keys[a] ?? '', keys[b] ?? '') || a - b);
  const at = Int32Array.from(sorted, (i) => i + firstIndex);
  for (let i = 0; i < at.length; i += 32) at.subarray(i, i + 32).sort();
  return at;
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

export class Segment {
  readonly #words: number;
  /** Index in the policy of the rule at a position. */
  readonly #ruleAt: Int32Array;
  readonly #user: Dimension;
  readonly #userGroup: Dimension;
  readonly #verb: Dimension;
  readonly #namespace: Dimension;
  readonly #name: Dimension;
  readonly #entries: readonly (readonly Entry[])[];
  /** Entries by a resource that they name, and those that match resources without naming them. */
  readonly #byResource = new Map<number, Placed[]>();
  readonly #general: Placed[] = [];
  /** Rows of rules by class (group, resource, subresource): 2i surely, 2i + 1 if the name fits. Class 0 is scratch. */
  readonly #classes: Rows;
  readonly #classOf = new NumberMap();
  readonly #anyResource: Rows;
  readonly #paths: PathTree;
  readonly #pathRows: Rows;
  /** Whether any rule looks at the user or the groups. */
  readonly #asksWho: boolean;
  readonly #tables: SymbolTables;

  constructor(rules: readonly Rule[], firstIndex: number, tables: SymbolTables) {
    this.#tables = tables;
    this.#words = Math.ceil(rules.length / 32);
    this.#ruleAt = order(rules, firstIndex);
    const at = Array.from(this.#ruleAt, (i) => rules[i - firstIndex]).filter((r) => r !== undefined);
    this.#entries = at.map((r) => r.resources.map((e) => compileEntry(e, tables)));
    this.#entries.forEach((list, position) => list.forEach((entry) => this.#place({ position, entry })));
    this.#user = this.#dimension(at, tables.user, (r) => r.users);
    this.#userGroup = this.#dimension(at, tables.userGroup, (r) => r.userGroups);
    this.#verb = this.#dimension(at, tables.verb, (r) => r.verbs);
    this.#namespace = this.#dimension(at, tables.namespace, (r) => r.namespaces);
    this.#name = this.#dimension(at, tables.name, (r) => r.resources.flatMap((e) => e.resourceNames));
    this.#asksWho = this.#user.rows.count > 1 || this.#userGroup.rows.count > 1;
    this.#classes = new Rows(this.#words, 64);
    this.#classes.add();
    this.#classes.add();
    this.#anyResource = this.#rowsOf(at, (r) => r.resources.length === 0 && (isResourceRule(r) || !hasPaths(r)));
    this.#pathRows = this.#rowsOf(at, (r) => !isResourceRule(r) && !hasPaths(r));
    this.#paths = new PathTree(this.#pathRows, at.flatMap(pathPatterns), 0);
  }

  #place(p: Placed): void {
    if (p.entry.anyResource || p.entry.subresources.size > 0) this.#general.push(p);
    for (const resource of new Set([...p.entry.exact.keys(), ...p.entry.withAllSubresources])) {
      const list = this.#byResource.get(resource);
      if (list === undefined) this.#byResource.set(resource, [p]);
      else list.push(p);
    }
  }

  #rowsOf(at: readonly Rule[], keep: (r: Rule) => boolean): Rows {
    const rows = new Rows(this.#words);
    rows.add();
    at.forEach((r, position) => {
      if (keep(r)) rows.put(0, position);
    });
    return rows;
  }

  #dimension(at: readonly Rule[], symbols: Symbols, values: (r: Rule) => readonly string[]): Dimension {
    const rows = this.#rowsOf(at, (r) => values(r).length === 0);
    const lists = at.map((r) => values(r).map((v) => symbols.intern(v)));
    const rowOf = new Uint32Array(symbols.count);
    lists.forEach((list, position) => {
      for (const id of list) rows.put((rowOf[id] ||= rows.add(0)), position);
    });
    return { rows, rowOf };
  }

  /** Index in the policy of the first rule of this segment that matches, or -1. */
  find(q: Query): number {
    const rows = q.isResource ? this.#classes : this.#pathRows;
    const what = q.isResource ? this.#resourceRow(q) : this.#pathRow(q.path);
    const best = this.#least(q, rows.data, what * rows.stride);
    return best === NO_RULE ? -1 : best;
  }

  #pathRow(path: string | ByteRange): number {
    return typeof path === 'string' ? this.#paths.find(path) : this.#paths.findBytes(path.bytes, path.start, path.end);
  }

  /** The least rule in the AND of all dimensions; `w` is where the row of `what` begins. */
  #least(q: Query, what: Int32Array, w: number): number {
    const stride = this.#words + 1;
    const user = this.#user.rows.data;
    const verb = this.#verb.rows.data;
    const namespace = this.#namespace.rows.data;
    const v = (this.#verb.rowOf[q.verb] ?? 0) * stride;
    const n = q.isResource ? (this.#namespace.rowOf[q.namespace] ?? 0) * stride : 0;
    let candidates = (verb[v] ?? 0) & (namespace[n] ?? 0) & (what[w] ?? 0);
    if (candidates === 0) return NO_RULE;
    if (this.#asksWho) resolveWho(q, this.#tables);
    const u = (this.#user.rowOf[q.user] ?? 0) * stride;
    candidates &= (user[u] ?? 0) & this.#userGroupWord(q, 0);
    let best = NO_RULE;
    for (; candidates !== 0; candidates &= candidates - 1) {
      const i = 32 - Math.clz32(candidates & -candidates);
      // The first rule of a word is its least.
      if ((this.#ruleAt[i * 32 - 32] ?? 0) > best) continue;
      let set = (verb[v + i] ?? 0) & (namespace[n + i] ?? 0) & (what[w + i] ?? 0) & (user[u + i] ?? 0);
      if (set !== 0) set &= this.#userGroupWord(q, i);
      if (set === 0) continue;
      const rule = this.#ruleAt[i * 32 - 1 - Math.clz32(set & -set)] ?? NO_RULE;
      if (rule < best) best = rule;
    }
    return best;
  }

  /** Word i of the OR over the user's groups. */
  #userGroupWord(q: Query, i: number): number {
    const { rows, rowOf } = this.#userGroup;
    const data = rows.data;
    let set = data[i] ?? 0;
    for (let g = 0; g < q.userGroupCount; g++) {
      set |= data[(rowOf[q.userGroups[g] ?? 0] ?? 0) * rows.stride + i] ?? 0;
    }
    return set;
  }

  /** Row of the rules that the request's group, resource, subresource and name do not rule out. */
  #resourceRow(q: Query): number {
    const { resource, subresource } = this.#tables;
    const key = (q.group * resource.count + q.resource) * subresource.count + q.subresource;
    const known = this.#classOf.get(key);
    const row = (known < 0 ? this.#newClass(q, key) : known) * 2;
    if (this.#classes.data[(row + 1) * this.#classes.stride] === 0) return row;
    if (q.nameText !== undefined) q.name = this.#tables.name.of(q.nameText);
    const name = this.#name.rowOf[q.name] ?? 0;
    return name === 0 ? row : this.#named(q, row, name);
  }

  #newClass(q: Query, key: number): number {
    if (this.#classOf.size >= MAX_CLASSES) {
      this.#classOf.clear();
      this.#classes.truncate(2);
    }
    const surely = this.#classes.add();
    const ifNamed = this.#classes.add();
    this.#classes.data.set(this.#anyResource.data.subarray(0, this.#classes.stride), surely * this.#classes.stride);
    for (const list of [this.#general, this.#byResource.get(q.resource) ?? []]) {
      for (const { position, entry } of list) {
        if (entryCovers(entry, q)) this.#classes.put(entry.names === undefined ? surely : ifNamed, position);
      }
    }
    this.#classOf.set(key, surely / 2);
    return surely / 2;
  }

  /** The scratch row: the sure rules of a class, and those whose entry for this class names the name. */
  #named(q: Query, row: number, name: number): number {
    this.#classes.copy(row, 0);
    const { data, stride } = this.#classes;
    const names = this.#name.rows.data;
    const wanted = (row + 1) * stride;
    let words = (data[wanted] ?? 0) & (names[name * stride] ?? 0);
    for (; words !== 0; words &= words - 1) {
      const i = 32 - Math.clz32(words & -words);
      let set = (data[wanted + i] ?? 0) & (names[name * stride + i] ?? 0);
      for (; set !== 0; set &= set - 1) {
        const position = i * 32 - 1 - Math.clz32(set & -set);
        const fits = (e: Entry): boolean => e.names?.has(q.name) === true && entryCovers(e, q);
        if (this.#entries[position]?.some(fits) === true) this.#classes.put(0, position);
      }
    }
    return 0;
  }
}

const hasPaths = (r: Rule): boolean => r.nonResourceURLs.length > 0;

const pathPatterns = (r: Rule, position: number): { position: number; text: string }[] =>
  isResourceRule(r) ? [] : r.nonResourceURLs.map((text) => ({ position, text }));
