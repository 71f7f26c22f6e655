/** What the node room needs of the world, as the smallest struct of functions: real in production, played in tests. */
import { setTimeout as sleep } from 'node:timers/promises';
import { realDisk } from '../host/disk.ts';
import { podFolders, readLastWords, readStarts } from '../host/pod-logs.ts';
import type { LastWords, PodName } from '../host/pod-logs.ts';
import { isEnding, probeApiServer } from '../host/probe.ts';
import type { Health, ProbeAddress, ProbeCredentials } from '../host/probe.ts';
import {
  countOomKills,
  endProcess,
  isAlive,
  listApiServers,
  ownProcess,
  podsWithProcesses,
} from '../host/processes.ts';
import type { ProcessId, ProcessView } from '../host/processes.ts';
import type { Units } from '../host/systemd.ts';
import type { Disk } from '../host/types.ts';

export type NodeHost = {
  readonly disk: Disk;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Milliseconds of a clock that nobody sets; only differences mean something. */
  readonly ticks: () => number;
  /** Rejects with the signal's reason when aborted. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly probe: (address: ProbeAddress, signal: AbortSignal) => Promise<Health>;
  /** Of one that is not ready: for the one reason that it was told to end, or since nobody listens there any more. */
  readonly isEnding?: (address: ProbeAddress, signal: AbortSignal) => Promise<boolean>;
  /** True where the probe carries credentials, so that a server without anonymous access can be seen ready. */
  readonly hasCredentials: boolean;
  /** null where the host's processes cannot be seen from here. */
  readonly processes: () => Promise<ProcessView | null>;
  /** Folders of the pod's logs that are there now. */
  readonly logFolders: (pod: PodName) => Promise<readonly string[]>;
  /** Of these pods, by UID, those that have a process on this node. */
  readonly livingPods: (uids: readonly string[]) => Promise<readonly string[]>;
  /** How often the container was started whose pod has come since; costs no more than a look into a folder. */
  readonly starts: (pod: PodName, known: ReadonlySet<string>) => Promise<number | null>;
  readonly lastWords: (pod: PodName, known: ReadonlySet<string>) => Promise<LastWords | null>;
  /** What the kernel has killed for want of memory since boot; null where that cannot be seen. */
  readonly oomKills: () => Promise<number | null>;
  /** Units of systemd; absent where none are restarted from here (in a container, or where the kubelet does it). */
  readonly units?: Units;
  /** This process, and whether another one still lives. */
  readonly me: () => Promise<ProcessId>;
  readonly lives: (p: ProcessId) => Promise<boolean>;
  /** Asks a process to end; false where that is not permitted. Absent where processes are not this host's to end. */
  readonly endProcess?: (p: ProcessId) => Promise<boolean>;
};

export type RealHostOptions = {
  /** Where the host's file system is; `/` on the node itself. */
  readonly root: string;
  readonly proc?: string;
  /** Asked anew for each probe: a restart may have made new ones. */
  readonly credentials?: () => Promise<ProbeCredentials | null>;
  readonly units?: Units;
};

export function realHost({ root, proc, credentials, units }: RealHostOptions): NodeHost {
  const disk = realDisk(root);
  return {
    disk,
    now: () => Date.now(),
    ticks: () => performance.now(),
    sleep: async (ms, signal) => sleep(ms, undefined, { signal }),
    probe: async (address, signal) => {
      const known = await credentials?.();
      return probeApiServer(
        address,
        known === undefined || known === null ? { signal } : { credentials: known, signal },
      );
    },
    isEnding: (address, signal) => isEnding(address, signal),
    hasCredentials: credentials !== undefined,
    processes: () => listApiServers(proc),
    logFolders: (pod) => podFolders(disk, pod),
    livingPods: (uids) => podsWithProcesses(uids, proc),
    starts: (pod, known) => readStarts(disk, pod, known),
    lastWords: (pod, known) => readLastWords(disk, pod, known),
    oomKills: () => countOomKills(proc),
    ...(units === undefined ? {} : { units }),
    // Always in this process' own /proc: that is where its number means something.
    me: () => ownProcess(),
    lives: (p) => isAlive(p),
    endProcess: (p) => endProcess(p),
  };
}
