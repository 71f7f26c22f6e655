/**
 * A control plane of a test or of the demo: etcd and a real kube-apiserver on loopback, with RBAC, service accounts,
 * CRDs and admission policies, ready in about three seconds, in a folder of its own that plays the node's root.
 *
 * The kube-apiserver runs as `direct` child of this process, or as `manifest`: a static pod of
 * `<root>/etc/kubernetes/manifests/kube-apiserver.yaml`, run by manifest-runner.ts as a kubelet would. There is no
 * controller-manager: namespaces never finish deleting, and nothing collects what has owner references.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { binariesFor } from './binaries.ts';
import { ApiClient } from './client.ts';
import type { Method, Reply, RequestOptions } from './client.ts';
import { startEtcd } from './etcd.ts';
import { adaptedManifest, flagsOnHost } from './fixture-manifest.ts';
import { kubeadmPki } from './pki.ts';
import { freePort } from './ports.ts';
import type { ServerProcess } from './process.ts';
import { DirectRunner, StaticPodRunner } from './apiserver.ts';
import type { ApiServerRunner, ApiServerView } from './apiserver.ts';
import type { ManifestRunner } from './manifest-runner.ts';
import type { RunnerTimes } from './pod-run.ts';
import type { Exit } from './process.ts';
import { temporaryFolder } from './reaper.ts';
import type { Binaries } from './sources/types.ts';
import { PINNED } from './versions.ts';
import type { PlaneVersion } from './versions.ts';

export type PlaneOptions = {
  readonly version: PlaneVersion;
  /** Ends the plane when aborted, and a start that is under way. */
  readonly signal?: AbortSignal;
  readonly run?: 'direct' | 'manifest';
  /** Of the manifest runner; default: seconds where a kubelet takes tens of them. */
  readonly times?: Partial<RunnerTimes>;
  /** Changes the manifest before the first start; for `manifest` only. */
  readonly manifest?: (text: string) => string;
  /** More kube-apiserver flags, last so that they win; for `direct` only. `{root}` in them is the node's root. */
  readonly flags?: readonly string[];
  /** Users with a token besides `admin` (system:masters), and their groups. */
  readonly users?: Readonly<Record<string, readonly string[]>>;
  /** Files below the root, written before the first start. */
  readonly files?: Readonly<Record<string, string>>;
};

export interface ControlPlane {
  readonly version: PlaneVersion;
  readonly binaries: Binaries;
  /** `https://127.0.0.1:<port>` */
  readonly url: string;
  readonly port: number;
  /** PEM of the CA that signed the serving certificate. */
  readonly ca: string;
  readonly tokens: Readonly<Record<string, string>>;
  /** Of admin, with the CA inside. Mode 0600. */
  readonly kubeconfigPath: string;
  /** The folder that plays the node's `/`: etc/kubernetes/{manifests,pki}, var/log, var/lib. */
  readonly root: string;
  readonly manifestPath: string;
  readonly apiserver: ApiServerView;
  /** The stand-in for the kubelet; undefined in `direct`. */
  readonly runner: ManifestRunner | undefined;
  /** As admin unless `token` is given. */
  request(method: Method, path: string, options?: RequestOptions): Promise<Reply>;
  /**
   * Resolves when /readyz says ok to admin; with `since` (milliseconds since 1970), in a process that was started then
   * or later. Rejects when aborted, and when nothing runs that could become ready.
   */
  ready(signal?: AbortSignal, since?: number): Promise<void>;
  /** Signals the kube-apiserver and waits until that process is gone. In `manifest` the runner starts it again. */
  kill(signal?: NodeJS.Signals): Promise<Exit>;
  /** In `direct`: starts the kube-apiserver again after kill(). Waits until it is ready in both. */
  start(): Promise<void>;
  /** SIGTERM, SIGKILL after five seconds, start, ready. */
  restart(): Promise<void>;
  /** Everything that both servers said last. */
  logs(): string;
  /** Ends all processes and removes the root. Twice is fine. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A token file line: token,user,uid,"group,group". */
const tokenLine = (token: string, user: string, groups: readonly string[]): string =>
  `${token},${user},uid-${user},"${groups.join(',')}"\n`;

const kubeconfigFor = (url: string, ca: string, token: string): string =>
  JSON.stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'plane',
      contexts: [{ name: 'plane', context: { cluster: 'plane', user: 'admin' } }],
      clusters: [
        { name: 'plane', cluster: { server: url, 'certificate-authority-data': Buffer.from(ca).toString('base64') } },
      ],
      users: [{ name: 'admin', user: { token } }],
    },
    null,
    2,
  );

async function writeBelow(root: string, files: Iterable<readonly [string, string]>): Promise<void> {
  for (const [path, content] of files) {
    const full = join(root, path);
    await mkdir(dirname(full), { recursive: true });
    await writeFile(full, content, { mode: /\.(key|csv|conf)$/.test(path) ? 0o600 : 0o644 });
  }
}

/**
 * A control plane that is ready. Rejects when the binaries cannot be had, when a server ends before it is ready (with
 * its last words), or when aborted; nothing is left behind then.
 */
export async function startControlPlane(options: PlaneOptions): Promise<ControlPlane> {
  const ended = new AbortController();
  const signal = options.signal === undefined ? ended.signal : AbortSignal.any([options.signal, ended.signal]);
  const binaries = await binariesFor(options.version, signal);
  const folder = temporaryFolder('auditconfig-plane');
  const root = folder.path;
  const [port, etcdPort, peerPort] = [await freePort(), await freePort(), await freePort()];
  const url = `https://127.0.0.1:${port}`;
  const users = { admin: ['system:masters'], ...options.users };
  const tokens = Object.fromEntries(Object.keys(users).map((u) => [u, randomBytes(16).toString('hex')]));
  const pki = kubeadmPki(['localhost', '127.0.0.1']);
  const manifest = await adaptedManifest({ port, etcdPort, kubernetes: PINNED[options.version].kubernetes });
  const edited = options.manifest?.(manifest) ?? manifest;
  const adminToken = tokens['admin'] ?? '';

  await writeBelow(root, [
    ...[...pki.files].map(([path, content]) => [`etc/kubernetes/pki/${path}`, content] as const),
    [
      'etc/kubernetes/pki/tokens.csv',
      Object.entries(users)
        .map(([u, g]) => tokenLine(tokens[u] ?? '', u, g))
        .join(''),
    ],
    ['etc/kubernetes/admin.conf', kubeconfigFor(url, pki.ca.cert, adminToken)],
    ...Object.entries(options.files ?? {}),
  ]);
  for (const d of ['etc/kubernetes/manifests', 'var/log', 'var/lib']) await mkdir(join(root, d), { recursive: true });

  const flags = [...flagsOnHost(manifest, root), ...(options.flags ?? []).map((f) => f.replaceAll('{root}', root))];
  const client = new ApiClient(url, pki.ca.cert, adminToken);
  const runner: ApiServerRunner =
    options.run === 'manifest'
      ? new StaticPodRunner({ root, apiserver: binaries.apiserver, times: options.times, manifest: edited })
      : new DirectRunner(binaries.apiserver, flags);
  let etcd: ServerProcess | undefined;
  let stopping: Promise<void> | undefined;

  const stop = (): Promise<void> => {
    stopping ??= (async () => {
      ended.abort();
      await Promise.all([runner.stop(), etcd?.end(0), client.close()]);
      await folder.remove();
    })();
    return stopping;
  };
  const isReady = async (since: number): Promise<boolean> => {
    const { pid, running, lines, startedAt } = runner.view;
    if (!running && !runner.restarts) throw new Error(`the kube-apiserver ended:\n${lines.slice(-5).join('\n')}`);
    if (!running || startedAt < since) return false;
    const reply = await client.request('GET', '/readyz', { timeoutMs: 2_000 }).catch(() => undefined);
    // The process that answered is the one that was looked at.
    return reply?.status === 200 && runner.view.pid === pid;
  };
  const ready = async (waits?: AbortSignal, since = 0): Promise<void> => {
    const either = waits === undefined ? signal : AbortSignal.any([waits, signal]);
    for (;;) {
      either.throwIfAborted();
      if (await isReady(since)) return;
      await sleep(50, undefined, { signal: either }).catch(() => undefined);
    }
  };
  const plane: ControlPlane = {
    version: options.version,
    binaries,
    url,
    port,
    ca: pki.ca.cert,
    tokens,
    kubeconfigPath: join(root, 'etc/kubernetes/admin.conf'),
    root,
    manifestPath: join(root, 'etc/kubernetes/manifests/kube-apiserver.yaml'),
    get apiserver() {
      return runner.view;
    },
    request: (method, path, request) => client.request(method, path, request),
    ready,
    kill: (name = 'SIGKILL') => runner.kill(name),
    start: async () => {
      await runner.start();
      await ready();
    },
    runner: runner instanceof StaticPodRunner ? runner.kubelet : undefined,
    restart: async () => {
      const impatient = setTimeout(() => void runner.kill('SIGKILL'), 5_000);
      await runner.kill('SIGTERM').finally(() => clearTimeout(impatient));
      await runner.start();
      await ready();
    },
    logs: () => [...(etcd?.lines ?? []), ...runner.view.lines].join('\n'),
    stop,
    [Symbol.asyncDispose]: stop,
  };
  options.signal?.addEventListener('abort', () => void stop(), { once: true });
  try {
    etcd = await startEtcd({ file: binaries.etcd, root, port: etcdPort, peerPort, signal });
    await plane.start();
    return plane;
  } catch (error) {
    await stop();
    throw error;
  }
}
