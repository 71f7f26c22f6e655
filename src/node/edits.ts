/**
 * Bears witness to edits of what starts the API server, and of the files that its flags name: was the API server serving when they were made?
 * That can only be told in the very moment, so whoever watches the folders calls `see` at once, and `tick` every other
 * second, which costs a look into /proc. The evidence: the API server is ready; or the process that was ready earlier
 * lived until just now, or still lives and no longer listens: the kubelet has told it to end because of the edit. An edit
 * soon after one that was made while it served belongs to that one: the restart between them is no outage, unless a
 * process that it started has ended by itself. Edits of our own are known by the journal and the record; while one is
 * followed, the probes that prove it are heard here too (`listening`): an edit may come right after the last of them.
 */
import type { ProcessId } from '../host/processes.ts';
import type { Edited } from '../rollout/drift.ts';
import { parseRecord, recordPath } from '../targets/record.ts';
import type { ServerView } from '../targets/server.ts';
import type { NodeHost } from './host.ts';
import type { Place } from './place.ts';
import { hasEnded, isStopped, lookAt, processesOf } from './running.ts';
import type { Sources } from './sources.ts';
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
  readonly #spec: Place;
  readonly #edits = new Map<string, Edited>();
  #last: Sources | undefined;
  /** Process that was seen ready, and when it was last seen to live. */
  #proven: (ProcessId & { readonly livedAt: number }) | null = null;
  /** Folders of the pod's logs that were there while it served. */
  #folders: ReadonlySet<string> = new Set();
  /** An edit has been seen since: that this process ends says nothing about the next one. */
  #spent = false;
  /** When the first of a chain of edits was made while it served. */
  #chain: number | null = null;
  /** The last look found that nobody starts it any more. */
  #stopped = false;
  #disturbedAt: number | null = null;
  #seeing: Promise<void> = Promise.resolve();

  constructor(host: NodeHost, spec: Place) {
    this.#host = host;
    this.#spec = spec;
  }

  /**
   * What is there now, whoever made it: nobody knows when. Call once, first. So it is, too, with an edit that came while
   * the API server was asked for the first time: an answer that did not come then says nothing of before.
   */
  begin(signal: AbortSignal): Promise<void> {
    return this.#inTurn(async () => {
      this.#last = await this.#now();
      await this.#isServing(signal);
      if (this.#proven === null) this.#last = await this.#now();
    });
  }

  /** Something was changed, or may have been. Throws what the disk says. One after the other. */
  see(signal: AbortSignal): Promise<void> {
    return this.#inTurn(() => this.#see(signal));
  }

  /** Who looks while the first answer is on its way would take the missing answer for an outage. */
  #inTurn(look: () => Promise<void>): Promise<void> {
    const looked = this.#seeing.catch(() => undefined).then(look);
    this.#seeing = looked;
    return looked;
  }

  /** As `see`, for who is about to judge: what is there now is then known. Nothing before `begin`. */
  async catchUp(signal: AbortSignal): Promise<void> {
    if (this.#last !== undefined) await this.see(signal);
  }

  async #see(signal: AbortSignal): Promise<void> {
    const now = await this.#now();
    const last = this.#last;
    if (now.print === last?.print) return;
    const began = await this.#host.processes();
    const serving = await this.#isServing(signal);
    const edited = now.text !== last?.text || now.around !== last.around;
    this.#last = now;
    // Not of a process that has come up, and was proven, while a hanging one was asked.
    if (edited && !(began !== null && this.#proven !== null && this.#proven.start > began.now)) this.#spent = true;
    const own = edited && now.around === last?.around && (await this.#isOwn(now.text));
    const ticks = this.#host.ticks();
    const chained = this.#chain !== null && ticks - this.#chain < CHAIN_MS && !(await this.#hasCrashed(signal));
    if (!own && edited) {
      this.#disturbedAt = ticks;
      if (serving && !chained) this.#chain = ticks;
    }
    this.#remember(now.print, serving || (chained && !own) ? 'Serving' : 'Down');
  }

  /** Somebody works in the manifests folder, though not on this manifest. */
  disturbed(): void {
    if (this.#disturbedAt !== null) this.#disturbedAt = this.#host.ticks();
  }

  /** This process is known to be ready: a revision has just been proven with it. */
  async proves(process: ProcessId): Promise<void> {
    this.#proven = { ...process, livedAt: this.#host.ticks() };
    this.#spent = false;
    await this.#markLogs((await this.#now()).server);
  }

  /** The same host, and whenever its API server is found ready this witness hears of it. */
  listening(host: NodeHost): NodeHost {
    const probe: NodeHost['probe'] = async (address, signal) => {
      const asked = host.ticks();
      const health = await host.probe(address, signal);
      if (health === 'Ready') await this.#heard(address.port, host.ticks() - asked, signal);
      return health;
    };
    return { ...host, probe };
  }

  /** Who answered is the newest process, unless that one started after the question. */
  async #heard(port: number, askedBefore: number, signal: AbortSignal): Promise<void> {
    const server = this.#last?.server ?? (await this.#now()).server;
    if (server?.address.port !== port) return;
    const { view } = await lookAt(this.#host, server, signal);
    const newest = view === null ? undefined : processesOf(view, server).at(-1);
    if (view === null || newest === undefined || newest.startedAt > view.now - askedBefore) return;
    if (this.#proven?.start === newest.startedAt && this.#proven.boot === view.bootId) return;
    await this.proves({ pid: newest.pid, start: newest.startedAt, boot: view.bootId });
  }

  /** Does the process that was ready still live? One that took its place is asked until it is ready. */
  async tick(signal: AbortSignal): Promise<void> {
    const proven = this.#proven;
    if (proven === null || !(await this.#host.lives(proven))) {
      if (await this.#hasOther(signal)) await this.#isServing(signal);
    } else if (this.#proven === proven) this.#proven = { ...proven, livedAt: this.#host.ticks() };
    await this.#looksForStop(signal);
  }

  /**
   * What a person has stopped for longer than a restart takes is an outage, and ends a chain: whoever then writes and
   * starts it again does both at once, and finds nothing stopped any more. Asked only while there is a chain.
   */
  async #looksForStop(signal: AbortSignal): Promise<void> {
    const server = this.#last?.server ?? null;
    const last = this.#stopped;
    const isChained = this.#chain !== null && this.#host.ticks() - this.#chain < CHAIN_MS;
    this.#stopped = isChained && server !== null && (await isStopped(this.#host, server, signal));
    if (this.#stopped && last) this.#chain = null;
  }

  async #hasOther(signal: AbortSignal): Promise<boolean> {
    const server = this.#last?.server ?? null;
    const view = server === null ? await this.#host.processes() : (await lookAt(this.#host, server, signal)).view;
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

  #now(): Promise<Sources> {
    return this.#spec.sources(this.#host.disk);
  }

  async #markLogs(server: ServerView | null): Promise<void> {
    if (server?.runs.in === 'Pod') this.#folders = new Set(await this.#host.logFolders(server.runs));
  }

  async #isOwn(text: string | null): Promise<boolean> {
    const { disk } = this.#host;
    const { layout, manifest } = this.#spec;
    const journal = (await readState(disk, layout.stateDir))?.journal ?? null;
    const bytes = await disk.read(recordPath(manifest, layout));
    const record = bytes === null ? null : parseRecord(bytes);
    return [journal?.after, journal?.before, record?.after].includes(text);
  }

  /** More starts since it served than processes that run now: one has ended by itself, or by an edit in between. */
  async #hasCrashed(signal: AbortSignal): Promise<boolean> {
    const server = this.#last?.server ?? null;
    if (server === null || signal.aborted) return true;
    return hasEnded(this.#host, server, { since: this.#proven?.start ?? null, logs: this.#folders }, signal);
  }

  /** The one that runs: of the files before the edit, where there were any. */
  async #running(): Promise<ServerView | null> {
    const last = this.#last;
    return last === undefined || (last.server === null && last.text === null)
      ? (await this.#now()).server
      : last.server;
  }

  async #isServing(signal: AbortSignal): Promise<boolean> {
    const server = await this.#running();
    if (server === null) return false;
    const [health, { view }] = await Promise.all([
      this.#host.probe(server.address, signal),
      lookAt(this.#host, server, signal),
    ]);
    const mine = view === null ? [] : processesOf(view, server);
    if (health === 'Ready') {
      const [first] = mine;
      const livedAt = this.#host.ticks();
      this.#proven =
        first === undefined || view === null
          ? null
          : { pid: first.pid, start: first.startedAt, boot: view.bootId, livedAt };
      this.#spent = false;
      await this.#markLogs(server);
      return true;
    }
    const proven = this.#proven;
    if (proven === null) return false;
    const lives = view?.bootId === proven.boot && mine.some((p) => p.startedAt === proven.start);
    if (!lives) return !this.#spent && this.#host.ticks() - proven.livedAt < JUST_NOW_MS;
    // Not listening any more, or saying itself that nothing is wrong but that it was told to end. Not one that lets everybody
    // wait: without etcd an API server answers nothing in time, and may run so for long.
    return health === 'Forbidden' || (await this.#host.isEnding?.(server.address, signal)) === true;
  }
}
