/**
 * One rule against one request, exactly as kube-apiserver's policy checker compares them
 * (k8s.io/apiserver pkg/audit/policy/checker.go), and the first reason why a rule does not match. It is the plain
 * reading of the rules: `explain` and the tests use it, and the compiled engine (evaluate.ts) is held against it.
 * It refuses nothing: a policy that does not validate is matched as it stands.
 */
import type { GroupResources, RequestAttributes, Rule } from '../api/audit.ts';

/** Why a rule does not match, in the order in which the API server looks. */
export type Mismatch =
  | { readonly code: 'NoUser' }
  | { readonly code: 'User'; readonly value: string }
  | { readonly code: 'UserGroups'; readonly value: readonly string[] }
  | { readonly code: 'Verb'; readonly value: string }
  | { readonly code: 'NotAResourceRequest' }
  | { readonly code: 'Namespace'; readonly value: string }
  | { readonly code: 'Group'; readonly value: string }
  | { readonly code: 'Resource'; readonly value: string; readonly group: string }
  | { readonly code: 'ResourceName'; readonly value: string; readonly group: string }
  | { readonly code: 'AResourceRequest' }
  | { readonly code: 'Path'; readonly value: string };

type ResourceRequest = Extract<RequestAttributes, { kind: 'Resource' }>;

/** `pods` or `pods/log`: what a rule's `resources` are compared with. */
export const combinedResource = (r: { readonly resource: string; readonly subresource: string }): string =>
  r.subresource === '' ? r.resource : `${r.resource}/${r.subresource}`;

/** A string of `resources` against a request; `pods/*` also matches bare `pods`, `*` also matches subresources. */
export function matchesResourcePattern(pattern: string, resource: string, subresource: string): boolean {
  if (pattern === '*' || pattern === combinedResource({ resource, subresource })) return true;
  if (subresource !== '' && pattern.startsWith('*/') && pattern.slice(2) === subresource) return true;
  return pattern.endsWith('/*') && pattern.slice(0, -2) === resource;
}

/** A string of `nonResourceURLs` against a path: `*`, the path itself, or a prefix with `*` behind it. */
export function matchesPathPattern(pattern: string, path: string): boolean {
  return pattern === path || (pattern.endsWith('*') && path.startsWith(pattern.replace(/\*+$/, '')));
}

export const matchesGroup = (pattern: string, group: string): boolean => pattern === group || pattern === '*';

function matchesEntry(e: GroupResources, r: ResourceRequest): boolean {
  if (!matchesGroup(e.group, r.group)) return false;
  if (e.resources.length === 0) return true;
  if (e.resourceNames.length > 0 && !e.resourceNames.includes(r.name)) return false;
  return e.resources.some((p) => matchesResourcePattern(p, r.resource, r.subresource));
}

/** Of several entries the one that came nearest gives the reason. */
function resourceMismatch(rule: Rule, r: ResourceRequest): Mismatch | undefined {
  if (rule.resources.length === 0 || rule.resources.some((e) => matchesEntry(e, r))) return undefined;
  const ofGroup = rule.resources.filter((e) => matchesGroup(e.group, r.group));
  if (ofGroup.length === 0) return { code: 'Group', value: r.group };
  const ofResource = ofGroup.some((e) => e.resources.some((p) => matchesResourcePattern(p, r.resource, r.subresource)));
  const { group } = r;
  return ofResource
    ? { code: 'ResourceName', value: r.name, group }
    : { code: 'Resource', value: combinedResource(r), group };
}

function whoMismatch(rule: Rule, r: RequestAttributes): Mismatch | undefined {
  if (rule.users.length > 0) {
    if (r.user === undefined) return { code: 'NoUser' };
    if (!rule.users.includes(r.user)) return { code: 'User', value: r.user };
  }
  if (rule.userGroups.length > 0) {
    if (r.user === undefined) return { code: 'NoUser' };
    if (!r.groups.some((g) => rule.userGroups.includes(g))) return { code: 'UserGroups', value: r.groups };
  }
  return undefined;
}

/** True where a rule looks at resource requests only. */
export const isResourceRule = (rule: Rule): boolean => rule.namespaces.length > 0 || rule.resources.length > 0;

function whatMismatch(rule: Rule, r: RequestAttributes): Mismatch | undefined {
  if (isResourceRule(rule)) {
    if (r.kind !== 'Resource') return { code: 'NotAResourceRequest' };
    if (rule.namespaces.length > 0 && !rule.namespaces.includes(r.namespace))
      return { code: 'Namespace', value: r.namespace };
    return resourceMismatch(rule, r);
  }
  if (rule.nonResourceURLs.length === 0) return undefined;
  if (r.kind !== 'NonResource') return { code: 'AResourceRequest' };
  return rule.nonResourceURLs.some((p) => matchesPathPattern(p, r.path)) ? undefined : { code: 'Path', value: r.path };
}

/** The first reason why `rule` does not match `r`; undefined where it matches. */
export function mismatch(rule: Rule, r: RequestAttributes): Mismatch | undefined {
  const who = whoMismatch(rule, r);
  if (who !== undefined) return who;
  if (rule.verbs.length > 0 && !rule.verbs.includes(r.verb)) return { code: 'Verb', value: r.verb };
  return whatMismatch(rule, r);
}
