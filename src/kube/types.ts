/**
 * What every Kubernetes object has in common, and how a resource is addressed. Bytes from the API server are `unknown`
 * until `parseObject` has looked at them; what is inside `spec` and `status` is the caller's to parse.
 */

export type OwnerReference = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
};

export type ObjectMeta = {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  /** Opaque, but for isOlder. */
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly OwnerReference[];
  readonly managedFields?: readonly unknown[];
};

export type KubeObject = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  readonly [field: string]: unknown;
};

/** One served resource. `plural` is the path segment (`configmaps`). */
export type Resource = {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
};

/** Names one object. `namespace` is required exactly for namespaced resources. */
export type ObjectRef = { readonly namespace?: string; readonly name: string };

/** `namespace/name`, or `name` for cluster-scoped objects: what stores and queues are keyed by. */
export type ObjectKey = string;

/**
 * Of two versions of one resource, is the first an older one? They are decimal numbers that grow (promised since 1.35,
 * KEP-5504, and so with etcd ever since); of what is none nothing can be said: false.
 */
export function isOlder(a: string | undefined, b: string | undefined): boolean {
  if (a === undefined || b === undefined || !/^[1-9][0-9]*$/.test(a) || !/^[1-9][0-9]*$/.test(b)) return false;
  return a.length === b.length ? a < b : a.length < b.length;
}

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * The value as an object, or undefined when it is none. Items of built-in lists come without apiVersion and kind:
 * they are filled in from `resource`.
 */
export function parseObject(value: unknown, resource: Resource): KubeObject | undefined {
  if (!isRecord(value) || !isRecord(value['metadata'])) return undefined;
  const metadata = value['metadata'];
  if (typeof metadata['name'] !== 'string' || metadata['name'] === '') return undefined;
  const apiVersion = typeof value['apiVersion'] === 'string' ? value['apiVersion'] : apiVersionOf(resource);
  const kind = typeof value['kind'] === 'string' ? value['kind'] : resource.kind;
  return { ...value, apiVersion, kind, metadata: { ...metadata, name: metadata['name'] } };
}

export const apiVersionOf = (r: Resource): string => (r.group === '' ? r.version : `${r.group}/${r.version}`);

/** Short name for logs and metrics: `auditconfigs.example.com`, `configmaps`. */
export const resourceLabel = (r: Resource): string => (r.group === '' ? r.plural : `${r.plural}.${r.group}`);

export const keyOf = (ref: ObjectRef): ObjectKey =>
  ref.namespace === undefined || ref.namespace === '' ? ref.name : `${ref.namespace}/${ref.name}`;

export function refOf(key: ObjectKey): ObjectRef {
  const slash = key.indexOf('/');
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/** URL path of a collection (no name; no namespace means all of them), an object or a subresource of it. */
export function pathOf(r: Resource, at: { namespace?: string; name?: string; subresource?: string } = {}): string {
  const parts = r.group === '' ? ['api', r.version] : ['apis', r.group, r.version];
  if (r.namespaced && at.namespace !== undefined) parts.push('namespaces', at.namespace);
  parts.push(r.plural);
  if (at.name !== undefined) parts.push(at.name);
  if (at.subresource !== undefined) parts.push(at.subresource);
  return `/${parts.map(encodeURIComponent).join('/')}`;
}
