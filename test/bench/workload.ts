/** Policies and requests for the benchmarks: the same for every run, and no two request lines alike. */
import type { Policy, RequestAttributes, Rule } from '../../src/api/audit.ts';
import { policyOf, ruleOf } from '../policy/make.ts';

/** Numbers below `n`, always the same sequence. */
export function sequence(seed: number): (n: number) => number {
  let state = seed >>> 0;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

type Pick = (n: number) => number;
const one = <T>(from: readonly T[], pick: Pick): T => from[pick(from.length)] as T;

const RESOURCES: readonly (readonly [string, readonly string[]])[] = [
  ['', ['pods', 'secrets', 'configmaps', 'services', 'endpoints', 'nodes', 'events', 'serviceaccounts']],
  ['apps', ['deployments', 'daemonsets', 'statefulsets', 'replicasets']],
  ['batch', ['jobs', 'cronjobs']],
  ['rbac.authorization.k8s.io', ['roles', 'rolebindings', 'clusterroles', 'clusterrolebindings']],
  ['coordination.k8s.io', ['leases']],
];
const GROUPS = RESOURCES.map(([group]) => group);
const VERBS = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'];
const numbered = (name: string, i: number): string => `${name}-${String(i).padStart(4, '0')}`;

/** What most policies begin with: noise that is dropped, and what is dear. */
const FIRST: readonly Rule[] = [
  {
    users: ['system:kube-proxy'],
    verbs: ['watch'],
    resources: [{ resources: ['endpoints', 'services', 'services/status'] }],
  },
  { userGroups: ['system:nodes'], verbs: ['get'], resources: [{ resources: ['nodes', 'nodes/status'] }] },
  { users: ['system:apiserver'], verbs: ['get'], resources: [{ resources: ['namespaces', 'namespaces/status'] }] },
  { nonResourceURLs: ['/healthz*', '/readyz*', '/livez*', '/version'] },
  { resources: [{ resources: ['events'] }, { group: 'coordination.k8s.io', resources: ['leases'] }] },
].map((r) => ruleOf({ level: 'None', ...r }));

/** And what they end with. */
const LAST: readonly Rule[] = [
  ruleOf({
    resources: [
      { resources: ['secrets', 'configmaps', 'serviceaccounts/token'] },
      { group: 'authentication.k8s.io', resources: ['tokenreviews'] },
    ],
  }),
  ruleOf({ level: 'Request', verbs: ['get', 'list', 'watch'], resources: GROUPS.map((group) => ({ group })) }),
  ruleOf({ level: 'RequestResponse', resources: GROUPS.map((group) => ({ group })) }),
  ruleOf({ level: 'Metadata' }),
];

/** In between, the rules of teams: by user, group, namespace, name and path, in turn. */
function teamRule(i: number, pick: Pick): Rule {
  const [group, resources] = one(RESOURCES, pick);
  const verbs = [one(VERBS, pick), one(VERBS, pick)];
  const some = one(resources, pick);
  switch (i % 5) {
    case 0:
      return ruleOf({ level: 'None', users: [numbered('system:serviceaccount:team', i)], verbs });
    case 1:
      return ruleOf({ userGroups: [numbered('team', i)], verbs, resources: [{ group, resources: [some] }] });
    case 2:
      return ruleOf({
        level: 'Request',
        namespaces: [numbered('ns', i)],
        verbs,
        resources: [{ group, resources: [some, `${some}/status`] }],
      });
    case 3:
      return ruleOf({ verbs, resources: [{ group, resources: [some], resourceNames: [numbered('object', i)] }] });
    default:
      return ruleOf({
        level: 'None',
        nonResourceURLs: [`/${numbered('team', i)}*`, `/apis/${numbered('team', i)}.example.org/v1`],
      });
  }
}

export function policyOfSize(rules: number): Policy {
  const pick = sequence(rules);
  const teams = Array.from({ length: rules - FIRST.length - LAST.length }, (_, i) => teamRule(i, pick));
  return { ...policyOf(...FIRST, ...teams, ...LAST), omitStages: ['RequestReceived'] };
}

/** Teams, users and objects beyond those of any policy: most requests are nobody's special case. */
const NUMBERS = 5000;

export function requestOf(i: number, pick: Pick): RequestAttributes {
  const team = pick(NUMBERS);
  const user = one(
    [
      'system:kube-proxy',
      numbered('system:serviceaccount:team', team),
      `user-${i}@example.org`,
      numbered('system:node:node', team),
    ],
    pick,
  );
  const groups = [
    'system:authenticated',
    one(['system:serviceaccounts', 'system:nodes', numbered('team', team)], pick),
  ];
  if (pick(10) === 0) {
    const path = one(['/healthz', '/readyz/ping', '/metrics', `/apis/${numbered('team', team)}.example.org/v1`], pick);
    return { kind: 'NonResource', user, groups, verb: 'get', path };
  }
  const [group, resources] = one(RESOURCES, pick);
  const subresource = one(['', '', '', '', '', 'status'], pick);
  const place = { namespace: numbered('ns', team), name: numbered('object', i) };
  return {
    kind: 'Resource',
    user,
    groups,
    verb: one(VERBS, pick),
    group,
    version: 'v1',
    resource: one(resources, pick),
    subresource,
    ...place,
  };
}

export function requestsOf(count: number): RequestAttributes[] {
  const pick = sequence(7);
  return Array.from({ length: count }, (_, i) => requestOf(i, pick));
}

/** As an API client would write it: the fields in the order of the contract, empty subresources left out. */
export function lineOf(r: RequestAttributes): string {
  const { kind, user, groups, ...rest } = r;
  const attributes = 'subresource' in rest && rest.subresource === '' ? { ...rest, subresource: undefined } : rest;
  return JSON.stringify({
    user,
    groups,
    [kind === 'Resource' ? 'resourceAttributes' : 'nonResourceAttributes']: attributes,
  });
}
