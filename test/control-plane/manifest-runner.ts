/**
 * Stands in for the kubelet where there is none: watches a manifests folder and runs what the static pods there name,
 * as processes of this machine.
 *
 * It keeps the kubelet's rules (pkg/kubelet/config/file.go, file_linux.go and pod_workers.go of 1.36):
 * 1. A file whose name begins with a dot is not there. There is no filter by extension.
 * 2. A watch event reads the one file that it is about. A file that does not parse changes nothing then.
 * 3. A relist reads all files in name order; the last one that defines a pod wins; a pod that no file that parses
 *    defines is removed.
 * 4. A deleted file removes the pod that it defined, even if another file defines it too, until the next relist.
 * 5. The hash of the decoded pod decides: comments and white space restart nothing.
 * 6. The old one is gone before the new one starts: SIGTERM, grace period, SIGKILL.
 * 7. A container that ends is started again: at once, then with a doubling back-off; a changed pod starts without it.
 * 8. Volumes are checked before a start as their hostPath type says (mounts.ts).
 *
 * 9. `<root>/proc` shows its processes, and no others, as an agent on the node would see them (proc-view.ts).
 * 10. `<root>/var/log/pods` has what they say, a file for each start (pod-log.ts).
 *
 * It runs no probes, so that a process which hangs is never killed by it, and makes no mirror pods.
 * A fixture of tests and of the demo: see plane.ts, `run: 'manifest'`.
 */
import { watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PodRun, QUICK_TIMES } from './pod-run.ts';
import type { ContainerPhase, Resolve, RunnerTimes } from './pod-run.ts';
import { makeProc } from './proc-view.ts';
import { temporaryFolder } from './reaper.ts';
import { decodeStaticPod } from './static-pod.ts';
import type { StaticPod } from './static-pod.ts';

export type ManifestRunnerOptions = {
  /** The folder that plays the node's `/`. */
  readonly root: string;
  /** Default: `<root>/etc/kubernetes/manifests`. */
  readonly folder?: string;
  readonly resolve: Resolve;
  /** Default: QUICK_TIMES. */
  readonly times?: Partial<RunnerTimes>;
};

/** A pod as a test looks at it; of its first container. Times are milliseconds since 1970. */
export type PodView = {
  readonly uid: string;
  /** The manifest's path. */
  readonly file: string;
  /** When this content of the manifest was accepted. */
  readonly appliedAt: number;
  readonly phase: ContainerPhase;
  readonly message: string;
  readonly pid: number | undefined;
  /** Each start of this UID, oldest first; one that failed before the first instruction too. */
  readonly starts: readonly number[];
  /** The last of them; undefined before the first. */
  readonly processStart: number | undefined;
  /** Starts of this UID beyond the first. */
  readonly restarts: number;
  readonly lines: readonly string[];
};

type Event = { readonly at: number; readonly what: 'Applied' | 'Started' | 'Gone' | 'Refused'; readonly about: string };

type Entry = { readonly pod: StaticPod; readonly appliedAt: number };

export class ManifestRunner {
  readonly folder: string;
  /** What happened, oldest first; `about` is the pod's key, or the file for Refused. */
  readonly events: Event[] = [];
  readonly #options: ManifestRunnerOptions;
  readonly #times: RunnerTimes;
  readonly #scratch = temporaryFolder('auditconfig-runner');
  readonly #desired = new Map<string, Entry>();
  readonly #running = new Map<string, PodRun>();
  /** Which pod each file defined when it was last read. */
  readonly #keyOfFile = new Map<string, string>();
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  /** Reads of the folder, one after the other: the kubelet has one goroutine for both kinds. */
  #queue: Promise<void> = Promise.resolve();

  constructor(options: ManifestRunnerOptions) {
    this.#options = options;
    this.#times = { ...QUICK_TIMES, ...options.times };
    this.folder = options.folder ?? join(options.root, 'etc/kubernetes/manifests');
  }

  /** Resolves after the first list. */
  async start(): Promise<void> {
    await makeProc(this.#options.root);
    this.#watch();
    this.#timer = setInterval(() => this.#enqueue(() => this.#relist()), this.#times.relist);
    this.#enqueue(() => this.#relist());
    await this.#queue;
  }

  /** By `namespace/name`; undefined where no such pod is wanted or running. The wanted one where both differ. */
  pod(key: string): PodView | undefined {
    const entry = this.#desired.get(key);
    const run = this.#running.get(key);
    const pod = entry?.pod ?? run?.pod;
    if (pod === undefined) return undefined;
    const [container] = run !== undefined && run.pod.uid === pod.uid ? run.containers : [];
    const starts = [...(container?.starts ?? [])];
    return {
      uid: pod.uid,
      file: pod.file,
      appliedAt: entry?.appliedAt ?? 0,
      phase: container?.phase ?? 'Waiting',
      message: container?.message ?? '',
      pid: container?.process?.exit === undefined ? container?.process?.pid : undefined,
      starts,
      processStart: starts.at(-1),
      restarts: Math.max(0, starts.length - 1),
      lines: container?.lines ?? [],
    };
  }

  /** The process of a pod's first container, whichever UID it is of; undefined while none runs. */
  process(key: string): PodRun['containers'][number]['process'] {
    const process = this.#running.get(key)?.containers[0]?.process;
    return process?.exit === undefined ? process : undefined;
  }

  /** Kills every process at once: no grace period, the fixture's end. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#watcher?.close();
    clearInterval(this.#timer);
    await this.#queue;
    const runs = [...this.#running.values()];
    for (const run of runs) {
      run.end();
      for (const c of run.containers) c.process?.signal('SIGKILL');
    }
    await Promise.all(runs.map((r) => r.ended));
    await this.#scratch.remove();
  }

  #enqueue(read: () => Promise<void>): void {
    this.#queue = this.#queue.then(async () => {
      if (this.#stopped) return;
      await read();
      this.#reconcile();
    });
  }

  /** Rule 1, 2 and 4. A folder that is not there is watched from the relist on that finds it. */
  #watch(): void {
    try {
      this.#watcher = watch(this.folder, (_kind, name) => {
        if (name === null || name.startsWith('.')) return;
        this.#enqueue(() => this.#readOne(join(this.folder, name)));
      });
      this.#watcher.on('error', () => this.#unwatch());
    } catch {
      this.#watcher = undefined;
    }
  }

  #unwatch(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  async #readOne(file: string): Promise<void> {
    const read = await this.#read(file);
    if (read === 'gone') {
      const key = this.#keyOfFile.get(file);
      if (key !== undefined) this.#desired.delete(key);
      this.#keyOfFile.delete(file);
    } else if (read !== undefined) this.#want(read);
  }

  /** Rule 3. */
  async #relist(): Promise<void> {
    if (this.#watcher === undefined) this.#watch();
    const names = await readdir(this.folder).catch(() => []);
    const found = new Map<string, StaticPod>();
    for (const name of names.filter((n) => !n.startsWith('.')).sort()) {
      const pod = await this.#read(join(this.folder, name));
      if (typeof pod === 'object') found.set(pod.key, pod);
    }
    for (const key of [...this.#desired.keys()]) if (!found.has(key)) this.#desired.delete(key);
    for (const pod of found.values()) this.#want(pod);
  }

  /** undefined for what is no pod: refused, a folder, a socket. */
  async #read(file: string): Promise<StaticPod | 'gone' | undefined> {
    let bytes: Uint8Array;
    try {
      if (!(await stat(file)).isFile()) return undefined;
      bytes = await readFile(file);
    } catch {
      return 'gone';
    }
    const decoded = decodeStaticPod(bytes, file);
    if ('invalid' in decoded) {
      this.#event('Refused', `${file}: ${decoded.invalid}`);
      return undefined;
    }
    this.#keyOfFile.set(file, decoded.pod.key);
    return decoded.pod;
  }

  /** Rule 5. */
  #want(pod: StaticPod): void {
    if (this.#desired.get(pod.key)?.pod.uid === pod.uid) return;
    this.#desired.set(pod.key, { pod, appliedAt: Date.now() });
    this.#event('Applied', pod.key);
  }

  /** Rule 6: a pod starts only where none of its name runs. */
  #reconcile(): void {
    if (this.#stopped) return;
    for (const [key, run] of this.#running) if (this.#desired.get(key)?.pod.uid !== run.pod.uid) run.end();
    for (const [key, { pod }] of this.#desired) {
      if (this.#running.has(key)) continue;
      const place = { root: this.#options.root, scratch: this.#scratch.path };
      const run = new PodRun(pod, { place, times: this.#times, resolve: this.#options.resolve });
      this.#running.set(key, run);
      this.#event('Started', key);
      void run.ended.then(() => {
        this.#running.delete(key);
        this.#event('Gone', key);
        this.#reconcile();
      });
    }
  }

  #event(what: Event['what'], about: string): void {
    this.events.push({ at: Date.now(), what, about });
  }
}
