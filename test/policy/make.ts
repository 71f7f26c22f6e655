/** Policies, rules and requests for tests, of which only what matters has to be written. */
import type { GroupResources, Policy, RequestAttributes, Rule } from '../../src/api/audit.ts';

type RuleParts = Partial<Omit<Rule, 'resources'>> & { readonly resources?: readonly Partial<GroupResources>[] };

export const ruleOf = ({ resources = [], ...parts }: RuleParts): Rule => ({
  level: 'Metadata',
  users: [],
  userGroups: [],
  verbs: [],
  namespaces: [],
  nonResourceURLs: [],
  omitStages: [],
  ...parts,
  resources: resources.map((e) => ({ group: '', resources: [], resourceNames: [], ...e })),
});

export const policyOf = (...rules: readonly Rule[]): Policy => ({ rules, omitStages: [], omitManagedFields: false });

type ResourceRequest = Extract<RequestAttributes, { kind: 'Resource' }>;

export const resource = (parts: Partial<ResourceRequest>): ResourceRequest => ({
  kind: 'Resource',
  user: 'alice',
  groups: ['system:authenticated'],
  verb: 'get',
  group: '',
  version: 'v1',
  resource: 'pods',
  subresource: '',
  namespace: 'default',
  name: '',
  ...parts,
});

export const nonResource = (path: string, verb = 'get'): RequestAttributes => ({
  kind: 'NonResource',
  user: 'alice',
  groups: ['system:authenticated'],
  verb,
  path,
});
