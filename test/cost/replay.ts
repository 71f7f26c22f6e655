/**
 * The recorded two minutes (test/analysis/recorded.ts) as requests that a real API server can be asked again and again:
 * each by its user, with its body, in its order. What the record reads or changes is made first; what it makes is deleted
 * before each pass. Watches are left out (they end with their client), and so are the few that failed in the record.
 */
import type { Method } from '../control-plane/client.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { recordedEvents } from '../analysis/recorded.ts';

type Json = Readonly<Record<string, unknown>>;
type Ask = { readonly user: string; readonly method: Method; readonly path: string; readonly body?: unknown };

const METHODS: Readonly<Record<string, Method>> = {
  ...{ get: 'GET', list: 'GET', create: 'POST', update: 'PUT', patch: 'PATCH', delete: 'DELETE' },
};
const ANONYMOUS = 'system:anonymous';

const isJson = (v: unknown): v is Json => typeof v === 'object' && v !== null && !Array.isArray(v);

/** An object as a client sends it that has not read it before; `version` is what it has read since. */
function sent(body: unknown, version?: string): unknown {
  if (!isJson(body) || !isJson(body['metadata'])) return body;
  const { uid: _u, resourceVersion: _r, managedFields: _m, ownerReferences: _o, ...metadata } = body['metadata'];
  return { ...body, metadata: { ...metadata, ...(version === undefined ? {} : { resourceVersion: version }) } };
}

export type Replay = {
  /** Users with their groups, for the control plane; they may do everything, as the record's own could. */
  readonly users: Readonly<Record<string, readonly string[]>>;
  readonly requests: number;
  /** Makes what the record takes for granted. */
  readonly prepare: (plane: ControlPlane) => Promise<void>;
  /** One pass over the record, one request after the other. Resolves to how many were answered with 400 or above. */
  readonly pass: (plane: ControlPlane) => Promise<number>;
};

const complete = recordedEvents().filter(
  ({ raw, event }) =>
    event.stage === 'ResponseComplete' &&
    event.verb !== 'watch' &&
    Number((raw['responseStatus'] as Json)['code']) < 400,
);

/** Objects that were there before the record began: read or changed in it, and not made by it. */
function givenObjects(): readonly { readonly collection: string; readonly object: unknown }[] {
  const found = new Map<string, { collection: string; object: unknown }>();
  const made = new Set(complete.filter(({ event }) => event.verb === 'create').map(({ raw }) => nameOf(raw)));
  for (const { raw, event } of complete) {
    const object = raw['responseObject'];
    if (!['get', 'update', 'patch'].includes(event.verb) || !isJson(object)) continue;
    const collection = new RegExp(`^(/.*)/${event.objectRef?.name ?? ''}(/|$)`).exec(event.requestURI)?.[1];
    const key = `${collection}/${event.objectRef?.name}`;
    if (collection !== undefined && !made.has(key) && !found.has(key)) found.set(key, { collection, object });
  }
  return [...found.values()];
}

const nameOf = (raw: Json): string => {
  const { metadata } = (raw['responseObject'] ?? {}) as { metadata?: { name?: string } };
  return `${pathOf(raw)}/${metadata?.name}`;
};
const pathOf = (raw: Json): string => String(raw['requestURI']).split('?')[0] ?? '';

export function replayOf(): Replay {
  const asks: readonly Ask[] = complete.flatMap(({ raw, event }) => {
    const method = METHODS[event.verb];
    const body = sent(raw['requestObject']);
    const ask = { user: event.user.username, path: event.requestURI, ...(body === undefined ? {} : { body }) };
    return method === undefined ? [] : [{ ...ask, method }];
  });
  const made = complete
    .filter(({ event }) => event.verb === 'create' && event.objectRef?.subresource === '')
    .map(({ raw }) => nameOf(raw));
  const users = Object.fromEntries(
    complete
      .filter(({ event }) => event.user.username !== ANONYMOUS)
      .map(({ event }) => [event.user.username, [...event.user.groups.filter((g) => g !== ''), 'system:masters']]),
  );
  const namespaces = new Set(complete.flatMap(({ event }) => event.objectRef?.namespace || []));
  const prepare = async (plane: ControlPlane): Promise<void> => {
    for (const name of namespaces) {
      await plane.request('POST', '/api/v1/namespaces', { body: { metadata: { name } } });
      const account = { metadata: { name: 'default' } };
      await plane.request('POST', `/api/v1/namespaces/${name}/serviceaccounts`, { body: account });
    }
    for (const { collection, object } of givenObjects())
      await plane.request('POST', collection, { body: sent(object) });
  };
  const pass = async (plane: ControlPlane): Promise<number> => {
    for (const path of [...made].reverse()) await plane.request('DELETE', `${path}?gracePeriodSeconds=0`);
    const versions = await versionsOf(plane, asks);
    let refused = 0;
    for (const ask of asks) {
      const path = ask.path.split('?')[0] ?? '';
      const body = ask.method === 'PUT' ? sent(ask.body, versions.get(path)) : ask.body;
      // A node may ask for tokens of Pods only that run on it; the record's fixture did not look.
      const user = path.endsWith('/token') ? 'admin' : ask.user;
      const token = user === ANONYMOUS ? '' : (plane.tokens[user] ?? '');
      const reply = await plane.request(ask.method, ask.path, { token, ...(body === undefined ? {} : { body }) });
      if (reply.status >= 400) refused += 1;
      remember(versions, path, reply.body);
    }
    return refused;
  };
  return { users, requests: asks.length, prepare, pass };
}

/** A status subresource shares its object's version. */
const keyOf = (path: string): string => path.replace(/\/status$/, '');

class Versions extends Map<string, string> {
  override get(path: string): string | undefined {
    return super.get(keyOf(path));
  }
}

function remember(versions: Versions, path: string, body: unknown): void {
  const { metadata } = (isJson(body) ? body : {}) as { metadata?: { resourceVersion?: string; name?: string } };
  const { resourceVersion, name } = metadata ?? {};
  if (resourceVersion === undefined || name === undefined) return;
  versions.set(
    path.endsWith(`/${name}`) || path.endsWith('/status') ? keyOf(path) : `${path}/${name}`,
    resourceVersion,
  );
}

/** Of what is updated: controllers have read it before, by their watches. */
async function versionsOf(plane: ControlPlane, asks: readonly Ask[]): Promise<Versions> {
  const versions = new Versions();
  for (const path of new Set(asks.filter((a) => a.method === 'PUT').map((a) => keyOf(a.path.split('?')[0] ?? ''))))
    remember(versions, path, (await plane.request('GET', path)).body);
  return versions;
}
