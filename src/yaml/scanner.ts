/**
 * Characters to tokens. Two things need memory: the stack of indentations, from which block collections begin and end,
 * and simple keys: a node that may turn out to be a mapping's key when a `:` follows it within its line and 1,024
 * characters. Until that is decided its token waits in the queue. The bookkeeping of keys follows the API server's to
 * the letter, with its oversights: they decide which documents it accepts (`users: ["a"]:`).
 */
import { isBlank, isBlankOrEnd, isBreak } from './cursor.ts';
import type { Cursor } from './cursor.ts';
import type { Mark } from './fault.ts';
import { scanAnchor, scanDirective, scanTag } from './scan-names.ts';
import { scanBlock, scanPlain, scanQuoted } from './scan-scalars.ts';
import type { PlainType, Token } from './tokens.ts';

/** The API server's bound on open brackets, and on open block collections. */
const MAX_DEPTH = 10_000;
const MAX_KEY_LENGTH = 1024;

/** A place where a simple key may have begun. `token` counts from the first token of the stream. */
type SimpleKey = { possible: boolean; readonly required: boolean; readonly token: number; readonly mark: Mark };

const code = (c: string): number => c.charCodeAt(0);
const [DASH, QUESTION, COLON, COMMA, HASH] = ['-', '?', ':', ',', '#'].map(code) as [
  number,
  number,
  number,
  number,
  number,
];
/** Cannot begin a plain scalar, whatever follows. */
const INDICATORS = new Set([...'-?:,[]{}#&*!|>\'"%@`'].map(code));

export class Scanner {
  readonly #cursor: Cursor;
  #queue: Token[] = [];
  #head = 0;
  /** How many tokens the parser has taken. */
  #taken = 0;
  #ready = false;
  #started = false;
  /** Column of the innermost block collection, -1 for none, and those around it. */
  #indent = -1;
  readonly #indents: number[] = [];
  /** One for each open bracket and one for the block context. */
  readonly #keys: SimpleKey[] = [];
  readonly #keyOfToken = new Map<number, number>();
  #keyAllowed = true;
  #flowLevel = 0;

  constructor(cursor: Cursor) {
    this.#cursor = cursor;
  }

  /** The next token, which stays. */
  peek(): Token {
    if (!this.#ready) this.#fill();
    const token = this.#queue[this.#head];
    if (token === undefined) throw new Error('the scanner was asked for a token behind the end');
    return token;
  }

  /** Takes the token that `peek` gave. */
  take(): Token {
    const token = this.peek();
    this.#ready = false;
    this.#taken++;
    this.#head++;
    if (this.#head > 256) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return token;
  }

  /** Scans until the token at the head of the queue cannot become the beginning of a key any more. */
  #fill(): void {
    for (;;) {
      if (this.#head !== this.#queue.length) {
        const at = this.#keyOfToken.get(this.#taken);
        if (at === undefined) break;
        const key = this.#keys[at];
        // The API server would end with a panic here (index out of range).
        if (key === undefined) throw this.#cursor.fault('YamlServerPanics', 'the API server panics on this input');
        if (!this.#isPossible(key)) break;
      }
      this.#fetch();
    }
    this.#ready = true;
  }

  /** Appends, or puts at `position` of the queue; a negative position appends too, as in the API server. */
  #push(token: Token, position = -1): void {
    if (position < 0) this.#queue.push(token);
    else this.#queue.splice(this.#head + position, 0, token);
  }

  #pushHere(type: PlainType): void {
    const mark = this.#cursor.mark;
    this.#push({ type, start: mark, end: mark });
  }

  /** Passes `width` characters as one token. */
  #pushIndicator(type: PlainType, width = 1): void {
    const start = this.#cursor.mark;
    for (let k = 0; k < width; k++) this.#cursor.skip();
    this.#push({ type, start, end: this.#cursor.mark });
  }

  #fetch(): void {
    const cursor = this.#cursor;
    cursor.need(1);
    if (!this.#started) {
      this.#started = true;
      this.#keys.push({
        possible: false,
        required: false,
        token: 0,
        mark: { offset: 0, index: 0, line: 0, column: 0 },
      });
      this.#pushHere('StreamStart');
      return;
    }
    this.#skipToToken();
    this.#closeBlocks(cursor.column);
    cursor.need(4);
    if (cursor.at() === 0) this.#fetchStreamEnd();
    else if (cursor.column === 0 && cursor.at() === code('%')) {
      this.#leaveDocument();
      this.#push(scanDirective(cursor));
    } else if (cursor.atDocumentIndicator()) {
      this.#leaveDocument();
      this.#pushIndicator(cursor.at() === DASH ? 'DocumentStart' : 'DocumentEnd', 3);
    } else this.#fetchContent(cursor.at());
  }

  /** Everything that belongs to a document: brackets, indicators, properties, scalars. */
  #fetchContent(c: number): void {
    const cursor = this.#cursor;
    const inFlow = this.#flowLevel > 0;
    const separated = isBlankOrEnd(cursor.at(1));
    if (c === code('[')) this.#openFlow('FlowSequenceStart');
    else if (c === code('{')) this.#openFlow('FlowMappingStart');
    else if (c === code(']')) this.#closeFlow('FlowSequenceEnd');
    else if (c === code('}')) this.#closeFlow('FlowMappingEnd');
    else if (c === COMMA) {
      this.#dropKey();
      this.#keyAllowed = true;
      this.#pushIndicator('FlowEntry');
    } else if (c === DASH && separated) this.#fetchBlockEntry();
    else if (c === QUESTION && (inFlow || separated)) this.#fetchKey();
    else if (c === COLON && (inFlow || separated)) this.#fetchValue();
    else if (c === code('*')) this.#fetchNode(() => scanAnchor(cursor, 'Alias'));
    else if (c === code('&')) this.#fetchNode(() => scanAnchor(cursor, 'Anchor'));
    else if (c === code('!')) this.#fetchNode(() => scanTag(cursor));
    else if ((c === code('|') || c === code('>')) && !inFlow) this.#fetchBlockScalar();
    else if (c === code("'") || c === code('"')) this.#fetchNode(() => scanQuoted(cursor));
    else if (this.#beginsPlain(c, separated)) this.#fetchPlain();
    else {
      const tab = c === 0x09;
      throw cursor.fault(tab ? 'YamlTab' : 'YamlSyntax', 'found character that cannot start any token');
    }
  }

  #beginsPlain(c: number, separated: boolean): boolean {
    if (!isBlank(c) && !isBreak(c) && !INDICATORS.has(c)) return true;
    if (c === DASH) return !isBlank(this.#cursor.at(1));
    return this.#flowLevel === 0 && (c === QUESTION || c === COLON) && !separated;
  }

  /** Passes blanks, comments and line breaks. A tab counts as blank only where no key could begin. */
  #skipToToken(): void {
    const cursor = this.#cursor;
    for (;;) {
      cursor.need(1);
      if (cursor.column === 0 && cursor.windowStartsWithBom()) cursor.skip();
      cursor.need(1);
      while (cursor.at() === 0x20 || ((this.#flowLevel > 0 || !this.#keyAllowed) && cursor.at() === 0x09)) {
        cursor.skip();
        cursor.need(1);
      }
      if (cursor.at() === HASH) cursor.skipComment();
      if (!isBreak(cursor.at())) return;
      cursor.need(2);
      cursor.readLine();
      if (this.#flowLevel === 0) this.#keyAllowed = true;
    }
  }

  // Simple keys.

  #isPossible(key: SimpleKey): boolean {
    if (!key.possible) return false;
    const cursor = this.#cursor;
    if (key.mark.line >= cursor.line && key.mark.index + MAX_KEY_LENGTH >= cursor.index) return true;
    if (key.required) throw cursor.fault('YamlMissingColon', "could not find expected ':'", key.mark);
    key.possible = false;
    return false;
  }

  #saveKey(): void {
    if (!this.#keyAllowed) return;
    const cursor = this.#cursor;
    const key = {
      possible: true,
      required: this.#flowLevel === 0 && this.#indent === cursor.column,
      token: this.#taken + this.#queue.length - this.#head,
      mark: cursor.mark,
    };
    this.#dropKey();
    this.#keys[this.#keys.length - 1] = key;
    this.#keyOfToken.set(key.token, this.#keys.length - 1);
  }

  get #lastKey(): SimpleKey {
    const key = this.#keys.at(-1);
    if (key === undefined) throw new Error('the scanner lost its block context');
    return key;
  }

  #dropKey(): void {
    const key = this.#lastKey;
    if (!key.possible) return;
    if (key.required) throw this.#cursor.fault('YamlMissingColon', "could not find expected ':'", key.mark);
    key.possible = false;
    this.#keyOfToken.delete(key.token);
  }

  // Indentation.

  #openBlock(column: number, token: number, type: PlainType, mark: Mark): void {
    if (this.#flowLevel > 0 || this.#indent >= column) return;
    this.#indents.push(this.#indent);
    this.#indent = column;
    if (this.#indents.length > MAX_DEPTH) {
      throw this.#cursor.fault('YamlNestingTooDeep', `exceeded max depth of ${MAX_DEPTH}`);
    }
    this.#push({ type, start: mark, end: mark }, token < 0 ? -1 : token - this.#taken);
  }

  #closeBlocks(column: number): void {
    if (this.#flowLevel > 0) return;
    while (this.#indent > column) {
      this.#pushHere('BlockEnd');
      this.#indent = this.#indents.pop() ?? -1;
    }
  }

  // Tokens.

  #leaveDocument(): void {
    this.#closeBlocks(-1);
    this.#dropKey();
    this.#keyAllowed = false;
  }

  #fetchStreamEnd(): void {
    const cursor = this.#cursor;
    if (cursor.column !== 0) {
      cursor.column = 0;
      cursor.line++;
    }
    this.#leaveDocument();
    this.#pushHere('StreamEnd');
  }

  #openFlow(type: 'FlowSequenceStart' | 'FlowMappingStart'): void {
    this.#saveKey();
    const token = this.#taken + this.#queue.length - this.#head;
    this.#keys.push({ possible: false, required: false, token, mark: this.#cursor.mark });
    this.#flowLevel++;
    if (this.#flowLevel > MAX_DEPTH) {
      throw this.#cursor.fault('YamlNestingTooDeep', `exceeded max depth of ${MAX_DEPTH}`);
    }
    this.#keyAllowed = true;
    this.#pushIndicator(type);
  }

  #closeFlow(type: 'FlowSequenceEnd' | 'FlowMappingEnd'): void {
    this.#dropKey();
    if (this.#flowLevel > 0) {
      this.#flowLevel--;
      // Of an empty bracket this is the number of the bracket itself: it can no more be recognised as a key in time.
      this.#keyOfToken.delete(this.#lastKey.token);
      this.#keys.pop();
    }
    this.#keyAllowed = false;
    this.#pushIndicator(type);
  }

  #fetchBlockEntry(): void {
    const cursor = this.#cursor;
    if (this.#flowLevel === 0) {
      if (!this.#keyAllowed) {
        throw cursor.fault('YamlBadIndentation', 'block sequence entries are not allowed in this context');
      }
      this.#openBlock(cursor.column, -1, 'BlockSequenceStart', cursor.mark);
    }
    this.#dropKey();
    this.#keyAllowed = true;
    this.#pushIndicator('BlockEntry');
  }

  #fetchKey(): void {
    const cursor = this.#cursor;
    if (this.#flowLevel === 0) {
      if (!this.#keyAllowed) {
        throw cursor.fault('YamlBadIndentation', 'mapping keys are not allowed in this context');
      }
      this.#openBlock(cursor.column, -1, 'BlockMappingStart', cursor.mark);
    }
    this.#dropKey();
    this.#keyAllowed = this.#flowLevel === 0;
    this.#pushIndicator('Key');
  }

  #fetchValue(): void {
    const cursor = this.#cursor;
    const key = this.#lastKey;
    if (this.#isPossible(key)) {
      this.#push({ type: 'Key', start: key.mark, end: key.mark }, key.token - this.#taken);
      this.#openBlock(key.mark.column, key.token, 'BlockMappingStart', key.mark);
      key.possible = false;
      this.#keyOfToken.delete(key.token);
      this.#keyAllowed = false;
    } else {
      if (this.#flowLevel === 0) {
        if (!this.#keyAllowed) {
          throw cursor.fault('YamlBadIndentation', 'mapping values are not allowed in this context');
        }
        this.#openBlock(cursor.column, -1, 'BlockMappingStart', cursor.mark);
      }
      this.#keyAllowed = this.#flowLevel === 0;
    }
    this.#pushIndicator('Value');
  }

  /** An alias, a property or a quoted scalar: may begin a key, and no key begins right behind it. */
  #fetchNode(scan: () => Token): void {
    this.#saveKey();
    this.#keyAllowed = false;
    this.#push(scan());
  }

  #fetchPlain(): void {
    this.#saveKey();
    this.#keyAllowed = false;
    const { token, crossed } = scanPlain(this.#cursor, this.#indent + 1, this.#flowLevel > 0);
    if (crossed) this.#keyAllowed = true;
    this.#push(token);
  }

  #fetchBlockScalar(): void {
    this.#dropKey();
    this.#keyAllowed = true;
    this.#push(scanBlock(this.#cursor, this.#indent));
  }
}
