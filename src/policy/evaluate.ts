/** Placeholder while the compiled engine is being written: the plain reading of the rules, first match wins. */
import type { Decision, Policy, RequestAttributes, Stage } from '../api/audit.ts';
import { mismatch } from './match.ts';

export type CompiledPolicy = { readonly decide: (r: RequestAttributes) => Decision };

const union = (a: readonly Stage[], b: readonly Stage[]): Stage[] => [...new Set([...a, ...b])].sort();

export function compilePolicy(policy: Policy): CompiledPolicy {
  return {
    decide(r) {
      const index = policy.rules.findIndex((rule) => mismatch(rule, r) === undefined);
      const rule = policy.rules[index];
      return {
        level: rule?.level ?? 'None',
        rule: rule === undefined ? null : index,
        omitStages: union(policy.omitStages, rule?.omitStages ?? []),
        omitManagedFields: rule?.omitManagedFields ?? policy.omitManagedFields,
      };
    },
  };
}
