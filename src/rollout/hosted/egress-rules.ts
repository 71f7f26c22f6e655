/**
 * Which rules let pods reach one destination, an address, a Service's pods or what a name resolves to, and what is wrong with
 * it; DNS beside them; and what must be looked up to tell. Rules 2 and 3 of egress.ts, which asks. Pure.
 */
import { parseAddress } from '../../api/addresses.ts';
import type { Address } from '../../api/addresses.ts';
import { isAllowed } from '../../config/destinations.ts';
import { hostIn } from '../../render/egress/destination.ts';
import type { EgressRule } from '../../render/egress/policy.ts';
import { cidrOf, rangesOf, refusalOf } from '../../render/egress/refused.ts';
import type { ClusterRanges, Refusal } from '../../render/egress/refused.ts';
import type { Destination } from '../../render/egress/types.ts';
import type { DestinationRights, EgressFacts, EgressWish, ServiceFact, ServicePort } from './egress-facts.ts';

export const DNS_SERVICE = 'kube-system/kube-dns';
const DNS_PORT = 53;

export type Trouble = {
  readonly reason: 'DestinationRefused' | 'DestinationUnknown' | 'Pending';
  readonly message: string;
};
/** What one destination needs, and what is wrong with it. */
export type Answer = { readonly rules: readonly EgressRule[]; readonly trouble?: Trouble; readonly named: boolean };

const WORDS: Readonly<Record<Refusal, string>> = {
  Loopback: 'an address of the host itself',
  LinkLocal: 'a link-local address',
  Metadata: "the address of a cloud's metadata service",
  Special: 'an address that no receiver has',
  Node: "an address of this cluster's nodes or their pods",
  Service:
    "within the range of this cluster's Services, which no NetworkPolicy can permit by address: name the Service",
};

const LIMITS: Readonly<Record<Destination['what'], string>> = {
  'the webhook': 'limits.webhook.destinations',
  'the shipper': 'limits.shipping.destinations',
};

export type Reach = Extract<EgressWish, { want: 'Reach' }>;

/** The ranges that lift a refusal, for each datacenter that limits destinations. */
function refusedBecause(
  address: Address,
  { allowed, enforced }: DestinationRights,
  ranges: ClusterRanges,
  literal: boolean,
): Refusal | undefined {
  const own = enforced && literal ? rangesOf([cidrOf(address)]) : [];
  const lists = allowed.length === 0 ? [own] : allowed.map((l) => rangesOf(l.flatMap((d) => d.cidr ?? [])));
  for (const list of lists) {
    const refusal = refusalOf(address, ranges, list);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

/** One rule for each address that may be reached; the others are told. */
function toAddresses(
  texts: readonly string[],
  port: number,
  at: { readonly d: Destination; readonly wish: Reach; readonly facts: EgressFacts; readonly literal: boolean },
): { readonly rules: readonly EgressRule[]; readonly trouble?: Trouble } {
  const { d, wish, facts, literal } = at;
  const { ranges } = facts;
  if (ranges === undefined)
    return { rules: [], trouble: { reason: 'Pending', message: "the cluster's own ranges are not known yet" } };
  const judged = texts.flatMap((text) => {
    const address = parseAddress(text);
    return address === undefined
      ? []
      : [{ address, refusal: refusedBecause(address, wish.rights[d.what], ranges, literal) }];
  });
  const rules = judged
    .filter((j) => j.refusal === undefined)
    .map(({ address }): EgressRule => ({
      to: [{ ipBlock: { cidr: cidrOf(address) } }],
      ports: [{ protocol: d.protocol, port }],
    }));
  const refused = judged.find((j) => j.refusal !== undefined)?.refusal;
  if (refused === undefined) return { rules };
  const what = literal ? `${d.what} is at` : `${d.what} has among its addresses`;
  const message = `${what} ${WORDS[refused]}: it is not permitted, unless a datacenter names it in ${LIMITS[d.what]}`;
  return { rules, trouble: { reason: 'DestinationRefused', message } };
}

const unknown = (d: Destination, why: string): Trouble => ({
  reason: 'DestinationUnknown',
  message: `${d.what}'s host ${why}`,
});
const notKnownYet = (d: Destination): Trouble => ({
  reason: 'Pending',
  message: `where ${d.what} is, is not known yet`,
});

function toName(name: string, d: Destination, wish: Reach, facts: EgressFacts): Answer {
  const addresses = facts.names.get(name);
  if (addresses === undefined) return { rules: [], named: true, trouble: notKnownYet(d) };
  if (addresses.length === 0)
    return {
      rules: [],
      named: true,
      trouble: unknown(d, 'is a name that does not resolve; a Service is NAME.NAMESPACE.svc'),
    };
  return { ...toAddresses(addresses, d.port, { d, wish, facts, literal: false }), named: true };
}

/** Allowed as it was written was the name of the Service; where that only points elsewhere, so must be what it points at. */
const allowsToo = (wish: Reach, { what }: Destination, host: string, port: number): boolean =>
  isAllowed(wish.rights[what].allowed, { host, port });

function toService(key: string, d: Destination, wish: Reach, facts: EgressFacts): Answer {
  const service = facts.services.get(key);
  if (service === undefined) return { rules: [], named: true, trouble: notKnownYet(d) };
  if (service === null) return { rules: [], named: true, trouble: unknown(d, 'names a Service that is not there') };
  if (service.is === 'ExternalName') {
    if (allowsToo(wish, d, service.name, d.port)) return toName(service.name, d, wish, facts);
    const message = `${d.what}'s Service stands for a host that a datacenter does not allow`;
    return { rules: [], named: true, trouble: { reason: 'DestinationRefused', message } };
  }
  const port = service.ports.find((p) => p.port === d.port && p.protocol === d.protocol);
  // Nothing translates ports where a name resolves to the pods themselves.
  if (port === undefined && !service.headless)
    return { rules: [], named: true, trouble: unknown(d, `names a Service that has no such ${d.protocol} port`) };
  if (service.is === 'Endpoints') return toEndpoints(service, port, { d, wish, facts });
  const [namespace = ''] = key.split('/');
  const peer = {
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
    podSelector: { matchLabels: service.selector },
  };
  const target = service.headless ? d.port : (port?.target ?? d.port);
  return { rules: [{ to: [peer], ports: [{ protocol: d.protocol, port: target }] }], named: true };
}

function toEndpoints(
  { endpoints, headless }: Extract<ServiceFact, { is: 'Endpoints' }>,
  port: ServicePort | undefined,
  at: { readonly d: Destination; readonly wish: Reach; readonly facts: EgressFacts },
): Answer {
  const { d, wish } = at;
  const found = endpoints.flatMap((e) => {
    const there = e.ports.find((p) => p.name === (port?.name ?? ''))?.port;
    const number = headless ? d.port : there;
    return number === undefined ? [] : e.addresses.map((address) => ({ address, port: number }));
  });
  if (found.length === 0)
    return { rules: [], named: true, trouble: unknown(d, 'names a Service that has no endpoints') };
  const allowed = found.filter((f) => allowsToo(wish, d, f.address, f.port));
  const answers = allowed.map((f) => toAddresses([f.address], f.port, { ...at, literal: false }));
  const elsewhere: Trouble = {
    reason: 'DestinationRefused',
    message: `${d.what}'s Service has an endpoint that a datacenter does not allow`,
  };
  const trouble = allowed.length < found.length ? elsewhere : answers.find((a) => a.trouble !== undefined)?.trouble;
  return { rules: answers.flatMap((a) => a.rules), named: true, ...(trouble === undefined ? {} : { trouble }) };
}

export function answerTo(d: Destination, wish: Reach, facts: EgressFacts): Answer {
  if (d.host === '')
    return {
      rules: [],
      named: false,
      trouble: unknown(
        d,
        'is one that only its plugin or a variable tells: permit it with a NetworkPolicy of your own',
      ),
    };
  const host = hostIn(d.host, facts.namespace);
  switch (host.is) {
    case 'Address':
      return { ...toAddresses([d.host], d.port, { d, wish, facts, literal: true }), named: false };
    case 'Service':
      return toService(host.service, d, wish, facts);
    case 'Name':
      return toName(host.name, d, wish, facts);
  }
}

/** The cluster's own DNS, as its Service says; where that cannot be read, the pods that bear its label everywhere. */
export function dnsRules({ pods, services }: EgressFacts): readonly EgressRule[] {
  const both = (port: number | string): EgressRule['ports'] => [
    { protocol: 'UDP', port },
    { protocol: 'TCP', port },
  ];
  switch (pods?.dnsPolicy) {
    // The node's own servers: nothing here knows them.
    case 'Default':
      return [];
    case 'None':
      return rangesOf(pods.nameservers).map((r) => ({ to: [{ ipBlock: { cidr: cidrOf(r) } }], ports: both(DNS_PORT) }));
    default: {
      const service = services.get(DNS_SERVICE);
      const known = service?.is === 'Selector' ? service : undefined;
      const ports = known?.ports.flatMap((p): EgressRule['ports'] =>
        p.port === DNS_PORT && (p.protocol === 'UDP' || p.protocol === 'TCP')
          ? [{ protocol: p.protocol, port: p.target }]
          : [],
      );
      const peer = {
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } },
        podSelector: { matchLabels: known?.selector ?? { 'k8s-app': 'kube-dns' } },
      };
      return [{ to: [peer], ports: ports === undefined || ports.length === 0 ? both(DNS_PORT) : ports }];
    }
  }
}

/** Services that must be known, as far as can be told now, and names. */
export function lookups(
  { destinations }: Pick<Reach, 'destinations'>,
  namespace: string,
  services: ReadonlyMap<string, ServiceFact | null>,
): { readonly services: readonly string[]; readonly names: readonly string[] } {
  const hosts = destinations.filter((d) => d.host !== '').map((d) => hostIn(d.host, namespace));
  const wanted = hosts.flatMap((h) => (h.is === 'Service' ? [h.service] : []));
  const outside = wanted.flatMap((s) => {
    const service = services.get(s);
    return service?.is === 'ExternalName' ? [service.name] : [];
  });
  const named = hosts.flatMap((h) => (h.is === 'Name' ? [h.name] : []));
  const dns = hosts.some((h) => h.is !== 'Address') ? [DNS_SERVICE] : [];
  return { services: [...new Set([...wanted, ...dns])], names: [...new Set([...named, ...outside])] };
}
