/**
 * Nodes to JSON, as sigs.k8s.io/yaml converts them: merge keys, the last of equal keys wins, keys that are no strings
 * become strings, members are sorted. What JSON cannot hold is refused, unless a later duplicate has replaced it.
 */
import type { Finding, Position } from '../api/findings.ts';
import { checkAliases } from './aliases.ts';
import { replaceInvalid } from './base64.ts';
import { MAX_NESTING } from './compose.ts';
import { NOT_YAML, NO_LINE, YamlFault, findingOf, markOf } from './fault.ts';
import type { YamlCode } from './fault.ts';
import { formatFloatKey } from './numbers.ts';
import { childPath, compareCodePoints } from './value.ts';
import type { Member, Value } from './value.ts';
import type { Mapping, Node, Scalar } from './types.ts';

export type Converted = { readonly value?: Value; readonly findings: readonly Finding[] };

type Entry = { readonly name: string; readonly at: Position; readonly value: Value };
/** `replaced` is what the key held before: no longer read, but the API server warns of duplicates in it too. */
type Duplicate = { readonly name: string; readonly at: Position; readonly replaced: Value };
type Made = {
  readonly value: Value;
  readonly height: number;
  /** Of a mapping: its entries by typed key, for merging. */
  readonly entries?: ReadonlyMap<string, Entry>;
};

const fault = (code: YamlCode, problem: string, at: Position, line = NO_LINE): YamlFault =>
  new YamlFault(code, problem, { at: markOf(at), line });

/** Scalars that cannot be turned into a key. */
const NO_KEY: ReadonlySet<string> = new Set(['null', 'uint']);
const NAN = 'nan';
/** Floats that JSON cannot hold, as YAML and as Go write them. */
const GO_FLOATS: ReadonlyMap<string, string> = new Map([
  ['.inf', '+Inf'],
  ['-.inf', '-Inf'],
  ['.nan', 'NaN'],
]);

class Converter {
  readonly #made = new Map<Node, Made>();
  readonly #duplicates = new Map<readonly Member[], Duplicate[]>();
  readonly #notJson = new Map<Value | readonly Member[], YamlFault>();
  readonly #seen = new Set<readonly unknown[]>();
  readonly #replaced = new Set<readonly unknown[]>();
  readonly findings: Finding[] = [];

  #make(node: Node, depth: number): Made {
    if (node.kind === 'alias') {
      const made = this.#make(node.target, depth);
      return { ...made, value: this.#moved(made.value, node.at) };
    }
    const made = this.#made.get(node) ?? this.#build(node, depth);
    this.#made.set(node, made);
    if (depth + made.height > MAX_NESTING) {
      throw fault('YamlNestingTooDeep', `exceeded max depth of ${MAX_NESTING}`, node.at);
    }
    return made;
  }

  /** The same value, standing where its alias stands. */
  #moved(value: Value, at: Position): Value {
    const moved = { ...value, at };
    const problem = this.#notJson.get(value);
    if (problem !== undefined) this.#notJson.set(moved, problem);
    return moved;
  }

  #build(node: Exclude<Node, { kind: 'alias' }>, depth: number): Made {
    if (depth > MAX_NESTING) throw fault('YamlNestingTooDeep', `exceeded max depth of ${MAX_NESTING}`, node.at);
    if (node.kind === 'scalar') return { value: this.#scalar(node), height: 0 };
    if (node.kind === 'mapping') return this.#mapping(node, depth);
    const made = node.items.map((item) => this.#make(item, depth + 1));
    return { value: { kind: 'array', items: made.map((m) => m.value), at: node.at }, height: heightOf(made) };
  }

  #scalar(node: Scalar): Value {
    const { at } = node;
    switch (node.tag) {
      case 'null':
        return { kind: 'null', at };
      case 'bool':
        return { kind: 'bool', value: node.text === 'true', at };
      case 'string':
      case 'merge':
        return { kind: 'string', value: node.text, at };
      case 'binary':
        return { kind: 'string', value: replaceInvalid(node.text), at };
      case 'int':
      case 'uint':
        return { kind: 'number', text: node.text, at };
      case 'float': {
        const value: Value = { kind: 'number', text: node.text, at };
        if (GO_FLOATS.has(node.text)) {
          this.#notJson.set(
            value,
            fault('YamlNotInJson', `json: unsupported value: ${GO_FLOATS.get(node.text) ?? ''}`, at, NOT_YAML),
          );
        }
        return value;
      }
    }
  }

  #mapping(node: Mapping, depth: number): Made {
    const entries = new Map<string, Entry>();
    const duplicates: Duplicate[] = [];
    const made: Made[] = [];
    let badKey: YamlFault | undefined;
    const set = (key: string, entry: Entry): void => {
      const unique = key === NAN ? `${NAN} ${entries.size}` : key;
      const before = entries.get(unique);
      if (before !== undefined) duplicates.push({ name: entry.name, at: entry.at, replaced: before.value });
      entries.set(unique, entry);
    };
    for (const { key, value } of node.pairs) {
      if (key.kind === 'scalar' && key.tag === 'merge') {
        for (const source of mergeSources(value)) {
          const from = this.#make(source, depth);
          made.push({ ...from, height: from.height - 1 });
          for (const [k, entry] of from.entries ?? []) set(k.startsWith(NAN) ? NAN : k, entry);
        }
        continue;
      }
      const scalar = keyScalar(key);
      const made1 = this.#make(value, depth + 1);
      made.push(made1);
      if (NO_KEY.has(scalar.tag)) badKey ??= unsupportedKey(scalar.tag, key.at);
      set(typedKey(scalar), { name: keyName(scalar), at: key.at, value: made1.value });
    }
    const members = membersOf(entries);
    if (badKey !== undefined) this.#notJson.set(members, badKey);
    if (duplicates.length > 0) this.#duplicates.set(members, duplicates);
    return { value: { kind: 'object', members, at: node.at }, height: heightOf(made), entries };
  }

  /** Walks what is left after duplicates, each part once: refuses what JSON cannot hold, tells of the duplicates. */
  #finish(value: Value, path: string): void {
    const problem = this.#notJson.get(value);
    if (problem !== undefined) throw problem;
    if (value.kind === 'array') {
      if (this.#seen.has(value.items)) return;
      this.#seen.add(value.items);
      value.items.forEach((item, i) => this.#finish(item, `${path}[${i}]`));
    } else if (value.kind === 'object') {
      if (this.#seen.has(value.members)) return;
      this.#seen.add(value.members);
      const badKey = this.#notJson.get(value.members);
      if (badKey !== undefined) throw badKey;
      this.#tell(value.members, path);
      for (const { key, value: v } of value.members) this.#finish(v, childPath(path, key));
    }
  }

  /** Warns of a mapping's duplicates, and of those in the values that they replaced (as the API server does). */
  #tell(members: readonly Member[], path: string): void {
    for (const d of this.#duplicates.get(members) ?? []) {
      this.findings.push(duplicateFinding(d, path));
      this.#tellReplaced(d.replaced, childPath(path, replaceInvalid(d.name)));
    }
  }

  #tellReplaced(value: Value, path: string): void {
    if (value.kind !== 'array' && value.kind !== 'object') return;
    const parts = value.kind === 'array' ? value.items : value.members;
    if (this.#replaced.has(parts)) return;
    this.#replaced.add(parts);
    if (value.kind === 'array') {
      value.items.forEach((item, i) => this.#tellReplaced(item, `${path}[${i}]`));
      return;
    }
    this.#tell(value.members, path);
    for (const { key, value: v } of value.members) this.#tellReplaced(v, childPath(path, key));
  }

  convert(root: Node): Value {
    const { value } = this.#make(root, 0);
    this.#finish(value, '');
    return value;
  }
}

function unsupportedKey(tag: string, at: Position): YamlFault {
  const type = tag === 'null' ? '%!s(<nil>)' : 'uint64';
  return fault('YamlBadKey', `unsupported map key of type: ${type}`, at, NOT_YAML);
}

const heightOf = (made: readonly Made[]): number => made.reduce((h, m) => Math.max(h, m.height + 1), 1);

const byName = (a: Entry, b: Entry): number => compareCodePoints(a.name, b.name);

function membersOf(entries: ReadonlyMap<string, Entry>): Member[] {
  return [...entries.values()].sort(byName).map((e) => ({ key: replaceInvalid(e.name), at: e.at, value: e.value }));
}

function duplicateFinding(d: Duplicate, path: string): Finding {
  const name = replaceInvalid(d.name);
  return {
    severity: 'warning',
    code: 'DuplicateField',
    message: `key ${JSON.stringify(name)} already set in map; the last one counts`,
    path: childPath(path, name),
    at: d.at,
  };
}

/** What a `<<` merges, the weakest first: in a list the earlier mapping counts. */
function mergeSources(value: Node): readonly Node[] {
  const sources = value.kind === 'sequence' ? [...value.items].reverse() : [value];
  for (const source of sources) {
    const target = source.kind === 'alias' ? source.target : source;
    if (target.kind !== 'mapping') {
      throw fault('YamlBadMerge', 'map merge requires map or sequence of maps as the value', source.at);
    }
  }
  return sources;
}

function keyScalar(key: Node): Scalar {
  const target = key.kind === 'alias' ? key.target : key;
  if (target.kind !== 'scalar') throw fault('YamlBadKey', 'invalid map key: it is no scalar', key.at);
  return target;
}

/** Keys are equal when type and value are: `1`, `1.0` and `"1"` are three keys, and no NaN is another. */
function typedKey(key: Scalar): string {
  switch (key.tag) {
    case 'string':
    case 'binary':
    case 'merge':
      return `string ${key.text}`;
    case 'float':
      if (key.text === '.nan') return NAN;
      return `float ${key.text === '-0' ? '0' : key.text}`;
    case 'int':
    case 'uint':
    case 'bool':
    case 'null':
      return `${key.tag} ${key.text}`;
  }
}

function keyName(key: Scalar): string {
  if (key.tag !== 'float') return key.tag === 'null' ? 'null' : key.text;
  if (GO_FLOATS.has(key.text)) return key.text;
  return formatFloatKey(Number(key.text));
}

/** The JSON that the API server decodes, or the finding why there is none. `DuplicateField` warnings carry their path. */
export function convertYaml(root: Node): Converted {
  const converter = new Converter();
  try {
    checkAliases(root);
    return { value: converter.convert(root), findings: converter.findings };
  } catch (e) {
    if (e instanceof YamlFault) return { findings: [findingOf(e)] };
    throw e;
  }
}
