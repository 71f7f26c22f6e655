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

function seconds(work: () => void): number {
  const from = performance.now();
  work();
  return (performance.now() - from) / 1000;
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

  it.each([
    ['a list in itself', 'a: &a [*a]'],
    ['a mapping in itself', 'a: &a {b: {c: *a}}'],
    ['a merge of itself', 'a: &a {<<: *a}'],
    ['two in each other', 'a: &a [&b [*a], *b]'],
  ])('are refused that contain %s', (_name, yaml) => {
    expect(codes(yaml)).toEqual(['YamlAliasContainsItself']);
  });
});

// Anything quadratic would take minutes here; the bound leaves room for a busy machine.
describe('large inputs take linear time', () => {
  const keys = Array.from({ length: 60_000 }, (_, i) => `key${i}: value${i}\n`).join('');
  it.each([
    ['60,000 keys', keys],
    ['60,000 keys in one line', `{${keys.replaceAll('\n', ', ')}}`],
    ['60,000 equal keys', 'a: b\n'.repeat(60_000)],
    ['one scalar of a megabyte', `a: "${'x y '.repeat(250_000)}"`],
    ['a megabyte of comments', '# comment\n'.repeat(100_000)],
    ['one plain scalar of many lines', `a: ${'word\n '.repeat(100_000)}`],
    ['a long block scalar', `a: |\n${'  line\n'.repeat(100_000)}`],
    ['many anchors', Array.from({ length: 60_000 }, (_, i) => `- &a${i} x\n`).join('')],
  ])('%s', (_name, yaml) => {
    codes(yaml.slice(0, 2000));
    expect(seconds(() => codes(yaml))).toBeLessThan(8);
  });
});
