/**
 * Where events may go: what a datacenter allows, and whether a host and a port are within it. A list of a datacenter
 * allows a destination that one of its entries does; of several datacenters each must. Called by the merge (limits.ts), by
 * the renderer for the webhook, and by whatever opens a network for it.
 */
import { contains, parseAddress, parseRange } from '../api/addresses.ts';
import type { AllowedDestination } from '../api/datacenter-limits.ts';

export type Destination = {
  /** A name or an address; an IPv6 one with or without its brackets. */
  readonly host: string;
  /** Unset: not known. Then only an entry that names no ports allows it. */
  readonly port?: number;
};

/** Case, and the dot at the end that only says 'this is the whole name', mean nothing to DNS. */
const plain = (host: string): string =>
  host
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '');

/** `*.example.org` is any name below it, not itself; an address is no name. */
function isName(pattern: string, host: string): boolean {
  const want = plain(pattern);
  return want.startsWith('*.') ? host.length > want.length - 1 && host.endsWith(want.slice(1)) : host === want;
}

function allows({ host, cidr, ports }: AllowedDestination, to: Destination): boolean {
  const at = plain(to.host);
  const address = parseAddress(at);
  const range = cidr === undefined ? undefined : parseRange(cidr);
  const there =
    address === undefined ? host !== undefined && isName(host, at) : range !== undefined && contains(range, address);
  return there && (ports === undefined || (to.port !== undefined && ports.includes(to.port)));
}

/** What one datacenter says. An empty list allows nothing. */
export type AllowedDestinations = readonly AllowedDestination[];

export const isAllowed = (lists: readonly AllowedDestinations[], to: Destination): boolean =>
  lists.every((list) => list.some((allowed) => allows(allowed, to)));
