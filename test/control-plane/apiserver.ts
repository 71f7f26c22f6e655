/** The two ways in which plane.ts runs a kube-apiserver: as a child of this process, or as a static pod. */
import { writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ManifestRunner } from './manifest-runner.ts';
import type { Resolve, RunnerTimes } from './pod-run.ts';
import type { Container } from './static-pod.ts';
import { ServerProcess } from './process.ts';
import type { Exit } from './process.ts';

/** The kube-apiserver process, as a test looks at it. */
export type ApiServerView = {
  /** undefined while none runs. */
  readonly pid: number | undefined;
  /** Milliseconds since 1970; of the newest process, running or not; 0 before the first. */
  readonly startedAt: number;
  readonly running: boolean;
  /** Its last lines on standard error, oldest first; of earlier starts too. */
  readonly lines: readonly string[];
};

export interface ApiServerRunner {
  readonly view: ApiServerView;
  /** Whether it is started again by itself when it ends. */
  readonly restarts: boolean;
  start(): Promise<void>;
  /** Resolves when the process that ran at the call is gone. */
  kill(signal: NodeJS.Signals): Promise<Exit>;
  stop(): Promise<void>;
}

export class DirectRunner implements ApiServerRunner {
  readonly restarts = false;
  #process: ServerProcess | undefined;
  #before: readonly string[] = [];
  readonly #file: string;
  readonly #flags: readonly string[];

  constructor(file: string, flags: readonly string[]) {
    this.#file = file;
    this.#flags = flags;
  }

  get view(): ApiServerView {
    const p = this.#process;
    const running = p !== undefined && p.exit === undefined;
    return {
      pid: running ? p.pid : undefined,
      startedAt: p?.startedAt ?? 0,
      running,
      lines: [...this.#before, ...(p?.lines ?? [])],
    };
  }

  start(): Promise<void> {
    if (this.view.running) throw new Error('the kube-apiserver runs already');
    this.#before = this.view.lines.slice(-2_000);
    this.#process = new ServerProcess({ file: this.#file, args: this.#flags });
    return Promise.resolve();
  }

  kill(signal: NodeJS.Signals): Promise<Exit> {
    if (this.#process === undefined) throw new Error('the kube-apiserver was never started');
    this.#process.signal(signal);
    return this.#process.exited;
  }

  async stop(): Promise<void> {
    await this.#process?.end(0);
  }
}

/** namespace/name of kubeadm's static pod. */
export const APISERVER_POD = 'kube-system/kube-apiserver';

export class StaticPodRunner implements ApiServerRunner {
  readonly restarts = true;
  readonly kubelet: ManifestRunner;
  readonly #manifest: { readonly path: string; readonly first: string };
  #written = false;

  constructor(options: {
    root: string;
    apiserver: string;
    times: Partial<RunnerTimes> | undefined;
    manifest: string;
    /** Programs of other static pods. */
    pods: ((container: Container, root: string) => ReturnType<Resolve>) | undefined;
  }) {
    this.kubelet = new ManifestRunner({
      root: options.root,
      times: options.times ?? {},
      resolve: (c) =>
        basename(c.argv[0] ?? '') === 'kube-apiserver'
          ? { file: options.apiserver, args: [] }
          : options.pods?.(c, options.root),
    });
    this.#manifest = { path: join(this.kubelet.folder, 'kube-apiserver.yaml'), first: options.manifest };
  }

  get view(): ApiServerView {
    const process = this.kubelet.process(APISERVER_POD);
    const pod = this.kubelet.pod(APISERVER_POD);
    return {
      pid: process?.pid,
      startedAt: process?.startedAt ?? pod?.processStart ?? 0,
      running: process !== undefined,
      lines: pod?.lines ?? [],
    };
  }

  /** Writes the manifest once; afterwards it is the test's, and only the kubelet's stand-in starts anything. */
  async start(): Promise<void> {
    if (this.#written) return;
    this.#written = true;
    await writeFile(this.#manifest.path, this.#manifest.first, { mode: 0o600 });
    await this.kubelet.start();
  }

  async kill(signal: NodeJS.Signals): Promise<Exit> {
    for (let i = 0; i < 100; i++) {
      const process = this.kubelet.process(APISERVER_POD);
      if (process !== undefined) {
        process.signal(signal);
        return process.exited;
      }
      await sleep(50);
    }
    throw new Error('no kube-apiserver to kill: none was running for five seconds');
  }

  stop(): Promise<void> {
    return this.kubelet.stop();
  }
}
