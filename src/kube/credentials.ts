/**
 * Who we are and whom we trust, kept fresh: a service account's token file is rotated about every hour, certificates
 * are renewed on disk, exec plugins hand out short-lived tokens, and `kubeadm certs renew` rewrites a whole kubeconfig.
 * Reading kubeconfigs and running plugins is left to the official client; its HTTP is not used (a TLS connection for
 * each request). Refuses nothing itself: what cannot be read is CredentialsFailed. Called by connections.ts.
 */
import { createHash } from 'node:crypto';
import { isAbsolute, join } from 'node:path';
import type { RequestOptions } from 'node:https';
import type { LookupFunction } from 'node:net';
import type { PeerCertificate } from 'node:tls';
// The package's index loads the generated client for every API group; this file is all that is needed.
import { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import { parse } from 'yaml';
import { fail, ok } from './errors.ts';
import type { Result } from './errors.ts';
import { isRecord } from './types.ts';
import { onAbort, scope, systemClock } from './wait.ts';
import type { Clock } from './wait.ts';

export type TlsOptions = {
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
  /** Instead of a comparison with the host that is connected to. */
  readonly checkServerIdentity?: (host: string, certificate: PeerCertificate) => Error | undefined;
};

export type Identity = {
  readonly server: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: TlsOptions;
  readonly proxyUrl?: string;
  /** How the server's name becomes an address; unset: as the system resolves it. Not for what goes through a proxy. */
  readonly lookup?: LookupFunction;
  /** Changes when connections must be made anew. A hash: it says nothing about the key. */
  readonly fingerprint: string;
};

export interface Credentials {
  /** Fresh within a minute. */
  current(): Promise<Result<Identity>>;
  /** The server refused them: read everything again, the kubeconfig itself too. */
  invalidate(): void;
  /** Namespace of the current context, or of our pod. */
  namespace(): string | undefined;
}

export type KubeConfigSource =
  /** KUBECONFIG, then ~/.kube/config, then the pod's service account. */
  | { readonly from: 'Default'; readonly context?: string }
  | { readonly from: 'File'; readonly path: string; readonly context?: string }
  | { readonly from: 'Text'; readonly text: string; readonly context?: string }
  | { readonly from: 'ServiceAccount' };

/** The official KubeConfig, with the `tokenFile` of a user that it forgets (client-go prefers it to `token`). */
class FullKubeConfig extends KubeConfig {
  override loadFromString(config: string, opts?: Parameters<KubeConfig['loadFromString']>[1]): void {
    super.loadFromString(config, opts);
    const raw: unknown = parse(config);
    const users = isRecord(raw) && Array.isArray(raw['users']) ? raw['users'].filter(isRecord) : [];
    this.users = this.users.map((user) => {
      const entry = users.find((u) => u['name'] === user.name)?.['user'];
      const tokenFile = isRecord(entry) ? entry['tokenFile'] : undefined;
      if (typeof tokenFile !== 'string' || tokenFile === '') return user;
      const { token: _token, ...rest } = user;
      return { ...rest, authProvider: { name: 'tokenFile', config: { tokenFile } } };
    });
  }

  override makePathsAbsolute(rootDirectory: string): void {
    super.makePathsAbsolute(rootDirectory);
    for (const user of this.users) {
      const config: unknown = isRecord(user.authProvider) ? user.authProvider['config'] : undefined;
      if (!isRecord(config) || typeof config['tokenFile'] !== 'string' || isAbsolute(config['tokenFile'])) continue;
      Object.assign(config, { tokenFile: join(rootDirectory, config['tokenFile']) });
    }
  }
}

class NoKubeConfig extends Error {}

function load(source: KubeConfigSource): KubeConfig {
  const config = new FullKubeConfig();
  switch (source.from) {
    case 'Default':
      config.loadFromDefault();
      // Its last resort is a server that nobody meant.
      if (config.clusters[0]?.server === 'http://localhost:8080' && config.getCurrentContext() === 'loaded-context')
        throw new NoKubeConfig();
      break;
    case 'File':
      config.loadFromFile(source.path);
      break;
    case 'Text':
      config.loadFromString(source.text);
      break;
    case 'ServiceAccount':
      config.loadFromCluster();
      break;
  }
  if ('context' in source && source.context !== undefined) config.setCurrentContext(source.context);
  // The official client refuses plain HTTP (`kubectl proxy`) unless told that nothing is verified anyway.
  config.clusters = config.clusters.map((c) => (c.server.startsWith('http:') ? { ...c, skipTLSVerify: true } : c));
  return config;
}

const bytes = (value: unknown): string | Buffer | undefined =>
  typeof value === 'string' || Buffer.isBuffer(value) ? value : undefined;

function tlsOf(o: RequestOptions): TlsOptions {
  const ca = bytes(o.ca);
  const cert = bytes(o.cert);
  const key = bytes(o.key);
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(o.servername === undefined ? {} : { servername: o.servername }),
    ...(o.rejectUnauthorized === undefined ? {} : { rejectUnauthorized: o.rejectUnauthorized }),
  };
}

function headersOf(o: RequestOptions): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(o.headers ?? {}))
    // Token files end in a newline, which no header may hold.
    if (typeof value === 'string') headers[name.toLowerCase()] = value.trim();
  if (typeof o.auth === 'string') headers['authorization'] = `Basic ${Buffer.from(o.auth).toString('base64')}`;
  return headers;
}

function fingerprintOf(server: string, tls: TlsOptions, proxyUrl: string | undefined): string {
  const hash = createHash('sha256').update(JSON.stringify([server, tls.servername, tls.rejectUnauthorized, proxyUrl]));
  for (const part of [tls.ca, tls.cert, tls.key]) hash.update('\0').update(part ?? '');
  return hash.digest('hex');
}

async function identityOf(config: KubeConfig): Promise<Result<Identity>> {
  const cluster = config.getCurrentCluster();
  if (cluster === null) return fail('CredentialsFailed', 'the kubeconfig names no cluster for its current context');
  const options: RequestOptions = {};
  await config.applyToHTTPSOptions(options);
  const tls = tlsOf(options);
  return ok({
    server: new URL(cluster.server),
    headers: headersOf(options),
    tls,
    ...(cluster.proxyUrl === undefined ? {} : { proxyUrl: cluster.proxyUrl }),
    fingerprint: fingerprintOf(cluster.server, tls, cluster.proxyUrl),
  });
}

/** client-go reads token files once a minute as well; the server accepts a rotated token much longer. */
const FRESH_MS = 60_000;
/** A server that answers 401 to everything does not make us run an exec plugin for each request. */
const RELOAD_MIN_MS = 2_000;

/** An exec plugin may hang, at a prompt for instance. It is not started again while it does. */
const READ_MAX_MS = 20_000;

async function inTime(reading: Promise<Result<Identity>>): Promise<Result<Identity>> {
  const limit = scope([], READ_MAX_MS);
  const late = new Promise<Result<Identity>>((resolve) =>
    onAbort(limit.signal, () => resolve(fail('CredentialsFailed', 'the credentials plugin does not answer'))),
  );
  try {
    return await Promise.race([reading, late]);
  } finally {
    limit.dispose();
  }
}

/** Code and path only: the message of a plugin or of a YAML parser may quote what it read. */
function whyOf(thrown: unknown): string {
  if (thrown instanceof NoKubeConfig) return 'no --kubeconfig, no KUBECONFIG, no ~/.kube/config, and this is no pod';
  if (!isRecord(thrown) || typeof thrown['code'] !== 'string') return 'they do not parse, or a plugin failed';
  return typeof thrown['path'] === 'string' ? `${thrown['code']} ${thrown['path']}` : thrown['code'];
}

/**
 * The sentence for someone who has named no API server at all: no kubeconfig where one was looked for, and no pod's
 * account. Waiting would mend nothing then. Undefined where there is something, be it broken: that may be half written.
 */
export function nothingToConnect(source: KubeConfigSource): string | undefined {
  try {
    load(source);
    return undefined;
  } catch (thrown) {
    if (thrown instanceof NoKubeConfig)
      return 'no API server to speak to: no --kubeconfig, no KUBECONFIG, no ~/.kube/config, and this is no pod with a service account';
    const isMissing = isRecord(thrown) && thrown['code'] === 'ENOENT';
    return isMissing ? `the kubeconfig ${String(thrown['path'])} is not there` : undefined;
  }
}

export function kubeConfigCredentials(source: KubeConfigSource, clock: Clock = systemClock): Credentials {
  let config: KubeConfig | undefined;
  let cached: { readonly identity: Identity; readonly at: number } | undefined;
  let pending: Promise<Result<Identity>> | undefined;
  let loadedAt = -Infinity;

  const read = async (): Promise<Result<Identity>> => {
    try {
      if (config === undefined) {
        config = load(source);
        loadedAt = clock.monotonicMs();
      }
      const result = await identityOf(config);
      if (result.ok) cached = { identity: result.value, at: clock.monotonicMs() };
      return result;
    } catch (thrown) {
      config = undefined;
      const file = source.from === 'File' ? ` ${source.path}` : '';
      return fail('CredentialsFailed', `cannot read the kubeconfig${file} or its credentials (${whyOf(thrown)})`);
    }
  };
  return {
    current: () => {
      if (cached !== undefined && clock.monotonicMs() - cached.at < FRESH_MS)
        return Promise.resolve(ok(cached.identity));
      pending ??= read().finally(() => {
        pending = undefined;
      });
      return inTime(pending);
    },
    invalidate: () => {
      if (clock.monotonicMs() - loadedAt < RELOAD_MIN_MS) return;
      cached = undefined;
      config = undefined;
    },
    namespace: () => {
      try {
        config ??= load(source);
        const context = config.getContextObject(config.getCurrentContext());
        return context?.namespace === '' ? undefined : context?.namespace;
      } catch {
        return undefined;
      }
    },
  };
}
