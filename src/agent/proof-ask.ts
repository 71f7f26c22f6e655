/**
 * Sends one harmless request, marked with an audit ID, to the node's own API server and to no other. Called by proof.ts.
 */
import type { Probe } from '../analysis/proof.ts';
import { createConnections } from '../kube/connections.ts';
import type { Credentials } from '../kube/credentials.ts';
import { credentialsAt } from '../kube/direct.ts';
import type { ServerAddress } from '../kube/direct.ts';
import { sendMarked } from '../kube/marked-request.ts';
import { createTransport } from '../kube/transport.ts';
import type { KubeMetrics } from '../telemetry/kube-metrics.ts';

export type AskOptions = {
  readonly credentials: Credentials;
  readonly metrics: KubeMetrics;
  readonly userAgent: string;
};

/** `why` is a sentence. */
export type Answer =
  { readonly answered: true; readonly value: unknown } | { readonly answered: false; readonly why: string };

export async function askWith(
  o: AskOptions,
  address: ServerAddress,
  sent: { readonly probe: Probe; readonly auditID: string },
  signal: AbortSignal,
): Promise<Answer> {
  const { probe, auditID } = sent;
  const { metrics, userAgent } = o;
  // Once an hour: a connection of its own, which is gone afterwards.
  const transport = createTransport({
    connections: createConnections(credentialsAt(o.credentials, address)),
    metrics,
    userAgent,
  });
  try {
    const result = await sendMarked(transport, probe, { auditID, about: 'proof' }, signal);
    if (result.ok) return { answered: true, value: result.value };
    const why = `the node's own API server at ${address.host}:${address.port} could not be asked: ${result.error.message}`;
    return { answered: false, why: `${why} (${result.error.code})` };
  } finally {
    await transport.close();
  }
}
