/** Hostile inputs end in a finding: no overflow, no long wait. */
import { describe, expect, it } from 'vitest';
import { convertYaml } from '../../src/yaml/convert.ts';
import { readJson } from '../../src/yaml/json.ts';
import { readYaml } from '../../src/yaml/read.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

function codes(yaml: string): readonly string[] {
  const { root, findings } = readYaml(encode(yaml));
  return [...findings, ...(root === undefined ? [] : convertYaml(root).findings)].map((f) => f.code);
}

/** The best of three, so that a busy machine does not decide. */
function milliseconds(yaml: string): number {
  const runs = Array.from({ length: 3 }, () => {
    const from = performance.now();
    codes(yaml);
    return performance.now() - from;
  });
  return Math.min(...runs);
}

describe('deep nesting', () => {
  it.each([
    ['brackets', '['.repeat(20_000)],
    ['closed brackets', '['.repeat(12_000) + ']'.repeat(12_000)],
    ['braces', '{a: '.repeat(20_000)],
    ['block sequences', '- '.repeat(20_000)],
    ['block mappings', Array.from({ length: 3000 }, (_, i) => `${' '.repeat(i)}a:\n`).join('')],
    ['explicit keys', '? '.repeat(20_000)],
    [
      'indentless sequences',
      Array.from({ length: 3000 }, (_, i) => `${' '.repeat(2 * i)}a:\n${' '.repeat(2 * i)}-\n`).join(''),
    ],
  ])('of %s is refused', (_name, yaml) => {
    expect(codes(yaml)).toEqual(['YamlNestingTooDeep']);
  });

  it('through aliases is refused', () => {
    const deep = (inner: string): string => '['.repeat(600) + inner + ']'.repeat(600);
    expect(codes(`- &a ${deep('x')}\n- ${deep('*a')}`)).toEqual(['YamlNestingTooDeep']);
  });

  it('up to 900 levels is read', () => {
    expect(codes('['.repeat(900) + ']'.repeat(900))).toEqual([]);
  });

  it('of JSON is refused', () => {
    const { findings } = readJson(encode('{"a":'.repeat(50_000)));
    expect(findings).toMatchObject([{ code: 'JsonNestingTooDeep' }]);
  });
});

describe('aliases', () => {
  const bomb = (levels: number): string =>
    Array.from({ length: levels }, (_, i) => {
      const item = i === 0 ? 'x' : `*a${i - 1}`;
      return `- &a${i} [${Array.from({ length: 9 }, () => item).join(', ')}]`;
    }).join('\n');

  it('that multiply without end are refused', () => {
    expect(codes(bomb(40))).toEqual(['YamlExcessiveAliasing']);
  });

  it('that multiply a little are read', () => {
    expect(codes(bomb(2))).toEqual([]);
  });

  // The API server's own bounds, found by trying: 99 per cent, and less from 400,000 steps on.
  it.each([
    ['short lists', 200, 199],
    ['many lists', 98, 4009],
  ])('are refused from one more on: %s', (_name, items, most) => {
    const document = (aliases: number): string => `z: &z [${'b,'.repeat(items)}]\nq: [${'*z,'.repeat(aliases)}]`;
    expect(codes(document(most))).toEqual([]);
    expect(codes(document(most + 1))).toEqual(['YamlExcessiveAliasing']);
  });

  it.each([
    ['a list in itself', 'a: &a [*a]'],
    ['a mapping in itself', 'a: &a {b: {c: *a}}'],
    ['a merge of itself', 'a: &a {<<: *a}'],
    ['two in each other', 'a: &a [&b [*a], *b]'],
  ])('are refused that contain %s', (_name, yaml) => {
    expect(codes(yaml)).toEqual(['YamlAliasContainsItself']);
  });
});

describe('simple keys', () => {
  it.each([
    ['plain', (n: number): string => `${'k'.repeat(n)}: v`],
    ['quoted', (n: number): string => `"${'k'.repeat(n - 2)}": v`],
    ['in braces', (n: number): string => `{${'k'.repeat(n)}: v}`],
    ['of astral characters', (n: number): string => `${'😀'.repeat(n)}: v`],
  ])('have at most 1,024 characters: %s', (_name, make) => {
    expect(codes(make(1024))).toEqual([]);
    expect(codes(make(1025))).not.toEqual([]);
  });
});

// Sixteen times the input: a quadratic reader takes 256 times as long.
describe('large inputs take linear time', () => {
  const lines = (n: number, line: (i: number) => string): string =>
    Array.from({ length: n }, (_, i) => line(i)).join('');
  it.each<[string, (n: number) => string]>([
    ['keys', (n) => lines(n, (i) => `key${i}: value${i}\n`)],
    ['keys in one line', (n) => `{${lines(n, (i) => `key${i}: value${i}, `)}}`],
    ['equal keys', (n) => 'a: b\n'.repeat(n)],
    ['words in a quoted scalar', (n) => `a: "${'x y '.repeat(8 * n)}"`],
    ['comments', (n) => '# comment\n'.repeat(4 * n)],
    ['lines of a plain scalar', (n) => `a: ${'word\n '.repeat(4 * n)}`],
    ['lines of a block scalar', (n) => `a: |\n${'  line\n'.repeat(4 * n)}`],
    ['anchors', (n) => lines(n, (i) => `- &a${i} x\n`)],
    ['aliases', (n) => `a: &a {b: c}\nd:\n${'- {e: *a, f: [1, 2, 3]}\n'.repeat(n)}`],
    ['merges', (n) => `a: &a {b: c}\nd:\n${'- {<<: *a, f: [1, 2, 3]}\n'.repeat(n)}`],
  ])('%s', (_name, make) => {
    codes(make(500));
    const factor = (): number => milliseconds(make(6400)) / Math.max(milliseconds(make(400)), 2);
    // A busy machine may spoil some of these; what is quadratic fails them all.
    const factors = [factor()];
    while (factors.length < 5 && Math.min(...factors) >= 80) factors.push(factor());
    expect(Math.min(...factors)).toBeLessThan(80);
  });
});
