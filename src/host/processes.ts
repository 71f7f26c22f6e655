/**
 * Which kube-apiservers run on this host, with which arguments, and since when: from /proc. Start times are in
 * milliseconds since boot, so that a clock that jumps changes no verdict. Mirror pods lag (kubernetes#116725), so the
 * process itself is asked. Gives null where this host's processes cannot be seen (no hostPID).
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

export type ApiServerProcess = {
  readonly pid: number;
  /** Without the program's name. */
  readonly args: readonly string[];
  /** Milliseconds since boot. */
  readonly startedAt: number;
};

export type ProcessView = {
  /** Milliseconds since boot, on the same scale. */
  readonly now: number;
  /** Changes with every boot: times of another boot compare with nothing. */
  readonly bootId: string;
  readonly apiServers: readonly ApiServerProcess[];
};

/** One process of this host and of no other boot: a pid alone is used again. */
export type ProcessId = {
  readonly pid: number;
  /** Milliseconds since boot. */
  readonly start: number;
  readonly boot: string;
};

/** Clock ticks of /proc/PID/stat: 100 a second for user space on every Linux. */
const TICKS_PER_SECOND = 100;

async function tryRead(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    // The process ended meanwhile, or is not ours to see.
    return null;
  }
}

/** Field 22 of stat, counted behind the last `)`: a program's name may hold blanks and parentheses. */
function startOf(stat: string): number | null {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[19]);
  return Number.isFinite(ticks) ? (ticks * 1000) / TICKS_PER_SECOND : null;
}

async function commandLine(proc: string, pid: number): Promise<readonly string[]> {
  const cmdline = await tryRead(join(proc, String(pid), 'cmdline'));
  return cmdline?.replace(/\0$/, '').split('\0') ?? [];
}

/** Whatever program it is; null where it is gone. */
export async function processOf(pid: number, proc = '/proc'): Promise<ApiServerProcess | null> {
  const [, ...args] = await commandLine(proc, pid);
  const startedAt = startOf((await tryRead(join(proc, String(pid), 'stat'))) ?? '');
  return startedAt === null ? null : { pid, args, startedAt };
}

async function processAt(proc: string, pid: number): Promise<ApiServerProcess | null> {
  const [program = ''] = await commandLine(proc, pid);
  return program.slice(program.lastIndexOf('/') + 1) === 'kube-apiserver' ? processOf(pid, proc) : null;
}

/**
 * Names the network that a process is in: the kernel keeps these files once for each. `ns/net` would say it too, but only to who
 * may trace the process. null where it is gone.
 */
const networkOf = (proc: string, pid: number): Promise<number | null> =>
  stat(join(proc, String(pid), 'net/dev')).then(
    ({ ino }) => ino,
    () => null,
  );

/**
 * Those in the network of the host's first process. A hosted control plane's API server may run here too, in a pod with a
 * network of its own, and on the same port: its port tells nothing of who it is.
 */
async function inHostNetwork(proc: string, found: readonly ApiServerProcess[]): Promise<readonly ApiServerProcess[]> {
  const host = await networkOf(proc, 1);
  if (host === null) return found;
  const networks = await Promise.all(found.map((p) => networkOf(proc, p.pid)));
  return found.filter((_, i) => networks[i] === null || networks[i] === host);
}

/** `proc`: where the host's /proc is. Without those of hosted control planes. */
export async function listApiServers(proc = '/proc'): Promise<ProcessView | null> {
  const [uptime, bootId] = [
    await tryRead(join(proc, 'uptime')),
    await tryRead(join(proc, 'sys/kernel/random/boot_id')),
  ];
  const seconds = Number(uptime?.split(' ')[0]);
  if (uptime === null || !Number.isFinite(seconds)) return null;
  const pids = (await readdir(proc)).filter((n) => /^\d+$/.test(n)).map(Number);
  const found = await Promise.all(pids.map((pid) => processAt(proc, pid)));
  const all = found.filter((p) => p !== null).sort((a, b) => a.startedAt - b.startedAt);
  const apiServers = await inHostNetwork(proc, all);
  return { now: Math.round(seconds * 1000), bootId: bootId?.trim() ?? '', apiServers };
}

/** A process that has ended and was not yet waited for acts no more. */
const hasEnded = (stat: string): boolean => /^[ZX] /.test(stat.slice(stat.lastIndexOf(')') + 2));

async function processId(pid: number, proc: string): Promise<ProcessId | null> {
  const stat = (await tryRead(join(proc, String(pid), 'stat'))) ?? '';
  const start = hasEnded(stat) ? null : startOf(stat);
  const boot = (await tryRead(join(proc, 'sys/kernel/random/boot_id')))?.trim();
  return start === null || boot === undefined ? null : { pid, start, boot };
}

/** This very process. Throws where there is no /proc: nothing here runs on anything but Linux. */
export async function ownProcess(proc = '/proc'): Promise<ProcessId> {
  const me = await processId(process.pid, proc);
  if (me === null) throw new Error(`${proc} says nothing about this process`);
  return me;
}

export async function isAlive(p: ProcessId, proc = '/proc'): Promise<boolean> {
  const now = await processId(p.pid, proc);
  return now !== null && now.start === p.start && now.boot === p.boot;
}

/**
 * Of these pods, by UID, those that have a process: the kubelet names a pod's cgroup by it (`pod<UID>`, with `_` for `-`
 * below systemd). The sandbox's own process lives as long as the pod does, also between two crashes of its container.
 */
export async function podsWithProcesses(uids: readonly string[], proc = '/proc'): Promise<readonly string[]> {
  if (uids.length === 0) return [];
  const pids = (await readdir(proc)).filter((n) => /^\d+$/.test(n));
  const cgroups = (await Promise.all(pids.map((pid) => tryRead(join(proc, pid, 'cgroup'))))).join('\n');
  return uids.filter((uid) => cgroups.includes(`pod${uid}`) || cgroups.includes(`pod${uid.replaceAll('-', '_')}`));
}

/** How often this host's kernel has killed for want of memory, since boot (from Linux 4.13 on); null: not to be seen. */
export async function countOomKills(proc = '/proc'): Promise<number | null> {
  const line = /^oom_kill (\d+)$/m.exec((await tryRead(join(proc, 'vmstat'))) ?? '');
  return line === null ? null : Number(line[1]);
}

/** SIGTERM, to this very process. True where it was sent, or the process is gone; false where that is not permitted. */
export async function endProcess(p: ProcessId, proc = '/proc'): Promise<boolean> {
  if (!(await isAlive(p, proc))) return true;
  try {
    process.kill(p.pid, 'SIGTERM');
    return true;
  } catch (e) {
    return e instanceof Error && 'code' in e && e.code === 'ESRCH';
  }
}
