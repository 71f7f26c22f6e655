/**
 * The controller's view of the cluster: one reflector a resource, and which AuditConfigs a change concerns. Handlers
 * only add keys to the queue; everything else is read when a key is worked on.
 */
import { RESTART_LEASE } from '../api/restart-lease.ts';
import type { Kube } from '../kube/connect.ts';
import { LEASES } from '../kube/lease.ts';
import type { Reflector } from '../kube/reflector.ts';
import type { Change, ReadStore } from '../kube/store.ts';
import type { KubeObject, ObjectKey } from '../kube/types.ts';
import { isRecord, keyOf, refOf } from '../kube/types.ts';
import { SHIPPER_LABEL } from '../render/shipping/daemonset.ts';
import { hadBy } from './datacenters-had.ts';
import { isHosted, placeKey, reflectWorkloads, workloadKeys } from './hosted/workloads.ts';
import type { KeptWorkload } from './hosted/workloads.ts';
import { reflectKubeadm } from './kubeadm.ts';
import {
  AUDIT_CONFIGS,
  AUDIT_NODES,
  CONFIG_MAPS,
  DAEMON_SETS,
  DATACENTERS,
  NAMESPACES,
  NODES,
  SECRETS,
} from './resources.ts';
import { keepData, keepNamespace, keepNode, keepOwn } from './resources.ts';
import type { DataView, KubeadmView, NamespaceView, NodeView } from './resources.ts';

export type Caches = {
  readonly configs: Reflector<KubeObject, 'reference' | 'workload'>;
  readonly auditNodes: Reflector<KubeObject, 'config'>;
  readonly datacenters: Reflector<KubeObject>;
  readonly namespaces: Reflector<NamespaceView>;
  readonly nodes: Reflector<NodeView>;
  /** The one Lease under which API servers restart, or none. */
  readonly leases: Reflector<KubeObject>;
  readonly configMaps: Reflector<DataView>;
  readonly secrets: Reflector<DataView>;
  readonly kubeadm: Reflector<KubeadmView>;
  /** Shippers of control-plane nodes. */
  readonly daemonSets: Reflector<KubeObject>;
  /** Those that have our edit, and no others. */
  readonly deployments: Reflector<KeptWorkload>;
  readonly statefulSets: Reflector<KeptWorkload>;
};

/** `KIND/NAMESPACE/NAME` of each object that an AuditConfig refers to, in its own namespace. */
export function referencesOf(object: KubeObject): readonly string[] {
  const spec = isRecord(object['spec']) ? object['spec'] : {};
  const policy = isRecord(spec['policy']) ? spec['policy'] : {};
  const webhook = isRecord(spec['webhook']) ? spec['webhook'] : {};
  const target = isRecord(spec['target']) ? spec['target'] : {};
  const hosted = isRecord(target['hosted']) ? target['hosted'] : {};
  const names: readonly (readonly [string, unknown])[] = [
    ['ConfigMap', policy['configMapRef']],
    ['Secret', policy['secretRef']],
    ['Secret', webhook['secretRef']],
    ['Secret', hosted['kubeconfigSecretRef']],
  ];
  return names.flatMap(([kind, ref]) =>
    isRecord(ref) && typeof ref['name'] === 'string' ? [`${kind}/${object.metadata.namespace}/${ref['name']}`] : [],
  );
}

/** uid of the AuditConfig that an AuditNode was assigned by. */
export function configUidOf(object: KubeObject): string | undefined {
  const spec = isRecord(object['spec']) ? object['spec'] : {};
  const ref = isRecord(spec['auditConfigRef']) ? spec['auditConfigRef'] : {};
  return typeof ref['uid'] === 'string' ? ref['uid'] : undefined;
}

export function createCaches(
  kube: Kube,
  { operatorNamespace, bundlesNamespace }: { readonly operatorNamespace: string; readonly bundlesNamespace: string },
): Caches {
  return {
    configs: kube.reflect({
      resource: AUDIT_CONFIGS,
      project: keepOwn,
      indexes: { reference: referencesOf, workload: workloadKeys },
      // With who managed what of their status they are some 10 kB each on the wire.
      pageSize: 100,
    }),
    deployments: reflectWorkloads(kube, 'Deployment'),
    statefulSets: reflectWorkloads(kube, 'StatefulSet'),
    auditNodes: kube.reflect({
      resource: AUDIT_NODES,
      project: keepOwn,
      indexes: { config: (o) => [configUidOf(o) ?? ''] },
    }),
    datacenters: kube.reflect({ resource: DATACENTERS, project: keepOwn, indexes: {} }),
    namespaces: kube.reflect({ resource: NAMESPACES, project: keepNamespace, indexes: {}, metadataOnly: true }),
    leases: kube.reflect({
      resource: LEASES,
      project: keepOwn,
      indexes: {},
      namespace: bundlesNamespace,
      fieldSelector: `metadata.name=${RESTART_LEASE}`,
    }),
    nodes: kube.reflect({ resource: NODES, project: keepNode, indexes: {}, metadataOnly: true }),
    configMaps: kube.reflect({ resource: CONFIG_MAPS, project: keepData, indexes: {}, namespace: operatorNamespace }),
    secrets: kube.reflect({ resource: SECRETS, project: keepData, indexes: {}, namespace: operatorNamespace }),
    kubeadm: reflectKubeadm(kube),
    daemonSets: kube.reflect({
      resource: DAEMON_SETS,
      project: keepOwn,
      indexes: {},
      namespace: operatorNamespace,
      labelSelector: SHIPPER_LABEL,
    }),
  };
}

/** Those that must be complete before anything is decided: half a view would look like a removal. */
export const essential = (
  c: Caches,
): readonly { readonly synced: boolean; whenSynced(s: AbortSignal): Promise<boolean> }[] => [
  c.configs,
  c.auditNodes,
  c.nodes,
  c.leases,
  // Without their labels every AuditConfig would seem to have left its datacenter.
  c.namespaces,
];

/** Calls back for every datacenter that may refer to an object, by its name alone, and for every AuditConfig that has it. */
export function referredByDatacenters(
  caches: Pick<Caches, 'configs' | 'datacenters'>,
  name: string,
  tell: { readonly datacenter: (name: string) => void; readonly config: (key: ObjectKey) => void },
): void {
  for (const { metadata, spec } of caches.datacenters.store.values()) {
    if (!JSON.stringify(spec).includes(JSON.stringify(name))) continue;
    tell.datacenter(metadata.name);
    for (const config of caches.configs.store.values())
      if (hadBy(config).some((d) => d.name === metadata.name)) tell.config(keyOf(config.metadata));
  }
}

/** Tells of a change, once, whether it came, went, or changed in what `view` sees of it. */
function differs<T>(store: ReadStore<T>, view: (object: T) => unknown): (change: Change) => boolean {
  const seen = (key: ObjectKey): string | undefined => {
    const object = store.get(key);
    return object === undefined ? undefined : JSON.stringify(view(object));
  };
  const known = new Map([...store.keys()].map((key) => [key, seen(key)]));
  return ({ key }) => {
    const now = seen(key);
    if (known.get(key) === now) return false;
    if (now === undefined) known.delete(key);
    else known.set(key, now);
    return true;
  };
}

/**
 * Calls `enqueue` with the name of every datacenter that a change may concern, and `configs` with every AuditConfig that
 * has a datacenter whose ConfigMap or Secret changed. What else a datacenter changes is told by its plan (datacenters.ts):
 * thousands of AuditConfigs are not looked at because one number in its status changed. Returns the unhook.
 */
export function wireDatacenters(
  caches: Caches,
  enqueue: (name: string, soon?: 'Now') => void,
  configs: (key: ObjectKey) => void,
): () => void {
  const all = (): void => {
    for (const { metadata } of caches.datacenters.store.values()) enqueue(metadata.name);
  };
  const datacenter = (name: string): void => enqueue(name, 'Now');
  const labelled = differs(caches.namespaces.store, ({ metadata }) => metadata.labels);
  // Its status is ours: thousands of control planes would have it written, and read again, without a pause.
  const asked = differs(caches.datacenters.store, ({ metadata, spec }) => [{ ...metadata, resourceVersion: '' }, spec]);
  const referred = (key: ObjectKey): void =>
    referredByDatacenters(caches, refOf(key).name, { datacenter, config: configs });
  const unhooks = [
    caches.datacenters.onChange((change) => {
      if (!asked(change)) return enqueue(change.key);
      enqueue(change.key, 'Now');
      // Who it conflicts with has something to say too.
      all();
    }),
    caches.configs.onChange(all),
    caches.namespaces.onChange((change) => {
      if (labelled(change)) all();
    }),
    caches.configMaps.onChange(({ key }) => referred(key)),
    caches.secrets.onChange(({ key }) => referred(key)),
  ];
  return () => unhooks.forEach((unhook) => unhook());
}

/** Its kubelet touches a Node every few minutes; only its identity and labels concern anybody. */
function onNodeChange(caches: Pick<Caches, 'nodes'>, all: () => void): () => void {
  const concerns = differs(caches.nodes.store, ({ metadata }) => metadata);
  return caches.nodes.onChange((change) => {
    if (concerns(change)) all();
  });
}

/**
 * Calls `run` when anything changes that the Lease for restarts may have to say: nothing that is hosted, of which there may
 * be thousands. Returns the unhook.
 */
export function wireRestarts(
  caches: Pick<Caches, 'configs' | 'auditNodes' | 'leases' | 'nodes'>,
  run: () => void,
): () => void {
  const unhooks = [
    caches.configs.onChange(({ key }) => {
      const config = caches.configs.store.get(key);
      // One that is gone may have been of either kind.
      if (config === undefined || !isHosted(config)) run();
    }),
    caches.auditNodes.onChange(run),
    caches.leases.onChange(run),
    onNodeChange(caches, run),
  ];
  return () => unhooks.forEach((unhook) => unhook());
}

/** Calls `enqueue` with the key of every AuditConfig that a change may concern. Returns the unhook. */
export function wire(caches: Caches, enqueue: (key: ObjectKey) => void): () => void {
  const all = (): void => {
    for (const key of caches.configs.store.keys()) enqueue(key);
  };
  const referring = (kind: string, key: ObjectKey): void => {
    for (const config of caches.configs.store.keysBy('reference', `${kind}/${key}`)) enqueue(config);
  };
  const unhooks = [
    caches.configs.onChange(({ type, key }) => {
      enqueue(key);
      // One that came or went may free or take the nodes of others.
      if (type !== 'Updated') all();
    }),
    // Few and small: a node that came, or was relabelled, may concern any of them.
    onNodeChange(caches, all),
    caches.auditNodes.onChange(all),
    caches.kubeadm.onChange(all),
    // As few as AuditConfigs of nodes.
    caches.daemonSets.onChange(all),
    caches.configMaps.onChange(({ key }) => referring('ConfigMap', key)),
    caches.secrets.onChange(({ key }) => referring('Secret', key)),
  ];
  return () => unhooks.forEach((unhook) => unhook());
}

/**
 * Calls `enqueue` with the key of every hosted AuditConfig that a change may concern: there are thousands of others. With the
 * version that a watch told of, `AuditConfig/RESOURCEVERSION`, where the change is its own or its workload's.
 */
export function wireHosted(caches: Caches, enqueue: (key: ObjectKey, version?: string) => void): () => void {
  const { store } = caches.configs;
  const targeting = (place: string, version?: string): void => {
    for (const key of store.keysBy('workload', place)) enqueue(key, version);
  };
  const versionOf = (kind: string, { version }: Change): string | undefined =>
    version === undefined ? undefined : `${kind}/${version}`;
  /** Where each was when it was last seen: one that is deleted frees its workload for another. */
  const places = new Map<ObjectKey, string>();
  const seen = (key: ObjectKey): void => {
    const config = store.get(key);
    const [place] = config === undefined ? [] : workloadKeys(config);
    const before = places.get(key);
    if (place === undefined) places.delete(key);
    else places.set(key, place);
    if (place === undefined && before !== undefined) targeting(before);
  };
  for (const key of store.keys()) seen(key);
  const of =
    (kind: 'Deployment' | 'StatefulSet') =>
    (change: Change): void => {
      const [namespace = '', name = ''] = change.key.split('/');
      targeting(placeKey({ kind, namespace, name }), versionOf(kind, change));
    };
  const referring = (kind: string, key: ObjectKey): void => {
    for (const config of store.keysBy('reference', `${kind}/${key}`)) enqueue(config);
  };
  const unhooks = [
    caches.configs.onChange((change) => {
      seen(change.key);
      enqueue(change.key, versionOf(AUDIT_CONFIGS.kind, change));
    }),
    caches.deployments.onChange(of('Deployment')),
    caches.statefulSets.onChange(of('StatefulSet')),
    caches.configMaps.onChange(({ key }) => referring('ConfigMap', key)),
    caches.secrets.onChange(({ key }) => referring('Secret', key)),
  ];
  return () => unhooks.forEach((unhook) => unhook());
}
