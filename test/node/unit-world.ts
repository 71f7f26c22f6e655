/**
 * A host in memory on which a played systemd starts the API server: from a unit's ExecStart (after a reload), as a part of
 * K3s, or by way of RKE2 as a pod. What a configuration's API server does is for the test to say; sleeping lets time pass.
 */
import type { NodeHost } from '../../src/node/host.ts';
import type { Units } from '../../src/host/systemd.ts';
import type { ApiServerProcess } from '../../src/host/processes.ts';
import type { MemoryDisk } from '../host/memory-disk.ts';
import type { Behaviour } from './world.ts';

const TERMINATION = 1_000;
const STARTUP = 2_000;
const RESTART_SEC = 500;

export type Kind = 'Systemd' | 'K3s' | 'RKE2';

export type UnitWorldOptions = {
  readonly kind: Kind;
  readonly file: string;
  readonly behaves: (args: readonly string[]) => Behaviour;
  /** False: `Restart=no`. */
  readonly restarts?: boolean;
  /** How long a process takes to end that is asked to. */
  readonly endsAfterMs?: (args: readonly string[]) => number;
};

export class UnitWorld {
  disk: MemoryDisk;
  now = 1_000_000;
  bootId = 'boot-1';
  /** systemd takes no requests. */
  refuses = false;
  /** Restarts that were asked for. */
  asked = 0;
  starts = 0;
  sleeps = 0;
  /** Called at every moment that passes. */
  onTick: () => void = () => undefined;
  readonly lines: string[] = [];
  #loaded: string | null = null;
  #running: (ApiServerProcess & { readonly ends?: number }) | null = null;
  #nextStart: number | null = null;
  #failed = false;
  #restarts = 0;
  #crashed = false;
  #pid = 100;
  readonly #o: UnitWorldOptions;

  constructor(disk: MemoryDisk, options: UnitWorldOptions) {
    this.disk = disk;
    this.#o = options;
    this.boot();
  }

  /** Everything starts from what is on disk; nobody is asked. */
  boot(): void {
    this.#loaded = this.disk.text(this.#o.file);
    this.#running = null;
    this.#failed = false;
    this.#crashed = false;
    this.#restarts = 0;
    this.#nextStart = this.now;
    this.pass(10_000);
  }

  /** As power off and on. */
  reboot(): void {
    this.bootId += '-again';
    this.now += 5_000;
    this.boot();
  }

  /** What the program is started with. */
  #args(): readonly string[] {
    if (this.#o.kind !== 'Systemd') this.#loaded = this.disk.text(this.#o.file);
    const text = this.#loaded ?? '';
    const own = [...text.matchAll(/--?(audit-[a-z-]+=[^\s"\\]+)|"(audit-[a-z-]+=[^"]*)"/g)];
    return own.map((m) => `--${m[1] ?? m[2] ?? ''}`);
  }

  pass(ms: number): void {
    const end = this.now + ms;
    while (this.now < end) {
      this.now += 50;
      this.onTick();
      this.#systemd();
    }
  }

  #systemd(): void {
    if (this.#running?.ends !== undefined && this.now >= this.#running.ends) this.#running = null;
    if (this.#running === null && this.#nextStart !== null && this.now >= this.#nextStart) {
      if (this.#crashed) this.#restarts++;
      this.#crashed = false;
      this.#running = { pid: ++this.#pid, args: this.#args(), startedAt: this.now };
      this.#nextStart = null;
      this.starts++;
    }
    const r = this.#running;
    if (r === null || r.ends !== undefined || this.now - r.startedAt < 100 || this.#o.behaves(r.args) !== 'crashes')
      return;
    this.lines.push('Error: invalid audit log mode broken');
    this.#running = null;
    if (this.#o.restarts === false) this.#failed = true;
    else {
      // systemd counts a restart when it starts the unit again, not when it falls over.
      this.#crashed = true;
      this.#nextStart = this.now + RESTART_SEC;
    }
  }

  #restart(reload: boolean): void {
    if (reload) this.#loaded = this.disk.text(this.#o.file);
    this.#failed = false;
    this.#crashed = false;
    this.#restarts = 0;
    const takes = this.#o.endsAfterMs?.(this.#running?.args ?? []) ?? TERMINATION;
    if (this.#running !== null) this.#running = { ...this.#running, ends: this.now + takes };
    this.#nextStart = this.now + (this.#running === null ? 0 : takes);
  }

  /** A person restarts the unit; of RKE2 as the kubelet starts a pod again. */
  personRestarts(ms = 5_000): void {
    this.#restart(true);
    this.pass(ms);
  }

  /** A person stops the unit, and starts it again with `personRestarts`. */
  personStops(): void {
    this.#running = null;
    this.#nextStart = null;
    this.pass(1_000);
  }

  /** The process is told to end, and what starts it starts it again. */
  stop(): void {
    this.#restart(false);
  }

  get args(): readonly string[] {
    return this.#running?.args ?? [];
  }

  get isReady(): boolean {
    const r = this.#running;
    return (
      r !== null && r.ends === undefined && this.#o.behaves(r.args) === 'good' && this.now - r.startedAt >= STARTUP
    );
  }

  get #units(): Units {
    const pod = this.#o.kind === 'RKE2';
    return {
      show: async () => ({
        active: this.#failed ? 'failed' : this.#running !== null ? 'active' : this.#nextStart === null ? 'inactive' : 'activating', // prettier-ignore
        process: pod || this.#running === null ? null : { ...this.#running, args: this.#o.kind === 'K3s' ? ['server'] : this.#running.args }, // prettier-ignore
        restarts: pod ? 0 : this.#restarts,
      }),
      restart: async (_unit, { reload }) => {
        if (this.refuses) return 'Failed to connect to bus';
        this.asked++;
        this.#restart(reload);
        return null;
      },
      cursor: async () => `${this.lines.length}`,
      lastWords: async (_unit, cursor) => this.lines.slice(Number(cursor ?? 0)),
    };
  }

  get host(): NodeHost {
    const pod = this.#o.kind === 'RKE2';
    return {
      disk: this.disk,
      now: () => this.now,
      ticks: () => this.now,
      sleep: async (ms, signal) => {
        signal.throwIfAborted();
        if (++this.sleeps > 20_000) throw new Error('nothing ever ends here');
        this.pass(ms);
      },
      probe: async () => (this.#running === null ? 'Down' : this.isReady ? 'Ready' : 'NotReady'),
      isEnding: async () => this.#running === null,
      hasCredentials: true,
      processes: async () => ({
        now: this.now,
        bootId: this.bootId,
        apiServers: pod && this.#running !== null ? [this.#running] : [],
      }),
      logFolders: async () => [],
      livingPods: async () => [],
      starts: async () => (pod ? this.#restarts + 1 : null),
      lastWords: async () => (pod ? { starts: this.#restarts + 1, lines: this.lines.slice(-3) } : null),
      oomKills: async () => 0,
      units: this.#units,
      me: async () => ({ pid: 1, start: 1, boot: this.bootId }),
      lives: async (p) => p.boot === this.bootId && this.#running !== null && p.start === this.#running.startedAt,
      endProcess: async () => {
        if (pod) this.stop();
        return pod;
      },
    };
  }
}
