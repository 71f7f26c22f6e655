/**
 * An object that claims to be an AuditConfig, or a DatacenterAuditConfig, to typed data, with findings by field path where it is not. It says what
 * an API server with our CRD says (test/api holds the two together), and that unknown fields are refused rather than
 * ignored. Called by the controller, for objects that an older CRD may have let in, and without a cluster.
 */
import type { z } from 'zod';
import { auditConfig } from '../api/auditconfig.ts';
import type { AuditConfig } from '../api/auditconfig.ts';
import { datacenterAuditConfig } from '../api/datacenterauditconfig.ts';
import type { DatacenterAuditConfig } from '../api/datacenterauditconfig.ts';
import { structural } from '../api/crd.ts';
import type { Finding } from '../api/findings.ts';
import { didYouMean } from '../policy/suggest.ts';

type Issue = z.core.$ZodIssue;
type Key = PropertyKey;

/** Codes: FieldRequired, FieldUnknown, FieldUnsupportedValue, FieldOutOfBounds, FieldInvalid, FieldWrongType. */
export function parseAuditConfig(object: unknown): {
  readonly config?: AuditConfig;
  readonly findings: readonly Finding[];
} {
  const parsed = auditConfig.safeParse(object);
  if (parsed.success) return { config: parsed.data, findings: [] };
  return { findings: parsed.error.issues.flatMap((issue) => findingsOf(issue, { object, schema: CONFIG_SPEC() })) };
}

/** The same of a DatacenterAuditConfig. */
export function parseDatacenter(object: unknown): {
  readonly datacenter?: DatacenterAuditConfig;
  readonly findings: readonly Finding[];
} {
  const parsed = datacenterAuditConfig.safeParse(object);
  if (parsed.success) return { datacenter: parsed.data, findings: [] };
  return { findings: parsed.error.issues.flatMap((issue) => findingsOf(issue, { object, schema: DATACENTER_SPEC() })) };
}

/** What was read, and the schema of what it claims to be. */
type Subject = { readonly object: unknown; readonly schema: unknown };

/** Made when it is first asked for, and once: it takes longer than all else that is done for a bad object. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}
const CONFIG_SPEC = once((): unknown => structural(auditConfig.pick({ spec: true })));
const DATACENTER_SPEC = once((): unknown => structural(datacenterAuditConfig.pick({ spec: true })));

/** As Kubernetes writes it: `spec.policy.rules[0].level`. Keys that are no plain words stand in brackets. */
export function fieldPath(keys: readonly Key[]): string {
  return keys.reduce<string>((path, key) => {
    if (typeof key === 'number') return `${path}[${key}]`;
    const name = String(key);
    if (!/^[A-Za-z_][\w-]*$/.test(name)) return `${path}[${name}]`;
    return path === '' ? name : `${path}.${name}`;
  }, '');
}

const child = (node: unknown, key: Key): unknown =>
  typeof node === 'object' && node !== null ? (node as Record<Key, unknown>)[key] : undefined;
const valueAt = (object: unknown, keys: readonly Key[]): unknown => keys.reduce<unknown>(child, object);

const error = (code: string, keys: readonly Key[], message: string): Finding => {
  const path = fieldPath(keys);
  return { severity: 'error', code, path, message: `${path === '' ? 'the document' : path}: ${message}` };
};

function findingsOf(issue: Issue, subject: Subject): Finding[] {
  const { object } = subject;
  const at = issue.path;
  const absent = valueAt(object, at) === undefined;
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) =>
        error('FieldUnknown', [...at, key], `there is no such field${didYouMean(key, fieldsAt(subject.schema, at))}`),
      );
    case 'invalid_value':
      return [
        absent ? required(at) : error('FieldUnsupportedValue', at, unsupportedValue(valueAt(object, at), issue.values)),
      ];
    case 'invalid_type':
      return [absent ? required(at) : error('FieldWrongType', at, wrongType(issue.expected, valueAt(object, at)))];
    case 'too_big':
    case 'too_small':
      return [error('FieldOutOfBounds', at, bound(issue))];
    case 'invalid_format':
      return [error('FieldInvalid', at, formatMessage(issue))];
    case 'custom':
      return [error('FieldInvalid', at, issue.message)];
    case 'invalid_union':
      return [absent ? required(at) : error('FieldWrongType', at, issue.message)];
    case 'not_multiple_of':
    case 'invalid_key':
    case 'invalid_element':
      return [error('FieldInvalid', at, issue.message)];
  }
}

/** The names of the fields that the schema has at a path. */
function fieldsAt(schema: unknown, keys: readonly Key[]): readonly string[] {
  let node = schema;
  for (const key of keys) node = typeof key === 'number' ? child(node, 'items') : child(child(node, 'properties'), key);
  return Object.keys(child(node, 'properties') ?? {});
}

function unsupportedValue(value: unknown, values: readonly unknown[]): string {
  const words = values.filter((v) => typeof v === 'string');
  return `must be ${oneOf(values)}${typeof value === 'string' ? didYouMean(value, words) : ''}`;
}

const required = (at: readonly Key[]): Finding => error('FieldRequired', at, 'is required');
const article = (type: string): string =>
  type === 'int' ? 'a whole number' : `${/^[aeio]/.test(type) ? 'an' : 'a'} ${type === 'record' ? 'map' : type}`;
const wrongType = (expected: string, value: unknown): string =>
  expected === 'string' && typeof value === 'boolean'
    ? 'must be a string (yes, no, on, off, y and n are booleans in YAML: quote them)'
    : `must be ${article(expected)}`;
const oneOf = (values: readonly unknown[]): string =>
  values.length === 1 ? JSON.stringify(values[0]) : `one of ${values.map((v) => JSON.stringify(v)).join(', ')}`;

function bound(issue: Extract<Issue, { code: 'too_big' | 'too_small' }>): string {
  const unit = { string: ' characters', array: ' entries' }[issue.origin as string] ?? '';
  return issue.code === 'too_big'
    ? `must be at most ${issue.maximum}${unit}`
    : `must be at least ${issue.minimum}${unit}`;
}

const formatMessage = (issue: Extract<Issue, { code: 'invalid_format' }>): string =>
  issue.message.startsWith('Invalid string') ? `must match ${String(issue.pattern ?? issue.format)}` : issue.message;
