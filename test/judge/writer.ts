/**
 * Writes a tree as YAML in one of many styles: block and flow, every scalar style, anchors and aliases, tags, merges,
 * explicit keys, comments, odd indentation. Mostly valid; where a style does not fit a text it is simply wrong, which
 * is wanted too: the judge decides, not this file.
 */
import type { Tree } from './model.ts';
import type { Random } from './random.ts';
import type { Binary } from './vocabulary.ts';
import { utf8 } from './vocabulary.ts';

/** One file's habits, so that it looks like a file and not like noise. */
type Habits = {
  readonly random: Random;
  readonly indent: number;
  readonly flow: number;
  readonly quotes: 'double' | 'single' | 'plain' | 'any';
  /** How often something unusual: tags, anchors, explicit keys, block scalars. */
  readonly fancy: number;
  readonly comments: number;
  /** Lists directly under a key at the key's own column. */
  readonly indentless: boolean;
  /** Anchored texts so far, by what they hold. */
  readonly anchors: Map<string, string>;
};

const PLAIN = /^[A-Za-z/][A-Za-z0-9:./*-]*$/;
const RESERVED = /^(y|n|yes|no|on|off|true|false|null)$/i;

function habits(random: Random): Habits {
  return {
    random,
    indent: random.pick([2, 2, 2, 4, 1, 3, 5]),
    flow: random.pick([0, 0.1, 0.3, 0.5, 1]),
    quotes: random.pick(['double', 'double', 'single', 'plain', 'any']),
    fancy: random.pick([0, 0.02, 0.1, 0.3]),
    comments: random.pick([0, 0.1, 0.3]),
    indentless: random.chance(0.5),
    anchors: new Map(),
  };
}

function escaped(h: Habits, s: string): string {
  const random = h.random;
  const out = [...s].map((c) => {
    const code = c.codePointAt(0) ?? 0;
    if (c === '"' || c === '\\') return `\\${c}`;
    if (code < 32) return `\\x${code.toString(16).padStart(2, '0')}`;
    if (!random.chance(h.fancy)) return c;
    if (code < 256 && random.chance(0.5)) return `\\x${code.toString(16).padStart(2, '0')}`;
    if (code < 65536 && random.chance(0.5)) return `\\u${code.toString(16).toUpperCase().padStart(4, '0')}`;
    return `\\U${code.toString(16).padStart(8, '0')}`;
  });
  return `"${out.join('')}"`;
}

function quoted(h: Habits, s: string): string {
  const style = h.quotes === 'any' ? h.random.pick(['double', 'single', 'plain'] as const) : h.quotes;
  if (style === 'plain' && PLAIN.test(s) && !RESERVED.test(s) && !s.endsWith(':')) return s;
  if (style === 'single' && !/[\n\t]/.test(s)) return `'${s.replaceAll("'", "''")}'`;
  return escaped(h, s);
}

function blockScalar(h: Habits, s: string, depth: number): string {
  const pad = ' '.repeat(depth * h.indent);
  const hint = h.random.chance(0.2) ? String(h.indent) : '';
  const chomp = h.random.pick(['-', '-', '-', '', '+']);
  const head = h.random.pick(['|', '>']) + (h.random.chance(0.5) ? hint + chomp : chomp + hint);
  const breaks = h.random.chance(0.1) ? '\n\n' : '';
  return `${head}${h.random.chance(0.1) ? ' # c' : ''}\n${pad}${s}${breaks}`;
}

function scalar(h: Habits, tree: Tree & { is: 'text' | 'raw' }, depth: number | 'flow'): string {
  if (tree.is === 'raw') return tree.text;
  const { random, anchors } = h;
  const known = anchors.get(tree.text);
  if (known !== undefined && random.chance(0.3)) return `*${known}${depth === 'flow' ? ' ' : ''}`;
  let out = quoted(h, tree.text);
  if (typeof depth === 'number' && random.chance(h.fancy / 2) && !/\n/.test(tree.text))
    out = blockScalar(h, tree.text, depth + 1);
  if (random.chance(h.fancy)) out = `${random.pick(['!!str', '!', '!x', '!<tag:yaml.org,2002:str>'])} ${out}`;
  if (random.chance(h.fancy)) {
    const name = `a${anchors.size}`;
    anchors.set(tree.text, name);
    out = `&${name} ${out}`;
  }
  return out;
}

function flow(h: Habits, tree: Tree): string {
  const { random } = h;
  const gap = random.pick(['', '', ' ', '', random.chance(0.1) ? '\n   ' : '']);
  switch (tree.is) {
    case 'text':
    case 'raw':
      return scalar(h, tree, 'flow');
    case 'list': {
      const trailing = random.chance(h.fancy) ? ',' : '';
      return `[${gap}${tree.items.map((i) => flow(h, i)).join(`,${gap || ' '}`)}${gap}${trailing}]`;
    }
    case 'map': {
      const pairs = tree.pairs.map(([k, v]) => {
        const explicit = random.chance(h.fancy / 3) ? '? ' : '';
        const glue = random.chance(h.fancy) ? random.pick([' : ', ':\n   ', ' :', ':']) : ': ';
        return `${explicit}${flow(h, k)}${glue}${flow(h, v)}`;
      });
      return `{${gap}${pairs.join(`,${gap || ' '}`)}${gap}}`;
    }
  }
}

function comment(h: Habits, pad: string): string {
  if (!h.random.chance(h.comments)) return '';
  return h.random.pick([`${pad}# comment: [x\n`, '# at the margin\n', '\n', `${pad}  # deeper\n`, `${pad}#\n`]);
}

const properties = (h: Habits, kind: 'seq' | 'map'): string =>
  h.random.chance(h.fancy / 2) ? h.random.pick([` !!${kind}`, ' !', ` &m${h.random.below(4)}`, ` &n !!${kind}`]) : '';

function isFlow(h: Habits, tree: Tree, depth: number): boolean {
  if (tree.is === 'list') return tree.items.length === 0 || h.random.chance(depth < 2 ? h.flow / 10 : h.flow);
  if (tree.is === 'map') return tree.pairs.length === 0 || h.random.chance(depth < 1 ? h.flow / 20 : h.flow / 2);
  return true;
}

/** `tree` after a `- ` or a `key:`, with what separates it from them. */
function after(h: Habits, tree: Tree, depth: number, place: 'dash' | 'colon'): string {
  const tail = h.random.chance(h.comments / 3) ? ' # c' : '';
  if (tree.is === 'text' || tree.is === 'raw') return ` ${scalar(h, tree, depth)}${tail}\n`;
  if (isFlow(h, tree, depth)) return `${properties(h, tree.is === 'list' ? 'seq' : 'map')} ${flow(h, tree)}${tail}\n`;
  if (tree.is === 'list') {
    const same = place === 'colon' && h.indentless;
    return `${properties(h, 'seq')}${tail}\n${block(h, tree, same ? depth : depth + 1)}`;
  }
  const body = block(h, tree, depth + 1);
  const pad = ' '.repeat((depth + 1) * h.indent);
  const compact = place === 'dash' && h.indent >= 2 && body.startsWith(pad) && !/^ *(#|\n)/.test(body);
  if (compact && h.random.chance(0.9)) return `${' '.repeat(h.indent - 1)}${body.slice(pad.length)}`;
  return `${properties(h, 'map')}${tail}\n${body}`;
}

function block(h: Habits, tree: Tree, depth: number): string {
  const pad = ' '.repeat(depth * h.indent);
  switch (tree.is) {
    case 'text':
    case 'raw':
      return `${pad}${scalar(h, tree, depth)}\n`;
    case 'list':
      return tree.items.map((item) => `${comment(h, pad)}${pad}-${after(h, item, depth, 'dash')}`).join('');
    case 'map':
      return tree.pairs
        .map(([k, v]) => {
          const explicit = h.random.chance(h.fancy / 4);
          const key = h.random.chance(h.fancy / 2)
            ? flow(h, k)
            : k.is === 'text' && PLAIN.test(k.text)
              ? k.text
              : flow(h, k);
          const start = explicit
            ? `${pad}? ${key}\n${pad}:`
            : `${pad}${key}${h.random.chance(h.fancy / 4) ? ' ' : ''}:`;
          return `${comment(h, pad)}${start}${after(h, v, depth, 'colon')}`;
        })
        .join('');
  }
}

/** The whole file. */
export function written(tree: Tree, random: Random): Binary {
  const h = habits(random);
  const head = random.weighted({ '': 10, '---\n': 2, '--- # c\n': 0.3, '%YAML 1.1\n---\n': 0.3, '# policy\n\n': 1 });
  const end = random.weighted({ '': 10, '...\n': 0.5, '---\nkind: Other\n': 0.5 });
  const inFlow = random.chance(0.05);
  return utf8(head + (inFlow ? `--- ${flow(h, tree)}\n` : block(h, tree, 0)) + end);
}

/** The tree as JSON, with JSON's own quirks now and then. */
export function asJson(tree: Tree, random: Random): Binary {
  const gap = random.pick(['', ' ', '\n  ']);
  const odd = random.pick([0, 0, 0.01]);
  const value = (t: Tree): string => {
    switch (t.is) {
      case 'text':
        return random.chance(odd) ? random.pick(JSON_ODDITIES) : JSON.stringify(t.text);
      case 'raw':
        if (/^(true|yes|on|y)$/i.test(t.text)) return 'true';
        if (/^(false|no|off)$/i.test(t.text)) return 'false';
        return /^(true|false|null|-?(0|[1-9]\d*)(\.\d+)?|\[\]|\{\})$/.test(t.text) ? t.text : JSON.stringify(t.text);
      case 'list':
        return `[${t.items.map(value).join(`,${gap}`)}]`;
      case 'map':
        return `{${gap}${t.pairs.map(([k, v]) => `${value(k)}:${gap}${value(v)}`).join(`,${gap}`)}}`;
    }
  };
  return utf8(value(tree) + random.weighted({ '': 10, '\n': 5, ' {}': 0.2, '\n---\n': 0.2, ' ': 1 }));
}

const JSON_ODDITIES = [
  ...[
    '1',
    '-0',
    '1e3',
    '1E+2',
    '0.5',
    'true',
    'null',
    '{}',
    '[]',
    '[null]',
    '{"a":{"a":1,"a":2}}',
    '01',
    '+1',
    '.5',
    '1.',
  ],
  ...[
    '"\\ud83d\\ude00"',
    '"\\ud800"',
    '"\\udc00x"',
    '"\\u0000"',
    '"\\/"',
    '"\\x"',
    '"\\u12"',
    '"\t"',
    'nul',
    "'a'",
    '"',
    '\\',
  ],
  ...[
    '"level"',
    '"users"',
    '"a\\nb"',
    '"\\b\\f\\r\\t"',
    '12345678901234567890',
    '1e400',
    '[1,]',
    '{"a":1,}',
    '[',
    '{',
    ']',
    'tru',
  ],
];
