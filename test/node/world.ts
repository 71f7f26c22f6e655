/**
 * A node in memory with a kubelet and an API server that are played: the manifest on the disk decides what runs, sleeping
 * lets time pass. What a manifest's API server does (come up, crash, hang) is for the test to say.
 */
import { parse } from 'yaml';
import type { NodeHost } from '../../src/node/host.ts';
import type { MemoryDisk } from '../host/memory-disk.ts';

export type Behaviour = 'good' | 'crashes' | 'hangs';

const TERMINATION = 1_000;
const STARTUP = 2_000;

type Running = { readonly text: string; readonly startedAt: number; readonly args: readonly string[] };

export class World {
  disk: MemoryDisk;
  now: number;
  bootId = 'boot-1';
  hidden = false;
  anonymous = true;
  starts = 0;
  sleeps = 0;
  /** How long the kubelet takes to notice a change. */
  reaction = 0;
  #noticedAt: number | null = null;
  lines: string[] = [];
  oomKills = 0;
  /** Which process of the program this is, and which others live. */
  pid = 100;
  readonly alive = new Set<number>();
  /** Called at every moment that passes: someone else's hands on the node. */
  onTick: () => void = () => undefined;
  #running: Running | null = null;
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
    this.#seen = '';
    this.#bytes = undefined;
    this.bootId += '-again';
    this.now += 5_000;
  }

  #argsOf(text: string): readonly string[] {
    const pod = parse(text) as { spec: { containers: { command: string[]; args?: string[] }[] } };
    const c = pod.spec.containers[0];
    return [...(c?.command ?? []), ...(c?.args ?? [])].slice(1);
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
    if (text !== this.#seen) {
      const terminating = this.#running !== null;
      this.#seen = text;
      this.#running = null;
      this.#nextStart = this.now + (terminating ? TERMINATION : 0);
      this.#backoff = 500;
      this.starts = 0;
      this.lines = [];
    }
    if (this.#running === null && text !== '' && this.now >= this.#nextStart) {
      this.#running = { text, startedAt: this.now, args: this.#argsOf(text) };
      this.starts++;
    }
    if (
      this.#running !== null &&
      this.#behaves(this.#running.args) === 'crashes' &&
      this.now - this.#running.startedAt >= 100
    ) {
      this.lines.push('Error: invalid audit log mode broken');
      this.#running = null;
      this.#nextStart = this.now + this.#backoff;
      this.#backoff *= 2;
    }
  }

  /** The API server's process ends, and is started again by the kubelet. */
  crash(): void {
    this.#running = null;
    this.#nextStart = this.now + 100;
  }

  get runningText(): string | null {
    return this.#running?.text ?? null;
  }

  get isReady(): boolean {
    const r = this.#running;
    return r !== null && this.#behaves(r.args) === 'good' && this.now - r.startedAt >= STARTUP;
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
      hasCredentials: false,
      processes: async () =>
        this.hidden
          ? null
          : {
              now: this.now,
              bootId: this.bootId,
              apiServers:
                this.#running === null
                  ? []
                  : [{ pid: 1, args: this.#running.args, startedAt: this.#running.startedAt }],
            },
      logFolders: async () => [],
      lastWords: async () => (this.hidden ? null : { starts: this.starts, lines: this.lines.slice(-3) }),
      oomKills: async () => this.oomKills,
      me: async () => ({ pid: this.pid, start: 1, boot: this.bootId }),
      lives: async (p) => p.boot === this.bootId && this.alive.has(p.pid),
    };
  }
}
