/**
 * One control-plane node: a process tree in mount, pid, net, uts, ipc and cgroup namespaces of its own, with its own
 * root, containerd and kubelet. What runs in its pods is the kubelet's affair; this starts and kills what an init
 * system would. Used by cluster.ts, and by tests through `Cluster.nodes`.
 */
import { once } from 'node:events';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ChildProcess } from 'node:child_process';
import { ServerProcess } from '../control-plane/process.ts';
import { spawnReaped } from '../control-plane/reaper.ts';
import { run } from '../control-plane/sources/run.ts';
import type { Ran, RunOptions } from '../control-plane/sources/run.ts';
import { BRIDGE, PATH, makeCgroup, namespaceInit, until, untilReady } from './lab.ts';
import type { Lab } from './lab.ts';
import { makeNodeRoot } from './node-files.ts';
import type { NodeAddress } from './node-files.ts';

/** Enters cgroups, then becomes the program: `sh -c ENTER enter COUNT FILE... PROGRAM ARG...` */
const ENTER = 'n=$1; shift; while [ "$n" -gt 0 ]; do echo $$ >"$1"; shift; n=$((n-1)); done; exec "$@"';
const ENV = { PATH, HOME: '/root', LANG: 'C.UTF-8' };

export type NodeParts = {
  readonly lab: Lab;
  readonly address: NodeAddress;
  readonly others: readonly NodeAddress[];
  /** The folder with kubelet and kubeadm. */
  readonly tools: string;
  readonly snapshotter: string;
  readonly signal: AbortSignal;
};

export class ClusterNode {
  readonly name: string;
  readonly ip: string;
  /** The node's `/`, as this process sees it: files of the node can be read and written there. */
  readonly root: string;
  readonly #parts: NodeParts;
  #init: ChildProcess | undefined;
  #pid = 0;
  #containerd: ServerProcess | undefined;
  #kubelet: ServerProcess | undefined;
  #proxy: ServerProcess | undefined;

  constructor(parts: NodeParts) {
    this.#parts = parts;
    this.name = parts.address.name;
    this.ip = parts.address.ip;
    this.root = join(parts.lab.folder, this.name);
  }

  /** A file of the node, by its path there. */
  file(path: string): string {
    return join(this.root, path);
  }

  /** The node's /proc, as this process sees it. */
  get proc(): string {
    return `/proc/${this.#pid}/root/proc`;
  }

  get manifest(): string {
    return this.file('etc/kubernetes/manifests/kube-apiserver.yaml');
  }

  async #cgroups(): Promise<readonly string[]> {
    const { lab } = this.#parts;
    const own = lab.hierarchies.map(({ path }) => join(path, lab.cgroup, this.name));
    await run('find', [...own, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', ';']);
    return makeCgroup(lab.hierarchies, join(lab.cgroup, this.name));
  }

  /** v2 takes no processes beside child groups. */
  #homes(): readonly string[] {
    const { lab } = this.#parts;
    return lab.hierarchies.map(({ path, mount }) =>
      join(path, lab.cgroup, this.name, ...(mount === 'v2' ? ['init'] : []), 'cgroup.procs'),
    );
  }

  async prepare(): Promise<void> {
    const { address, others, snapshotter } = this.#parts;
    const hosts = [address, ...others].map((n) => `${n.ip} ${n.name}\n`).join('');
    await makeNodeRoot(this.root, address, { hosts, snapshotter });
  }

  /** Namespaces, network, containerd. The kubelet is started apart: at first there is nothing for it to run. */
  async boot(): Promise<void> {
    const { lab, tools, signal } = this.#parts;
    const cgroups = await this.#cgroups();
    const entered = cgroups.map((c) => join(c, 'cgroup.procs'));
    const unshare = ['unshare', '-m', '-p', '-n', '-u', '-i', '-C', '--fork', '--kill-child'];
    const script = join(import.meta.dirname, 'node-init.sh');
    const init = ['/bin/sh', script, this.root, this.name, tools, ...lab.hierarchies.map((h) => h.mount)];
    const command = ['nsenter', ...lab.enter, ...unshare, ...init];
    this.#init = spawnReaped('/bin/sh', ['-c', ENTER, 'enter', String(entered.length), ...entered, ...command], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: ENV,
    });
    this.#init.stdin?.on('error', () => undefined);
    await untilReady(this.#init, this.name, signal);
    this.#pid = await namespaceInit(this.#init.pid ?? 0);
    await this.#moveHome(cgroups);
    await this.#connect();
    await this.startContainerd();
  }

  async #moveHome(cgroups: readonly string[]): Promise<void> {
    for (const [i, home] of this.#homes().entries()) {
      const own = cgroups[i] ?? '';
      if (home === join(own, 'cgroup.procs')) continue;
      await mkdir(join(own, 'init'), { recursive: true });
      const pids = (await readFile(join(own, 'cgroup.procs'), 'utf8')).trim().split('\n').filter(Boolean);
      for (const pid of pids) await writeFile(home, pid);
      const controllers = (await readFile(join(own, 'cgroup.controllers'), 'utf8')).trim().split(/\s+/);
      for (const c of controllers.filter(Boolean)) await writeFile(join(own, 'cgroup.subtree_control'), `+${c}`);
    }
  }

  /** A link from the lab's bridge to this node, and ways to the pods of the others. */
  async #connect(): Promise<void> {
    const { lab, others } = this.#parts;
    const link = `to-${this.name}`;
    const outside = async (...args: string[]): Promise<void> =>
      succeeded('ip', await run('nsenter', ['-t', String(lab.pid), '-n', 'ip', ...args]));
    const inside = async (...args: string[]): Promise<void> => succeeded('ip', await this.exec('ip', args));
    await outside('link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(this.#pid));
    await outside('link', 'set', link, 'master', BRIDGE.name, 'up');
    await inside('addr', 'add', `${this.ip}/24`, 'dev', 'eth0');
    await inside('link', 'set', 'eth0', 'up');
    await inside('route', 'add', 'default', 'via', BRIDGE.address);
    for (const o of others) await inside('route', 'add', o.podSubnet, 'via', o.ip);
  }

  #command(program: string, args: readonly string[]): { readonly file: string; readonly args: readonly string[] } {
    const homes = this.#homes();
    const enter = ['nsenter', '-t', String(this.#pid), '-m', '-p', '-n', '-u', '-i', '-C', program, ...args];
    return { file: '/bin/sh', args: ['-c', ENTER, 'enter', String(homes.length), ...homes, ...enter] };
  }

  /** Runs a program on the node, to its end; any exit code is an answer. */
  exec(program: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    const command = this.#command(program, args);
    return run(command.file, command.args, { env: ENV, ...options });
  }

  /** Starts a program on the node, as its root. */
  spawn(program: string, args: readonly string[]): ServerProcess {
    return new ServerProcess({ ...this.#command(program, args), env: ENV });
  }

  async startContainerd(): Promise<void> {
    this.#containerd = this.spawn('containerd', ['--log-level', 'warn']);
    await until(
      `containerd on ${this.name}`,
      async () => ((await this.exec('ctr', ['version'])).code === 0 ? true : undefined),
      { ms: 60_000, signal: this.#parts.signal },
    );
  }

  /** Into containerd's store, from an archive on this machine. */
  async importImage(archive: string): Promise<void> {
    const inside = this.file('var/tmp/image.tar');
    await link(archive, inside);
    const snapshotter = ['--snapshotter', this.#parts.snapshotter];
    const args = ['-n', 'k8s.io', 'images', 'import', ...snapshotter, '/var/tmp/image.tar'];
    succeeded('ctr', await this.exec('ctr', args, { timeoutMs: 120_000 }));
    await rm(inside);
  }

  startKubelet(more: readonly string[] = []): void {
    this.#kubelet = this.spawn('kubelet', [
      '--config=/var/lib/kubelet/config.yaml',
      '--kubeconfig=/etc/kubernetes/kubelet.conf',
      `--hostname-override=${this.name}`,
      `--node-ip=${this.ip}`,
      '--v=2',
      ...more,
    ]);
  }

  startProxy(): void {
    this.#proxy = this.spawn('kube-proxy', ['--config=/var/lib/kube-proxy.yaml']);
  }

  killKubelet(): Promise<void> {
    return killGroup(this.#kubelet);
  }

  /** Containers go on, as below a containerd that crashed. */
  killContainerd(): Promise<void> {
    return killGroup(this.#containerd);
  }

  /**
   * As power off: every process of the node ends at once, with kubelet, containerd and all containers; mounts, /run and
   * the network go with them. What is on its disk stays.
   */
  async powerOff(): Promise<void> {
    const init = this.#init;
    if (init === undefined) return;
    const gone = once(init, 'close');
    process.kill(this.#pid, 'SIGKILL');
    await gone;
    for (const p of [this.#kubelet, this.#containerd, this.#proxy]) await p?.exited;
    this.#init = undefined;
  }

  /** Namespaces, containerd, kube-proxy and kubelet anew on the same disk. */
  async powerOn(): Promise<void> {
    await this.boot();
    this.startProxy();
    this.startKubelet();
  }

  /** Last lines of what is not in a pod. */
  words(lines = 15): string {
    const of = (name: string, p: ServerProcess | undefined): readonly string[] =>
      (p?.lines ?? []).slice(-lines).map((l) => `${this.name} ${name}: ${l}`);
    return [...of('containerd', this.#containerd), ...of('kubelet', this.#kubelet)].join('\n');
  }
}

async function killGroup(process_: ServerProcess | undefined): Promise<void> {
  // nsenter and what it became a parent of, but no shim: those have left the group.
  if (process_?.pid === undefined || process_.exit !== undefined) return;
  process.kill(-process_.pid, 'SIGKILL');
  await process_.exited;
}

/** Throws with the program's own words. */
export function succeeded(program: string, ran: Ran): void {
  if (ran.code !== 0)
    throw new Error(`${program}: ${ran.stderr.trim() || ran.stdout.trim() || `exit code ${ran.code}`}`);
}
