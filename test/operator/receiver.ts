/**
 * A receiver of audit events: a real HTTPS server that demands a client certificate of its own authority, and notes who
 * sent what. It can be slow, refuse, go away and come back on the same port, and show a certificate that has expired.
 */
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import { Authority } from '../control-plane/pki.ts';
import type { Issued } from '../control-plane/pki.ts';

export type ReceivedEvent = { readonly auditID: string; readonly stage: string; readonly requestURI: string };
export type Received = {
  readonly at: number;
  /** Common name of the client's certificate. */
  readonly client: string;
  readonly authorization: string | undefined;
  readonly kind: string;
  readonly events: readonly ReceivedEvent[];
};
export type Behaviour = { readonly status?: number; readonly delayMs?: number };

const HOST = '127.0.0.1';

export class Receiver {
  readonly authority = new Authority('audit-receiver-ca');
  readonly batches: Received[] = [];
  behaviour: Behaviour = {};
  /** Those that are taken; any other is answered with 401. */
  readonly tokens = new Set<string>();
  /** How often events were refused, by Audit-ID. */
  readonly refused = new Map<string, number>();
  #server: Server;
  #port = 0;
  readonly #sockets = new Set<TLSSocket>();

  constructor() {
    this.#server = this.#make(this.#issue());
  }

  get url(): string {
    return `https://${HOST}:${this.#port}/events`;
  }

  client(commonName: string, valid?: { readonly from: Date; readonly to: Date }): Issued {
    return this.authority.issue({ commonName, usages: ['client'], ...(valid === undefined ? {} : { valid }) });
  }

  #issue(valid?: { readonly from: Date; readonly to: Date }): Issued {
    return this.authority.issue({
      commonName: 'audit-receiver',
      names: [HOST],
      usages: ['server'],
      ...(valid === undefined ? {} : { valid }),
    });
  }

  #make({ cert, key }: Issued): Server {
    const server = createServer(
      { cert, key, ca: this.authority.cert, requestCert: true, rejectUnauthorized: true },
      (request, response) => void this.#answer(request, response),
    );
    server.on('secureConnection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket)).on('error', () => undefined);
    });
    // Who shows no certificate of ours, or does not like this one, is no fault of the test.
    server.on('tlsClientError', () => undefined);
    return server;
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject).listen(this.#port, HOST, resolve);
    });
    this.#port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => void this.#server.close(() => resolve()));
    this.drop();
    await closed;
  }

  /** Stands there again on its port, with a certificate that is good or has expired an hour ago. */
  async restart(certificate: 'Good' | 'Expired' = 'Good'): Promise<void> {
    await this.stop();
    const now = Date.now();
    const past = { from: new Date(now - 7_200_000), to: new Date(now - 3_600_000) };
    this.#server = this.#make(this.#issue(certificate === 'Good' ? undefined : past));
    await this.start();
  }

  /** Ends all connections, so that the next request is on a new one. */
  drop(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  get events(): readonly ReceivedEvent[] {
    return this.batches.flatMap((b) => b.events);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const socket = request.socket as TLSSocket;
    const client = String(socket.getPeerCertificate().subject.CN);
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      return;
    }
    const { status = 200, delayMs = 0 } = this.behaviour;
    if (delayMs > 0) await sleep(delayMs);
    // Nobody hears an answer any more: whoever sent this sends it again.
    if (socket.destroyed) return;
    const { authorization } = request.headers;
    if (!this.tokens.has((authorization ?? '').replace('Bearer ', ''))) {
      response.writeHead(401).end();
      return;
    }
    const list = JSON.parse(Buffer.concat(chunks).toString('utf8')) as { kind: string; items: ReceivedEvent[] };
    if (status !== 200)
      for (const { auditID } of list.items) this.refused.set(auditID, (this.refused.get(auditID) ?? 0) + 1);
    else {
      this.batches.push({
        at: Date.now(),
        client,
        authorization,
        kind: list.kind,
        events: list.items,
      });
    }
    response.writeHead(status).end();
  }
}
