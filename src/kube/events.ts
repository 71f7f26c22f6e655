/**
 * Kubernetes events for people who run `kubectl describe`: best effort, never in the way. Repeats of one event become a
 * count in its series; each object has a budget, so that a loop cannot fill etcd; a full queue drops. Where thousands of
 * objects have something to say at once, most of the time is left to what they say it about. Events are no record: what must
 * not get lost is in status. Called by controllers and agent. Notes must hold no secrets.
 */
import type { KubeMetrics } from '../telemetry/kube-metrics.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { KubeClient } from './client.ts';
import type { ApiHealth } from './health.ts';
import type { KubeObject, ObjectMeta, Resource } from './types.ts';
import { delay, onAbort, systemClock } from './wait.ts';
import type { Clock } from './wait.ts';

export const EVENTS: Resource = {
  group: 'events.k8s.io',
  version: 'v1',
  plural: 'events',
  kind: 'Event',
  namespaced: true,
};

export type EventNote = {
  readonly regarding: KubeObject;
  readonly type: 'Normal' | 'Warning';
  /** CamelCase, stable: `RolledBack`. */
  readonly reason: string;
  /** What we were doing: `Install`. */
  readonly action: string;
  /** For people; cut at 1 KiB, the API's limit. */
  readonly note: string;
  /** Of one that must not come twice, whoever tells it: the end of its name. */
  readonly id?: string;
  /** What became of it, once, for who would tell it again; not called when the process ends first. */
  readonly done?: (how: EventEnd) => void;
};

/** `Lost`: the API could not be reached, or there were too many. `Refused`: it would be so each time. */
export type EventEnd = 'Told' | 'Lost' | 'Refused';

export type EventRecorderOptions = {
  readonly client: KubeClient;
  readonly health: ApiHealth;
  readonly log: Logger;
  readonly metrics: KubeMetrics;
  /** `auditconfig.dev/controller` */
  readonly reportingController: string;
  /** Pod or node name. */
  readonly reportingInstance: string;
  readonly clock?: Clock;
};

export interface EventRecorder {
  /** Returns at once. */
  record(event: EventNote): void;
  /** Sends until the signal aborts. Call once. */
  run(signal: AbortSignal): Promise<void>;
}

const MAX_QUEUED = 1_000;
const MAX_NOTE_BYTES = 1_024;
const TRIES = 3;
/** After each it waits so many times as long as that took: of a server that has much to do, they take little. */
const REST = 4;
const MAX_REST_MS = 1_000;
/** An event repeated within this is the same series (client-go's six minutes). */
const SERIES_MS = 6 * 60_000;
/** Each object may have this many events at once, and one more each refill. */
const BURST = 25;
const REFILL_MS = 5 * 60_000;
const MAX_REMEMBERED = 4_096;

/** The object itself is not kept until its turn has come: only what an Event says of it. */
type Waiting = Omit<EventNote, 'regarding'> & {
  readonly regarding: Pick<KubeObject, 'apiVersion' | 'kind'> &
    Pick<ObjectMeta, 'name'> & {
      readonly [K in 'namespace' | 'uid' | 'resourceVersion']: string | undefined;
    };
  /** When it happened, in ms since the epoch. */
  readonly at: number;
};

function waiting({ regarding, ...event }: EventNote, at: number): Waiting {
  const { apiVersion, kind, metadata } = regarding;
  const { name, namespace, uid, resourceVersion } = metadata;
  const note = cutBytes(event.note, MAX_NOTE_BYTES);
  return { ...event, note, regarding: { apiVersion, kind, name, uid, resourceVersion, namespace }, at };
}

type Sent = { readonly namespace: string; readonly name: string; count: number; at: number };
type Budget = { tokens: number; at: number };

const microTime = (wallMs: number): string => new Date(wallMs).toISOString().replace('Z', '000Z');

function cutBytes(text: string, max: number): string {
  const bytes = Buffer.from(text);
  // A cut character decodes as U+FFFD, which goes too.
  return bytes.length <= max
    ? text
    : `${bytes
        .subarray(0, max - 3)
        .toString('utf8')
        .replace(/�+$/, '')}...`;
}

/** Forgets the oldest beyond the limit; Maps keep insertion order. */
function remember<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > MAX_REMEMBERED) map.delete(map.keys().next().value ?? '');
}

class Recorder implements EventRecorder {
  readonly #o: EventRecorderOptions;
  readonly #clock: Clock;
  readonly #queue: Waiting[] = [];
  readonly #sent = new Map<string, Sent>();
  readonly #budgets = new Map<string, Budget>();
  #wake: (() => void) | undefined;
  #serial = 0;

  constructor(options: EventRecorderOptions) {
    this.#o = options;
    this.#clock = options.clock ?? systemClock;
  }

  record(event: EventNote): void {
    if (this.#queue.length >= MAX_QUEUED || !this.#spend(event)) {
      this.#o.metrics.eventSent('dropped');
      event.done?.('Lost');
      return;
    }
    this.#queue.push(waiting(event, this.#clock.wallMs()));
    this.#wake?.();
  }

  #spend({ regarding }: EventNote): boolean {
    const key = regarding.metadata.uid ?? `${regarding.kind}/${regarding.metadata.name}`;
    const now = this.#clock.monotonicMs();
    const old = this.#budgets.get(key) ?? { tokens: BURST, at: now };
    const tokens = Math.min(BURST, old.tokens + (now - old.at) / REFILL_MS);
    remember(this.#budgets, key, { tokens: tokens < 1 ? tokens : tokens - 1, at: now });
    return tokens >= 1;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const event = this.#queue.shift();
      if (event === undefined) await this.#next(signal);
      else {
        const begun = this.#clock.monotonicMs();
        await this.#send(event, signal);
        const took = this.#clock.monotonicMs() - begun;
        if (this.#queue.length > 0 && took > 0) await delay(Math.min(REST * took, MAX_REST_MS), signal);
      }
    }
  }

  async #next(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const unhook = onAbort(signal, resolve);
      this.#wake = () => {
        unhook();
        resolve();
      };
    });
    this.#wake = undefined;
  }

  async #send(event: Waiting, signal: AbortSignal): Promise<void> {
    const { metrics, health } = this.#o;
    for (let attempt = 0; attempt < TRIES && !signal.aborted; attempt++) {
      await health.whenUp(60_000, signal);
      const result = await this.#once(event, signal);
      if (result === 'created' || result === 'updated') {
        metrics.eventSent(result);
        event.done?.('Told');
        return;
      }
      if (result === 'stop') return this.#failed(event, 'Refused');
      await delay(500 * 2 ** attempt, signal);
    }
    if (!signal.aborted) this.#failed(event, 'Lost');
  }

  #failed({ reason, done }: Waiting, how: EventEnd): void {
    this.#o.metrics.eventSent('failed');
    this.#o.log.debug({ reason }, 'an event could not be written');
    done?.(how);
  }

  async #once(event: Waiting, signal: AbortSignal): Promise<'created' | 'updated' | 'again' | 'stop'> {
    const { client } = this.#o;
    const key = this.#keyOf(event);
    const now = this.#clock.monotonicMs();
    const before = this.#sent.get(key);
    if (before !== undefined && now - before.at < SERIES_MS) {
      const series = { count: before.count + 1, lastObservedTime: microTime(this.#clock.wallMs()) };
      const patched = await client.mergePatch(EVENTS, before, { series }, { signal });
      if (patched.ok) {
        remember(this.#sent, key, { ...before, count: before.count + 1, at: now });
        return 'updated';
      }
      // Events live for an hour; the server's may be gone. Anything else is tried again.
      if (patched.error.code !== 'NotFound') return 'again';
    }
    const object = this.#objectOf(event);
    const created = await client.create(EVENTS, object, { signal });
    if (created.ok) {
      const { namespace = '', name } = object.metadata;
      remember(this.#sent, key, { namespace, name, count: 1, at: now });
      return 'created';
    }
    // By a former life, which did not hear the answer.
    if (event.id !== undefined && created.error.code === 'AlreadyExists') return 'created';
    return created.error.code === 'Invalid' || created.error.code === 'Forbidden' ? 'stop' : 'again';
  }

  #keyOf({ regarding, type, reason, action, note }: Waiting): string {
    const { uid, namespace, name } = regarding;
    return JSON.stringify([regarding.kind, namespace, name, uid, type, reason, action, note]);
  }

  #objectOf({ regarding, type, reason, action, note, id, at: happened }: Waiting): KubeObject {
    const { name, namespace } = regarding;
    const at = microTime(happened);
    // Unique for this process; client-go's form. Names hold 253 characters.
    const suffix = id ?? `${this.#clock.wallMs().toString(16)}${(this.#serial++).toString(16).padStart(4, '0')}`;
    return {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      // Events of cluster-scoped objects live in default.
      metadata: { namespace: namespace ?? 'default', name: `${name.slice(0, 200)}.${suffix}` },
      eventTime: at,
      type,
      reason,
      action,
      note,
      reportingController: this.#o.reportingController,
      reportingInstance: this.#o.reportingInstance,
      regarding,
    };
  }
}

export const createEventRecorder = (options: EventRecorderOptions): EventRecorder => new Recorder(options);
