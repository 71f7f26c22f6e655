/**
 * Asks another node's API server, or this node's own, with the agent's credentials: past any load balancer, and only
 * where its certificate is one of the cluster's. A connection of its own each, which is gone afterwards. Called by
 * node-work.ts for turn.ts and worker.ts.
 */
import { createClient } from '../kube/client.ts';
import { createConnections } from '../kube/connections.ts';
import type { Credentials } from '../kube/credentials.ts';
import { credentialsAt } from '../kube/direct.ts';
import type { ServerAddress } from '../kube/direct.ts';
import { createTransport } from '../kube/transport.ts';
import type { Transport } from '../kube/transport.ts';
import { isRecord } from '../kube/types.ts';
import type { KubeMetrics } from '../telemetry/kube-metrics.ts';

export type PeerOptions = {
  readonly credentials: Credentials;
  readonly metrics: KubeMetrics;
  readonly userAgent: string;
};

const TIMEOUT_MS = 5_000;

async function at<T>(o: PeerOptions, address: ServerAddress, ask: (t: Transport) => Promise<T>): Promise<T> {
  const { metrics, userAgent } = o;
  const connections = createConnections(credentialsAt(o.credentials, address));
  const transport = createTransport({ connections, metrics, userAgent });
  try {
    return await ask(transport);
  } finally {
    await transport.close();
  }
}

/** null when it is ready, else why it is not, as a few words. */
export const askReady = (o: PeerOptions, address: ServerAddress, signal: AbortSignal): Promise<string | null> =>
  at(o, address, async (transport) => {
    const answer = await transport.knock('/readyz', signal, TIMEOUT_MS);
    if (!answer.ok) return answer.error.code;
    return answer.value === 200 ? null : `/readyz answers ${answer.value}`;
  });

/** gitVersion of the API server that listens there; undefined where it does not say. */
export const askGitVersion = (
  o: PeerOptions,
  address: ServerAddress,
  signal: AbortSignal,
): Promise<string | undefined> =>
  at(o, address, async (transport) => {
    const client = createClient(transport);
    const answer = await client.raw('/version', { signal, timeoutMs: TIMEOUT_MS });
    const git = answer.ok && isRecord(answer.value) ? answer.value['gitVersion'] : undefined;
    return typeof git === 'string' && git.length <= 64 ? git : undefined;
  });
