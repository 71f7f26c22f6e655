/**
 * Bears witness to edits of the manifest and the files that it names: was the API server serving when they were made?
 * That can only be told in the very moment, so whoever watches the folders calls `see` at once, and `tick` every other
 * second, which costs a look into /proc. The evidence: the API server is ready; or the process that was ready earlier
 * lived until just now, or still lives and no longer listens: the kubelet has told it to end because of the edit. An edit
 * soon after one that was made while it served belongs to that one: the restart between them is no outage, unless a
 * process that it started has ended by itself. Edits of our own are known by the journal and the record; while one is
 * followed, the probes that prove it are heard here too (`listening`): an edit may come right after the last of them.
 */
import type { PodName } from '../host/pod-logs.ts';
import type { ProcessId } from '../host/processes.ts';
import type { Edited } from '../rollout/drift.ts';
import type { StaticPodSpec } from '../targets/static-pod.ts';
import { parseRecord, recordPath } from '../targets/record.ts';
import { portOf } from '../targets/audit-flags.ts';
import { serverView } from '../targets/static-pod/server.ts';
import type { ServerView } from '../targets/server.ts';
import { fingerprint } from './drift.ts';
import type { NodeHost } from './host.ts';
import { readState } from './state-file.ts';

/** A restart takes up to 46 s with watches open. */
const CHAIN_MS = 60_000;
const REMEMBERED = 32;
/** Between two looks at the process. */
export const TICK_MS = 2_000;
/** A machine that is busy looks late. */
const JUST_NOW_MS = 3 * TICK_MS;

export class EditWitness {
  readonly #host: NodeHost;
  readonly #spec: StaticPodSpec;
  readonly #edits = new Map<string, Edited>();
  #last: string | undefined;
  #lastManifest: string | null = null;
  /** Process that was seen ready, and when it was last seen to live. */
  #proven: (ProcessId & { readonly livedAt: number }) | null = null;
  /** Folders of the pod's logs that were there while it served. */
  #folders: ReadonlySet<string> = new Set();
  /** An edit has been seen since: that this process ends says nothing about the next one. */
  #spent = false;
  /** When the first of a chain of edits was made while it served. */
  #chain: number | null = null;
  #disturbedAt: number | null = null;

  constructor(host: NodeHost, spec: StaticPodSpec) {
    this.#host = host;
    this.#spec = spec;
  }

  /** What is there now, whoever made it: nobody knows when. Call once, first. */
  async begin(signal: AbortSignal): Promise<void> {
    this.#last = await fingerprint(this.#host, this.#spec);
    this.#lastManifest = await this.#manifest();
    await this.#isServing(signal);
  }

  /** Something was changed. Throws what the disk says. */
  async see(signal: AbortSignal): Promise<void> {
    const now = await fingerprint(this.#host, this.#spec);
    if (now === this.#last) return;
    const [manifest, began] = [await this.#manifest(), await this.#host.processes()];
    const serving = await this.#isServing(signal);
    const edited = manifest !== this.#lastManifest;
    [this.#last, this.#lastManifest] = [now, manifest];
    // Not of a process that has come up, and was proven, while a hanging one was asked.
    if (edited && !(began !== null && this.#proven !== null && this.#proven.start > began.now)) this.#spent = true;
    const own = edited && (await this.#isOwn(manifest));
    const ticks = this.#host.ticks();
    const chained = this.#chain !== null && ticks - this.#chain < CHAIN_MS && !(await this.#hasCrashed(signal));
    if (!own && edited) {
      this.#disturbedAt = ticks;
      if (serving && !chained) this.#chain = ticks;
    }
    this.#remember(now, serving || (chained && !own) ? 'Serving' : 'Down');
  }

  /** Somebody works in the manifests folder, though not on this manifest. */
  disturbed(): void {
    if (this.#disturbedAt !== null) this.#disturbedAt = this.#host.ticks();
  }

  /** This process is known to be ready: a revision has just been proven with it. */
  async proves(process: ProcessId): Promise<void> {
    this.#proven = { ...process, livedAt: this.#host.ticks() };
    this.#spent = false;
    const server = serverOf(await this.#manifest());
    if (server !== null) this.#folders = new Set(await this.#host.logFolders(server.pod));
  }

  /** The same host, and whenever its API server is found ready this witness hears of it. */
  listening(host: NodeHost): NodeHost {
    const probe: NodeHost['probe'] = async (address, signal) => {
      const asked = host.ticks();
      const health = await host.probe(address, signal);
      if (health === 'Ready') await this.#heard(address.port, host.ticks() - asked);
      return health;
    };
    return { ...host, probe };
  }

  /** Who answered is the newest process, unless that one started after the question. */
  async #heard(port: number, askedBefore: number): Promise<void> {
    const view = await this.#host.processes();
    const newest = view?.apiServers.findLast((p) => portOf(p.args) === port);
    if (view === null || newest === undefined || newest.startedAt > view.now - askedBefore) return;
    if (this.#proven?.start === newest.startedAt && this.#proven.boot === view.bootId) return;
    await this.proves({ pid: newest.pid, start: newest.startedAt, boot: view.bootId });
  }

  /** Does the process that was ready still live? One that took its place is asked until it is ready. */
  async tick(signal: AbortSignal): Promise<void> {
    const proven = this.#proven;
    if (proven === null || !(await this.#host.lives(proven))) {
      if (await this.#hasOther()) await this.#isServing(signal);
    } else if (this.#proven === proven) this.#proven = { ...proven, livedAt: this.#host.ticks() };
  }

  async #hasOther(): Promise<boolean> {
    const view = await this.#host.processes();
    return view !== null && view.apiServers.some((p) => p.startedAt !== this.#proven?.start);
  }

  edited(print: string): Edited {
    return this.#edits.get(print) ?? 'Unknown';
  }

  /** Since somebody else changed the manifest; Infinity: nobody did. */
  quietMs(): number {
    return this.#disturbedAt === null ? Infinity : this.#host.ticks() - this.#disturbedAt;
  }

  #remember(print: string, edited: Edited): void {
    this.#edits.delete(print);
    this.#edits.set(print, edited);
    if (this.#edits.size > REMEMBERED) this.#edits.delete(this.#edits.keys().next().value ?? '');
  }

  async #manifest(): Promise<string | null> {
    const bytes = await this.#host.disk.read(this.#spec.manifest);
    return bytes === null ? null : new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  }

  async #isOwn(text: string | null): Promise<boolean> {
    const { disk } = this.#host;
    const { layout, manifest } = this.#spec;
    const journal = (await readState(disk, layout.stateDir))?.journal ?? null;
    const bytes = await disk.read(recordPath(manifest, layout));
    const record = bytes === null ? null : parseRecord(bytes);
    return text !== null && [journal?.after, journal?.before, record?.after].includes(text);
  }

  /** More starts since it served than processes that run now: one has ended by itself, or by an edit in between. */
  async #hasCrashed(signal: AbortSignal): Promise<boolean> {
    const server = serverOf(this.#lastManifest);
    if (server === null || signal.aborted) return true;
    const starts = (await this.#host.starts(server.pod, this.#folders)) ?? 0;
    const view = await this.#host.processes();
    const others = view?.apiServers.filter((p) => p.startedAt !== this.#proven?.start) ?? [];
    return starts > others.length;
  }

  async #isServing(signal: AbortSignal): Promise<boolean> {
    // The one that runs: of the manifest before the edit.
    const server = serverOf(this.#lastManifest ?? (await this.#manifest()));
    if (server === null) return false;
    const [health, view] = await Promise.all([this.#host.probe(server.address, signal), this.#host.processes()]);
    const mine = view?.apiServers.filter((p) => portOf(p.args) === server.address.port) ?? [];
    if (health === 'Ready') {
      const [first] = mine;
      const livedAt = this.#host.ticks();
      this.#proven =
        first === undefined || view === null
          ? null
          : { pid: first.pid, start: first.startedAt, boot: view.bootId, livedAt };
      this.#spent = false;
      this.#folders = new Set(await this.#host.logFolders(server.pod));
      return true;
    }
    const proven = this.#proven;
    if (proven === null) return false;
    const lives = view?.bootId === proven.boot && mine.some((p) => p.startedAt === proven.start);
    if (!lives) return !this.#spent && this.#host.ticks() - proven.livedAt < JUST_NOW_MS;
    // Not listening any more, or saying itself that nothing is wrong but that it was told to end.
    return health !== 'NotReady' || (await this.#host.isEnding?.(server.address, signal)) === true;
  }
}

type PodServer = Pick<ServerView, 'address'> & { readonly pod: PodName };

function serverOf(text: string | null): PodServer | null {
  const server = text === null ? null : serverView(new TextEncoder().encode(text));
  return server?.runs.in === 'Pod' ? { address: server.address, pod: server.runs } : null;
}
