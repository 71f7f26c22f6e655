/**
 * Puts the room together: credentials, sockets, transport, health, client. The one call that controllers, agent and CLI
 * need to speak to an API server. Nothing is sent before the first request.
 */
import { noKubeMetrics } from '../telemetry/kube-metrics.ts';
import type { KubeMetrics } from '../telemetry/kube-metrics.ts';
import { silentLogger } from '../telemetry/logger.ts';
import type { Logger } from '../telemetry/logger.ts';
import { createClient } from './client.ts';
import type { KubeClient } from './client.ts';
import { createConnections } from './connections.ts';
import type { Credentials } from './credentials.ts';
import { createHealth } from './health.ts';
import type { ApiHealth } from './health.ts';
import { createReflector } from './reflector.ts';
import type { Reflector, ReflectorOptions } from './reflector.ts';
import { createTransport } from './transport.ts';
import type { Transport } from './transport.ts';

export type Kube = {
  readonly client: KubeClient;
  readonly transport: Transport;
  readonly health: ApiHealth;
  /** A reflector over this connection; the caller runs it. */
  reflect<T, I extends string = never>(
    options: Omit<ReflectorOptions<T, I>, 'client' | 'transport' | 'health' | 'log' | 'metrics'>,
  ): Reflector<T, I>;
  /** Breaks what is open. Abort the signals of watches first. */
  close(): Promise<void>;
};

export type ConnectOptions = {
  readonly credentials: Credentials;
  /** Commands neither log nor measure: both are silent then. */
  readonly log?: Logger;
  readonly metrics?: KubeMetrics;
  /** `auditconfig/1.2.3 controller`: what the API server's audit log will show. */
  readonly userAgent: string;
};

export function connectKube(options: ConnectOptions): Kube {
  const { log = silentLogger, metrics = noKubeMetrics } = options;
  const connections = createConnections(options.credentials);
  const transport = createTransport({ connections, metrics, userAgent: options.userAgent });
  const client = createClient(transport);
  const health = createHealth({ transport, log, metrics });
  return {
    client,
    transport,
    health,
    reflect: (more) => createReflector({ ...more, client, transport, health, log, metrics }),
    close: () => transport.close(),
  };
}
