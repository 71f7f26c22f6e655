/**
 * A place in the text that only moves forward, and knows its line, column, index and byte offset. What lies ahead is
 * loaded read by read (encoding.ts): a caller says with `need` how many characters it will look at, exactly as far as
 * the API server's scanner looks, because a bad byte counts only once it has been loaded.
 */
import type { Decoded } from './encoding.ts';
import { NO_LINE, YamlFault } from './fault.ts';
import type { Mark, YamlCode } from './fault.ts';

export const isBlank = (c: number): boolean => c === 0x20 || c === 0x09;
export const isBreak = (c: number): boolean => c === 0x0a || c === 0x0d || c === 0x85 || c === 0x2028 || c === 0x2029;
/** 0 is the end of the input: a real NUL is refused when it is loaded. */
export const isBreakOrEnd = (c: number): boolean => c === 0 || isBreak(c);
export const isBlankOrEnd = (c: number): boolean => c === 0 || isBlank(c) || isBreak(c);
export const isDigit = (c: number): boolean => c >= 0x30 && c <= 0x39;
/** Letters, digits, `_` and `-`: names of anchors, directives and tag handles. */
export const isWord = (c: number): boolean =>
  isDigit(c) || (c >= 0x41 && c <= 0x5a) || (c >= 0x61 && c <= 0x7a) || c === 0x5f || c === 0x2d;
export const isHex = (c: number): boolean => isDigit(c) || (c >= 0x41 && c <= 0x46) || (c >= 0x61 && c <= 0x66);

const isHighSurrogate = (c: number): boolean => (c & 0xfc00) === 0xd800;

export class Cursor {
  readonly text: string;
  pos = 0;
  line = 0;
  column = 0;
  index = 0;
  offset: number;
  readonly #input: Decoded;
  #read = 0;
  #loaded = 0;
  /** NULs that stand loaded behind the end of the input. */
  #ends = 0;
  #windowStart = 0;

  constructor(input: Decoded) {
    this.#input = input;
    this.text = input.text;
    this.offset = input.start;
  }

  get mark(): Mark {
    return { offset: this.offset, index: this.index, line: this.line, column: this.column };
  }

  /** The character `ahead` of here (those in between must not be astral), 0 at the end. Ask `need` first. */
  at(ahead = 0): number {
    const c = this.text.charCodeAt(this.pos + ahead);
    return c === c ? c : 0;
  }

  /** Loads `count` characters, or all there are. */
  need(count: number): void {
    if (this.#loaded - this.pos < count * 2) this.#load(count);
  }

  #unread(): number {
    let n = this.#ends;
    for (let i = this.pos; i < this.#loaded; i++) {
      if (isHighSurrogate(this.text.charCodeAt(i))) i++;
      n++;
    }
    return n;
  }

  #load(count: number): void {
    if (this.#unread() >= count) return;
    this.#windowStart = this.pos;
    while (this.#unread() < count) {
      const end = this.#input.reads[this.#read];
      if (end !== undefined) {
        this.#loaded = end;
        this.#read++;
      } else if (this.#input.fault !== undefined) {
        const { code, problem } = this.#input.fault;
        throw new YamlFault(code, problem, { at: this.#endOfText(), line: NO_LINE });
      } else {
        this.#ends++;
        return;
      }
    }
  }

  #endOfText(): Mark {
    const scout = new Cursor({ ...this.#input, reads: [this.text.length] });
    scout.#loaded = this.text.length;
    while (scout.pos < this.text.length) {
      if (isBreak(scout.at())) scout.readLine();
      else scout.skip();
    }
    return scout.mark;
  }

  /**
   * Whether the text that was loaded last began with a byte order mark. The API server means to ask whether one stands
   * here, and skips a character at the start of a line where this is so.
   */
  windowStartsWithBom(): boolean {
    return this.text.charCodeAt(this.#windowStart) === 0xfeff;
  }

  skip(): void {
    this.index++;
    this.column++;
    if (this.pos >= this.text.length) {
      this.#ends--;
      return;
    }
    const c = this.text.charCodeAt(this.pos);
    if (isHighSurrogate(c)) {
      this.pos += 2;
      this.offset += 4;
      return;
    }
    this.pos++;
    this.offset += this.#input.wide ? 2 : c < 0x80 ? 1 : c < 0x800 ? 2 : 3;
  }

  /** Passes a line break, if one is here, and gives how it counts inside a scalar: LS and PS stay, others are `\n`. */
  readLine(): string {
    const c = this.at();
    if (!isBreak(c)) return '';
    if (c === 0x0d && this.at(1) === 0x0a) this.skip();
    this.skip();
    this.line++;
    this.column = 0;
    return c === 0x2028 || c === 0x2029 ? String.fromCharCode(c) : '\n';
  }

  skipBlanks(): void {
    this.need(1);
    while (isBlank(this.at())) {
      this.skip();
      this.need(1);
    }
  }

  /** Passes a comment, if one is here, up to its line break. */
  skipComment(): void {
    if (this.at() !== 0x23) return;
    while (!isBreakOrEnd(this.at())) {
      this.skip();
      this.need(1);
    }
  }

  /** The word (letters, digits, `_`, `-`) that stands here. */
  readWord(): string {
    const from = this.pos;
    this.need(1);
    while (isWord(this.at())) {
      this.skip();
      this.need(1);
    }
    return this.text.slice(from, this.pos);
  }

  /** `--- ` or `... ` at the start of a line. Needs 4 characters loaded. */
  atDocumentIndicator(): boolean {
    if (this.column !== 0) return false;
    const c = this.at();
    return (c === 0x2d || c === 0x2e) && this.at(1) === c && this.at(2) === c && isBlankOrEnd(this.at(3));
  }

  /** A fault of the scanner here; `from` is where the thing began, for faults best shown there. */
  fault(code: YamlCode, problem: string, from?: Mark): YamlFault {
    return new YamlFault(code, problem, { at: from ?? this.mark, line: this.line === 0 ? 0 : this.line + 1 });
  }
}
