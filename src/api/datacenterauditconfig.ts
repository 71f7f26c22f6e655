/**
 * The DatacenterAuditConfig resource: what all control planes of a datacenter get, new and existing alike. Source of its
 * CRD, its types and its checks without a cluster. No field has a default (its layers merge). What a release cannot act
 * upon is refused by name (datacenterauditconfig-unsupported.ts).
 */
import { z } from 'zod';
import { API_VERSION, layerSpec, objectMeta } from './auditconfig.ts';
import { policyRule, policySpec } from './auditconfig-policy.ts';
import { webhookSpec } from './auditconfig-sinks.ts';
import { checked, conditions, dataKey, extended, integer, list, objectName, set, text } from './crd-schema.ts';
import { datacenterLimits } from './datacenter-limits.ts';
import { labelSelector } from './label-selector.ts';

const namespaceName = z
  .string()
  .min(1)
  .max(63)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/);

/** A datacenter is in no namespace, so it says which. */
const namespacedRef = z.strictObject({
  name: objectName.describe('Name of the object.'),
  namespace: namespaceName.describe(
    'Where it is. The controller may read that of the operator; elsewhere it needs a Role.',
  ),
  key: dataKey.optional().describe('Key of its data.'),
});

/** Fewer than an AuditConfig may have: three lists of rules share the API server's budget for CEL. */
const RULES = 64;
const rules = list(policyRule, RULES);

export const datacenterLayer = layerSpec.extend({
  policy: extended(policySpec, {
    rules: rules.optional().describe('Own rules; enforced ones stand in front of every other.'),
    configMapRef: namespacedRef.optional().describe('A policy in a ConfigMap.'),
    secretRef: namespacedRef.optional().describe('A policy in a Secret.'),
  }).optional(),
  webhook: extended(webhookSpec, {
    secretRef: namespacedRef.describe("The Secret with the webhook's kubeconfig."),
  }).optional(),
});
export type DatacenterLayer = z.infer<typeof datacenterLayer>;

/** What an AuditConfig cannot set for itself; what it sets nevertheless stays in it, and counts again when this ends. */
export const FORBIDDABLE = ['Webhook', 'Shipping', 'Rules', 'PolicyReference', 'OmitStages'] as const;
export type Forbiddable = (typeof FORBIDDABLE)[number];

const exemption = z.strictObject({
  namespace: namespaceName,
  name: objectName.optional().describe('Of the AuditConfig. Unset: every one of the namespace.'),
  reason: text(1024).describe('Why, for whoever asks later.'),
  expirationTime: z
    .string()
    .max(64)
    .regex(/^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$/)
    .describe('When it ends, in RFC 3339. What lies more than maxExemptionDays ahead does not count.'),
});
export type Exemption = Readonly<z.infer<typeof exemption>>;

const share = z
  .string()
  .max(10)
  .regex(/^([1-9][0-9]{0,4}|(100|[1-9]?[0-9])%)$/)
  .describe('A number of control planes, or a percentage of all, rounded up; at least one.');

const fleetRollout = z.strictObject({
  canary: z
    .strictObject({
      selector: labelSelector.describe('Labels of namespaces.'),
      soakSeconds: integer(0, 604_800).optional().describe('How long they must have been ready. Unset: 600.'),
    })
    .optional()
    .describe('Control planes that come first.'),
  maxUnavailable: share.optional(),
  maxFailures: integer(1, 10_000).optional().describe('The rollout stops when so many failed. Unset: 1.'),
  paused: z.boolean().optional().describe('No further control plane is changed.'),
});

/** Labels of AuditConfigs are their owners': whoever could leave by a label would not be enforced. */
const ONLY_DEFAULTS = ['enforced', 'mandatoryRules', 'limits', 'forbid'] as const;

export const datacenterAuditConfigSpec = checked(
  z.strictObject({
    selector: z
      .strictObject({
        namespaceSelector: labelSelector.optional().describe('Labels of namespaces. Unset: all namespaces.'),
        objectSelector: labelSelector
          .optional()
          .describe('Labels of AuditConfigs, which their owners can change: for defaults only. Unset: all.'),
      })
      .optional()
      .describe('Which AuditConfigs. Unset selects none, {} all.'),
    discovery: z
      .strictObject({
        hosted: z.strictObject({ workloadSelector: labelSelector }).optional(),
      })
      .optional()
      .describe('Control planes without an AuditConfig get one.'),
    defaults: datacenterLayer.optional().describe('Counts where an AuditConfig says nothing.'),
    enforced: datacenterLayer.optional().describe('Counts whatever an AuditConfig says.'),
    mandatoryRules: rules
      .optional()
      .describe('In front of every policy, so that nobody can lower them. Those of all datacenters add up.'),
    limits: datacenterLimits.optional().describe('Floors and ceilings for what an AuditConfig may say.'),
    forbid: set(z.enum(FORBIDDABLE), FORBIDDABLE.length)
      .optional()
      .describe('What an AuditConfig cannot set for itself.'),
    admission: z
      .enum(['Warn', 'Deny'])
      .optional()
      .describe('What kubectl is answered when an AuditConfig sets what is enforced or forbidden. Unset: Warn.'),
    exemptions: list(exemption, 256).optional().describe('AuditConfigs that this does not count for, for a while.'),
    maxExemptionDays: integer(1, 3650).optional().describe('How far ahead an exemption may end. Unset: 90.'),
    rollout: fleetRollout.optional().describe('How a change reaches the control planes.'),
    priority: integer(-1_000_000, 1_000_000)
      .optional()
      .describe('Of two that set the same, the higher counts; of equal ones the first by name. Unset: 0.'),
  }),
  [
    {
      rule: `!has(self.selector) || !has(self.selector.objectSelector) || !(${ONLY_DEFAULTS.map((f) => `has(self.${f})`).join(' || ')})`,
      message:
        'objectSelector reads labels of AuditConfigs, which their owners can change: it goes with defaults only, so enforce by namespaceSelector',
      holds: (s) => s.selector?.objectSelector === undefined || ONLY_DEFAULTS.every((f) => s[f] === undefined),
    },
  ],
);
export type DatacenterAuditConfigSpec = z.infer<typeof datacenterAuditConfigSpec>;

const count = z.int().min(0).max(1_000_000);

export const datacenterAuditConfigStatus = z.object({
  observedGeneration: z.int().min(0).optional(),
  content: z
    .object({ name: objectName, digest: z.string().max(64) })
    .optional()
    .describe('The newest valid content: what control planes get.'),
  controlPlanes: z
    .object({
      selected: count,
      updated: count.describe('Have the newest content.'),
      ready: count.describe('And all their nodes run it.'),
      failed: count,
      exempt: count,
      summary: z.string().max(32).optional().describe('ready/selected'),
      failures: z
        .array(z.object({ name: text(320), reason: z.string().max(256), message: z.string().max(1024).optional() }))
        .max(20)
        .optional(),
    })
    .optional(),
  exemptions: z
    .array(
      z.object({
        namespace: z.string().max(63),
        name: z.string().max(253).optional(),
        phase: z.enum(['Active', 'Ending', 'Expired', 'TooLong']),
        expirationTime: z.string().max(64),
      }),
    )
    .max(256)
    .optional()
    .describe('Which exemptions count (Active, Ending), and which do not.'),
  conditions: conditions.optional(),
});
export type DatacenterAuditConfigStatus = z.infer<typeof datacenterAuditConfigStatus>;

export const datacenterAuditConfig = z.strictObject({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal('DatacenterAuditConfig'),
  metadata: objectMeta,
  spec: datacenterAuditConfigSpec,
  status: z.unknown().optional(),
});
export type DatacenterAuditConfig = z.infer<typeof datacenterAuditConfig>;
