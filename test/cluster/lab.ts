/**
 * The place where a cluster of a test runs: one set of namespaces around everything, and one folder. Nodes have their
 * own inside of it. So nothing is in the machine's own network, mount table or process tree, and all of it ends with
 * one process: the lab's PID 1, which reads from a pipe of ours and ends when that closes. The kernel then takes the
 * processes, mounts, bridges and network links; a shell that waits for the same takes folder and cgroups. Both happen
 * too when this process is killed.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { spawnReaped, temporaryFolder } from '../control-plane/reaper.ts';
import { run } from '../control-plane/sources/run.ts';
import type { Ran, RunOptions } from '../control-plane/sources/run.ts';
import { cgroupHierarchies } from './machine.ts';
import type { Hierarchy } from './machine.ts';

export const BRIDGE = { name: 'nodes', address: '10.77.0.1' } as const;
/** What a root process finds its programs with. */
export const PATH = '/opt/kube:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

const INIT = `
set -e
mount -t proc proc /proc
ip link set lo up
ip link add ${BRIDGE.name} type bridge
ip addr add ${BRIDGE.address}/24 dev ${BRIDGE.name}
ip link set ${BRIDGE.name} up
echo 1 >/proc/sys/net/ipv4/ip_forward
echo ready
cat >/dev/null
`;

/** Waits for the end of its input, then for the end of the lab's processes: a cgroup can be removed when it is empty. */
const SWEEP = `
inotify=$1 folder=$2; shift 2
trap '' INT TERM HUP
cat >/dev/null
for try in $(seq 100); do
  left=
  for c; do
    [ -d "$c" ] || continue
    find "$c" -depth -type d -exec rmdir {} \\; 2>/dev/null
    if [ -d "$c" ]; then left=yes; fi
  done
  [ -z "$left" ] && break
  sleep 0.2
done
# Another cluster may still need it.
others=$(ls -d "$(dirname "$1")"/auditconfig-* 2>/dev/null)
[ "$inotify" = - ] || [ -n "$others" ] || echo "$inotify" >/proc/sys/fs/inotify/max_user_instances
# A test that was killed may have left an immutable file.
rm -rf "$folder" 2>/dev/null || { chattr -R -i "$folder" 2>/dev/null; rm -rf "$folder"; }
`;

const INOTIFY = '/proc/sys/fs/inotify/max_user_instances';
/** Three kubelets, three containerds and what is in their pods watch more files than the 128 of most machines allow. */
const INOTIFY_INSTANCES = 1024;

/** Raises the limit and gives what it was; `-` where it was high enough. It has no namespace, so it is given back. */
async function raiseInotify(): Promise<string> {
  const was = (await readFile(INOTIFY, 'utf8')).trim();
  if (Number(was) >= INOTIFY_INSTANCES) return '-';
  await writeFile(INOTIFY, String(INOTIFY_INSTANCES));
  return was;
}

export interface Lab {
  /** On the machine's own disk, readable from outside. */
  readonly folder: string;
  /** The name of its cgroup in every hierarchy. */
  readonly cgroup: string;
  readonly hierarchies: readonly Hierarchy[];
  /** Arguments of nsenter that lead into the lab. */
  readonly enter: readonly string[];
  /** Of the lab's PID 1, as this process sees it. */
  readonly pid: number;
  /** Runs a program in the lab's namespaces, to its end. */
  run(program: string, args: readonly string[], options?: RunOptions): Promise<Ran>;
  end(): Promise<void>;
}

/** Waits for a child's `ready`; throws with what it said where it ends instead. */
export async function untilReady(child: ChildProcess, what: string, signal: AbortSignal): Promise<void> {
  let said = '';
  const ready = new Promise<void>((resolve, reject) => {
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (said += chunk));
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      said += chunk;
      if (/^ready$/m.test(said)) resolve();
    });
    child.once('error', reject);
    child.once('close', (code) => reject(new Error(`${what} ended with ${code}: ${said.trim()}`)));
    signal.addEventListener('abort', () => reject(new Error(`${what} was aborted`)), { once: true });
  });
  await ready;
}

type Stat = { readonly pid: number; readonly parent: number };

async function processes(): Promise<readonly Stat[]> {
  const pids = (await readdir('/proc')).filter((n) => /^\d+$/.test(n));
  const stats = await Promise.all(
    pids.map(async (pid) => {
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
      // Behind the last `)`: state and parent.
      return { pid: Number(pid), parent: Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) };
    }),
  );
  return stats;
}

/** The process below `pid` that is PID 1 of its namespace. */
export async function namespaceInit(pid: number): Promise<number> {
  const all = await processes();
  const below = [pid];
  for (const at of below) {
    const status = await readFile(`/proc/${at}/status`, 'utf8').catch(() => '');
    const pids = /^NSpid:\s*(.*)$/m.exec(status)?.[1]?.split(/\s+/) ?? [];
    if (at !== pid && pids.length > 1 && pids.at(-1) === '1') return at;
    below.push(...all.filter((p) => p.parent === at).map((p) => p.pid));
  }
  throw new Error(`no process below ${pid} is the first of a namespace`);
}

/** The lab's cgroup in every hierarchy. v1's cpuset takes no process before it has CPUs and memory nodes. */
export async function makeCgroup(hierarchies: readonly Hierarchy[], name: string): Promise<readonly string[]> {
  const folders = hierarchies.map(({ path }) => join(path, name));
  for (const folder of folders) {
    await mkdir(folder);
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      const inherited = await readFile(join(folder, '..', file), 'utf8').catch(() => '');
      if (inherited.trim() !== '') await writeFile(join(folder, file), inherited);
    }
    const controllers = await readFile(join(folder, 'cgroup.controllers'), 'utf8').catch(() => '');
    // v2: its children may use what it may use.
    const wanted = controllers.trim().split(/\s+/).filter(Boolean);
    for (const c of wanted) await writeFile(join(folder, 'cgroup.subtree_control'), `+${c}`).catch(() => undefined);
  }
  return folders;
}

export async function startLab(signal: AbortSignal): Promise<Lab> {
  const folder = temporaryFolder('auditconfig-cluster');
  const hierarchies = await cgroupHierarchies();
  const cgroup = `auditconfig-${randomBytes(4).toString('hex')}`;
  const inotify = await raiseInotify();
  const cgroups = hierarchies.map(({ path }) => join(path, cgroup));
  const sweep = spawn('/bin/sh', ['-c', SWEEP, 'sweep', inotify, folder.path, ...cgroups], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  sweep.stdin?.on('error', () => undefined);
  const swept = once(sweep, 'close');
  const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--net', '--uts', '--ipc'];
  const child = spawnReaped('unshare', [...namespaces, '/bin/sh', '-c', INIT], { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin?.on('error', () => undefined);
  const ended = once(child, 'close');
  const end = async (): Promise<void> => {
    child.stdin?.end();
    await ended;
    sweep.stdin?.end();
    await swept;
  };
  try {
    await makeCgroup(hierarchies, cgroup);
    await untilReady(child, 'the lab', signal);
    const pid = await namespaceInit(child.pid ?? 0);
    const enter = ['-t', String(pid), '-m', '-p', '-n', '-u', '-i'];
    return {
      folder: folder.path,
      cgroup,
      hierarchies,
      enter,
      pid,
      run: (program, args, options = {}) => run('nsenter', [...enter, program, ...args], options),
      end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Asks until it gives something; throws with `what` and the last error when `ms` have passed. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined>,
  options: { readonly ms: number; readonly signal?: AbortSignal; readonly everyMs?: number },
): Promise<T> {
  const end = Date.now() + options.ms;
  let last: unknown;
  for (;;) {
    options.signal?.throwIfAborted();
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end)
      throw new Error(
        `after ${options.ms / 1000} s not yet: ${what}${last instanceof Error ? `: ${last.message}` : ''}`,
      );
    await sleep(options.everyMs ?? 100, undefined, options.signal === undefined ? {} : { signal: options.signal });
  }
}
