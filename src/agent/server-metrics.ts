/**
 * The metrics of the node's own API server, over a connection of its own, which is gone afterwards. Called by watches.ts for
 * delivery.ts.
 */
import { createConnections } from '../kube/connections.ts';
import { credentialsAt } from '../kube/direct.ts';
import { readMetrics } from '../kube/server-metrics.ts';
import { createTransport } from '../kube/transport.ts';
import type { ReadMetrics } from './delivery.ts';
import type { PeerOptions } from './peers.ts';

export const readMetricsWith =
  (o: PeerOptions): ReadMetrics =>
  async (address, onLine, signal) => {
    const { metrics, userAgent } = o;
    const connections = createConnections(credentialsAt(o.credentials, address));
    const transport = createTransport({ connections, metrics, userAgent });
    try {
      return await readMetrics(transport, onLine, signal);
    } finally {
      await transport.close();
    }
  };
