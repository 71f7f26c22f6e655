/**
 * An audit event from unknown bytes, and what it answers: when, what, on what, to where, observed where, from where, who.
 * The API server's own word and the client's claim are kept apart: user agent and all source addresses but the last come
 * from the request's headers, and so does an audit ID that the client chose. Refused: guessing. What an event does not
 * say is absent. Fields that newer API servers add are ignored. Used by `auditconfig logs`.
 */
import { LEVELS, STAGES } from '../api/audit.ts';
import type { Level, Stage } from '../api/audit.ts';

export type EventUser = { readonly username: string; readonly groups: readonly string[] };
export type ObjectRef = {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
};
export type AuditEvent = {
  readonly level: Level;
  readonly stage: Stage;
  readonly auditID: string;
  readonly verb: string;
  readonly requestURI: string;
  /** Username `''` where nobody was authenticated. */
  readonly user: EventUser;
  readonly impersonatedUser?: EventUser;
  readonly sourceIPs: readonly string[];
  readonly userAgent?: string;
  /** Absent for non-resource requests. */
  readonly objectRef?: ObjectRef;
  readonly status?: { readonly code?: number; readonly reason?: string };
  /** RFC 3339 with microseconds, as written. */
  readonly received?: string;
  readonly staged?: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly bodies: readonly ('request' | 'response')[];
};

/** Codes: EventNotAnObject, EventWrongKind, EventFieldMissing, EventWrongType, EventUnknownValue. */
export type EventProblem = { readonly code: string; readonly path: string; readonly message: string };

type Fields = Readonly<Record<string, unknown>>;
const isFields = (v: unknown): v is Fields => typeof v === 'object' && v !== null && !Array.isArray(v);

/** Thrown and caught inside this file only: reading stops at the first problem. */
class Unreadable extends Error {
  readonly problem: EventProblem;
  constructor(code: string, path: string, message: string) {
    super(message);
    this.problem = { code, path, message };
  }
}

function text(fields: Fields, name: string, path: string): string | undefined {
  const v = fields[name] ?? undefined;
  if (v === undefined || typeof v === 'string') return v;
  throw new Unreadable('EventWrongType', path + name, `${path}${name} is not a string`);
}

function needed(fields: Fields, name: string, path: string): string {
  const v = text(fields, name, path);
  if (v !== undefined) return v;
  throw new Unreadable('EventFieldMissing', path + name, `${path}${name} is missing`);
}

function oneOf<T extends string>(fields: Fields, name: string, known: readonly T[]): T {
  const v = needed(fields, name, '');
  const found = known.find((k) => k === v);
  if (found !== undefined) return found;
  throw new Unreadable('EventUnknownValue', name, `${name} is none of ${known.join(', ')}`);
}

function texts(fields: Fields, name: string, path: string): readonly string[] {
  const v = fields[name] ?? [];
  if (Array.isArray(v) && v.every((s) => typeof s === 'string')) return v;
  throw new Unreadable('EventWrongType', path + name, `${path}${name} is not a list of strings`);
}

function object(fields: Fields, name: string): Fields | undefined {
  const v = fields[name] ?? undefined;
  if (v === undefined || isFields(v)) return v;
  throw new Unreadable('EventWrongType', name, `${name} is not an object`);
}

function userOf(fields: Fields | undefined, path: string): EventUser {
  return { username: text(fields ?? {}, 'username', path) ?? '', groups: texts(fields ?? {}, 'groups', path) };
}

function objectRefOf(ref: Fields): ObjectRef {
  const part = (name: string): string => text(ref, name, 'objectRef.') ?? '';
  return {
    group: part('apiGroup'),
    version: part('apiVersion'),
    resource: part('resource'),
    subresource: part('subresource'),
    namespace: part('namespace'),
    name: part('name'),
  };
}

function statusOf(status: Fields): NonNullable<AuditEvent['status']> {
  const { code } = status;
  if (code !== undefined && typeof code !== 'number')
    throw new Unreadable('EventWrongType', 'responseStatus.code', 'responseStatus.code is not a number');
  const reason = text(status, 'reason', 'responseStatus.');
  return { ...(code === undefined ? {} : { code }), ...(reason ? { reason } : {}) };
}

function annotationsOf(fields: Fields): Readonly<Record<string, string>> {
  const all = object(fields, 'annotations') ?? {};
  return Object.fromEntries(Object.keys(all).map((k) => [k, needed(all, k, 'annotations.')]));
}

/** The fields with the absent ones left out. */
function present<T extends object>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  const kept: { [K in keyof T]?: NonNullable<T[K]> } = {};
  for (const k in fields) {
    const v = fields[k];
    if (v !== undefined && v !== null) kept[k] = v;
  }
  return kept;
}

function read(fields: Fields): AuditEvent {
  if (fields.kind !== 'Event' || text(fields, 'apiVersion', '') !== 'audit.k8s.io/v1')
    throw new Unreadable('EventWrongKind', 'kind', 'not an Event of audit.k8s.io/v1');
  const impersonated = object(fields, 'impersonatedUser');
  const ref = object(fields, 'objectRef');
  const status = object(fields, 'responseStatus');
  return {
    level: oneOf(fields, 'level', LEVELS),
    stage: oneOf(fields, 'stage', STAGES),
    auditID: needed(fields, 'auditID', ''),
    verb: needed(fields, 'verb', ''),
    requestURI: needed(fields, 'requestURI', ''),
    user: userOf(object(fields, 'user'), 'user.'),
    sourceIPs: texts(fields, 'sourceIPs', ''),
    annotations: annotationsOf(fields),
    bodies: (['request', 'response'] as const).filter((b) => (fields[`${b}Object`] ?? undefined) !== undefined),
    ...present({
      impersonatedUser: impersonated === undefined ? undefined : userOf(impersonated, 'impersonatedUser.'),
      userAgent: text(fields, 'userAgent', ''),
      objectRef: ref === undefined ? undefined : objectRefOf(ref),
      status: status === undefined ? undefined : statusOf(status),
      received: text(fields, 'requestReceivedTimestamp', ''),
      staged: text(fields, 'stageTimestamp', ''),
    }),
  };
}

/** One parsed JSON value as an audit event. Problems name the field; none ever holds a value of the event. */
export function parseAuditEvent(value: unknown): { readonly event: AuditEvent } | { readonly problem: EventProblem } {
  if (!isFields(value)) return { problem: { code: 'EventNotAnObject', path: '', message: 'not a JSON object' } };
  try {
    return { event: read(value) };
  } catch (e) {
    if (e instanceof Unreadable) return { problem: e.problem };
    throw e;
  }
}
