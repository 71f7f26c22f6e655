/**
 * `auditconfig controller`: connects, elects a leader, and keeps the caches. Caches are kept by every replica, so that a new
 * leader decides at once; only the leader works (term.ts). An API server that is away ends nothing.
 */
import { connectKube } from '../kube/connect.ts';
import { kubeConfigCredentials } from '../kube/credentials.ts';
import { createEventRecorder } from '../kube/events.ts';
import { createElection } from '../kube/lease.ts';
import { createDatacenterMetrics } from '../telemetry/datacenter-metrics.ts';
import { keepHeapSmall } from '../telemetry/heap.ts';
import { createKubeMetrics } from '../telemetry/kube-metrics.ts';
import { createLogger } from '../telemetry/logger.ts';
import { createRegistry } from '../telemetry/metrics.ts';
import { startTelemetryServer } from '../telemetry/server.ts';
import { createCaches, essential } from './caches.ts';
import { sourceOf } from './options.ts';
import type { ControllerOptions } from './options.ts';
import { leadTerm } from './term.ts';

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
