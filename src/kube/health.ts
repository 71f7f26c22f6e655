/**
 * Is the API server there? One answer for everybody: reflectors wait here instead of each knocking on a dead server,
 * and drop their watches when it dies. After SIGTERM an API server closes its listener and its idle connections at
 * once, but may keep open watches silent for 60 s; so an idle canary connection tells of its end the moment it begins.
 * Every hint (canary closed, a request that failed to connect) leads to one question, GET /readyz, and only its answer
 * decides. Long-running processes call `start`; without it (commands) everything is taken as up. Made by connect.ts.
 *
 * Behind a load balancer canary and watches may sit on different servers: then `onDisturbed` makes the watches of all
 * connections resume when the canary's server goes, and a silent watch on another server lives until that server's
 * grace period ends.
 */
import type { KubeMetrics } from '../telemetry/kube-metrics.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Transport } from './transport.ts';
import { Backoff, delay, onAbort } from './wait.ts';
import type { Random } from './wait.ts';

/** While the server is away: quick, since every 100 ms are added to the recovery, and one request for all of us. */
const PROBE_BACKOFF = { firstMs: 100, maxMs: 300, factor: 1.5 };
const PROBE_TIMEOUT_MS = 3_000;
/**
 * Keeps the canary's connection open (the API server drops idle ones after 90 s), and finds what no FIN told. Left out
 * where another request went over that connection meanwhile: whoever has a lease asks nothing else.
 */
const PING_MS = 30_000;
/**
 * While it starts, a server answers 403 to /readyz before its authorizer is loaded. A user who may really not read it
 * gets nothing but 401, 403 or 404: after this long those count as an answer.
 */
const DENIED_IS_UP_MS = 10_000;

export type HealthOptions = {
  readonly transport: Pick<Transport, 'knock' | 'sinceCanaryMs' | 'onCanaryClosed' | 'onConnectionError'>;
  readonly log: Logger;
  readonly metrics: KubeMetrics;
  readonly random?: Random;
};

export interface ApiHealth {
  readonly up: boolean;
  /** Milliseconds since the server came back; Infinity when it never was away. */
  sinceUpMs(): number;
  /** Watches until the signal aborts. Call once. */
  start(signal: AbortSignal): Promise<void>;
  /** Resolves when the server is ready, when `maxMs` are over, or with the signal. Never rejects. */
  whenUp(maxMs: number, signal: AbortSignal): Promise<void>;
  /** Runs when the server was found dead (`Down`), or when its connections may be (`Disturbed`). Returns the unhook. */
  onTrouble(run: (trouble: 'Down' | 'Disturbed') => void): () => void;
}

class Health implements ApiHealth {
  readonly #options: HealthOptions;
  readonly #trouble = new Set<(trouble: 'Down' | 'Disturbed') => void>();
  readonly #waiting = new Set<() => void>();
  #up = true;
  #upAt = -Infinity;
  #wake: (() => void) | undefined;
  #suspected = false;
  #signal: AbortSignal | undefined;

  constructor(options: HealthOptions) {
    this.#options = options;
    options.transport.onConnectionError(() => this.#suspect());
    options.transport.onCanaryClosed(() => {
      if (!this.#up || this.#signal === undefined) return;
      this.#canaryClosed = true;
      this.#suspect();
    });
  }
  #canaryClosed = false;

  get up(): boolean {
    return this.#up;
  }

  sinceUpMs(): number {
    return performance.now() - this.#upAt;
  }

  #suspect(): void {
    this.#suspected = true;
    this.#wake?.();
  }

  async start(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    this.#options.metrics.apiServerUp(true);
    while (!signal.aborted) {
      if (!this.#suspected && this.#options.transport.sinceCanaryMs() < PING_MS) {
        await this.#idle(signal);
        continue;
      }
      this.#suspected = false;
      const ready = await this.#ready(signal, false);
      if (signal.aborted) break;
      if (!ready) await this.#outage(signal);
      else if (this.#canaryClosed) this.#tell('Disturbed');
      this.#canaryClosed = false;
      await this.#idle(signal);
    }
    this.#release();
  }

  /** Until the next ping is due or somebody suspects something. */
  async #idle(signal: AbortSignal): Promise<void> {
    if (this.#suspected) {
      // A server that fails requests while it says that it is ready must not make us spin.
      await delay(PROBE_BACKOFF.firstMs, signal);
      return;
    }
    await new Promise<void>((resolve) => {
      const due = PING_MS - Math.min(PING_MS, this.#options.transport.sinceCanaryMs());
      const timer = setTimeout(() => this.#wake?.(), Math.max(PROBE_BACKOFF.firstMs, due));
      const unhook = onAbort(signal, () => this.#wake?.());
      this.#wake = () => {
        clearTimeout(timer);
        unhook();
        this.#wake = undefined;
        resolve();
      };
      if (signal.aborted) this.#wake();
    });
  }

  async #outage(signal: AbortSignal): Promise<void> {
    const { log, metrics } = this.#options;
    this.#up = false;
    metrics.apiServerUp(false);
    log.warn({}, 'the API server is away');
    const begun = performance.now();
    this.#tell('Down');
    const backoff = new Backoff(PROBE_BACKOFF, this.#options.random);
    do await delay(backoff.nextMs(), signal);
    while (!signal.aborted && !(await this.#ready(signal, performance.now() - begun > DENIED_IS_UP_MS)));
    if (signal.aborted) return;
    this.#up = true;
    this.#upAt = performance.now();
    metrics.apiServerUp(true);
    log.info({ seconds: Math.round(performance.now() - begun) / 1000 }, 'the API server is back');
    this.#release();
  }

  async #ready(signal: AbortSignal, deniedIsUp: boolean): Promise<boolean> {
    const status = await this.#options.transport.knock('/readyz', signal, PROBE_TIMEOUT_MS);
    if (!status.ok) return false;
    if (status.value >= 200 && status.value < 300) return true;
    const denied = status.value === 401 || status.value === 403 || status.value === 404;
    return denied && (deniedIsUp || this.#up);
  }

  #tell(trouble: 'Down' | 'Disturbed'): void {
    for (const run of [...this.#trouble]) run(trouble);
  }

  #release(): void {
    for (const run of [...this.#waiting]) run();
  }

  whenUp(maxMs: number, signal: AbortSignal): Promise<void> {
    if (this.#up || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        unhook();
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, maxMs);
      const unhook = onAbort(signal, done);
      this.#waiting.add(done);
    });
  }

  onTrouble(run: (trouble: 'Down' | 'Disturbed') => void): () => void {
    this.#trouble.add(run);
    return () => this.#trouble.delete(run);
  }
}

export const createHealth = (options: HealthOptions): ApiHealth => new Health(options);
