/**
 * Reads everything that a decision about one AuditConfig needs, out of the caches, into plain data. Sends a request
 * only where a cache cannot exist (the controller may not list Secrets): then the answer says why.
 */
import { auditConfigStatus, rolloutSpec } from '../api/auditconfig.ts';
import { auditNodeSpec, auditNodeStatus } from '../api/auditnode.ts';
import type { Minor } from '../api/versions.ts';
import type { KubeClient } from '../kube/client.ts';
import type { KubeError } from '../kube/errors.ts';
import type { Reflector } from '../kube/reflector.ts';
import { isRecord, refOf } from '../kube/types.ts';
import type { KubeObject, ObjectKey, Resource } from '../kube/types.ts';
import type { Reference, References } from '../render/references.ts';
import { shipperName } from '../render/shipping/daemonset.ts';
import { Secret } from '../render/types.ts';
import { claimantOf, nodeSelectorOf, selects } from '../rollout/claims.ts';
import type { Claimant } from '../rollout/claims.ts';
import { viewOf } from '../rollout/facts.ts';
import type { Facts, NodeFact, Settings } from '../rollout/facts.ts';
import { isInFlight } from '../rollout/next-node.ts';
import { configUidOf } from './caches.ts';
import { nodeReadiness } from './node-readiness.ts';
import type { Caches } from './caches.ts';
import type { KnownReferences, ReferenceTo } from './hosted/references.ts';
import { isHosted } from './hosted/workloads.ts';
import { kubeadmFact } from './kubeadm.ts';
import { AUDIT_CONFIGS, CONFIG_MAPS, CRDS, SECRETS, keepData } from './resources.ts';
import type { DataView } from './resources.ts';
import type { GovernedView, ReadReference } from './governed.ts';
import type { Told } from './told.ts';

export const FINALIZER = 'auditconfig.dev/audit-flags';

export type Gatherer = {
  readonly caches: Caches;
  readonly client: KubeClient;
  readonly settings: Settings;
  readonly serverVersion: () => Minor;
  /** AuditNodes as they were answered when they were told, until the cache has them. */
  readonly told: Told;
  readonly governed: GovernedView;
  /** What is referred to outside of the operator's namespace. */
  readonly references: KnownReferences;
};

/** Facts about the AuditConfig, or undefined when there is none: absence decides nothing. */
export async function gather(
  g: Gatherer,
  key: ObjectKey,
  signal: AbortSignal,
): Promise<Omit<Facts, 'now' | 'kubeadmWrites'> | undefined> {
  const object = g.caches.configs.store.get(key);
  if (object === undefined) return undefined;
  const { namespace = '', name } = refOf(key);
  const { uid = '', generation = 0, creationTimestamp = '', deletionTimestamp, finalizers } = object.metadata;
  const status = auditConfigStatus.safeParse(object['status'] ?? {});
  const governed = await g.governed.of(object, readerOf(g), signal);
  const hosted = isHosted(object);
  return {
    ...(governed === undefined ? {} : { governed }),
    meta: {
      namespace,
      name,
      uid,
      generation,
      creationTimestamp,
      deleting: deletionTimestamp !== undefined,
      hasFinalizer: finalizers?.includes(FINALIZER) ?? false,
    },
    object,
    // Somebody else's writing in status is not obeyed, and replaced.
    status: status.success ? status.data : {},
    references: await referencesFor(g, object, signal),
    ...(hosted
      ? { nodes: [] }
      : { nodes: await withReadiness(g, object, nodesFor(g, object), signal), ...busyNode(g, uid) }),
    ...(deletionTimestamp === undefined ? {} : { definition: await definitionOf(g.client, signal) }),
    ...(hosted ? {} : shipperFact(g, { namespace, name, uid })),
    kubeadm: kubeadmFact(g.caches.kubeadm, uid, g.caches.configs.store.values()),
    serverVersion: g.serverVersion(),
    settings: g.settings,
  };
}

/** Its own name says whose it is, so that one that was adopted or renamed by hand is nobody's. */
function shipperFact(
  { caches, settings }: Gatherer,
  meta: { readonly namespace: string; readonly name: string; readonly uid: string },
): Pick<Facts, 'shipper'> {
  if (!caches.daemonSets.synced || meta.namespace !== settings.operatorNamespace) return {};
  const object = caches.daemonSets.store.get({ namespace: meta.namespace, name: shipperName(meta) }) ?? null;
  const clusterId = caches.namespaces.store.get({ name: 'kube-system' })?.metadata.uid ?? '';
  return { shipper: { object, clusterId } };
}

function claimantsOf(caches: Caches): readonly Claimant[] {
  return [...caches.configs.store.values()].flatMap((object) => {
    const nodeSelector = nodeSelectorOf(object);
    const { name, namespace = '', uid = '', creationTimestamp = '' } = object.metadata;
    return nodeSelector === undefined ? [] : [{ key: `${namespace}/${name}`, uid, creationTimestamp, nodeSelector }];
  });
}

/** Nodes that match, and nodes that have an AuditNode of this AuditConfig. */
function nodesFor({ caches, told }: Gatherer, config: KubeObject): readonly NodeFact[] {
  const { uid = '', namespace = '', name = '' } = config.metadata;
  const selector = nodeSelectorOf(config);
  const claimants = claimantsOf(caches);
  const matching = [...caches.nodes.store.values()].filter(
    (n) => selector !== undefined && selects(selector, n.metadata.labels),
  );
  const owned = [...auditNodesOf(caches, told)].flatMap((o) => (configUidOf(o) === uid ? [o.metadata.name] : []));
  const names = new Set([...matching.map((n) => n.metadata.name), ...owned]);
  return [...names].sort().map((node): NodeFact => {
    const there = caches.nodes.store.get(node);
    const auditNode = auditNodeFact(told.newest(node, caches.auditNodes.store.get(node)));
    const claimant = claimantOf(there?.metadata.labels, auditNode?.spec.auditConfigRef.uid, claimants);
    return {
      name: node,
      ...(there?.metadata.uid === undefined ? {} : { nodeUid: there.metadata.uid }),
      matches: matching.some((n) => n.metadata.name === node),
      ...(auditNode === undefined ? {} : { auditNode }),
      claimant: claimant ?? { key: `${namespace}/${name}`, uid },
    };
  });
}

/** Where a dead node is not to hold back the others, their Nodes are asked for, as long as a change is in flight there. */
async function withReadiness(
  { client, governed }: Gatherer,
  config: KubeObject,
  nodes: readonly NodeFact[],
  signal: AbortSignal,
): Promise<readonly NodeFact[]> {
  const rollout = rolloutSpec.safeParse(governed.rolloutOf(config) ?? {});
  if (!rollout.success || rollout.data.allowDegraded !== true) return nodes;
  const uid = config.metadata.uid ?? '';
  const all: NodeFact[] = [];
  for (const node of nodes) {
    const asks = node.nodeUid !== undefined && isInFlight(viewOf(node, uid));
    const read = asks ? await nodeReadiness(client, node.name, signal) : undefined;
    all.push(read?.ok === true && read.value !== undefined ? { ...node, readiness: read.value } : node);
  }
  return all;
}

/** Every AuditNode, those that were told a moment ago as they are by now. */
function* auditNodesOf(caches: Caches, told: Told): Iterable<KubeObject> {
  const { store } = caches.auditNodes;
  for (const object of store.values()) yield told.newest(object.metadata.name, object) ?? object;
  for (const name of told.names()) {
    const fresh = store.get({ name }) === undefined ? told.newest(name, undefined) : undefined;
    if (fresh !== undefined) yield fresh;
  }
}

/** A node on which a change for somebody else is in flight, or was asked for a moment ago. */
function busyNode(g: Gatherer, uid: string): { busyNode?: string } {
  for (const object of auditNodesOf(g.caches, g.told)) {
    const { name } = object.metadata;
    const fact = auditNodeFact(object);
    if (fact === undefined || fact.spec.auditConfigRef.uid === uid || g.caches.nodes.store.get(name) === undefined)
      continue;
    const of = fact.spec.auditConfigRef.uid;
    if (isInFlight(viewOf({ name, matches: true, auditNode: fact, claimant: { key: '', uid: of } }, of)))
      return { busyNode: name };
  }
  return {};
}

/** Asked of the API server itself, not of a cache: the answer decides whether a deletion was meant. */
async function definitionOf(client: KubeClient, signal: AbortSignal): Promise<NonNullable<Facts['definition']>> {
  const name = `${AUDIT_CONFIGS.plural}.${AUDIT_CONFIGS.group}`;
  const crd = await client.get(CRDS, { name }, { signal });
  if (!crd.ok) return crd.error.code === 'NotFound' ? 'Leaving' : 'Unknown';
  return crd.value.metadata.deletionTimestamp === undefined ? 'Served' : 'Leaving';
}

function auditNodeFact(object: KubeObject | undefined): NodeFact['auditNode'] {
  if (object === undefined || configUidOf(object) === undefined) return undefined;
  const spec = auditNodeSpec.safeParse(object['spec']);
  const status = auditNodeStatus.safeParse(object['status'] ?? {});
  if (!spec.success) return undefined;
  const { uid = '', generation = 0 } = object.metadata;
  return { uid, generation, spec: spec.data, status: status.success ? status.data : {} };
}

async function referencesFor(g: Gatherer, config: KubeObject, signal: AbortSignal): Promise<References> {
  const spec = isRecord(config['spec']) ? config['spec'] : {};
  const policy = isRecord(spec['policy']) ? spec['policy'] : {};
  const webhook = isRecord(spec['webhook']) ? spec['webhook'] : {};
  const read = async (resource: Resource, cache: Reflector<DataView>, ref: unknown): Promise<Reference | undefined> =>
    isRecord(ref) && typeof ref['name'] === 'string'
      ? readReference(
          g,
          {
            anywhere: isHosted(config),
            resource,
            cache,
            namespace: config.metadata.namespace ?? '',
            name: ref['name'],
          },
          signal,
        )
      : undefined;
  const fromMap = await read(CONFIG_MAPS, g.caches.configMaps, policy['configMapRef']);
  const fromSecret = await read(SECRETS, g.caches.secrets, policy['secretRef']);
  const hook = await read(SECRETS, g.caches.secrets, webhook['secretRef']);
  const ofPolicy = fromMap ?? fromSecret;
  return { ...(ofPolicy === undefined ? {} : { policy: ofPolicy }), ...(hook === undefined ? {} : { webhook: hook }) };
}

type Wanted = {
  readonly resource: Resource;
  readonly cache: Reflector<DataView>;
  readonly namespace: string;
  readonly name: string;
  /** Hosted targets are in namespaces of their own; node targets are not (accept.ts), and nothing is asked for them. */
  readonly anywhere: boolean;
};

async function readReference(g: Gatherer, want: Wanted, signal: AbortSignal): Promise<Reference> {
  const ref = { namespace: want.namespace, name: want.name };
  if (want.namespace === g.settings.operatorNamespace && want.cache.synced) {
    const cached = want.cache.store.get(ref);
    return cached === undefined ? { found: false, why: 'NotFound' } : dataOf(cached);
  }
  if (want.namespace !== g.settings.operatorNamespace && !want.anywhere) return { found: false, why: 'Forbidden' };
  return readElsewhere(g, { kind: want.resource === SECRETS ? 'Secret' : 'ConfigMap', ...ref }, signal);
}

/** From its watch, or asked for once and watched from then on, as far as RBAC permits. */
async function readElsewhere(
  { references, client, settings }: Pick<Gatherer, 'references' | 'client' | 'settings'>,
  to: ReferenceTo,
  signal: AbortSignal,
): Promise<Reference> {
  const known = references.known(to);
  if (known !== undefined) return known === null ? { found: false, why: 'NotFound' } : dataOf(known);
  const want = { resource: to.kind === 'Secret' ? SECRETS : CONFIG_MAPS };
  const read = await client.get(want.resource, to, { signal });
  const isReadable = read.ok || read.error.code === 'NotFound';
  if (isReadable && to.namespace !== settings.operatorNamespace) references.follow(to, read.ok ? 'There' : 'Absent');
  return read.ok ? dataOf(keepData(read.value)) : { found: false, why: whyOf(read.error) };
}

/** Objects that datacenters refer to: from the cache where there is one. */
export const readerOf =
  (g: Pick<Gatherer, 'caches' | 'client' | 'settings' | 'references'>): ReadReference =>
  async ({ kind, namespace, name }, signal) => {
    const cache = kind === 'Secret' ? g.caches.secrets : g.caches.configMaps;
    if (namespace === g.settings.operatorNamespace && cache.synced) {
      const cached = cache.store.get({ namespace, name });
      return cached === undefined ? { found: false, why: 'NotFound' } : dataOf(cached);
    }
    return readElsewhere(g, { kind, namespace, name }, signal);
  };

function whyOf(error: KubeError): 'NotFound' | 'Forbidden' | 'Unreadable' {
  if (error.code === 'NotFound') return 'NotFound';
  return error.code === 'Forbidden' ? 'Forbidden' : 'Unreadable';
}

/** Strict base64: Buffer would skip what is none. */
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function dataOf(view: DataView): Reference {
  const secret = view.kind === 'Secret';
  const text = isRecord(view.data) ? view.data : {};
  const binary = isRecord(view.binaryData) ? view.binaryData : {};
  const data: Record<string, Uint8Array> = {};
  for (const [key, value] of Object.entries(text)) {
    if (typeof value !== 'string' || (secret && !BASE64.test(value))) return { found: false, why: 'Unreadable' };
    data[key] = new Uint8Array(Buffer.from(value, secret ? 'base64' : 'utf8'));
  }
  for (const [key, value] of Object.entries(binary)) {
    if (typeof value !== 'string' || !BASE64.test(value)) return { found: false, why: 'Unreadable' };
    data[key] = new Uint8Array(Buffer.from(value, 'base64'));
  }
  return { found: true, data: new Secret(data) };
}
