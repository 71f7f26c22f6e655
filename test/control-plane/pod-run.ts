/**
 * Runs one static pod from its first start to its last end: mounts, start, crash, back-off, start again, until it is
 * told to end. manifest-runner.ts makes one for each pod UID and never two for one pod name.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { mapArgs, setUpMounts } from './mounts.ts';
import type { Place } from './mounts.ts';
import { PodLog } from './pod-log.ts';
import { hideProcess, showProcess } from './proc-view.ts';
import { ServerProcess } from './process.ts';
import type { Command, Exit } from './process.ts';
import type { Container, StaticPod } from './static-pod.ts';

/** Milliseconds. */
export type RunnerTimes = {
  readonly relist: number;
  /** Before the second restart after a crash; the first is at once. Doubles up to `maxBackoff`. */
  readonly backoff: number;
  readonly maxBackoff: number;
  /** At most this long between SIGTERM and SIGKILL, whatever the pod's grace period. */
  readonly maxGrace: number;
  readonly mountRetry: number;
};

/** The kubelet's own: fileCheckFrequency, CrashLoopBackOff, no cap on the grace period. */
export const KUBELET_TIMES: RunnerTimes = {
  relist: 20_000,
  backoff: 10_000,
  maxBackoff: 300_000,
  maxGrace: Infinity,
  mountRetry: 500,
};
/** For tests that are not about times: the same order of things, in seconds. */
export const QUICK_TIMES: RunnerTimes = {
  relist: 1_000,
  backoff: 500,
  maxBackoff: 4_000,
  maxGrace: 2_000,
  mountRetry: 100,
};

export type ContainerPhase = 'Waiting' | 'FailedMount' | 'Running' | 'BackOff' | 'Ended';

/** What to execute for a container's command: the program on this machine. undefined: there is no such image. */
export type Resolve = (container: Container) => { readonly file: string; readonly args: readonly string[] } | undefined;

const KEPT_LINES = 4_000;

class ContainerRun {
  phase: ContainerPhase = 'Waiting';
  message = '';
  /** Milliseconds since 1970, each of them. */
  readonly starts: number[] = [];
  process: ServerProcess | undefined;
  lastExit: Exit | undefined;
  #before: string[] = [];

  get lines(): readonly string[] {
    return [...this.#before, ...(this.process?.lines ?? [])];
  }

  start(command: Command): ServerProcess {
    this.#before = this.lines.slice(-KEPT_LINES);
    this.process = new ServerProcess(command);
    this.starts.push(this.process.startedAt);
    this.phase = 'Running';
    this.message = '';
    return this.process;
  }

  /** A start that a container runtime refuses, or that dies before its first line. */
  failStart(line: string): void {
    this.#before = [...this.lines, line].slice(-KEPT_LINES);
    this.process = undefined;
    this.starts.push(Date.now());
    this.lastExit = { code: 1, signal: null };
  }
}

export type PodRunOptions = { readonly place: Place; readonly times: RunnerTimes; readonly resolve: Resolve };

export class PodRun {
  readonly pod: StaticPod;
  /** Settles when every process of it is gone; never rejects. */
  readonly ended: Promise<void>;
  readonly containers: readonly ContainerRun[];
  readonly #options: PodRunOptions;
  readonly #end = new AbortController();

  constructor(pod: StaticPod, options: PodRunOptions) {
    this.pod = pod;
    this.#options = options;
    this.containers = pod.containers.map(() => new ContainerRun());
    this.ended = Promise.all(pod.containers.map((c, i) => this.#run(c, this.containers[i] ?? new ContainerRun()))).then(
      () => rm(this.#scratch, { recursive: true, force: true, maxRetries: 3 }),
    );
  }

  get ending(): boolean {
    return this.#end.signal.aborted;
  }

  end(): void {
    this.#end.abort();
  }

  get #scratch(): string {
    return join(this.#options.place.scratch, this.pod.uid);
  }

  /** Resolves early when the pod is to end. */
  async #wait(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#end.signal }).catch(() => undefined);
  }

  async #run(container: Container, run: ContainerRun): Promise<void> {
    const { times } = this.#options;
    const log = new PodLog(this.#options.place.root, this.pod, container);
    let delay = 0;
    while (!this.ending) {
      const command = await this.#prepare(container);
      if (this.ending) break;
      if ('failedMount' in command) {
        run.phase = 'FailedMount';
        run.message = command.failedMount;
        await this.#wait(times.mountRetry);
        continue;
      }
      const startedAt = Date.now();
      await log.next();
      if ('failedStart' in command) {
        log.write('stderr', command.failedStart);
        run.failStart(command.failedStart);
      } else {
        const onLine: Command['onLine'] = (stream, line) => log.write(stream, line);
        await this.#shown(run.start({ ...command, onLine }), container, run);
      }
      if (this.ending) break;
      // Twice the longest back-off without a crash, and it begins anew (client-go's flowcontrol.Backoff).
      if (Date.now() - startedAt > 2 * times.maxBackoff) delay = 0;
      run.phase = 'BackOff';
      run.message = `back-off ${delay} ms restarting failed container ${container.name}`;
      await this.#wait(delay);
      delay = delay === 0 ? times.backoff : Math.min(delay * 2, times.maxBackoff);
    }
    run.phase = 'Ended';
  }

  async #shown(process: ServerProcess, container: Container, run: ContainerRun): Promise<void> {
    const { root } = this.#options.place;
    const { pid } = process;
    if (pid !== undefined) await showProcess(root, pid, container.argv);
    await this.#untilExit(process, run);
    if (pid !== undefined) await hideProcess(root, pid);
  }

  async #untilExit(process: ServerProcess, run: ContainerRun): Promise<void> {
    const ending = new Promise<void>((resolve) => {
      if (this.ending) resolve();
      else this.#end.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await Promise.race([process.exited, ending]);
    if (process.exit === undefined) await process.end(Math.min(this.pod.gracePeriodMs, this.#options.times.maxGrace));
    run.lastExit = await process.exited;
  }

  async #prepare(container: Container): Promise<Command | { failedMount: string } | { failedStart: string }> {
    const place = { root: this.#options.place.root, scratch: this.#scratch };
    await rm(join(place.scratch, 'rootfs'), { recursive: true, force: true });
    await mkdir(join(place.scratch, 'rootfs'), { recursive: true });
    const set = await setUpMounts(this.pod, container, place);
    if ('failed' in set) return { failedMount: set.failed };
    const program = this.#options.resolve(container);
    if (program === undefined) return { failedMount: `ErrImagePull: nothing here runs ${container.image}` };
    const mapped = mapArgs(container.argv.slice(1), set.mounts, place.scratch);
    if ('failed' in mapped) return { failedStart: mapped.failed };
    const env = { PATH: process.env['PATH'], ...container.env };
    return { file: program.file, args: [...program.args, ...mapped.args], env };
  }
}
