/**
 * What a leader does from the moment that it leads until it does not: fills the queues, and works on them. Everything that it
 * knows beyond the caches begins here, and ends with the term. Called by controller.ts.
 */
import type { Kube } from '../kube/connect.ts';
import type { EventRecorder } from '../kube/events.ts';
import type { Outcome } from '../kube/queue.ts';
import { createStatusWriter } from '../kube/status.ts';
import { refOf } from '../kube/types.ts';
import type { ObjectKey } from '../kube/types.ts';
import { delay } from '../kube/wait.ts';
import type { Secret } from '../render/types.ts';
import { rememberPolicies } from '../render/policy-memo.ts';
import type { RenderPolicy } from '../render/policy-memo.ts';
import type { DatacenterMetrics } from '../telemetry/datacenter-metrics.ts';
import type { KubeMetrics } from '../telemetry/kube-metrics.ts';
import type { Logger } from '../telemetry/logger.ts';
import { FIELD_MANAGER } from './act.ts';
import { essential, referredByDatacenters } from './caches.ts';
import type { Caches } from './caches.ts';
import { credentialsKey } from './credentials-key.ts';
import { createDatacenters, datacenterOfKey } from './datacenters.ts';
import { readerOf } from './gather.ts';
import { GovernedView } from './governed.ts';
import { Discovery } from './hosted/discovery.ts';
import { ClusterRangesReader } from './hosted/egress-ranges.ts';
import { EgressWatch } from './hosted/egress-watch.ts';
import { HostedLooks } from './hosted/looks.ts';
import { resolveName } from './hosted/names.ts';
import { OwnedObjects } from './hosted/owned.ts';
import { createHostedReconciler } from './hosted/reconcile.ts';
import { ReferenceWatches } from './hosted/references.ts';
import { ServingWatch } from './hosted/serving.ts';
import { isHosted, ownedPlaceKey, Patched } from './hosted/workloads.ts';
import type { ControllerOptions } from './options.ts';
import { Queues } from './queues.ts';
import { createReconciler } from './reconcile.ts';
import type { ReconcilerOptions } from './reconcile.ts';
import { AUDIT_CONFIGS, DATACENTERS } from './resources.ts';
import { RESTART_KEY, createRestartLease } from './restart-lease.ts';
import { serverVersion } from './server-version.ts';
import type { ServerVersion } from './server-version.ts';

export type Leader = {
  readonly o: ControllerOptions;
  readonly kube: Kube;
  readonly caches: Caches;
  readonly events: EventRecorder;
  readonly log: Logger;
  readonly metrics: KubeMetrics;
  readonly datacenterMetrics: DatacenterMetrics;
};

/** What works on one kind of key. `ended`: asked after the signal has aborted, resolves when its watches have ended. */
type Part = {
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<Outcome>;
  readonly ended: () => Promise<void>;
};

/** A list takes milliseconds; an API server that has just come back, a few seconds. */
const DATACENTERS_WAIT_MS = 5_000;
/** Hosted control planes have nothing to do with each other; their API server has other work too. */
const HOSTED_WORKERS = 8;

/** False where the signal aborted first. */
async function synced(caches: Caches, signal: AbortSignal): Promise<boolean> {
  for (const cache of essential(caches)) if (!(await cache.whenSynced(signal))) return false;
  // Where their CRD was never installed, nobody may wait for them for ever.
  await Promise.race([caches.datacenters.whenSynced(signal), delay(DATACENTERS_WAIT_MS, signal)]);
  return true;
}

/** ConfigMaps and Secrets that AuditConfigs or datacenters name, each watched by its name. */
function referencesOf({ kube, caches, log }: Leader, queues: Queues): ReferenceWatches {
  const referring = (kind: string, key: ObjectKey): readonly ObjectKey[] =>
    caches.configs.store.keysBy('reference', `${kind}/${key}`);
  return new ReferenceWatches({
    kube,
    isWanted: ({ kind, namespace, name }) => {
      if (referring(kind, `${namespace}/${name}`).length > 0) return true;
      let wanted = false;
      referredByDatacenters(caches, name, { datacenter: () => (wanted = true), config: () => undefined });
      return wanted;
    },
    changed: (kind, key) => {
      for (const config of referring(kind, key)) queues.add(config);
      referredByDatacenters(caches, refOf(key).name, {
        datacenter: (name) => queues.addDatacenter(name),
        config: (config) => queues.add(config),
      });
    },
    log,
  });
}

type Shared = ReconcilerOptions & {
  readonly references: ReferenceWatches;
  readonly settings: { readonly renderPolicy: RenderPolicy };
};

/** What all reconcilers share. */
function sharedBy(
  l: Leader,
  queues: Queues,
  { key, version }: { key: Secret<Uint8Array>; version: ServerVersion },
): Shared {
  const { o, kube, caches, events, log, metrics } = l;
  return {
    caches,
    client: kube.client,
    status: createStatusWriter({ client: kube.client, resource: AUDIT_CONFIGS, fieldManager: FIELD_MANAGER, metrics }),
    events,
    settings: {
      renderPolicy: rememberPolicies(),
      operatorNamespace: o.namespace,
      bundlesNamespace: o.bundlesNamespace,
      credentialsKey: key,
    },
    governed: new GovernedView({
      caches,
      client: kube.client,
      bundlesNamespace: o.bundlesNamespace,
      now: Date.now,
      rolloutChanged: () => queues.addRestarts(),
    }),
    references: referencesOf(l, queues),
    serverVersion: version.now,
    log,
    now: Date.now,
  };
}

/** By the name of a datacenter, not by its key in the queue. */
function datacentersPart(l: Leader, shared: Shared, queues: Queues, signal: AbortSignal): Part {
  const { kube, metrics, datacenterMetrics } = l;
  const changed = (name: string): void => queues.addDatacenterLater(name);
  const discovery = new Discovery({ kube, changed, now: () => performance.now(), signal });
  const reconcile = createDatacenters({
    ...shared,
    discovery,
    renderPolicy: shared.settings.renderPolicy,
    status: createStatusWriter({ client: kube.client, resource: DATACENTERS, fieldManager: FIELD_MANAGER, metrics }),
    read: readerOf(shared),
    bundlesNamespace: shared.settings.bundlesNamespace,
    metrics: datacenterMetrics,
    wake: (key) => queues.add(key),
  });
  return { reconcile, ended: () => discovery.ended() };
}

/** `run` goes on until the signal aborts. */
type HostedPart = Part & { readonly run: (signal: AbortSignal) => Promise<unknown> };

function hostedPart(l: Leader, shared: Shared, queues: Queues, signal: AbortSignal): HostedPart {
  const { o, kube, caches, log, metrics } = l;
  const read = readerOf(shared);
  const owned = new OwnedObjects({
    kube,
    now: () => performance.now(),
    changed: (kind, key) => {
      for (const config of caches.configs.store.keysBy('workload', ownedPlaceKey(kind, key))) queues.hosted.add(config);
    },
    signal,
  });
  const watch = new EgressWatch({ kube, wake: (key) => queues.hosted.add(key), resolve: resolveName }, signal);
  const asking = {
    now: Date.now,
    metrics,
    log,
    userAgent: `auditconfig/${o.version} controller`,
    read: (secret: { namespace: string; name: string }, s: AbortSignal) => read({ kind: 'Secret', ...secret }, s),
  };
  const again = (key: ObjectKey): void => queues.add(key);
  const looks = new HostedLooks({ ...asking, done: again });
  const serving = new ServingWatch({ ...asking, ticks: () => performance.now(), changed: again });
  const ranges = new ClusterRangesReader(kube.client, () => performance.now());
  const reconcile = createHostedReconciler({
    ...shared,
    owned,
    egress: { client: kube.client, watch, ranges },
    workloads: { Deployment: caches.deployments, StatefulSet: caches.statefulSets },
    patched: new Patched(),
    echoes: queues.echoes,
    again,
    looks,
    serving,
  });
  const run = (s: AbortSignal): Promise<unknown> => Promise.all([looks.work(s), serving.work(s), watch.ended()]);
  return { reconcile, run, ended: () => owned.ended() };
}

/** Ends when the signal aborts, and with it all that it began. */
export async function leadTerm(l: Leader, signal: AbortSignal): Promise<void> {
  const { o, kube, caches, log } = l;
  if (!(await synced(caches, signal))) return;
  const version = await serverVersion(kube, log, signal);
  if (version === undefined) return;
  const key = await credentialsKey({ client: kube.client, namespace: o.bundlesNamespace, log }, signal);
  if (key === undefined) return version.unhook();
  const queues = new Queues(caches, l);
  const unwire = queues.wire();
  const shared = sharedBy(l, queues, { key, version });
  queues.addAll();
  const datacenters = datacentersPart(l, shared, queues, signal);
  const hosted = hostedPart(l, shared, queues, signal);
  const restarts = createRestartLease({ ...shared, namespace: o.bundlesNamespace });
  const nodes = createReconciler(shared);
  const reconcile: Part['reconcile'] = (key, s) => {
    const datacenter = datacenterOfKey(key);
    if (datacenter !== undefined) return datacenters.reconcile(datacenter, s);
    if (key === RESTART_KEY) return restarts(s);
    // It was not there yet when it was added.
    const config = caches.configs.store.get(key);
    if (config !== undefined && isHosted(config)) return Promise.resolve({ kind: 'Done' });
    return nodes(key, s);
  };
  try {
    const gate = (s: AbortSignal): Promise<void> => kube.health.whenUp(60_000, s);
    // Nobody decides before it is known whose turn it is: hosted AuditConfigs, which have workers of their own, would go back
    // to what their status says, where a leader died between workload and status.
    await gate(signal);
    for (const { metadata } of [...caches.datacenters.store.values()])
      if (!signal.aborted) await datacenters.reconcile(metadata.name, signal);
    await Promise.all([
      shared.references.run(signal),
      hosted.run(signal),
      queues.nodes.work({ workers: 1, reconcile, gate }, signal),
      queues.hosted.work({ workers: HOSTED_WORKERS, reconcile: hosted.reconcile, gate }, signal),
    ]);
  } finally {
    l.datacenterMetrics.clear();
    version.unhook();
    unwire();
    await hosted.ended();
    await datacenters.ended();
  }
}
