/**
 * The controller's side of the one Lease under which API servers restart: it makes it, writes on it which API servers
 * there are and when each may be restarted, and frees it where its holder cannot (src/rollout/restart-plan.ts). It never
 * takes it: agents do. Reconciled as one more key of the queue, whenever a Node, an AuditNode, an AuditConfig or the
 * Lease itself changes; writes only what changed.
 */
import { auditNodeSpec, auditNodeStatus } from '../api/auditnode.ts';
import {
  INSTANCES_ANNOTATION,
  RESTART_LEASE,
  nodeOfHolder,
  parseInstances,
  printInstances,
} from '../api/restart-lease.ts';
import type { Instance } from '../api/restart-lease.ts';
import type { KubeClient } from '../kube/client.ts';
import { ok } from '../kube/errors.ts';
import type { Result } from '../kube/errors.ts';
import { LEASES } from '../kube/lease.ts';
import type { Outcome } from '../kube/queue.ts';
import { isRecord } from '../kube/types.ts';
import type { KubeObject } from '../kube/types.ts';
import { holderVerdict, inFlight, isInstance, planOf } from '../rollout/restart-plan.ts';
import type { PlanConfig, PlanNode } from '../rollout/restart-plan.ts';
import { nodeSelectorOf } from '../rollout/claims.ts';
import type { Logger } from '../telemetry/logger.ts';
import { FIELD_MANAGER } from './act.ts';
import type { Caches } from './caches.ts';
import type { GovernedView } from './governed.ts';
import { nodeReadiness } from './node-readiness.ts';
import { NODES } from './resources.ts';

/** In the queue, beside the AuditConfigs, whose keys have a slash. */
export const RESTART_KEY = 'restart-lease';

export type RestartLeaseOptions = {
  readonly caches: Caches;
  readonly governed: Pick<GovernedView, 'rolloutOf'>;
  readonly client: KubeClient;
  readonly namespace: string;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
};

/** No watch tells of a Node's readiness: only metadata of Nodes are watched. */
const DEAD_LOOK_MS = 60_000;

export function createRestartLease(o: RestartLeaseOptions): (signal: AbortSignal) => Promise<Outcome> {
  /** By uid: an address that was looked up once is not asked for again. */
  const addresses = new Map<string, string | undefined>();
  return async (signal) => {
    const configs = configsIn(o);
    const nodes = await withAddresses(o, addresses, { nodes: nodesIn(o.caches), configs }, signal);
    if (!nodes.ok) return failed(o, nodes.error);
    const lease = [...o.caches.leases.store.values()][0];
    const before = lease === undefined ? undefined : lease.metadata.annotations?.[INSTANCES_ANNOTATION];
    const instances = planOf({ nodes: nodes.value, configs, before: parseInstances(before) ?? [] });
    const text = printInstances(instances);
    if (lease === undefined) return done(o, await create(o, text, inFlight(nodes.value), signal));
    if (before !== text) {
      const written = await annotate(o, text, signal);
      if (!written.ok) return failed(o, written.error);
    }
    return judgeHolder(o, lease, { nodes: nodes.value, instances }, signal);
  };
}

const done = (o: RestartLeaseOptions, result: Result<unknown>): Outcome =>
  result.ok || result.error.code === 'AlreadyExists' ? { kind: 'Done' } : failed(o, result.error);

function failed(o: RestartLeaseOptions, error: { readonly code: string; readonly message: string }): Outcome {
  o.log.warn({ code: error.code }, `the Lease ${RESTART_LEASE}: ${error.message}`);
  return { kind: 'Retry' };
}

function configsIn({ caches, governed }: RestartLeaseOptions): readonly PlanConfig[] {
  return [...caches.configs.store.values()].flatMap((object): PlanConfig[] => {
    const nodeSelector = nodeSelectorOf(object);
    const { name, namespace = '', uid = '', creationTimestamp = '', deletionTimestamp } = object.metadata;
    if (nodeSelector === undefined) return [];
    const deleting = deletionTimestamp !== undefined;
    return [
      {
        key: `${namespace}/${name}`,
        uid,
        creationTimestamp,
        nodeSelector,
        deleting,
        spec: { rollout: governed.rolloutOf(object) },
      },
    ];
  });
}

function nodesIn({ nodes, auditNodes }: Caches): readonly PlanNode[] {
  return [...nodes.store.values()].map(({ metadata: { name, uid = '', labels = {} } }): PlanNode => {
    const object = auditNodes.store.get(name);
    const spec = auditNodeSpec.safeParse(object?.['spec']);
    const status = auditNodeStatus.safeParse(object?.['status'] ?? {});
    return {
      ...{ name, uid, labels },
      ...(spec.success ? { owner: spec.data.auditConfigRef.uid, timeoutSeconds: spec.data.timeoutSeconds } : {}),
      ...(status.success ? { status: status.data } : {}),
    };
  });
}

/** Asks for the Nodes of API servers whose agents have not said where they are reached. */
async function withAddresses(
  { client }: RestartLeaseOptions,
  known: Map<string, string | undefined>,
  of: { readonly nodes: readonly PlanNode[]; readonly configs: readonly PlanConfig[] },
  signal: AbortSignal,
): Promise<Result<readonly PlanNode[]>> {
  const all: PlanNode[] = [];
  for (const node of of.nodes) {
    const needed = isInstance(node, of.configs) && node.status?.apiServer?.host === undefined;
    if (needed && !known.has(node.uid)) {
      const read = await client.get(NODES, { name: node.name }, { signal });
      if (!read.ok && read.error.code !== 'NotFound') return read;
      const address = read.ok ? internalIpOf(read.value) : undefined;
      // A kubelet that has just registered may not have said it yet.
      if (address !== undefined) known.set(node.uid, address);
    }
    const internalIp = known.get(node.uid);
    all.push({ ...node, ...(internalIp === undefined ? {} : { internalIp }) });
  }
  return ok(all);
}

function internalIpOf(node: KubeObject): string | undefined {
  const status = isRecord(node['status']) ? node['status'] : {};
  const addresses: readonly unknown[] = Array.isArray(status['addresses']) ? status['addresses'] : [];
  for (const a of addresses)
    if (isRecord(a) && a['type'] === 'InternalIP' && typeof a['address'] === 'string') return a['address'];
  return undefined;
}

function create(
  { client, namespace }: RestartLeaseOptions,
  text: string,
  holder: string | undefined,
  signal: AbortSignal,
): Promise<Result<KubeObject>> {
  const object: KubeObject = {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { namespace, name: RESTART_LEASE, annotations: { [INSTANCES_ANNOTATION]: text } },
    // Somebody deleted it while an API server restarts: that node has it still.
    spec: holder === undefined ? {} : { holderIdentity: holder },
  };
  return client.create(LEASES, object, { signal, fieldManager: FIELD_MANAGER });
}

/** Whoever is just taking it gets a conflict, and reads what is new. */
const annotate = (
  { client, namespace }: RestartLeaseOptions,
  text: string,
  signal: AbortSignal,
): Promise<Result<KubeObject>> =>
  client.mergePatch(
    LEASES,
    { namespace, name: RESTART_LEASE },
    { metadata: { annotations: { [INSTANCES_ANNOTATION]: text } } },
    { signal, fieldManager: FIELD_MANAGER },
  );

async function judgeHolder(
  o: RestartLeaseOptions,
  lease: KubeObject,
  plan: { readonly nodes: readonly PlanNode[]; readonly instances: readonly Instance[] },
  signal: AbortSignal,
): Promise<Outcome> {
  const spec = isRecord(lease['spec']) ? lease['spec'] : {};
  const holder = typeof spec['holderIdentity'] === 'string' ? spec['holderIdentity'] : '';
  if (holder === '') return { kind: 'Done' };
  const name = nodeOfHolder(holder);
  const cached = plan.nodes.find((n) => n.name === name);
  const allowDegraded = plan.instances.find((i) => i.node === name)?.allowDegraded === true;
  const known = cached !== undefined && holder.endsWith(`/${cached.uid}`);
  if (known && !allowDegraded) return { kind: 'Done' };
  // A cache may lag behind; what is taken from somebody is asked of the API server itself.
  const node = await nodeReadiness(o.client, name, signal);
  if (!node.ok) return failed(o, node.error);
  const rules = { allowDegraded, timeoutSeconds: cached?.timeoutSeconds ?? 3_600 };
  const verdict = holderVerdict(holder, node.value, rules, o.now());
  if (!verdict.free) return verdict.lookAgain ? { kind: 'Again', afterMs: DEAD_LOOK_MS } : { kind: 'Done' };
  o.log.warn({ holder, why: verdict.why }, `the Lease ${RESTART_LEASE} is taken from its holder`);
  const patch = { metadata: { resourceVersion: lease.metadata.resourceVersion }, spec: { holderIdentity: '' } };
  const ref = { namespace: o.namespace, name: RESTART_LEASE };
  const freed = await o.client.mergePatch(LEASES, ref, patch, { signal, fieldManager: FIELD_MANAGER });
  return done(o, freed);
}
