/** Addresses that nothing of ours opens, held against Node's own arithmetic of addresses. */
import { BlockList } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAddress } from '../../../src/api/addresses.ts';
import type { Address } from '../../../src/api/addresses.ts';
import { cidrOf, rangesOf, refusalOf } from '../../../src/render/egress/refused.ts';
import type { ClusterRanges } from '../../../src/render/egress/refused.ts';

const NOWHERE: ClusterRanges = { nodes: [], services: [] };
const at = (text: string): Address => {
  const address = parseAddress(text);
  if (address === undefined) throw new Error(text);
  return address;
};
const refusal = (text: string, allowed: readonly string[] = [], cluster = NOWHERE): string | undefined =>
  refusalOf(at(text), cluster, rangesOf(allowed));

describe('an address that is refused', () => {
  it.each([
    ['169.254.169.254', 'Metadata'],
    ['fd00:ec2::254', 'Metadata'],
    ['168.63.129.16', 'Metadata'],
    ['100.100.100.200', 'Metadata'],
    ['127.0.0.1', 'Loopback'],
    ['127.255.0.9', 'Loopback'],
    ['::1', 'Loopback'],
    ['169.254.1.1', 'LinkLocal'],
    ['fe80::1', 'LinkLocal'],
    ['0.0.0.0', 'Special'],
    ['224.0.0.1', 'Special'],
    ['255.255.255.255', 'Special'],
    ['::', 'Special'],
    ['ff02::1', 'Special'],
    // The same, in the clothes of IPv6.
    ['::ffff:169.254.169.254', 'Metadata'],
    ['::ffff:127.0.0.1', 'Loopback'],
    ['64:ff9b::a9fe:a9fe', 'Metadata'],
    ['64:ff9b:1::a9fe:a9fe', 'Metadata'],
    ['2002:a9fe:a9fe::1', 'Metadata'],
    ['2002:7f00:1::', 'Loopback'],
    ['::127.0.0.1', 'Loopback'],
  ])('%s: %s', (text, want) => {
    expect(refusal(text)).toBe(want);
  });

  it.each(['8.8.8.8', '10.1.2.3', '192.168.0.1', '2001:db8::1', 'fd00::1', '100.64.0.1'])('%s is none', (text) => {
    expect(refusal(text)).toBeUndefined();
  });

  it("is one of the cluster's nodes, of their pods or within the range of its Services", () => {
    const cluster = {
      nodes: rangesOf(['10.1.0.5', '10.244.1.0/24', 'fd00:1::5']),
      services: rangesOf(['10.96.0.0/16', 'fd00:96::/112']),
    };
    expect(['10.1.0.5', '10.244.1.9', 'fd00:1::5'].map((a) => refusal(a, [], cluster))).toEqual([
      'Node',
      'Node',
      'Node',
    ]);
    expect(['10.96.3.1', 'fd00:96::1'].map((a) => refusal(a, [], cluster))).toEqual(['Service', 'Service']);
    expect(['10.1.0.6', '10.97.0.1'].map((a) => refusal(a, [], cluster))).toEqual([undefined, undefined]);
  });

  it('is lifted by an entry that lies within what is refused, and by none that merely covers it', () => {
    expect(refusal('169.254.169.254', ['169.254.169.254/32'])).toBeUndefined();
    expect(refusal('169.254.169.254', ['169.254.0.0/16'])).toBe('Metadata');
    expect(refusal('169.254.169.254', ['0.0.0.0/0'])).toBe('Metadata');
    expect(refusal('169.254.7.7', ['169.254.7.0/24'])).toBeUndefined();
    expect(refusal('169.254.7.7', ['169.254.8.0/24'])).toBe('LinkLocal');
    expect(refusal('169.254.7.7', ['0.0.0.0/0'])).toBe('LinkLocal');
    const cluster: ClusterRanges = { nodes: rangesOf(['10.1.0.5']), services: [] };
    expect(refusal('10.1.0.5', ['10.0.0.0/8'], cluster)).toBe('Node');
    expect(refusal('10.1.0.5', ['10.1.0.5/32'], cluster)).toBeUndefined();
  });

  it('is refused in every form in which an IPv4 address travels inside IPv6', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('127.0.0.1', '169.254.169.254', '169.254.9.9', '0.0.0.0'),
        fc.nat(0xffff),
        (four, low) => {
          const { bits } = at(four);
          const hex = bits.toString(16).padStart(8, '0');
          const [a, b] = [hex.slice(0, 4), hex.slice(4)];
          for (const text of [`::ffff:${a}:${b}`, `64:ff9b::${a}:${b}`, `2002:${a}:${b}:${low.toString(16)}::`])
            expect([text, refusal(text)]).not.toEqual([text, undefined]);
        },
      ),
    );
  });

  it('is what Node finds in the same ranges', () => {
    const list = new BlockList();
    for (const [net, prefix] of [
      ['0.0.0.0', 8],
      ['127.0.0.0', 8],
      ['169.254.0.0', 16],
      ['224.0.0.0', 3],
    ] as const)
      list.addSubnet(net, prefix, 'ipv4');
    for (const one of ['168.63.129.16', '100.100.100.200', '192.0.0.192']) list.addAddress(one, 'ipv4');
    fc.assert(
      fc.property(
        fc.oneof(
          fc.ipV4(),
          fc
            .tuple(fc.constantFrom(0, 127, 169, 224, 255, 10), fc.constantFrom(254, 0, 255), fc.nat(255), fc.nat(255))
            .map((p) => p.join('.')),
        ),
        (text) => {
          expect([text, refusal(text) !== undefined]).toEqual([text, list.check(text, 'ipv4')]);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

describe('an address as a range of itself', () => {
  it('is written as RFC 5952 has it, which is how a URL writes it', () => {
    const groups = fc.array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(groups, (g) => {
        const text = g.map((x) => x.toString(16)).join(':');
        const address = at(text);
        fc.pre(address.family === 6);
        expect(`[${cidrOf(address).replace('/128', '')}]`).toBe(new URL(`http://[${text}]`).hostname);
        expect(parseAddress(cidrOf(address).replace('/128', ''))).toEqual(address);
      }),
      { numRuns: 2_000 },
    );
    fc.assert(
      fc.property(fc.ipV4(), (text) => {
        expect(cidrOf(at(text))).toBe(`${text}/32`);
      }),
    );
  });
});
