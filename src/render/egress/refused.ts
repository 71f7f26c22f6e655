/**
 * Addresses that no NetworkPolicy of ours opens by default: the host itself, link-local ones, metadata services of clouds, the
 * cluster's nodes and its Services. An AuditConfig must not be a way to a node's credentials. A datacenter lifts a refusal by
 * an entry of limits.webhook.destinations that lies wholly within the refused range: one that merely covers it (0.0.0.0/0) did
 * not mean it. IPv4 addresses inside IPv6 ones count as themselves. Called by src/rollout/hosted/egress.ts.
 */
import { contains, parseAddress, parseRange } from '../../api/addresses.ts';
import type { Address, Range } from '../../api/addresses.ts';

export type Refusal = 'Loopback' | 'LinkLocal' | 'Metadata' | 'Special' | 'Node' | 'Service';

/** RFC 6890 and the registries of IANA; metadata services by their clouds' documentation. First match counts. */
const RANGES: readonly (readonly [Refusal, readonly string[]])[] = [
  [
    'Metadata',
    [
      '169.254.169.254/32',
      '169.254.170.2/32', // tasks of AWS
      '169.254.170.23/32', // pod identities of AWS
      'fd00:ec2::/32',
      'fd20:ce::254/128', // Google
      '168.63.129.16/32', // Azure
      '100.100.100.200/32', // Alibaba
      '192.0.0.192/32', // Oracle
    ],
  ],
  ['Loopback', ['127.0.0.0/8', '::1/128']],
  ['LinkLocal', ['169.254.0.0/16', 'fe80::/10']],
  ['Special', ['0.0.0.0/8', '224.0.0.0/4', '240.0.0.0/4', '::/128', 'ff00::/8']],
];

const parsed: readonly { readonly refusal: Refusal; readonly range: Range }[] = RANGES.flatMap(([refusal, ranges]) =>
  ranges.flatMap((text) => {
    const range = parseRange(text);
    return range === undefined ? [] : [{ refusal, range }];
  }),
);

/** What this cluster adds: addresses of nodes and of their pods, ranges of Services. */
export type ClusterRanges = { readonly nodes: readonly Range[]; readonly services: readonly Range[] };

/** Prefixes behind which an IPv4 address stands: NAT64 (RFC 6052, RFC 8215's local one in its /96 form), 6to4, IPv4-compatible. */
const EMBEDDED: readonly { readonly range: Range; readonly shift: bigint }[] = (
  [
    ['64:ff9b::/96', 0n],
    ['64:ff9b:1::/96', 0n],
    ['2002::/16', 80n],
    ['::/96', 0n],
  ] as const
).flatMap(([text, shift]) => {
  const range = parseRange(text);
  return range === undefined ? [] : [{ range, shift }];
});

/** The address itself, and the IPv4 one that it leads to. */
function meantBy(address: Address): readonly Address[] {
  const inner = EMBEDDED.find(({ range }) => contains(range, address));
  return inner === undefined ? [address] : [address, { family: 4, bits: (address.bits >> inner.shift) & 0xffffffffn }];
}

const within = (inner: Range, outer: Range): boolean => inner.prefix >= outer.prefix && contains(outer, inner);

/** Why it is refused; undefined where it is not. `allowed`: ranges that datacenters name. */
export function refusalOf(address: Address, cluster: ClusterRanges, allowed: readonly Range[]): Refusal | undefined {
  const all = [
    ...parsed,
    ...cluster.nodes.map((range) => ({ refusal: 'Node' as const, range })),
    ...cluster.services.map((range) => ({ refusal: 'Service' as const, range })),
  ];
  const lifted = (range: Range): boolean => allowed.some((a) => within(a, range) && contains(a, address));
  for (const meant of meantBy(address)) {
    // ::1 reads as the IPv4 address 0.0.0.1, and :: as 0.0.0.0: refused either way.
    const hit = all.find(({ range }) => contains(range, meant) && !lifted(range));
    if (hit !== undefined) return hit.refusal;
  }
  return undefined;
}

/** Ranges and single addresses as Kubernetes writes them; what is neither is left out. */
export const rangesOf = (texts: readonly string[]): readonly Range[] =>
  texts.flatMap((text) => {
    const range = parseRange(text);
    if (range !== undefined) return [range];
    const address = parseAddress(text);
    return address === undefined ? [] : [{ ...address, prefix: address.family === 4 ? 32 : 128 }];
  });

/** An address as a range of itself, in the one form that RFC 5952 gives it. */
export function cidrOf({ family, bits }: Address): string {
  if (family === 4) return `${[24n, 16n, 8n, 0n].map((s) => String((bits >> s) & 0xffn)).join('.')}/32`;
  const groups = [112n, 96n, 80n, 64n, 48n, 32n, 16n, 0n].map((s) => ((bits >> s) & 0xffffn).toString(16));
  const zeros = [...groups.join(':').matchAll(/(?<![0-9a-f])0(?::0)+(?![0-9a-f])/g)].sort(
    (a, b) => b[0].length - a[0].length || a.index - b.index,
  )[0];
  const text = groups.join(':');
  if (zeros === undefined) return `${text}/128`;
  const front = text.slice(0, zeros.index).replace(/:$/, '');
  const back = text.slice(zeros.index + zeros[0].length).replace(/^:/, '');
  return `${front}::${back}/128`;
}
