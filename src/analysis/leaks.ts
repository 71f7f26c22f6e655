/**
 * Which bodies that hold secrets a policy would log. The answer is exact for the resources below: for each rule the
 * request that has the least in common with the earlier rules is made, and the engine says whether it gets there.
 * It refuses to judge what no rule can know: environment variables with passwords in Pods and workloads, and secrets in
 * custom resources. Used by the tests of the presets and the documentation; `redactSensitive` is the cure.
 */
import type { GroupResources, Level, Policy, RequestAttributes, Rule } from '../api/audit.ts';
import { compilePolicy } from '../policy/evaluate.ts';
import { SENSITIVE } from '../policy/redact.ts';
import { atLeast } from './detections.ts';

type Body = {
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

/** By `group/resource`, where not both writes and answers to reads hold the secret. */
const ONE_WAY: Readonly<Record<string, Pick<Body, 'write' | 'read'>>> = {
  // The request says only for how long and for whom; the answer holds the token.
  '/serviceaccounts/token': { write: 'RequestResponse' },
  'authentication.k8s.io/tokenreviews': { write: 'Request' },
  'image.openshift.io/imagestreams/secrets': { read: 'RequestResponse' },
};

/** The resources that `redactSensitive` caps, without their other subresources. */
const BODIES: readonly Body[] = SENSITIVE.flatMap(({ group, resources }) =>
  resources.map((pattern): Body => {
    const resource = pattern.replace(/\/\*$/, '');
    const oneWay = ONE_WAY[`${group}/${resource}`];
    return { group, resource, ...(oneWay ?? { write: 'Request', read: 'RequestResponse' }) };
  }),
);

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

function entriesFor(rule: Rule, s: Body): readonly GroupResources[] {
  return rule.resources.filter((e) => e.group === s.group || e.group === '*');
}

function names(rule: Rule, s: Body, verb: string): readonly string[] {
  if (NAMELESS.includes(verb) && !s.resource.includes('/')) return [''];
  return [...new Set([FRESH, ...entriesFor(rule, s).flatMap((e) => e.resourceNames)])];
}

/** Requests that reach `rule` if any request does: one group at most, and nothing that an earlier rule names for nothing. */
function probes(rule: Rule, s: Body, verb: string): RequestAttributes[] {
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

function verbsOf({ write, read }: Body): readonly (readonly [string, Level])[] {
  const each = (verbs: readonly string[], level: Level | undefined): (readonly [string, Level])[] =>
    level === undefined ? [] : verbs.map((v) => [v, level] as const);
  return [...each(WRITES, write), ...each(READS, read), ...each(DELETES, write === undefined ? undefined : read)];
}

/** Every sensitive resource and verb whose body some rule logs, with the first such rule; empty is what one wants. */
export function bodiesLeaked(policy: Policy): readonly Leak[] {
  const { decide } = compilePolicy(policy);
  return BODIES.flatMap((s) =>
    verbsOf(s).flatMap(([verb, least]): Leak[] => {
      const rule = policy.rules.findIndex(
        (r, i) => atLeast(r.level, least) && probes(r, s, verb).some((p) => decide(p).rule === i),
      );
      const level = policy.rules[rule]?.level;
      return level === undefined ? [] : [{ group: s.group, resource: s.resource, verb, level, rule }];
    }),
  );
}
