/** Every node knows its byte offset, line and column; faults stand where a person looks for them. */
import { describe, expect, it } from 'vitest';
import { readYaml } from '../../src/yaml/read.ts';
import type { Node } from '../../src/yaml/types.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

function scalars(node: Node | undefined): { text: string; offset: number; line: number; column: number }[] {
  if (node === undefined || node.kind === 'alias') return [];
  if (node.kind === 'scalar') return [{ text: node.text, ...node.at }];
  if (node.kind === 'sequence') return node.items.flatMap(scalars);
  return node.pairs.flatMap((p) => [...scalars(p.key), ...scalars(p.value)]);
}

describe('places of nodes', () => {
  it('count lines and columns from 1, columns in code points and offsets in bytes', () => {
    const yaml = 'é: "😀"\n- x\n'.replace('- x', '😀k: [a,  é😀, b]');
    expect(scalars(readYaml(encode(yaml)).root)).toEqual([
      { text: 'é', offset: 0, line: 1, column: 1 },
      { text: '😀', offset: 4, line: 1, column: 4 },
      { text: '😀k', offset: 11, line: 2, column: 1 },
      { text: 'a', offset: 19, line: 2, column: 6 },
      { text: 'é😀', offset: 23, line: 2, column: 10 },
      { text: 'b', offset: 31, line: 2, column: 14 },
    ]);
  });

  it.each([
    ['CRLF', 'a: b\r\nc: d\r\n', { offset: 6, line: 2, column: 1 }],
    ['CR', 'a: b\rc: d', { offset: 5, line: 2, column: 1 }],
    ['a byte order mark', '\ufeffa: b\nc: d', { offset: 8, line: 2, column: 1 }],
  ])('count over %s', (_name, yaml, at) => {
    expect(scalars(readYaml(encode(yaml)).root)[2]).toEqual({ text: 'c', ...at });
  });

  it('hold in UTF-16 too, with offsets in bytes', () => {
    const units = [...'a: b\nc: d'].flatMap((c) => [c.charCodeAt(0), 0]);
    const { root } = readYaml(Uint8Array.of(0xff, 0xfe, ...units));
    expect(scalars(root)[2]).toEqual({ text: 'c', offset: 12, line: 2, column: 1 });
  });

  it.each([
    ['an unclosed quote: where it opens', 'a: b\nc: "d\ne: f\n', 'YamlUnterminated', { line: 2, column: 4 }],
    ['a key without colon: the key', 'a: b\nrules\nc: d\n', 'YamlMissingColon', { line: 2, column: 1 }],
    ['a tab in the indentation: the tab', 'a:\n\tb: c\n', 'YamlTab', { line: 2, column: 1 }],
    ['an unknown anchor: the alias', 'a: [x,\n  *y]\n', 'YamlUnknownAnchor', { line: 2, column: 3 }],
    ['a control character: itself', 'a: b\nc: d\u0001\n', 'YamlControlCharacter', { line: 2, column: 5 }],
    ['a tag that does not fit: the scalar', 'a:\n  - !!int x\n', 'YamlTagMismatch', { line: 2, column: 5 }],
  ])('of faults: %s', (_name, yaml, code, at) => {
    expect(readYaml(encode(yaml)).findings).toMatchObject([{ severity: 'error', code, at }]);
  });

  it.each([
    ['says where the second document begins', 'a: b\n---\n# c\nd: [\n', { line: 4, column: 1 }],
    ['counts text behind an end mark', 'a: b\n...\nc\n', { line: 3, column: 1 }],
    ['is silent about end marks and comments', 'a: b\n---\n...\n  # c\n\n', undefined],
  ])('of what nobody reads: %s', (_name, yaml, at) => {
    const { findings } = readYaml(encode(yaml));
    if (at === undefined) expect(findings).toEqual([]);
    else expect(findings).toMatchObject([{ severity: 'warning', code: 'MultipleDocuments', at }]);
  });
});
