/**
 * The seven questions that an audit event answers, as data. Nothing is inferred: which kube-apiserver observed the
 * request is not in the event, so that answer is the file it was read from. Used by `auditconfig logs`.
 */
import type { Level, Stage } from '../api/audit.ts';
import type { AuditEvent, EventUser, ObjectRef } from './events.ts';

/** Where an event was read: the name of the log as given, and the line from 1. */
export type LogPlace = { readonly file: string; readonly line: number };

export type Answers = {
  /** `received`: when the request arrived. `observed`: when this stage was reached, so many milliseconds later. */
  readonly when: { readonly received?: string; readonly observed?: string; readonly tookMilliseconds?: number };
  readonly what: {
    readonly verb: string;
    readonly level: Level;
    readonly code?: number;
    readonly reason?: string;
    /** `allow` or `forbid`; absent where no authorizer was asked. */
    readonly decision?: string;
    readonly bodies: readonly string[];
    /** The API server dropped bodies because the event was too large. */
    readonly truncated: boolean;
  };
  readonly onWhat: { readonly object: ObjectRef } | { readonly path: string };
  readonly toWhere: { readonly uri: string };
  /** `auditID` is the client's where it sent an Audit-ID header. */
  readonly observedWhere: LogPlace & { readonly stage: Stage; readonly auditID: string };
  readonly fromWhere: {
    /** What the API server saw: a client, or the last proxy or load balancer before it. */
    readonly address?: string;
    /** Taken from the request's headers: anyone can write anything there. */
    readonly claimed: { readonly addresses: readonly string[]; readonly userAgent?: string };
  };
  readonly who: {
    /** Absent where nobody was authenticated. */
    readonly user?: string;
    readonly groups: readonly string[];
    readonly actingAs?: EventUser;
  };
  readonly annotations: Readonly<Record<string, string>>;
};

function millisecondsBetween(from: string | undefined, to: string | undefined): number | undefined {
  const took = Date.parse(to ?? '') - Date.parse(from ?? '');
  return Number.isNaN(took) ? undefined : took;
}

function whenOf(e: AuditEvent): Answers['when'] {
  const took = millisecondsBetween(e.received, e.staged);
  return {
    ...(e.received === undefined ? {} : { received: e.received }),
    ...(e.staged === undefined ? {} : { observed: e.staged }),
    ...(took === undefined ? {} : { tookMilliseconds: took }),
  };
}

function fromWhereOf(e: AuditEvent): Answers['fromWhere'] {
  const address = e.sourceIPs.at(-1);
  return {
    ...(address === undefined ? {} : { address }),
    claimed: {
      addresses: e.sourceIPs.slice(0, -1),
      ...(e.userAgent === undefined ? {} : { userAgent: e.userAgent }),
    },
  };
}

/** Annotations of the API server itself (k8s.io/apiserver: audit truncation, authorization filter). */
const TRUNCATED = 'audit.k8s.io/truncated';
const DECISION = 'authorization.k8s.io/decision';

export function answersOf(e: AuditEvent, place: LogPlace): Answers {
  const decision = e.annotations[DECISION];
  return {
    when: whenOf(e),
    what: {
      verb: e.verb,
      level: e.level,
      ...e.status,
      ...(decision === undefined ? {} : { decision }),
      bodies: e.bodies,
      truncated: e.annotations[TRUNCATED] === 'true',
    },
    onWhat: e.objectRef === undefined ? { path: e.requestURI.split('?')[0] ?? '' } : { object: e.objectRef },
    toWhere: { uri: e.requestURI },
    observedWhere: { ...place, stage: e.stage, auditID: e.auditID },
    fromWhere: fromWhereOf(e),
    who: {
      ...(e.user.username === '' ? {} : { user: e.user.username }),
      groups: e.user.groups,
      ...(e.impersonatedUser === undefined ? {} : { actingAs: e.impersonatedUser }),
    },
    annotations: e.annotations,
  };
}
