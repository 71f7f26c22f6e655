/**
 * Broken policies as they come about: one to a few small edits of a good one. Byte edits (a typo, a lost line), token
 * edits (a value that YAML reads in its own way), and file edits (line ends, byte order marks, encodings).
 */
import type { Random } from './random.ts';
import type { Binary } from './vocabulary.ts';
import * as words from './vocabulary.ts';
import { utf8 } from './vocabulary.ts';

type Edit = (text: Binary, random: Random) => Binary;

const splice = (text: Binary, at: number, remove: number, insert = ''): Binary =>
  text.slice(0, at) + insert + text.slice(at + remove);

/** Applies `change` to one line (without its line end). */
function onLine(text: Binary, random: Random, change: (line: Binary, lines: Binary[], i: number) => Binary[]): Binary {
  const lines = text.split('\n');
  const i = random.below(lines.length);
  lines.splice(i, 1, ...change(lines[i] ?? '', lines, i));
  return lines.join('\n');
}

/** The place of one occurrence of `pattern`. */
function find(text: Binary, random: Random, pattern: RegExp): { at: number; found: string } | undefined {
  const all = [...text.matchAll(pattern)];
  if (all.length === 0) return undefined;
  const m = random.pick(all);
  return { at: m.index, found: m[0] };
}

function replaceOne(text: Binary, random: Random, pattern: RegExp, by: (found: string) => string): Binary {
  const place = find(text, random, pattern);
  return place === undefined ? text : splice(text, place.at, place.found.length, by(place.found));
}

const FIELD = /[A-Za-z]+(?=['"]?\s*:)/g;
const VALUE = /"[^"\n]*"|'[^'\n]*'|[A-Za-z0-9][A-Za-z0-9:./*-]*(?=[\s,\]}]|$)/g;

const byteEdits: readonly Edit[] = [
  (t, r) => splice(t, r.below(t.length + 1), 1),
  (t, r) => splice(t, r.below(t.length + 1), r.between(1, 6)),
  (t, r) => splice(t, r.below(t.length + 1), 0, r.pick([...' \t\n:-#,[]{}&*!|>\'"%@`?~\\'])),
  (t, r) => splice(t, r.below(t.length + 1), 1, r.pick([...' \t\n:-#,[]{}&*!|>\'"%@`?~\\'])),
  (t, r) => splice(t, r.below(t.length + 1), 0, r.pick(words.TOKENS)),
  (t, r) => splice(t, r.below(t.length + 1), r.below(4), r.pick(words.TOKENS)),
  (t, r) => splice(t, r.below(t.length + 1), r.below(2), String.fromCharCode(r.below(256))),
  (t, r) => {
    const at = r.below(Math.max(1, t.length - 1));
    return splice(t, at, 2, (t[at + 1] ?? '') + (t[at] ?? ''));
  },
  (t, r) => {
    const at = r.below(t.length + 1);
    return splice(t, at, 0, t.slice(r.below(at + 1), at));
  },
  (t, r) => t.slice(0, r.below(t.length + 1)),
];

const lineEdits: readonly Edit[] = [
  (t, r) => onLine(t, r, () => []),
  (t, r) => onLine(t, r, (line) => [line, line]),
  (t, r) => onLine(t, r, (line) => [`${' '.repeat(r.between(1, 3))}${line}`]),
  (t, r) => onLine(t, r, (line) => [line.replace(/^ {1,2}/, '')]),
  (t, r) => onLine(t, r, (line) => [line.replace(/^ */, (s) => '\t'.repeat(Math.ceil(s.length / 2)))]),
  (t, r) => onLine(t, r, (line) => [line, '']),
  (t, r) => onLine(t, r, (line) => [`${' '.repeat(r.below(8))}# comment: [`, line]),
  (t, r) =>
    onLine(t, r, (line) => [
      `${line}${r.pick([' # c', '#c', ' ', '\t', ' \t# c', '\t#', '\r', ',', ':', ' :', ' |', '-'])}`,
    ]),
  (t, r) =>
    onLine(t, r, (line) => [
      `${line}`,
      r.pick(['---', '...', '--- ', '--- # c', '...\n---', '%YAML 1.1', '--- |', '---x', '....']),
    ]),
  (t, r) => onLine(t, r, (line, lines) => [line, lines[r.below(lines.length)] ?? '']),
  (t, r) => onLine(t, r, (line) => line.split(/(?<=[:,[{-]) /).map((p, i) => (i === 0 ? p : `      ${p}`))),
];

const wordEdits: readonly Edit[] = [
  (t, r) => replaceOne(t, r, FIELD, () => r.pick(words.FIELDS)),
  (t, r) => replaceOne(t, r, FIELD, () => r.pick(words.NEAR_FIELDS)),
  (t, r) =>
    replaceOne(t, r, FIELD, (f) =>
      r.pick([`"${f}"`, `'${f}'`, `? ${f}\n`, `!!str ${f}`, `&k ${f}`, `${f} `, `${f}\t`]),
    ),
  (t, r) => replaceOne(t, r, VALUE, () => r.pick(words.ODD_SCALARS)),
  (t, r) => replaceOne(t, r, VALUE, () => r.pick(words.ODD_SCALARS)),
  (t, r) => replaceOne(t, r, VALUE, (v) => r.pick(words.TOKENS) + v),
  (t, r) =>
    replaceOne(
      t,
      r,
      VALUE,
      (v) => `${r.pick(['&a', '!!str', '!x', '!', '&a !!str', '!!str &b', '!!int', '!!binary', '!!bool'])} ${v}`,
    ),
  (t, r) => replaceOne(t, r, VALUE, (v) => (/^['"]/.test(v) ? v.slice(1, -1) : r.pick([`"${v}"`, `'${v}'`]))),
  (t, r) =>
    replaceOne(t, r, VALUE, (v) =>
      r.pick([`\n    ${v}`, `${v}\n       more`, `|\n      ${v}\n`, `>-\n      ${v}\n`, `"${v}\n  x"`]),
    ),
  (t, r) => replaceOne(t, r, VALUE, () => JSON.stringify(r.pick([...words.BAD_LEVELS, ...words.BAD_STAGES]))),
  (t, r) => replaceOne(t, r, VALUE, () => JSON.stringify(r.pick([...words.LEVEL_WORDS, ...words.STAGE_WORDS]))),
  (t, r) =>
    replaceOne(t, r, VALUE, () => utf8(JSON.stringify(r.pick([...words.BAD_GROUPS, ...words.BAD_URL_PATTERNS])))),
  (t, r) =>
    replaceOne(t, r, VALUE, () =>
      utf8(JSON.stringify(r.pick([...words.PATTERNS, ...words.URL_PATTERNS, ...words.NAMES]))),
    ),
  (t, r) => replaceOne(t, r, /[[\]{},:-]/g, () => r.pick([...'[]{},:-'])),
  (t, r) =>
    replaceOne(t, r, /[[\]{}]/g, (b) =>
      r.pick([`${b} `, ` ${b}`, `\n${b}`, `${b}\n`, `${b}\t`, `${b} # c\n`, `\t${b}`]),
    ),
  (t, r) =>
    replaceOne(t, r, /\[[^\]\n]*\]/g, (b) =>
      r.pick(['*a', '*known', '[]', 'null', '~', '{}', `[${b}]`, b.slice(1, -1), '- a', '']),
    ),
];

const fileEdits: readonly Edit[] = [
  (t) => t.replaceAll('\n', '\r\n'),
  (t) => t.replaceAll('\n', '\r'),
  (t, r) => t.replaceAll('\n', utf8(r.pick(['\u0085', '\u2028', '\u2029', '\n\n', ' \n']))),
  (t) => `\xef\xbb\xbf${t}`,
  (t) => `${t}\xef\xbb\xbf`,
  (t, r) => r.pick(['\xff\xfe', '\xfe\xff', '']) + utf16(t, r.chance(0.5)),
  (t) => t.trimEnd(),
  (t, r) =>
    r.pick([
      '---\n',
      '--- ',
      '\n\n',
      '# c\n',
      '%YAML 1.1\n---\n',
      '%YAML 1.2\n---\n',
      '%TAG !e! x\n---\n',
      '---\n---\n',
      '...\n',
      ' ',
      '\t',
    ]) + t,
  (t, r) =>
    t +
    r.pick([
      '---\n',
      '...\n',
      '---\nkind: X\n',
      '--- [',
      '... x',
      '\0',
      '\xff',
      '%YAML 1.1\n',
      '\n\n\n',
      '# c',
      ' x',
      '}',
      ']',
    ]),
  (t) => t.replaceAll('  ', '\t'),
  (t) => t.replace(/^(?=.)/gm, '  '),
  (t) => t.replaceAll('"', "'"),
  (t) => t.replaceAll(/^ *#.*\n/gm, ''),
];

/** What an editor or a person does without meaning to change anything; mostly it does not. */
const gentleEdits: readonly Edit[] = [
  (t, r) =>
    onLine(t, r, (line) => [`${' '.repeat(r.below(6))}# ${r.pick(['why', "don't", '[x', '- a: b', '"'])}`, line]),
  (t, r) => onLine(t, r, (line) => [`${line}${r.pick([' # c', ' ', '  ', '\t', '\r'])}`]),
  (t, r) => onLine(t, r, (line) => [line, r.pick(['', ' ', '#', '  # c'])]),
  (t, r) => replaceOne(t, r, VALUE, (v) => (/^['"]/.test(v) ? `'${v.slice(1, -1)}'` : `"${v}"`)),
  (t, r) =>
    replaceOne(t, r, /(?<=[[,] ?)(?=[\w"'])|(?=\])/g, () =>
      r.pick([' ', '  ', '\n      ', ' # c\n      ', '\n\n      ']),
    ),
  (t, r) => replaceOne(t, r, /(?<=resources: \[)(?=[\w"'])/g, () => `${JSON.stringify(r.pick(words.PATTERNS))}, `),
  (t, r) => replaceOne(t, r, /(?<=verbs: \[)(?=[\w"'])/g, () => `${r.pick(words.VERBS.filter((v) => v !== '*'))}, `),
  (t, r) => replaceOne(t, r, /(?<=level: )\w+/g, () => r.pick(words.LEVEL_WORDS)),
  (t, r) =>
    replaceOne(t, r, /^ *- level: .*$/gm, (line) => `${line}\n${' '.repeat(line.indexOf('-') + 2)}${r.pick(EXTRAS)}`),
  (t) => t.replaceAll('\n', '\r\n'),
  (t) => `\xef\xbb\xbf${t}`,
  (t, r) => (t.startsWith('%') ? t : r.pick(['---\n', '--- # c\n', '\n\n', '# c\n', '%YAML 1.1\n---\n'])) + t,
  (t, r) => `${t}${r.pick(['...\n', '---\nkind: X\n', '---\n[', '\n\n', '# c', '  \n'])}`,
];

const EXTRAS: readonly string[] = [
  ...[
    'namespaces: [kube-system]',
    'users: [alice, "bob"]',
    'omitManagedFields: on',
    'omitStages: [Panic]',
    'verbs: [get]',
  ],
  ...['userGroups: ["system:masters"]', 'verb: [get]', 'comment: x', 'resources:', 'namespaces: [""]', 'users: &u [a]'],
];

function utf16(text: Binary, little: boolean): Binary {
  return [...text].map((c) => (little ? `${c}\0` : `\0${c}`)).join('');
}

/** One to a few edits, most of them small. */
export function edited(text: Binary, random: Random): Binary {
  let out = text;
  const count = random.weighted({ '1': 6, '2': 2, '3': 1, '5': 0.3 });
  for (let i = 0; i < Number(count); i++) {
    const kind = random.weighted({ byte: 2.5, line: 2.5, word: 4, file: 0.5, gentle: 3.5 });
    const edits = { byte: byteEdits, line: lineEdits, word: wordEdits, file: fileEdits, gentle: gentleEdits }[kind];
    out = random.pick(edits)(out, random);
  }
  return out;
}

/** The beginning of one and the end of another. */
export function spliced(a: Binary, b: Binary, random: Random): Binary {
  const first = a.split('\n');
  const second = b.split('\n');
  return [...first.slice(0, random.below(first.length + 1)), ...second.slice(random.below(second.length + 1))].join(
    '\n',
  );
}
