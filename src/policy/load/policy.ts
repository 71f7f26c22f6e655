/** From decoded Go values to a policy's nouns: first with any text for levels and stages, after validation with theirs. */
import { LEVELS, STAGES } from '../../api/audit.ts';
import type { GroupResources, Level, Policy, Rule, Stage } from '../../api/audit.ts';
import { isObject, isSlice } from './decode.ts';
import type { GoObject, GoValue } from './decode.ts';

/** A rule that has not been validated. */
export type RawRule = Omit<Rule, 'level' | 'omitStages'> & {
  readonly level: string;
  readonly omitStages: readonly string[];
};
/** A policy that has not been validated. */
export type RawPolicy = {
  readonly rules: readonly RawRule[];
  readonly omitStages: readonly string[];
  readonly omitManagedFields: boolean;
};

const textOf = (v: GoValue): string => (typeof v === 'string' ? v : '');
const itemsOf = (v: GoValue): readonly GoValue[] =>
  isSlice(v) ? Array.from({ length: v.length }, (_, i) => v.items[i]) : [];
const textsOf = (v: GoValue): readonly string[] => itemsOf(v).map(textOf);
const objectOf = (v: GoValue): GoObject => (isObject(v) ? v : new Map<string, GoValue>());

function resourcesOf(v: GoValue): GroupResources {
  const o = objectOf(v);
  return {
    group: textOf(o.get('group')),
    resources: textsOf(o.get('resources')),
    resourceNames: textsOf(o.get('resourceNames')),
  };
}

function ruleOf(v: GoValue): RawRule {
  const o = objectOf(v);
  const omitManagedFields = o.get('omitManagedFields');
  return {
    level: textOf(o.get('level')),
    users: textsOf(o.get('users')),
    userGroups: textsOf(o.get('userGroups')),
    verbs: textsOf(o.get('verbs')),
    resources: itemsOf(o.get('resources')).map(resourcesOf),
    namespaces: textsOf(o.get('namespaces')),
    nonResourceURLs: textsOf(o.get('nonResourceURLs')),
    omitStages: textsOf(o.get('omitStages')),
    ...(typeof omitManagedFields === 'boolean' ? { omitManagedFields } : {}),
  };
}

export function rawPolicyOf(v: GoValue): RawPolicy {
  const o = objectOf(v);
  return {
    rules: itemsOf(o.get('rules')).map(ruleOf),
    omitStages: textsOf(o.get('omitStages')),
    omitManagedFields: o.get('omitManagedFields') === true,
  };
}

export const isLevel = (text: string): text is Level => (LEVELS as readonly string[]).includes(text);
export const isStage = (text: string): text is Stage => (STAGES as readonly string[]).includes(text);

/** Of a policy without findings: what is not a level or stage has been refused before. */
export function policyOf(raw: RawPolicy): Policy {
  return {
    ...raw,
    omitStages: raw.omitStages.filter(isStage),
    rules: raw.rules.flatMap((rule) =>
      isLevel(rule.level) ? [{ ...rule, level: rule.level, omitStages: rule.omitStages.filter(isStage) }] : [],
    ),
  };
}
