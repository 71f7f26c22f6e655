/**
 * What is kept of NetworkPolicies, Services and EndpointSlices, and what follows from them. What is not understood is left
 * out, so that nothing is built upon it. Called by egress-watch.ts.
 */
import { labelSelector } from '../../api/label-selector.ts';
import type { LabelSelector, Labels } from '../../api/label-selector.ts';
import { isRecord } from '../../kube/types.ts';
import type { KubeObject } from '../../kube/types.ts';
import { EGRESS_LABELS, EGRESS_PREFIX } from '../../render/egress/policy.ts';
import type { OtherPolicy } from '../../render/egress/policy.ts';
import type { OwnPolicy, ServiceFact, ServicePort } from '../../rollout/hosted/egress-facts.ts';

const listOf = (v: unknown): readonly unknown[] => (Array.isArray(v) ? (v as unknown[]) : []);
const textOf = (v: unknown): string => (typeof v === 'string' ? v : '');
const textsOf = (v: unknown): Labels =>
  Object.fromEntries(Object.entries(isRecord(v) ? v : {}).flatMap(([k, x]) => (typeof x === 'string' ? [[k, x]] : [])));

export function selectorOf(v: unknown): LabelSelector | undefined {
  const parsed = labelSelector.safeParse(v ?? {});
  return parsed.success ? parsed.data : undefined;
}

const [PART, EGRESS] = ['auditconfig.dev/part', EGRESS_LABELS['auditconfig.dev/part']];

/** By label or by name: one that lost its label restricts nobody else's pods either. */
const isOurs = ({ metadata }: KubeObject): boolean =>
  metadata.labels?.[PART] === EGRESS || metadata.name.startsWith(EGRESS_PREFIX);

/** Null: not about egress, or one of ours. */
export function keepOther(object: KubeObject): OtherPolicy | null {
  const spec = isRecord(object['spec']) ? object['spec'] : {};
  const rules = listOf(spec['egress']);
  const isAbout = listOf(spec['policyTypes']).includes('Egress');
  if (isOurs(object) || !isAbout) return null;
  const opens = rules.some((r) => isRecord(r) && listOf(r['to']).length === 0 && listOf(r['ports']).length === 0);
  const { name, uid = '', creationTimestamp = '' } = object.metadata;
  return {
    name,
    uid,
    created: creationTimestamp,
    podSelector: selectorOf(spec['podSelector']),
    restricts: !opens,
    opens,
  };
}

export type OwnView = OwnPolicy & { readonly resourceVersion: string };
export const keepOwnPolicy = (object: KubeObject): OwnView => ({
  uid: object.metadata.uid ?? '',
  resourceVersion: object.metadata.resourceVersion ?? '',
  labels: object.metadata.labels ?? {},
  ownerReferences: object.metadata.ownerReferences,
  spec: object['spec'],
});

export type ServiceView = {
  readonly externalName: string | undefined;
  readonly headless: boolean;
  /** Empty: its endpoints are made by somebody. */
  readonly selector: Labels;
  readonly ports: readonly ServicePort[];
};

export function keepService(object: KubeObject): ServiceView {
  const spec = isRecord(object['spec']) ? object['spec'] : {};
  const ports = listOf(spec['ports']).flatMap((p): ServicePort[] => {
    if (!isRecord(p) || typeof p['port'] !== 'number') return [];
    const { targetPort } = p;
    const isNumber = typeof targetPort === 'number' && targetPort > 0;
    const target = isNumber || (typeof targetPort === 'string' && targetPort !== '') ? targetPort : p['port'];
    return [{ name: textOf(p['name']), port: p['port'], protocol: textOf(p['protocol']) || 'TCP', target }];
  });
  return {
    externalName: spec['type'] === 'ExternalName' ? textOf(spec['externalName']) : undefined,
    headless: spec['clusterIP'] === 'None',
    selector: textsOf(spec['selector']),
    ports,
  };
}

export type SliceView = Extract<ServiceFact, { is: 'Endpoints' }>['endpoints'][number];

export function keepSlice(object: KubeObject): SliceView {
  const addresses = listOf(object['endpoints']).flatMap((e) => {
    const conditions = isRecord(e) && isRecord(e['conditions']) ? e['conditions'] : {};
    return isRecord(e) && conditions['ready'] !== false ? listOf(e['addresses']).map(textOf) : [];
  });
  const ports = listOf(object['ports']).flatMap((p) =>
    isRecord(p) && typeof p['port'] === 'number' && (textOf(p['protocol']) || 'TCP') === 'TCP'
      ? [{ name: textOf(p['name']), port: p['port'] }]
      : [],
  );
  return { addresses, ports };
}

export const hasEndpointsOfItsOwn = (s: ServiceView): boolean =>
  s.externalName === undefined && Object.keys(s.selector).length === 0;

export function serviceFact(s: ServiceView, slices: readonly SliceView[]): ServiceFact {
  const { headless, ports, selector, externalName } = s;
  if (externalName !== undefined) return { is: 'ExternalName', name: externalName.toLowerCase().replace(/\.$/, '') };
  return hasEndpointsOfItsOwn(s)
    ? { is: 'Endpoints', headless, ports, endpoints: slices }
    : { is: 'Selector', selector, headless, ports };
}
