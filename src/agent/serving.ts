/**
 * Does the node's own API server serve requests, or do they wait? /readyz says nothing of it: what waits for a webhook is the
 * recording of a request, and /readyz is hardly ever recorded. So a request is sent that the policy records. Called by
 * fallback.ts.
 */
import type { Probe } from '../analysis/proof.ts';
import { createConnections } from '../kube/connections.ts';
import { credentialsAt } from '../kube/direct.ts';
import type { ServerAddress } from '../kube/direct.ts';
import type { Result } from '../kube/errors.ts';
import { servingOf } from '../kube/serving.ts';
import type { Serving } from '../kube/serving.ts';
import { createTransport } from '../kube/transport.ts';
import type { PeerOptions } from './peers.ts';

/** Without a probe it is asked for its readiness. */
export type AskServing = (address: ServerAddress, probe: Probe | undefined, signal: AbortSignal) => Promise<Serving>;

const TIMEOUT_MS = 10_000;

export const serveWith =
  (o: PeerOptions): AskServing =>
  async (address, probe, signal) => {
    const { metrics, userAgent } = o;
    const connections = createConnections(credentialsAt(o.credentials, address));
    const transport = createTransport({ connections, metrics, userAgent });
    try {
      const result: Result<unknown> =
        probe === undefined
          ? await transport.knock('/readyz', signal, TIMEOUT_MS)
          : await transport.request({
              method: probe.method,
              path: probe.path,
              ...(probe.query === undefined ? {} : { query: probe.query }),
              ...(probe.body === undefined ? {} : { body: probe.body }),
              timeoutMs: TIMEOUT_MS,
              signal,
              about: { verb: 'serving', resource: 'serving' },
            });
      return servingOf(result);
    } finally {
      await transport.close();
    }
  };
