/**
 * Bytes to text, as the API server's YAML reader does it: UTF-8, or UTF-16 behind a byte order mark; no control
 * characters. It reads ahead 512 bytes at a time and only as far as it needs, so a bad byte after the first document
 * stops it or not depending on where it stands: the ends of these reads are kept, and the cursor asks for them one by one.
 */
import type { YamlCode } from './fault.ts';

export type Decoded = {
  /** The characters before the first bad one. */
  readonly text: string;
  /** Ends of the reads in `text`, in UTF-16 units. */
  readonly reads: readonly number[];
  /** Bytes before the first character, and how wide characters are. */
  readonly start: number;
  readonly wide: boolean;
  /** Met by the read after the last of `reads`. */
  readonly fault?: { readonly code: YamlCode; readonly problem: string };
};

type Bad = { readonly code: YamlCode; readonly problem: string };
const bad = (problem: string): Bad => ({ code: 'YamlInvalidEncoding', problem });
const CONTROL: Bad = { code: 'YamlControlCharacter', problem: 'control characters are not allowed' };

const READ_SIZE = 512;

const isAllowed = (c: number): boolean =>
  (c >= 0x20 && c <= 0x7e) ||
  c === 0x0a ||
  c === 0x09 ||
  c === 0x0d ||
  c === 0x85 ||
  (c >= 0xa0 && c <= 0xd7ff) ||
  (c >= 0xe000 && c <= 0xfffd) ||
  (c >= 0x10000 && c <= 0x10ffff);

/** Where the bytes of one character end, its number of UTF-16 units; `more` when it goes past `end`. */
type Step = { readonly width: number; readonly code: number } | 'more' | Bad;

function utf8Width(lead: number): number {
  if (lead < 0x80) return 1;
  if ((lead & 0xe0) === 0xc0) return 2;
  if ((lead & 0xf0) === 0xe0) return 3;
  return (lead & 0xf8) === 0xf0 ? 4 : 0;
}

function utf8Step(bytes: Uint8Array, at: number, end: number): Step {
  const lead = bytes[at] ?? 0;
  const width = utf8Width(lead);
  if (width === 0) return bad('invalid leading UTF-8 octet');
  if (at + width > end) return 'more';
  let code = width === 1 ? lead : lead & (0x7f >> width);
  for (let k = 1; k < width; k++) {
    const octet = bytes[at + k] ?? 0;
    if ((octet & 0xc0) !== 0x80) return bad('invalid trailing UTF-8 octet');
    code = (code << 6) + (octet & 0x3f);
  }
  if (code < (width === 2 ? 0x80 : width === 3 ? 0x800 : width === 4 ? 0x10000 : 0)) {
    return bad('invalid length of a UTF-8 sequence');
  }
  if ((code >= 0xd800 && code <= 0xdfff) || code > 0x10ffff) return bad('invalid Unicode character');
  return isAllowed(code) ? { width, code } : CONTROL;
}

function utf16Step(little: boolean): (bytes: Uint8Array, at: number, end: number) => Step {
  return (bytes, at, end) => {
    const unit = (i: number): number => {
      const [a, b] = [bytes[i] ?? 0, bytes[i + 1] ?? 0];
      return little ? a + (b << 8) : b + (a << 8);
    };
    if (at + 2 > end) return 'more';
    const high = unit(at);
    if ((high & 0xfc00) === 0xdc00) return bad('unexpected low surrogate area');
    if ((high & 0xfc00) !== 0xd800) return isAllowed(high) ? { width: 2, code: high } : CONTROL;
    if (at + 4 > end) return 'more';
    const low = unit(at + 2);
    if ((low & 0xfc00) !== 0xdc00) return bad('expected low surrogate area');
    return { width: 4, code: 0x10000 + ((high & 0x3ff) << 10) + (low & 0x3ff) };
  };
}

/** Length of the byte order mark, and the step that reads one character behind it. */
function encodingOf(bytes: Uint8Array): { bom: number; wide: boolean; little: boolean } {
  const [a, b, c] = bytes;
  if (a === 0xff && b === 0xfe) return { bom: 2, wide: true, little: true };
  if (a === 0xfe && b === 0xff) return { bom: 2, wide: true, little: false };
  return { bom: a === 0xef && b === 0xbb && c === 0xbf ? 3 : 0, wide: false, little: false };
}

/** `bytes` as characters, up to the first that the API server refuses. An empty input reads as one line break. */
export function decodeText(input: Uint8Array): Decoded {
  const bytes = input.length === 0 ? Uint8Array.of(0x0a) : input;
  const { bom, wide, little } = encodingOf(bytes);
  const step = wide ? utf16Step(little) : utf8Step;
  const reads: number[] = [];
  let fault: Bad | undefined;
  let at = bom;
  let units = 0;
  for (let from = 0; fault === undefined && from < bytes.length;) {
    const end = Math.min(from + READ_SIZE, bytes.length);
    while (at < end) {
      const ascii = bytes[at] ?? 0;
      if (!wide && ascii >= 0x20 && ascii < 0x7f) {
        at++;
        units++;
        continue;
      }
      const s = step(bytes, at, end);
      if (s === 'more') break;
      if ('problem' in s) {
        fault = s;
        break;
      }
      at += s.width;
      units += s.code > 0xffff ? 2 : 1;
    }
    if (fault === undefined) reads.push(units);
    if (end === bytes.length) {
      // What is left of a character at the end of the input is found by the read that finds the end.
      if (fault === undefined && at < end) fault = incomplete(wide, end - at);
      break;
    }
    from = at;
  }
  const label = wide ? (little ? 'utf-16le' : 'utf-16be') : 'utf-8';
  const text = new TextDecoder(label, { ignoreBOM: true }).decode(bytes.subarray(bom, at));
  return { text, reads, start: bom, wide, ...(fault === undefined ? {} : { fault }) };
}

function incomplete(wide: boolean, left: number): Bad {
  if (!wide) return bad('incomplete UTF-8 octet sequence');
  return bad(left < 2 ? 'incomplete UTF-16 character' : 'incomplete UTF-16 surrogate pair');
}
