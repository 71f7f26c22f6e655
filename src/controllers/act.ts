/**
 * Carries out a decision, step by step in the order that makes every interruption harmless: finalizer, bundle,
 * kubeadm-config, assignment, what is forgotten, the shipper, status, finalizer again. Each step may find that it was done already. The first error
 * ends it; the next reconcile decides anew.
 */
import type { KubeClient } from '../kube/client.ts';
import { fail, ok } from '../kube/errors.ts';
import type { Result } from '../kube/errors.ts';
import type { StatusWriter } from '../kube/status.ts';
import { isRecord } from '../kube/types.ts';
import type { KubeObject } from '../kube/types.ts';
import { BUNDLE_LABELS } from '../render/bundle/names.ts';
import { credentialsObject, toBundle } from '../render/bundle/write.ts';
import { KEPT_PREFIX, keptSecret } from '../render/last-valid.ts';
import type { Digest, Revision } from '../render/types.ts';
import type { Assignment } from '../rollout/assignment.ts';
import type { Decision } from '../rollout/decide.ts';
import type { KubeadmPatch } from '../rollout/kubeadm.ts';
import { FINALIZER } from './gather.ts';
import { patchKubeadm } from './kubeadm.ts';
import { AUDIT_CONFIGS, AUDIT_NODES, CONFIG_MAPS, DAEMON_SETS, SECRETS } from './resources.ts';

export const FIELD_MANAGER = 'auditconfig-controller';

export type Actor = {
  readonly client: KubeClient;
  readonly status: StatusWriter;
  readonly bundlesNamespace: string;
};

export type Acted = {
  /** The AuditNode as the API server has it now, where one was told: caches come later. */
  readonly assigned?: KubeObject;
};

export async function act(
  a: Actor,
  config: KubeObject,
  decision: Decision,
  signal: AbortSignal,
): Promise<Result<Acted>> {
  let assigned: KubeObject | undefined;
  const steps: readonly (() => Promise<Result<unknown>>)[] = [
    ...(decision.finalizer === 'Add' ? [() => setFinalizer(a, config, true, signal)] : []),
    ...publishSteps(a, decision.publish, signal),
    ...rotateSteps(a, decision.rotate, signal),
    ...keepSteps(a, config, decision, signal),
    ...kubeadmSteps(a, decision.kubeadm, signal),
    ...assignSteps(a, decision.assign, signal).map((step) => async () => {
      const told = await step();
      if (told.ok) assigned = told.value;
      return told;
    }),
    ...decision.forget.map((name) => () => a.client.delete(AUDIT_NODES, { name }, { signal })),
    ...shipperSteps(a, config, decision, signal),
    ...statusSteps(a, config, decision, signal),
    ...forgetKeptSteps(a, config, decision, signal),
    ...(decision.finalizer === 'Remove' ? [() => setFinalizer(a, config, false, signal)] : []),
  ];
  for (const step of steps) {
    const result = await step();
    if (!result.ok) return result;
  }
  return ok(assigned === undefined ? {} : { assigned });
}

/** Guarded by the version that was read: a finalizer list is shared with others. */
function setFinalizer(a: Actor, config: KubeObject, wanted: boolean, signal: AbortSignal): Promise<Result<unknown>> {
  const { name, namespace, resourceVersion, finalizers = [] } = config.metadata;
  const others = finalizers.filter((f) => f !== FINALIZER);
  const patch = { metadata: { resourceVersion, finalizers: wanted ? [...others, FINALIZER] : others } };
  const ref = { name, ...(namespace === undefined ? {} : { namespace }) };
  return a.client.mergePatch(AUDIT_CONFIGS, ref, patch, { signal, fieldManager: FIELD_MANAGER });
}

function publishSteps(
  a: Actor,
  revision: Revision | undefined,
  signal: AbortSignal,
): (() => Promise<Result<unknown>>)[] {
  if (revision === undefined) return [];
  const objects = toBundle(revision, a.bundlesNamespace);
  // The policy's object comes first in the list and is written last: who finds it finds all of it.
  return [...objects].reverse().map((object) => () => publishObject(a, object, revision.digest, signal));
}

/** The rest of that revision is what nodes run: it is there. */
function rotateSteps(a: Actor, rotate: Decision['rotate'], signal: AbortSignal): (() => Promise<Result<unknown>>)[] {
  if (rotate === undefined) return [];
  const { digest, credentials } = rotate;
  const object = credentialsObject(digest, credentials.reveal(), a.bundlesNamespace);
  return [() => publishObject(a, object, digest, signal)];
}

/** Kept before status names it. */
export function keepSteps(
  a: Pick<Actor, 'client' | 'bundlesNamespace'>,
  config: KubeObject,
  { keep }: Pick<Decision, 'keep'>,
  signal: AbortSignal,
): (() => Promise<Result<unknown>>)[] {
  if (keep === undefined) return [];
  const object: KubeObject = keptSecret(config.metadata.uid ?? '', keep, a.bundlesNamespace);
  return [
    async () => {
      const created = await a.client.create(SECRETS, object, { signal, fieldManager: FIELD_MANAGER });
      return !created.ok && created.error.code === 'AlreadyExists' ? ok(undefined) : created;
    },
  ];
}

/** What was kept before, when status names another, or nothing is to be kept any more. */
export function forgetKeptSteps(
  a: Pick<Actor, 'client' | 'bundlesNamespace'>,
  config: KubeObject,
  decision: Pick<Decision, 'finalizer' | 'keep' | 'status'>,
  signal: AbortSignal,
): (() => Promise<Result<unknown>>)[] {
  const status = isRecord(config['status']) ? config['status'] : {};
  const { name } = isRecord(status['lastValid']) ? status['lastValid'] : {};
  const stays =
    decision.finalizer !== 'Remove' && (decision.keep === undefined || decision.status?.lastValid?.name === name);
  if (typeof name !== 'string' || !name.startsWith(KEPT_PREFIX) || stays) return [];
  return [
    async () => {
      const gone = await a.client.delete(SECRETS, { namespace: a.bundlesNamespace, name }, { signal });
      return !gone.ok && gone.error.code === 'NotFound' ? ok(undefined) : gone;
    },
  ];
}

async function publishObject(
  a: Actor,
  object: ReturnType<typeof toBundle>[number],
  digest: Digest,
  signal: AbortSignal,
): Promise<Result<unknown>> {
  const resource = object.kind === 'Secret' ? SECRETS : CONFIG_MAPS;
  const ref = { name: object.metadata.name, namespace: object.metadata.namespace };
  const whole: KubeObject = { ...object };
  const created = await a.client.create(resource, whole, { signal, fieldManager: FIELD_MANAGER });
  if (created.ok || created.error.code !== 'AlreadyExists') return created;
  const there = await a.client.get(resource, ref, { signal });
  if (!there.ok) return there;
  if (JSON.stringify(sorted(there.value['data'])) === JSON.stringify(sorted(object.data))) return ok(undefined);
  // Named by digest and immutable, and still something else: somebody made it anew. Agents would refuse it.
  const removed = await a.client.delete(resource, ref, { signal });
  if (!removed.ok) return removed;
  return fail(
    'Conflict',
    `${object.kind} ${ref.name} did not hold what is of revision ${digest}; it is published again`,
  );
}

const sorted = (data: unknown): unknown => Object.entries(data ?? {}).sort(([x], [y]) => (x < y ? -1 : 1));

const kubeadmSteps = (
  a: Actor,
  patch: KubeadmPatch | undefined,
  signal: AbortSignal,
): (() => Promise<Result<unknown>>)[] =>
  patch === undefined ? [] : [() => patchKubeadm(a.client, patch, { signal, fieldManager: FIELD_MANAGER })];

/** Beside what nodes run: it restarts no API server, and so waits for none. */
function shipperSteps(
  a: Actor,
  config: KubeObject,
  { shipper }: Decision,
  signal: AbortSignal,
): (() => Promise<Result<unknown>>)[] {
  const { apply, remove } = shipper ?? {};
  if (apply !== undefined) {
    const object: KubeObject = { ...apply };
    return [() => a.client.apply(DAEMON_SETS, object, { signal, fieldManager: FIELD_MANAGER, force: true })];
  }
  if (remove === undefined) return [];
  const ref = { namespace: config.metadata.namespace ?? '', name: remove };
  return [
    async () => {
      const gone = await a.client.delete(DAEMON_SETS, ref, { signal });
      return !gone.ok && gone.error.code === 'NotFound' ? ok(undefined) : gone;
    },
  ];
}

function assignSteps(
  a: Actor,
  assign: Assignment | undefined,
  signal: AbortSignal,
): (() => Promise<Result<KubeObject>>)[] {
  if (assign === undefined) return [];
  const owner =
    assign.nodeUid === undefined
      ? {}
      : { ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: assign.node, uid: assign.nodeUid }] };
  const object: KubeObject = {
    apiVersion: 'auditconfig.dev/v1alpha1',
    kind: 'AuditNode',
    metadata: { name: assign.node, ...owner },
    spec: assign.spec,
  };
  return [() => a.client.apply(AUDIT_NODES, object, { signal, fieldManager: FIELD_MANAGER, force: true })];
}

function statusSteps(
  a: Actor,
  config: KubeObject,
  decision: Decision,
  signal: AbortSignal,
): (() => Promise<Result<unknown>>)[] {
  const { status } = decision;
  if (status === undefined) return [];
  const target = { metadata: config.metadata, status: config['status'] };
  return [
    async () => {
      const written = await a.status.apply(target, status, signal);
      // Gone meanwhile: there is nobody left to tell.
      return !written.ok && written.error.code === 'NotFound' ? ok(false) : written;
    },
  ];
}

export type Kept = {
  readonly names: ReadonlySet<string>;
  /** Beginnings of names: of those that begin so, the newest stays. A node that joins needs the newest credentials. */
  readonly newestOf: readonly string[];
};

const newestName = (objects: readonly KubeObject[], prefix: string): string | undefined =>
  objects
    .filter((o) => o.metadata.name.startsWith(prefix))
    .map(({ metadata }) => ({ name: metadata.name, made: metadata.creationTimestamp ?? '' }))
    .sort((a, b) => (a.made < b.made ? 1 : -1))[0]?.name;

/**
 * Deletes published revisions that no AuditNode refers to; younger than `minAgeMs` stay, since a decision may be about
 * to name them.
 */
export async function prune(
  a: Actor,
  keep: Kept,
  limits: { readonly now: number; readonly minAgeMs: number },
  signal: AbortSignal,
): Promise<Result<number>> {
  const labelSelector = Object.entries(BUNDLE_LABELS)
    .map(([k, v]) => `${k}=${v}`)
    .join(',');
  let count = 0;
  for (const resource of [CONFIG_MAPS, SECRETS]) {
    const list = await a.client.list(resource, {
      signal,
      namespace: a.bundlesNamespace,
      labelSelector,
      metadataOnly: true,
    });
    if (!list.ok) return list;
    const newest = new Set(keep.newestOf.map((prefix) => newestName(list.value, prefix)));
    for (const { metadata } of list.value) {
      const age = limits.now - Date.parse(metadata.creationTimestamp ?? '');
      if (keep.names.has(metadata.name) || newest.has(metadata.name) || !(age > limits.minAgeMs)) continue;
      const deleted = await a.client.delete(
        resource,
        { name: metadata.name, namespace: a.bundlesNamespace },
        { signal },
      );
      if (!deleted.ok) return deleted;
      count += 1;
    }
  }
  return ok(count);
}
