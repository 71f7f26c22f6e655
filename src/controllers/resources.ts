/** The resources that the controller reads and writes, and what it keeps of each in memory. */
import { isRecord } from '../kube/types.ts';
import type { KubeObject, ObjectMeta, Resource } from '../kube/types.ts';
import { KUBEADM_ANNOTATION, KUBEADM_CONFIG_KEY } from '../targets/kubeadm-config.ts';
import type { KubeadmConfig } from '../targets/kubeadm-config.ts';

const ours = (plural: string, kind: string, namespaced: boolean): Resource => ({
  group: 'auditconfig.dev',
  version: 'v1alpha1',
  plural,
  kind,
  namespaced,
});
const core = (plural: string, kind: string, namespaced = true): Resource => ({
  group: '',
  version: 'v1',
  plural,
  kind,
  namespaced,
});

export const AUDIT_CONFIGS = ours('auditconfigs', 'AuditConfig', true);
export const DATACENTERS = ours('datacenterauditconfigs', 'DatacenterAuditConfig', false);
export const AUDIT_NODES = ours('auditnodes', 'AuditNode', false);
export const CRDS: Resource = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
};
export const NAMESPACES = core('namespaces', 'Namespace', false);
export const NODES = core('nodes', 'Node', false);
export const CONFIG_MAPS = core('configmaps', 'ConfigMap');
/** The one ConfigMap of kube-system that is read and, with kubeadmConfig: Sync, written. */
export const KUBEADM_CONFIGS = core('configmaps', 'ConfigMap');
export const SECRETS = core('secrets', 'Secret');
/** Shippers of control-plane nodes. */
export const DAEMON_SETS: Resource = {
  group: 'apps',
  version: 'v1',
  plural: 'daemonsets',
  kind: 'DaemonSet',
  namespaced: true,
};

const network = (plural: string, kind: string, namespaced = true): Resource => ({
  group: 'networking.k8s.io',
  version: 'v1',
  plural,
  kind,
  namespaced,
});
export const NETWORK_POLICIES = network('networkpolicies', 'NetworkPolicy');
/** Served from 1.33 on. */
export const SERVICE_CIDRS = network('servicecidrs', 'ServiceCIDR', false);
export const SERVICES = core('services', 'Service');
export const ENDPOINT_SLICES: Resource = {
  group: 'discovery.k8s.io',
  version: 'v1',
  plural: 'endpointslices',
  kind: 'EndpointSlice',
  namespaced: true,
};

/** Of our own resources everything is kept but who managed which field. */
export function keepOwn(object: KubeObject): KubeObject {
  const { managedFields: _dropped, ...metadata } = object.metadata;
  return { ...object, metadata };
}

/** Of a Namespace its labels, by which datacenters select, and its uid: that of kube-system is the cluster's. */
export type NamespaceView = { readonly metadata: Pick<ObjectMeta, 'name' | 'labels' | 'uid'> };
export const keepNamespace = ({ metadata: { name, labels, uid } }: KubeObject): NamespaceView => ({
  metadata: { name, ...(labels === undefined ? {} : { labels }), ...(uid === undefined ? {} : { uid }) },
});

export type NodeView = { readonly metadata: Pick<ObjectMeta, 'name' | 'uid' | 'labels'> };

/** Of a Node, which its kubelet writes every few seconds, only name, uid and labels. */
export const keepNode = ({ metadata: { name, uid, labels } }: KubeObject): NodeView => ({
  metadata: { name, ...(uid === undefined ? {} : { uid }), ...(labels === undefined ? {} : { labels }) },
});

/** Of ConfigMaps and Secrets of the operator's namespace, their data. */
export type DataView = { readonly kind: string; readonly data: unknown; readonly binaryData: unknown };
export const keepData = (object: KubeObject): DataView => ({
  kind: object.kind,
  data: object['data'],
  binaryData: object['binaryData'],
});

export type KubeadmView = KubeadmConfig & { readonly resourceVersion: string; readonly hasAnnotations: boolean };
export function keepKubeadm(object: KubeObject): KubeadmView {
  const { resourceVersion = '', annotations } = object.metadata;
  const text = isRecord(object['data']) ? object['data'][KUBEADM_CONFIG_KEY] : undefined;
  return {
    text: typeof text === 'string' ? text : undefined,
    annotation: annotations?.[KUBEADM_ANNOTATION],
    resourceVersion,
    hasAnnotations: annotations !== undefined,
  };
}
