/**
 * The NetworkPolicy that lets the pods of a hosted control plane reach their webhook where another one restricts what they
 * reach. What it must never do is to restrict anything itself: a pod that it selects is one that the other policy selects
 * too, since it selects by both selectors together, and it belongs to that policy, so that Kubernetes' own garbage collector
 * takes it away with it even where no controller runs. Called by src/rollout/hosted/egress.ts.
 */
import { matchesLabels } from '../../api/label-selector.ts';
import type { LabelSelector, Labels } from '../../api/label-selector.ts';
import { canonicalJson, sha256 } from '../../config/canonical.ts';

type Port = { readonly protocol: 'TCP' | 'UDP'; readonly port: number | string };
type Peer =
  | { readonly ipBlock: { readonly cidr: string } }
  | { readonly namespaceSelector: LabelSelector; readonly podSelector: LabelSelector };
export type EgressRule = { readonly to: readonly Peer[]; readonly ports: readonly Port[] };

export const EGRESS_LABELS = {
  'app.kubernetes.io/managed-by': 'auditconfig',
  'auditconfig.dev/part': 'egress',
} as const;
export const EGRESS_PREFIX = 'auditconfig-egress-';

/** One name for one workload; the hash tells a Deployment from a StatefulSet of the same name. */
export const egressName = (kind: string, name: string): string =>
  `${EGRESS_PREFIX}${name.slice(0, 200)}-${sha256(`${kind}/${name}`).slice(0, 8)}`;

/** A policy of somebody else. */
export type OtherPolicy = {
  readonly name: string;
  readonly uid: string;
  /** RFC 3339. */
  readonly created: string;
  /** Undefined: not understood; it cannot be built upon. */
  readonly podSelector: LabelSelector | undefined;
  /** It is about egress, and does not allow all of it. */
  readonly restricts: boolean;
  /** It lets everything out, so that no other one restricts anything. */
  readonly opens: boolean;
};

/** The policy to build upon, the oldest that restricts these pods; undefined where nothing does. */
export function restrictingPolicy(others: readonly OtherPolicy[], podLabels: Labels): OtherPolicy | undefined {
  const about = others.filter((o) => matchesLabels(o.podSelector, podLabels));
  if (about.some((o) => o.opens)) return undefined;
  const [oldest] = about
    .filter((o) => o.restricts)
    .sort((a, b) => Date.parse(a.created) - Date.parse(b.created) || (a.name < b.name ? -1 : 1));
  return oldest;
}

/** Selects what both select. */
export function bothSelect(a: LabelSelector, b: LabelSelector): LabelSelector {
  const labels = new Map(Object.entries(a.matchLabels ?? {}));
  const more: NonNullable<LabelSelector['matchExpressions']> = [];
  for (const [key, value] of Object.entries(b.matchLabels ?? {}))
    if (!labels.has(key)) labels.set(key, value);
    else if (labels.get(key) !== value) more.push({ key, operator: 'In', values: [value] });
  const all = [...(a.matchExpressions ?? []), ...(b.matchExpressions ?? []), ...more];
  const once = [...new Map(all.map((e) => [canonicalJson(e), e])).values()];
  return {
    ...(labels.size === 0 ? {} : { matchLabels: Object.fromEntries(labels) }),
    ...(once.length === 0 ? {} : { matchExpressions: once }),
  };
}

export type EgressPolicy = {
  readonly apiVersion: 'networking.k8s.io/v1';
  readonly kind: 'NetworkPolicy';
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels: typeof EGRESS_LABELS;
    readonly ownerReferences: readonly [
      { readonly apiVersion: string; readonly kind: string; readonly name: string; readonly uid: string },
    ];
  };
  readonly spec: {
    readonly podSelector: LabelSelector;
    readonly policyTypes: readonly ['Egress'];
    readonly egress: readonly EgressRule[];
  };
};

export type EgressInput = {
  readonly namespace: string;
  readonly name: string;
  /** spec.selector of the workload: its pods and no others. */
  readonly pods: LabelSelector;
  readonly upon: OtherPolicy & { readonly podSelector: LabelSelector };
  readonly rules: readonly EgressRule[];
};

/** Same input, same object: what is there can be compared with it. */
export function egressPolicy({ namespace, name, pods, upon, rules }: EgressInput): EgressPolicy {
  const once = new Map(rules.map((r) => [canonicalJson(r), r]));
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: {
      name,
      namespace,
      labels: EGRESS_LABELS,
      ownerReferences: [{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', name: upon.name, uid: upon.uid }],
    },
    spec: {
      podSelector: bothSelect(pods, upon.podSelector),
      policyTypes: ['Egress'],
      egress: [...once].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, rule]) => rule),
    },
  };
}
