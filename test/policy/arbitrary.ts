/**
 * Generators of policies and requests for property tests. Values come from small pools, so that rules and requests
 * meet each other often, odd patterns included.
 */
import fc from 'fast-check';
import { LEVELS, STAGES } from '../../src/api/audit.ts';
import type { GroupResources, Policy, RequestAttributes, Rule } from '../../src/api/audit.ts';

const USERS = ['', 'alice', 'bob', 'system:anonymous', 'system:serviceaccount:kube-system:x', 'zoë', 'a"b\\c'];
const GROUPS = ['', 'system:authenticated', 'system:masters', 'system:nodes', 'dev', 'o\u2028ps'];
const VERBS = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection', '*', ''];
const API_GROUPS = ['', 'apps', 'batch', 'rbac.authorization.k8s.io', 'authentication.k8s.io', 'route.openshift.io'];
const RESOURCES = [
  'pods',
  'secrets',
  'configmaps',
  'serviceaccounts',
  'tokenreviews',
  'routes',
  'nodes',
  '*',
  '',
  'a/b',
];
const SUBRESOURCES = ['', 'log', 'exec', 'token', 'status', '*', 'b/c'];
const PATTERNS = [
  '*',
  '*/*',
  '*/log',
  '*/',
  '/*',
  '/',
  'pods/',
  'po*',
  'pods/*',
  'secrets/*',
  'pods/log',
  'a/b/c',
  '*/token',
];
const NAMESPACES = ['', 'default', 'kube-system'];
const NAMES = ['', 'x', 'y', 'coredns'];
const PATHS = ['/', '/healthz', '/healthz/etcd', '/api', '/apis/a', '/logs', '', '/ümlaut'];
const URLS = ['*', '/*', '/healthz', '/healthz*', '/healthz/*', '/api', '/logs*', '/ü*', '/'];

const none = <T>(): fc.Arbitrary<T[]> => fc.constant<T[]>([]);
const some = <T>(pool: readonly T[], maxLength = 3): fc.Arbitrary<T[]> =>
  fc.oneof(
    { weight: 2, arbitrary: none<T>() },
    { weight: 3, arbitrary: fc.array(fc.constantFrom(...pool), { maxLength }) },
  );
const subset = <T>(pool: readonly T[]): fc.Arbitrary<T[]> =>
  fc.oneof({ weight: 2, arbitrary: none<T>() }, { weight: 1, arbitrary: fc.subarray([...pool]) });

/** What validation asks: names need a resource. */
const entry: fc.Arbitrary<GroupResources> = fc
  .record({
    group: fc.constantFrom(...API_GROUPS, '*'),
    resources: some([...PATTERNS, ...RESOURCES], 4),
    resourceNames: some(NAMES, 2),
  })
  .map((e) => (e.resources.length === 0 ? { ...e, resourceNames: [] } : e));

/** What validation asks: URLs never together with resources or namespaces. */
export const arbRule: fc.Arbitrary<Rule> = fc
  .record({
    level: fc.constantFrom(...LEVELS),
    users: some(USERS, 2),
    userGroups: some(GROUPS, 2),
    verbs: some(VERBS),
    resources: fc.oneof(none<GroupResources>(), fc.array(entry, { maxLength: 3 })),
    namespaces: some(NAMESPACES, 2),
    nonResourceURLs: fc.oneof({ weight: 3, arbitrary: none<string>() }, { weight: 1, arbitrary: some(URLS) }),
    omitStages: subset(STAGES),
    managed: fc.constantFrom(undefined, true, false),
  })
  .map(({ managed, ...r }) => ({
    ...r,
    ...(r.nonResourceURLs.length > 0 ? { resources: [], namespaces: [] } : {}),
    ...(managed === undefined ? {} : { omitManagedFields: managed }),
  }));

export const arbPolicy = (maxRules = 8): fc.Arbitrary<Policy> =>
  fc.record({
    rules: fc.array(arbRule, { maxLength: maxRules, minLength: 1 }),
    omitStages: subset(STAGES),
    omitManagedFields: fc.boolean(),
  });

const who = fc
  .record({
    user: fc.option(fc.constantFrom(...USERS, 'nobody'), { nil: undefined }),
    groups: some([...GROUPS, 'g'], 4),
  })
  .map(({ user, groups }) => (user === undefined ? { groups } : { user, groups }));

export const arbRequest: fc.Arbitrary<RequestAttributes> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .record({
        who,
        verb: fc.constantFrom(...VERBS, 'other'),
        group: fc.constantFrom(...API_GROUPS, 'example.org', '*'),
        version: fc.constantFrom('v1', ''),
        resource: fc.constantFrom(...RESOURCES, 'widgets', 'po'),
        subresource: fc.constantFrom(...SUBRESOURCES, 'other'),
        namespace: fc.constantFrom(...NAMESPACES, 'other'),
        name: fc.constantFrom(...NAMES, 'other'),
      })
      .map(({ who: w, ...r }) => ({ kind: 'Resource' as const, ...w, ...r })),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({ who, verb: fc.constantFrom(...VERBS), path: fc.constantFrom(...PATHS, '/other', '/healthzz') })
      .map(({ who: w, ...r }) => ({ kind: 'NonResource' as const, ...w, ...r })),
  },
);
