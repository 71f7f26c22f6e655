/**
 * The NetworkPolicy of one hosted control plane: gather, decide (src/rollout/hosted/egress.ts), one write or none. Called by
 * reconcile.ts once for each decision, before the workload is touched: a receiver must be reachable when its pods start.
 */
import type { Verdict } from '../../api/conditions.ts';
import type { KubeClient } from '../../kube/client.ts';
import { ok } from '../../kube/errors.ts';
import type { KubeError, Result } from '../../kube/errors.ts';
import { isRecord, keyOf } from '../../kube/types.ts';
import type { KubeObject, ObjectKey } from '../../kube/types.ts';
import { destinationsOf, hostIn } from '../../render/egress/destination.ts';
import type { Destination } from '../../render/egress/types.ts';
import { egressName, restrictingPolicy } from '../../render/egress/policy.ts';
import type { Revision } from '../../render/types.ts';
import type { EgressFacts, EgressWish, PodsFact, ServiceFact } from '../../rollout/hosted/egress-facts.ts';
import { lookups } from '../../rollout/hosted/egress-rules.ts';
import { decideEgress } from '../../rollout/hosted/egress.ts';
import type { EgressDecision } from '../../rollout/hosted/egress.ts';
import { FIELD_MANAGER } from '../../rollout/hosted/field-managers.ts';
import { NETWORK_POLICIES } from '../resources.ts';
import type { ClusterRangesReader } from './egress-ranges.ts';
import { selectorOf } from './egress-views.ts';
import type { EgressWatch } from './egress-watch.ts';
import type { HostedPlace } from './workloads.ts';

export type EgressWorld = {
  readonly client: KubeClient;
  readonly watch: EgressWatch;
  readonly ranges: ClusterRangesReader;
};

export type EgressTask = {
  readonly config: ObjectKey;
  readonly place: HostedPlace;
  readonly wish: EgressWish;
  /** Null: there is none. Undefined: it could not be read. */
  readonly workload: KubeObject | null | undefined;
  /** The revision of that digest as it was published; undefined: it is not there. */
  readonly revision: (digest: string) => Promise<Result<Pick<Revision, 'webhook' | 'shipping'> | undefined>>;
};

const texts = (v: unknown): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(isRecord(v) ? v : {}).flatMap(([k, x]) => (typeof x === 'string' ? [[k, x]] : [])));

function podsOf(workload: KubeObject): PodsFact {
  const spec = isRecord(workload['spec']) ? workload['spec'] : {};
  const template = isRecord(spec['template']) ? spec['template'] : {};
  const metadata = isRecord(template['metadata']) ? template['metadata'] : {};
  const pod = isRecord(template['spec']) ? template['spec'] : {};
  const dns = isRecord(pod['dnsConfig']) && Array.isArray(pod['dnsConfig']['nameservers']) ? pod['dnsConfig'] : {};
  const servers = (dns['nameservers'] ?? []) as readonly unknown[];
  return {
    labels: texts(metadata['labels']),
    selector: spec['selector'] === undefined ? undefined : selectorOf(spec['selector']),
    dnsPolicy: typeof pod['dnsPolicy'] === 'string' ? pod['dnsPolicy'] : 'ClusterFirst',
    nameservers: servers.flatMap((s) => (typeof s === 'string' ? [s] : [])),
  };
}

/** Undefined: nothing can be told now. */
async function gather(w: EgressWorld, t: EgressTask, signal: AbortSignal): Promise<Result<EgressFacts | undefined>> {
  const { place, config, workload } = t;
  const { namespace, name, spec } = place;
  const asked = t.wish.want !== 'Nothing';
  w.watch.need(config, asked ? { namespace, services: [], names: [] } : undefined);
  const own = await w.watch.own(keyOf({ namespace, name: egressName(spec.kind, name) }), signal);
  if (own === undefined) return ok(undefined);
  const nothing = { services: new Map(), names: new Map(), ranges: undefined };
  const facts: EgressFacts = {
    namespace,
    kind: spec.kind,
    name,
    wish: t.wish,
    pods: workload === null || workload === undefined ? workload : podsOf(workload),
    existing: own.policy,
    // Without one of ours, what is only to be kept asks for nothing.
    others:
      asked && (t.wish.want === 'Reach' || own.policy !== undefined) ? await w.watch.others(namespace, signal) : [],
    ...nothing,
  };
  const { pods, others, wish } = facts;
  if (wish.want !== 'Reach' || pods === null || pods === undefined || others === undefined) return ok(facts);
  if (restrictingPolicy(others, pods.labels) === undefined) return ok(facts);
  const also = await destinationsBefore(t, wish.also);
  if (!also.ok) return also;
  const all = { ...wish, destinations: [...wish.destinations, ...also.value] };
  return ok(await lookUp(w, config, { ...facts, wish: all }, signal));
}

async function destinationsBefore(t: EgressTask, digest: string | undefined): Promise<Result<readonly Destination[]>> {
  if (digest === undefined) return ok([]);
  const read = await t.revision(digest);
  if (!read.ok) return read;
  return ok(read.value === undefined ? [] : destinationsOf(read.value));
}

async function lookUp(
  w: EgressWorld,
  config: ObjectKey,
  facts: EgressFacts,
  signal: AbortSignal,
): Promise<EgressFacts> {
  const { wish, namespace } = facts;
  if (wish.want !== 'Reach') return facts;
  const services = new Map<string, ServiceFact | null>();
  const first = lookups(wish, namespace, services);
  w.watch.need(config, { namespace, ...first });
  for (const key of first.services) {
    const service = await w.watch.service(key, signal);
    if (service !== undefined) services.set(key, service);
  }
  const second = lookups(wish, namespace, services);
  w.watch.need(config, { namespace, ...second });
  const names = new Map<string, readonly string[]>();
  for (const name of second.names) {
    const addresses = await w.watch.addressesOf(name, signal);
    if (addresses !== undefined) names.set(name, addresses);
  }
  const byAddress = wish.destinations.some((d) => d.host !== '' && hostIn(d.host, namespace).is === 'Address');
  const isJudged = byAddress || names.size > 0 || [...services.values()].some((s) => s?.is === 'Endpoints');
  return { ...facts, services, names, ...(isJudged ? { ranges: await w.ranges.ranges(signal) } : {}) };
}

const PENDING: EgressDecision = {
  verdict: {
    type: 'EgressPermitted',
    status: 'Unknown',
    reason: 'Pending',
    message: 'NetworkPolicies could not be read yet',
  },
};

const refused = (error: KubeError): Verdict<'EgressPermitted'> => ({
  type: 'EgressPermitted',
  status: 'False',
  reason: 'Forbidden',
  message: `the NetworkPolicy could not be written: ${error.message}; it is tried again`,
});

export type EgressDone = {
  readonly verdict: EgressDecision['verdict'];
  /** It is to be looked at again. */
  readonly again: boolean;
};

/** An error is one that mends itself; what somebody must mend is in the verdict. */
export async function permitEgress(w: EgressWorld, t: EgressTask, signal: AbortSignal): Promise<Result<EgressDone>> {
  const facts = await gather(w, t, signal);
  if (!facts.ok) return facts;
  if (facts.value === undefined)
    return ok({ verdict: t.wish.want === 'Reach' && !t.wish.silent ? PENDING.verdict : 'AsBefore', again: false });
  const { verdict, apply, remove } = decideEgress(facts.value);
  const written = await write(w, t.place.namespace, { apply, remove }, signal);
  if (written.ok) return ok({ verdict, again: false });
  if (written.error.code !== 'Forbidden' && written.error.code !== 'Invalid') return written;
  return ok({ verdict: refused(written.error), again: true });
}

async function write(
  w: EgressWorld,
  namespace: string,
  {
    apply,
    remove,
  }: { readonly apply: EgressDecision['apply'] | undefined; readonly remove: EgressDecision['remove'] | undefined },
  signal: AbortSignal,
): Promise<Result<unknown>> {
  if (apply !== undefined) {
    const applied = await w.client.apply(
      NETWORK_POLICIES,
      { ...apply },
      { signal, fieldManager: FIELD_MANAGER, force: true },
    );
    if (applied.ok) w.watch.wrote(keyOf(apply.metadata), applied.value);
    return applied;
  }
  if (remove === undefined) return ok(undefined);
  const ref = { namespace, name: remove.name };
  const removed = await w.client.delete(NETWORK_POLICIES, ref, { signal, uid: remove.uid });
  if (removed.ok) w.watch.wrote(keyOf(ref), null);
  return removed;
}
