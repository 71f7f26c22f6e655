/**
 * IP addresses and ranges, for destinations that a datacenter allows. Takes what Go's net/netip takes and nothing else:
 * short forms such as 127.1 or 0x7f000001 are names to an API server, which only a resolver turns into an address. An IPv4
 * address inside an IPv6 one (::ffff:10.0.0.1) is that IPv4 address. Called by the schemas and src/config/destinations.ts.
 */

export type Address = { readonly family: 4 | 6; readonly bits: bigint };
export type Range = Address & { readonly prefix: number };

function ipv4(text: string): bigint | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((p) => /^(0|[1-9][0-9]{0,2})$/.test(p) && Number(p) <= 255)) return undefined;
  return parts.reduce((bits, p) => (bits << 8n) | BigInt(p), 0n);
}

/** The 16-bit groups of one side of '::'; a trailing IPv4 address makes two. */
function groups(text: string): readonly bigint[] | undefined {
  if (text === '') return [];
  const parts = text.split(':');
  const tail = parts.at(-1) ?? '';
  const last = tail.includes('.') ? ipv4(tail) : undefined;
  if (tail.includes('.') && last === undefined) return undefined;
  const words = last === undefined ? parts : parts.slice(0, -1);
  if (!words.every((w) => /^[0-9A-Fa-f]{1,4}$/.test(w))) return undefined;
  return [...words.map((w) => BigInt(`0x${w}`)), ...(last === undefined ? [] : [last >> 16n, last & 0xffffn])];
}

function ipv6(text: string): bigint | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [front, back] = [groups(halves[0] ?? ''), groups(halves[1] ?? '')];
  // Only the end may hold an IPv4 address.
  if (front === undefined || back === undefined || (halves.length === 2 && halves[0]?.includes('.') === true))
    return undefined;
  const missing = 8 - front.length - back.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const all = [...front, ...Array.from({ length: missing }, () => 0n), ...back];
  return all.reduce((bits, g) => (bits << 16n) | g, 0n);
}

const MAPPED = 0xffffn;

/** Without brackets, port or zone; undefined where it is no address. */
export function parseAddress(text: string): Address | undefined {
  const four = ipv4(text);
  if (four !== undefined) return { family: 4, bits: four };
  const six = text.includes(':') ? ipv6(text) : undefined;
  if (six === undefined) return undefined;
  return six >> 32n === MAPPED ? { family: 4, bits: six & 0xffffffffn } : { family: 6, bits: six };
}

/** `10.0.0.0/8`, `fd00::/8`; bits behind the prefix must be 0, since another range was meant otherwise. */
export function parseRange(text: string): Range | undefined {
  const [, address = '', digits = ''] = /^([^/]+)\/(0|[1-9][0-9]{0,2})$/.exec(text) ?? [];
  const base = parseAddress(address);
  const prefix = Number(digits);
  // The prefix of ::ffff:10.0.0.0/104 counts in IPv6 and the address in IPv4: nobody needs it.
  if (base === undefined || (base.family === 4 && address.includes(':'))) return undefined;
  const width = base.family === 4 ? 32 : 128;
  if (prefix > width) return undefined;
  const behind = (1n << BigInt(width - prefix)) - 1n;
  return (base.bits & behind) === 0n ? { ...base, prefix } : undefined;
}

export function contains(range: Range, address: Address): boolean {
  if (range.family !== address.family) return false;
  const behind = BigInt((range.family === 4 ? 32 : 128) - range.prefix);
  return range.bits >> behind === address.bits >> behind;
}
