/**
 * Whether one rule matches everything that another matches. The answer "yes" is a proof; "no" only means that there is
 * none here. Lint finds rules that can never be reached with it, and redaction leaves out rules that would change
 * nothing. Two facts about real requests are used: a resource and a subresource hold no slash (the API server cuts them
 * out of the path), and a request with groups has a user.
 */
import type { GroupResources, Rule } from '../api/audit.ts';
import { isResourceRule } from './match.ts';

/** From so many comparisons on, a set is made first: a policy may name a hundred thousand users, twice. */
const MANY = 4096;

function covers(a: readonly string[], b: readonly string[]): boolean {
  if (a.length === 0) return true;
  if (b.length === 0) return false;
  if (a.length * b.length < MANY) return b.every((v) => a.includes(v));
  const all = new Set(a);
  return b.every((v) => all.has(v));
}

/** Users, groups, verbs and namespaces: all that is not about resources and paths. */
export const coversConditions = (a: Rule, b: Rule): boolean =>
  covers(a.users, b.users) &&
  covers(a.userGroups, b.userGroups) &&
  covers(a.verbs, b.verbs) &&
  covers(a.namespaces, b.namespaces);

/** Whether the pattern `a` of `resources` matches all that `b` matches. */
export function coversResourcePattern(a: string, b: string): boolean {
  if (a === '*' || a === b) return true;
  const [resource = '', subresource, ...more] = b.split('/');
  if (more.length > 0 || b === '*') return false;
  // Matches only what is itself called `*`, which is nothing real.
  if (a === '*/*') return false;
  if (a.endsWith('/*')) return a.slice(0, -2) === resource;
  return a.startsWith('*/') && subresource !== undefined && subresource !== '' && a.slice(2) === subresource;
}

/** Whether the path pattern `a` matches all that `b` matches. */
export function coversPathPattern(a: string, b: string): boolean {
  if (a === '*' || a === b) return true;
  return a.endsWith('*') && b.startsWith(a.slice(0, -1)) && b !== '*';
}

const everyResource = (e: GroupResources): boolean => e.resources.length === 0;

/** One pattern of one entry of a rule; `resource` is undefined where the entry is its whole group. */
export type ResourceAtom = { readonly group: string; readonly resource?: string; readonly names: readonly string[] };

export const atomsOf = (e: GroupResources): ResourceAtom[] =>
  everyResource(e)
    ? [{ group: e.group, names: [] }]
    : e.resources.map((resource) => ({ group: e.group, resource, names: e.resourceNames }));

function entryCoversAtom(e: GroupResources, atom: ResourceAtom): boolean {
  if (e.group !== '*' && e.group !== atom.group) return false;
  if (everyResource(e)) return true;
  if (!covers(e.resourceNames, atom.names)) return false;
  const { resource } = atom;
  return e.resources.some((p) => p === '*' || (resource !== undefined && coversResourcePattern(p, resource)));
}

/** Whether the resources of `rule` (not its other conditions) take in the atom. */
export const coversAtom = (rule: Rule, atom: ResourceAtom): boolean =>
  rule.resources.length === 0
    ? isResourceRule(rule) || !hasPaths(rule)
    : rule.resources.some((e) => entryCoversAtom(e, atom));

const hasPaths = (r: Rule): boolean => r.nonResourceURLs.length > 0;

function coversWhat(a: Rule, b: Rule): boolean {
  if (!isResourceRule(a) && !hasPaths(a)) return true;
  if (isResourceRule(a)) {
    if (!isResourceRule(b)) return false;
    if (a.resources.length === 0) return true;
    return b.resources.length > 0 && b.resources.flatMap(atomsOf).every((atom) => coversAtom(a, atom));
  }
  if (isResourceRule(b) || !hasPaths(b)) return false;
  return b.nonResourceURLs.every((p) => a.nonResourceURLs.some((q) => coversPathPattern(q, p)));
}

/** True where every request that `b` matches is matched by `a` too. */
export const coversRule = (a: Rule, b: Rule): boolean => coversConditions(a, b) && coversWhat(a, b);
