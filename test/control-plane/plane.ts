/**
 * A control plane of a test or of the demo: etcd and a real kube-apiserver on loopback, with RBAC, service accounts,
 * CRDs and admission policies, ready in about three seconds, in a folder of its own that plays the node's root.
 *
 * The kube-apiserver runs as `direct` child of this process, or as `manifest`: a static pod of
 * `<root>/etc/kubernetes/manifests/kube-apiserver.yaml`, run by manifest-runner.ts as a kubelet would. There is no
 * controller-manager: namespaces never finish deleting, and nothing collects what has owner references.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { binariesFor } from './binaries.ts';
import { ApiClient } from './client.ts';
import type { Method, Reply, RequestOptions } from './client.ts';
import { startEtcd } from './etcd.ts';
import type { Etcd } from './etcd.ts';
import { adaptedManifest, flagsOnHost } from './fixture-manifest.ts';
import { HOSTS, writeNodeFiles } from './node-files.ts';
import type { Founder, NodeFiles } from './node-files.ts';
import { freePort } from './ports.ts';
import { DirectRunner, StaticPodRunner } from './apiserver.ts';
import type { ApiServerRunner, ApiServerView } from './apiserver.ts';
import type { ManifestRunner } from './manifest-runner.ts';
import type { Resolve, RunnerTimes } from './pod-run.ts';
import type { Container } from './static-pod.ts';
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
  /** For `manifest`: the program of any other static pod's container, and the folder that plays the node's `/`. */
  readonly pods?: (container: Container, root: string) => ReturnType<Resolve>;
  /** Changes the manifest before the first start; for `direct` its flags. */
  readonly manifest?: (text: string) => string;
  /** More kube-apiserver flags, last so that they win; for `direct` only. `{root}` in them is the node's root. */
  readonly flags?: readonly string[];
  /** Users with a token besides `admin` (system:masters), and their groups. */
  readonly users?: Readonly<Record<string, readonly string[]>>;
  /** Files below the root, written before the first start. */
  readonly files?: Readonly<Record<string, string>>;
  /** Another API server of this control plane: on its etcd, with its keys and users, in a root of its own. Stop it first. */
  readonly join?: ControlPlane;
  /** One of HOSTS; default: the first. */
  readonly host?: (typeof HOSTS)[number];
  /** Called when the root's folders are there, before anything runs from them. */
  readonly onRoot?: (root: string) => Promise<void>;
  /** Called when nothing runs from them any more, and before they are removed. */
  readonly onEnd?: (root: string) => Promise<void>;
};

export interface ControlPlane {
  readonly version: PlaneVersion;
  readonly binaries: Binaries;
  /** `https://<host>:<port>` */
  readonly url: string;
  /** 127.0.0.1, or for an API server that joined another address of this machine; the port is the same. */
  readonly host: string;
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
  /** Shared by the API servers that joined. */
  readonly etcd: Etcd;
  readonly etcdPort: number;
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

type Parts = {
  readonly version: PlaneVersion;
  readonly binaries: Binaries;
  readonly host: string;
  readonly folder: ReturnType<typeof temporaryFolder>;
  readonly port: number;
  readonly node: NodeFiles;
  readonly etcd: Etcd;
  readonly etcdPort: number;
  /** It founded the control plane: etcd ends with it. */
  readonly ownsEtcd: boolean;
  readonly apiserver: ApiServerRunner;
  /** Ends its waits: the caller's, and the plane's own end. */
  readonly signal: AbortSignal;
  readonly end: () => void;
};

class Plane implements ControlPlane {
  readonly version: PlaneVersion;
  readonly binaries: Binaries;
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly ca: string;
  readonly tokens: Readonly<Record<string, string>>;
  readonly kubeconfigPath: string;
  readonly root: string;
  readonly manifestPath: string;
  readonly etcd: Etcd;
  readonly etcdPort: number;
  readonly runner: ManifestRunner | undefined;
  readonly #parts: Parts;
  readonly #client: ApiClient;
  #stopping: Promise<void> | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.version = parts.version;
    this.binaries = parts.binaries;
    this.host = parts.host;
    this.port = parts.port;
    this.url = `https://${parts.host}:${parts.port}`;
    this.ca = parts.node.ca;
    this.tokens = parts.node.tokens;
    this.kubeconfigPath = parts.node.kubeconfigPath;
    this.root = parts.folder.path;
    this.manifestPath = join(this.root, 'etc/kubernetes/manifests/kube-apiserver.yaml');
    this.etcd = parts.etcd;
    this.etcdPort = parts.etcdPort;
    this.runner = parts.apiserver instanceof StaticPodRunner ? parts.apiserver.kubelet : undefined;
    this.#client = new ApiClient(this.url, parts.node.ca, parts.node.adminToken);
  }

  get apiserver(): ApiServerView {
    return this.#parts.apiserver.view;
  }

  request(method: Method, path: string, options?: RequestOptions): Promise<Reply> {
    return this.#client.request(method, path, options);
  }

  async ready(signal?: AbortSignal, since = 0): Promise<void> {
    const either = signal === undefined ? this.#parts.signal : AbortSignal.any([signal, this.#parts.signal]);
    for (;;) {
      either.throwIfAborted();
      if (await this.#isReady(since)) return;
      await sleep(50, undefined, { signal: either }).catch(() => undefined);
    }
  }

  async #isReady(since: number): Promise<boolean> {
    const { pid, running, lines, startedAt } = this.apiserver;
    if (!running && !this.#parts.apiserver.restarts)
      throw new Error(`the kube-apiserver ended:\n${lines.slice(-5).join('\n')}`);
    if (!running || startedAt < since) return false;
    const reply = await this.request('GET', '/readyz', { timeoutMs: 2_000 }).catch(() => undefined);
    // The process that answered is the one that was looked at.
    return reply?.status === 200 && this.apiserver.pid === pid;
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<Exit> {
    return this.#parts.apiserver.kill(signal);
  }

  async start(): Promise<void> {
    await this.#parts.apiserver.start();
    await this.ready();
  }

  async restart(): Promise<void> {
    const impatient = setTimeout(() => void this.kill('SIGKILL'), 5_000);
    await this.kill('SIGTERM').finally(() => clearTimeout(impatient));
    await this.start();
  }

  logs(): string {
    return [...this.#parts.etcd.lines, ...this.apiserver.lines].join('\n');
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#parts.end();
    const { apiserver, etcd, ownsEtcd } = this.#parts;
    await Promise.all([apiserver.stop(), ...(ownsEtcd ? [etcd.end(0)] : []), this.#client.close()]);
    await this.#parts.folder.remove();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** Everything but a kube-apiserver that runs. */
async function prepare(
  options: PlaneOptions,
  root: string,
  signal: AbortSignal,
): Promise<Omit<Parts, 'folder' | 'end'>> {
  const { version, join: first } = options;
  const binaries = await binariesFor(version, signal);
  const host = options.host ?? HOSTS[0];
  const port = first?.port ?? (await freePort());
  const etcdPort = first?.etcdPort ?? (await freePort());
  const url = `https://${host}:${port}`;
  const files = { url, users: options.users ?? {}, files: options.files ?? {} };
  const node = await writeNodeFiles(root, { ...files, ...(first === undefined ? {} : { join: founderOf(first) }) });
  await options.onRoot?.(root);
  const text = await adaptedManifest({ host, port, etcdPort, kubernetes: PINNED[version].kubernetes });
  const manifest = options.manifest?.(text) ?? text;
  const flags = [...flagsOnHost(manifest, root), ...(options.flags ?? []).map((f) => f.replaceAll('{root}', root))];
  const apiserver =
    options.run === 'manifest'
      ? new StaticPodRunner({ root, apiserver: binaries.apiserver, times: options.times, manifest, pods: options.pods })
      : new DirectRunner(binaries.apiserver, flags);
  const own = async (): Promise<Etcd> =>
    startEtcd({ file: binaries.etcd, root, port: etcdPort, peerPort: await freePort(), signal });
  const etcd = first?.etcd ?? (await own());
  return { version, binaries, host, port, node, etcd, etcdPort, ownsEtcd: first === undefined, apiserver, signal };
}

const founderOf = ({ root, ca, tokens }: ControlPlane): Founder => ({
  root,
  ca,
  tokens,
  adminToken: tokens['admin'] ?? '',
});

/**
 * A control plane that is ready. Rejects when the binaries cannot be had, when a server ends before it is ready (with
 * its last words), or when aborted; nothing is left behind then.
 */
export async function startControlPlane(options: PlaneOptions): Promise<ControlPlane> {
  const ended = new AbortController();
  const signal = options.signal === undefined ? ended.signal : AbortSignal.any([options.signal, ended.signal]);
  const made = temporaryFolder('auditconfig-plane');
  const remove = async (): Promise<void> => {
    await options.onEnd?.(made.path);
    await made.remove();
  };
  const folder = { path: made.path, remove };
  let plane: Plane;
  try {
    const parts = await prepare(options, folder.path, signal);
    plane = new Plane({ ...parts, folder, end: () => ended.abort(new Error('the control plane was stopped')) });
  } catch (error) {
    await folder.remove();
    throw error;
  }
  try {
    await plane.start();
  } catch (error) {
    await plane.stop();
    throw error;
  }
  options.signal?.addEventListener('abort', () => void plane.stop(), { once: true, signal: ended.signal });
  return plane;
}

/** Several API servers of one control plane, the first with its etcd; stopped together. */
export async function startControlPlanes(
  count: number,
  options: Omit<PlaneOptions, 'join' | 'host'>,
): Promise<readonly ControlPlane[]> {
  const first = await startControlPlane(options);
  const planes = [first];
  try {
    for (const host of HOSTS.slice(1, count)) planes.push(await startControlPlane({ ...options, join: first, host }));
  } catch (error) {
    await stopControlPlanes(planes);
    throw error;
  }
  return planes;
}

/** Those that joined first. */
export async function stopControlPlanes(planes: readonly ControlPlane[]): Promise<void> {
  await Promise.all(planes.slice(1).map((p) => p.stop()));
  await planes[0]?.stop();
}
