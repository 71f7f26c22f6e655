/**
 * Carries out a decision about a hosted control plane, in the order that makes every interruption harmless: finalizer,
 * revision, the one patch of the workload, pods that it left stuck, status, finalizer again.
 */
import type { JsonPatch, KubeClient } from '../../kube/client.ts';
import { fail, isFailedTest, ok } from '../../kube/errors.ts';
import type { Result } from '../../kube/errors.ts';
import type { StatusWriter } from '../../kube/status.ts';
import { isRecord } from '../../kube/types.ts';
import type { KubeObject, Resource } from '../../kube/types.ts';
import { CREDENTIALS_LABEL, bundleName, hostedCredentialsName, webhookName } from '../../render/bundle/names.ts';
import { fromBundle, webhookBytes } from '../../render/bundle/read.ts';
import { besideBundle, hostedBundle } from '../../render/bundle/write.ts';
import type { BundleObject } from '../../render/bundle/write.ts';
import type { Digest, Revision } from '../../render/types.ts';
import type { Minor } from '../../api/versions.ts';
import { FIELD_MANAGER } from '../../rollout/hosted/field-managers.ts';
import type { HostedDecision } from '../../rollout/hosted/scene.ts';
import { AUDIT_CONFIGS, CONFIG_MAPS, SECRETS } from '../resources.ts';
import { PODS, resourceOf, resourceOfMade } from './workloads.ts';
import { ownerFor } from '../../targets/managed.ts';
import type { OwnerPlace } from '../../targets/owners/types.ts';
import type { HostedPlace } from './workloads.ts';

export const HOSTED_FINALIZER = 'auditconfig.dev/audit-flags';

export type HostedActor = { readonly client: KubeClient; readonly status: StatusWriter };
export type HostedTask = {
  readonly config: KubeObject;
  readonly place: HostedPlace;
  readonly workload: KubeObject | null;
  readonly decision: HostedDecision;
};

/** The workload as the patch left it, where there was one. */
export async function actHosted(
  a: HostedActor,
  t: HostedTask,
  signal: AbortSignal,
): Promise<Result<KubeObject | undefined>> {
  const { decision, config } = t;
  let patched: KubeObject | undefined;
  const steps: (() => Promise<Result<unknown>>)[] = [];
  if (decision.finalizer === 'Add') steps.push(() => setFinalizer(a, config, true, signal));
  const { publish, rotate, carry, patch, patchMade, status } = decision;
  if (publish !== undefined) steps.push(...publishSteps(a, publish, t, signal));
  if (rotate !== undefined) steps.push(...publishSteps(a, rotate, { ...t, only: isCredentials }, signal));
  if (carry !== undefined) steps.push(...publishSteps(a, carry, { ...t, only: isCredentials }, signal));
  if (patch !== undefined)
    steps.push(async () => {
      const done = await patchWorkload(a, t, patch, signal);
      if (done.ok) patched = done.value;
      return done;
    });
  if (patchMade !== undefined) steps.push(() => patchWhatIsMade(a, t, patchMade, signal));
  if (decision.deleteStuckPods === true) steps.push(() => deleteStuckPods(a, t, signal));
  if (status !== undefined)
    steps.push(async () => {
      const written = await a.status.apply({ metadata: config.metadata, status: config['status'] }, status, signal);
      return !written.ok && written.error.code === 'NotFound' ? ok(false) : written;
    });
  if (decision.finalizer === 'Remove') steps.push(() => setFinalizer(a, config, false, signal));
  for (const step of steps) {
    const result = await step();
    if (!result.ok) return result;
  }
  return ok(patched);
}

function setFinalizer(
  a: HostedActor,
  config: KubeObject,
  wanted: boolean,
  signal: AbortSignal,
): Promise<Result<unknown>> {
  const { name, namespace = '', resourceVersion, finalizers = [] } = config.metadata;
  const others = finalizers.filter((f) => f !== HOSTED_FINALIZER);
  const patch = { metadata: { resourceVersion, finalizers: wanted ? [...others, HOSTED_FINALIZER] : others } };
  return a.client.mergePatch(AUDIT_CONFIGS, { name, namespace }, patch, { signal, fieldManager: FIELD_MANAGER });
}

function patchWorkload(
  a: HostedActor,
  { place, workload }: HostedTask,
  patch: NonNullable<HostedDecision['patch']>,
  signal: AbortSignal,
): Promise<Result<KubeObject>> {
  const same = { op: 'test', path: '/metadata/uid', value: workload?.metadata.uid } as const;
  return patchAsRead(a, { of: resourceOf(place.spec), place, patch: [same, ...patch] }, signal);
}

/** What an owner leaves there is taken out where it is. */
function patchWhatIsMade(
  a: HostedActor,
  { place }: HostedTask,
  patch: NonNullable<HostedDecision['patchMade']>,
  signal: AbortSignal,
): Promise<Result<unknown>> {
  const makes = ownerFor(place.spec.kind)?.made;
  const object = makes?.leaves === undefined ? undefined : makes.objects(place)[makes.leaves.in];
  if (object === undefined) return Promise.resolve(ok(undefined));
  return patchAsRead(a, { of: resourceOfMade(object), place: object, patch }, signal);
}

/** Where somebody wrote meanwhile, it is planned anew. */
async function patchAsRead(
  a: HostedActor,
  { of, place, patch }: { readonly of: Resource; readonly place: OwnerPlace; readonly patch: JsonPatch },
  signal: AbortSignal,
): Promise<Result<KubeObject>> {
  const { namespace, name } = place;
  const done = await a.client.jsonPatch(of, { namespace, name }, patch, { signal, fieldManager: FIELD_MANAGER });
  return !done.ok && isFailedTest(done.error) ? fail('Conflict', `${of.kind} ${name} was changed meanwhile`) : done;
}

type Owner = NonNullable<KubeObject['metadata']['ownerReferences']>[number];

/** The revision goes with its workload, and with nothing else: not with the AuditConfig, nor with our CRD. */
function ownerReferenceOf(workload: KubeObject | null, { spec }: HostedPlace): Owner | undefined {
  if (workload?.metadata.uid === undefined) return undefined;
  const { group, version, kind } = resourceOf(spec);
  return { apiVersion: `${group}/${version}`, kind, name: workload.metadata.name, uid: workload.metadata.uid };
}

function bundleOf(revision: Revision, { namespace, name, spec }: HostedPlace): readonly BundleObject[] {
  const owner = ownerFor(spec.kind);
  const asSecrets = owner?.secretsOnly === true ? { ...revision, confidential: true } : revision;
  const beside = (owner?.objects?.(revision) ?? []).map((o) => besideBundle(o, { digest: revision.digest, namespace }));
  return [...hostedBundle(asSecrets, { namespace, hosting: { kind: spec.kind, name } }), ...beside];
}

const [CREDENTIALS = ''] = Object.keys(CREDENTIALS_LABEL);
/** The webhook's credentials alone: pods read them again, and nothing restarts. */
const isCredentials = (o: BundleObject): boolean => o.metadata.labels[CREDENTIALS] !== undefined;

function publishSteps(
  a: HostedActor,
  revision: Revision,
  { place, workload, only = () => true }: HostedTask & { readonly only?: (o: BundleObject) => boolean },
  signal: AbortSignal,
): (() => Promise<Result<unknown>>)[] {
  const owner = ownerReferenceOf(workload, place);
  // The policy's object comes first in the list and is written last: who finds it finds all of it.
  return bundleOf(revision, place)
    .filter(only)
    .reverse()
    .map((o) => () => publish(a, o, owner, signal));
}

const sorted = (data: unknown): string =>
  JSON.stringify(Object.entries(data ?? {}).sort(([x], [y]) => (x < y ? -1 : 1)));

async function publish(
  a: HostedActor,
  object: BundleObject,
  owner: Owner | undefined,
  signal: AbortSignal,
): Promise<Result<unknown>> {
  const published = object.kind === 'Secret' ? SECRETS : CONFIG_MAPS;
  const ref = { name: object.metadata.name, namespace: object.metadata.namespace };
  const owners = owner === undefined ? {} : { ownerReferences: [owner] };
  const whole: KubeObject = { ...object, metadata: { ...object.metadata, ...owners } };
  const created = await a.client.create(published, whole, { signal, fieldManager: FIELD_MANAGER });
  if (created.ok || created.error.code !== 'AlreadyExists') return created;
  const there = await a.client.get(published, ref, { signal });
  if (!there.ok) return there;
  const same = sorted(there.value['data']) === sorted(object.data);
  // Credentials are changed in place: pods see the new files, and nothing restarts.
  const data = same || object.immutable ? {} : { data: object.data };
  const metadata = { metadata: sharedWith(owner, there.value) };
  if (same || !object.immutable)
    return same && metadata.metadata === undefined
      ? ok(undefined)
      : a.client.mergePatch(published, ref, { ...data, ...metadata }, { signal, fieldManager: FIELD_MANAGER });
  const removed = await a.client.delete(published, ref, { signal });
  if (!removed.ok) return removed;
  return fail('Conflict', `${object.kind} ${ref.name} did not hold what its name says; it is published again`);
}

/**
 * What is there belongs to a workload that was there before, or to another one with the same settings: it must not go
 * with that one. Guarded by what was read; undefined where nothing is to be added.
 */
function sharedWith(owner: Owner | undefined, there: KubeObject): object | undefined {
  const { ownerReferences = [], resourceVersion } = there.metadata;
  if (owner === undefined || ownerReferences.some((o) => o.uid === owner.uid)) return undefined;
  return { resourceVersion, ownerReferences: [...ownerReferences, owner] };
}

/** What was published of a revision, checked as if a stranger had written it; undefined: it is not there, or another one. */
export async function readRevision(
  a: Pick<HostedActor, 'client'>,
  of: { readonly place: HostedPlace; readonly digest: Digest; readonly versions: readonly Minor[] },
  signal: AbortSignal,
): Promise<Result<Revision | undefined>> {
  const { digest, versions, place } = of;
  const { namespace, name, spec } = place;
  const read = async (published: Resource, name: string): Promise<Result<KubeObject | undefined>> => {
    const got = await a.client.get(published, { namespace, name }, { signal });
    return !got.ok && got.error.code === 'NotFound' ? ok(undefined) : got;
  };
  const open = await read(CONFIG_MAPS, bundleName(digest));
  if (!open.ok) return open;
  const bundle = open.value === undefined ? await read(SECRETS, bundleName(digest)) : open;
  if (!bundle.ok) return bundle;
  const webhook = await read(SECRETS, webhookName(digest));
  if (!webhook.ok) return webhook;
  const kubeconfig = webhookBytes(webhook.value);
  const hosting = { kind: spec.kind, name };
  const credentials =
    kubeconfig === undefined ? ok(undefined) : await read(SECRETS, hostedCredentialsName(kubeconfig, hosting));
  if (!credentials.ok) return credentials;
  const input = { bundle: bundle.value, webhook: webhook.value, credentials: credentials.value, digest, versions };
  return ok(fromBundle(input).revision);
}

const isReady = (pod: KubeObject): boolean => {
  const status = isRecord(pod['status']) ? pod['status'] : {};
  const conditions: readonly unknown[] = Array.isArray(status['conditions']) ? status['conditions'] : [];
  return conditions.some((c) => isRecord(c) && c['type'] === 'Ready' && c['status'] === 'True');
};

/** A StatefulSet waits for ever for a pod of the revision that failed; only that pod, and only while it is not ready. */
async function deleteStuckPods(
  a: HostedActor,
  { place, workload }: HostedTask,
  signal: AbortSignal,
): Promise<Result<unknown>> {
  const status = isRecord(workload?.['status']) ? workload['status'] : {};
  const wanted = status['updateRevision'];
  const generation = workload?.metadata.generation ?? 0;
  // Before its controller has seen the way back, it would make the same pod again.
  if (typeof wanted !== 'string' || Number(status['observedGeneration'] ?? 0) < generation) return ok(undefined);
  const pods = await a.client.list(PODS, { namespace: place.namespace, signal });
  if (!pods.ok) return pods;
  const stuck = pods.value.filter(
    (p) =>
      p.metadata.ownerReferences?.some((o) => o.uid === workload?.metadata.uid) === true &&
      p.metadata.labels?.['controller-revision-hash'] !== wanted &&
      p.metadata.deletionTimestamp === undefined &&
      !isReady(p),
  );
  for (const { metadata } of stuck) {
    const ref = { namespace: place.namespace, name: metadata.name };
    const uid = metadata.uid === undefined ? {} : { uid: metadata.uid };
    const deleted = await a.client.delete(PODS, ref, { signal, ...uid });
    if (!deleted.ok) return deleted;
  }
  return ok(undefined);
}
