/**
 * A cluster of one or three control-plane nodes on this machine, with everything real: etcd, kubelets, containerd, and
 * what kubeadm puts into static pods. For tests; nothing of it outlives the process that started it (lab.ts).
 *
 *   etcd, a balancer and the relay run in the lab's network at 10.77.0.1; node N has 10.77.0.1N and pods in 10.244.N.0/24.
 */
import { mkdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { binariesFor } from '../control-plane/binaries.ts';
import type { Method, Reply, RequestOptions } from '../control-plane/client.ts';
import { ServerProcess } from '../control-plane/process.ts';
import { spawnReaped } from '../control-plane/reaper.ts';
import { PINNED } from '../control-plane/versions.ts';
import { NodeApi, credentialsIn } from './api.ts';
import { operatorImage, programImage, writeImage } from './images.ts';
import type { Image } from './images.ts';
import { API_PORT, ETCD_URL, markControlPlane, uploadConfig, writeKubeadmFiles } from './kubeadm.ts';
import { BRIDGE, startLab, until, untilReady } from './lab.ts';
import type { Lab } from './lab.ts';
import { PAUSE_IMAGE } from './node-files.ts';
import type { NodeAddress } from './node-files.ts';
import { ClusterNode } from './node.ts';
import { nodeTools } from './tools.ts';
import type { ClusterVersion } from './tools.ts';

export type ClusterOptions = {
  readonly nodes: 1 | 3;
  /** Of these, how many kubeadm's phases make members; the others are machines that a test joins. All of them, if unset. */
  readonly members?: number;
  readonly version: ClusterVersion;
  /** Ends the cluster when aborted, and a start that is under way. */
  readonly signal?: AbortSignal;
  /** Where the operator's bundle and package.json are: its image is made from them. */
  readonly root: string;
};

export interface Cluster {
  /** The members. */
  readonly nodes: readonly ClusterNode[];
  /** Machines with containerd and all images, and neither kubelet nor certificates (join.ts). */
  readonly spares: readonly ClusterNode[];
  readonly lab: Lab;
  /** Of one node's own API server. */
  api(node: ClusterNode): NodeApi;
  /** Asks the servers in turn until one answers; a refused connection and a 5xx go on to the next, for a minute. */
  request(method: Method, path: string, options?: RequestOptions): Promise<Reply>;
  /** Waits until the node's own API server says that it is ready. */
  ready(node: ClusterNode, ms?: number): Promise<void>;
  /** Kills kubelet, containerd and every container of a node, and starts the node again on the same disk. */
  reboot(node: ClusterNode): Promise<void>;
  /** What kubelets and containerds said last, for a failed test. */
  words(): string;
  stop(): Promise<void>;
}

const OPERATOR_IMAGE = 'auditconfig:0.1.0';
/** Where another overlay is below, as in a container, overlayfs takes no upper folder. */
const OVERLAYFS = 0x794c7630;

const addresses = (count: number): readonly NodeAddress[] =>
  Array.from({ length: count }, (_, i) => ({
    name: `cp-${i + 1}`,
    ip: `10.77.0.1${i + 1}`,
    podSubnet: `10.244.${i + 1}.0/24`,
  }));

async function writeImages(
  lab: Lab,
  options: ClusterOptions,
  programs: { readonly apiserver: string; readonly tools: string },
): Promise<readonly string[]> {
  const { kubernetes } = PINNED[options.version];
  const component = (name: string, file: string): Image =>
    programImage(`localhost/${name}:${kubernetes}`, file, `/usr/local/bin/${name}`);
  const images = [
    programImage(PAUSE_IMAGE, join(programs.tools, 'pause'), '/pause'),
    component('kube-apiserver', programs.apiserver),
    component('kube-controller-manager', join(programs.tools, 'kube-controller-manager')),
    component('kube-scheduler', join(programs.tools, 'kube-scheduler')),
    await operatorImage(OPERATOR_IMAGE, options.root),
  ];
  const folder = join(lab.folder, 'images');
  await mkdir(folder);
  return Promise.all(
    images.map(async (image, i) => {
      const archive = join(folder, `${i}.tar`);
      await writeImage(image, archive, join(folder, `${i}`));
      return archive;
    }),
  );
}

async function startEtcd(lab: Lab, etcd: string, signal: AbortSignal): Promise<ServerProcess> {
  const peer = 'http://127.0.0.1:2380';
  const server = new ServerProcess({
    file: 'nsenter',
    args: [
      ...lab.enter,
      etcd,
      `--data-dir=${join(lab.folder, 'etcd')}`,
      '--unsafe-no-fsync',
      `--listen-client-urls=${ETCD_URL}`,
      `--advertise-client-urls=${ETCD_URL}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
      '--log-level=warn',
    ],
  });
  const ask = async (): Promise<true | undefined> => {
    if (server.exit !== undefined) throw new Error(server.lines.slice(-5).join('\n'));
    const script = `fetch('${ETCD_URL}/health').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))`;
    return (await lab.run(process.execPath, ['-e', script])).code === 0 ? true : undefined;
  };
  await until('etcd', ask, { ms: 60_000, signal });
  return server;
}

const socketOf = (lab: Lab, node: ClusterNode): string => join(lab.folder, `${node.name}.sock`);

async function startRelay(lab: Lab, nodes: readonly ClusterNode[], signal: AbortSignal): Promise<void> {
  const backends = nodes.map((n) => ({ host: n.ip, port: API_PORT }));
  const ways = {
    sockets: nodes.map((n) => ({ path: socketOf(lab, n), host: n.ip, port: API_PORT })),
    balancer: { host: BRIDGE.address, port: API_PORT, backends },
  };
  const script = join(import.meta.dirname, 'relay.mjs');
  const args = [...lab.enter, process.execPath, script, JSON.stringify(ways)];
  await untilReady(spawnReaped('nsenter', args, { stdio: ['ignore', 'pipe', 'pipe'] }), 'the relay', signal);
}

class RunningCluster implements Cluster {
  readonly nodes: readonly ClusterNode[];
  readonly spares: readonly ClusterNode[];
  readonly lab: Lab;
  readonly #apis: ReadonlyMap<ClusterNode, NodeApi>;
  readonly #signal: AbortSignal;
  readonly #end: () => Promise<void>;
  #stopping: Promise<void> | undefined;

  constructor(
    lab: Lab,
    { apis, members }: { readonly apis: ReadonlyMap<ClusterNode, NodeApi>; readonly members: number },
    ending: { readonly signal: AbortSignal; readonly end: () => Promise<void> },
  ) {
    this.lab = lab;
    this.nodes = [...apis.keys()].slice(0, members);
    this.spares = [...apis.keys()].slice(members);
    this.#apis = apis;
    this.#signal = ending.signal;
    this.#end = ending.end;
  }

  api(node: ClusterNode): NodeApi {
    const api = this.#apis.get(node);
    if (api === undefined) throw new Error(`${node.name} is not of this cluster`);
    return api;
  }

  request(method: Method, path: string, options: RequestOptions = {}): Promise<Reply> {
    const ask = async (): Promise<Reply | undefined> => {
      for (const api of this.#apis.values()) {
        const reply = await api.request(method, path, { timeoutMs: 10_000, ...options }).catch(() => undefined);
        // A server that starts knows nobody yet.
        if (reply !== undefined && reply.status < 500 && ![401, 403, 429].includes(reply.status)) return reply;
      }
      return undefined;
    };
    return until(`an answer to ${method} ${path}`, ask, { ms: 60_000, signal: this.#signal });
  }

  async ready(node: ClusterNode, ms = 120_000): Promise<void> {
    const ask = async (): Promise<true | undefined> => ((await this.api(node).isReady()) ? true : undefined);
    await until(`${node.name}'s API server is ready`, ask, { ms, signal: this.#signal }).catch((error: unknown) => {
      throw new Error(`${error instanceof Error ? error.message : String(error)}\n${node.words(40)}`);
    });
  }

  async reboot(node: ClusterNode): Promise<void> {
    await node.powerOff();
    await node.powerOn();
  }

  words(): string {
    return [...this.nodes, ...this.spares].map((n) => n.words()).join('\n');
  }

  stop(): Promise<void> {
    this.#stopping ??= (async () => {
      await Promise.all([...this.#apis.values()].map((a) => a.close()));
      await this.#end();
    })();
    return this.#stopping;
  }
}

/** kubeadm leaves these to `init` itself. */
async function bindAdmins(cluster: Cluster): Promise<void> {
  const bindings = [
    ['kubeadm:apiserver-kubelet-client', 'system:kubelet-api-admin', 'User', 'kube-apiserver-kubelet-client'],
    ['kubeadm:cluster-admins', 'cluster-admin', 'Group', 'kubeadm:cluster-admins'],
  ] as const;
  for (const [name, role, kind, subject] of bindings) {
    const body = {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind, name: subject }],
    };
    const path = '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings';
    const { status, text } = await cluster.request('POST', path, { body });
    if (status !== 201 && status !== 409) throw new Error(`ClusterRoleBinding ${name}: ${status} ${text}`);
  }
}

async function nodeIsReady(cluster: Cluster, node: ClusterNode): Promise<true | undefined> {
  const { body } = await cluster.request('GET', `/api/v1/nodes/${node.name}`);
  const conditions = (body as { status?: { conditions?: { type: string; status: string }[] } }).status?.conditions;
  return conditions?.some((c) => c.type === 'Ready' && c.status === 'True') === true ? true : undefined;
}

/** Everything up to kubelets that run static pods. */
async function assemble(options: ClusterOptions, lab: Lab, signal: AbortSignal): Promise<readonly ClusterNode[]> {
  const [{ apiserver, etcd }, tools] = await Promise.all([
    binariesFor(options.version, signal),
    nodeTools(options.version, signal),
  ]);
  const { type } = await statfs(lab.folder);
  const snapshotter = type === OVERLAYFS ? 'native' : 'overlayfs';
  const all = addresses(options.nodes);
  const nodes = all.map(
    (address) =>
      new ClusterNode({ lab, address, others: all.filter((a) => a !== address), tools, snapshotter, signal }),
  );
  const first = nodes[0];
  if (first === undefined) throw new Error('a cluster has nodes');
  const [archives] = await Promise.all([
    writeImages(lab, options, { apiserver, tools }),
    startEtcd(lab, etcd, signal),
    startRelay(lab, nodes, signal),
    ...nodes.map(async (n) => {
      await n.prepare();
      await n.boot();
    }),
  ]);
  const members = nodes.slice(0, options.members ?? nodes.length);
  for (const node of members) await writeKubeadmFiles(node, { first, kubernetes: PINNED[options.version].kubernetes });
  await Promise.all(
    nodes.map(async (node) => {
      for (const archive of archives) await node.importImage(archive);
      if (members.includes(node)) node.startKubelet();
    }),
  );
  return nodes;
}

/** A cluster whose API servers and Nodes are ready. Rejects with last words; nothing is left behind then. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const ended = new AbortController();
  const signal = options.signal === undefined ? ended.signal : AbortSignal.any([options.signal, ended.signal]);
  const lab = await startLab(signal);
  try {
    const nodes = await assemble(options, lab, signal);
    const first = nodes[0];
    if (first === undefined) throw new Error('a cluster has nodes');
    const credentials = await credentialsIn(first.file('etc/kubernetes/super-admin.conf'));
    const apis = new Map(nodes.map((n) => [n, new NodeApi(socketOf(lab, n), credentials)]));
    const members = options.members ?? nodes.length;
    const cluster = new RunningCluster(
      lab,
      { apis, members },
      {
        signal,
        end: () => {
          ended.abort(new Error('the cluster was stopped'));
          return lab.end();
        },
      },
    );
    for (const node of cluster.nodes) await cluster.ready(node, 180_000);
    await bindAdmins(cluster);
    for (const node of cluster.nodes) node.startProxy();
    for (const node of cluster.nodes) {
      await until(`Node ${node.name} is ready`, () => nodeIsReady(cluster, node), { ms: 120_000, signal });
      await markControlPlane(node);
    }
    await uploadConfig(first);
    options.signal?.addEventListener('abort', () => void cluster.stop(), { once: true });
    return cluster;
  } catch (error) {
    await lab.end();
    throw error;
  }
}
