/**
 * Does the webhook take events? Judged from what the kube-apiserver itself counts: how many events there were, how the
 * requests to the receiver ended, and how many events were given up. A counter of errors alone would tell late: a batch
 * is given up after five attempts, minutes after the receiver died, so the attempts are looked at too. Pure; called by
 * src/agent/delivery.ts. Sources: k8s.io/apiserver pkg/audit/metrics.go, plugin/pkg/audit/{webhook,buffered,truncate};
 * k8s.io/component-base metrics/prometheus/restclient.
 */
import type { DeliveryResult } from '../api/auditnode.ts';

/** As of one moment, of one process of the API server */
export type Counters = {
  /** When the process started, in seconds since 1970: with another one, all counters began anew. */
  readonly startedAt: number;
  readonly events: number;
  /** Events that were given up on their way to the webhook. */
  readonly lost: number;
  /** Requests that the receiver answered with 2xx. */
  readonly taken: number;
  /** All others: HTTP status, or `<error>` where there was no answer. */
  readonly failed: ReadonlyMap<string, number>;
};

const SAMPLE = /^([a-z_]+)(?:\{(.*)\})? ([0-9.eE+-]+)$/;
const LABEL = /([a-z]+)="((?:[^"\\]|\\.)*)"/g;

/** Which samples concern a webhook that is set up so. */
export type Wanted = {
  /** Host and port of the receiver, as the kubeconfig has them. */
  readonly host: string;
  readonly flags: ReadonlyMap<string, string>;
};

/** Plugins whose lost events are the webhook's; those that the log shares are not counted. */
function plugins(flags: Wanted['flags']): readonly string[] {
  const hasLog = (flags.get('--audit-log-path') ?? '') !== '';
  const logBatches = hasLog && flags.get('--audit-log-mode') === 'batch';
  const logCuts = hasLog && flags.get('--audit-log-truncate-enabled') === 'true';
  return ['webhook', ...(logBatches ? [] : ['buffered']), ...(logCuts ? [] : ['truncate'])];
}

/** Reads the API server's metrics line by line: they may be megabytes, of which a dozen lines matter. */
export class CounterReader {
  readonly #host: string;
  readonly #plugins: readonly string[];
  readonly #failed = new Map<string, number>();
  #startedAt: number | undefined;
  #events = 0;
  #lost = 0;
  #taken = 0;

  constructor({ host, flags }: Wanted) {
    this.#host = host.toLowerCase();
    this.#plugins = plugins(flags);
  }

  line(text: string): void {
    if (!/^(apiserver_audit_e|rest_client_requests_total|process_start_time_seconds)/.test(text)) return;
    const [, name, labels = '', digits] = SAMPLE.exec(text) ?? [];
    const value = Number(digits);
    if (!Number.isFinite(value)) return;
    const label = new Map([...labels.matchAll(LABEL)].map((m) => [m[1], m[2] ?? '']));
    if (name === 'process_start_time_seconds') this.#startedAt = value;
    else if (name === 'apiserver_audit_event_total') this.#events += value;
    else if (name === 'apiserver_audit_error_total') {
      if (this.#plugins.includes(label.get('plugin') ?? '')) this.#lost += value;
    } else if (name === 'rest_client_requests_total' && label.get('host')?.toLowerCase() === this.#host)
      this.#request(label.get('code') ?? '', value);
  }

  #request(status: string, value: number): void {
    if (/^2\d\d$/.test(status)) this.#taken += value;
    else this.#failed.set(status, (this.#failed.get(status) ?? 0) + value);
  }

  /** Undefined where the text was no API server's metrics. */
  counters(): Counters | undefined {
    if (this.#startedAt === undefined) return undefined;
    const [events, lost, taken] = [this.#events, this.#lost, this.#taken];
    return { startedAt: this.#startedAt, events, lost, taken, failed: this.#failed };
  }
}

const NONE: Omit<Counters, 'startedAt'> = { events: 0, lost: 0, taken: 0, failed: new Map() };

/** What came since `before`; all of it where the process is another one. */
export function since(before: Counters | undefined, now: Counters): Omit<Counters, 'startedAt'> {
  const b = before?.startedAt === now.startedAt ? before : NONE;
  const failed = [...now.failed].flatMap(([code, n]): [string, number][] => {
    const more = n - (b.failed.get(code) ?? 0);
    return more > 0 ? [[code, more]] : [];
  });
  return {
    events: now.events - b.events,
    lost: now.lost - b.lost,
    taken: now.taken - b.taken,
    failed: new Map(failed),
  };
}

export type Look = {
  /** At the look's begin. */
  readonly first: Counters;
  readonly now: Counters;
  /** At the end of the look before; undefined for the first one. */
  readonly last: Counters | undefined;
  /** Whoever has not answered by now does not answer. */
  readonly isOver: boolean;
};

export type Delivery = {
  readonly result: DeliveryResult;
  readonly message: string;
  /** Since the look before. */
  readonly lost: number;
};

const attempts = (failed: ReadonlyMap<string, number>): number => [...failed.values()].reduce((a, b) => a + b, 0);
const told = (failed: ReadonlyMap<string, number>): string =>
  [...failed].map(([code, n]) => `${n} ${code === '<error>' ? 'without an answer' : `with HTTP ${code}`}`).join(', ');
const plural = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

/** What is to be said; undefined: go on looking. */
export function judgeDelivery({ first, now, last, isOver }: Look): Delivery | undefined {
  const seen = since(first, now);
  const { lost } = since(last ?? first, now);
  const tried = attempts(seen.failed);
  const gone = lost > 0 ? `; ${plural(lost, 'event')} lost since the last look` : '';
  if (seen.taken > 0) {
    if (!isOver && tried > 0) return undefined;
    if (lost > 0) return { result: 'EventsLost', lost, message: `the receiver takes events${gone}` };
    const failing =
      tried > 0 ? `, and ${plural(tried, 'attempt')} failed and will be repeated: ${told(seen.failed)}` : '';
    return {
      result: 'Delivering',
      lost,
      message: `the receiver took ${plural(seen.taken, 'batch').replace('batchs', 'batches')}${failing}`,
    };
  }
  // One attempt may be any network's hiccup, unless nothing better comes.
  if (tried > 1 || (tried > 0 && isOver))
    return { result: 'Failing', lost, message: `every attempt failed: ${told(seen.failed)}${gone}` };
  if (!isOver) return undefined;
  if (lost > 0) return { result: 'Failing', lost, message: `no request was answered${gone}` };
  if (seen.events > 0)
    return {
      result: 'Failing',
      lost,
      message: `${plural(seen.events, 'event')} came up, and no request to the receiver has ended`,
    };
  return { result: 'NoTraffic', lost, message: 'there was no event to deliver' };
}

/** Host and port of the receiver in a kubeconfig that was rendered here; undefined for any other. */
export function receiverOf(kubeconfig: string): string | undefined {
  try {
    const { clusters } = JSON.parse(kubeconfig) as { clusters?: { cluster?: { server?: unknown } }[] };
    const server = clusters?.[0]?.cluster?.server;
    return typeof server === 'string' ? /^https?:\/\/([^/]+)/i.exec(server)?.[1] : undefined;
  } catch {
    return undefined;
  }
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
/** kube-apiserver's own default. */
const DEFAULT_WAIT_MS = 30_000;

/** How long an event may wait for its batch, in ms: that is sent when it is full or its time has come. */
export function batchWaitMs(backend: 'log' | 'webhook', flags: ReadonlyMap<string, string>): number {
  // A webhook batches unless it is told otherwise, a log does not.
  if ((flags.get(`--audit-${backend}-mode`) ?? (backend === 'log' ? 'blocking' : 'batch')) !== 'batch') return 0;
  const m = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(flags.get(`--audit-${backend}-batch-max-wait`) ?? '');
  return m === null ? DEFAULT_WAIT_MS : Number(m[1]) * (UNITS[m[2] ?? ''] ?? 0);
}
