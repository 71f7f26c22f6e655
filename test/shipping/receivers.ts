/** Receivers of a test: HTTP, whose bodies are lines of JSON, and a port that takes bytes, as fluentd's forward does. */
import { createServer as createHttp } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { createServer as createTcp } from 'node:net';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Authority } from '../control-plane/pki.ts';

/** For a receiver at this name or address, and what issued it: nobody else knows that one. */
export function certificateFor(host: string): { readonly cert: string; readonly key: string; readonly ca: string } {
  const authority = new Authority('a private CA');
  const { cert, key } = authority.issue({ commonName: host, names: [host], usages: ['server'] });
  return { cert, key, ca: authority.cert };
}

export type Receiver = { readonly port: number; readonly close: () => Promise<void> };
export type Record_ = Readonly<Record<string, unknown>>;

const portOf = (address: AddressInfo | string | null): number => (address as AddressInfo).port;

/** Records by the path that they were sent to. `up` false answers 503. `tls`: HTTPS. */
export async function httpReceiver(tls?: {
  readonly cert: string;
  readonly key: string;
}): Promise<Receiver & { readonly at: (path: string) => readonly Record_[]; up: boolean }> {
  const records = new Map<string, Record_[]>();
  const receiver = { up: true };
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      if (receiver.up) {
        const lines = body.split('\n').filter((l) => l !== '');
        const path = request.url ?? '';
        records.set(path, [...(records.get(path) ?? []), ...lines.map((l) => JSON.parse(l) as Record_)]);
      }
      response.writeHead(receiver.up ? 200 : 503).end();
    });
  };
  const server = tls === undefined ? createHttp(answer) : createHttps(tls, answer);
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
  return Object.assign(receiver, {
    port: portOf(server.address()),
    at: (path: string) => records.get(path) ?? [],
    close: () => {
      server.closeAllConnections();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  });
}

/** All bytes that came, as text: msgpack has strings as they are. */
export async function forwardReceiver(): Promise<Receiver & { readonly text: () => string }> {
  const chunks: Buffer[] = [];
  const sockets = new Set<Socket>();
  const server = createTcp((socket) => {
    sockets.add(socket);
    socket.on('data', (chunk) => chunks.push(chunk)).on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
  return {
    port: portOf(server.address()),
    text: () => Buffer.concat(chunks).toString('utf8'),
    close: () => {
      for (const s of sockets) s.destroy();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
