/** One text for one value: what digests are made of. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson, sha256 } from '../../src/config/canonical.ts';

describe('canonical JSON', () => {
  it('does not depend on the order of keys, and drops what is undefined', () => {
    expect(canonicalJson({ b: [2, { d: 1, c: null }], a: 'x', u: undefined })).toBe(
      '{"a":"x","b":[2,{"c":null,"d":1}]}',
    );
    expect(canonicalJson({ a: 'x', b: [2, { c: null, d: 1 }] })).toBe('{"a":"x","b":[2,{"c":null,"d":1}]}');
  });

  it('keeps the order of lists', () => {
    expect(canonicalJson([2, 1])).toBe('[2,1]');
  });

  it('reads back as the value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (v) => {
        expect(JSON.parse(canonicalJson(v))).toEqual(JSON.parse(JSON.stringify(v)));
      }),
    );
  });

  it.each([[new Uint8Array(2)], [Number.NaN], [() => 1], [new Map()], [undefined]])(
    'has no form for %s: that is a bug',
    (v) => {
      expect(() => canonicalJson(v)).toThrow(/no canonical form/);
    },
  );

  it('hashes text as its UTF-8', () => {
    expect(sha256('é')).toBe(createHash('sha256').update(Buffer.from('é', 'utf8')).digest('hex'));
  });
});
