/**
 * The request behind a recorded audit event, as the policy saw it when the request came in. An event is not quite that:
 * while a request is handled, the API server fills name and namespace of `objectRef` in from the body, so that a
 * `create` shows a name that no policy ever saw. What was in the URL counts. Impersonation comes after the policy, so
 * that `user` is the one to look at, never `impersonatedUser`.
 */
import type { RequestAttributes } from '../api/audit.ts';
import type { Finding } from '../api/findings.ts';

type Fields = Readonly<Record<string, unknown>>;

const isFields = (v: unknown): v is Fields => typeof v === 'object' && v !== null && !Array.isArray(v);
const text = (v: unknown): string => (typeof v === 'string' ? v : '');

/** True for a value that is meant as an audit.k8s.io event rather than as a request. */
export const looksLikeEvent = (v: unknown): v is Fields =>
  isFields(v) && (v.kind === 'Event' || 'auditID' in v || 'requestURI' in v || 'objectRef' in v);

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** Path segments behind `/api/VERSION` or `/apis/GROUP/VERSION`; undefined for another URL. */
function resourceSegments(uri: string): string[] | undefined {
  const segments = (uri.split('?')[0] ?? '').split('/').filter((s) => s !== '');
  const skip = segments[0] === 'api' ? 2 : segments[0] === 'apis' ? 3 : 0;
  return skip === 0 || segments.length <= skip ? undefined : segments.slice(skip).map(decoded);
}

/** Namespace and name as the URL has them (k8s.io/apiserver pkg/endpoints/request/requestinfo.go). */
function placeInUri(uri: string): { readonly namespace: string; readonly name: string } | undefined {
  const segments = resourceSegments(uri);
  if (segments === undefined) return undefined;
  const [first, second = '', third] = segments;
  if (first !== 'namespaces') return { namespace: '', name: second };
  // `/namespaces/x`, `/namespaces/x/status` and `/namespaces/x/finalize` are about the namespace itself.
  if (third === undefined || third === 'status' || third === 'finalize') return { namespace: second, name: second };
  return { namespace: second, name: segments[3] ?? '' };
}

function whoOf(event: Fields): Pick<RequestAttributes, 'user' | 'groups'> {
  const user = isFields(event.user) ? event.user : {};
  const groups: readonly unknown[] = Array.isArray(user.groups) ? user.groups : [];
  const name = text(user.username);
  // A request that was refused with 401 has an empty user in its event, and none for the policy.
  if (name === '' && groups.length === 0) return { groups: [] };
  return { user: name, groups: groups.map(text) };
}

/** The request of an event, or a finding with code `EventWithoutRequest` where the event does not tell. */
export function requestOfEvent(event: unknown): RequestAttributes | Finding {
  const fields = isFields(event) ? event : {};
  const verb = text(fields.verb);
  const uri = text(fields.requestURI);
  const who = whoOf(fields);
  const ref = fields.objectRef;
  if (verb === '' || (uri === '' && !isFields(ref))) {
    const message = 'the event has no verb, or neither requestURI nor objectRef';
    return { severity: 'error', code: 'EventWithoutRequest', message, path: '' };
  }
  if (!isFields(ref)) return { kind: 'NonResource', ...who, verb, path: decoded(uri.split('?')[0] ?? '') };
  // A list or watch has its name by a field selector, which objectRef tells and the path does not.
  const inUri = verb === 'create' ? (placeInUri(uri) ?? { namespace: text(ref.namespace), name: '' }) : undefined;
  return {
    kind: 'Resource',
    ...who,
    verb,
    group: text(ref.apiGroup),
    version: text(ref.apiVersion),
    resource: text(ref.resource),
    subresource: text(ref.subresource),
    namespace: inUri?.namespace ?? text(ref.namespace),
    name: inUri?.name ?? text(ref.name),
  };
}
