/**
 * A request as people write it down: one JSON value in the shape of a SubjectAccessReview spec, turned into the
 * attributes that a policy sees. This is the reference reading; the byte scanner of `evaluate` (scan.ts) must agree
 * with it wherever it answers at all. Refused: both or neither of the attributes, wrong types, and fields that a
 * SubjectAccessReview does not have (a misspelled `groups` would silently change every decision).
 */
import type { RequestAttributes } from '../api/audit.ts';
import type { Finding } from '../api/findings.ts';

type Fields = Readonly<Record<string, unknown>>;
type Problem = { readonly code: string; readonly path: string; readonly message: string };
type Read<T> = { readonly value: T } | { readonly problem: Problem };

/** `uid`, `extra` and the selectors belong to a SubjectAccessReview, but no audit policy looks at them. */
const SPEC = ['user', 'groups', 'resourceAttributes', 'nonResourceAttributes', 'uid', 'extra'];
const RESOURCE = ['verb', 'group', 'version', 'resource', 'subresource', 'namespace', 'name'] as const;
const RESOURCE_FIELDS = [...RESOURCE, 'fieldSelector', 'labelSelector'];
const NON_RESOURCE = ['path', 'verb'] as const;

const kindOf = (v: unknown): string => (v === null ? 'null' : Array.isArray(v) ? 'a list' : `a ${typeof v}`);
const isFields = (v: unknown): v is Fields => typeof v === 'object' && v !== null && !Array.isArray(v);

/** As Go's encoding/json reads them: half of a surrogate pair becomes U+FFFD. */
const wellFormed = (s: string): string => s.replace(/\p{Cs}/gu, '\ufffd');

const wrongType = (path: string, want: string, got: unknown): { readonly problem: Problem } => ({
  problem: { code: 'RequestWrongType', path, message: `${path || 'the line'} must be ${want}, not ${kindOf(got)}` },
});

function unknownField(fields: Fields, known: readonly string[], path: string): Problem | undefined {
  const name = Object.keys(fields).find((k) => !known.includes(k));
  if (name === undefined) return undefined;
  const at = path === '' ? name : `${path}.${name}`;
  return { code: 'RequestUnknownField', path: at, message: `unknown field ${at}; known are ${known.join(', ')}` };
}

/** The named string fields; absent and null are the empty string. */
function strings<K extends string>(fields: Fields, names: readonly K[], path: string): Read<Record<K, string>> {
  const out: Partial<Record<K, string>> = {};
  for (const name of names) {
    const v = fields[name] ?? '';
    if (typeof v !== 'string') return wrongType(`${path}.${name}`, 'a string', v);
    out[name] = wellFormed(v);
  }
  return { value: out as Record<K, string> };
}

function groupsOf(v: unknown): Read<readonly string[]> {
  if (v === undefined || v === null) return { value: [] };
  if (!Array.isArray(v)) return wrongType('groups', 'a list of strings', v);
  const list: readonly unknown[] = v;
  const bad = list.findIndex((g) => typeof g !== 'string');
  if (bad >= 0) return wrongType(`groups[${bad}]`, 'a string', list[bad]);
  return { value: list.map((g) => wellFormed(String(g))) };
}

/** The attributes object of that name: undefined where it is absent or null. */
function attributes(spec: Fields, name: string, known: readonly string[]): Read<Fields | undefined> {
  const v = spec[name] ?? undefined;
  if (v === undefined) return { value: undefined };
  if (!isFields(v)) return wrongType(name, 'an object', v);
  const problem = unknownField(v, known, name);
  return problem === undefined ? { value: v } : { problem };
}

type Who = Pick<RequestAttributes, 'user' | 'groups'>;

function whoOf(spec: Fields): Read<Who> {
  const user = spec.user ?? undefined;
  if (user !== undefined && typeof user !== 'string') return wrongType('user', 'a string', user);
  const groups = groupsOf(spec.groups);
  if ('problem' in groups) return groups;
  return { value: { ...(user === undefined ? {} : { user: wellFormed(user) }), groups: groups.value } };
}

function whatOf(spec: Fields, who: Who): Read<RequestAttributes> {
  const resource = attributes(spec, 'resourceAttributes', RESOURCE_FIELDS);
  if ('problem' in resource) return resource;
  const other = attributes(spec, 'nonResourceAttributes', [...NON_RESOURCE]);
  if ('problem' in other) return other;
  if ((resource.value === undefined) === (other.value === undefined)) {
    const code = resource.value === undefined ? 'RequestWithoutAttributes' : 'RequestWithBothAttributes';
    return { problem: { code, path: '', message: 'give either resourceAttributes or nonResourceAttributes' } };
  }
  if (resource.value !== undefined) {
    const s = strings(resource.value, RESOURCE, 'resourceAttributes');
    return 'problem' in s ? s : { value: { kind: 'Resource', ...who, ...s.value } };
  }
  const s = strings(other.value ?? {}, NON_RESOURCE, 'nonResourceAttributes');
  return 'problem' in s ? s : { value: { kind: 'NonResource', ...who, ...s.value } };
}

function read(line: unknown): Read<RequestAttributes> {
  if (!isFields(line)) return wrongType('', 'an object in the shape of a SubjectAccessReview spec', line);
  const problem = unknownField(line, SPEC, '');
  if (problem !== undefined) return { problem };
  const who = whoOf(line);
  return 'problem' in who ? who : whatOf(line, who.value);
}

/**
 * Reads one parsed request. No `user` (or null) means that there is no user information; an empty one is a user
 * without a name. Codes: RequestWrongType, RequestUnknownField, RequestWithoutAttributes, RequestWithBothAttributes.
 */
export function parseRequestLine(line: unknown): RequestAttributes | Finding {
  const r = read(line);
  return 'problem' in r ? { severity: 'error', ...r.problem } : r.value;
}

/** Tells the two results of `parseRequestLine` apart. */
export const isRequest = (r: RequestAttributes | Finding): r is RequestAttributes => 'kind' in r;
