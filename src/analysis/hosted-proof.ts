/**
 * Does a hosted API server audit? Its log lies in a pod, where nobody looks; so it is judged from what it counts itself
 * while it answers requests that its policy records: events, their levels, and errors of its log. Too few is proof that
 * something is wrong; enough is proof that they were made and handed to the log, and not that they can be read there.
 * Pure; called by src/controllers/hosted/looks.ts. Source: k8s.io/apiserver pkg/audit/metrics.go (level_total counts
 * requests, event_total events), plugin/pkg/audit/log.
 */
import type { HostedProofResult } from '../api/auditconfig.ts';
import type { Chosen, Probe } from './proof.ts';
import { absentIn, GET_VERSION, WHO_AM_I } from './proof.ts';

/** So many at once: a single event could be anybody's. */
export const PROBES = 5;

/** Each changes nothing. Whether it is allowed does not matter: what is refused is recorded as well. */
export const HOSTED_PROBES: readonly Probe[] = [
  WHO_AM_I,
  absentIn('secrets', 'default'),
  absentIn('configmaps', 'default'),
  GET_VERSION,
];

/** As of one moment, of one process of the API server */
export type AuditCounters = {
  /** When the process started, in seconds since 1970. */
  readonly startedAt: number;
  readonly events: number;
  /** Requests by the level of their events. */
  readonly levels: ReadonlyMap<string, number>;
  /** Events that could not be written to the log. */
  readonly logErrors: number;
};

const SAMPLE = /^(process_start_time_seconds|apiserver_audit_(?:event|level|error)_total)(?:\{(.*)\})? ([0-9.eE+-]+)$/;

/** Reads an API server's metrics line by line. */
export class AuditCounterReader {
  readonly #levels = new Map<string, number>();
  #startedAt: number | undefined;
  #events = 0;
  #logErrors = 0;

  line(text: string): void {
    const [, name, labels = '', digits] = SAMPLE.exec(text) ?? [];
    const value = Number(digits);
    if (name === undefined || !Number.isFinite(value)) return;
    const label = (key: string): string => new RegExp(`(?:^|,)${key}="([^"]*)"`).exec(labels)?.[1] ?? '';
    if (name === 'process_start_time_seconds') this.#startedAt = value;
    else if (name === 'apiserver_audit_event_total') this.#events += value;
    else if (name === 'apiserver_audit_level_total') this.#levels.set(label('level'), value);
    else if (label('plugin') === 'log') this.#logErrors += value;
  }

  /** Undefined where the text was no API server's metrics. */
  counters(): AuditCounters | undefined {
    if (this.#startedAt === undefined) return undefined;
    return { startedAt: this.#startedAt, events: this.#events, levels: this.#levels, logErrors: this.#logErrors };
  }
}

export type Counted = { readonly result: HostedProofResult; readonly message: string };

/** What the counters say of PROBES requests that were answered between the two. */
export function judgeCounted({ probe, expected }: Chosen, before: AuditCounters, after: AuditCounters): Counted {
  if (before.startedAt !== after.startedAt)
    return { result: 'NoAnswer', message: 'its answers came from different API servers, or it was restarted' };
  const events = after.events - before.events;
  const atLevel = (after.levels.get(expected.level) ?? 0) - (before.levels.get(expected.level) ?? 0);
  const what = `${PROBES} requests (${probe.name}) that the policy records at ${expected.level}`;
  if (events < PROBES * expected.stages.length || atLevel < PROBES)
    return {
      result: 'EventMissing',
      message: `of ${what} the API server counted ${Math.min(atLevel, PROBES)} at that level, and ${events} events in all`,
    };
  const errors = after.logErrors - before.logErrors;
  if (errors > 0)
    return { result: 'EventMissing', message: `the API server could not write ${errors} events to its log` };
  return { result: 'EventCounted', message: `the API server counted the events of ${what}, and no error of its log` };
}
