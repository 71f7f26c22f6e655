/**
 * Does the node's own API server serve requests, or do they wait? /readyz says nothing of it: what waits for a webhook is the
 * recording of a request, and /readyz is hardly ever recorded. So a request is sent that the policy records. Called by
 * fallback.ts.
 */
import type { Probe } from '../analysis/proof.ts';
import { createConnections } from '../kube/connections.ts';
import { credentialsAt } from '../kube/direct.ts';
import type { ServerAddress } from '../kube/direct.ts';
import type { KubeError, Result } from '../kube/errors.ts';
import { createTransport } from '../kube/transport.ts';
import type { PeerOptions } from './peers.ts';

/**
 * `Waits`: no answer in time. `Fails`: an answer that nothing could be done (5xx). `Away`: nobody is there, or not for us; a
 * webhook has no part in that.
 */
export type Serving =
  | { readonly is: 'Serves'; readonly value: unknown }
  | { readonly is: 'Waits' | 'Fails' | 'Away'; readonly why: string };

/** Without a probe it is asked for its readiness. */
export type AskServing = (address: ServerAddress, probe: Probe | undefined, signal: AbortSignal) => Promise<Serving>;

const TIMEOUT_MS = 10_000;

function servingOf(error: KubeError): Serving {
  const why = error.code;
  // Before the status: an API server that gives up says 504.
  if (error.code === 'Timeout') return { is: 'Waits', why };
  if (error.status === undefined) return { is: 'Away', why };
  return error.status >= 500 ? { is: 'Fails', why } : { is: 'Serves', value: undefined };
}

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
      return result.ok ? { is: 'Serves', value: result.value } : servingOf(result.error);
    } finally {
      await transport.close();
    }
  };
