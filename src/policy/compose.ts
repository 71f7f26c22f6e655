/**
 * One policy out of several: what a datacenter demands, a tenant's own rules, a policy that the tenant refers to, and a
 * preset. The first match wins, so order is power: mandatory rules come first, and nothing that is set for the whole of
 * one part may reach into another. A policy's `omitStages` and `omitManagedFields` are therefore written into each rule
 * that they came with, and the composed policy itself has none. It does not validate: the caller loads the result.
 *
 * Where no rule matches nothing is logged, so that the stages and managed fields of "no rule" have no meaning to keep.
 */
import type { Policy, Rule, Stage } from '../api/audit.ts';
import { joinStages } from './evaluate.ts';

export type ComposeInput = {
  /** In front of everything, as they stand: nobody's settings apply to them. */
  readonly mandatory?: readonly Rule[];
  readonly rules?: readonly Rule[];
  /** Own rules before or after what they build upon. After a catch-all they never match (lint says so). */
  readonly rulesPosition: 'Before' | 'After';
  /** Before the preset: presets end with a catch-all. */
  readonly referenced?: Policy;
  readonly preset?: Policy;
  /** On top of what preset and referenced policy omit; also for the own rules. */
  readonly omitStages?: readonly Stage[];
  /** Instead of what preset and referenced policy say as a whole; a rule's own setting stays. */
  readonly omitManagedFields?: boolean;
  /** Instead of these two, for a preset or a referenced policy that is enforced: nobody else's settings reach it. */
  readonly enforced?: EnforcedParts;
};

export type EnforcedParts = {
  readonly preset: boolean;
  readonly reference: boolean;
  readonly omitStages: readonly Stage[];
  readonly omitManagedFields?: boolean;
};

/** The rule with its policy's settings inside it, for a policy that has none. */
function pushedDown(rule: Rule, { omitStages, omitManagedFields }: Policy): Rule {
  const { omitManagedFields: own, ...rest } = rule;
  const managed = own ?? omitManagedFields;
  return {
    ...rest,
    omitStages: joinStages(omitStages, rule.omitStages),
    // Absent and false decide the same below a policy that has no setting.
    ...(managed ? { omitManagedFields: true } : {}),
  };
}

/** Rules that decide in any policy without settings of its own what they decide in `policy`. */
export const pushDown = (policy: Policy): Rule[] => policy.rules.map((r) => pushedDown(r, policy));

/**
 * Order: mandatory, own rules if `Before`, referenced, preset, own rules if `After`. No input but `mandatory` changes
 * the level, the stages or the managed fields of a request that a mandatory rule matches. Nothing given makes a policy
 * without rules, which no API server loads.
 */
export function composePolicy(input: ComposeInput): Policy {
  const { enforced } = input;
  const given = (p: Policy | undefined, isEnforced = false): Rule[] => {
    const { omitStages = [], omitManagedFields } = isEnforced ? (enforced ?? {}) : input;
    if (p === undefined) return [];
    return pushDown({
      rules: p.rules,
      omitStages: joinStages(p.omitStages, omitStages),
      omitManagedFields: omitManagedFields ?? p.omitManagedFields,
    });
  };
  const own = given({ rules: input.rules ?? [], omitStages: [], omitManagedFields: false });
  const base = [...given(input.referenced, enforced?.reference), ...given(input.preset, enforced?.preset)];
  const tenant = input.rulesPosition === 'Before' ? [...own, ...base] : [...base, ...own];
  const mandatory = pushDown({ rules: input.mandatory ?? [], omitStages: [], omitManagedFields: false });
  return { rules: [...mandatory, ...tenant], omitStages: [], omitManagedFields: false };
}
