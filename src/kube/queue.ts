/**
 * A queue of keys for reconciling, with the guarantees of client-go's: a key waits at most once however often it is
 * added; it is never worked on twice at a time; what is added while it is worked on is worked on afterwards; failures
 * of one key wait longer each time without holding up others. What is only looked at to be sure (all keys, when a leader
 * begins) lets pass what changed; and between two keys everything else in this process has its turn. Nothing else is
 * promised: no order, no persistence.
 * Reconcilers look at the world, not at the number of their calls. Called by controllers and agent.
 */
import type { KubeMetrics } from '../telemetry/kube-metrics.ts';
import type { Logger } from '../telemetry/logger.ts';
import { backoffMs, onAbort, scope, systemClock } from './wait.ts';
import type { Clock, Random } from './wait.ts';

/**
 * What became of a key. Done: the failures are forgotten. Again: the same, and look again in `afterMs`. Retry: wait
 * longer than the last time, at least `afterMs`.
 */
export type Outcome =
  | { readonly kind: 'Done' }
  | { readonly kind: 'Again'; readonly afterMs: number }
  | { readonly kind: 'Retry'; readonly afterMs?: number };

export type QueueOptions = {
  /** Label of metrics and logs. */
  readonly name: string;
  readonly log: Logger;
  readonly metrics: KubeMetrics;
  /** Default 50 ms. */
  readonly firstRetryMs?: number;
  /** Default 60 s. */
  readonly maxRetryMs?: number;
  readonly clock?: Clock;
  readonly random?: Random;
  /** Runs it when everything else that is due has run; default: in the next round of the event loop. */
  readonly nextRound?: (run: () => void) => void;
};

export type WorkOptions<K> = {
  readonly workers: number;
  readonly reconcile: (key: K, signal: AbortSignal) => Promise<Outcome>;
  /** Awaited before each key is taken: leadership, an API server that answers. Keys added meanwhile wait, deduplicated. */
  readonly gate?: (signal: AbortSignal) => Promise<void>;
  /** How long work in flight may take to end after the signal, before its own signal aborts. Default 10 s. */
  readonly graceMs?: number;
};

export interface WorkQueue<K extends string> {
  readonly depth: number;
  readonly inFlight: number;
  /** At once, but for a key that failed several times in a row: that one has its turn within a second. */
  add(key: K): void;
  /** Lets others pass, but for one in eight, so that it has its turn; until `add` says that it is wanted now. */
  addIdle(key: K): void;
  /** Adds in `ms`; the earlier of two wins. 0 adds now. */
  addAfter(key: K, ms: number): void;
  /** Works until the signal aborts, and resolves when everything in flight has ended. */
  work(options: WorkOptions<K>, signal: AbortSignal): Promise<void>;
}

/** A key that failed so often in a row is worked on at most once in so long, however often it is added. */
const CALM_FAILURES = 3;
const CALM_MS = 1_000;
/** One in so many that are taken is one that lets others pass. */
const IDLE_SHARE = 8;

class KeyQueue<K extends string> implements WorkQueue<K> {
  readonly #o: QueueOptions;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #nextRound: (run: () => void) => void;
  /** Waiting keys in order, with the time they were added. */
  readonly #waiting = new Map<K, number>();
  /** The same, of those that let others pass. */
  readonly #resting = new Map<K, number>();
  #taken = 0;
  readonly #working = new Set<K>();
  /** Added again while they are worked on. */
  readonly #dirty = new Set<K>();
  readonly #later = new Map<K, { readonly at: number; readonly timer: NodeJS.Timeout }>();
  readonly #failures = new Map<K, number>();
  readonly #idle: (() => void)[] = [];
  /** Workers that are about to take a key. */
  readonly #turns: (() => void)[] = [];
  #closed = false;

  constructor(options: QueueOptions) {
    this.#o = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#nextRound = options.nextRound ?? setImmediate;
  }

  get depth(): number {
    return this.#waiting.size + this.#resting.size;
  }
  get inFlight(): number {
    return this.#working.size;
  }

  add(key: K): void {
    if (this.#closed) return;
    if (this.#waiting.has(key) || this.#dirty.has(key)) return;
    // Whoever makes a key fail by writing all the time also adds it all the time.
    if ((this.#failures.get(key) ?? 0) >= CALM_FAILURES && !this.#working.has(key)) this.addAfter(key, CALM_MS);
    else this.#addNow(key);
  }

  #addNow(key: K): void {
    if (this.#waiting.has(key) || this.#dirty.has(key)) return;
    const since = this.#resting.get(key);
    if (since !== undefined) {
      this.#resting.delete(key);
      this.#waiting.set(key, since);
      return;
    }
    this.#o.metrics.queueAdded(this.#o.name);
    if (this.#working.has(key)) this.#dirty.add(key);
    else this.#wait(key, this.#waiting);
  }

  addIdle(key: K): void {
    if (this.#closed || this.#waiting.has(key) || this.#resting.has(key) || this.#dirty.has(key)) return;
    if (this.#working.has(key)) return this.add(key);
    this.#o.metrics.queueAdded(this.#o.name);
    this.#wait(key, this.#resting);
  }

  #wait(key: K, among: Map<K, number>): void {
    among.set(key, this.#clock.monotonicMs());
    this.#o.metrics.queueDepth(this.#o.name, this.depth);
    this.#idle.shift()?.();
  }

  addAfter(key: K, ms: number): void {
    if (this.#closed) return;
    if (ms <= 0) {
      this.add(key);
      return;
    }
    const at = this.#clock.monotonicMs() + ms;
    const pending = this.#later.get(key);
    if (pending !== undefined && pending.at <= at) return;
    clearTimeout(pending?.timer);
    // A timer holds 2^31 ms at most; who asks for more is asked again.
    const timer = setTimeout(
      () => {
        this.#later.delete(key);
        this.#addNow(key);
      },
      Math.min(ms, 2 ** 31 - 1),
    );
    this.#later.set(key, { at, timer });
  }

  async work(options: WorkOptions<K>, signal: AbortSignal): Promise<void> {
    this.#closed = false;
    const inner = scope([]);
    let grace: NodeJS.Timeout | undefined;
    const unhook = onAbort(signal, () => {
      this.#close();
      grace = setTimeout(() => inner.abort('Stopping'), options.graceMs ?? 10_000);
    });
    const workers = Array.from({ length: options.workers }, () => this.#worker(options, signal, inner.signal));
    try {
      await Promise.all(workers);
    } finally {
      clearTimeout(grace);
      unhook();
      inner.dispose();
    }
  }

  /** What waits is dropped: whoever starts next lists everything anyway. */
  #close(): void {
    this.#closed = true;
    for (const { timer } of this.#later.values()) clearTimeout(timer);
    this.#later.clear();
    this.#waiting.clear();
    this.#resting.clear();
    this.#dirty.clear();
    this.#failures.clear();
    this.#o.metrics.queueDepth(this.#o.name, 0);
    for (const wake of this.#idle.splice(0)) wake();
  }

  async #worker(options: WorkOptions<K>, signal: AbortSignal, inner: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (options.gate !== undefined) await options.gate(signal);
      await this.#turn();
      if (signal.aborted) return;
      const key = this.#take();
      if (key === undefined) await new Promise<void>((resolve) => void this.#idle.push(resolve));
      else await this.#one(key, options, inner);
    }
  }

  /**
   * One key for each round of the event loop: work that asks nobody for anything would hold up everything else until no key
   * is left, the renewal of a lease and the news of watches among it.
   */
  #turn(): Promise<void> {
    return new Promise((resolve) => {
      this.#turns.push(resolve);
      if (this.#turns.length === 1) this.#nextRound(() => this.#nextTurn());
    });
  }

  #nextTurn(): void {
    this.#turns.shift()?.();
    if (this.#turns.length > 0) this.#nextRound(() => this.#nextTurn());
  }

  #take(): K | undefined {
    const isTheirs = this.#waiting.size === 0 || (++this.#taken % IDLE_SHARE === 0 && this.#resting.size > 0);
    const from = isTheirs ? this.#resting : this.#waiting;
    const first = from.entries().next();
    if (first.done === true) return undefined;
    const [key, since] = first.value;
    from.delete(key);
    this.#working.add(key);
    const { metrics, name } = this.#o;
    metrics.queueDepth(name, this.depth);
    metrics.queueInFlight(name, this.#working.size);
    metrics.queueWaited(name, (this.#clock.monotonicMs() - since) / 1000);
    return key;
  }

  async #one(key: K, options: WorkOptions<K>, inner: AbortSignal): Promise<void> {
    const { metrics, name, log } = this.#o;
    const begun = this.#clock.monotonicMs();
    let outcome: Outcome;
    let threw = false;
    try {
      outcome = await options.reconcile(key, inner);
    } catch (thrown) {
      threw = true;
      outcome = { kind: 'Retry' };
      log.error({ queue: name, key, err: thrown }, 'reconcile threw');
    }
    const seconds = (this.#clock.monotonicMs() - begun) / 1000;
    metrics.queueWorked(name, threw ? 'Threw' : outcome.kind, seconds);
    this.#working.delete(key);
    metrics.queueInFlight(name, this.#working.size);
    this.#finish(key, outcome);
  }

  #finish(key: K, outcome: Outcome): void {
    if (this.#closed) return;
    const again = this.#dirty.delete(key);
    switch (outcome.kind) {
      case 'Done':
        this.#failures.delete(key);
        break;
      case 'Again':
        this.#failures.delete(key);
        this.addAfter(key, outcome.afterMs);
        break;
      case 'Retry': {
        const n = this.#failures.get(key) ?? 0;
        this.#failures.set(key, n + 1);
        this.#o.metrics.queueRetried(this.#o.name);
        const options = { firstMs: this.#o.firstRetryMs ?? 50, maxMs: this.#o.maxRetryMs ?? 60_000 };
        this.addAfter(key, Math.max(backoffMs(n, options, this.#random), outcome.afterMs ?? 0));
        break;
      }
    }
    // Something changed meanwhile: that is looked at at once, as long as it does not fail again and again.
    if (again) this.add(key);
  }
}

export const createWorkQueue = <K extends string = string>(options: QueueOptions): WorkQueue<K> =>
  new KeyQueue<K>(options);
