/**
 * The network between one client (controller or an agent) and the API servers: a balancer in front of them, as a Service
 * or HAProxy is, that can refuse, swallow, or cut. A server that refuses connections is passed over, one that hangs is
 * not noticed: so it is with kube-proxy. lab.ts makes one for each client.
 */
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';

/** `Silent`: packets are dropped, in connections that are open too. `Refusing`: there is nobody. */
export type RelayMode = 'Open' | 'Silent' | 'Refusing';

export type Address = { readonly host: string; readonly port: number };

export class Relay {
  readonly #server: Server;
  readonly #servers: readonly Address[];
  /** Both ends of every connection. */
  readonly #sockets = new Set<Socket>();
  #mode: RelayMode = 'Open';
  #turn = 0;
  /** Connections that were made through it. */
  connections = 0;

  private constructor(servers: readonly Address[]) {
    this.#servers = servers;
    this.#server = createServer((client) => this.#accept(client));
  }

  static async start(servers: readonly Address[]): Promise<Relay> {
    const relay = new Relay(servers);
    await new Promise<void>((resolve, reject) => {
      relay.#server.once('error', reject);
      relay.#server.listen({ host: '127.0.0.1', port: 0 }, resolve);
    });
    return relay;
  }

  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the relay does not listen');
    return `https://127.0.0.1:${address.port}`;
  }

  set(mode: RelayMode): void {
    this.#mode = mode;
    if (mode === 'Refusing') this.cut();
    for (const s of this.#sockets) {
      if (mode === 'Silent') s.pause();
      else s.resume();
    }
  }

  /** Breaks what is open, watches above all; new connections are as the mode says. */
  cut(): void {
    for (const s of this.#sockets) s.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #keep(s: Socket): void {
    this.#sockets.add(s);
    s.once('close', () => this.#sockets.delete(s));
    s.on('error', () => s.destroy());
  }

  #accept(client: Socket): void {
    this.#keep(client);
    if (this.#mode === 'Refusing') return void client.destroy();
    client.pause();
    this.connections++;
    this.#turn++;
    this.#dial(client, 0);
  }

  #dial(client: Socket, attempt: number): void {
    const server = this.#servers[(this.#turn + attempt) % this.#servers.length];
    if (server === undefined || attempt >= this.#servers.length || client.destroyed) return void client.destroy();
    const upstream = connect({ ...server });
    const next = (): void => this.#dial(client, attempt + 1);
    upstream.once('error', next);
    upstream.once('connect', () => {
      upstream.off('error', next);
      this.#keep(upstream);
      client.once('close', () => upstream.destroy());
      upstream.once('close', () => client.destroy());
      client.pipe(upstream).pipe(client);
      if (this.#mode === 'Silent') for (const s of [client, upstream]) s.pause();
    });
  }
}
