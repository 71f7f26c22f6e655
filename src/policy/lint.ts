/**
 * What an API server accepts in silence and no one means. Each check is a small function in one of two ordered lists;
 * each finding has a stable code, a path, and a place where the policy came from a file. Nothing here stops an API
 * server: what would is an error, and `loadPolicy` finds it. Called by the `lint` command, and wherever a policy of a
 * user is taken in.
 */
import type { Policy } from '../api/audit.ts';
import type { Finding, Position } from '../api/findings.ts';
import type { Minor } from '../api/versions.ts';
import {
  bodiesOfUrls,
  noStageLeft,
  omittedResponseStarted,
  omittedResponseStartedInRule,
  sensitiveBodies,
} from './lint/bodies.ts';
import { noCatchAll, unreachableRules } from './lint/reach.ts';
import { clusterScopedInNamespaces, impossiblePatterns, unknownGroups, wrongResources } from './lint/resources.ts';
import type { PolicyCheck, Remark, RuleCheck } from './lint/types.ts';
import { suspiciousGroups, suspiciousUsers } from './lint/users.ts';
import { namelessVerbs, unknownVerbs, wildcardVerbs } from './lint/verbs.ts';
import type { Loaded } from './types.ts';

const RULE_CHECKS: readonly RuleCheck[] = [
  suspiciousUsers,
  suspiciousGroups,
  wildcardVerbs,
  unknownVerbs,
  namelessVerbs,
  unknownGroups,
  impossiblePatterns,
  wrongResources,
  clusterScopedInNamespaces,
  omittedResponseStartedInRule,
  noStageLeft,
  bodiesOfUrls,
];

const POLICY_CHECKS: readonly PolicyCheck[] = [unreachableRules, sensitiveBodies, omittedResponseStarted, noCatchAll];

function remarksOf(policy: Policy, version: Minor): Remark[] {
  const ofRules = policy.rules.flatMap((rule, index) =>
    RULE_CHECKS.flatMap((check) => check({ policy, version, rule, index, path: `rules[${index}]` })),
  );
  return [...ofRules, ...POLICY_CHECKS.flatMap((check) => check({ policy, version }))];
}

/** Where a path stands, or the nearest field around it that does. */
function placeOf(path: string, positions: ReadonlyMap<string, Position>): Position | undefined {
  for (let p = path; p !== ''; p = p.replace(/(?:^|\.|\[)[^.[]*$/, '')) {
    const at = positions.get(p);
    if (at !== undefined) return at;
  }
  return undefined;
}

/** In the order of the file; what has no place comes last. */
export const byPlace = (a: Finding, b: Finding): number =>
  (a.at?.offset ?? Number.MAX_SAFE_INTEGER) - (b.at?.offset ?? Number.MAX_SAFE_INTEGER);

/**
 * Warnings and notes about a policy that loads, in the order of the file; the findings of loading it are not among
 * them. Empty for a policy that does not load: that has to be mended first.
 */
export function lintPolicy(loaded: Loaded, version: Minor): readonly Finding[] {
  if (loaded.policy === undefined) return [];
  return remarksOf(loaded.policy, version)
    .map((r): Finding => {
      const at = placeOf(r.path, loaded.positions);
      return at === undefined ? r : { ...r, at };
    })
    .sort(byPlace);
}
