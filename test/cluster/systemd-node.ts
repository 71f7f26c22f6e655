/**
 * A node on which Debian's own systemd is PID 1, in namespaces and cgroups of its own, and nothing of Kubernetes runs but
 * what a test puts into units. For kube-apiserver as a service, and an agent as another. Its end is the lab's (lab.ts).
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { spawnReaped } from '../control-plane/reaper.ts';
import { run } from '../control-plane/sources/run.ts';
import type { Ran, RunOptions } from '../control-plane/sources/run.ts';
import { BRIDGE, PATH, makeCgroup, namespaceInit, until, untilReady } from './lab.ts';
import type { Lab } from './lab.ts';
import { makeNodeRoot } from './node-files.ts';

const ENTER = 'n=$1; shift; while [ "$n" -gt 0 ]; do echo $$ >"$1"; shift; n=$((n-1)); done; exec "$@"';
const ENV = { PATH, HOME: '/root', LANG: 'C.UTF-8' };
const ADDRESS = { name: 'host-1', ip: '10.77.0.21', podSubnet: '10.244.21.0/24' };

/** What belongs to the machine, or wants a device that is not there. */
const MASKED = [
  'systemd-udevd.service systemd-udev-trigger.service systemd-logind.service systemd-timesyncd.service',
  'systemd-networkd.service systemd-resolved.service systemd-hwdb-update.service systemd-modules-load.service',
  'systemd-sysctl.service systemd-binfmt.service systemd-remount-fs.service systemd-random-seed.service',
  'getty.target dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount tmp.mount',
  'apt-daily.timer apt-daily-upgrade.timer fstrim.timer e2scrub_all.timer',
]
  .join(' ')
  .split(' ');

const NODE_TARGET = `[Unit]
Description=What this node is for
Requires=basic.target
After=basic.target
AllowIsolate=yes
`;

export type SystemdNodeParts = {
  readonly lab: Lab;
  /** Programs that the node gets in /opt/bin, by name. */
  readonly programs: Readonly<Record<string, string>>;
  /** The folder of the bundle, which it gets as /opt/auditconfig/dist. */
  readonly dist: string;
  readonly signal: AbortSignal;
};

export class SystemdNode {
  readonly root: string;
  readonly ip = ADDRESS.ip;
  readonly #parts: SystemdNodeParts;
  #init: ChildProcess | undefined;
  #pid = 0;

  constructor(parts: SystemdNodeParts) {
    this.#parts = parts;
    this.root = join(parts.lab.folder, ADDRESS.name);
  }

  /** A file of the node, as this process sees it. */
  file(path: string): string {
    return join(this.root, path);
  }

  /** The node's /proc, as this process sees it. */
  get proc(): string {
    return `/proc/${this.#pid}/root/proc`;
  }

  read(path: string): Promise<string> {
    return readFile(this.file(path), 'utf8');
  }

  async write(path: string, text: string): Promise<void> {
    await mkdir(dirname(this.file(path)), { recursive: true });
    await writeFile(this.file(path), text);
  }

  /** Has units start with the node. */
  async enable(...units: readonly string[]): Promise<void> {
    const wants = this.file('etc/systemd/system/node.target.wants');
    await mkdir(wants, { recursive: true });
    for (const unit of units) await symlink(`../${unit}`, join(wants, unit));
  }

  /** A program of the node, as a script. */
  async command(name: string, script: string): Promise<void> {
    await writeFile(this.file(`opt/bin/${name}`), script, { mode: 0o755 });
  }

  /** The disk, before the first boot. */
  async prepare(): Promise<void> {
    const { programs, dist } = this.#parts;
    await makeNodeRoot(this.root, ADDRESS, { hosts: `${ADDRESS.ip} ${ADDRESS.name}\n`, snapshotter: 'native' });
    const units = this.file('etc/systemd/system');
    for (const folder of [units, this.file('opt/bin'), this.file('opt/auditconfig'), this.file('var/log/journal')])
      await mkdir(folder, { recursive: true });
    for (const unit of MASKED) await symlink('/dev/null', join(units, unit));
    await writeFile(join(units, 'node.target'), NODE_TARGET);
    for (const [name, path] of Object.entries(programs)) await copyFile(path, this.file(`opt/bin/${name}`));
    await cp(dist, this.file('opt/auditconfig/dist'), { recursive: true });
  }

  async boot(): Promise<void> {
    const { lab, signal } = this.#parts;
    const own = lab.hierarchies.map(({ path }) => join(path, lab.cgroup, ADDRESS.name));
    await run('find', [...own, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', ';']);
    const cgroups = await makeCgroup(lab.hierarchies, join(lab.cgroup, ADDRESS.name));
    const entered = cgroups.map((c) => join(c, 'cgroup.procs'));
    const unshare = ['unshare', '-m', '-p', '-n', '-u', '-i', '-C', '--fork', '--kill-child'];
    const script = join(import.meta.dirname, 'node-init.sh');
    const mounts = lab.hierarchies.map((h) => h.mount);
    const init = ['/bin/sh', script, this.root, ADDRESS.name, this.file('opt/bin'), ...mounts];
    const command = ['nsenter', ...lab.enter, ...unshare, ...init];
    this.#init = spawnReaped('/bin/sh', ['-c', ENTER, 'enter', String(entered.length), ...entered, ...command], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...ENV, NODE_INIT: 'systemd' },
    });
    this.#init.stdin?.on('error', () => undefined);
    await untilReady(this.#init, ADDRESS.name, signal);
    this.#pid = await namespaceInit(this.#init.pid ?? 0);
    await this.#connect();
    const asked = async (): Promise<true | undefined> => {
      const { stdout } = await this.exec('systemctl', ['is-active', 'node.target']);
      return stdout.trim() === 'active' ? true : undefined;
    };
    await until(`systemd on ${ADDRESS.name}`, asked, { ms: 60_000, signal });
  }

  /** A link from the lab's bridge to this node. */
  async #connect(): Promise<void> {
    const { lab } = this.#parts;
    const link = `to-${ADDRESS.name}`;
    const outside = (...args: string[]): Promise<Ran> => run('nsenter', ['-t', String(lab.pid), '-n', 'ip', ...args]);
    await outside('link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(this.#pid));
    await outside('link', 'set', link, 'master', BRIDGE.name, 'up');
    await this.exec('ip', ['addr', 'add', `${this.ip}/24`, 'dev', 'eth0']);
    await this.exec('ip', ['link', 'set', 'eth0', 'up']);
  }

  /** Runs a program on the node, to its end; any exit code is an answer. */
  exec(program: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    const enter = ['-t', String(this.#pid), '-m', '-p', '-n', '-u', '-i', '-C', program, ...args];
    return run('nsenter', enter, { env: ENV, timeoutMs: 120_000, ...options });
  }

  /** Throws with what systemctl says. */
  async systemctl(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.exec('systemctl', args);
    if (code !== 0) throw new Error(`systemctl ${args.join(' ')}: ${stderr.trim() || stdout.trim()}`);
    return stdout.trim();
  }

  async journal(unit: string): Promise<string> {
    return (await this.exec('journalctl', ['-u', unit, '--no-pager', '-o', 'cat', '-n', '200'])).stdout;
  }

  /** As power off: every process of the node ends at once. */
  async powerOff(): Promise<void> {
    const init = this.#init;
    if (init === undefined) return;
    const gone = once(init, 'close');
    process.kill(this.#pid, 'SIGKILL');
    await gone;
    this.#init = undefined;
  }
}
