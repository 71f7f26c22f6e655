/** What lint says, by code and path: each case is a policy that loads and does not do what it reads as. */
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { NEWEST } from '../../src/api/versions.ts';
import type { Policy, Rule } from '../../src/api/audit.ts';
import { compilePolicy } from '../../src/policy/evaluate.ts';
import { lintPolicy } from '../../src/policy/lint.ts';
import { loadPolicy } from '../../src/policy/load.ts';
import { PRESET_NAMES, presetSource } from '../../src/policy/presets.ts';
import { arbPolicy, arbRequest } from './arbitrary.ts';
import { policyOf, ruleOf } from './make.ts';

const loaded = (text: string): ReturnType<typeof loadPolicy> => loadPolicy(new TextEncoder().encode(text), NEWEST);
const lintOf = (policy: Policy): string[] =>
  lintPolicy({ policy, findings: [], positions: new Map() }, NEWEST).map((f) => `${f.code} ${f.path}`);

const ALL = ruleOf({ level: 'Metadata' });
/** Findings of one rule in front of a catch-all. */
const ofRule = (rule: Rule): string[] => lintOf(policyOf(rule, ALL));
const core = (...resources: string[]): Rule => ruleOf({ resources: [{ resources }] });

type Case = readonly [name: string, rule: Rule, codes: readonly string[]];

const RULE_CASES: readonly Case[] = [
  [
    'a verb that is a star',
    ruleOf({ verbs: ['*'] }),
    ['VerbWildcard rules[0].verbs[0]', 'RuleMatchesNothing rules[0]'],
  ],
  ['a misspelled verb', ruleOf({ verbs: ['get', 'lsit'] }), ['VerbUnknown rules[0].verbs[1]']],
  ['a verb in upper case', ruleOf({ verbs: ['get', 'List'] }), ['VerbUnknown rules[0].verbs[1]']],
  [
    'an HTTP method for a resource',
    ruleOf({ verbs: ['get', 'post'], resources: [{ resources: ['pods'] }] }),
    ['VerbUnknown rules[0].verbs[1]'],
  ],
  [
    'a resource verb for a URL',
    ruleOf({ verbs: ['get', 'list'], nonResourceURLs: ['/x'] }),
    ['VerbUnknown rules[0].verbs[1]'],
  ],
  ['an HTTP method for a URL', ruleOf({ verbs: ['post'], nonResourceURLs: ['/x'] }), []],
  [
    'a star on both sides of the slash',
    core('pods', '*/*'),
    ['ResourcePatternMatchesNothing rules[0].resources[0].resources[1]'],
  ],
  ['a slash at the end', core('pods', 'pods/'), ['ResourcePatternMatchesNothing rules[0].resources[0].resources[1]']],
  ['a star within a name', core('pods', 'po*'), ['ResourcePatternMatchesNothing rules[0].resources[0].resources[1]']],
  [
    'only such patterns',
    core('po*'),
    ['ResourcePatternMatchesNothing rules[0].resources[0].resources[0]', 'RuleMatchesNothing rules[0]'],
  ],
  ['patterns that do match', core('*', '*/log', 'pods/*', 'pods/log'), []],
  ['a resource of another group', core('deployments'), ['ResourceInOtherGroup rules[0].resources[0].resources[0]']],
  ['a misspelled resource', core('secret'), ['ResourceUnknown rules[0].resources[0].resources[0]']],
  ['a misspelled subresource', core('pods/logs'), ['SubresourceUnknown rules[0].resources[0].resources[0]']],
  ['a custom resource', ruleOf({ resources: [{ group: 'example.org', resources: ['widgets'] }] }), []],
  ['a resource of any group', ruleOf({ resources: [{ group: '*', resources: ['widgets'] }] }), []],
  ['the core group by name', ruleOf({ resources: [{ group: 'core' }] }), ['GroupUnknown rules[0].resources[0].group']],
  [
    'a misspelled group',
    ruleOf({ resources: [{ group: 'rbac.authorisation.k8s.io' }] }),
    ['GroupUnknown rules[0].resources[0].group'],
  ],
  ['a group of custom resources', ruleOf({ resources: [{ group: 'gateway.networking.k8s.io' }] }), []],
  [
    'a name with list and create',
    ruleOf({ verbs: ['get', 'list', 'create'], resources: [{ resources: ['secrets'], resourceNames: ['x'] }] }),
    ['ResourceNamesNeverMatch rules[0].verbs[1]', 'ResourceNamesNeverMatch rules[0].verbs[2]'],
  ],
  [
    'a name with create of a subresource',
    ruleOf({ verbs: ['create'], resources: [{ resources: ['pods/exec'], resourceNames: ['x'] }] }),
    [],
  ],
  [
    'cluster-scoped resources in a namespace',
    ruleOf({ namespaces: ['default'], resources: [{ resources: ['nodes', 'persistentvolumes'] }] }),
    ['NamespacesOfClusterScoped rules[0].namespaces'],
  ],
  ['a namespace within itself', ruleOf({ namespaces: ['default'], resources: [{ resources: ['namespaces'] }] }), []],
  [
    'a service account without a name',
    ruleOf({ users: ['system:serviceaccount:kube-system'] }),
    ['ServiceAccountMalformed rules[0].users[0]'],
  ],
  [
    'a service account with an s',
    ruleOf({ users: ['system:serviceaccounts:ns:name'] }),
    ['ServiceAccountMalformed rules[0].users[0]'],
  ],
  [
    'a service account without system',
    ruleOf({ users: ['serviceaccount:ns:name'] }),
    ['ServiceAccountMalformed rules[0].users[0]'],
  ],
  ['a proper service account', ruleOf({ users: ['system:serviceaccount:ns:name'] }), []],
  ['a group among users', ruleOf({ users: ['system:nodes'] }), ['GroupAmongUsers rules[0].users[0]']],
  [
    'a user among groups',
    ruleOf({ userGroups: ['system:serviceaccount:a:b'] }),
    ['UserAmongGroups rules[0].userGroups[0]'],
  ],
  ['a user with a star', ruleOf({ users: ['system:node:*'] }), ['UserWildcard rules[0].users[0]']],
  ['an empty user', ruleOf({ users: [''] }), ['NameEmpty rules[0].users[0]']],
  [
    'ResponseStarted omitted',
    ruleOf({ verbs: ['get'], omitStages: ['ResponseStarted'] }),
    ['ResponseStartedOmitted rules[0].omitStages[0]'],
  ],
  ['ResponseStarted omitted for known users', ruleOf({ users: ['a'], omitStages: ['ResponseStarted'] }), []],
  [
    'no stage left',
    ruleOf({ verbs: ['get'], omitStages: ['ResponseComplete', 'RequestReceived'] }),
    ['NoStageLeft rules[0].omitStages'],
  ],
  ['bodies of URLs', ruleOf({ level: 'Request', nonResourceURLs: ['/x'] }), ['NoBodiesForURLs rules[0].level']],
  [
    'secrets with bodies',
    ruleOf({ level: 'Request', resources: [{ resources: ['secrets'] }] }),
    ['SensitiveBodiesLogged rules[0].level'],
  ],
  [
    'reads of secrets at Request',
    ruleOf({ level: 'Request', verbs: ['get'], resources: [{ resources: ['secrets'] }] }),
    [],
  ],
  [
    'reads of secrets at RequestResponse',
    ruleOf({ level: 'RequestResponse', verbs: ['get'], resources: [{ resources: ['secrets'] }] }),
    ['SensitiveBodiesLogged rules[0].level'],
  ],
  [
    'watches of secrets',
    ruleOf({ level: 'RequestResponse', verbs: ['watch'], resources: [{ resources: ['secrets'] }] }),
    [],
  ],
  ['tokens at Request', ruleOf({ level: 'Request', resources: [{ resources: ['serviceaccounts/token'] }] }), []],
  ['pods with bodies', ruleOf({ level: 'RequestResponse', resources: [{ resources: ['pods'] }] }), []],
];

describe('lint of one rule', () => {
  it.each(RULE_CASES)('%s', (_, rule, codes) => {
    expect(ofRule(rule)).toEqual(codes);
  });
});

const POLICY_CASES: readonly (readonly [string, Policy, readonly string[]])[] = [
  ['no catch-all at the end', policyOf(core('pods')), ['NoCatchAll rules[0]']],
  [
    'a catch-all in two halves',
    policyOf(ruleOf({ nonResourceURLs: ['*'] }), ruleOf({ resources: [{ group: '*' }] })),
    [],
  ],
  ['a rule after a catch-all', policyOf(ALL, core('pods')), ['RuleAfterCatchAll rules[1]']],
  ['a rule that one earlier rule takes', policyOf(core('*'), core('pods/log'), ALL), ['RuleUnreachable rules[1]']],
  [
    'a rule that two earlier rules take together',
    policyOf(core('pods'), core('pods/log'), core('pods', 'pods/log'), ALL),
    ['RuleUnreachable rules[2]'],
  ],
  [
    'verbs that two earlier rules take',
    policyOf(ruleOf({ verbs: ['get'] }), ruleOf({ verbs: ['list'] }), ruleOf({ verbs: ['get', 'list'] }), ALL),
    ['RuleUnreachable rules[2]'],
  ],
  ['a rule that is left one verb', policyOf(ruleOf({ verbs: ['get'] }), ruleOf({ verbs: ['get', 'list'] }), ALL), []],
  [
    'a namespace that an earlier rule takes',
    policyOf(core('pods'), ruleOf({ namespaces: ['a'], resources: [{ resources: ['pods'] }] }), ALL),
    ['RuleUnreachable rules[1]'],
  ],
  [
    'a prefix that an earlier one takes',
    policyOf(ruleOf({ nonResourceURLs: ['/api*'] }), ruleOf({ nonResourceURLs: ['/apis/*'] }), ALL),
    ['RuleUnreachable rules[1]'],
  ],
  [
    'ResponseStarted omitted for all',
    { ...policyOf(ALL), omitStages: ['ResponseStarted'] },
    ['ResponseStartedOmitted omitStages[0]'],
  ],
  [
    'a leak that an earlier rule mends',
    policyOf(
      core('secrets', 'configmaps', 'serviceaccounts/token'),
      ruleOf({ level: 'RequestResponse', resources: [{ group: '' }] }),
      ALL,
    ),
    [],
  ],
];

describe('lint of a policy', () => {
  it.each(POLICY_CASES)('%s', (_, policy, codes) => {
    expect(lintOf(policy)).toEqual(codes);
  });

  it('never calls a rule unreachable that a request reaches', () => {
    let claims = 0;
    fc.assert(
      fc.property(arbPolicy(10), fc.array(arbRequest, { minLength: 20, maxLength: 60 }), (policy, requests) => {
        const dead = lintOf(policy).flatMap((f) => /^Rule\w+ rules\[(\d+)\]$/.exec(f)?.[1] ?? []);
        claims += dead.length;
        const real = requests.filter(
          (r) => r.kind === 'NonResource' || (r.resource !== '' && !/[/*]/.test(r.resource + r.subresource + r.group)),
        );
        const known = real
          .filter((r) => r.verb !== '' && r.verb !== '*' && r.verb !== 'other')
          .filter((r) => r.kind === 'Resource' || ['get', 'patch', 'delete'].includes(r.verb));
        const reached = known.map((r) => String(compilePolicy(policy).decide(r).rule));
        expect(dead.filter((i) => reached.includes(i))).toEqual([]);
      }),
      { numRuns: 800 },
    );
    expect(claims).toBeGreaterThan(100);
  });

  it('says where it is', () => {
    const text =
      'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n  verbs: [get, "*"]\n- level: Metadata\n';
    const [finding] = lintPolicy(loaded(text), NEWEST);
    expect(finding).toMatchObject({ code: 'VerbWildcard', path: 'rules[0].verbs[1]', at: { line: 5, column: 16 } });
  });

  it('has nothing to say about a policy that does not load', () => {
    expect(lintPolicy(loaded('rules: []'), NEWEST)).toEqual([]);
  });
});

describe('lint of the documentation sample', () => {
  it('says what is true of it, and no more', () => {
    const found = lintPolicy(loaded(presetSource('sample')), NEWEST).map((f) => `${f.code} ${f.path}`);
    expect(found).toEqual(['SensitiveBodiesLogged rules[5].level', 'GroupUnknown rules[7].resources[1].group']);
  });

  it.each(PRESET_NAMES)('finds no rule of preset %s unreachable or without effect', (name) => {
    const codes = lintPolicy(loaded(presetSource(name)), NEWEST).map((f) => f.code);
    expect(codes.filter((c) => /^Rule|Verb|Pattern|User|Account|Resource(Unknown|InOther)/.test(c))).toEqual([]);
  });
});
