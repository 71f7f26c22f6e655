/**
 * JSON as Go's encoding/json reads it, with places: invalid UTF-8 and lone surrogates become U+FFFD, duplicate keys
 * stay, nothing but space may follow. Called for inputs whose first character is `{`.
 */
import type { Finding, Position } from '../api/findings.ts';
import { decodeRune } from './base64.ts';
import { MAX_NESTING } from './compose.ts';
import type { Member, Value } from './value.ts';

class JsonFault extends Error {
  readonly code: 'JsonSyntax' | 'JsonNestingTooDeep';
  readonly at: Position;
  constructor(code: JsonFault['code'], problem: string, at: Position) {
    super(problem);
    this.code = code;
    this.at = at;
  }
}

const isSpace = (c: number): boolean => c === 0x20 || c === 0x09 || c === 0x0a || c === 0x0d;
const isDigit = (c: number): boolean => c >= 0x30 && c <= 0x39;
const SIMPLE_ESCAPES: ReadonlyMap<number, string> = new Map(
  [...'"\\/']
    .map((c): [number, string] => [c.charCodeAt(0), c])
    .concat([
      [0x62, '\b'],
      [0x66, '\f'],
      [0x6e, '\n'],
      [0x72, '\r'],
      [0x74, '\t'],
    ]),
);

/** As Go quotes a byte that it takes for a Latin-1 character. */
function showByte(c: number): string {
  if (c === 0x27) return "\\'";
  if (c === 0x22) return '"';
  if (c === 0x0b || c === 0x07) return c === 0x0b ? '\\v' : '\\a';
  const shown = JSON.stringify(String.fromCharCode(c)).slice(1, -1);
  return shown.startsWith('\\u00') ? `\\x${shown.slice(4)}` : shown;
}

class JsonReader {
  readonly #bytes: Uint8Array;
  #pos = 0;
  #line = 1;
  #column = 1;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get #at(): Position {
    return { offset: this.#pos, line: this.#line, column: this.#column };
  }

  /** The byte here; -1 at the end. */
  #byte(): number {
    return this.#bytes[this.#pos] ?? -1;
  }

  #step(): void {
    const c = this.#byte();
    this.#pos++;
    if (c === 0x0a) {
      this.#line++;
      this.#column = 1;
    } else if ((this.#byte() & 0xc0) !== 0x80) this.#column++;
  }

  #skipSpace(): void {
    while (isSpace(this.#byte())) this.#step();
  }

  #fault(context: string): JsonFault {
    const c = this.#byte();
    if (c < 0) return new JsonFault('JsonSyntax', 'unexpected end of JSON input', this.#at);
    return new JsonFault('JsonSyntax', `invalid character '${showByte(c)}' ${context}`, this.#at);
  }

  #value(depth: number): Value {
    this.#skipSpace();
    const at = this.#at;
    const c = this.#byte();
    if (c === 0x7b) return { kind: 'object', members: this.#object(depth + 1), at };
    if (c === 0x5b) return { kind: 'array', items: this.#array(depth + 1), at };
    if (c === 0x22) return { kind: 'string', value: this.#string(), at };
    if (c === 0x2d || isDigit(c)) return { kind: 'number', text: this.#number(), at };
    if (c === 0x74) return { ...this.#word('true'), kind: 'bool', value: true, at };
    if (c === 0x66) return { ...this.#word('false'), kind: 'bool', value: false, at };
    if (c === 0x6e) return { ...this.#word('null'), kind: 'null', at };
    throw this.#fault('looking for beginning of value');
  }

  #word(word: string): object {
    for (const letter of word) {
      if (this.#byte() !== letter.charCodeAt(0)) throw this.#fault(`in literal ${word} (expecting '${letter}')`);
      this.#step();
    }
    return {};
  }

  #enter(depth: number): void {
    if (depth > MAX_NESTING) throw new JsonFault('JsonNestingTooDeep', 'exceeded max depth', this.#at);
    this.#step();
    this.#skipSpace();
  }

  #array(depth: number): Value[] {
    const items: Value[] = [];
    this.#enter(depth);
    if (this.#byte() === 0x5d) {
      this.#step();
      return items;
    }
    for (;;) {
      items.push(this.#value(depth));
      this.#skipSpace();
      const c = this.#byte();
      if (c !== 0x2c && c !== 0x5d) throw this.#fault('after array element');
      this.#step();
      if (c === 0x5d) return items;
    }
  }

  #object(depth: number): Member[] {
    const members: Member[] = [];
    this.#enter(depth);
    if (this.#byte() === 0x7d) {
      this.#step();
      return members;
    }
    for (;;) {
      this.#skipSpace();
      const at = this.#at;
      if (this.#byte() !== 0x22) throw this.#fault('looking for beginning of object key string');
      const key = this.#string();
      this.#skipSpace();
      if (this.#byte() !== 0x3a) throw this.#fault('after object key');
      this.#step();
      members.push({ key, at, value: this.#value(depth) });
      this.#skipSpace();
      const c = this.#byte();
      if (c !== 0x2c && c !== 0x7d) throw this.#fault('after object key:value pair');
      this.#step();
      if (c === 0x7d) return members;
    }
  }

  #number(): string {
    const from = this.#pos;
    const digits = (context: string): void => {
      if (!isDigit(this.#byte())) throw this.#fault(context);
      while (isDigit(this.#byte())) this.#step();
    };
    if (this.#byte() === 0x2d) this.#step();
    if (this.#byte() === 0x30) this.#step();
    else digits('in numeric literal');
    if (this.#byte() === 0x2e) {
      this.#step();
      digits('after decimal point in numeric literal');
    }
    if (this.#byte() === 0x65 || this.#byte() === 0x45) {
      this.#step();
      if (this.#byte() === 0x2b || this.#byte() === 0x2d) this.#step();
      digits('in exponent of numeric literal');
    }
    return new TextDecoder().decode(this.#bytes.subarray(from, this.#pos));
  }

  #string(): string {
    let text = '';
    this.#step();
    for (;;) {
      const c = this.#byte();
      if (c === 0x22) {
        this.#step();
        return text;
      }
      if (c < 0x20) throw this.#fault('in string literal');
      if (c === 0x5c) text += this.#escape();
      else if (c < 0x80) {
        text += String.fromCharCode(c);
        this.#step();
      } else {
        const { code, width } = decodeRune(this.#bytes, this.#pos);
        text += String.fromCodePoint(code < 0 ? 0xfffd : code);
        for (let k = 0; k < width; k++) this.#step();
      }
    }
  }

  #escape(): string {
    this.#step();
    const simple = SIMPLE_ESCAPES.get(this.#byte());
    if (simple !== undefined) {
      this.#step();
      return simple;
    }
    if (this.#byte() !== 0x75) throw this.#fault('in string escape code');
    this.#step();
    const first = this.#hex4();
    if (first < 0xd800 || first > 0xdfff) return String.fromCharCode(first);
    const low = this.#lowSurrogateAhead();
    if (first > 0xdbff || low === undefined) return '\ufffd';
    for (let k = 0; k < 6; k++) this.#step();
    return String.fromCharCode(first, low);
  }

  #hex4(): number {
    let code = 0;
    for (let k = 0; k < 4; k++) {
      const digit = parseInt(String.fromCharCode(Math.max(this.#byte(), 0)), 16);
      if (Number.isNaN(digit)) throw this.#fault('in \\u hexadecimal character escape');
      code = code * 16 + digit;
      this.#step();
    }
    return code;
  }

  /** The low surrogate that the next six bytes escape, if they do. */
  #lowSurrogateAhead(): number | undefined {
    const ahead = String.fromCharCode(...this.#bytes.subarray(this.#pos, this.#pos + 6));
    const m = /^\\u(d[c-f][0-9a-f]{2})$/i.exec(ahead);
    return m === null ? undefined : parseInt(m[1] ?? '', 16);
  }

  read(): Value {
    const value = this.#value(0);
    this.#skipSpace();
    if (this.#byte() >= 0) throw this.#fault('after top-level value');
    return value;
  }
}

/** The value, or one finding of severity error. Never throws. */
export function readJson(bytes: Uint8Array): { readonly value?: Value; readonly findings: readonly Finding[] } {
  try {
    return { value: new JsonReader(bytes).read(), findings: [] };
  } catch (e) {
    if (!(e instanceof JsonFault)) throw e;
    return { findings: [{ severity: 'error', code: e.code, message: e.message, path: '', at: e.at }] };
  }
}
