/**
 * Which bodies that hold secrets a policy would log. The answer is exact for the resources below: for each rule the
 * request that has the least in common with the earlier rules is made, and the engine says whether it gets there.
 * It refuses to judge what no rule can know: environment variables with passwords in Pods and workloads, and secrets in
 * custom resources. Used by the tests of the presets and the documentation; `redactSensitive` is the cure.
 */
import type { GroupResources, Level, Policy, RequestAttributes, Rule } from '../api/audit.ts';
import { compilePolicy } from '../policy/evaluate.ts';
import { atLeast } from './detections.ts';

type Sensitive = {
  readonly group: string;
  /** `resource` or `resource/subresource`. */
  readonly resource: string;
  /** The least level at which the body of a write, or of a read's answer, holds the secret; absent: it never does. */
  readonly write?: Level;
  readonly read?: Level;
};

/** The objects that a watch streams are never logged, at any level. */
const READS = ['get', 'list'];
/** A delete without options answers with the object. */
const DELETES = ['delete', 'deletecollection'];
const WRITES = ['create', 'update', 'patch'];
const NAMELESS = ['create', 'list', 'deletecollection'];

const both = (group: string, resource: string): Sensitive => ({
  group,
  resource,
  write: 'Request',
  read: 'RequestResponse',
});

const SENSITIVE: readonly Sensitive[] = [
  both('', 'secrets'),
  both('', 'configmaps'),
  // The request says only for how long and for whom; the answer holds the token.
  { group: '', resource: 'serviceaccounts/token', write: 'RequestResponse' },
  { group: 'authentication.k8s.io', resource: 'tokenreviews', write: 'Request' },
  both('route.openshift.io', 'routes'),
  both('oauth.openshift.io', 'oauthclients'),
  both('oauth.openshift.io', 'oauthaccesstokens'),
  both('oauth.openshift.io', 'oauthauthorizetokens'),
];

export type Leak = {
  readonly resource: string;
  readonly group: string;
  readonly verb: string;
  readonly level: Level;
  readonly rule: number;
};

/** A value that no rule names. */
const FRESH = 'auditconfig-probe-of-leaks';

const orFresh = (list: readonly string[]): readonly string[] => (list.length === 0 ? [FRESH] : list);

function entriesFor(rule: Rule, s: Sensitive): readonly GroupResources[] {
  return rule.resources.filter((e) => e.group === s.group || e.group === '*');
}

function names(rule: Rule, s: Sensitive, verb: string): readonly string[] {
  if (NAMELESS.includes(verb) && !s.resource.includes('/')) return [''];
  return [...new Set([FRESH, ...entriesFor(rule, s).flatMap((e) => e.resourceNames)])];
}

/** Requests that reach `rule` if any request does: one group at most, and nothing that an earlier rule names for nothing. */
function probes(rule: Rule, s: Sensitive, verb: string): RequestAttributes[] {
  const [resource = '', subresource = ''] = s.resource.split('/');
  const groups = rule.userGroups.length === 0 ? [[]] : rule.userGroups.map((g) => [g]);
  return orFresh(rule.users).flatMap((user) =>
    groups.flatMap((list) =>
      orFresh(rule.namespaces).flatMap((namespace) =>
        names(rule, s, verb).map((name): RequestAttributes => ({
          kind: 'Resource',
          ...{ user, groups: list, verb, version: 'v1', group: s.group, resource, subresource, namespace, name },
        })),
      ),
    ),
  );
}

const verbsOf = (s: Sensitive): readonly [string, Level][] => [
  ...WRITES.flatMap((v): [string, Level][] => (s.write === undefined ? [] : [[v, s.write]])),
  ...[...READS, ...DELETES].flatMap((v): [string, Level][] => (s.read === undefined ? [] : [[v, s.read]])),
];

/** Every sensitive resource and verb whose body some rule logs, with the first such rule; empty is what one wants. */
export function bodiesLeaked(policy: Policy): readonly Leak[] {
  const { decide } = compilePolicy(policy);
  return SENSITIVE.flatMap((s) =>
    verbsOf(s).flatMap(([verb, least]): Leak[] => {
      const rule = policy.rules.findIndex(
        (r, i) => atLeast(r.level, least) && probes(r, s, verb).some((p) => decide(p).rule === i),
      );
      const level = policy.rules[rule]?.level;
      return level === undefined ? [] : [{ group: s.group, resource: s.resource, verb, level, rule }];
    }),
  );
}
