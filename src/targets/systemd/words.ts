/**
 * Splits a command line of a unit into words, as systemd does (systemd.service, "Command lines"; extract_first_word):
 * quotes anywhere, C escapes, white space in between. Each word keeps its place in the file's text. Called by unit.ts,
 * edit.ts and rancher/unit-args.ts.
 */
import type { Assignment } from './unit-file.ts';

export type Word = {
  /** Quotes and escapes taken off; variables and specifiers as written. */
  readonly text: string;
  /** Where it stands in the file's text; `to` is behind it. */
  readonly from: number;
  readonly to: number;
};

const ESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  '"': '"',
  "'": "'",
  s: ' ',
};

/** Character and length of an escape; null for one that systemd does not know. */
function unescape(rest: string): { readonly char: string; readonly length: number } | null {
  const known = ESCAPES[rest[0] ?? ''];
  if (known !== undefined) return { char: known, length: 1 };
  const [hex, octal] = [/^(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4}))/.exec(rest), /^[0-7]{3}/.exec(rest)];
  const code = hex === null ? parseInt(octal?.[0] ?? '', 8) : parseInt(hex[1] ?? hex[2] ?? '', 16);
  return Number.isNaN(code) || code === 0
    ? null
    : { char: String.fromCharCode(code), length: (hex ?? octal)?.[0].length ?? 0 };
}

type Scan = { readonly text: string; readonly next: number } | null;

/** One word from `start` on; null where a quote is not closed or an escape is unknown. */
function scanWord(value: string, start: number): Scan {
  let text = '';
  let quote = '';
  let i = start;
  for (; i < value.length; i++) {
    const c = value[i] ?? '';
    if (c === '\\') {
      const e = unescape(value.slice(i + 1));
      if (e === null) return null;
      text += e.char;
      i += e.length;
    } else if (quote !== '') {
      if (c === quote) quote = '';
      else text += c;
    } else if (c === '"' || c === "'") quote = c;
    else if (/\s/.test(c)) break;
    else text += c;
  }
  return quote === '' ? { text, next: i } : null;
}

/** null where systemd would refuse the line. */
export function splitWords({ value, offsets }: Pick<Assignment, 'value' | 'offsets'>): readonly Word[] | null {
  const words: Word[] = [];
  let i = 0;
  for (;;) {
    while (i < value.length && /\s/.test(value[i] ?? '')) i++;
    if (i >= value.length) return words;
    const word = scanWord(value, i);
    if (word === null) return null;
    words.push({ text: word.text, from: offsets[i] ?? 0, to: (offsets[word.next - 1] ?? 0) + 1 });
    i = word.next;
  }
}

/** The same for a value that stands in no file: of a variable, say. Broken quotes are taken as they are. */
export function splitText(text: string): readonly string[] {
  const offsets = Array.from({ length: text.length }, (_, i) => i);
  return (splitWords({ value: text, offsets }) ?? []).map((w) => w.text);
}
