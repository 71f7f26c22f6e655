/**
 * The Go types that an audit.k8s.io/v1 Policy decodes into, as far as decoding sees them: k8s.io/apiserver
 * pkg/apis/audit/v1 and k8s.io/apimachinery pkg/apis/meta/v1 (the same from Kubernetes 1.26 on). `go` is the type's name
 * in the API server's error messages.
 */
export type GoType =
  | { readonly kind: 'string' | 'bool' | 'int64'; readonly go: string }
  /** metav1.Time: RFC 3339 as Go parses it. */
  | { readonly kind: 'time' }
  /** metav1.FieldsV1: any JSON. */
  | { readonly kind: 'raw' }
  | { readonly kind: 'pointer'; readonly to: GoType }
  | { readonly kind: 'slice'; readonly go: string; readonly of: GoType }
  | { readonly kind: 'map'; readonly go: string; readonly of: GoType }
  | GoStruct;
export type GoStruct = {
  readonly kind: 'struct';
  readonly go: string;
  /** By JSON name; case matters. */
  readonly fields: ReadonlyMap<string, GoField>;
};
/** `embedded` is the embedded Go struct that the field comes from, which shows in error messages. */
export type GoField = { readonly type: GoType; readonly embedded?: string };

const STRING: GoType = { kind: 'string', go: 'string' };
const BOOL: GoType = { kind: 'bool', go: 'bool' };
const INT64: GoType = { kind: 'int64', go: 'int64' };
const TIME: GoType = { kind: 'time' };
const UID: GoType = { kind: 'string', go: 'types.UID' };

const pointer = (to: GoType): GoType => ({ kind: 'pointer', to });
const named = (type: GoType): string => ('go' in type ? type.go : '');
const slice = (of: GoType): GoType => ({ kind: 'slice', go: `[]${named(of)}`, of });
const struct = (
  go: string,
  fields: Readonly<Record<string, GoType>>,
  embedded: readonly [string, GoField][] = [],
): GoStruct => ({
  kind: 'struct',
  go,
  fields: new Map([...embedded, ...Object.entries(fields).map(([name, type]): [string, GoField] => [name, { type }])]),
});

const STAGES = slice({ kind: 'string', go: 'v1.Stage' });

export const GROUP_RESOURCES = struct('v1.GroupResources', {
  group: STRING,
  resources: slice(STRING),
  resourceNames: slice(STRING),
});

export const POLICY_RULE = struct('v1.PolicyRule', {
  level: { kind: 'string', go: 'v1.Level' },
  users: slice(STRING),
  userGroups: slice(STRING),
  verbs: slice(STRING),
  resources: slice(GROUP_RESOURCES),
  namespaces: slice(STRING),
  nonResourceURLs: slice(STRING),
  omitStages: STAGES,
  omitManagedFields: pointer(BOOL),
});

const OWNER_REFERENCE = struct('v1.OwnerReference', {
  apiVersion: STRING,
  kind: STRING,
  name: STRING,
  uid: UID,
  controller: pointer(BOOL),
  blockOwnerDeletion: pointer(BOOL),
});

const MANAGED_FIELDS_ENTRY = struct('v1.ManagedFieldsEntry', {
  manager: STRING,
  operation: { kind: 'string', go: 'v1.ManagedFieldsOperationType' },
  apiVersion: STRING,
  time: pointer(TIME),
  fieldsType: STRING,
  fieldsV1: pointer({ kind: 'raw' }),
  subresource: STRING,
});

const STRING_MAP: GoType = { kind: 'map', go: 'map[string]string', of: STRING };

export const OBJECT_META = struct('v1.ObjectMeta', {
  name: STRING,
  generateName: STRING,
  namespace: STRING,
  selfLink: STRING,
  uid: UID,
  resourceVersion: STRING,
  generation: INT64,
  creationTimestamp: TIME,
  deletionTimestamp: pointer(TIME),
  deletionGracePeriodSeconds: pointer(INT64),
  labels: STRING_MAP,
  annotations: STRING_MAP,
  ownerReferences: slice(OWNER_REFERENCE),
  finalizers: slice(STRING),
  managedFields: slice(MANAGED_FIELDS_ENTRY),
});

export const POLICY = struct(
  'v1.Policy',
  { metadata: OBJECT_META, rules: slice(POLICY_RULE), omitStages: STAGES, omitManagedFields: BOOL },
  [
    ['kind', { type: STRING, embedded: 'TypeMeta' }],
    ['apiVersion', { type: STRING, embedded: 'TypeMeta' }],
  ],
);
