/**
 * One control-plane node of a lab: a real kube-apiserver as a static pod, small disks, and the bundle's agent with the
 * credentials of its own Node, which reaches the API through a network of its own. Made by lab.ts.
 */
import { readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { realDisk } from '../../src/host/disk.ts';
import { readDrift, writeDrift } from '../../src/node/drift-file.ts';
import { readState } from '../../src/node/state-file.ts';
import type { StateFile } from '../../src/node/state-file.ts';
import { DEFAULT_LAYOUT } from '../../src/targets/host-layout.ts';
import { APISERVER_POD } from '../control-plane/apiserver.ts';
import type { ControlPlane, PlaneOptions } from '../control-plane/plane.ts';
import { ServerProcess } from '../control-plane/process.ts';
import { ROOT } from '../operator/install.ts';
import type { Disks } from './disks.ts';
import type { Relay } from './relay.ts';

export const GUARD_IMAGE = 'auditconfig:campaign';
export const GUARD_POD = 'kube-system/auditconfig-guard';
export const LOG = '/var/log/kube-audit/audit.log';
const BUNDLE = join(ROOT, 'dist/auditconfig.js');

/** The guard's pod as a process: its own arguments, with the node's folders where they are on this machine. */
export const guardProgram: NonNullable<PlaneOptions['pods']> = (container, root) => {
  if (container.image !== GUARD_IMAGE) return undefined;
  const args = container.argv.map((a) => (a === '--root=/host' ? `--root=${root}` : a));
  const words = [process.execPath, BUNDLE, ...args, `--proc=${root}/proc`];
  return { file: '/bin/sh', args: ['-c', `exec ${words.map((w) => `'${w}'`).join(' ')}`] };
};

export type NodeParts = {
  readonly name: string;
  readonly plane: ControlPlane;
  readonly disks: Disks;
  readonly relay: Relay;
  /** Of the agent. */
  readonly kubeconfig: string;
  /** The manifest as kubeadm wrote it, before there was any auditing. */
  readonly original: string;
};

export class LabNode {
  readonly name: string;
  readonly plane: ControlPlane;
  readonly disks: Disks;
  readonly relay: Relay;
  readonly kubeconfig: string;
  readonly original: string;
  agent: ServerProcess | undefined;

  constructor(parts: NodeParts) {
    this.name = parts.name;
    this.plane = parts.plane;
    this.disks = parts.disks;
    this.relay = parts.relay;
    this.kubeconfig = parts.kubeconfig;
    this.original = parts.original;
  }

  /** Where a path of the node is on this machine. */
  at(path: string): string {
    return join(this.plane.root, path);
  }
  manifest(): Promise<string> {
    return readFile(this.plane.manifestPath, 'utf8');
  }
  /** As an editor or Ansible writes: a new file, renamed over. */
  async writeManifest(text: string): Promise<void> {
    const staged = `${this.at('/etc/kubernetes/manifests')}/.${randomUUID()}`;
    await writeFile(staged, text, { mode: 0o600 });
    await rename(staged, this.plane.manifestPath);
  }
  async removeManifest(): Promise<void> {
    await rm(this.plane.manifestPath);
  }
  /** What the kubelet sees in its folder. */
  async definitions(): Promise<readonly string[]> {
    return (await readdir(this.at('/etc/kubernetes/manifests'))).filter((n) => !n.startsWith('.')).sort();
  }
  /** null: there is one that cannot be read. */
  state(): Promise<StateFile | null> {
    return readState(realDisk(this.plane.root), DEFAULT_LAYOUT.stateDir);
  }
  /** Where the running manifest says that the policy is, on this machine. */
  async policyFile(): Promise<string> {
    const [, path = ''] = /--audit-policy-file=(\S+?)"?$/m.exec(await this.manifest()) ?? [];
    if (path === '') throw new Error('the manifest names no policy');
    return this.at(path);
  }

  startAgent(): ServerProcess {
    return (this.agent = this.spareAgent());
  }
  /** Another one, which nobody keeps. */
  spareAgent(): ServerProcess {
    const { root } = this.plane;
    const where = ['--kubeconfig', this.kubeconfig, '--root', root, '--proc', join(root, 'proc'), '--port', '0'];
    const how = ['--guard-image', GUARD_IMAGE, '--proof-interval', '10', '--quiet-seconds', '3'];
    return new ServerProcess({
      file: process.execPath,
      args: [BUNDLE, 'agent', '--node-name', this.name, ...where, ...how],
    });
  }
  get apiServerProcess(): ServerProcess | undefined {
    return this.plane.runner?.process(APISERVER_POD);
  }
  /** For the memory of drift: three corrections within an hour would be a fight, and other rows' do not count. */
  async anHourPasses(): Promise<void> {
    const disk = realDisk(this.plane.root);
    const memory = await readDrift(disk, DEFAULT_LAYOUT.stateDir);
    await writeDrift(disk, DEFAULT_LAYOUT.stateDir, { ...memory, corrections: [] });
  }
  killGuard(): void {
    this.plane.runner?.process(GUARD_POD)?.signal('SIGKILL');
  }
  get agentRuns(): boolean {
    return this.agent !== undefined && this.agent.exit === undefined;
  }
  async killAgent(): Promise<void> {
    this.agent?.signal('SIGKILL');
    await this.agent?.exited;
  }

  /**
   * Power off and on: agent, API server and guard are gone at once, and it is another boot. The kubelet's stand-in then
   * starts static pods and nothing else: the caller starts the agent when there is an API again.
   */
  async reboot(): Promise<void> {
    this.killGuard();
    const apiserver = this.plane.apiserver.running ? this.plane.kill('SIGKILL') : Promise.resolve();
    await Promise.all([this.killAgent(), apiserver]);
    const boot = this.at('/proc/sys/kernel/random/boot_id');
    await rm(boot);
    await writeFile(boot, `${randomUUID()}\n`);
  }

  /** Whether a request that its API server answers is in its log, now. */
  async isAudited(): Promise<boolean> {
    const mark = `campaign-${randomUUID()}`;
    const path = `/api/v1/namespaces/default/configmaps/${mark}`;
    const asked = await this.plane.request('GET', path, { timeoutMs: 5_000 }).catch(() => undefined);
    if (asked?.status !== 404) return false;
    // Written before the answer is sent: the log's mode is blocking.
    return (await readFile(this.at(LOG), 'utf8').catch(() => '')).includes(mark);
  }
}
