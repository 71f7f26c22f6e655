/** Encodings and how far the API server looks ahead: bad bytes count once its 512-byte reads have met them. */
import { describe, expect, it } from 'vitest';
import { readYaml } from '../../src/yaml/read.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const join = (...parts: readonly (string | readonly number[])[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((p) => (typeof p === 'string' ? [...encode(p)] : [...p])));
const codes = (bytes: Uint8Array): readonly string[] => readYaml(bytes).findings.map((f) => f.code);
const utf16 = (text: string, little: boolean): number[] =>
  Array.from({ length: text.length }, (_, i) => text.charCodeAt(i)).flatMap((c) =>
    little ? [c & 0xff, c >> 8] : [c >> 8, c & 0xff],
  );

describe('bytes that are no text', () => {
  it.each([
    ['a lone continuation byte', [0x80]],
    ['a byte that begins nothing', [0xff]],
    ['Latin-1', [0xe9, 0x20, 0x20]],
    ['an overlong form', [0xc0, 0xaf]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['beyond U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
    ['an end within a character', [0xe2, 0x82]],
  ])('are refused: %s', (_name, bytes) => {
    expect(codes(join('a: ', bytes))).toEqual(['YamlInvalidEncoding']);
  });

  it.each([[0x00], [0x01], [0x0b], [0x0c], [0x1b], [0x7f], [0xc2, 0x80], [0xef, 0xbf, 0xbe]])(
    'are refused as control characters: %s',
    (...bytes) => {
      expect(codes(join('a: b', bytes))).toEqual(['YamlControlCharacter']);
    },
  );

  it('count behind the first document where the read that holds its end holds them', () => {
    const document = 'a: b\n---\n';
    const rest = 'x'.repeat(503);
    expect(codes(join(document, rest.slice(0, 502), [0xff]))).toContain('YamlInvalidEncoding');
    expect(codes(join(document, rest, [0xff]))).toEqual(['MultipleDocuments']);
  });

  it('count when a read ends within a character', () => {
    const comment = `#${'x'.repeat(508)}\n`;
    expect(codes(join(comment, 'é: b'))).toEqual([]);
    expect(codes(join(comment, [0x61, 0xc3], ': b'))).toEqual(['YamlInvalidEncoding']);
  });
});

describe('UTF-16', () => {
  it.each([
    ['little', true],
    ['big', false],
  ])('is read behind its byte order mark: %s endian', (_name, little) => {
    const mark = little ? [0xff, 0xfe] : [0xfe, 0xff];
    const { root, findings } = readYaml(join(mark, utf16('a: é😀', little)));
    expect(findings).toEqual([]);
    expect(root).toMatchObject({ pairs: [{ key: { text: 'a' }, value: { text: 'é😀' } }] });
  });

  it.each([
    ['half a character', [0x61]],
    ['a low surrogate alone', utf16('\udc00', true)],
    ['a high surrogate alone', utf16('\ud800a', true)],
    ['half a pair', utf16('\ud800', true)],
  ])('is refused with %s', (_name, bytes) => {
    expect(codes(join([0xff, 0xfe], utf16('a: b', true), bytes))).toEqual(['YamlInvalidEncoding']);
  });
});

describe('a second byte order mark', () => {
  it('makes the reader skip the first character of lines, as the API server does', () => {
    const { root } = readYaml(encode('\ufeff\ufeff# c\nxa: b\n'));
    expect(root).toMatchObject({ pairs: [{ key: { text: 'a' } }] });
  });
});
