/**
 * The CustomResourceDefinitions, made from the zod schemas: `npm run generate` writes them to crds/, and a test fails
 * when they drift. zod speaks JSON Schema; an API server wants a structural OpenAPI v3 schema, which is less. What
 * cannot be mended without a change of meaning (unions, defaults, references) is a bug here and throws.
 */
import { z } from 'zod';
import { GROUP, VERSION, auditConfigSpec, auditConfigStatus } from './auditconfig.ts';
import { datacenterAuditConfigSpec, datacenterAuditConfigStatus } from './datacenterauditconfig.ts';
import { auditNodeSpec, auditNodeStatus } from './auditnode.ts';

type Json = { [key: string]: unknown };
const isObject = (v: unknown): v is Json => typeof v === 'object' && v !== null && !Array.isArray(v);

/** Keywords that pass as they are. */
const KEPT = new Set([
  'type', 'description', 'format', 'enum', 'pattern', 'required', 'nullable',
  'minLength', 'maxLength', 'minItems', 'maxItems', 'minProperties', 'maxProperties', 'minimum', 'maximum',
  'x-kubernetes-validations', 'x-kubernetes-list-type', 'x-kubernetes-list-map-keys',
  'x-kubernetes-preserve-unknown-fields',
]); // prettier-ignore

/** The structural schema of a zod schema, as an API server accepts it. */
export function structural(schema: z.ZodType): Json {
  return mend(z.toJSONSchema(schema, { io: 'input', target: 'openapi-3.0' }), '');
}

function mend(node: unknown, path: string): Json {
  if (!isObject(node)) throw new Error(`${path}: not a schema`);
  const out: Json = {};
  const ofAnyType = node['x-kubernetes-preserve-unknown-fields'] === true;
  for (const [key, value] of Object.entries(node)) {
    if (KEPT.has(key)) out[key] = value;
    else if (key === 'properties' && isObject(value)) out[key] = mendAll(value, path);
    else if (key === 'items') out[key] = mend(value, `${path}[]`);
    // A strict object's `false` would contradict pruning; a record's schema stays.
    else if (key === 'additionalProperties') {
      if (value !== false) out[key] = mend(value, `${path}{}`);
    } else if (!(key === 'anyOf' && ofAnyType)) throw new Error(`${path}: ${key} has no place in a structural schema`);
  }
  return out['type'] === 'integer' ? boundedInteger(out) : out;
}

const mendAll = (properties: Json, path: string): Json =>
  Object.fromEntries(Object.entries(properties).map(([name, p]) => [name, mend(p, `${path}.${name}`)]));

/** zod bounds every integer by what JavaScript can count; Kubernetes says int64 to that. */
function boundedInteger({ minimum, maximum, ...rest }: Json): Json {
  const int32 = typeof maximum === 'number' && maximum < 2 ** 31;
  return {
    ...rest,
    format: int32 ? 'int32' : 'int64',
    ...(minimum === Number.MIN_SAFE_INTEGER ? {} : { minimum }),
    ...(maximum === Number.MAX_SAFE_INTEGER ? {} : { maximum }),
  };
}

type Column = {
  name: string;
  type: 'string' | 'integer' | 'date';
  jsonPath: string;
  priority?: number;
  description?: string;
};
type Kind = {
  readonly kind: string;
  readonly plural: string;
  readonly shortName: string;
  readonly scope: 'Namespaced' | 'Cluster';
  readonly description: string;
  readonly spec: z.ZodType;
  readonly status: z.ZodType;
  readonly columns: readonly Column[];
  readonly rules?: readonly { readonly rule: string; readonly message: string }[];
};

const ofCondition = (type: string, field: string): string => `.status.conditions[?(@.type=="${type}")].${field}`;
const AGE: Column = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };

const KINDS: readonly Kind[] = [
  {
    kind: 'AuditConfig',
    plural: 'auditconfigs',
    shortName: 'ac',
    scope: 'Namespaced',
    description:
      "What one control plane's auditing is to be: policy, log, webhook, and how changes reach its API servers.",
    spec: auditConfigSpec,
    status: auditConfigStatus,
    columns: [
      { name: 'Ready', type: 'string', jsonPath: ofCondition('Ready', 'status') },
      { name: 'Reason', type: 'string', jsonPath: ofCondition('Ready', 'reason') },
      { name: 'Preset', type: 'string', jsonPath: '.status.effective.preset' },
      { name: 'Nodes', type: 'string', jsonPath: '.status.nodes.summary', description: 'updated/desired' },
      { name: 'Revision', type: 'string', jsonPath: '.status.revision.name' },
      AGE,
      { name: 'Target', type: 'string', jsonPath: '.spec.target.type', priority: 1 },
      { name: 'Message', type: 'string', jsonPath: ofCondition('Ready', 'message'), priority: 1 },
    ],
  },
  {
    kind: 'DatacenterAuditConfig',
    plural: 'datacenterauditconfigs',
    shortName: 'dac',
    scope: 'Cluster',
    description:
      'What all control planes of a datacenter get: defaults, what is enforced, and rules that nobody can lower.',
    spec: datacenterAuditConfigSpec,
    status: datacenterAuditConfigStatus,
    columns: [
      { name: 'Ready', type: 'string', jsonPath: ofCondition('Ready', 'status') },
      { name: 'Reason', type: 'string', jsonPath: ofCondition('Ready', 'reason') },
      {
        name: 'ControlPlanes',
        type: 'string',
        jsonPath: '.status.controlPlanes.summary',
        description: 'ready/selected',
      },
      { name: 'Failed', type: 'integer', jsonPath: '.status.controlPlanes.failed' },
      { name: 'Exempt', type: 'integer', jsonPath: '.status.controlPlanes.exempt' },
      { name: 'Priority', type: 'integer', jsonPath: '.spec.priority' },
      AGE,
      { name: 'Message', type: 'string', jsonPath: ofCondition('Ready', 'message'), priority: 1 },
    ],
  },
  {
    kind: 'AuditNode',
    plural: 'auditnodes',
    shortName: 'an',
    scope: 'Cluster',
    description:
      'What one control-plane node is to run and what it runs. Written by auditconfig, to be read by people.',
    spec: auditNodeSpec,
    status: auditNodeStatus,
    columns: [
      { name: 'Phase', type: 'string', jsonPath: '.status.phase' },
      { name: 'Desired', type: 'string', jsonPath: '.spec.desired.revision.name' },
      { name: 'Config', type: 'string', jsonPath: '.spec.auditConfigRef.name' },
      { name: 'Version', type: 'string', jsonPath: '.status.kubernetesVersion' },
      { name: 'Failure', type: 'string', jsonPath: '.status.lastFailure.reason' },
      AGE,
      { name: 'Current', type: 'string', jsonPath: '.status.current', priority: 1 },
      { name: 'LastKnownGood', type: 'string', jsonPath: '.status.lastKnownGood', priority: 1 },
      { name: 'Message', type: 'string', jsonPath: '.status.message', priority: 1 },
    ],
    rules: [
      {
        rule: 'self.metadata.name == self.spec.nodeName',
        message: 'an AuditNode is named as its node (spec.nodeName)',
      },
    ],
  },
];

function manifest(k: Kind): Json {
  const openAPIV3Schema = {
    type: 'object',
    description: k.description,
    required: ['spec'],
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { type: 'object' },
      spec: structural(k.spec),
      status: structural(k.status),
    },
    ...(k.rules === undefined ? {} : { 'x-kubernetes-validations': k.rules }),
  };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${k.plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: k.scope,
      names: {
        kind: k.kind,
        listKind: `${k.kind}List`,
        plural: k.plural,
        singular: k.kind.toLowerCase(),
        shortNames: [k.shortName],
        categories: ['audit'],
      },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          schema: { openAPIV3Schema },
          subresources: { status: {} },
          additionalPrinterColumns: k.columns,
        },
      ],
    },
  };
}

/** File name (as controller-gen would name it) and manifest of every CRD. */
export const customResourceDefinitions = (): readonly { readonly file: string; readonly manifest: Json }[] =>
  KINDS.map((k) => ({ file: `${GROUP}_${k.plural}.yaml`, manifest: manifest(k) }));
