/**
 * Deletes published revisions of a hosted control plane that nothing can need any more: not what runs, not the last good
 * one, and nothing that a pod, a ReplicaSet or a ControllerRevision names, since `kubectl rollout undo` goes back to those.
 * Of the others the newest few stay. Refuses to delete what somebody else owns too. Called by act.ts after every fifth
 * revision that is through.
 */
import type { KubeClient } from '../../kube/client.ts';
import { ok } from '../../kube/errors.ts';
import type { Result } from '../../kube/errors.ts';
import { isRecord } from '../../kube/types.ts';
import type { KubeObject, ObjectMeta, Resource } from '../../kube/types.ts';
import { BUNDLE_LABELS } from '../../render/bundle/names.ts';
import { shortDigest } from '../../render/digest.ts';
import type { Digest } from '../../render/types.ts';
import { CONFIG_MAPS, SECRETS } from '../resources.ts';
import { isOwnerPlace, PODS } from './workloads.ts';
import type { HostedPlace } from './workloads.ts';

const apps = (plural: string, kind: string): Resource => ({
  group: 'apps',
  version: 'v1',
  plural,
  kind,
  namespaced: true,
});
const REPLICA_SETS = apps('replicasets', 'ReplicaSet');
const CONTROLLER_REVISIONS = apps('controllerrevisions', 'ControllerRevision');

/** How many revisions stay that nothing names. */
const KEPT = 3;
const REVISION_LABEL = 'auditconfig.dev/revision';

/** Every name that any volume takes files from, wherever in the object a pod's template is. */
export function namesIn(object: unknown): readonly string[] {
  if (Array.isArray(object)) return object.flatMap(namesIn);
  if (!isRecord(object)) return [];
  return Object.entries(object).flatMap(([key, value]) => {
    const isSource = (key === 'secret' || key === 'configMap') && isRecord(value);
    const name = isSource ? (value['name'] ?? value['secretName']) : undefined;
    return typeof name === 'string' ? [name] : namesIn(value);
  });
}

export type Published = { readonly kind: 'ConfigMap' | 'Secret'; readonly metadata: ObjectMeta };

/** What may be deleted. `digests` are needed, whatever names them; `named` are names in templates and pods. */
export function unused(
  all: readonly Published[],
  of: { readonly owner: string; readonly digests: readonly Digest[]; readonly named: ReadonlySet<string> },
): readonly Published[] {
  const needed = new Set<string | undefined>(of.digests.map(shortDigest));
  const labelOf = ({ metadata }: Published): string | undefined => metadata.labels?.[REVISION_LABEL];
  // Its policy and its webhook are one revision: what names one needs both.
  for (const o of all) if (of.named.has(o.metadata.name) && labelOf(o) !== undefined) needed.add(labelOf(o));
  const free = all.filter(
    (o) =>
      o.metadata.ownerReferences?.length === 1 &&
      o.metadata.ownerReferences[0]?.uid === of.owner &&
      !of.named.has(o.metadata.name) &&
      !needed.has(labelOf(o) ?? '-'),
  );
  const made = ({ metadata }: Published): string => metadata.creationTimestamp ?? '';
  const groups = new Map<string, Published[]>();
  for (const o of free) {
    // Credentials belong to several revisions, and so to none.
    const group = labelOf(o) ?? o.metadata.name;
    groups.set(group, [...(groups.get(group) ?? []), o]);
  }
  const newestFirst = [...groups.values()].sort(([a], [b]) =>
    a === undefined || b === undefined || made(a) === made(b) ? 0 : made(a) < made(b) ? 1 : -1,
  );
  return newestFirst.slice(KEPT).flat();
}

export type Pruned = {
  readonly place: HostedPlace;
  readonly workload: KubeObject;
  readonly digests: readonly Digest[];
};

/** Whatever may still name a revision. What an owner makes of its object is through by now, and goes back to none. */
async function pastOf(
  client: KubeClient,
  { namespace, spec }: HostedPlace,
  signal: AbortSignal,
): Promise<Result<readonly KubeObject[]>> {
  if (isOwnerPlace(spec)) return ok([]);
  const histories = spec.kind === 'Deployment' ? REPLICA_SETS : CONTROLLER_REVISIONS;
  const past = await client.list(histories, { namespace, signal });
  if (!past.ok) return past;
  const pods = await client.list(PODS, { namespace, signal });
  return pods.ok ? ok([...past.value, ...pods.value]) : pods;
}

/** How many objects were deleted. */
export async function pruneHosted(
  client: KubeClient,
  { place, workload, digests }: Pruned,
  signal: AbortSignal,
): Promise<Result<number>> {
  const { namespace } = place;
  const named = new Set(namesIn(workload['spec']));
  const past = await pastOf(client, place, signal);
  if (!past.ok) return past;
  for (const object of past.value) for (const name of namesIn([object['spec'], object['data']])) named.add(name);
  const labelSelector = Object.entries(BUNDLE_LABELS)
    .map(([k, v]) => `${k}=${v}`)
    .join(',');
  const all: Published[] = [];
  for (const [published, kind] of [[CONFIG_MAPS, 'ConfigMap'] as const, [SECRETS, 'Secret'] as const]) {
    const list = await client.list(published, { namespace, labelSelector, metadataOnly: true, signal });
    if (!list.ok) return list;
    all.push(...list.value.map(({ metadata }) => ({ kind, metadata })));
  }
  const old = unused(all, { owner: workload.metadata.uid ?? '', digests, named });
  for (const { kind, metadata } of old) {
    const published = kind === 'Secret' ? SECRETS : CONFIG_MAPS;
    const gone = await client.delete(published, { namespace, name: metadata.name }, { signal });
    if (!gone.ok && gone.error.code !== 'NotFound') return gone;
  }
  return ok(old.length);
}
