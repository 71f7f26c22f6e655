/**
 * `auditconfig controller`: connects, elects a leader, keeps the caches, works the queue. Caches are kept by every
 * replica, so that a new leader decides at once; only the leader works. An API server that is away ends nothing.
 */
import { parseArgs } from 'node:util';
import { parseMinor } from '../api/versions.ts';
import type { Minor } from '../api/versions.ts';
import { connectKube } from '../kube/connect.ts';
import type { Kube } from '../kube/connect.ts';
import { kubeConfigCredentials, nothingToConnect } from '../kube/credentials.ts';
import type { KubeConfigSource } from '../kube/credentials.ts';
import { createEventRecorder } from '../kube/events.ts';
import { createElection } from '../kube/lease.ts';
import { createWorkQueue } from '../kube/queue.ts';
import type { Outcome } from '../kube/queue.ts';
import { createStatusWriter } from '../kube/status.ts';
import { isRecord, keyOf, refOf } from '../kube/types.ts';
import { delay } from '../kube/wait.ts';
import { rememberPolicies } from '../render/policy-memo.ts';
import { createDatacenterMetrics } from '../telemetry/datacenter-metrics.ts';
import type { DatacenterMetrics } from '../telemetry/datacenter-metrics.ts';
import { keepHeapSmall } from '../telemetry/heap.ts';
import { createKubeMetrics } from '../telemetry/kube-metrics.ts';
import { LOG_LEVELS, createLogger } from '../telemetry/logger.ts';
import type { LogLevel, Logger } from '../telemetry/logger.ts';
import { createRegistry } from '../telemetry/metrics.ts';
import { startTelemetryServer } from '../telemetry/server.ts';
import { FIELD_MANAGER } from './act.ts';
import {
  createCaches,
  essential,
  referredByDatacenters,
  wire,
  wireDatacenters,
  wireHosted,
  wireRestarts,
} from './caches.ts';
import { credentialsKey } from './credentials-key.ts';
import { createDatacenters, datacenterKey, datacenterOfKey, datacenterPause } from './datacenters.ts';
import { readerOf } from './gather.ts';
import { isAtRest } from './first.ts';
import { GovernedView } from './governed.ts';
import { createReconciler } from './reconcile.ts';
import type { ReconcilerOptions } from './reconcile.ts';
import { createHostedReconciler } from './hosted/reconcile.ts';
import { HostedLooks } from './hosted/looks.ts';
import { Discovery } from './hosted/discovery.ts';
import { OwnedObjects } from './hosted/owned.ts';
import { ReferenceWatches } from './hosted/references.ts';
import { ClusterRangesReader } from './hosted/egress-ranges.ts';
import { EgressWatch } from './hosted/egress-watch.ts';
import { resolveName } from './hosted/names.ts';
import { isHosted, ownedPlaceKey, Patched } from './hosted/workloads.ts';
import type { KubeObject, ObjectKey } from '../kube/types.ts';
import { AUDIT_CONFIGS, DATACENTERS } from './resources.ts';
import { RESTART_KEY, createRestartLease } from './restart-lease.ts';

export const CONTROLLER_HELP = `Usage: auditconfig controller [options]

Runs the operator's controller: validates AuditConfigs, publishes revisions, and tells one node after the other.

Options:
  --kubeconfig FILE          how to reach the API server (default: KUBECONFIG, ~/.kube/config, the pod's own account)
  --namespace NAME           the operator's namespace (default: POD_NAMESPACE, or auditconfig-system)
  --bundles-namespace NAME   where revisions are published (default: auditconfig-bundles)
  --port PORT                health and metrics (default: 8080; 0 takes a free one)
  --identity NAME            holder of the leader's lease (default: POD_NAME, or the host's name)
  --log-level LEVEL          ${LOG_LEVELS.join(', ')} (default: info)

Example:
  auditconfig controller --kubeconfig ~/.kube/config --port 0
`;

export type ControllerOptions = {
  readonly kubeconfig?: string;
  readonly namespace: string;
  readonly bundlesNamespace: string;
  readonly port: number;
  readonly identity: string;
  readonly logLevel: LogLevel;
  readonly version: string;
};

/** The options, or a message about wrong usage. */
export function parseControllerArgs(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  defaults: { readonly hostname: string; readonly version: string },
): ControllerOptions | { readonly usage: string } {
  const string = { type: 'string' } as const;
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        kubeconfig: string,
        namespace: string,
        'bundles-namespace': string,
        port: string,
        identity: string,
        'log-level': string,
      },
    }));
  } catch (e) {
    return { usage: e instanceof Error ? e.message : String(e) };
  }
  const port = Number(values.port ?? '8080');
  if (!Number.isInteger(port) || port < 0 || port > 65_535) return { usage: '--port must be a number from 0 to 65535' };
  const logLevel = LOG_LEVELS.find((l) => l === (values['log-level'] ?? 'info'));
  if (logLevel === undefined) return { usage: `--log-level must be one of ${LOG_LEVELS.join(', ')}` };
  return {
    ...(values.kubeconfig === undefined ? {} : { kubeconfig: values.kubeconfig }),
    namespace: values.namespace ?? env['POD_NAMESPACE'] ?? 'auditconfig-system',
    bundlesNamespace: values['bundles-namespace'] ?? 'auditconfig-bundles',
    port,
    identity: values.identity ?? env['POD_NAME'] ?? defaults.hostname,
    logLevel,
    version: defaults.version,
  };
}

const sourceOf = ({ kubeconfig }: ControllerOptions): KubeConfigSource =>
  kubeconfig === undefined ? { from: 'Default' } : { from: 'File', path: kubeconfig };

/** Why it could do nothing but wait for ever; undefined where it can work. */
export const whyNoController = (o: ControllerOptions): string | undefined => nothingToConnect(sourceOf(o));

/** Resolves when the signal has aborted and everything has ended. */
export async function runController(o: ControllerOptions, signal: AbortSignal): Promise<void> {
  keepHeapSmall();
  const log = createLogger({ name: 'auditconfig-controller', level: o.logLevel });
  const registry = createRegistry({ version: o.version, processMetrics: true });
  const metrics = createKubeMetrics(registry);
  const datacenterMetrics = createDatacenterMetrics(registry);
  const kube = connectKube({
    credentials: kubeConfigCredentials(sourceOf(o)),
    log,
    metrics,
    userAgent: `auditconfig/${o.version} controller`,
  });
  const caches = createCaches(kube, { operatorNamespace: o.namespace, bundlesNamespace: o.bundlesNamespace });
  const synced = (): boolean => essential(caches).every((c) => c.synced);
  const server = await startTelemetryServer({ port: o.port, registry, log, readyz: { caches: synced } });
  log.info({ port: server.port, version: o.version }, 'controller started');
  const events = createEventRecorder({
    client: kube.client,
    health: kube.health,
    log,
    metrics,
    reportingController: 'auditconfig.dev/controller',
    reportingInstance: o.identity,
  });
  const election = createElection({
    client: kube.client,
    health: kube.health,
    namespace: o.namespace,
    name: 'auditconfig-controller',
    identity: o.identity,
    log,
    metrics,
  });
  const lead = (term: { signal: AbortSignal; leading(): boolean }): Promise<void> =>
    leadTerm({ o, kube, caches, events, log, metrics, datacenterMetrics }, term.signal);
  try {
    await Promise.all([
      kube.health.start(signal),
      ...Object.values(caches).map((c) => c.run(signal)),
      events.run(signal),
      election.run(lead, signal),
    ]);
  } finally {
    await server.close();
    await kube.close();
  }
  log.info({}, 'controller stopped');
}

/** A list takes milliseconds; an API server that has just come back, a few seconds. */
const DATACENTERS_WAIT_MS = 5_000;

type Leader = {
  readonly o: ControllerOptions;
  readonly kube: Kube;
  readonly caches: ReturnType<typeof createCaches>;
  readonly events: ReturnType<typeof createEventRecorder>;
  readonly log: Logger;
  readonly metrics: ReturnType<typeof createKubeMetrics>;
  readonly datacenterMetrics: DatacenterMetrics;
};

/** Hosted control planes have nothing to do with each other; their API server has other work too. */
const HOSTED_WORKERS = 8;

async function leadTerm(l: Leader, signal: AbortSignal): Promise<void> {
  const { kube, caches, log, metrics } = l;
  for (const cache of essential(caches)) if (!(await cache.whenSynced(signal))) return;
  // Where their CRD was never installed, nobody may wait for them for ever.
  await Promise.race([caches.datacenters.whenSynced(signal), delay(DATACENTERS_WAIT_MS, signal)]);
  let version = await serverVersion(kube, log, signal);
  if (version === undefined) return;
  const key = await credentialsKey({ client: kube.client, namespace: l.o.bundlesNamespace, log }, signal);
  if (key === undefined) return;
  const queue = createWorkQueue({ name: 'auditconfigs', log, metrics });
  const hostedQueue = createWorkQueue({ name: 'hosted', log, metrics });
  const enqueue = (key: ObjectKey): void => {
    const config = caches.configs.store.get(key);
    // One that is gone may have been of either kind.
    if (config === undefined || isHosted(config)) hostedQueue.add(key);
    if (config === undefined || !isHosted(config)) queue.add(key);
  };
  const enqueueAtFirst = (config: KubeObject): void => {
    const of = isHosted(config) ? hostedQueue : queue;
    if (isAtRest(config)) of.addIdle(keyOf(config.metadata));
    else of.add(keyOf(config.metadata));
  };
  const unwire = wire(caches, (key) => {
    const config = caches.configs.store.get(key);
    if (config === undefined || !isHosted(config)) queue.add(key);
  });
  const unwireHosted = wireHosted(caches, (key) => {
    const config = caches.configs.store.get(key);
    if (config !== undefined && isHosted(config)) hostedQueue.add(key);
  });
  const unwireRestarts = wireRestarts(caches, () => queue.add(RESTART_KEY));
  const governed = new GovernedView({
    caches,
    client: kube.client,
    bundlesNamespace: l.o.bundlesNamespace,
    now: Date.now,
    rolloutChanged: () => queue.add(RESTART_KEY),
  });
  const renderPolicy = rememberPolicies();
  const settings = {
    renderPolicy,
    operatorNamespace: l.o.namespace,
    bundlesNamespace: l.o.bundlesNamespace,
    credentialsKey: key,
  };
  const soon = (name: string): void => queue.addAfter(datacenterKey(name), 0);
  const later = (name: string): void => queue.addAfter(datacenterKey(name), datacenterPause(caches.configs.store.size));
  const unwireDatacenters = wireDatacenters(
    caches,
    (name, when) => (when === 'Now' ? soon(name) : later(name)),
    enqueue,
  );
  const references = new ReferenceWatches({
    kube,
    isWanted: ({ kind, namespace, name }) => {
      if (caches.configs.store.keysBy('reference', `${kind}/${namespace}/${name}`).length > 0) return true;
      let wanted = false;
      referredByDatacenters(caches, name, { datacenter: () => (wanted = true), config: () => undefined });
      return wanted;
    },
    changed: (kind, key) => {
      for (const config of caches.configs.store.keysBy('reference', `${kind}/${key}`)) enqueue(config);
      referredByDatacenters(caches, refOf(key).name, { datacenter: soon, config: enqueue });
    },
    log,
  });
  // Before the AuditConfigs: they ask whose turn it is.
  for (const { metadata } of caches.datacenters.store.values()) queue.add(datacenterKey(metadata.name));
  for (const config of caches.configs.store.values()) enqueueAtFirst(config);
  // After them: what datacenters make of a pause is known then.
  queue.add(RESTART_KEY);
  const discovery = new Discovery({
    kube,
    changed: later,
    now: () => performance.now(),
    signal,
  });
  const reconcileDatacenter = createDatacenters({
    discovery,
    renderPolicy,
    caches,
    client: kube.client,
    status: createStatusWriter({ client: kube.client, resource: DATACENTERS, fieldManager: FIELD_MANAGER, metrics }),
    events: l.events,
    governed,
    read: readerOf({ caches, client: kube.client, settings, references }),
    bundlesNamespace: l.o.bundlesNamespace,
    serverVersion: () => version ?? '1.26',
    log,
    metrics: l.datacenterMetrics,
    now: Date.now,
    wake: enqueue,
  });
  const restartLease = createRestartLease({
    caches,
    governed,
    client: kube.client,
    namespace: l.o.bundlesNamespace,
    log,
    now: Date.now,
  });
  const reconciler: ReconcilerOptions = {
    caches,
    client: kube.client,
    status: createStatusWriter({ client: kube.client, resource: AUDIT_CONFIGS, fieldManager: FIELD_MANAGER, metrics }),
    events: l.events,
    settings,
    governed,
    references,
    serverVersion: () => version ?? '1.26',
    log,
    now: Date.now,
  };
  const reconcileConfig = createReconciler(reconciler);
  const owned = new OwnedObjects({
    kube,
    now: () => performance.now(),
    changed: (kind, key) => {
      for (const config of caches.configs.store.keysBy('workload', ownedPlaceKey(kind, key))) hostedQueue.add(config);
    },
    signal,
  });
  const watch = new EgressWatch({ kube, wake: (key) => hostedQueue.add(key), resolve: resolveName }, signal);
  const read = readerOf({ caches, client: kube.client, settings, references });
  const looks = new HostedLooks({
    now: Date.now,
    metrics,
    log,
    userAgent: `auditconfig/${l.o.version} controller`,
    read: (secret, s) => read({ kind: 'Secret', ...secret }, s),
    done: enqueue,
  });
  const reconcileHosted = createHostedReconciler({
    ...reconciler,
    owned,
    egress: {
      client: kube.client,
      watch,
      ranges: new ClusterRangesReader(kube.client, () => performance.now()),
    },
    workloads: { Deployment: caches.deployments, StatefulSet: caches.statefulSets },
    patched: new Patched(),
    looks,
  });
  const reconcile = (key: string, s: AbortSignal): Promise<Outcome> => {
    const datacenter = datacenterOfKey(key);
    if (datacenter !== undefined) return reconcileDatacenter(datacenter, s);
    if (key === RESTART_KEY) return restartLease(s);
    // It was not there yet when it was added.
    const config = caches.configs.store.get(key);
    if (config !== undefined && isHosted(config)) return Promise.resolve({ kind: 'Done' });
    return reconcileConfig(key, s);
  };
  // An upgraded API server comes back with another version; its coming back is the only time to look.
  const unhook = kube.health.onTrouble(() => {
    void serverVersion(kube, log, signal).then((v) => (version = v ?? version));
  });
  try {
    // One at a time: whoever decides must know what was told to every node of the control plane before.
    const gate = (s: AbortSignal): Promise<void> => kube.health.whenUp(60_000, s);
    // Nobody decides before it is known whose turn it is: hosted AuditConfigs, which have workers of their own, would go back
    // to what their status says, where a leader died between workload and status.
    await gate(signal);
    for (const { metadata } of [...caches.datacenters.store.values()])
      if (!signal.aborted) await reconcileDatacenter(metadata.name, signal);
    await Promise.all([
      references.run(signal),
      looks.work(signal),
      queue.work({ workers: 1, reconcile, gate }, signal),
      hostedQueue.work({ workers: HOSTED_WORKERS, reconcile: reconcileHosted, gate }, signal),
      watch.ended(),
    ]);
  } finally {
    l.datacenterMetrics.clear();
    unhook();
    unwire();
    unwireRestarts();
    unwireDatacenters();
    unwireHosted();
    await owned.ended();
    await discovery.ended();
  }
}

/** The minor of the API server that we speak to; asks until it answers. Undefined only when the signal aborts. */
async function serverVersion(kube: Kube, log: Logger, signal: AbortSignal): Promise<Minor | undefined> {
  while (!signal.aborted) {
    const answer = await kube.client.raw('/version', { signal });
    const git = answer.ok && isRecord(answer.value) ? answer.value['gitVersion'] : undefined;
    const minor = typeof git === 'string' ? parseMinor(git) : undefined;
    if (minor !== undefined) return minor;
    if (!signal.aborted)
      log.warn(answer.ok ? { git } : { code: answer.error.code }, 'the API server does not tell its version');
    await delay(1_000, signal);
  }
  return undefined;
}
