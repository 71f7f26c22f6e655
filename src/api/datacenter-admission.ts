/**
 * What kubectl is told when an AuditConfig sets what a datacenter enforces or forbids: two ValidatingAdmissionPolicies
 * with DatacenterAuditConfigs as parameters, one that warns and one that refuses, written in one breath with the schema
 * (`npm run generate`). They only repeat what the merge does anyway (src/config/datacenter.ts), as far as CEL can say it:
 * without them nothing is lost but the sentence. So they fail open.
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

type Validation = { readonly expression: string; readonly messageExpression: string; readonly reason: 'Invalid' };

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

function policy(action: 'Warn' | 'Deny'): readonly object[] {
  const name = `auditconfig-datacenter-${action.toLowerCase()}`;
  const denies = "has(params.spec.admission) && params.spec.admission == 'Deny'";
  return [
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
        matchConditions: [
          {
            name: 'spec-changes',
            // A finalizer that the controller adds is nothing to be warned of.
            expression: "request.operation == 'CREATE' || object.spec != oldObject.spec",
          },
          { name: 'as-the-datacenter-wants', expression: action === 'Deny' ? denies : `!(${denies})` },
        ],
        variables: [
          {
            name: 'labels',
            expression: 'has(namespaceObject.metadata.labels) ? namespaceObject.metadata.labels : {}',
          },
          { name: 'governed', expression: `${SELECTED} && !(${EXEMPT})` },
        ],
        validations: [...enforcedFields, ...wholes, ...forbidden].map((idle) => validationOf(idle, action)),
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
}

export const datacenterAdmission = (): readonly object[] => [...policy('Warn'), ...policy('Deny')];
