/** Anchors, aliases, tags and directives: the tokens that are made of names. */
import { isBlank, isBlankOrEnd, isBreakOrEnd, isDigit, isHex, isWord } from './cursor.ts';
import type { Cursor } from './cursor.ts';
import type { Mark, YamlFault } from './fault.ts';
import type { Token } from './tokens.ts';

const BANG = 0x21;
/** What may follow a name besides blanks: `? : , ] } % @` and the backtick. */
const AFTER_NAME = new Set([...'?:,]}%@`'].map((c) => c.charCodeAt(0)));
const URI = new Set([...";/?:@&=+$,.!~*'()[]%"].map((c) => c.charCodeAt(0)));

export function scanAnchor(cursor: Cursor, type: 'Alias' | 'Anchor'): Token {
  const start = cursor.mark;
  cursor.skip();
  const name = cursor.readWord();
  const next = cursor.at();
  if (name === '' || !(isBlankOrEnd(next) || AFTER_NAME.has(next))) {
    throw cursor.fault('YamlBadAnchor', 'did not find expected alphabetic or numeric character');
  }
  return { type, name, start, end: cursor.mark };
}

/** Where a tag stands decides its faults' code: inside a directive it is the directive that is bad. */
type TagPlace = { readonly directive: boolean; readonly start: Mark };

const tagFault = (cursor: Cursor, place: TagPlace, problem: string): YamlFault =>
  cursor.fault(place.directive ? 'YamlBadDirective' : 'YamlBadTag', problem);

/** `!`, `!!` or `!name!`; or `!name`, which is no handle but the beginning of a tag (not in a directive). */
function scanHandle(cursor: Cursor, place: TagPlace): string {
  cursor.need(1);
  if (cursor.at() !== BANG) throw tagFault(cursor, place, "did not find expected '!'");
  cursor.skip();
  const handle = `!${cursor.readWord()}`;
  if (cursor.at() === BANG) {
    cursor.skip();
    return `${handle}!`;
  }
  if (place.directive && handle !== '!') throw tagFault(cursor, place, "did not find expected '!'");
  return handle;
}

/** One percent-encoded UTF-8 character, as its bytes (each one char, which is enough to compare tags). */
function scanUriEscape(cursor: Cursor, place: TagPlace): string {
  let octets = '';
  let left = -1;
  while (left !== 0) {
    cursor.need(3);
    if (cursor.at() !== 0x25 || !isHex(cursor.at(1)) || !isHex(cursor.at(2))) {
      throw tagFault(cursor, place, 'did not find URI escaped octet');
    }
    const octet = parseInt(cursor.text.slice(cursor.pos + 1, cursor.pos + 3), 16);
    if (left < 0) left = leadWidth(octet);
    else if ((octet & 0xc0) !== 0x80) throw tagFault(cursor, place, 'found an incorrect trailing UTF-8 octet');
    if (left === 0) throw tagFault(cursor, place, 'found an incorrect leading UTF-8 octet');
    octets += String.fromCharCode(octet);
    for (let k = 0; k < 3; k++) cursor.skip();
    left--;
  }
  return octets;
}

function leadWidth(octet: number): number {
  if (octet < 0x80) return 1;
  if ((octet & 0xe0) === 0xc0) return 2;
  if ((octet & 0xf0) === 0xe0) return 3;
  return (octet & 0xf8) === 0xf0 ? 4 : 0;
}

/** `head` is what was read already (without its `!` in the result); an empty URI without a head is refused. */
function scanUri(cursor: Cursor, place: TagPlace, head: string): string {
  let uri = head.slice(1);
  let some = head !== '';
  cursor.need(1);
  for (let c = cursor.at(); isWord(c) || URI.has(c); c = cursor.at()) {
    if (c === 0x25) uri += scanUriEscape(cursor, place);
    else {
      uri += String.fromCharCode(c);
      cursor.skip();
    }
    cursor.need(1);
    some = true;
  }
  if (!some) throw tagFault(cursor, place, 'did not find expected tag URI');
  return uri;
}

/** `!<uri>`, `!suffix`, `!handle!suffix`, or `!` alone (no handle, suffix `!`). */
export function scanTag(cursor: Cursor): Token {
  const place: TagPlace = { directive: false, start: cursor.mark };
  const { handle, suffix } = scanTagParts(cursor, place);
  cursor.need(1);
  if (!isBlankOrEnd(cursor.at())) throw tagFault(cursor, place, 'did not find expected whitespace or line break');
  return { type: 'Tag', handle, suffix, start: place.start, end: cursor.mark };
}

function scanTagParts(cursor: Cursor, place: TagPlace): { handle: string; suffix: string } {
  cursor.need(2);
  if (cursor.at(1) === 0x3c) {
    cursor.skip();
    cursor.skip();
    const suffix = scanUri(cursor, place, '');
    if (cursor.at() !== 0x3e) throw tagFault(cursor, place, "did not find the expected '>'");
    cursor.skip();
    return { handle: '', suffix };
  }
  const handle = scanHandle(cursor, place);
  if (handle.length > 1 && handle.endsWith('!')) return { handle, suffix: scanUri(cursor, place, '') };
  const suffix = scanUri(cursor, place, handle);
  return suffix === '' ? { handle: '', suffix: '!' } : { handle: '!', suffix };
}

/** `%YAML 1.1` or `%TAG handle prefix`, to the end of its line; any other directive is refused. */
export function scanDirective(cursor: Cursor): Token {
  const start = cursor.mark;
  cursor.skip();
  const name = cursor.readWord();
  const broken = (problem: string): YamlFault => cursor.fault('YamlBadDirective', problem);
  if (name === '') throw broken('could not find expected directive name');
  if (!isBlankOrEnd(cursor.at())) throw broken('found unexpected non-alphabetical character');
  let token: Token;
  if (name === 'YAML') token = scanVersion(cursor, start);
  else if (name === 'TAG') token = scanTagDirective(cursor, start);
  else throw broken('found unknown directive name');
  cursor.skipBlanks();
  cursor.skipComment();
  if (!isBreakOrEnd(cursor.at())) throw broken('did not find expected comment or line break');
  cursor.need(2);
  cursor.readLine();
  return token;
}

function scanVersion(cursor: Cursor, start: Mark): Token {
  cursor.skipBlanks();
  const major = scanVersionNumber(cursor);
  if (cursor.at() !== 0x2e) throw cursor.fault('YamlBadDirective', "did not find expected digit or '.' character");
  cursor.skip();
  const minor = scanVersionNumber(cursor);
  return { type: 'VersionDirective', major, minor, start, end: cursor.mark };
}

function scanVersionNumber(cursor: Cursor): number {
  const from = cursor.pos;
  cursor.need(1);
  while (isDigit(cursor.at())) {
    if (cursor.pos - from === 2) throw cursor.fault('YamlBadDirective', 'found extremely long version number');
    cursor.skip();
    cursor.need(1);
  }
  if (cursor.pos === from) throw cursor.fault('YamlBadDirective', 'did not find expected version number');
  return Number(cursor.text.slice(from, cursor.pos));
}

function scanTagDirective(cursor: Cursor, start: Mark): Token {
  const place: TagPlace = { directive: true, start };
  cursor.skipBlanks();
  const handle = scanHandle(cursor, place);
  cursor.need(1);
  if (!isBlank(cursor.at())) throw tagFault(cursor, place, 'did not find expected whitespace');
  cursor.skipBlanks();
  const prefix = scanUri(cursor, place, '');
  cursor.need(1);
  if (!isBlankOrEnd(cursor.at())) throw tagFault(cursor, place, 'did not find expected whitespace or line break');
  return { type: 'TagDirective', handle, prefix, start, end: cursor.mark };
}
