/**
 * The sockets under the transport: one undici Pool for requests, one for watches (which have no body timeout and must
 * never starve requests), and a canary connection for health.ts. Made anew when certificates rotate; the old ones end
 * with their last response. HTTP/1.1 on purpose: undici's HTTP/2 asserts when a GOAWAY meets several streams. Called by
 * transport.ts only.
 */
import { Client, Pool, ProxyAgent, Socks5ProxyAgent } from 'undici';
import type { Dispatcher } from 'undici';
import type { Credentials, Identity } from './credentials.ts';
import { ok } from './errors.ts';
import type { Result } from './errors.ts';

export type Live = {
  readonly identity: Identity;
  readonly requests: Dispatcher;
  readonly watches: Dispatcher;
  readonly canary: Dispatcher;
};

const CONNECT_TIMEOUT_MS = 5_000;
const HEADERS_TIMEOUT_MS = 60_000;
/** The API server closes idle connections after 90 s; we must be first, or a request meets a closing socket. */
const KEEP_ALIVE_MS = 60_000;
const MAX_CONNECTIONS = 16;
/** A watch's answer begins at once, also when there is nothing to send. */
const WATCH_HEADERS_TIMEOUT_MS = 30_000;

export const CANARY_KEEP_ALIVE_MS = 10 * 60_000;

type PoolOptions = Pick<Pool.Options, 'connections' | 'headersTimeout' | 'bodyTimeout' | 'keepAliveTimeout'>;

const connectTo = ({ tls, lookup }: Identity): Identity['tls'] & Pick<Identity, 'lookup'> & { timeout: number } => ({
  ...tls,
  ...(lookup === undefined ? {} : { lookup }),
  timeout: CONNECT_TIMEOUT_MS,
});

function dispatcherFor(identity: Identity, options: PoolOptions): Dispatcher {
  const { tls, server, proxyUrl } = identity;
  const connect = connectTo(identity);
  const pool = { ...options, keepAliveMaxTimeout: options.keepAliveTimeout ?? KEEP_ALIVE_MS, pipelining: 1 };
  if (proxyUrl === undefined) return new Pool(server.origin, { ...pool, connect });
  if (proxyUrl.startsWith('socks')) {
    // Read by undici 7.30, missing in its types.
    const socks = { ...pool, requestTls: tls };
    return new Socks5ProxyAgent(proxyUrl, socks);
  }
  return new ProxyAgent({ ...pool, uri: proxyUrl, requestTls: connect });
}

function open(identity: Identity, onCanaryClosed: () => void): Live {
  const requests = dispatcherFor(identity, {
    connections: MAX_CONNECTIONS,
    headersTimeout: HEADERS_TIMEOUT_MS,
    bodyTimeout: HEADERS_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
  });
  const watches = dispatcherFor(identity, {
    connections: null,
    headersTimeout: WATCH_HEADERS_TIMEOUT_MS,
    bodyTimeout: 0,
    keepAliveTimeout: 1_000,
  });
  // Behind a proxy an idle connection tells nothing about the server: there the requests pool serves.
  if (identity.proxyUrl !== undefined) return { identity, requests, watches, canary: requests };
  const canary = new Client(identity.server.origin, {
    connect: connectTo(identity),
    keepAliveTimeout: CANARY_KEEP_ALIVE_MS,
    keepAliveMaxTimeout: CANARY_KEEP_ALIVE_MS,
    headersTimeout: 10_000,
    bodyTimeout: 10_000,
  });
  canary.on('disconnect', onCanaryClosed);
  return { identity, requests, watches, canary };
}

export interface Connections {
  current(): Promise<Result<Live>>;
  /** For the next request everything is read anew, and connections are made anew where certificates changed. */
  invalidate(): void;
  onCanaryClosed(run: () => void): void;
  close(): Promise<void>;
}

export function createConnections(credentials: Credentials): Connections {
  let live: Live | undefined;
  let closed = false;
  const listeners: (() => void)[] = [];
  const retiring = new Set<Promise<unknown>>();

  const retire = (old: Live): void => {
    for (const d of new Set([old.requests, old.watches, old.canary])) {
      const p = d.close().catch(() => undefined);
      retiring.add(p);
      void p.finally(() => retiring.delete(p));
    }
  };
  return {
    current: async () => {
      const identity = await credentials.current();
      if (!identity.ok) return identity;
      if (live?.identity.fingerprint === identity.value.fingerprint) {
        // Same sockets, perhaps a new token.
        live = { ...live, identity: identity.value };
        return ok(live);
      }
      const old = live;
      live = open(identity.value, () => {
        if (!closed) for (const run of listeners) run();
      });
      if (old !== undefined) retire(old);
      return ok(live);
    },
    invalidate: () => credentials.invalidate(),
    onCanaryClosed: (run) => void listeners.push(run),
    close: async () => {
      closed = true;
      const all = live === undefined ? [] : [...new Set([live.requests, live.watches, live.canary])];
      live = undefined;
      await Promise.all(all.map((d) => d.destroy().catch(() => undefined)));
    },
  };
}
