/** Own rules of an AuditConfig as the policy engine has them: absent lists empty. */
import type { Rule } from '../api/audit.ts';
import type { PolicyRuleSpec } from '../api/auditconfig-policy.ts';

export const ruleOf = (r: PolicyRuleSpec): Rule => ({
  level: r.level,
  users: r.users ?? [],
  userGroups: r.userGroups ?? [],
  verbs: r.verbs ?? [],
  resources: (r.resources ?? []).map((g) => ({
    group: g.group ?? '',
    resources: g.resources ?? [],
    resourceNames: g.resourceNames ?? [],
  })),
  namespaces: r.namespaces ?? [],
  nonResourceURLs: r.nonResourceURLs ?? [],
  omitStages: r.omitStages ?? [],
  ...(r.omitManagedFields === undefined ? {} : { omitManagedFields: r.omitManagedFields }),
});
