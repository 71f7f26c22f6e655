/** Plain, quoted and block scalars: characters to text, with the folding of lines that YAML 1.1 prescribes. */
import { isBlank, isBlankOrEnd, isBreak, isBreakOrEnd, isDigit, isHex } from './cursor.ts';
import type { Cursor } from './cursor.ts';
import type { Mark } from './fault.ts';
import type { Token } from './tokens.ts';

const TAB = 0x09;
const SPACE = 0x20;
const COLON = 0x3a;
const BACKSLASH = 0x5c;

/** Blanks and line breaks between two words of a flow scalar. */
type Gap = { blanks: string; first: string; rest: string };

/** How a gap reads: blanks stay; one line break is a space, more are themselves but for the first (if that is `\n`). */
function fold(gap: Gap): string {
  if (gap.first === '') return gap.blanks;
  if (gap.first !== '\n') return gap.first + gap.rest;
  return gap.rest === '' ? ' ' : gap.rest;
}

/** Reads blanks and breaks. `broken`: a break came before. `onTab` is asked about tabs that begin a line. */
function scanGap(cursor: Cursor, broken: boolean, onTab: () => void): Gap & { broken: boolean } {
  const gap = { blanks: '', first: '', rest: '', broken };
  for (let c = cursor.at(); isBlank(c) || isBreak(c); c = cursor.at()) {
    if (isBlank(c)) {
      if (gap.broken && c === TAB) onTab();
      if (!gap.broken) gap.blanks += String.fromCharCode(c);
      cursor.skip();
    } else {
      cursor.need(2);
      const text = cursor.readLine();
      if (gap.broken) gap.rest += text;
      else gap.first = text;
      gap.broken = true;
    }
    cursor.need(1);
  }
  return gap;
}

/** Characters that end a plain scalar inside brackets: `, ? [ ] { }`. */
const ENDS_IN_FLOW = new Set([...',?[]{}'].map((c) => c.charCodeAt(0)));

/** `indent` is the column below which a continuation line ends it. `crossed`: its end is on another line. */
export function scanPlain(cursor: Cursor, indent: number, inFlow: boolean): { token: Token; crossed: boolean } {
  const start = cursor.mark;
  let end = start;
  let text = '';
  let gap: (Gap & { broken: boolean }) | undefined;
  let crossed = false;
  const onTab = (): void => {
    if (cursor.column < indent) {
      throw cursor.fault('YamlTab', 'found a tab character that violates indentation');
    }
  };
  for (;;) {
    cursor.need(4);
    if (cursor.atDocumentIndicator() || cursor.at() === 0x23) break;
    const from = cursor.pos;
    for (let c = cursor.at(); !isBlankOrEnd(c); c = cursor.at()) {
      if (c === COLON && isBlankOrEnd(cursor.at(1))) break;
      if (inFlow && ENDS_IN_FLOW.has(c)) break;
      cursor.skip();
      cursor.need(2);
    }
    if (cursor.pos > from) {
      if (gap !== undefined) text += fold(gap);
      gap = undefined;
      crossed = false;
      text += cursor.text.slice(from, cursor.pos);
      end = cursor.mark;
    }
    if (!isBlank(cursor.at()) && !isBreak(cursor.at())) break;
    cursor.need(1);
    gap = scanGap(cursor, false, onTab);
    crossed = gap.broken;
    if (!inFlow && cursor.column < indent) break;
  }
  return { token: { type: 'Scalar', text, style: 'plain', start, end }, crossed };
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['0', '\0'],
  ['a', '\x07'],
  ['b', '\b'],
  ['t', '\t'],
  ['\t', '\t'],
  ['n', '\n'],
  ['v', '\v'],
  ['f', '\f'],
  ['r', '\r'],
  ['e', '\x1b'],
  [' ', ' '],
  ['"', '"'],
  ["'", "'"],
  ['\\', '\\'],
  ['N', '\u0085'],
  ['_', '\u00a0'],
  ['L', '\u2028'],
  ['P', '\u2029'],
]);
const HEX_ESCAPES: ReadonlyMap<string, number> = new Map([
  ['x', 2],
  ['u', 4],
  ['U', 8],
]);

/** The escape sequence that begins at the backslash here. Needs 2 characters loaded. */
function scanEscape(cursor: Cursor): string {
  const letter = String.fromCharCode(cursor.at(1));
  const plain = ESCAPES.get(letter);
  const digits = HEX_ESCAPES.get(letter);
  if (plain === undefined && digits === undefined) {
    throw cursor.fault('YamlBadEscape', 'found unknown escape character');
  }
  cursor.skip();
  cursor.skip();
  if (digits === undefined) return plain ?? '';
  cursor.need(digits);
  for (let k = 0; k < digits; k++) {
    if (!isHex(cursor.at(k))) throw cursor.fault('YamlBadEscape', 'did not find expected hexdecimal number');
  }
  const value = parseInt(cursor.text.slice(cursor.pos, cursor.pos + digits), 16);
  if ((value >= 0xd800 && value <= 0xdfff) || value > 0x10ffff) {
    throw cursor.fault('YamlBadEscape', 'found invalid Unicode character escape code');
  }
  for (let k = 0; k < digits; k++) cursor.skip();
  return String.fromCodePoint(value);
}

/** Reads one run without blanks of a quoted scalar; `joined` when it ends with an escaped line break. */
function scanQuotedRun(cursor: Cursor, quote: number): { text: string; joined: boolean } {
  let text = '';
  let from = cursor.pos;
  const flush = (): void => {
    text += cursor.text.slice(from, cursor.pos);
  };
  const single = quote === 0x27;
  for (let c = cursor.at(); !isBlankOrEnd(c); c = cursor.at()) {
    if (c === quote && !(single && cursor.at(1) === quote)) break;
    if (c === quote) {
      cursor.skip();
      flush();
      cursor.skip();
      from = cursor.pos;
    } else if (!single && c === BACKSLASH) {
      flush();
      if (isBreak(cursor.at(1))) {
        cursor.need(3);
        cursor.skip();
        cursor.readLine();
        return { text, joined: true };
      }
      text += scanEscape(cursor);
      from = cursor.pos;
    } else cursor.skip();
    cursor.need(2);
  }
  flush();
  return { text, joined: false };
}

/** `'...'` or `"..."`. */
export function scanQuoted(cursor: Cursor): Token {
  const start = cursor.mark;
  const quote = cursor.at();
  cursor.skip();
  let text = '';
  for (;;) {
    cursor.need(4);
    if (cursor.atDocumentIndicator()) {
      throw cursor.fault('YamlUnterminated', 'found unexpected document indicator', start);
    }
    if (cursor.at() === 0) throw cursor.fault('YamlUnterminated', 'found unexpected end of stream', start);
    const run = scanQuotedRun(cursor, quote);
    text += run.text;
    cursor.need(1);
    if (cursor.at() === quote) break;
    const gap = scanGap(cursor, run.joined, () => undefined);
    text += gap.first === '' && gap.broken ? gap.rest : fold(gap);
  }
  cursor.skip();
  return { type: 'Scalar', text, style: quote === 0x27 ? 'single' : 'double', start, end: cursor.mark };
}

type BlockHeader = { readonly chomp: 'clip' | 'strip' | 'keep'; readonly increment: number };

/** `|` or `>`, chomping and indentation indicators in either order, a comment, and the line break. */
function scanBlockHeader(cursor: Cursor): BlockHeader {
  let chomp: BlockHeader['chomp'] = 'clip';
  let increment = 0;
  const scanChomp = (): boolean => {
    const c = cursor.at();
    if (c !== 0x2b && c !== 0x2d) return false;
    chomp = c === 0x2b ? 'keep' : 'strip';
    cursor.skip();
    return true;
  };
  const scanIncrement = (): boolean => {
    if (!isDigit(cursor.at())) return false;
    increment = cursor.at() - 0x30;
    if (increment === 0) throw cursor.fault('YamlBadIndentation', 'found an indentation indicator equal to 0');
    cursor.skip();
    return true;
  };
  cursor.skip();
  cursor.need(1);
  if (scanChomp()) {
    cursor.need(1);
    scanIncrement();
  } else if (scanIncrement()) {
    cursor.need(1);
    scanChomp();
  }
  cursor.skipBlanks();
  cursor.skipComment();
  if (!isBreakOrEnd(cursor.at())) throw cursor.fault('YamlSyntax', 'did not find expected comment or line break');
  if (isBreak(cursor.at())) {
    cursor.need(2);
    cursor.readLine();
  }
  return { chomp, increment };
}

/**
 * Passes empty lines and the indentation of the next one. `indent` 0 is not known yet: then the deepest line of blanks
 * decides, at least one more than the parent's.
 */
function scanBlockBreaks(
  cursor: Cursor,
  indent: number,
  parent: number,
): { breaks: string; indent: number; end: Mark } {
  let breaks = '';
  let deepest = 0;
  let end = cursor.mark;
  for (;;) {
    cursor.need(1);
    while ((indent === 0 || cursor.column < indent) && cursor.at() === SPACE) {
      cursor.skip();
      cursor.need(1);
    }
    deepest = Math.max(deepest, cursor.column);
    if ((indent === 0 || cursor.column < indent) && cursor.at() === TAB) {
      throw cursor.fault('YamlTab', 'found a tab character where an indentation space is expected');
    }
    if (!isBreak(cursor.at())) break;
    cursor.need(2);
    breaks += cursor.readLine();
    end = cursor.mark;
  }
  return { breaks, indent: indent === 0 ? Math.max(deepest, parent + 1, 1) : indent, end };
}

/** `|` or `>`; `parent` is the indentation of the collection that it stands in (-1 at the top). */
export function scanBlock(cursor: Cursor, parent: number): Token {
  const start = cursor.mark;
  const literal = cursor.at() === 0x7c;
  const { chomp, increment } = scanBlockHeader(cursor);
  let { breaks, indent, end } = scanBlockBreaks(cursor, increment > 0 ? Math.max(parent, 0) + increment : 0, parent);
  let text = '';
  let lineBreak = '';
  let afterBlank = false;
  cursor.need(1);
  while (cursor.column === indent && cursor.at() !== 0) {
    const blank = isBlank(cursor.at());
    if (!literal && lineBreak.startsWith('\n') && !afterBlank && !blank) text += breaks === '' ? ' ' : '';
    else text += lineBreak;
    text += breaks;
    afterBlank = blank;
    const from = cursor.pos;
    while (!isBreakOrEnd(cursor.at())) {
      cursor.skip();
      cursor.need(1);
    }
    text += cursor.text.slice(from, cursor.pos);
    cursor.need(2);
    lineBreak = cursor.readLine();
    ({ breaks, indent, end } = scanBlockBreaks(cursor, indent, parent));
  }
  if (chomp !== 'strip') text += lineBreak;
  if (chomp === 'keep') text += breaks;
  return { type: 'Scalar', text, style: literal ? 'literal' : 'folded', start, end };
}
