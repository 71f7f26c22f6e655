/**
 * Deployments and StatefulSets that have our edit, of all namespaces: one watch for each kind, selected by the label that
 * the edit itself sets, so that nothing crosses the wire of the thousands of others. A workload that loses the label (its
 * owner wrote it back) goes from the cache, which is told like any change. The others are asked for by name.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { auditConfig } from '../../api/auditconfig.ts';
import { MANAGED_TARGETS, TARGET_MEMBERS } from '../../api/auditconfig-target.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { Kube } from '../../kube/connect.ts';
import type { Result } from '../../kube/errors.ts';
import { ok } from '../../kube/errors.ts';
import type { Reflector } from '../../kube/reflector.ts';
import { isRecord, keyOf, refOf } from '../../kube/types.ts';
import type { KubeObject, ObjectKey, ObjectMeta, ObjectRef, Resource } from '../../kube/types.ts';
import { HOSTED_LABEL } from '../../targets/hosted/record.ts';
import { DEFAULT_CONTAINER } from '../../targets/hosted/workload.ts';
import type { HostedSpec, WorkloadKind } from '../../targets/hosted/workload.ts';
import { ownerOf } from '../../targets/managed.ts';
import type { ManagedKind } from '../../targets/managed.ts';
import { isOwnerKind } from '../../targets/owners/types.ts';
import type { MadeObject, OwnerKind, OwnerSpec } from '../../targets/owners/types.ts';

const apps = (plural: string, kind: string): Resource => ({
  group: 'apps',
  version: 'v1',
  plural,
  kind,
  namespaced: true,
});
export const PODS: Resource = { group: '', version: 'v1', plural: 'pods', kind: 'Pod', namespaced: true };
export const DEPLOYMENTS = apps('deployments', 'Deployment');
export const STATEFUL_SETS = apps('statefulsets', 'StatefulSet');
/** An owner's object is spoken of in the version that is served. */
export function resourceOf(spec: PlaceSpec): Resource {
  if (isOwnerPlace(spec)) return ownedResource(spec.kind, spec.version);
  return spec.kind === 'Deployment' ? DEPLOYMENTS : STATEFUL_SETS;
}
export function ownedResource(kind: OwnerKind, version: string): Resource {
  const { group, plural, kind: named = kind, home } = ownerOf(kind).api;
  return { group, version, plural, kind: named, namespaced: home === undefined };
}

export const resourceOfMade = ({ group, version, plural, kind }: MadeObject): Resource => ({
  group,
  version,
  plural,
  kind,
  namespaced: true,
});

/** Namespace of its own of an object that has none; undefined for all others. */
export const homeOf = ({ spec, name }: Pick<HostedPlace, 'spec' | 'name'>): string | undefined =>
  isOwnerPlace(spec) ? ownerOf(spec.kind).api.home?.(name) : undefined;
const refIn = (place: HostedPlace): ObjectRef =>
  homeOf(place) === undefined ? { namespace: place.namespace, name: place.name } : { name: place.name };
/** What AuditConfigs of an owner's object are indexed by. */
export function ownedPlaceKey(kind: OwnerKind, key: ObjectKey): string {
  const { namespace = ownerOf(kind).api.home?.(key) ?? '', name } = refOf(key);
  return placeKey({ kind, namespace, name });
}

/**
 * A workload as it is kept: its bytes, packed, and read again when it is worked on. Thousands of them as objects would be most
 * of the controller's memory, and all of what its garbage collector has to walk through; as plain bytes, still the largest part.
 */
export type KeptWorkload = {
  readonly kind: string;
  readonly metadata: Pick<ObjectMeta, 'name' | 'namespace' | 'uid' | 'generation'>;
  readonly packed: Uint8Array;
};
export type Workloads = Readonly<Record<WorkloadKind, Reflector<KeptWorkload>>>;

/** A third to a quarter of the bytes for a twentieth of a millisecond, with little memory meanwhile. */
const PACKING = { level: 1, memLevel: 5, windowBits: 13 } as const;

/** A copy, since zlib gives a part of a larger buffer, all of which would be kept. */
const pack = (object: KubeObject): Uint8Array => new Uint8Array(deflateRawSync(JSON.stringify(object), PACKING));

/** What people and other programs did to it (managedFields) is only looked at when they are to be named. */
export function keepWorkload(object: KubeObject): KeptWorkload {
  const { managedFields: _dropped, ...metadata } = object.metadata;
  const { name, namespace, uid, generation } = metadata;
  return {
    kind: object.kind,
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(uid === undefined ? {} : { uid }),
      ...(generation === undefined ? {} : { generation }),
    },
    packed: pack({ ...object, metadata }),
  };
}

export const readKept = ({ packed }: KeptWorkload): KubeObject =>
  JSON.parse(inflateRawSync(packed, { windowBits: PACKING.windowBits }).toString('utf8')) as KubeObject;

/** Some 12 kB each, and ten times as much while a page is read. */
const PAGE_SIZE = 100;

export function reflectWorkloads(kube: Pick<Kube, 'reflect'>, kind: WorkloadKind): Reflector<KeptWorkload> {
  const workloads = kind === 'Deployment' ? DEPLOYMENTS : STATEFUL_SETS;
  return kube.reflect({
    resource: workloads,
    project: keepWorkload,
    indexes: {},
    labelSelector: HOSTED_LABEL,
    pageSize: PAGE_SIZE,
  });
}

/** Is it somebody else who rolls it out? Cheap: it is asked of every AuditConfig at every change. */
export function isHosted(config: KubeObject): boolean {
  const spec = isRecord(config['spec']) ? config['spec'] : {};
  const type = isRecord(spec['target']) ? spec['target']['type'] : undefined;
  return MANAGED_TARGETS.some((t) => t === type);
}

/** Of an owner's object, `version` is empty until it is known which one is served. */
export type PlaceSpec = HostedSpec | Pick<OwnerSpec, 'kind' | 'version'>;
export type HostedPlace = {
  readonly namespace: string;
  readonly name: string;
  readonly spec: PlaceSpec;
  /** The Secret by which its API server is asked. */
  readonly kubeconfig?: { readonly name: string; readonly key?: string | undefined };
};
export const isOwnerPlace = (spec: PlaceSpec): spec is Pick<OwnerSpec, 'kind' | 'version'> => isOwnerKind(spec.kind);

/** Where an AuditConfig's hosted target is; undefined for other targets. */
export function hostedPlaceOf(config: KubeObject): HostedPlace | undefined {
  const target = auditConfig.shape.spec.shape.target.safeParse(
    (config['spec'] as { target?: unknown } | undefined)?.target,
  );
  if (!target.success) return undefined;
  const namespace = config.metadata.namespace ?? '';
  const { type, hosted } = target.data;
  if (type === 'Hosted' && hosted !== undefined) {
    const { kind, name, container = DEFAULT_CONTAINER, kubeconfigSecretRef: kubeconfig } = hosted;
    return { namespace, name, spec: { kind, container }, ...(kubeconfig === undefined ? {} : { kubeconfig }) };
  }
  if (!isOwnerKind(type)) return undefined;
  const member = target.data[TARGET_MEMBERS[type]];
  return member === undefined ? undefined : { namespace, name: member.name, spec: { kind: type, version: '' } };
}

/** What AuditConfigs are indexed by. */
export const placeKey = (p: {
  readonly kind: ManagedKind;
  readonly namespace: string;
  readonly name: string;
}): string => `${p.kind}/${p.namespace}/${p.name}`;
export const workloadKeys = (config: KubeObject): readonly string[] => {
  const place = isHosted(config) ? hostedPlaceOf(config) : undefined;
  return place === undefined ? [] : [placeKey({ ...place, kind: place.spec.kind })];
};

/** Workloads as they were answered a moment ago, until the watch has them. */
export class Patched {
  readonly #objects = new Map<string, KeptWorkload>();

  /** `kind` as targets call it: two APIs may have one name for theirs. */
  remember(kind: ManagedKind, object: KubeObject): void {
    this.#objects.set(`${kind}/${keyOf(object.metadata)}`, keepWorkload(object));
    if (this.#objects.size > 10_000) this.#objects.delete([...this.#objects.keys()][0] ?? '');
  }

  newest(kind: ManagedKind, key: string, cached: KeptWorkload | undefined): KeptWorkload | undefined {
    const own = this.#objects.get(`${kind}/${key}`);
    if (own === undefined || cached === undefined) return cached;
    const isOld =
      cached.metadata.uid === own.metadata.uid && (cached.metadata.generation ?? 0) < (own.metadata.generation ?? 0);
    if (isOld) return own;
    this.#objects.delete(`${kind}/${key}`);
    return cached;
  }
}

export type Finder = {
  readonly client: KubeClient;
  readonly workloads: Workloads;
  /** Of owners' objects (owned.ts); undefined before the first edit. */
  readonly owned: { store(kind: OwnerKind): Reflector<KeptWorkload>['store'] | undefined };
  readonly patched: Patched;
};

/** From the cache where it is there; else asked for, since only labelled ones are watched. Null: there is none. */
export async function findWorkload(
  f: Finder,
  place: HostedPlace,
  signal: AbortSignal,
): Promise<Result<KubeObject | null>> {
  const { spec } = place;
  const ref = refIn(place);
  const store = isOwnerPlace(spec) ? f.owned.store(spec.kind) : f.workloads[spec.kind].store;
  const cached = f.patched.newest(spec.kind, keyOf(ref), store?.get(ref));
  return cached === undefined ? readWorkloadFresh(f.client, place, signal) : ok(readKept(cached));
}

/** With its managedFields. */
export async function readWorkloadFresh(
  client: KubeClient,
  place: HostedPlace,
  signal: AbortSignal,
): Promise<Result<KubeObject | null>> {
  const workload = resourceOf(place.spec);
  const read = await client.get(workload, refIn(place), { signal });
  if (!read.ok && read.error.code === 'NotFound') return ok(null);
  return read;
}
