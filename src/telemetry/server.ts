/**
 * /healthz, /readyz and /metrics over plain HTTP for kubelet and Prometheus. Nothing else is served, nothing is written,
 * and nothing secret is said: a failed check shows its name. Started by controllers and agent.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from './logger.ts';
import type { Registry } from './metrics.ts';

/** True when fine. Synchronous and cheap: state that the process holds anyway. */
export type Check = () => boolean;

export type TelemetryServerOptions = {
  /** 0 takes a free one. */
  readonly port: number;
  /** Default: all addresses. */
  readonly host?: string;
  readonly registry: Registry;
  readonly log: Logger;
  /** Alive: a failing one has the process restarted. An API server that is away must not fail it. */
  readonly healthz?: Readonly<Record<string, Check>>;
  /** Ready: caches are synced. */
  readonly readyz?: Readonly<Record<string, Check>>;
};

export type TelemetryServer = { readonly port: number; close(): Promise<void> };

function runChecks(checks: Readonly<Record<string, Check>>): { status: number; text: string } {
  const failed = Object.entries(checks).filter(([, check]) => !check());
  if (failed.length === 0) return { status: 200, text: 'ok\n' };
  return { status: 503, text: failed.map(([name]) => `[-]${name} failed\n`).join('') };
}

async function answer(options: TelemetryServerOptions, request: IncomingMessage, response: ServerResponse) {
  const say = (status: number, text: string, type = 'text/plain; charset=utf-8'): void => {
    response.writeHead(status, { 'content-type': type, 'x-content-type-options': 'nosniff' });
    response.end(request.method === 'HEAD' ? undefined : text);
  };
  if (request.method !== 'GET' && request.method !== 'HEAD') return say(405, 'only GET\n');
  switch ((request.url ?? '/').split('?')[0]) {
    case '/healthz': {
      const { status, text } = runChecks(options.healthz ?? {});
      return say(status, text);
    }
    case '/readyz': {
      const { status, text } = runChecks(options.readyz ?? {});
      return say(status, text);
    }
    case '/metrics':
      return say(200, await options.registry.metrics(), options.registry.contentType);
    default:
      return say(404, 'not found\n');
  }
}

/** Resolves when it listens; rejects when the port is taken. */
export async function startTelemetryServer(options: TelemetryServerOptions): Promise<TelemetryServer> {
  const server = createServer((request, response) => {
    answer(options, request, response).catch((thrown: unknown) => {
      options.log.error({ err: thrown }, 'a telemetry request failed');
      response.destroy();
    });
  });
  server.headersTimeout = 5_000;
  server.requestTimeout = 10_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port: options.port, ...(options.host === undefined ? {} : { host: options.host }) }, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
  // With a port it listens on TCP.
  const { port } = server.address() as AddressInfo;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { port, close };
}
