/**
 * A node in memory with a kubelet and an API server that are played: the manifest on the disk decides what runs, sleeping
 * lets time pass. What a manifest's API server does (come up, crash, hang) is for the test to say. As a real one does, a
 * kubelet that has not seen its API since it was started deletes no pod: another one then waits behind it, for ever.
 */
import { createHash } from 'node:crypto';
import { parse } from 'yaml';
import type { NodeHost } from '../../src/node/host.ts';
import type { MemoryDisk } from '../host/memory-disk.ts';

export type Behaviour = 'good' | 'crashes' | 'hangs';

/** What kube-apiserver 1.36 ends with 20 s after its start, where no etcd answers. */
export const STORAGE_AWAY =
  'F1121 10:00:20.000000       1 instance.go:233] Error creating leases: error creating storage factory: context deadline exceeded';

const TERMINATION = 1_000;
const STARTUP = 2_000;
const GRACE = 12_000;

type Running = { readonly text: string; readonly startedAt: number; readonly args: readonly string[] };
type Pod = { readonly uid: string; readonly text: string };
/** Left by the kubelet of before, which had just told it to end; its sandbox stays until there is an API. */
type Orphan = { readonly uid: string; readonly process: Running; readonly until: number };

/** As the kubelet: the UID that the manifest names, else a hash of it. */
function podOf(text: string): Pod {
  const { metadata } = parse(text) as { metadata: { uid?: string } };
  return { uid: metadata.uid ?? createHash('md5').update(text).digest('hex'), text };
}

/** Of the pod's logs, by which starts of before a change are told from those since. */
const folderOf = (uid: string): string => `kube-system_kube-apiserver-cp-1_${uid}`;

/** It is asked for at every moment that passes. */
function remembered<T>(of: (text: string) => T): (text: string) => T {
  let last: { readonly text: string; readonly value: T } | undefined;
  return (text) => (last = last?.text === text ? last : { text, value: of(text) }).value;
}

export class World {
  disk: MemoryDisk;
  now: number;
  bootId = 'boot-1';
  hidden = false;
  /** What every API server needs is away (etcd): none becomes ready. */
  down = false;
  /** etcd is: every API server ends soon after it was started, and says so. */
  storageAway = false;
  /** What an API server says that does not start with its flags. */
  crashWords = 'Error: invalid audit log mode broken';
  anonymous = true;
  /** Of the newest pod of its UID: the kubelet numbers log files on over reboots. */
  starts = 0;
  #loggedUid = '';
  sleeps = 0;
  /** How long it takes to look again for the end of a pod that another one waits for. */
  retry = 0;
  /** How long the kubelet takes to notice a change. */
  reaction = 0;
  #noticedAt: number | null = null;
  lines: string[] = [];
  oomKills = 0;
  /** Of the container's environment, what stands for `$(NAME)` in its words. */
  variables: Readonly<Record<string, string>> = {};
  /** Which process of the program this is, and which others live. */
  pid = 100;
  readonly alive = new Set<number>();
  /** Called at every moment that passes: someone else's hands on the node. */
  onTick: () => void = () => undefined;
  #running: Running | null = null;
  /** What the kubelet runs, which is not what the manifest says while that waits behind it. */
  #pod: Pod | null = null;
  #orphan: Orphan | null = null;
  #apiSeen = true;
  readonly #podOf = remembered(podOf);
  #seen = '';
  #bytes: Uint8Array | undefined;
  #nextStart = 0;
  #backoff = 500;
  readonly #manifest: string;
  readonly #behaves: (args: readonly string[]) => Behaviour;

  constructor(disk: MemoryDisk, manifest: string, behaves: (args: readonly string[]) => Behaviour, now = 1_000_000) {
    this.now = now;
    this.disk = disk;
    this.#manifest = manifest;
    this.#behaves = behaves;
    this.settle();
  }

  /** Time goes by until the manifest's API server had the time to come up. */
  settle(): void {
    this.#pass(10_000);
  }

  /** kubelet, containers and the agent stop; the disk stays as it is. */
  reboot(): void {
    this.#running = null;
    this.#orphan = null;
    this.bootId += '-again';
    this.now += 5_000;
    this.restartKubelet();
  }

  /** It takes up what runs of the manifest that is there, and has not seen its API yet. */
  restartKubelet(): void {
    this.#apiSeen = false;
    this.#pod = null;
    if (this.#running !== null && this.#running.text !== this.disk.text(this.#manifest)) {
      this.#orphan = { uid: podOf(this.#running.text).uid, process: this.#running, until: this.now + GRACE };
      this.#running = null;
    }
    this.#seen = this.#running?.text ?? '';
    this.#pod = this.#seen === '' ? null : podOf(this.#seen);
    this.#bytes = undefined;
  }

  #argsOf(text: string): readonly string[] {
    const pod = parse(text) as { spec: { containers: { command: string[]; args?: string[] }[] } };
    const c = pod.spec.containers[0];
    const words = [...(c?.command ?? []), ...(c?.args ?? [])].slice(1);
    return words.map((w) => w.replace(/\$\(([^)]*)\)/g, (all, name: string) => this.variables[name] ?? all));
  }

  #pass(ms: number): void {
    const end = this.now + ms;
    while (this.now < end) {
      this.now += 50;
      this.onTick();
      this.#kubelet();
    }
  }

  #kubelet(): void {
    const bytes = this.disk.live.get(this.#manifest)?.bytes;
    if (bytes !== this.#bytes && this.#noticedAt === null) this.#noticedAt = this.now + this.reaction;
    if (this.#noticedAt !== null && this.now < this.#noticedAt) return;
    this.#noticedAt = null;
    const text = bytes === this.#bytes ? this.#seen : (this.disk.text(this.#manifest) ?? '');
    this.#bytes = bytes;
    if (this.isReady) this.#apiSeen = true;
    this.#housekeeping(text);
    this.#seen = text;
    if (text !== (this.#pod?.text ?? '')) this.#replacePod(text === '' ? null : this.#podOf(text));
    const waits = this.#pod?.text !== text;
    if (this.#running === null && !waits && text !== '' && this.now >= this.#nextStart) {
      this.#running = { text, startedAt: this.now, args: this.#argsOf(text) };
      this.starts++;
    }
    const why = this.#running === null ? undefined : this.#fault(this.#running.args);
    if (this.#running !== null && why !== undefined && this.now - this.#running.startedAt >= 100) {
      this.lines.push(why);
      this.#running = null;
      this.#nextStart = this.now + this.#backoff;
      this.#backoff *= 2;
    }
  }

  #fault(args: readonly string[]): string | undefined {
    if (this.#behaves(args) === 'crashes') return this.crashWords;
    return this.storageAway ? STORAGE_AWAY : undefined;
  }

  /** Takes an orphan away, unless the manifest is its own again. */
  #housekeeping(text: string): void {
    if (this.#apiSeen && (text === '' || this.#orphan?.uid !== this.#podOf(text).uid)) this.#orphan = null;
    if (this.#running !== null && this.#orphan?.uid === this.#pod?.uid) this.#orphan = null;
  }

  #replacePod(next: Pod | null): void {
    if (this.#pod !== null && this.#pod.uid !== next?.uid && !this.#apiSeen) return;
    const terminating = this.#running !== null;
    this.#pod = next;
    this.#running = null;
    this.#nextStart = this.now + (terminating ? TERMINATION + this.retry : 0);
    this.#backoff = 500;
    if (next === null || next.uid === this.#loggedUid) return;
    this.#loggedUid = next.uid;
    this.starts = 0;
    this.lines = [];
  }

  /** The API server's process ends, and is started again by the kubelet. */
  crash(): void {
    this.#running = null;
    this.#nextStart = this.now + 100;
  }

  get #processes(): readonly Running[] {
    const orphan = this.#orphan !== null && this.now < this.#orphan.until ? [this.#orphan.process] : [];
    return this.#running === null ? orphan : [...orphan, this.#running];
  }

  get #pods(): readonly string[] {
    return [this.#pod?.uid, this.#orphan?.uid].filter((uid) => uid !== undefined);
  }

  get runningText(): string | null {
    return this.#running?.text ?? null;
  }

  get isReady(): boolean {
    const r = this.#running;
    return !this.down && r !== null && this.#behaves(r.args) === 'good' && this.now - r.startedAt >= STARTUP;
  }

  get host(): NodeHost {
    return {
      disk: this.disk,
      now: () => this.now,
      ticks: () => this.now,
      sleep: async (ms, signal) => {
        signal.throwIfAborted();
        if (++this.sleeps > 20_000) throw new Error('nothing ever ends here');
        this.#pass(ms);
      },
      probe: async () => {
        if (this.#running === null) return 'Down';
        if (!this.anonymous) return 'Forbidden';
        return this.isReady ? 'Ready' : 'NotReady';
      },
      isEnding: async () => this.#running === null,
      hasCredentials: false,
      processes: async () =>
        this.hidden
          ? null
          : {
              now: this.now,
              bootId: this.bootId,
              apiServers: this.#processes.map((r, i) => ({ pid: 1 + i, args: r.args, startedAt: r.startedAt })),
            },
      // That of before a reboot lies there, too, whether or not the kubelet has taken the pod up.
      logFolders: async () => [...new Set([this.#loggedUid, ...this.#pods])].filter((uid) => uid !== '').map(folderOf),
      livingPods: async (uids) => uids.filter((uid) => this.#pods.includes(uid)),
      starts: async (_pod, known) => (this.hidden || known.has(folderOf(this.#loggedUid)) ? null : this.starts),
      lastWords: async () => (this.hidden ? null : { starts: this.starts, lines: this.lines.slice(-3) }),
      oomKills: async () => this.oomKills,
      me: async () => ({ pid: this.pid, start: 1, boot: this.bootId }),
      lives: async (p) => p.boot === this.bootId && this.alive.has(p.pid),
    };
  }
}
