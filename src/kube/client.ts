/**
 * The verbs. Builds requests for resources and hands them to the transport; keeps nothing. There is no `update` on
 * purpose: read-modify-replace loses fields that this build does not know. Own what you own with `apply`, change the
 * rest with a merge or a JSON patch. Called by controllers, agent and CLI, and by reflector, lease and events here.
 */
import { fail, ok } from './errors.ts';
import type { Result } from './errors.ts';
import type { Transport } from './transport.ts';
import { apiVersionOf, isRecord, parseObject, pathOf, resourceLabel } from './types.ts';
import type { KubeObject, ObjectRef, Resource } from './types.ts';

export type Call = {
  readonly signal: AbortSignal;
  readonly timeoutMs?: number;
  readonly dryRun?: boolean;
  /** See ApiRequest.onCanary. */
  readonly onCanary?: boolean;
};

export type ListCall = Call & {
  /** None lists all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Objects a page; default 500. */
  readonly pageSize?: number;
  /** Only apiVersion, kind and metadata cross the wire. */
  readonly metadataOnly?: boolean;
};

export type Page = { readonly items: readonly KubeObject[]; readonly resourceVersion: string; readonly next?: string };

export type ApplyCall = Call & {
  readonly fieldManager: string;
  /** Takes fields from other managers instead of a Conflict. */
  readonly force?: boolean;
  readonly subresource?: 'status';
};

export type PatchCall = Call & { readonly fieldManager?: string; readonly subresource?: 'status' | 'scale' };

/** RFC 6902. A failed `test` comes back as Invalid. */
export type JsonPatch = readonly (
  | { readonly op: 'add' | 'replace' | 'test'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string }
)[];

export type DeleteCall = Call & {
  readonly propagation?: 'Background' | 'Foreground' | 'Orphan';
  /** Only this very object, not a later one of the same name; otherwise Conflict. */
  readonly uid?: string;
  readonly resourceVersion?: string;
};

export interface KubeClient {
  get(resource: Resource, ref: ObjectRef, call: Call): Promise<Result<KubeObject>>;
  /** All pages. For anything that is looked at more than once, use a reflector. */
  list(resource: Resource, call: ListCall): Promise<Result<readonly KubeObject[]>>;
  /** One page; `next` continues it. Gone means that it took too long: begin anew. */
  page(resource: Resource, call: ListCall, next?: string): Promise<Result<Page>>;
  create(resource: Resource, object: KubeObject, call: Call & { fieldManager?: string }): Promise<Result<KubeObject>>;
  /** Server-side apply of exactly the fields in `object`: fields applied before and now missing are removed. */
  apply(resource: Resource, object: KubeObject, call: ApplyCall): Promise<Result<KubeObject>>;
  /** RFC 7386: null removes. Put metadata.resourceVersion in to get a Conflict instead of overwriting. */
  mergePatch(resource: Resource, ref: ObjectRef, patch: object, call: PatchCall): Promise<Result<KubeObject>>;
  jsonPatch(resource: Resource, ref: ObjectRef, patch: JsonPatch, call: PatchCall): Promise<Result<KubeObject>>;
  /** True if it was there. NotFound is a success: it is what was wanted. */
  delete(resource: Resource, ref: ObjectRef, call: DeleteCall): Promise<Result<boolean>>;
  /** A path that is no resource: `/version`, `/metrics` is not (no JSON). */
  raw(path: string, call: Call): Promise<Result<unknown>>;
}

export const PAGE_SIZE = 500;

/** Accept header for partial metadata, with the full form for servers and aggregated APIs without it. */
export const acceptFor = (metadataOnly: boolean | undefined, list: boolean): string =>
  metadataOnly === true
    ? `application/json;as=PartialObjectMetadata${list ? 'List' : ''};g=meta.k8s.io;v=v1,application/json`
    : 'application/json';

const callOf = ({ signal, timeoutMs, onCanary }: Call): Pick<Call, 'signal' | 'timeoutMs' | 'onCanary'> => ({
  signal,
  ...(timeoutMs === undefined ? {} : { timeoutMs }),
  ...(onCanary === undefined ? {} : { onCanary }),
});

function parsePage(value: unknown, resource: Resource): Result<Page> {
  if (!isRecord(value) || !isRecord(value['metadata'])) return fail('BadResponse', 'the answer is no list');
  const { resourceVersion, continue: next } = value['metadata'];
  const raw = value['items'] ?? [];
  if (typeof resourceVersion !== 'string' || !Array.isArray(raw)) return fail('BadResponse', 'the list has no version');
  const items: KubeObject[] = [];
  for (const item of raw) {
    const object = parseObject(item, resource);
    if (object === undefined) return fail('BadResponse', `an item of ${resourceLabel(resource)} has no name`);
    items.push(object);
  }
  return ok({ items, resourceVersion, ...(typeof next === 'string' && next !== '' ? { next } : {}) });
}

class RestClient implements KubeClient {
  readonly #transport: Transport;
  constructor(transport: Transport) {
    this.#transport = transport;
  }

  get(resource: Resource, ref: ObjectRef, call: Call): Promise<Result<KubeObject>> {
    return this.#object(resource, {
      method: 'GET' as const,
      path: pathOf(resource, ref),
      ...callOf(call),
      about: { verb: 'get', resource: resourceLabel(resource) },
    });
  }

  async list(resource: Resource, call: ListCall): Promise<Result<readonly KubeObject[]>> {
    const items: KubeObject[] = [];
    let next: string | undefined;
    do {
      const page = await this.page(resource, call, next);
      if (!page.ok) return page;
      items.push(...page.value.items);
      next = page.value.next;
    } while (next !== undefined);
    return ok(items);
  }

  async page(resource: Resource, call: ListCall, next?: string): Promise<Result<Page>> {
    const answer = await this.#transport.request({
      method: 'GET',
      path: pathOf(resource, call.namespace === undefined ? {} : { namespace: call.namespace }),
      query: {
        limit: call.pageSize ?? PAGE_SIZE,
        continue: next,
        labelSelector: call.labelSelector,
        fieldSelector: call.fieldSelector,
      },
      accept: acceptFor(call.metadataOnly, true),
      ...callOf(call),
      about: { verb: 'list', resource: resourceLabel(resource) },
    });
    return answer.ok ? parsePage(answer.value, resource) : answer;
  }

  create(resource: Resource, object: KubeObject, call: Call & { fieldManager?: string }): Promise<Result<KubeObject>> {
    const { namespace } = object.metadata;
    return this.#object(resource, {
      method: 'POST' as const,
      path: pathOf(resource, namespace === undefined ? {} : { namespace }),
      query: { fieldManager: call.fieldManager, dryRun: call.dryRun === true ? 'All' : undefined },
      body: object,
      ...callOf(call),
      about: { verb: 'create', resource: resourceLabel(resource) },
    });
  }

  apply(resource: Resource, object: KubeObject, call: ApplyCall): Promise<Result<KubeObject>> {
    // managedFields in an apply are an error; an object that was read has them.
    const { managedFields: _managed, ...metadata } = object.metadata;
    return this.#patch(resource, object.metadata, {
      type: 'application/apply-patch+yaml',
      verb: 'apply',
      body: { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind, metadata },
      call,
      force: call.force === true,
    });
  }

  mergePatch(resource: Resource, ref: ObjectRef, patch: object, call: PatchCall): Promise<Result<KubeObject>> {
    return this.#patch(resource, ref, { type: 'application/merge-patch+json', verb: 'patch', body: patch, call });
  }

  jsonPatch(resource: Resource, ref: ObjectRef, patch: JsonPatch, call: PatchCall): Promise<Result<KubeObject>> {
    return this.#patch(resource, ref, { type: 'application/json-patch+json', verb: 'patch', body: patch, call });
  }

  #patch(
    resource: Resource,
    ref: ObjectRef,
    how: { type: string; verb: string; body: unknown; call: PatchCall; force?: boolean },
  ): Promise<Result<KubeObject>> {
    const { call } = how;
    const sub = call.subresource === undefined ? {} : { subresource: call.subresource };
    return this.#object(resource, {
      method: 'PATCH' as const,
      path: pathOf(resource, {
        ...(ref.namespace === undefined ? {} : { namespace: ref.namespace }),
        name: ref.name,
        ...sub,
      }),
      query: {
        fieldManager: call.fieldManager,
        force: how.force,
        dryRun: call.dryRun === true ? 'All' : undefined,
      },
      body: how.body,
      contentType: how.type,
      ...callOf(call),
      about: { verb: how.verb, resource: resourceLabel(resource) },
    });
  }

  async delete(resource: Resource, ref: ObjectRef, call: DeleteCall): Promise<Result<boolean>> {
    const { uid, resourceVersion } = call;
    const preconditions =
      uid === undefined && resourceVersion === undefined ? {} : { preconditions: { uid, resourceVersion } };
    const answer = await this.#transport.request({
      method: 'DELETE',
      path: pathOf(resource, ref),
      query: { dryRun: call.dryRun === true ? 'All' : undefined },
      body: {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        propagationPolicy: call.propagation ?? 'Background',
        ...preconditions,
      },
      ...callOf(call),
      about: { verb: 'delete', resource: resourceLabel(resource) },
    });
    if (answer.ok) return ok(true);
    return answer.error.code === 'NotFound' ? ok(false) : answer;
  }

  raw(path: string, call: Call): Promise<Result<unknown>> {
    return this.#transport.request({ method: 'GET', path, ...callOf(call), about: { verb: 'get', resource: 'raw' } });
  }

  async #object(resource: Resource, request: Parameters<Transport['request']>[0]): Promise<Result<KubeObject>> {
    const answer = await this.#transport.request(request);
    if (!answer.ok) return answer;
    const object = parseObject(answer.value, resource);
    return object === undefined ? fail('BadResponse', 'the answer is no object') : ok(object);
  }
}

export const createClient = (transport: Transport): KubeClient => new RestClient(transport);
