/**
 * `auditconfig agent`: runs on a control-plane node, and is the only part that touches its files. First it brings a
 * change that was in flight to its end, which needs no API; then it watches its AuditNode.
 */
import { connectKube } from '../kube/connect.ts';
import { kubeConfigCredentials } from '../kube/credentials.ts';
import { createEventRecorder } from '../kube/events.ts';
import { keepHeapSmall } from '../telemetry/heap.ts';
import { createKubeMetrics } from '../telemetry/kube-metrics.ts';
import { createLogger } from '../telemetry/logger.ts';
import { createRegistry } from '../telemetry/metrics.ts';
import { startTelemetryServer } from '../telemetry/server.ts';
import type { Desk } from './desk.ts';
import { NodeWork } from './node-work.ts';
import type { AgentOptions } from './options.ts';
import { OwnNode } from './own-node.ts';
import { hostFor, placeFrom } from './places.ts';
import { createWatches } from './watches.ts';

function deskOf(o: AgentOptions, { log, metrics }: Pick<Desk, 'log' | 'metrics'>): Desk {
  const credentials = kubeConfigCredentials(
    o.kubeconfig === undefined ? { from: 'Default' } : { from: 'File', path: o.kubeconfig },
  );
  const userAgent = `auditconfig/${o.version} agent`;
  const kube = connectKube({ credentials, log, metrics, userAgent });
  return {
    o,
    host: hostFor(o.place, { root: o.root, proc: o.proc }),
    spec: placeFrom(o.place),
    kube,
    own: new OwnNode(kube, o),
    peers: { credentials, metrics, userAgent },
    metrics,
    log,
  };
}

/** Resolves when the signal has aborted and everything has ended. */
export async function runAgent(o: AgentOptions, signal: AbortSignal): Promise<void> {
  keepHeapSmall();
  const log = createLogger({ name: 'auditconfig-agent', level: o.logLevel });
  const registry = createRegistry({ version: o.version, processMetrics: true });
  const metrics = createKubeMetrics(registry);
  const desk = deskOf(o, { log, metrics });
  const { kube, own } = desk;
  const server = await startTelemetryServer({
    port: o.port,
    host: '127.0.0.1',
    registry,
    log,
    readyz: { cache: () => own.synced },
  });
  log.info({ port: server.port, version: o.version, node: o.nodeName }, 'agent started');
  const events = createEventRecorder({
    client: kube.client,
    health: kube.health,
    log,
    metrics,
    reportingController: 'auditconfig.dev/agent',
    reportingInstance: o.nodeName,
  });
  const watches = createWatches(desk, events, registry);
  const work = new NodeWork(desk, watches.reporter, events);
  try {
    await Promise.all([kube.health.start(signal), ...[own, events, watches, work].map((part) => part.run(signal))]);
  } finally {
    await server.close();
    await kube.close();
  }
  log.info({}, 'agent stopped');
}
