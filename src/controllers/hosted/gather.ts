/**
 * What is known of one AuditConfig with a hosted target: its workload or owner's object in the version that is served, what that
 * makes, who else claims it, and what was found by looking (looks.ts, serving.ts). Reads alone; called by reconcile.ts.
 */
import { auditConfigStatus } from '../../api/auditconfig.ts';
import type { KubeClient } from '../../kube/client.ts';
import { ok } from '../../kube/errors.ts';
import type { Result } from '../../kube/errors.ts';
import { keyOf } from '../../kube/types.ts';
import type { KubeObject } from '../../kube/types.ts';
import type { Facts } from '../../rollout/facts.ts';
import type { HostedFacts } from '../../rollout/hosted/scene.ts';
import { HOSTED_LABEL } from '../../targets/hosted/record.ts';
import { ownerFor } from '../../targets/managed.ts';
import type { Made, MadeObject } from '../../targets/owners/types.ts';
import { readerOf } from '../gather.ts';
import type { ReconcilerOptions } from '../reconcile.ts';
import type { HostedLooks } from './looks.ts';
import type { OwnedObjects } from './owned.ts';
import type { ServingWatch } from './serving.ts';
import { findWorkload, homeOf, placeKey, resourceOfMade } from './workloads.ts';
import type { HostedPlace, Patched, Workloads } from './workloads.ts';

export type HostedGatherOptions = ReconcilerOptions & {
  readonly workloads: Workloads;
  readonly owned: OwnedObjects;
  readonly patched: Patched;
  readonly looks: HostedLooks;
  readonly serving: ServingWatch;
};

/** `object` is what is at `place`, in the version that is served; null where it is not there, or not to be seen. */
export type HostedGathered = {
  readonly facts: HostedFacts;
  readonly place: HostedPlace;
  readonly object: KubeObject | null;
};

/** `gathered`: of the AuditConfig itself; `named`: what it names as its target. */
export async function gatherHosted(
  o: HostedGatherOptions,
  {
    config,
    named,
    gathered,
  }: {
    readonly config: KubeObject;
    readonly named: HostedPlace;
    readonly gathered: Omit<Facts, 'kubeadmWrites' | 'now'>;
  },
  signal: AbortSignal,
): Promise<Result<HostedGathered>> {
  const target = await targetOf(o, named, signal);
  if (!target.ok) return target;
  const { place, object, ...seen } = target.value;
  const { uid = '' } = config.metadata;
  // What has been written must not be decided again.
  const own = auditConfigStatus.safeParse(o.status.newer({ metadata: config.metadata }));
  const facts: HostedFacts = {
    ...gathered,
    ...(own.success ? { status: own.data } : {}),
    kubeadmWrites: [],
    now: o.now(),
    workload: {
      name: place.name,
      spec: { ...place.spec, config: config.metadata.name },
      object,
      ...seen,
      claimant: claimantOf(o, place),
      ...(await lookedAt(o, { place, uid }, signal)),
      ...o.serving.told(keyOf(config.metadata)),
    },
  };
  return ok({ facts, place, object });
}

/** Sends no request: whether its kubeconfig is another one is told by the watch of that Secret, where there is one. */
async function lookedAt(
  o: HostedGatherOptions,
  { place, uid }: { readonly place: HostedPlace; readonly uid: string },
  signal: AbortSignal,
): Promise<Pick<HostedFacts['workload'], 'kubeconfig' | 'found' | 'askAgain'>> {
  const { kubeconfig, namespace } = place;
  // Nobody watches its Secret meanwhile: what was found before tells nothing where it is named again.
  if (kubeconfig === undefined) o.looks.forget(uid);
  if (kubeconfig === undefined) return {};
  const to = { kind: 'Secret', namespace, name: kubeconfig.name } as const;
  const isWatched = o.references.known(to) !== undefined;
  const askAgain = isWatched && o.looks.isOther(uid, await readerOf(o)(to, signal));
  const found = o.looks.found(uid);
  return { kubeconfig, askAgain, ...(found === undefined ? {} : { found }) };
}

type Target = {
  place: HostedPlace;
  object: KubeObject | null;
  made?: Made;
  unserved?: string;
  forbidden?: string;
};

/** What it targets, in the version that is served, or why that is not to be seen. */
async function targetOf(o: HostedGatherOptions, named: HostedPlace, signal: AbortSignal): Promise<Result<Target>> {
  const home = homeOf(named);
  if (home !== undefined && home !== named.namespace) {
    const unserved = `what configures ${named.spec.kind} ${named.name} belongs into its own namespace, ${home}`;
    return ok({ place: named, object: null, unserved });
  }
  const served = await o.owned.served(named, signal);
  if (!served.ok) return served;
  const { place, unserved } = served.value;
  if (unserved !== undefined) return ok({ place, object: null, unserved });
  const found = await findWorkload(o, place, signal);
  if (!found.ok)
    return found.error.code === 'Forbidden' ? ok({ place, object: null, forbidden: found.error.message }) : found;
  if (found.value?.metadata.labels?.[HOSTED_LABEL] !== undefined) o.owned.watch(place);
  if (found.value === null) o.owned.doubt(place);
  const makes = ownerFor(place.spec.kind)?.made;
  if (found.value === null || makes === undefined) return ok({ place, object: found.value });
  const seen = await madeOf(o.client, makes.objects(place), signal);
  if (seen.ok) return ok({ place, object: found.value, made: seen.value });
  return seen.error.code === 'Forbidden' ? ok({ place, object: null, forbidden: seen.error.message }) : seen;
}

/** What an owner makes of its object, as far as it is looked at. */
async function madeOf(
  client: KubeClient,
  objects: Readonly<Record<string, MadeObject>>,
  signal: AbortSignal,
): Promise<Result<Made>> {
  const there: Record<string, KubeObject | null> = {};
  for (const [what, object] of Object.entries(objects)) {
    const made = resourceOfMade(object);
    const read = await client.get(made, { namespace: object.namespace, name: object.name }, { signal });
    if (!read.ok && read.error.code !== 'NotFound') return read;
    there[what] = read.ok ? read.value : null;
  }
  return ok(there);
}

/** The oldest one that targets it; of the same second, by name. */
function claimantOf({ caches }: HostedGatherOptions, place: HostedPlace): { key: string; uid: string } {
  const all = caches.configs.store
    .by('workload', placeKey({ ...place, kind: place.spec.kind }))
    .map(({ metadata }) => ({
      key: keyOf(metadata),
      uid: metadata.uid ?? '',
      at: Date.parse(metadata.creationTimestamp ?? ''),
    }));
  const [first] = all.sort((a, b) => a.at - b.at || (a.key < b.key ? -1 : 1));
  return first ?? { key: '', uid: '' };
}
