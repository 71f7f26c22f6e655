/**
 * Deployments and StatefulSets that have our edit, of all namespaces: one watch for each kind, selected by the label that
 * the edit itself sets, so that nothing crosses the wire of the thousands of others. A workload that loses the label (its
 * owner wrote it back) goes from the cache, which is told like any change. The others are asked for by name.
 */
import { auditConfig } from '../../api/auditconfig.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { Kube } from '../../kube/connect.ts';
import type { Result } from '../../kube/errors.ts';
import { ok } from '../../kube/errors.ts';
import type { Reflector } from '../../kube/reflector.ts';
import { isRecord, keyOf } from '../../kube/types.ts';
import type { KubeObject, Resource } from '../../kube/types.ts';
import { HOSTED_LABEL } from '../../targets/hosted/record.ts';
import { DEFAULT_CONTAINER } from '../../targets/hosted/workload.ts';
import type { HostedSpec, WorkloadKind } from '../../targets/hosted/workload.ts';

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
export const resourceOf = (kind: WorkloadKind): Resource => (kind === 'Deployment' ? DEPLOYMENTS : STATEFUL_SETS);

export type Workloads = Readonly<Record<WorkloadKind, Reflector<KubeObject>>>;

/** What people and other programs did to it is only looked at when they are to be named. */
function keep(object: KubeObject): KubeObject {
  const { managedFields: _dropped, ...metadata } = object.metadata;
  return { ...object, metadata };
}

export function reflectWorkloads(kube: Pick<Kube, 'reflect'>, kind: WorkloadKind): Reflector<KubeObject> {
  const workloads = resourceOf(kind);
  return kube.reflect({ resource: workloads, project: keep, indexes: {}, labelSelector: HOSTED_LABEL });
}

/** Cheap: it is asked of every AuditConfig at every change. */
export function isHosted(config: KubeObject): boolean {
  const spec = isRecord(config['spec']) ? config['spec'] : {};
  return isRecord(spec['target']) && spec['target']['type'] === 'Hosted';
}

export type HostedPlace = {
  readonly namespace: string;
  readonly name: string;
  readonly spec: HostedSpec;
  /** The Secret by which its API server is asked. */
  readonly kubeconfig?: { readonly name: string; readonly key?: string | undefined };
};

/** Where an AuditConfig's hosted target is; undefined for other targets. */
export function hostedPlaceOf(config: KubeObject): HostedPlace | undefined {
  const target = auditConfig.shape.spec.shape.target.safeParse(
    (config['spec'] as { target?: unknown } | undefined)?.target,
  );
  if (!target.success || target.data.type !== 'Hosted' || target.data.hosted === undefined) return undefined;
  const { kind, name, container = DEFAULT_CONTAINER, kubeconfigSecretRef: kubeconfig } = target.data.hosted;
  const place = { namespace: config.metadata.namespace ?? '', name, spec: { kind, container } };
  return kubeconfig === undefined ? place : { ...place, kubeconfig };
}

/** What AuditConfigs are indexed by. */
export const placeKey = (p: {
  readonly kind: WorkloadKind;
  readonly namespace: string;
  readonly name: string;
}): string => `${p.kind}/${p.namespace}/${p.name}`;
export const workloadKeys = (config: KubeObject): readonly string[] => {
  const place = isHosted(config) ? hostedPlaceOf(config) : undefined;
  return place === undefined ? [] : [placeKey({ ...place, kind: place.spec.kind })];
};

/** Workloads as they were answered a moment ago, until the watch has them. */
export class Patched {
  readonly #objects = new Map<string, KubeObject>();

  remember(object: KubeObject): void {
    this.#objects.set(`${object.kind}/${keyOf(object.metadata)}`, keep(object));
    if (this.#objects.size > 10_000) this.#objects.delete([...this.#objects.keys()][0] ?? '');
  }

  newest(kind: WorkloadKind, key: string, cached: KubeObject | undefined): KubeObject | undefined {
    const own = this.#objects.get(`${kind}/${key}`);
    if (own === undefined || cached === undefined) return cached;
    const isOld =
      cached.metadata.uid === own.metadata.uid && (cached.metadata.generation ?? 0) < (own.metadata.generation ?? 0);
    if (isOld) return own;
    this.#objects.delete(`${kind}/${key}`);
    return cached;
  }
}

export type Finder = { readonly client: KubeClient; readonly workloads: Workloads; readonly patched: Patched };

/** From the cache where it is there; else asked for, since only labelled ones are watched. Null: there is none. */
export async function findWorkload(
  f: Finder,
  place: HostedPlace,
  signal: AbortSignal,
): Promise<Result<KubeObject | null>> {
  const { namespace, name, spec } = place;
  const ref = { namespace, name };
  const cached = f.patched.newest(spec.kind, keyOf(ref), f.workloads[spec.kind].store.get(ref));
  return cached === undefined ? readWorkloadFresh(f.client, place, signal) : ok(cached);
}

/** With its managedFields. */
export async function readWorkloadFresh(
  client: KubeClient,
  place: HostedPlace,
  signal: AbortSignal,
): Promise<Result<KubeObject | null>> {
  const { namespace, name, spec } = place;
  const workload = resourceOf(spec.kind);
  const read = await client.get(workload, { namespace, name }, { signal });
  if (!read.ok && read.error.code === 'NotFound') return ok(null);
  return read;
}
