/**
 * Request lines straight from bytes to numbers, for `evaluate`: no string, no object and no JSON.parse for a line.
 * It reads what a serialiser writes: the known fields in any order, each once, no white space, no null, ASCII strings
 * without escapes. Whatever else stands in a line, it says so by -1 and guesses nothing; the caller then takes
 * JSON.parse and `parseRequestLine` (request.ts), which are the reference. What it does accept, it reads as they do.
 */
import { ByteSymbols, HASH_SEED, hashStep } from './byte-symbols.ts';
import { addUserGroup, newQuery } from './query.ts';
import type { ByteRange, Query } from './query.ts';
import { NO_SUBRESOURCE } from './symbols.ts';
import type { Symbols, SymbolTables } from './symbols.ts';

/** So many bytes behind the last line must be readable: keys are compared four bytes at a time. */
export const SLACK = 64;

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const CLOSE_LIST = 0x5d;
const NEWLINE = 0x0a;

/** 1 for the bytes that stand for themselves within a JSON string. */
const PLAIN = Uint8Array.from({ length: 256 }, (_, b) => (b >= 0x20 && b < 0x7f && b !== QUOTE && b !== 0x5c ? 1 : 0));

/** Fields with their key and the first byte of their value, in the order in which they usually come. */
const TOP = ['"user":"', '"groups":[', '"resourceAttributes":{', '"nonResourceAttributes":{'];
const RESOURCE = ['verb', 'group', 'version', 'resource', 'subresource', 'namespace', 'name'].map((k) => `"${k}":"`);
const NON_RESOURCE = ['path', 'verb'].map((k) => `"${k}":"`);
const GROUPS = 1;
const RESOURCE_ATTRIBUTES = 2;

/** Finds out which of a few known texts stands at a place, by words of four bytes. */
class Keys {
  readonly #words: Int32Array;
  readonly #masks: Int32Array;
  /** Where the words of text i begin; one more than there are texts. */
  readonly #starts: Int32Array;
  readonly #lengths: Int32Array;
  readonly #count: number;

  constructor(texts: readonly string[]) {
    const padded = texts.map((t) => t.padEnd(Math.ceil(t.length / 4) * 4, '\0'));
    const view = new DataView(new TextEncoder().encode(padded.join('')).buffer);
    const wordAt = (_: unknown, i: number): number => view.getInt32(i * 4, true);
    this.#count = texts.length;
    this.#words = Int32Array.from({ length: view.byteLength / 4 }, wordAt);
    this.#starts = Int32Array.from({ length: texts.length + 1 }, (_, i) => padded.slice(0, i).join('').length / 4);
    this.#lengths = Int32Array.from(texts, (t) => t.length);
    const masks = texts.flatMap((t) => Array.from({ length: Math.ceil(t.length / 4) }, (_, i) => t.length - i * 4));
    this.#masks = Int32Array.from(masks, (left) => (left >= 4 ? -1 : (1 << (left * 8)) - 1));
  }

  /** Index of the text at `at`, or -1; `guess` is tried first. */
  find(view: DataView, at: number, guess: number): number {
    for (let n = 0, i = guess; n < this.#count; n++, i++) {
      if (i >= this.#count) i = 0;
      if (this.#isAt(view, at, i)) return i;
    }
    return -1;
  }

  #isAt(view: DataView, at: number, i: number): boolean {
    const end = this.#starts[i + 1] ?? 0;
    for (let w = this.#starts[i] ?? 0, p = at; w < end; w++, p += 4) {
      if ((view.getInt32(p, true) & (this.#masks[w] ?? 0)) !== this.#words[w]) return false;
    }
    return true;
  }

  lengthOf(i: number): number {
    return this.#lengths[i] ?? 0;
  }
}

/** What an absent field means: the number of the empty string in each dimension. */
type Absent = {
  readonly verb: number;
  readonly namespace: number;
  readonly group: number;
  readonly resource: number;
  readonly name: number;
};

export class LineScanner {
  /** The request of the last line that was read. */
  readonly query: Query = newQuery();
  readonly #top = new Keys(TOP);
  readonly #resource = new Keys(RESOURCE);
  readonly #nonResource = new Keys(NON_RESOURCE);
  readonly #tables: Readonly<Record<keyof SymbolTables, ByteSymbols>>;
  /** By index in RESOURCE. No policy looks at the version. */
  readonly #ofResource: readonly ByteSymbols[];
  readonly #absent: Absent;
  readonly #path: ByteRange;
  #bytes: Uint8Array = new Uint8Array(SLACK);
  #view = new DataView(this.#bytes.buffer);
  /** Number of the string that `#string` read last. */
  #id = 0;

  constructor(tables: SymbolTables) {
    const of = (s: Symbols): ByteSymbols => new ByteSymbols(s);
    const t = {
      user: of(tables.user),
      userGroup: of(tables.userGroup),
      verb: of(tables.verb),
      namespace: of(tables.namespace),
      group: of(tables.group),
      resource: of(tables.resource),
      subresource: of(tables.subresource),
      name: of(tables.name),
    };
    this.#tables = t;
    this.#ofResource = [t.verb, t.group, ByteSymbols.EMPTY, t.resource, t.subresource, t.namespace, t.name];
    this.#absent = {
      verb: tables.verb.of(''),
      namespace: tables.namespace.of(''),
      group: tables.group.of(''),
      resource: tables.resource.of(''),
      name: tables.name.of(''),
    };
    this.#path = { bytes: this.#bytes, start: 0, end: 0 };
  }

  /** The bytes to read from. Lines must end with a newline, and SLACK bytes must follow the last one. */
  readFrom(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#path.bytes = bytes;
  }

  /** Reads the line at `at` into `query`; answers where its newline is, or -1 where it is not such a line. */
  scan(at: number): number {
    const q = this.query;
    q.user = 0;
    q.userGroupCount = 0;
    let hasUser = false;
    let seen = 0;
    let p = at;
    if (this.#bytes[p] !== OPEN) return -1;
    for (let guess = 0; ;) {
      const key = this.#top.find(this.#view, p + 1, guess);
      // Attributes of both kinds are one field here: a line with both is not a request.
      const bit = 1 << (key < RESOURCE_ATTRIBUTES ? key : RESOURCE_ATTRIBUTES);
      if (key < 0 || (seen & bit) !== 0) return -1;
      seen |= bit;
      p += 1 + this.#top.lengthOf(key);
      if (key === GROUPS) p = this.#groups(p);
      else if (key === 0) {
        p = this.#string(this.#tables.user, p);
        q.user = this.#id;
        hasUser = true;
      } else p = key === RESOURCE_ATTRIBUTES ? this.#resourceAttributes(p) : this.#nonResourceAttributes(p);
      if (p < 0) return -1;
      if (this.#bytes[++p] !== COMMA) break;
      guess = key + 1;
    }
    if (!hasUser) q.userGroupCount = 0;
    const whole =
      (seen & (1 << RESOURCE_ATTRIBUTES)) !== 0 && this.#bytes[p] === CLOSE && this.#bytes[p + 1] === NEWLINE;
    return whole ? p + 1 : -1;
  }

  /** From behind the opening quote to the closing one, or -1; the string's number is in `#id`. */
  #string(table: ByteSymbols, start: number): number {
    const bytes = this.#bytes;
    let p = start;
    let byte = bytes[p] ?? 0;
    if (table.isEmpty) {
      while (PLAIN[byte] === 1) byte = bytes[++p] ?? 0;
      this.#id = 0;
      return byte === QUOTE ? p : -1;
    }
    let hash = HASH_SEED;
    while (PLAIN[byte] === 1) {
      hash = hashStep(hash, byte);
      byte = bytes[++p] ?? 0;
    }
    this.#id = table.find(hash, bytes, start, p);
    return byte === QUOTE ? p : -1;
  }

  /** From behind the opening bracket to the closing one, or -1. */
  #groups(start: number): number {
    const bytes = this.#bytes;
    if (bytes[start] === CLOSE_LIST) return start;
    let p = start;
    for (;;) {
      if (bytes[p] !== QUOTE) return -1;
      p = this.#string(this.#tables.userGroup, p + 1);
      if (p < 0) return -1;
      addUserGroup(this.query, this.#id);
      const next = bytes[++p];
      if (next === CLOSE_LIST) return p;
      if (next !== COMMA) return -1;
      p++;
    }
  }

  /** From behind the opening brace to the closing one, or -1. */
  #resourceAttributes(start: number): number {
    const q = this.query;
    q.isResource = true;
    q.verb = this.#absent.verb;
    q.group = this.#absent.group;
    q.resource = this.#absent.resource;
    q.subresource = NO_SUBRESOURCE;
    q.namespace = this.#absent.namespace;
    q.name = this.#absent.name;
    if (this.#bytes[start] === CLOSE) return start;
    let seen = 0;
    let guess = 0;
    for (let p = start; ; p++) {
      const key = this.#resource.find(this.#view, p, guess);
      if (key < 0 || (seen & (1 << key)) !== 0) return -1;
      seen |= 1 << key;
      p = this.#string(this.#ofResource[key] ?? ByteSymbols.EMPTY, p + this.#resource.lengthOf(key));
      if (p < 0) return -1;
      this.#setResourceField(key);
      const next = this.#bytes[++p];
      if (next === CLOSE) return p;
      if (next !== COMMA) return -1;
      guess = key + 1;
    }
  }

  /** `key` is an index in RESOURCE. */
  #setResourceField(key: number): void {
    const q = this.query;
    const id = this.#id;
    if (key === 0) q.verb = id;
    else if (key === 1) q.group = id;
    else if (key === 3) q.resource = id;
    else if (key === 4) q.subresource = id;
    else if (key === 5) q.namespace = id;
    else if (key === 6) q.name = id;
  }

  /** From behind the opening brace to the closing one, or -1. */
  #nonResourceAttributes(start: number): number {
    const q = this.query;
    q.isResource = false;
    q.verb = this.#absent.verb;
    this.#path.start = this.#path.end = start;
    q.path = this.#path;
    if (this.#bytes[start] === CLOSE) return start;
    let seen = 0;
    for (let p = start; ; p++) {
      const key = this.#nonResource.find(this.#view, p, 0);
      if (key < 0 || (seen & (1 << key)) !== 0) return -1;
      seen |= 1 << key;
      const value = p + this.#nonResource.lengthOf(key);
      p = this.#string(key === 0 ? ByteSymbols.EMPTY : this.#tables.verb, value);
      if (p < 0) return -1;
      if (key === 0) {
        this.#path.start = value;
        this.#path.end = p;
      } else q.verb = this.#id;
      const next = this.#bytes[++p];
      if (next === CLOSE) return p;
      if (next !== COMMA) return -1;
    }
  }
}
