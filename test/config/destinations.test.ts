/** What a datacenter allows: addresses and ranges against Node's own, names, ports, and several datacenters. */
import { BlockList, isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contains, parseAddress, parseRange } from '../../src/api/addresses.ts';
import { isAllowed } from '../../src/config/destinations.ts';

const arbText = fc.oneof(
  fc.ipV4(),
  fc.ipV6(),
  fc.stringMatching(/^[0-9a-f:.]{2,20}$/),
  fc.constantFrom(
    '::',
    '::1',
    '1::',
    '::ffff:10.0.0.1',
    '::1.2.3.4',
    '1:2:3:4:5:6:7::',
    '1.2.3.4::',
    '127.1',
    '010.0.0.1',
  ),
);

describe('addresses and ranges', () => {
  it('are those that Node takes for addresses, and no others', () => {
    fc.assert(
      fc.property(arbText, (text) => {
        expect([text, parseAddress(text) !== undefined]).toEqual([text, isIP(text) !== 0]);
      }),
      { numRuns: 2_000 },
    );
  });

  it('a range contains what Node says that it contains', () => {
    let inside = 0;
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.nat(128), fc.nat(40), (base, p, flip) => {
        const found = parseAddress(base);
        if (found === undefined) throw new Error(base);
        const width = found.family === 4 ? 32 : 128;
        const prefix = p % (width + 1);
        const behind = BigInt(width - prefix);
        const range = { ...found, prefix, bits: (found.bits >> behind) << behind };
        const other = { ...found, bits: found.bits ^ (1n << BigInt(flip % width)) };
        const list = new BlockList();
        const words = (bits: bigint): string =>
          found.family === 4
            ? [24n, 16n, 8n, 0n].map((s) => String((bits >> s) & 255n)).join('.')
            : Array.from({ length: 8 }, (_, i) => ((bits >> BigInt(112 - 16 * i)) & 0xffffn).toString(16)).join(':');
        const family = found.family === 4 ? 'ipv4' : 'ipv6';
        list.addSubnet(words(range.bits), prefix, family);
        const expected = list.check(words(other.bits), family);
        if (expected) inside += 1;
        expect(contains(range, other)).toBe(expected);
      }),
      { numRuns: 2_000 },
    );
    expect(inside).toBeGreaterThan(200);
  });

  it('a range says no more than it means', () => {
    for (const bad of [
      '10.0.0.1/8',
      '10.0.0.0/33',
      '10.0.0.0/08',
      'fd00::1/64',
      '::ffff:10.0.0.0/104',
      '10.0.0.0',
      '/8',
    ])
      expect([bad, parseRange(bad)]).toEqual([bad, undefined]);
    for (const good of ['10.0.0.0/8', '0.0.0.0/0', '::/0', 'fd00:1::/32', '10.0.0.1/32'])
      expect(parseRange(good)).toBeDefined();
  });
});

describe('destinations', () => {
  const one = (entry: { host?: string; cidr?: string; ports?: number[] }, host: string, port?: number): boolean =>
    isAllowed([[entry]], { host, ...(port === undefined ? {} : { port }) });

  it('a name is allowed by a name, whatever its case, and below a star', () => {
    expect(one({ host: 'a.example.org' }, 'A.Example.ORG.', 443)).toBe(true);
    expect(one({ host: '*.example.org' }, 'a.b.example.org')).toBe(true);
    for (const host of ['example.org', 'evilexample.org', 'a.example.org.evil.net', '.example.org', ''])
      expect([host, one({ host: '*.example.org' }, host)]).toEqual([host, false]);
  });

  it('an address is allowed by a range, and by no name; what a resolver would make of a name counts for nothing', () => {
    expect(one({ cidr: '10.0.0.0/8' }, '10.1.2.3')).toBe(true);
    expect(one({ cidr: '10.0.0.0/8' }, '[::ffff:10.1.2.3]')).toBe(true);
    expect(one({ cidr: 'fd00::/8' }, '[fd00::1]')).toBe(true);
    expect(one({ cidr: '0.0.0.0/0' }, 'localhost')).toBe(false);
    for (const host of ['10.1', '0x0a000001', '167772161', '010.0.0.1'])
      expect(one({ cidr: '0.0.0.0/0' }, host)).toBe(false);
    expect(one({ host: '10.0.0.1' }, '10.0.0.1')).toBe(false);
  });

  it('a port is allowed where it is named, or none is; one that is not known is allowed by no list of ports', () => {
    expect([one({ host: 'a', ports: [443] }, 'a', 443), one({ host: 'a', ports: [443] }, 'a', 80)]).toEqual([
      true,
      false,
    ]);
    expect([
      one({ host: 'a', ports: [443] }, 'a'),
      one({ host: 'a' }, 'a'),
      one({ host: 'a', ports: [] }, 'a', 1),
    ]).toEqual([false, true, false]);
  });

  it('every datacenter that has a list must allow it; an empty list allows nothing', () => {
    const to = { host: 'a', port: 1 };
    expect(isAllowed([], to)).toBe(true);
    expect(isAllowed([[]], to)).toBe(false);
    expect(isAllowed([[{ host: 'a' }], [{ host: 'b' }]], to)).toBe(false);
    expect(isAllowed([[{ host: 'b' }, { host: 'a' }], [{ host: 'a', ports: [1] }]], to)).toBe(true);
  });
});
