/**
 * Rules that never match. A rule is called unreachable only with a proof: it is cut into parts (one user, one verb, one
 * resource ...), and each part is taken whole by one earlier rule (cover.ts). The engine is asked first, by a request
 * made for a part: where it gets to the rule, there is nothing to prove.
 */
import type { RequestAttributes, Rule } from '../../api/audit.ts';
import { atomsOf, coversRule } from '../cover.ts';
import type { ResourceAtom } from '../cover.ts';
import { compilePolicy } from '../evaluate.ts';
import { warning } from './types.ts';
import type { PolicyCheck, Remark } from './types.ts';
import { isPossiblePattern } from './resources.ts';
import { isPossibleVerb } from './verbs.ts';
import { isResourceRule } from '../match.ts';

/** A rule with more parts is not judged. */
const MAX_PARTS = 4096;
/** Proofs are tried for so many pairs of a part and an earlier rule in one policy; further rules are not judged. */
const MAX_COMPARISONS = 20_000_000;

const ANYTHING: Rule = {
  level: 'None',
  users: [],
  userGroups: [],
  verbs: [],
  resources: [],
  namespaces: [],
  nonResourceURLs: [],
  omitStages: [],
};

const isCatchAll = (r: Rule): boolean => coversRule(r, ANYTHING);

/** Each value as a list of its own; no values stay no values, which means any. */
const singles = (list: readonly string[]): readonly (readonly string[])[] =>
  list.length === 0 ? [[]] : list.map((v) => [v]);

const entryOf = (a: ResourceAtom): Rule['resources'] => [
  { group: a.group, resources: a.resource === undefined ? [] : [a.resource], resourceNames: a.names },
];

/** What a part is about: one pattern of resources, or one path, or (without conditions) all of either. */
function subjects(rule: Rule): Pick<Rule, 'resources' | 'nonResourceURLs'>[] {
  if (rule.resources.length > 0) {
    const atoms = rule.resources
      .flatMap(atomsOf)
      .filter((a) => a.resource === undefined || isPossiblePattern(a.resource));
    return atoms.flatMap((a) =>
      singles(a.names).map((names) => ({ resources: entryOf({ ...a, names }), nonResourceURLs: [] })),
    );
  }
  if (isResourceRule(rule))
    return [{ resources: [{ group: '*', resources: [], resourceNames: [] }], nonResourceURLs: [] }];
  if (rule.nonResourceURLs.length > 0)
    return rule.nonResourceURLs.map((u) => ({ resources: [], nonResourceURLs: [u] }));
  return [
    { resources: [{ group: '*', resources: [], resourceNames: [] }], nonResourceURLs: [] },
    { resources: [], nonResourceURLs: ['*'] },
  ];
}

/** The rule in parts that together match what it matches; undefined where there are too many. */
function partsOf(rule: Rule): Rule[] | undefined {
  const verbs = rule.verbs.filter((v) => isPossibleVerb(rule, v));
  if (rule.verbs.length > 0 && verbs.length === 0) return [];
  const what = subjects(rule);
  const lists = [rule.users, rule.userGroups, verbs, rule.namespaces];
  if (lists.reduce((n, l) => n * Math.max(1, l.length), what.length) > MAX_PARTS) return undefined;
  return what.flatMap((w) =>
    singles(rule.users).flatMap((users) =>
      singles(rule.userGroups).flatMap((userGroups) =>
        singles(verbs).flatMap((v) =>
          singles(rule.namespaces).map((namespaces) => ({ ...rule, ...w, users, userGroups, verbs: v, namespaces })),
        ),
      ),
    ),
  );
}

/** A value that no policy names. */
const FRESH = 'auditconfig-no-such-name';

/** A request that the part matches, with nothing in common with other rules beyond what the part asks. */
function witness(part: Rule): RequestAttributes {
  const who = { user: part.users[0] ?? FRESH, groups: part.userGroups.slice(0, 1), verb: part.verbs[0] ?? FRESH };
  const e = part.resources[0];
  const url = part.nonResourceURLs[0];
  if (e === undefined && url !== undefined)
    return { kind: 'NonResource', ...who, path: url.replace(/\*$/, `/${FRESH}`).replace('//', '/') };
  const [name = FRESH, sub] = (e?.resources[0] ?? FRESH).split('/');
  return {
    kind: 'Resource',
    ...who,
    group: e === undefined || e.group === '*' ? FRESH : e.group,
    version: 'v1',
    resource: name === '*' ? FRESH : name,
    subresource: sub === undefined ? '' : sub === '*' ? FRESH : sub,
    namespace: part.namespaces[0] ?? FRESH,
    name: e?.resourceNames[0] ?? FRESH,
  };
}

/** The earlier rules that take all parts between them, ascending; undefined where a part is left. */
function takers(parts: readonly Rule[], earlier: readonly Rule[]): number[] | undefined {
  const found = new Set<number>();
  for (const part of parts) {
    const taker = earlier.findIndex((e) => coversRule(e, part));
    if (taker < 0) return undefined;
    found.add(taker);
  }
  return [...found].sort((a, b) => a - b);
}

function listed(indices: readonly number[]): string {
  const names = indices.slice(0, 5).map((i) => `rules[${i}]`);
  const more = indices.length > 5 ? ` and ${indices.length - 5} more` : '';
  return names.length === 1 && more === '' ? `${names[0]} takes` : `${names.join(', ')}${more} together take`;
}

function unreachable(index: number, by: readonly number[], catchAll: number): Remark {
  const path = `rules[${index}]`;
  return by.includes(catchAll) && by.length === 1
    ? warning('RuleAfterCatchAll', path, `the rule never matches: rules[${catchAll}] before it takes every request`)
    : warning('RuleUnreachable', path, `the rule never matches: ${listed(by)} all of its requests first`);
}

/** Rules all of whose requests earlier rules take, and rules that no request can match at all. */
export const unreachableRules: PolicyCheck = ({ policy }) => {
  const compiled = compilePolicy(policy);
  const catchAll = policy.rules.findIndex(isCatchAll);
  let comparisons = 0;
  return policy.rules.flatMap((rule, index) => {
    const parts = partsOf(rule);
    if (parts === undefined || comparisons > MAX_COMPARISONS) return [];
    if (parts.length === 0)
      return [
        warning(
          'RuleMatchesNothing',
          `rules[${index}]`,
          'no request can match the rule: none of its verbs or resources exists',
        ),
      ];
    if (parts.some((p) => compiled.decide(witness(p)).rule === index)) return [];
    comparisons += parts.length * index;
    const by = takers(parts, policy.rules.slice(0, index));
    return by === undefined ? [] : [unreachable(index, by, catchAll)];
  });
};

/** What no rule matches is not logged, which looks the same as nothing having happened. */
export const noCatchAll: PolicyCheck = ({ policy }) => {
  const parts = partsOf(ANYTHING) ?? [];
  if (takers(parts, policy.rules) !== undefined) return [];
  const last = `rules[${policy.rules.length - 1}]`;
  const message = `no rule takes the requests that no other rule matches: they are not logged; end with a rule that has only a level, even if it is None`;
  return [warning('NoCatchAll', last, message)];
};
