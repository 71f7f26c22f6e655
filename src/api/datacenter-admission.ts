/**
 * ValidatingAdmissionPolicies with DatacenterAuditConfigs as parameters, written in one breath with the schema
 * (`npm run generate`). Two say what kubectl is told when an AuditConfig sets what a datacenter enforces or forbids, one that
 * warns and one that refuses: they only repeat what the merge does anyway (src/config/datacenter.ts), as far as CEL can say
 * it, and without them nothing is lost but the sentence. The third keeps an owner from leaving by the garbage collector.
 * They fail open.
 */
import { API_VERSION, GROUP } from './auditconfig.ts';
import type { Forbiddable } from './datacenterauditconfig.ts';

/** Enforced field by field. Own rules add up; a webhook, shipping and references count whole. */
const FIELDS: readonly string[] = [
  'state',
  'kubeadmConfig',
  ...['preset', 'rulesPosition', 'omitStages', 'omitManagedFields', 'sensitiveBodies', 'systemNamespaces'].map(
    (f) => `policy.${f}`,
  ),
  ...['type', 'mode', 'file.path', 'file.readerGroup', 'file.format'].map((f) => `log.${f}`),
  ...['maxAgeDays', 'maxBackups', 'maxSize', 'totalSize', 'compression'].map((f) => `log.retention.${f}`),
  ...['paused', 'minReadySeconds', 'timeoutSeconds', 'windows', 'maxFailures', 'allowDegraded'].map(
    (f) => `rollout.${f}`,
  ),
];

/** `has` of each step of a path, since CEL stops with an error at one that is not there. */
const has = (root: string, path: string): string =>
  path
    .split('.')
    .map((_, i, keys) => `has(${root}.${keys.slice(0, i + 1).join('.')})`)
    .join(' && ');

type Validation = {
  readonly expression: string;
  readonly messageExpression: string;
  readonly reason: 'Invalid' | 'Forbidden';
};

const OWN = 'object.spec';
const ENFORCED = 'params.spec.enforced';
const enforced = (path: string): string => `has(${ENFORCED}) && ${has(ENFORCED, path)}`;

/** A field of the AuditConfig that does not count, under which circumstances, and what is said of it. */
type Idle = { readonly path: string; readonly bad: string; readonly what: string };

const enforcedFields: readonly Idle[] = FIELDS.map((path) => ({
  path,
  bad: `${enforced(path)} && ${has(OWN, path)} && ${OWN}.${path} != ${ENFORCED}.${path}`,
  what: 'is enforced',
}));
const wholes: readonly Idle[] = [
  ...['webhook', 'shipping'].map((path) => ({
    path,
    bad: `${enforced(path)} && ${has(OWN, path)}`,
    what: 'is enforced',
  })),
  ...['policy.configMapRef', 'policy.secretRef'].map((path) => ({
    path,
    bad: `${enforced('policy')} && (has(${ENFORCED}.policy.configMapRef) || has(${ENFORCED}.policy.secretRef)) && ${has(OWN, path)}`,
    what: 'is enforced',
  })),
];

const FORBIDDEN: Readonly<Record<Forbiddable, readonly string[]>> = {
  Webhook: ['webhook'],
  Shipping: ['shipping'],
  Rules: ['policy.rules'],
  PolicyReference: ['policy.configMapRef', 'policy.secretRef'],
  OmitStages: ['policy.omitStages', 'policy.omitManagedFields'],
};
const forbidden: readonly Idle[] = Object.entries(FORBIDDEN).flatMap(([word, paths]) =>
  paths.map((path) => ({
    path,
    bad: `has(params.spec.forbid) && '${word}' in params.spec.forbid && ${has(OWN, path)}`,
    what: 'is forbidden',
  })),
);

/** What stood there before a datacenter refused it must not keep its owner from changing something else. */
function validationOf({ path, bad, what }: Idle, action: 'Warn' | 'Deny'): Validation {
  const stood = `request.operation == 'UPDATE' && ${has('oldObject.spec', path)} && oldObject.spec.${path} == ${OWN}.${path}`;
  return {
    expression: `!(variables.governed && ${bad}${action === 'Deny' ? ` && !(${stood})` : ''})`,
    messageExpression: `'spec.${path} ${what} by DatacenterAuditConfig "' + params.metadata.name + '": what stands here does not count'`,
    reason: 'Invalid',
  };
}

/** Of parameters; the same as matchesLabels (label-selector.ts). */
const SELECTOR = 'params.spec.selector.namespaceSelector';
const SELECTED = [
  'has(params.spec.selector) && (!has(params.spec.selector.namespaceSelector) ||',
  `((!has(${SELECTOR}.matchLabels) || ${SELECTOR}.matchLabels.all(k, k in variables.labels && variables.labels[k] == ${SELECTOR}.matchLabels[k]))`,
  `&& (!has(${SELECTOR}.matchExpressions) || ${SELECTOR}.matchExpressions.all(e,`,
  "e.operator == 'Exists' ? e.key in variables.labels :",
  "e.operator == 'DoesNotExist' ? !(e.key in variables.labels) :",
  "e.operator == 'In' ? e.key in variables.labels && variables.labels[e.key] in e.values :",
  '!(e.key in variables.labels) || !(variables.labels[e.key] in e.values)))))',
].join(' ');
/** CEL has no clock: what counts is what the controller says of each exemption. */
const EXEMPT =
  'has(params.status) && has(params.status.exemptions) && params.status.exemptions.exists(e, ' +
  "e.namespace == request.namespace && (!has(e.name) || e.name == object.metadata.name) && e.phase in ['Active', 'Ending'])";

const VARIABLES: readonly object[] = [
  {
    name: 'labels',
    expression: 'has(namespaceObject.metadata.labels) ? namespaceObject.metadata.labels : {}',
  },
  { name: 'governed', expression: `${SELECTED} && !(${EXEMPT})` },
];

type Rule = { readonly name: string; readonly expression: string };
type Judge = {
  readonly name: string;
  readonly action: 'Warn' | 'Deny';
  readonly matchConditions: readonly Rule[];
  readonly validations: readonly Validation[];
};

/** A policy on every AuditConfig that is written, and its binding to every datacenter. */
const judging = ({ name, action, matchConditions, validations }: Judge): readonly object[] => [
  {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicy',
    metadata: { name },
    spec: {
      failurePolicy: 'Ignore',
      paramKind: { apiVersion: API_VERSION, kind: 'DatacenterAuditConfig' },
      matchConstraints: {
        resourceRules: [
          { apiGroups: [GROUP], apiVersions: ['*'], operations: ['CREATE', 'UPDATE'], resources: ['auditconfigs'] },
        ],
      },
      matchConditions,
      variables: VARIABLES,
      validations,
    },
  },
  {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicyBinding',
    metadata: { name },
    spec: {
      policyName: name,
      paramRef: { selector: {}, parameterNotFoundAction: 'Allow' },
      validationActions: [action],
    },
  },
];

function policy(action: 'Warn' | 'Deny'): readonly object[] {
  const denies = "has(params.spec.admission) && params.spec.admission == 'Deny'";
  return judging({
    name: `auditconfig-datacenter-${action.toLowerCase()}`,
    action,
    matchConditions: [
      {
        name: 'spec-changes',
        // A finalizer that the controller adds is nothing to be warned of.
        expression: "request.operation == 'CREATE' || object.spec != oldObject.spec",
      },
      { name: 'as-the-datacenter-wants', expression: action === 'Deny' ? denies : `!(${denies})` },
    ],
    validations: [...enforcedFields, ...wholes, ...forbidden].map((idle) => validationOf(idle, action)),
  });
}

/** What is neither the controller's own word (what it discovers goes with its workload) nor the garbage collector's. */
const WRITERS = [
  'system:serviceaccount:auditconfig-system:auditconfig-controller',
  'system:kube-controller-manager',
  'system:serviceaccount:kube-system:generic-garbage-collector',
];
const OWNERS = 'metadata.ownerReferences';
const SAME_OWNER = ['apiVersion', 'kind', 'name', 'uid'].map((f) => `b.${f} == o.${f}`).join(' && ');
const NEW_OWNER =
  `has(object.${OWNERS}) && object.${OWNERS}.exists(o, ` +
  `oldObject == null || !has(oldObject.${OWNERS}) || !oldObject.${OWNERS}.exists(b, ${SAME_OWNER}))`;
const BINDS = ['enforced', 'mandatoryRules', 'limits', 'forbid'].map((f) => `has(params.spec.${f})`).join(' || ');

/**
 * The garbage collector deletes what has an owner that is not there, whoever named that: an AuditConfig that its owner may not
 * delete is not to go that way either. It fails open, as all with parameters: without their CRD nobody is to be stuck.
 */
const owners = (): readonly object[] =>
  judging({
    name: 'auditconfig-datacenter-owners',
    action: 'Deny',
    matchConditions: [
      { name: 'names-an-owner', expression: NEW_OWNER },
      {
        name: 'somebody-else',
        expression: `!(request.userInfo.username in [${WRITERS.map((w) => `'${w}'`).join(', ')}])`,
      },
    ],
    validations: [
      {
        expression:
          `!variables.governed || !(${BINDS}) || ` +
          `authorizer.group('${GROUP}').resource('datacenterauditconfigs').check('delete').allowed()`,
        messageExpression: `'DatacenterAuditConfig "' + params.metadata.name + '" binds this AuditConfig: an owner that is not there would delete it, so only who may delete that names owners'`,
        reason: 'Forbidden',
      },
    ],
  });

export const datacenterAdmission = (): readonly object[] => [...policy('Warn'), ...policy('Deny'), ...owners()];
