/**
 * `auditconfig agent`: runs on a control-plane node, and is the only part that touches its files. First it brings a
 * change that was in flight to its end, which needs no API; then it watches its AuditNode.
 */
import { parseArgs } from 'node:util';
import { auditNodeSpec, auditNodeStatus } from '../api/auditnode.ts';
import type { AuditNodeStatus } from '../api/auditnode.ts';
import { RESTART_LEASE, nodeOfHolder } from '../api/restart-lease.ts';
import { parseMinor } from '../api/versions.ts';
import { connectKube } from '../kube/connect.ts';
import { kubeConfigCredentials, nothingToConnect } from '../kube/credentials.ts';
import { createEventRecorder } from '../kube/events.ts';
import { LEASES } from '../kube/lease.ts';
import { createWorkQueue } from '../kube/queue.ts';
import type { Outcome } from '../kube/queue.ts';
import { createStatusWriter } from '../kube/status.ts';
import type { KubeObject } from '../kube/types.ts';
import { claimName, waitForClaim } from '../node/claim.ts';
import type { GuardPod } from '../node/guard-pod.ts';
import { mismatch } from '../node/place.ts';
import { createDeliveryMetrics } from '../telemetry/delivery-metrics.ts';
import { createGapMetrics } from '../telemetry/gap-metrics.ts';
import { keepHeapSmall } from '../telemetry/heap.ts';
import { createKubeMetrics } from '../telemetry/kube-metrics.ts';
import { LOG_LEVELS, createLogger } from '../telemetry/logger.ts';
import type { LogLevel } from '../telemetry/logger.ts';
import { createRegistry } from '../telemetry/metrics.ts';
import { createProofMetrics } from '../telemetry/proof-metrics.ts';
import { startTelemetryServer } from '../telemetry/server.ts';
import { DeliveryWatch } from './delivery.ts';
import { DriftKeeper } from './drift.ts';
import { DriftWork } from './drift-work.ts';
import { FallbackWatch } from './fallback.ts';
import { GapKeeper } from './gaps.ts';
import { joinReports } from './measured.ts';
import { ownServer } from './own-server.ts';
import { askGitVersion, askReady } from './peers.ts';
import { hostFor, parsePlace, placeFrom } from './places.ts';
import type { PlaceOptions } from './places.ts';
import { Prover } from './proof.ts';
import { serveWith } from './serving.ts';
import { createReporter } from './reporter.ts';
import { readMetricsWith } from './server-metrics.ts';
import { AUDIT_NODES } from './resources.ts';
import { createRestartTurn, leaseView } from './turn.ts';
import { againOf } from './task.ts';
import { Worker } from './worker.ts';

export const AGENT_HELP = `Usage: auditconfig agent --node-name NAME [options]

Runs the node agent: installs revisions on this control-plane node, watches its kube-apiserver come back, and puts the
old manifest back when it does not.

Options:
  --node-name NAME     name of this node, and of its AuditNode (default: NODE_NAME)
  --root DIR           where the host's file system is (default: /)
  --proc DIR           where the host's /proc is (default: /proc)
  --target TYPE        where the API server's flags lie: StaticPod, Systemd, K3s or RKE2 (default: StaticPod)
  --manifest FILE      static-pod manifest of the kube-apiserver, as the host sees it
                       (default: /etc/kubernetes/manifests/kube-apiserver.yaml)
  --unit NAME          the unit, for Systemd (default: kube-apiserver.service)
  --data-dir DIR       of K3s or RKE2, where their administrator's certificate is (default: /var/lib/rancher/k3s, .../rke2)
  --guard-image IMAGE  this agent's own image, from which a guard is started while a manifest is changed: a static pod
                       that rolls back in the agent's place (default: GUARD_IMAGE; none: no guard stands by)
  --bundles-namespace NAME  where revisions are published, and the Lease for restarts is
                       (default: auditconfig-bundles)
  --kubeconfig FILE    how to reach the API server (default: KUBECONFIG, ~/.kube/config, the pod's own account)
  --proof-interval S   how often to prove that events arrive, in seconds, 10 to 3600 (default: 3600); sooner where
                       the log looks wrong
  --quiet-seconds S    how long a manifest that somebody wrote anew (kubeadm upgrade) must be left alone before it is
                       patched again, in seconds, 1 to 3600 (default: 120)
  --port PORT          health and metrics, on loopback only (default: 9442; 0 takes a free one)
  --log-level LEVEL    ${LOG_LEVELS.join(', ')} (default: info)

A file /var/lib/auditconfig/HOLD on the node stops the agent until it is removed.

Examples:
  auditconfig agent --node-name cp-1 --root /host
  auditconfig agent --node-name cp-1 --target systemd --kubeconfig /etc/auditconfig/kubeconfig
`;

export type AgentOptions = {
  readonly nodeName: string;
  readonly root: string;
  readonly proc: string;
  readonly place: PlaceOptions;
  readonly guard?: GuardPod;
  readonly bundlesNamespace: string;
  readonly kubeconfig?: string;
  readonly proofIntervalMs: number;
  readonly quietMs: number;
  readonly port: number;
  readonly logLevel: LogLevel;
  readonly version: string;
};

/** Whole seconds from `least` to an hour, in ms. */
function secondsOf(text: string, least: number): number | null {
  const seconds = Number(text);
  return Number.isInteger(seconds) && seconds >= least && seconds <= 3600 ? seconds * 1000 : null;
}

/** The options, or a message about wrong usage. */
export function parseAgentArgs(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  version: string,
): AgentOptions | { readonly usage: string } {
  const string = { type: 'string' } as const;
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        'node-name': string,
        root: string,
        proc: string,
        target: string,
        manifest: string,
        unit: string,
        'data-dir': string,
        'guard-image': string,
        'bundles-namespace': string,
        kubeconfig: string,
        'proof-interval': string,
        'quiet-seconds': string,
        port: string,
        'log-level': string,
      },
    }));
  } catch (e) {
    return { usage: e instanceof Error ? e.message : String(e) };
  }
  const nodeName = values['node-name'] ?? env['NODE_NAME'];
  if (nodeName === undefined || nodeName === '') return { usage: '--node-name or NODE_NAME is needed' };
  const port = Number(values.port ?? '9442');
  if (!Number.isInteger(port) || port < 0 || port > 65_535) return { usage: '--port must be a number from 0 to 65535' };
  const proofIntervalMs = secondsOf(values['proof-interval'] ?? '3600', 10);
  if (proofIntervalMs === null) return { usage: '--proof-interval must be a number of seconds from 10 to 3600' };
  const quietMs = secondsOf(values['quiet-seconds'] ?? '120', 1);
  if (quietMs === null) return { usage: '--quiet-seconds must be a number of seconds from 1 to 3600' };
  const logLevel = LOG_LEVELS.find((l) => l === (values['log-level'] ?? 'info'));
  if (logLevel === undefined) return { usage: `--log-level must be one of ${LOG_LEVELS.join(', ')}` };
  const place = parsePlace(values);
  if ('usage' in place) return place;
  const image = values['guard-image'] ?? env['GUARD_IMAGE'] ?? '';
  return {
    nodeName,
    root: values.root ?? '/',
    proc: values.proc ?? '/proc',
    place,
    ...(image === '' ? {} : { guard: { image, namespace: env['POD_NAMESPACE'] ?? 'kube-system' } }),
    bundlesNamespace: values['bundles-namespace'] ?? 'auditconfig-bundles',
    ...(values.kubeconfig === undefined ? {} : { kubeconfig: values.kubeconfig }),
    proofIntervalMs,
    quietMs,
    port,
    logLevel,
    version,
  };
}

/**
 * Why it could do nothing but wait for ever; undefined where it can work. A kubeconfig that was named may still come
 * (`kubeadm join` writes it), and what is in flight on the node needs none.
 */
export const whyNoAgent = ({ kubeconfig }: AgentOptions): string | undefined =>
  kubeconfig === undefined ? nothingToConnect({ from: 'Default' }) : undefined;

/** In the queue, beside the node's name, which has no slash. */
const PROBATION = 'watch/probation';
const TURN = 'watch/turn';
const DRIFT = 'watch/drift';
const FALLBACK = 'watch/fallback';

/** Resolves when the signal has aborted and everything has ended. */
export async function runAgent(o: AgentOptions, signal: AbortSignal): Promise<void> {
  keepHeapSmall();
  const log = createLogger({ name: 'auditconfig-agent', level: o.logLevel });
  const registry = createRegistry({ version: o.version, processMetrics: true });
  const metrics = createKubeMetrics(registry);
  const credentials = kubeConfigCredentials(
    o.kubeconfig === undefined ? { from: 'Default' } : { from: 'File', path: o.kubeconfig },
  );
  const kube = connectKube({ credentials, log, metrics, userAgent: `auditconfig/${o.version} agent` });
  const own = kube.reflect({
    resource: AUDIT_NODES,
    project: (object: KubeObject) => object,
    indexes: {},
    fieldSelector: `metadata.name=${o.nodeName}`,
  });
  const lease = kube.reflect({
    resource: LEASES,
    project: leaseView,
    indexes: {},
    namespace: o.bundlesNamespace,
    fieldSelector: `metadata.name=${RESTART_LEASE}`,
  });
  const server = await startTelemetryServer({
    port: o.port,
    host: '127.0.0.1',
    registry,
    log,
    readyz: { cache: () => own.synced },
  });
  log.info({ port: server.port, version: o.version, node: o.nodeName }, 'agent started');
  const read = (): KubeObject | undefined => own.store.get({ name: o.nodeName });
  const status = createStatusWriter({
    client: kube.client,
    resource: AUDIT_NODES,
    fieldManager: 'auditconfig-agent',
    metrics,
  });
  const reports = createReporter({
    status,
    health: kube.health,
    log,
    target: () => {
      const object = read();
      return object === undefined ? undefined : { metadata: object.metadata, status: object['status'] };
    },
  });
  const events = createEventRecorder({
    client: kube.client,
    health: kube.health,
    log,
    metrics,
    reportingController: 'auditconfig.dev/agent',
    reportingInstance: o.nodeName,
  });
  const host = hostFor(o.place, { root: o.root, proc: o.proc });
  const spec = placeFrom(o.place);
  const told = (): AuditNodeStatus => {
    const parsed = auditNodeStatus.safeParse(read()?.['status'] ?? {});
    return parsed.success ? parsed.data : {};
  };
  const reporter = joinReports(reports, told, (phase) => {
    if (phase === 'Settled') {
      prover.wake();
      deliveries.wake();
    }
    void gaps.look(true);
  });
  const gaps = new GapKeeper({
    host,
    spec,
    metrics: createGapMetrics(registry),
    log,
    report: (all) => reporter.measured(all === undefined ? {} : { gaps: all }),
    tell: ({ start, end, reason }, done) => {
      const regarding = read();
      const [from, to] = [start, end].map((ms) => `${new Date(ms).toISOString().slice(0, 19)}Z`);
      const note = `${reason}: the API server of this node did not record what it should from ${from} to ${to}`;
      const id = `gap-${start.toString(36)}-${end.toString(36)}`;
      if (regarding === undefined || !kube.health.up) return false;
      events.record({ regarding, type: 'Warning', reason: 'AuditGap', action: 'Observe', note, id, done });
      return true;
    },
  });
  const prover = new Prover({
    host,
    spec,
    root: o.root,
    proc: o.proc,
    node: o.nodeName,
    ask: { credentials, metrics, userAgent: `auditconfig/${o.version} agent proof` },
    bundles: () => auditNodeSpec.safeParse(read()?.['spec']).data?.desired.revision?.namespace,
    version: () => parseMinor(told().kubernetesVersion ?? ''),
    intervalMs: o.proofIntervalMs,
    report: (measured) => reporter.measured(measured),
    onProven: (result) => void gaps.proven(result),
    metrics: createProofMetrics(registry),
    log,
  });
  const peers = { credentials, metrics, userAgent: `auditconfig/${o.version} agent` };
  const deliveries = new DeliveryWatch({
    host,
    spec,
    read: readMetricsWith(peers),
    credentials: () => auditNodeSpec.safeParse(read()?.['spec']).data?.desired.revision?.credentials,
    intervalMs: o.proofIntervalMs,
    report: (measured) => reporter.measured(measured),
    metrics: createDeliveryMetrics(registry),
    log,
  });
  const turn = createRestartTurn({
    client: kube.client,
    namespace: o.bundlesNamespace,
    node: o.nodeName,
    nodeUid: () => read()?.metadata.ownerReferences?.find((r) => r.kind === 'Node')?.uid ?? '',
    ownPort: async () => (await ownServer(host, spec))?.address.port,
    askPeer: (address, s) => askReady(peers, address, s),
    log,
    now: host.now,
  });
  const keeper = new DriftKeeper({
    host,
    spec,
    root: o.root,
    rules: { quietMs: o.quietMs },
    log,
    onChange: () => queue.add(DRIFT),
  });
  const heard = keeper.listening();
  const worker = new Worker({
    host: heard,
    spec,
    client: kube.client,
    read,
    reporter,
    turn,
    askVersion: (address, s) => askGitVersion(peers, address, s),
    log,
    agentVersion: o.version,
    drift: new DriftWork({ host: heard, spec, keeper, log }),
    mismatch: (target) => mismatch(target, spec),
    ...(o.guard === undefined ? {} : { guard: o.guard }),
    again: (afterMs) => queue.addAfter(o.nodeName, afterMs),
    note: (regarding, type, reason, note) => events.record({ regarding, type, reason, action: 'Install', note }),
  });
  const fallback = new FallbackWatch({
    host,
    spec,
    ask: serveWith(peers),
    node: o.nodeName,
    bundles: () => auditNodeSpec.safeParse(read()?.['spec']).data?.desired.revision?.namespace,
    version: () => parseMinor(told().kubernetesVersion ?? ''),
    due: () => {
      // The one worker may be asking an API that does not answer.
      worker.hurry();
      queue.add(FALLBACK);
    },
    log,
  });
  const queue = createWorkQueue({ name: 'auditnode', log, metrics });
  const work = async (): Promise<void> => {
    // A guard that is rolling back ends that first; while this process lives, no guard acts.
    const release = await waitForClaim(host, spec.layout.stateDir, {
      role: 'agent',
      pollMs: 250,
      onObstacle: (what) =>
        log.info({ waitsFor: what instanceof Error ? what.message : claimName(what) }, 'not yet at work'),
      signal,
    });
    if (release === null) return;
    let asked = '';
    own.onChange(() => {
      const object = read();
      // Our own reports change the object, but not its generation; one that was made anew counts from 1 again.
      const now =
        object === undefined ? '' : `${object.metadata.uid}/${object.metadata.generation}/${againOf({ object }) ?? ''}`;
      if (now === asked) reporter.remind();
      else if (object !== undefined) queue.add(o.nodeName);
      asked = now;
    });
    const lookAtLease = (): void => {
      const holder = lease.store.get({ namespace: o.bundlesNamespace, name: RESTART_LEASE })?.holder ?? '';
      if (nodeOfHolder(holder) === o.nodeName) queue.add(TURN);
      if (worker.wantsTurn) queue.add(o.nodeName);
    };
    lease.onChange(lookAtLease);
    // While a guard was waited for, the Lease that a former life took may have come already, and changes no more.
    lookAtLease();
    // What was in flight when a former process ended comes first, and needs no API.
    queue.add(o.nodeName);
    const reconcile = async (key: string, s: AbortSignal): Promise<Outcome> => {
      if (key === TURN) return worker.giveBackTurn(s);
      if (key === DRIFT) return worker.watchDrift(s);
      if (key === FALLBACK) return worker.fallBack(s);
      if (key === PROBATION) return worker.watchProbation(s);
      const outcome = await worker.work(s);
      queue.add(PROBATION);
      return outcome;
    };
    // One worker, so that the watch over a probation and a change never meet.
    await queue.work({ workers: 1, reconcile, graceMs: 2_000 }, signal);
    await release().catch((e: unknown) => log.warn({ error: String(e) }, 'the claim stays; it dies with this process'));
  };
  try {
    const parts = [
      own.run(signal),
      lease.run(signal),
      reporter.run(signal),
      events.run(signal),
      prover.run(signal),
      keeper.run(signal),
      gaps.run(signal),
      deliveries.run(signal),
      fallback.run(signal),
      work(),
    ];
    await Promise.all([kube.health.start(signal), ...parts]);
  } finally {
    await server.close();
    await kube.close();
  }
  log.info({}, 'agent stopped');
}
