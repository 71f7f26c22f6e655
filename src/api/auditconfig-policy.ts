/**
 * spec.policy of an AuditConfig: which requests are recorded, and how much of them. What CEL can say about a rule is
 * said here; the rest is judged by src/policy when a revision is rendered.
 * Source of the rules: k8s.io/apiserver pkg/apis/audit/validation.
 */
import { z } from 'zod';
import { LEVELS, STAGES } from './audit.ts';
import { PRESET_NAMES } from './preset-names.ts';
import { checked, keyRef, list, set, text } from './crd-schema.ts';

const stages = set(z.enum(STAGES), STAGES.length);

const groupResources = checked(
  z.strictObject({
    group: z.string().max(253).optional().describe("API group without version, such as 'apps'. '' is the core group."),
    resources: list(z.string().max(253), 64)
      .optional()
      .describe("Resources: 'pods', 'pods/log', 'pods/*', '*/scale', '*'. Empty: every resource of the group."),
    resourceNames: list(z.string().max(253), 64)
      .optional()
      .describe('Names of objects. They never match list or create, which have no name.'),
  }),
  [
    {
      // The whole pattern (a DNS subdomain) would cost three times the budget; the policy engine has it.
      rule: "!has(self.group) || self.group == '*' || self.group.matches('^[a-z0-9.-]*$')",
      message:
        "group must be an API group's name in lower case without its version, such as 'apps' ('' is the core group)",
      holds: ({ group = '' }) => group === '*' || /^[a-z0-9.-]*$/.test(group),
    },
    {
      rule: '!has(self.resourceNames) || size(self.resourceNames) == 0 || (has(self.resources) && size(self.resources) > 0)',
      message: 'resourceNames needs at least one entry in resources',
      holds: ({ resources = [], resourceNames = [] }) => resourceNames.length === 0 || resources.length > 0,
    },
  ],
);

export const policyRule = checked(
  z.strictObject({
    level: z.enum(LEVELS).describe('How much is recorded of a request that this rule matches.'),
    users: list(z.string().max(253), 128).optional().describe('Names of users. Empty: any.'),
    userGroups: list(z.string().max(253), 128).optional().describe('Groups, of which a user has one. Empty: any.'),
    verbs: list(z.string().max(64), 32)
      .optional()
      .describe("Verbs such as 'get', 'create'. Empty: any. There is no wildcard: '*' matches nothing."),
    resources: list(groupResources, 64).optional().describe('Resources. Empty: any.'),
    namespaces: list(z.string().max(63), 128)
      .optional()
      .describe("Namespaces. '' stands for cluster-scoped objects. Empty: any."),
    nonResourceURLs: list(z.string().max(512), 32)
      .optional()
      .describe("URL paths such as '/healthz*' of requests that are for no resource."),
    omitStages: stages.optional().describe('Stages in which nothing is recorded.'),
    omitManagedFields: z.boolean().optional().describe('Leaves managedFields out of recorded bodies.'),
  }),
  [
    {
      rule: '!has(self.nonResourceURLs) || size(self.nonResourceURLs) == 0 || ((!has(self.resources) || size(self.resources) == 0) && (!has(self.namespaces) || size(self.namespaces) == 0))',
      message:
        'a rule with nonResourceURLs cannot have resources or namespaces too: a request is for one or the other, so write two rules',
      holds: ({ nonResourceURLs = [], resources = [], namespaces = [] }) =>
        nonResourceURLs.length === 0 || (resources.length === 0 && namespaces.length === 0),
    },
    {
      rule: "!has(self.nonResourceURLs) || self.nonResourceURLs.all(u, u.matches('^([*]|/[^*]*[*]?)$'))",
      message: "nonResourceURLs begin with '/' (or are '*' alone), and '*' may only be the last character",
      holds: ({ nonResourceURLs = [] }) => nonResourceURLs.every((u) => /^([*]|\/[^*]*[*]?)$/.test(u)),
    },
  ],
);
export type PolicyRuleSpec = z.infer<typeof policyRule>;

export const policySpec = checked(
  z.strictObject({
    preset: z
      .enum(['', ...PRESET_NAMES])
      .optional()
      .describe("A policy that ships with auditconfig. '' unsets the preset of a weaker layer."),
    rules: list(policyRule, 256).optional().describe('Own rules; see rulesPosition.'),
    rulesPosition: z
      .enum(['Before', 'After'])
      .optional()
      .describe('Where own rules stand to the preset and the referenced policy. First match wins. Unset: Before.'),
    configMapRef: keyRef
      .optional()
      .describe("A policy in a ConfigMap of this namespace. Without key: 'policy.yaml', then 'audit-policy.yaml'."),
    secretRef: keyRef
      .optional()
      .describe("A policy in a Secret of this namespace. Without key: 'policy.yaml', then 'audit-policy.yaml'."),
    omitStages: stages.optional().describe('Stages in which nothing is recorded, for the whole policy.'),
    omitManagedFields: z.boolean().optional().describe('Leaves managedFields out of bodies where a rule says nothing.'),
    sensitiveBodies: z
      .enum(['Redact', 'Allow'])
      .optional()
      .describe(
        'Redact: bodies of secrets, config maps, tokens and the like are never recorded, whatever a rule says. Unset: Redact.',
      ),
    systemNamespaces: list(text(63), 128)
      .optional()
      .describe("The namespaces that the preset 'basic' counts as the system's."),
  }),
  [
    {
      rule: '!(has(self.configMapRef) && has(self.secretRef))',
      message: 'configMapRef and secretRef exclude each other: a policy comes from one place',
      holds: (p) => p.configMapRef === undefined || p.secretRef === undefined,
    },
  ],
);
