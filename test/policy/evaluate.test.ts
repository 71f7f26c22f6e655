/** The compiled engine against the plain reading of the rules, and the rules against what kube-apiserver does. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Decision, Policy, RequestAttributes, Rule } from '../../src/api/audit.ts';
import { compilePolicy, joinStages } from '../../src/policy/evaluate.ts';
import { mismatch } from '../../src/policy/match.ts';
import { arbPolicy, arbRequest, arbRule } from './arbitrary.ts';
import { nonResource, policyOf, resource, ruleOf } from './make.ts';

/** First match wins, one rule after the other. */
function plainly(policy: Policy, r: RequestAttributes): Decision {
  const index = policy.rules.findIndex((rule) => mismatch(rule, r) === undefined);
  const rule = policy.rules[index];
  return {
    level: rule?.level ?? 'None',
    rule: rule === undefined ? null : index,
    omitStages: joinStages(policy.omitStages, rule?.omitStages ?? []),
    omitManagedFields: rule?.omitManagedFields ?? policy.omitManagedFields,
  };
}

describe('the compiled engine decides what the plain reading decides', () => {
  it('for small policies', () => {
    fc.assert(
      fc.property(arbPolicy(), fc.array(arbRequest, { minLength: 20, maxLength: 40 }), (policy, requests) => {
        const compiled = compilePolicy(policy);
        expect(requests.map(compiled.decide)).toEqual(requests.map((r) => plainly(policy, r)));
      }),
      { numRuns: 600 },
    );
  });

  it('for policies of several segments', () => {
    const rules = fc.sample(arbRule, { numRuns: 2500, seed: 7 }).map((r): Rule => ({ ...r, users: ['nobody'] }));
    const scattered = fc.array(fc.tuple(fc.nat(2499), arbRule), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(scattered, fc.array(arbRequest, { minLength: 40, maxLength: 60 }), (edits, requests) => {
        const own = [...rules];
        for (const [i, r] of edits) own[i] = r;
        const policy: Policy = { rules: own, omitStages: [], omitManagedFields: false };
        const compiled = compilePolicy(policy);
        expect(requests.map(compiled.decide)).toEqual(requests.map((r) => plainly(policy, r)));
      }),
      { numRuns: 15 },
    );
  });

  it('when more combinations of group, resource and subresource are asked than are kept', () => {
    const resources = Array.from({ length: 5000 }, (_, i) => `r${i}`);
    const rules = resources.map((r) => ruleOf({ level: 'Request', resources: [{ resources: [r] }] })).slice(0, 900);
    const last = ruleOf({ level: 'Metadata', resources: [{ resources: resources }] });
    const policy = policyOf(...rules, last);
    const compiled = compilePolicy(policy);
    for (let round = 0; round < 2; round++) {
      for (const [i, r] of resources.entries()) {
        expect(compiled.decide(resource({ resource: r })).rule).toBe(i < 900 ? i : 900);
      }
    }
  });

  it('and gives the same frozen decision for the same rule', () => {
    const compiled = compilePolicy(policyOf(ruleOf({ level: 'Metadata' })));
    const a = compiled.decide(resource({}));
    expect(compiled.decide(nonResource('/healthz'))).toBe(a);
    expect(Object.isFrozen(a)).toBe(true);
  });
});

type Case = {
  readonly name: string;
  readonly rule: Partial<Rule>;
  readonly r: RequestAttributes;
  readonly hit: boolean;
};
const entry = (resources: string[], group = '', resourceNames: string[] = []): Partial<Rule> => ({
  resources: [{ group, resources, resourceNames }],
});
const pods = resource({ resource: 'pods', name: 'x' });
const log = resource({ resource: 'pods', subresource: 'log', name: 'x' });

/** Observed on kube-apiserver 1.36.3. */
const CASES: readonly Case[] = [
  { name: 'pods/* matches bare pods too', rule: entry(['pods/*']), r: pods, hit: true },
  { name: 'pods/* matches pods/log', rule: entry(['pods/*']), r: log, hit: true },
  { name: 'pods does not match pods/log', rule: entry(['pods']), r: log, hit: false },
  { name: '* matches subresources', rule: entry(['*']), r: log, hit: true },
  { name: '*/log matches pods/log', rule: entry(['*/log']), r: log, hit: true },
  { name: '*/log does not match pods', rule: entry(['*/log']), r: pods, hit: false },
  { name: '*/* matches nothing', rule: entry(['*/*']), r: log, hit: false },
  { name: '*/ matches nothing', rule: entry(['*/']), r: pods, hit: false },
  { name: 'pods/ matches nothing', rule: entry(['pods/']), r: pods, hit: false },
  { name: 'po* matches nothing', rule: entry(['po*']), r: pods, hit: false },
  { name: 'an absent group is the core group only', rule: entry(['pods']), r: { ...pods, group: 'apps' }, hit: false },
  { name: 'group * is every group', rule: entry(['pods'], '*'), r: { ...pods, group: 'apps' }, hit: true },
  { name: 'an entry without resources is its whole group', rule: entry([]), r: log, hit: true },
  { name: 'resourceNames match that name', rule: entry(['pods'], '', ['x']), r: pods, hit: true },
  { name: 'resourceNames do not match a list', rule: entry(['pods'], '', ['x']), r: { ...pods, name: '' }, hit: false },
  { name: 'verbs have no wildcard', rule: { verbs: ['*'] }, r: pods, hit: false },
  { name: 'namespace "" is cluster-scoped', rule: { namespaces: [''] }, r: { ...pods, namespace: '' }, hit: true },
  { name: 'namespaces never match a path', rule: { namespaces: [''] }, r: nonResource('/healthz'), hit: false },
  { name: '/a/* does not match /a', rule: { nonResourceURLs: ['/a/*'] }, r: nonResource('/a'), hit: false },
  { name: '/a* matches /ab', rule: { nonResourceURLs: ['/a*'] }, r: nonResource('/ab'), hit: true },
  { name: '* matches every path', rule: { nonResourceURLs: ['*'] }, r: nonResource('/x/y'), hit: true },
  { name: 'URLs never match a resource request', rule: { nonResourceURLs: ['*'] }, r: pods, hit: false },
  { name: 'a rule without conditions matches a path', rule: {}, r: nonResource('/x'), hit: true },
  { name: 'users need a user', rule: { users: [''] }, r: { ...without(pods), groups: [] }, hit: false },
  { name: 'an empty user name is a name', rule: { users: [''] }, r: { ...pods, user: '' }, hit: true },
  { name: 'groups need a user', rule: { userGroups: ['g'] }, r: { ...without(pods), groups: ['g'] }, hit: false },
  {
    name: 'one common group is enough',
    rule: { userGroups: ['g', 'h'] },
    r: { ...pods, groups: ['f', 'h'] },
    hit: true,
  },
];

function without(r: RequestAttributes): RequestAttributes {
  const { user: _user, ...rest } = r;
  return rest;
}

describe('one rule and one request', () => {
  it.each(CASES)('$name', ({ rule, r, hit }) => {
    const only = ruleOf({ level: 'Metadata', ...rule });
    expect(compilePolicy(policyOf(only)).decide(r).rule).toBe(hit ? 0 : null);
    expect(mismatch(only, r) === undefined).toBe(hit);
  });
});

describe('what a match decides', () => {
  const rules = [
    ruleOf({ level: 'Request', verbs: ['get'], omitStages: ['ResponseStarted', 'Panic'], omitManagedFields: false }),
    ruleOf({ level: 'Metadata', verbs: ['list'] }),
  ];
  const compiled = compilePolicy({ rules, omitStages: ['RequestReceived', 'Panic'], omitManagedFields: true });

  it('joins the stages of policy and rule, sorted, and lets the rule overrule managed fields', () => {
    expect(compiled.decide(resource({ verb: 'get' }))).toEqual({
      level: 'Request',
      rule: 0,
      omitStages: ['Panic', 'RequestReceived', 'ResponseStarted'],
      omitManagedFields: false,
    });
  });

  it('takes the policy where the rule says nothing', () => {
    const want = { level: 'Metadata', rule: 1, omitStages: ['Panic', 'RequestReceived'], omitManagedFields: true };
    expect(compiled.decide(resource({ verb: 'list' }))).toEqual(want);
  });

  it("is None with the policy's stages where no rule matches", () => {
    const want = { level: 'None', rule: null, omitStages: ['Panic', 'RequestReceived'], omitManagedFields: true };
    expect(compiled.decide(resource({ verb: 'watch' }))).toEqual(want);
  });
});
