/**
 * An HTTP server that behaves as badly as a test wants: the protocol edges that a real API server shows once a month.
 * Each request is given to the handler that was set last; everything that was asked is recorded.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { createClient } from '../../src/kube/client.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { createConnections } from '../../src/kube/connections.ts';
import type { Credentials } from '../../src/kube/credentials.ts';
import { ok } from '../../src/kube/errors.ts';
import { createHealth } from '../../src/kube/health.ts';
import type { ApiHealth } from '../../src/kube/health.ts';
import { createTransport } from '../../src/kube/transport.ts';
import type { Transport } from '../../src/kube/transport.ts';
import { noKubeMetrics } from '../../src/telemetry/kube-metrics.ts';
import { silentLogger } from '../../src/telemetry/logger.ts';

export type Asked = {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: unknown;
  readonly at: number;
};
export type Handler = (asked: Asked, response: ServerResponse) => void;

export class FakeApi {
  readonly asked: Asked[] = [];
  handler: Handler = (_asked, response) => void response.writeHead(500).end();
  readonly #server = createServer((request, response) => void this.#serve(request, response));
  readonly #sockets = new Set<Socket>();
  #port = 0;

  constructor() {
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const url = new URL(request.url ?? '/', 'http://fake');
    const text = Buffer.concat(chunks).toString();
    const asked = {
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body: text === '' ? undefined : (JSON.parse(text) as unknown),
      at: performance.now(),
    };
    this.asked.push(asked);
    this.handler(asked, response);
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }
  /** Open connections. */
  get connections(): number {
    return this.#sockets.size;
  }
  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
    return this;
  }
  /** As SIGTERM does: no new connections, idle ones closed, answers in progress stay open and silent. */
  stopListening(): void {
    this.#server.close();
    this.#server.closeIdleConnections();
  }
  /** As SIGKILL does. */
  breakAll(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }
  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.breakAll();
    });
  }
}

export const json = (
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void =>
  void response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));

export const statusBody = (code: number, reason: string, message = reason, details: object = {}): object => ({
  kind: 'Status',
  apiVersion: 'v1',
  status: 'Failure',
  code,
  reason,
  message,
  details,
});

export const staticCredentials = (server: string): Credentials => ({
  current: () =>
    Promise.resolve(
      ok({ server: new URL(server), headers: { authorization: 'Bearer t' }, tls: {}, fingerprint: server }),
    ),
  invalidate: () => undefined,
  namespace: () => undefined,
});

export type Connected = { transport: Transport; client: KubeClient; health: ApiHealth; close(): Promise<void> };

export function connectFake(url: string, credentials: Credentials = staticCredentials(url)): Connected {
  const transport = createTransport({
    connections: createConnections(credentials),
    metrics: noKubeMetrics,
    userAgent: 'test',
  });
  return {
    transport,
    client: createClient(transport),
    health: createHealth({ transport, log: silentLogger, metrics: noKubeMetrics }),
    close: () => transport.close(),
  };
}
