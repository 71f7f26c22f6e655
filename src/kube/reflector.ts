/**
 * A local, current copy of a resource that never gives up: list in pages, watch from there, and whatever happens (the
 * API server is killed, hangs, restarts, forgets our version, sends rubbish, says no) list or watch again. Only its
 * signal ends it. Called by controllers and agent, which get keys of what changed and read the store.
 *
 * 1. A list becomes the truth as its pages arrive; what it did not contain when it ends is deleted (a tombstone).
 * 2. A watch resumes from the last version seen, bookmarks included. Versions are opaque.
 * 3. Gone, by HTTP or inside the stream, means list. So does an outage: every resume across a restart of an API server
 *    was answered by 410, so that trying costs a request and wins nothing.
 * 4. Anything else means: again, after a jittered wait that grows. While the server is away nobody knocks but health.ts.
 * 5. A watch that is silent for two minutes (bookmarks come every minute), or whose server is found dead, is dropped.
 */
import type { KubeMetrics } from '../telemetry/kube-metrics.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { KubeClient, ListCall } from './client.ts';
import { acceptFor } from './client.ts';
import { fail, isConnectionError, ok } from './errors.ts';
import type { KubeError, Result } from './errors.ts';
import type { ApiHealth } from './health.ts';
import { Store } from './store.ts';
import type { Change, Indexes, ReadStore } from './store.ts';
import type { Transport } from './transport.ts';
import { keyOf, pathOf, resourceLabel } from './types.ts';
import type { KubeObject, ObjectKey, Resource } from './types.ts';
import { Backoff, delay, onAbort, scope } from './wait.ts';
import type { Random, Scope } from './wait.ts';
import { eachEvent } from './watch-events.ts';
import type { WatchEvent } from './watch-events.ts';

export type ReflectorOptions<T, I extends string> = {
  readonly resource: Resource;
  readonly client: KubeClient;
  readonly transport: Pick<Transport, 'stream'>;
  readonly health: ApiHealth;
  readonly log: Logger;
  readonly metrics: KubeMetrics;
  /** Keep only what is used: 20,000 whole objects take 10 times the memory of their projections. */
  readonly project: (object: KubeObject) => T;
  readonly indexes: Indexes<T, I>;
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly metadataOnly?: boolean;
  readonly pageSize?: number;
  readonly random?: Random;
  /** For tests: how long a watch may be silent. */
  readonly idleMs?: number;
};

export interface Reflector<T, I extends string = string> {
  readonly store: ReadStore<T, I>;
  /** True once a list was complete; stays true. */
  readonly synced: boolean;
  /** Resolves true when synced, false when the signal aborts first. */
  whenSynced(signal: AbortSignal): Promise<boolean>;
  /** Handlers are called after the store has changed; one that throws is logged and loses nothing else. */
  onChange(handler: (change: Change) => void): () => void;
  /** Runs until the signal aborts. Call once. */
  run(signal: AbortSignal): Promise<void>;
}

/** 100 ms first, since after readyz custom resources answer 429 or 503 for about a second; then ever rarer. */
const BACKOFF = { firstMs: 100, maxMs: 30_000, factor: 1.6 };
/**
 * In this time after an outage a Retry-After of a second is the server's formula, not its load: 300 ms do. Refusals of this
 * time do not lengthen what is waited afterwards: a slow machine's server would be asked again half a minute later.
 */
const WARMING_UP_MS = 5_000;
const WARMING_UP_RETRY_MS = 300;
/** Where nobody watches the server's health (commands), a refused connection is tried again at least this often. */
const REFUSED_RETRY_MS = 1_000;
/** Even with readyz failing for ever (one broken hook), try now and then. */
const OUTAGE_TRY_MS = 5_000;
const IDLE_MS = 120_000;
/** A watch that lived this long was a good one: the next failure starts the backoff anew. */
const GOOD_WATCH_MS = 5_000;

type ListReason = 'Start' | 'Gone' | 'Outage' | 'Failed';
type WatchEnd =
  { readonly reason: 'Ended' | 'Idle' | 'Down' | 'Disturbed' | 'Cancelled' } | { readonly error: KubeError };

class ResourceReflector<T, I extends string> implements Reflector<T, I> {
  readonly store: Store<T, I>;
  readonly #o: ReflectorOptions<T, I>;
  readonly #label: string;
  readonly #random: Random;
  readonly #backoff: Backoff;
  readonly #handlers = new Set<(change: Change) => void>();
  readonly #waiting = new Set<() => void>();
  #synced = false;
  /** Of what the store holds, what the gauge has been told. */
  #counted = 0;
  #version: string | undefined;
  #why: ListReason = 'Start';

  constructor(options: ReflectorOptions<T, I>) {
    this.#o = options;
    this.#label = resourceLabel(options.resource);
    this.#random = options.random ?? Math.random;
    this.#backoff = new Backoff(BACKOFF, this.#random);
    this.store = new Store(options.indexes);
  }

  get synced(): boolean {
    return this.#synced;
  }

  whenSynced(signal: AbortSignal): Promise<boolean> {
    if (this.#synced || signal.aborted) return Promise.resolve(this.#synced);
    return new Promise((resolve) => {
      const done = (): void => {
        unhook();
        this.#waiting.delete(done);
        resolve(this.#synced);
      };
      const unhook = onAbort(signal, done);
      this.#waiting.add(done);
    });
  }

  onChange(handler: (change: Change) => void): () => void {
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }

  async run(signal: AbortSignal): Promise<void> {
    try {
      await this.#follow(signal);
    } finally {
      // Whoever runs no more holds nothing up to date.
      this.#count(0);
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.#version === undefined) {
        const listed = await this.#list(signal);
        if (signal.aborted) return;
        if (!listed.ok) {
          await this.#wait(listed.error, signal);
          continue;
        }
        this.#version = listed.value;
      }
      const begun = performance.now();
      const end = await this.#watch(this.#version, signal);
      if (signal.aborted) return;
      if (performance.now() - begun > GOOD_WATCH_MS) this.#backoff.reset();
      await this.#after(end, signal);
    }
  }

  /** Decides what follows a watch: resume or list, now or later. */
  async #after(end: WatchEnd, signal: AbortSignal): Promise<void> {
    const { log } = this.#o;
    if ('error' in end) {
      log.debug({ resource: this.#label, code: end.error.code, reason: end.error.message }, 'the watch failed');
      if (end.error.code === 'Gone') this.#relist('Gone');
      else if (end.error.code === 'BadResponse') this.#relist('Failed');
      await this.#wait(end.error, signal);
      return;
    }
    log.debug({ resource: this.#label, reason: end.reason }, 'the watch ended');
    switch (end.reason) {
      case 'Down':
        this.#relist('Outage');
        this.#backoff.reset();
        await this.#o.health.whenUp(OUTAGE_TRY_MS, signal);
        break;
      case 'Ended':
        // Normal after its timeout; a server that ends each watch at once must not be asked 248 times a second.
        await delay(this.#backoff.nextMs(), signal);
        break;
      case 'Idle':
      case 'Disturbed':
      case 'Cancelled':
        break;
    }
  }

  #relist(why: ListReason): void {
    this.#version = undefined;
    this.#why = why;
  }

  async #wait(error: KubeError, signal: AbortSignal): Promise<void> {
    const { health } = this.#o;
    if (isConnectionError(error)) {
      // Health has been told and asks; let it find out before deciding whether this is an outage.
      await delay(Math.min(this.#backoff.nextMs(), REFUSED_RETRY_MS), signal);
      if (health.up) return;
    }
    if (!health.up) {
      this.#relist('Outage');
      this.#backoff.reset();
      await health.whenUp(OUTAGE_TRY_MS, signal);
      // All reflectors are let go at once.
      await delay(this.#random() * 50, signal);
      return;
    }
    // A first Gone is normal: list at once.
    if (error.code === 'Gone' && this.#backoff.attempts === 0) {
      this.#backoff.nextMs();
      return;
    }
    if (health.sinceUpMs() < WARMING_UP_MS) await delay(this.#backoff.nextMs(WARMING_UP_RETRY_MS), signal);
    else await delay(Math.max(this.#backoff.nextMs(), error.retryAfterMs ?? 0), signal);
  }

  async #list(signal: AbortSignal): Promise<Result<string>> {
    const { client, resource, log } = this.#o;
    const seen = new Set<ObjectKey>();
    let next: string | undefined;
    let version = '';
    do {
      const page = await client.page(resource, this.#listCall(signal), next);
      if (!page.ok) {
        if (!signal.aborted)
          log.warn({ resource: this.#label, code: page.error.code, reason: page.error.message }, 'cannot list');
        return page;
      }
      for (const object of page.value.items) seen.add(this.#keep(object));
      version = page.value.resourceVersion;
      next = page.value.next;
    } while (next !== undefined && !signal.aborted);
    if (signal.aborted) return fail('Cancelled', 'cancelled');
    for (const key of [...this.store.keys()]) if (!seen.has(key)) this.#tell(this.store.delete(key));
    this.#o.metrics.listed(this.#label, this.#why);
    this.#count(this.store.size);
    log.debug({ resource: this.#label, count: seen.size, why: this.#why }, 'listed');
    this.#synced = true;
    for (const run of [...this.#waiting]) run();
    return ok(version);
  }

  #listCall(signal: AbortSignal): ListCall {
    const { namespace, labelSelector, fieldSelector, metadataOnly, pageSize } = this.#o;
    return {
      signal,
      ...(namespace === undefined ? {} : { namespace }),
      ...(labelSelector === undefined ? {} : { labelSelector }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
      ...(metadataOnly === undefined ? {} : { metadataOnly }),
      ...(pageSize === undefined ? {} : { pageSize }),
    };
  }

  async #watch(from: string, signal: AbortSignal): Promise<WatchEnd> {
    const { transport, health, resource, metrics, namespace } = this.#o;
    let why: 'Idle' | 'Down' | 'Disturbed' | undefined;
    const life = scope([signal]);
    const unhook = health.onTrouble((trouble) => {
      why ??= trouble;
      life.abort(trouble);
    });
    try {
      const stream = await transport.stream({
        method: 'GET',
        path: pathOf(resource, namespace === undefined ? {} : { namespace }),
        query: {
          watch: true,
          allowWatchBookmarks: true,
          resourceVersion: from,
          timeoutSeconds: Math.round(300 + this.#random() * 300),
          labelSelector: this.#o.labelSelector,
          fieldSelector: this.#o.fieldSelector,
        },
        accept: acceptFor(this.#o.metadataOnly, false),
        signal: life.signal,
        about: { verb: 'watch', resource: this.#label },
      });
      if (!stream.ok) return why === undefined ? { error: stream.error } : { reason: why };
      metrics.watchStarted(this.#label);
      const chunks = this.#guardIdle(stream.value.chunks, life, () => (why ??= 'Idle'));
      const read = await eachEvent(chunks, resource, (event) => this.#take(event));
      stream.value.close();
      const end = this.#endOf(read, why, signal);
      metrics.watchEnded(this.#label, 'error' in end ? end.error.code : end.reason);
      return end;
    } finally {
      unhook();
      life.dispose();
    }
  }

  #endOf(read: Result<undefined>, why: 'Idle' | 'Down' | 'Disturbed' | undefined, signal: AbortSignal): WatchEnd {
    if (signal.aborted) return { reason: 'Cancelled' };
    if (why !== undefined) return { reason: why };
    return read.ok ? { reason: 'Ended' } : { error: read.error };
  }

  /** Passes chunks on and drops the watch when none has come for too long. */
  async *#guardIdle(chunks: AsyncIterable<Uint8Array>, life: Scope, idle: () => void): AsyncGenerator<Uint8Array> {
    const ms = this.#o.idleMs ?? IDLE_MS;
    const expire = (): void => {
      idle();
      life.abort('Idle');
    };
    let timer = setTimeout(expire, ms);
    try {
      for await (const chunk of chunks) {
        clearTimeout(timer);
        yield chunk;
        timer = setTimeout(expire, ms);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #take(event: WatchEvent): Result<undefined> {
    this.#o.metrics.watchEvent(this.#label);
    switch (event.type) {
      case 'ERROR':
        return { ok: false, error: event.error };
      case 'BOOKMARK':
        this.#version = event.resourceVersion;
        return ok(undefined);
      case 'ADDED':
      case 'MODIFIED':
        this.#keep(event.object, 'Watched');
        break;
      case 'DELETED':
        this.#tell(this.store.delete(keyOf(event.object.metadata)));
        break;
    }
    this.#version = event.object.metadata.resourceVersion;
    this.#count(this.store.size);
    return ok(undefined);
  }

  #count(now: number): void {
    if (now !== this.#counted) this.#o.metrics.stored(this.#label, now - this.#counted);
    this.#counted = now;
  }

  #keep(object: KubeObject, by?: 'Watched'): ObjectKey {
    const key = keyOf(object.metadata);
    const version = object.metadata.resourceVersion ?? '';
    // After an outage most of thousands are as they were: what is kept of those is not made anew.
    if (this.store.has(key, version)) return key;
    const change = this.store.set(key, version, this.#o.project(object));
    this.#tell(change === undefined || by === undefined ? change : { ...change, version });
    return key;
  }

  #tell(change: Change | undefined): void {
    if (change === undefined) return;
    for (const handler of this.#handlers)
      try {
        handler(change);
      } catch (thrown) {
        this.#o.metrics.handlerFailed(this.#label);
        this.#o.log.error({ resource: this.#label, err: thrown }, 'a change handler threw');
      }
  }
}

/** `project` must not throw: what it throws is a bug of its caller and ends `run`. */
export const createReflector = <T, I extends string>(options: ReflectorOptions<T, I>): Reflector<T, I> =>
  new ResourceReflector(options);
