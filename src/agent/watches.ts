/**
 * Puts together all that only looks: the proof that events arrive, the watch over the webhook, the keeper of gaps, and the
 * reporter through which they and the worker speak of one node. Called by agent.ts.
 */
import type { AuditNodeStatus } from '../api/auditnode.ts';
import type { EventRecorder } from '../kube/events.ts';
import { createStatusWriter } from '../kube/status.ts';
import { createDeliveryMetrics } from '../telemetry/delivery-metrics.ts';
import { createGapMetrics } from '../telemetry/gap-metrics.ts';
import type { Registry } from '../telemetry/metrics.ts';
import { createProofMetrics } from '../telemetry/proof-metrics.ts';
import { DeliveryWatch } from './delivery.ts';
import { GapKeeper } from './gaps.ts';
import type { GapOptions } from './gaps.ts';
import { joinReports } from './measured.ts';
import type { JoinedReporter } from './measured.ts';
import { Prover } from './proof.ts';
import { createReporter } from './reporter.ts';
import { AUDIT_NODES } from './resources.ts';
import { readMetricsWith } from './server-metrics.ts';
import type { Desk } from './desk.ts';

export type Watches = {
  readonly reporter: JoinedReporter;
  run(signal: AbortSignal): Promise<void>;
};

/** `changed`: called with each phase that the worker reports. */
function reporterOf(
  { own, kube, log, metrics }: Desk,
  changed: (phase: AuditNodeStatus['phase']) => void,
): JoinedReporter {
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
      const object = own.read();
      return object === undefined ? undefined : { metadata: object.metadata, status: object['status'] };
    },
  });
  return joinReports(reports, () => own.told(), changed);
}

/** An event for a gap that has ended; nobody would hear it while the API is away. */
const tellWith =
  ({ own, kube }: Desk, events: EventRecorder): GapOptions['tell'] =>
  ({ start, end, reason }, done) => {
    const regarding = own.read();
    const [from, to] = [start, end].map((ms) => `${new Date(ms).toISOString().slice(0, 19)}Z`);
    const note = `${reason}: the API server of this node did not record what it should from ${from} to ${to}`;
    const id = `gap-${start.toString(36)}-${end.toString(36)}`;
    if (regarding === undefined || !kube.health.up) return false;
    events.record({ regarding, type: 'Warning', reason: 'AuditGap', action: 'Observe', note, id, done });
    return true;
  };

export function createWatches(desk: Desk, events: EventRecorder, registry: Registry): Watches {
  const { o, own, host, spec, log, peers } = desk;
  const reporter = reporterOf(desk, (phase) => {
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
    tell: tellWith(desk, events),
  });
  const prover = new Prover({
    host,
    spec,
    root: o.root,
    proc: o.proc,
    node: o.nodeName,
    ask: { ...peers, userAgent: `${peers.userAgent} proof` },
    bundles: () => own.asked()?.namespace,
    version: () => own.version(),
    intervalMs: o.proofIntervalMs,
    report: (measured) => reporter.measured(measured),
    onProven: (result) => void gaps.proven(result),
    metrics: createProofMetrics(registry),
    log,
  });
  const deliveries = new DeliveryWatch({
    host,
    spec,
    read: readMetricsWith(peers),
    credentials: () => own.asked()?.credentials,
    intervalMs: o.proofIntervalMs,
    report: (measured) => reporter.measured(measured),
    metrics: createDeliveryMetrics(registry),
    log,
  });
  const run = async (signal: AbortSignal): Promise<void> => {
    await Promise.all([reporter, prover, gaps, deliveries].map((part) => part.run(signal)));
  };
  return { reporter, run };
}
