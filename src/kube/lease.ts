/**
 * Leader election on a coordination.k8s.io/v1 Lease, for a process that restarts API servers: an outage of the API is
 * part of its work, so losing the lease never ends the process, and its own old lease is never waited for.
 *
 * Guarantees: `leading()` is true in one process at a time, and the term's signal aborts when it stops being true.
 * 1. A leader counts from before it sent the renewal that succeeded, by its own monotonic clock, and stops at
 *    `renewDeadlineMs`. A rival counts from when it first saw that renewal, by its own monotonic clock, and takes over
 *    after `durationMs`, which is larger. No clocks are compared; renewTime is for people.
 * 2. Every write carries the resourceVersion that was read: of two that take over, one gets a Conflict.
 * 3. A lease that holds our own identity is renewed at once, however old. So the identity must be of one live process
 *    at a time: a pod's name (a container restarts only after its predecessor has ended), or node name and command.
 * 4. A new term starts only when the work of the last one has ended; the lease is released only then, too.
 * Caveat: a frozen process (SIGSTOP, a paused VM) notices only when it thaws, and a write that is already on its way
 * cannot be called back. `leading()` looks at the clock, not at a timer: ask it before each write.
 */
import type { KubeMetrics } from '../telemetry/kube-metrics.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { KubeClient } from './client.ts';
import { fail, ok } from './errors.ts';
import type { Result } from './errors.ts';
import type { ApiHealth } from './health.ts';
import { isRecord } from './types.ts';
import type { KubeObject, Resource } from './types.ts';
import { delay, scope, systemClock } from './wait.ts';
import type { Clock, Random } from './wait.ts';

export const LEASES: Resource = {
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  kind: 'Lease',
  namespaced: true,
};

export type Term = {
  /** Aborts when leadership ends, for whatever reason. */
  readonly signal: AbortSignal;
  /** By the clock, now. */
  leading(): boolean;
};

export type LeaseOptions = {
  readonly client: KubeClient;
  /** So that the lease is taken back the moment the API server is ready again. */
  readonly health: Pick<ApiHealth, 'up' | 'whenUp'>;
  readonly namespace: string;
  readonly name: string;
  /** Rule 3. */
  readonly identity: string;
  readonly log: Logger;
  readonly metrics: KubeMetrics;
  /** Default 15 s; whole seconds. */
  readonly durationMs?: number;
  /** Default 10 s; less than durationMs. */
  readonly renewDeadlineMs?: number;
  /** Between tries to renew or to take over. Default 2 s. */
  readonly retryMs?: number;
  readonly clock?: Clock;
  readonly random?: Random;
};

export interface Election {
  /** `leading()` of the current term; false between terms. */
  readonly leading: boolean;
  /** Who was seen last; undefined before the first look or when nobody holds it. */
  readonly holder: string | undefined;
  /**
   * Runs until the signal aborts: `lead` is called for each term and should end soon after its signal. When `lead` ends
   * by itself, so does the election. What `lead` throws is thrown, after the lease was released.
   */
  run(lead: (term: Term) => Promise<void>, signal: AbortSignal): Promise<void>;
}

type LeaseRecord = {
  readonly version: string;
  readonly holder: string;
  readonly acquireTime: string | undefined;
  readonly transitions: number;
};

function recordOf(object: KubeObject): LeaseRecord {
  const spec = isRecord(object['spec']) ? object['spec'] : {};
  const { holderIdentity, acquireTime, leaseTransitions } = spec;
  return {
    version: object.metadata.resourceVersion ?? '',
    holder: typeof holderIdentity === 'string' ? holderIdentity : '',
    acquireTime: typeof acquireTime === 'string' ? acquireTime : undefined,
    transitions: typeof leaseTransitions === 'number' ? leaseTransitions : 0,
  };
}

/** MicroTime: RFC 3339 with six digits. */
const microTime = (wallMs: number): string => new Date(wallMs).toISOString().replace('Z', '000Z');

class LeaseElection implements Election {
  readonly #o: LeaseOptions;
  readonly #clock: Clock;
  readonly #durationMs: number;
  readonly #deadlineMs: number;
  readonly #retryMs: number;
  readonly #label: string;
  #record: LeaseRecord | undefined;
  /** When this version of the record was first seen here. */
  #seenAt = -Infinity;
  /** We lead until then; -Infinity between terms. */
  #until = -Infinity;

  constructor(options: LeaseOptions) {
    this.#o = options;
    this.#clock = options.clock ?? systemClock;
    this.#durationMs = options.durationMs ?? 15_000;
    this.#deadlineMs = options.renewDeadlineMs ?? (this.#durationMs * 2) / 3;
    this.#retryMs = options.retryMs ?? 2_000;
    this.#label = `${options.namespace}/${options.name}`;
    if (this.#deadlineMs >= this.#durationMs || this.#retryMs >= this.#deadlineMs)
      throw new Error('a lease needs retryMs < renewDeadlineMs < durationMs');
  }

  get leading(): boolean {
    return this.#clock.monotonicMs() < this.#until;
  }
  get holder(): string | undefined {
    return this.#record === undefined || this.#record.holder === '' ? undefined : this.#record.holder;
  }

  async run(lead: (term: Term) => Promise<void>, signal: AbortSignal): Promise<void> {
    const { log, metrics } = this.#o;
    metrics.leading(this.#label, false);
    let done = false;
    while (!signal.aborted && !done) {
      if (!(await this.#tryOnce(signal, this.#retryMs * 2))) {
        await this.#pause(signal);
        continue;
      }
      if (signal.aborted) {
        await this.#release();
        return;
      }
      log.info({ lease: this.#label, identity: this.#o.identity }, 'leading');
      metrics.leading(this.#label, true);
      try {
        done = await this.#term(lead, signal);
      } finally {
        this.#until = -Infinity;
        metrics.leading(this.#label, false);
        log.info({ lease: this.#label }, 'no longer leading');
      }
    }
  }

  /** True when `lead` ended by itself. */
  async #term(lead: (term: Term) => Promise<void>, signal: AbortSignal): Promise<boolean> {
    const life = scope([signal]);
    let ended = false;
    const work = lead({ signal: life.signal, leading: () => this.leading && !life.signal.aborted }).finally(() => {
      ended = !life.signal.aborted;
      life.abort('Ended');
    });
    // Handled below; here only so that a rejection while we renew is not "unhandled".
    work.catch(() => undefined);
    await this.#renewWhile(life.signal);
    const lost = !life.signal.aborted;
    life.abort('NotLeading');
    if (lost) {
      this.#o.metrics.leaseLost(this.#label);
      this.#o.log.warn({ lease: this.#label }, 'the lease could not be renewed');
    }
    try {
      await work;
    } finally {
      if (!lost) await this.#release();
    }
    return ended;
  }

  /** Returns when the signal aborts, when the deadline passed, or when somebody else holds the lease. */
  async #renewWhile(signal: AbortSignal): Promise<void> {
    const left = (): number => this.#until - this.#clock.monotonicMs();
    let failed = false;
    while (!signal.aborted && this.leading) {
      // A renewal that failed is tried again soon, or the moment the server is back: the deadline does not wait.
      if (failed && !this.#o.health.up) await this.#o.health.whenUp(Math.min(this.#retryMs, left()), signal);
      else await delay(Math.min(failed ? this.#retryMs / 4 : this.#retryMs, left()), signal);
      if (signal.aborted || !this.leading) return;
      failed = !(await this.#tryOnce(signal, Math.min(left(), this.#deadlineMs / 2)));
      if (failed && this.#record !== undefined && this.#record.holder !== this.#o.identity) {
        this.#until = -Infinity;
        return;
      }
    }
  }

  /** One look and, where it is ours to take, one write. True when the lease is ours by a write that succeeded. */
  async #tryOnce(signal: AbortSignal, timeoutMs: number): Promise<boolean> {
    const begun = this.#clock.monotonicMs();
    // It is looked at or written every few seconds for as long as the process lives: that keeps the canary alive, and
    // nothing else need be asked for it.
    const call = { signal, timeoutMs: Math.max(1, timeoutMs), onCanary: true };
    // While leading, what we wrote last is what is there, or the write gets a Conflict and we look.
    if (this.#record === undefined || !this.leading) {
      const seen = await this.#look(call);
      if (!seen.ok) {
        if (seen.error.code !== 'NotFound') return false;
        return this.#won(begun, await this.#create(call));
      }
    }
    if (!this.#mayTake()) return false;
    const sentAt = this.#clock.monotonicMs();
    const written = await this.#write(call);
    if (!written.ok && (written.error.code === 'Conflict' || written.error.code === 'NotFound'))
      this.#record = undefined;
    if (!written.ok && this.leading && this.#record === undefined) await this.#look(call);
    return this.#won(sentAt, written);
  }

  #won(sentAt: number, written: Result<KubeObject>): boolean {
    if (!written.ok) return false;
    this.#see(written.value);
    if (this.#record?.holder !== this.#o.identity) return false;
    this.#until = sentAt + this.#deadlineMs;
    return this.leading;
  }

  #mayTake(): boolean {
    const record = this.#record;
    if (record === undefined) return false;
    if (record.holder === this.#o.identity || record.holder === '') return true;
    return this.#clock.monotonicMs() - this.#seenAt >= this.#durationMs;
  }

  #see(object: KubeObject): void {
    const record = recordOf(object);
    if (record.version !== this.#record?.version) this.#seenAt = this.#clock.monotonicMs();
    this.#record = record;
  }

  async #look(call: { signal: AbortSignal; timeoutMs: number }): Promise<Result<undefined>> {
    const { client, namespace, name } = this.#o;
    const read = await client.get(LEASES, { namespace, name }, call);
    if (!read.ok) return read;
    this.#see(read.value);
    return ok(undefined);
  }

  #create(call: { signal: AbortSignal; timeoutMs: number }): Promise<Result<KubeObject>> {
    const { client, namespace, name, identity } = this.#o;
    const now = microTime(this.#clock.wallMs());
    return client.create(
      LEASES,
      {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { namespace, name },
        spec: {
          holderIdentity: identity,
          leaseDurationSeconds: Math.ceil(this.#durationMs / 1000),
          acquireTime: now,
          renewTime: now,
          leaseTransitions: 0,
        },
      },
      call,
    );
  }

  #write(call: { signal: AbortSignal; timeoutMs: number }): Promise<Result<KubeObject>> {
    const record = this.#record;
    const { client, namespace, name, identity } = this.#o;
    if (record === undefined) return Promise.resolve(fail('NotFound', 'nothing was read'));
    const now = microTime(this.#clock.wallMs());
    const taken = record.holder !== identity;
    return client.mergePatch(
      LEASES,
      { namespace, name },
      {
        metadata: { resourceVersion: record.version },
        spec: {
          holderIdentity: identity,
          leaseDurationSeconds: Math.ceil(this.#durationMs / 1000),
          renewTime: now,
          ...(taken ? { acquireTime: now, leaseTransitions: record.transitions + 1 } : {}),
        },
      },
      call,
    );
  }

  /** Best effort, so that a successor need not wait; with a signal of its own, as ours has aborted. */
  async #release(): Promise<void> {
    const record = this.#record;
    this.#until = -Infinity;
    if (record === undefined || record.holder !== this.#o.identity) return;
    const { client, namespace, name } = this.#o;
    const life = scope([], 2_000);
    const patch = {
      metadata: { resourceVersion: record.version },
      spec: { holderIdentity: '', leaseDurationSeconds: 1 },
    };
    await client.mergePatch(LEASES, { namespace, name }, patch, { signal: life.signal });
    life.dispose();
    this.#record = undefined;
  }

  #pause(signal: AbortSignal): Promise<void> {
    const ms = this.#retryMs * (1 + (this.#o.random ?? Math.random)() / 5);
    return this.#o.health.up ? delay(ms, signal) : this.#o.health.whenUp(ms, signal);
  }
}

export const createElection = (options: LeaseOptions): Election => new LeaseElection(options);
