/** One text for one value: what digests are made of. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson, isSameJson, sha256 } from '../../src/config/canonical.ts';

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

  it('sorts keys as strings compare, however many there are and in whatever order they come', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { maxLength: 60 }), (keys) => {
        const text = canonicalJson(Object.fromEntries(keys.map((key) => [key, 1])));
        const own = [...new Set(keys)].filter((key) => key !== '__proto__').sort();
        expect(text).toBe(`{${own.map((key) => `${JSON.stringify(key)}:1`).join(',')}}`);
      }),
    );
  });

  it('is compared without being written, with the same result', () => {
    const value = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        fc.constantFrom('a', 'b', 0, -0, 1, true, null),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom('a', 'b', 'toString'), fc.oneof(tie('value'), fc.constant(undefined)), {
          noNullPrototype: true,
        }),
      ),
    })).value;
    const isSame = (a: unknown, b: unknown): boolean => canonicalJson(a) === canonicalJson(b);
    fc.assert(
      fc.property(value, value, (a, b) => {
        expect(isSameJson(a, b)).toBe(isSame(a, b));
        expect(isSameJson(a, structuredClone(a))).toBe(true);
      }),
      { numRuns: 2_000 },
    );
    expect(() => isSameJson([undefined], [undefined])).toThrow(/no canonical form/);
  });

  it('hashes text as its UTF-8', () => {
    expect(sha256('é')).toBe(createHash('sha256').update(Buffer.from('é', 'utf8')).digest('hex'));
  });
});
