/**
 * A real log to measure policies on: two minutes of a scripted small cluster against kube-apiserver 1.36.3 (three nodes,
 * controllers, thirteen watches, one rollout of three Pods, a person who looks around), recorded at RequestResponse in
 * all stages. No kubelet ran, so exec and log were answered with 500; tokens are blanked. What a policy would have
 * written of it is exact, since everything was recorded; a cluster of another kind has another mix.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { Policy, RequestAttributes } from '../../src/api/audit.ts';
import type { AuditEvent } from '../../src/analysis/events.ts';
import { parseAuditEvent } from '../../src/analysis/events.ts';
import { compilePolicy } from '../../src/policy/evaluate.ts';

type Json = Readonly<Record<string, unknown>>;
type Recorded = { readonly raw: Json; readonly event: AuditEvent; readonly request: RequestAttributes };

export const RECORDED = `${import.meta.dirname}/fixtures/two-minutes.jsonl.gz`;

/** POST and collections are asked without a name; the one in the event was filled in from the body. */
const NAMELESS = ['create', 'list', 'deletecollection'];

function requestOf(e: AuditEvent): RequestAttributes {
  const who = e.user.username === '' ? { groups: [] } : { user: e.user.username, groups: e.user.groups };
  if (e.objectRef === undefined)
    return { kind: 'NonResource', ...who, verb: e.verb, path: e.requestURI.split('?')[0] ?? '' };
  const name = NAMELESS.includes(e.verb) && e.objectRef.subresource === '' ? '' : e.objectRef.name;
  return { kind: 'Resource', ...who, verb: e.verb, ...e.objectRef, name };
}

export function recordedEvents(): readonly Recorded[] {
  const lines = gunzipSync(readFileSync(RECORDED)).toString('utf8').trimEnd().split('\n');
  return lines.map((line) => {
    const raw = JSON.parse(line) as Json;
    const read = parseAuditEvent(raw);
    if ('problem' in read) throw new Error(read.problem.message);
    return { raw, event: read.event, request: requestOf(read.event) };
  });
}

/** As Go writes it. */
export const goJson = (value: unknown): string =>
  JSON.stringify(value).replaceAll(/[<>&\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);

function withoutManagedFields(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const { metadata, items, ...rest } = value as { metadata?: { managedFields?: unknown }; items?: unknown };
  const { managedFields: _, ...kept } = metadata ?? {};
  return {
    ...rest,
    ...(metadata === undefined ? {} : { metadata: kept }),
    ...(Array.isArray(items) ? { items: items.map(withoutManagedFields) } : items === undefined ? {} : { items }),
  };
}

/** Bytes and lines that `policy` would have written of `events`. */
export function writtenBy(
  policy: Policy,
  events: readonly Recorded[],
): { readonly bytes: number; readonly lines: number } {
  const { decide } = compilePolicy(policy);
  let [bytes, lines] = [0, 0];
  for (const { raw, event, request } of events) {
    const d = decide(request);
    if (d.level === 'None' || d.omitStages.includes(event.stage)) continue;
    const { requestObject, responseObject, ...rest } = raw;
    const body = (b: unknown): unknown => (d.omitManagedFields ? withoutManagedFields(b) : b);
    const kept = {
      ...rest,
      level: d.level,
      ...(d.level === 'Metadata' ? {} : { requestObject: body(requestObject) }),
      ...(d.level === 'RequestResponse' ? { responseObject: body(responseObject) } : {}),
    };
    bytes += Buffer.byteLength(goJson(kept)) + 1;
    lines += 1;
  }
  return { bytes, lines };
}

const EVERYTHING: Policy = {
  rules: [
    {
      ...{ level: 'RequestResponse', users: [], userGroups: [], verbs: [], resources: [], namespaces: [] },
      ...{ nonResourceURLs: [], omitStages: [] },
    },
  ],
  omitStages: ['RequestReceived'],
  omitManagedFields: false,
};

/** Per cent of what one rule `RequestResponse` (without RequestReceived) writes. */
export function percentOf(policy: Policy, events: readonly Recorded[]): number {
  return (100 * writtenBy(policy, events).bytes) / writtenBy(EVERYTHING, events).bytes;
}
