/**
 * Does a hosted control plane need a NetworkPolicy to reach its webhook, and which? Pure. A policy for egress turns pods that
 * nothing restricts into ones that reach nothing else, etcd and DNS included, so:
 *
 * 1. Ours exists only while a policy of somebody else restricts the very pods that ours selects, and goes with the last of
 *    them, whatever else is unknown. Never for pods on the host's network.
 * 2. It permits exactly host and port of the webhook, and of a shipper in the pod: an address, a Service's pods at their own port, or what a name resolves to;
 *    and DNS where there is a name.
 * 3. What refused.ts refuses is left out and said, wherever it comes from: a literal, a name, or endpoints of a Service.
 * 4. What is not known yet changes nothing, but for rule 1.
 *
 * No message holds a host or an address: they stand in a Secret. Called by src/controllers/hosted/egress.ts.
 */
import { parseAddress } from '../../api/addresses.ts';
import type { Address } from '../../api/addresses.ts';
import type { Reasons, Verdict } from '../../api/conditions.ts';
import type { LabelSelector, Labels } from '../../api/label-selector.ts';
import { isSameJson } from '../../config/canonical.ts';
import { isAllowed } from '../../config/destinations.ts';
import type { AllowedDestinations } from '../../config/destinations.ts';
import { hostIn } from '../../render/egress/destination.ts';
import type { Destination } from '../../render/egress/types.ts';
import { EGRESS_LABELS, egressName, egressPolicy, restrictingPolicy } from '../../render/egress/policy.ts';
import type { EgressPolicy, EgressRule, OtherPolicy } from '../../render/egress/policy.ts';
import { cidrOf, rangesOf, refusalOf } from '../../render/egress/refused.ts';
import type { ClusterRanges, Refusal } from '../../render/egress/refused.ts';

export type DestinationRights = {
  /** What each datacenter allows that limits it. */
  readonly allowed: readonly AllowedDestinations[];
  /** A datacenter chose this very destination. */
  readonly enforced: boolean;
};

/** What the decision about the workload says that its pods must reach (hosted.ts). */
export type EgressWish =
  /** `said`: there is a webhook or a shipper, and why nothing is needed for it. */
  | { readonly want: 'Nothing'; readonly said?: string }
  /** Not known now: what is there stays, but for rule 1. */
  | { readonly want: 'Keep' }
  | {
      readonly want: 'Reach';
      readonly destinations: readonly Destination[];
      /** Another revision that pods may still run: its destinations join. */
      readonly also?: string;
      readonly rights: Readonly<Record<Destination['what'], DestinationRights>>;
      /** There is nothing to reach any more, but pods that still do: nothing is said of it. */
      readonly silent: boolean;
    };

export type PodsFact = {
  readonly labels: Labels;
  /** spec.selector of the workload; undefined: not understood. */
  readonly selector: LabelSelector | undefined;
  readonly dnsPolicy: string;
  readonly nameservers: readonly string[];
};

export type ServicePort = {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
  /** Of the pods; a name is one of their containers' ports. */
  readonly target: number | string;
};
export type ServiceFact =
  | {
      readonly is: 'Selector';
      readonly selector: Labels;
      readonly headless: boolean;
      readonly ports: readonly ServicePort[];
    }
  | { readonly is: 'ExternalName'; readonly name: string }
  | {
      readonly is: 'Endpoints';
      readonly headless: boolean;
      readonly ports: readonly ServicePort[];
      readonly endpoints: readonly {
        readonly addresses: readonly string[];
        readonly ports: readonly { readonly name: string; readonly port: number }[];
      }[];
    };

export type OwnPolicy = {
  readonly uid: string;
  readonly labels: Labels;
  readonly ownerReferences: unknown;
  readonly spec: unknown;
};

export type EgressFacts = {
  readonly namespace: string;
  readonly kind: string;
  readonly name: string;
  readonly wish: EgressWish;
  /** Null: there is no such workload. Undefined: it could not be read. */
  readonly pods: PodsFact | null | undefined;
  /** Of the namespace, without ours. Undefined: not known yet. */
  readonly others: readonly OtherPolicy[] | undefined;
  readonly existing: OwnPolicy | undefined;
  /** By `namespace/name`; null: there is none; not in it: not known yet. */
  readonly services: ReadonlyMap<string, ServiceFact | null>;
  /** Addresses by name; empty: it does not resolve; not in it: not known yet. */
  readonly names: ReadonlyMap<string, readonly string[]>;
  /** Undefined: not known yet. */
  readonly ranges: ClusterRanges | undefined;
};

export type EgressDecision = {
  /** Undefined: there is no such condition. `AsBefore`: it stays as it is. */
  readonly verdict: Verdict<'EgressPermitted'> | 'AsBefore' | undefined;
  readonly apply?: EgressPolicy;
  /** Only this very object. */
  readonly remove?: { readonly name: string; readonly uid: string };
};

export const DNS_SERVICE = 'kube-system/kube-dns';
const DNS_PORT = 53;

const say = (
  status: 'True' | 'False' | 'Unknown',
  reason: Reasons['EgressPermitted'],
  message: string,
): Verdict<'EgressPermitted'> => ({ type: 'EgressPermitted', status, reason, message });

const PENDING = say('Unknown', 'Pending', 'what restricts the pods, or where events are sent to, is not known yet');

type Trouble = { readonly reason: 'DestinationRefused' | 'DestinationUnknown' | 'Pending'; readonly message: string };
/** What one destination needs, and what is wrong with it. */
type Answer = { readonly rules: readonly EgressRule[]; readonly trouble?: Trouble; readonly named: boolean };

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

type Reach = Extract<EgressWish, { want: 'Reach' }>;

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

function answerTo(d: Destination, wish: Reach, facts: EgressFacts): Answer {
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
function dnsRules({ pods, services }: EgressFacts): readonly EgressRule[] {
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

const isSame = (there: OwnPolicy, want: EgressPolicy): boolean =>
  isSameJson(there.spec, want.spec) &&
  isSameJson(there.ownerReferences ?? null, want.metadata.ownerReferences) &&
  Object.entries(EGRESS_LABELS).every(([key, value]) => there.labels[key] === value);

/** Without ours; where there is one, it goes. */
function without({ kind, name, existing }: EgressFacts, verdict: EgressDecision['verdict']): EgressDecision {
  if (existing === undefined) return { verdict };
  return { verdict, remove: { name: egressName(kind, name), uid: existing.uid } };
}

const RANK: readonly Trouble['reason'][] = ['DestinationRefused', 'DestinationUnknown', 'Pending'];

function verdictOf(troubles: readonly Trouble[], upon: OtherPolicy): Verdict<'EgressPermitted'> {
  const [worst] = [...troubles].sort((a, b) => RANK.indexOf(a.reason) - RANK.indexOf(b.reason));
  if (worst === undefined)
    return say(
      'True',
      'Permitted',
      `NetworkPolicy ${upon.name} restricts these pods; one of ours lets them reach what their events are sent to`,
    );
  return worst.reason === 'Pending'
    ? say('Unknown', 'Pending', worst.message)
    : say('False', worst.reason, worst.message);
}

/** Rules as they are, over whatever restricts the pods now. */
function kept(facts: EgressFacts, upon: OtherPolicy, verdict: EgressDecision['verdict']): EgressDecision {
  const rules = (facts.existing?.spec as { readonly egress?: readonly EgressRule[] } | undefined)?.egress ?? [];
  return withRules(facts, upon, { rules, verdict });
}

function withRules(
  facts: EgressFacts,
  upon: OtherPolicy,
  { rules, verdict }: { readonly rules: readonly EgressRule[]; readonly verdict: EgressDecision['verdict'] },
): EgressDecision {
  const { pods, namespace, kind, name, existing } = facts;
  const { podSelector } = upon;
  if (pods?.selector === undefined || podSelector === undefined || rules.length === 0) return without(facts, verdict);
  const on = { ...upon, podSelector };
  const want = egressPolicy({ namespace, name: egressName(kind, name), pods: pods.selector, upon: on, rules });
  return existing !== undefined && isSame(existing, want) ? { verdict } : { verdict, apply: want };
}

export function decideEgress(facts: EgressFacts): EgressDecision {
  const { wish, pods, others } = facts;
  if (wish.want === 'Nothing')
    return without(facts, wish.said === undefined ? undefined : say('True', 'NotRestricted', wish.said));
  if (pods === null) return without(facts, undefined);
  const isSaid = wish.want === 'Reach' && !wish.silent;
  const said = (verdict: Verdict<'EgressPermitted'>): EgressDecision['verdict'] =>
    isSaid ? verdict : wish.want === 'Keep' ? 'AsBefore' : undefined;
  if (pods === undefined || others === undefined) return { verdict: said(PENDING) };
  const upon = restrictingPolicy(others, pods.labels);
  if (upon === undefined)
    return without(facts, said(say('True', 'NotRestricted', 'no NetworkPolicy restricts what these pods reach')));
  if (wish.want === 'Keep') return kept(facts, upon, 'AsBefore');
  if (pods.selector === undefined)
    return without(facts, said(say('False', 'DestinationUnknown', 'the selector of the workload is not understood')));
  const answers = wish.destinations.map((d) => answerTo(d, wish, facts));
  const troubles = answers.flatMap((a) => a.trouble ?? []);
  const verdict = said(verdictOf(troubles, upon));
  if (troubles.some((t) => t.reason === 'Pending')) return kept(facts, upon, verdict);
  const rules = answers.flatMap((a) => a.rules);
  const dns = rules.length > 0 && answers.some((a) => a.named) ? dnsRules(facts) : [];
  return withRules(facts, upon, { rules: [...rules, ...dns], verdict });
}
