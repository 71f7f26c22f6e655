/**
 * What another policy would have written of a log that was recorded. It can only take away: an event or a body that the
 * recording policy left out does not come back, and is counted as unknown, never as nothing. Bytes are those of the lines
 * themselves, less what the other policy would have left out of them, as Go writes JSON. Used by `auditconfig simulate`.
 */
import { LEVELS } from '../api/audit.ts';
import type { Decision, Level, Policy, RequestAttributes, Stage } from '../api/audit.ts';
import { compilePolicy } from '../policy/evaluate.ts';
import { expectedEvents } from '../policy/explain.ts';
import type { AuditEvent } from './events.ts';

/** A line of a log: what it says, and what the policy saw then. */
export type RecordedEvent = {
  readonly event: AuditEvent;
  readonly request: RequestAttributes;
  /** Of the line, with its end. */
  readonly bytes: number;
  readonly requestObject?: unknown;
  readonly responseObject?: unknown;
};

export type Amount = { readonly events: number; readonly bytes: number };

/** Requests alike, and what is lost of them: all, the event of a stage, or what is between two levels. */
export type Loss = Amount & {
  readonly verb: string;
  /** `group/resource/subresource` without what is empty, or a path. */
  readonly what: string;
  readonly user: string;
  readonly kept: Level;
};

export type Simulation = {
  /** Of all that was recorded, what would have been written; a lower bound where something is unknown. */
  readonly written: Amount;
  /** Every rule that decided, in order: what it would have written, and how many events it would not have. */
  readonly rules: readonly (Amount & {
    readonly rule: number | null;
    readonly level: Level;
    readonly dropped: number;
  })[];
  /** Most bytes first. */
  readonly lost: readonly Loss[];
  readonly unknown: {
    /** Events written whose bodies the policy wants, and which were recorded without. */
    readonly bodies: number;
    /** The same with managed fields that the record may have left out. */
    readonly managedFields: number;
    /** Requests whose event of this stage the policy wants, and which is not in the record. */
    readonly stages: Readonly<Partial<Record<Stage, number>>>;
  };
};

const rank = (level: Level): number => LEVELS.indexOf(level);

type Json = Readonly<Record<string, unknown>>;
const isFields = (v: unknown): v is Json => typeof v === 'object' && v !== null && !Array.isArray(v);

const utf8 = new TextEncoder();
/** Bytes of a value in Go's JSON, which escapes these, each to six letters. */
const goBytes = (value: unknown): number =>
  utf8.encode(JSON.stringify(value).replaceAll(/[<>&\u2028\u2029]/g, '\\u....')).length;

const fieldBytes = (name: string, value: unknown): number =>
  value === undefined ? 0 : `,"${name}":`.length + goBytes(value);

function listIn(fields: Json, name: string): readonly unknown[] {
  const list = fields[name];
  return Array.isArray(list) ? (list as unknown[]) : [];
}

/** What may have managed fields: an object itself, the items of a list, the rows of a table. */
function objectsIn(body: unknown): readonly Json[] {
  if (!isFields(body)) return [];
  const rows = listIn(body, 'rows').map((row) => (isFields(row) ? row['object'] : row));
  return [body, ...listIn(body, 'items'), ...rows].filter(isFields).filter((o) => isFields(o['metadata']));
}

/** As the API server leaves them out (copyWithoutManagedFields, k8s.io/apiserver pkg/audit/request.go). */
const managedFieldsBytes = (body: unknown): number =>
  objectsIn(body).reduce((sum, o) => sum + fieldBytes('managedFields', (o['metadata'] as Json)['managedFields']), 0);

/** What is stored has them, unless somebody left them out. */
const mayLackManagedFields = (body: unknown): boolean =>
  objectsIn(body).some(({ metadata }) => 'uid' in (metadata as Json) && !('managedFields' in (metadata as Json)));

/** A patch is logged as it was sent (LogRequestPatch, in the same file). */
const isPatch = (name: string, { verb }: RequestAttributes): boolean => name === 'requestObject' && verb === 'patch';

const whatOf = (r: RequestAttributes): string =>
  r.kind === 'NonResource' ? r.path : [r.group, r.resource, r.subresource].filter((part) => part !== '').join('/');

/** Each node is a user of its own, and their number is nobody's question. */
const userOf = ({ user = '' }: RequestAttributes): string =>
  user.startsWith('system:node:') ? 'system:node:*' : user === '' ? '(nobody)' : user;

/** Kinds of requests that are told apart; a log may hold as many paths as somebody cares to ask for. */
const MAX_LOSSES = 10_000;
/** Requests that have begun and not ended; older ones are forgotten. */
const MAX_UNDER_WAY = 100_000;

type Sum = { events: number; bytes: number };
type OfRule = Sum & { dropped: number; readonly level: Level };
const add = (sum: Sum, bytes: number): void => {
  sum.events += 1;
  sum.bytes += bytes;
};

/** Which events a request left so far: `auditID` is the client's word where it sends one, and so may be there twice. */
export class Requests {
  readonly #seen = new Map<string, Set<Stage>>();

  /** Undefined until the last event of a request, then all stages that were recorded. */
  stagesAt({ auditID, stage }: AuditEvent): ReadonlySet<Stage> | undefined {
    const seen = this.#seen.get(auditID) ?? new Set();
    this.#seen.delete(auditID);
    seen.add(stage);
    if (stage === 'ResponseComplete' || stage === 'Panic') return seen;
    this.#seen.set(auditID, seen);
    for (const oldest of this.#seen.keys()) {
      if (this.#seen.size <= MAX_UNDER_WAY) break;
      this.#seen.delete(oldest);
    }
    return undefined;
  }
}

/** One policy; a log is shown to it event by event. */
export class Simulator {
  readonly #decide: (r: RequestAttributes) => Decision;
  readonly #written: Sum = { events: 0, bytes: 0 };
  readonly #rules = new Map<number | null, OfRule>();
  readonly #lost = new Map<string, Sum & Pick<Loss, 'verb' | 'what' | 'user' | 'kept'>>();
  readonly #stages: Partial<Record<Stage, number>> = {};
  #bodies = 0;
  #managedFields = 0;

  constructor(policy: Policy) {
    this.#decide = compilePolicy(policy).decide;
  }

  /** `stages`: at the last event of a request, those that were recorded of it. */
  see(recorded: RecordedEvent, stages: ReadonlySet<Stage> | undefined): void {
    const { event, request, bytes } = recorded;
    const decision = this.#decide(request);
    const sum = this.#sumOf(decision);
    if (stages !== undefined) this.#missing(decision, request, stages);
    if (decision.level === 'None' || decision.omitStages.includes(event.stage)) {
      sum.dropped += 1;
      this.#lose(recorded, 'None', bytes);
      return;
    }
    const less = this.#less(recorded, decision);
    if (less > 0) this.#lose(recorded, decision.level, less);
    const left = bytes - less + decision.level.length - event.level.length;
    add(this.#written, left);
    add(sum, left);
  }

  result(): Simulation {
    const order = (rule: number | null): number => rule ?? Infinity;
    return {
      written: { ...this.#written },
      rules: [...this.#rules].map(([rule, sum]) => ({ rule, ...sum })).sort((a, b) => order(a.rule) - order(b.rule)),
      lost: [...this.#lost.values()].map((l) => ({ ...l })).sort((a, b) => b.bytes - a.bytes || b.events - a.events),
      unknown: { bodies: this.#bodies, managedFields: this.#managedFields, stages: { ...this.#stages } },
    };
  }

  #sumOf({ rule, level }: Decision): OfRule {
    const known = this.#rules.get(rule);
    if (known !== undefined) return known;
    const fresh = { level, events: 0, bytes: 0, dropped: 0 };
    this.#rules.set(rule, fresh);
    return fresh;
  }

  #missing(decision: Decision, request: RequestAttributes, stages: ReadonlySet<Stage>): void {
    for (const { stage } of expectedEvents(decision, request))
      if (!stages.has(stage) && !(stage === 'ResponseComplete' && stages.has('Panic')))
        this.#stages[stage] = (this.#stages[stage] ?? 0) + 1;
  }

  /** Bytes of bodies that the policy does not want; what it wants and was not recorded is counted. */
  #less({ event, request, requestObject, responseObject }: RecordedEvent, decision: Decision): number {
    const wanted = expectedEvents(decision, request).find((e) => e.stage === event.stage);
    const isCut = event.annotations['audit.k8s.io/truncated'] === 'true';
    const bodies = [
      { name: 'requestObject', body: requestObject, needs: 'Request', expected: wanted?.requestObject === true },
      {
        name: 'responseObject',
        body: responseObject,
        needs: 'RequestResponse',
        expected: wanted?.responseObject === true,
      },
    ] as const;
    let less = 0;
    let isUnknown = false;
    let mayLack = false;
    for (const { name, body, needs, expected } of bodies) {
      const isWanted = rank(decision.level) >= rank(needs);
      if (!isWanted) less += fieldBytes(name, body);
      else if (body === undefined) isUnknown ||= expected && (isCut || rank(event.level) < rank(needs));
      else if (decision.omitManagedFields) less += isPatch(name, request) ? 0 : managedFieldsBytes(body);
      else mayLack ||= name === 'responseObject' && mayLackManagedFields(body);
    }
    if (isUnknown) this.#bodies += 1;
    if (mayLack) this.#managedFields += 1;
    return less;
  }

  #lose({ request }: RecordedEvent, kept: Level, bytes: number): void {
    const [verb, what, user] = [request.verb, whatOf(request), userOf(request)];
    const key = JSON.stringify([verb, what, user, kept]);
    const known = this.#lost.get(key);
    if (known !== undefined) return add(known, bytes);
    const isRoom = this.#lost.size < MAX_LOSSES;
    const others = { verb: '(others)', what: '(others)', user: '(others)' };
    const name = isRoom ? key : `(others) ${kept}`;
    const loss = this.#lost.get(name) ?? { ...(isRoom ? { verb, what, user } : others), kept, events: 0, bytes: 0 };
    add(loss, bytes);
    this.#lost.set(name, loss);
  }
}
