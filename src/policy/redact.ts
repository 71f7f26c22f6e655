/**
 * Bodies that hold secrets stay out of the log: their level is capped at Metadata, and nothing else changes. Before a
 * rule that would log such a body goes the same rule, narrowed to the sensitive resources, at Metadata: the same
 * requests are taken from the same rule, with the same stages. What an earlier rule takes anyway is not inserted, so
 * that a policy that is redacted already stays as it is. Called where a configuration says `sensitiveBodies: Redact`.
 *
 * Not for passwords in environment variables of Pods or secrets in custom resources: no rule can tell those bodies.
 */
import type { GroupResources, Policy, Rule } from '../api/audit.ts';
import { atomsOf, coversAtom, coversConditions } from './cover.ts';
import type { ResourceAtom } from './cover.ts';
import { isResourceRule, matchesGroup } from './match.ts';

/** A group and patterns as `resources` has them: `secrets` or `secrets/*` (with all subresources) or `a/b`. */
export type Sensitive = { readonly group: string; readonly resources: readonly string[] };

/**
 * Whose bodies hold secrets: what is written, what is read, or both. `imagestreams/secrets` answers with the Secrets of
 * a namespace; Routes hold private keys, and so do the answers of their subresources.
 */
export const SENSITIVE: readonly Sensitive[] = [
  { group: '', resources: ['secrets', 'configmaps', 'serviceaccounts/token'] },
  { group: 'authentication.k8s.io', resources: ['tokenreviews'] },
  { group: 'image.openshift.io', resources: ['imagestreams/secrets'] },
  {
    group: 'oauth.openshift.io',
    resources: ['oauthclients', 'oauthaccesstokens', 'oauthauthorizetokens', 'useroauthaccesstokens'],
  },
  { group: 'route.openshift.io', resources: ['routes/*'] },
];

/** The pattern that matches what both match, where there is one; both without slashes but the one before a `*`. */
function intersection(pattern: string, cap: string): string | undefined {
  if (pattern === '*') return cap;
  const [resource = '', subresource, ...more] = pattern.split('/');
  const [capResource = '', capSubresource] = cap.split('/');
  // Patterns that match no real request: `*/*`, `*/`, `pods/`, `a/b/c`.
  if (more.length > 0 || subresource === '' || pattern === '*/*') return undefined;
  if (resource !== '*' && resource !== capResource) return undefined;
  if (capSubresource === '*') return subresource === undefined ? capResource : `${capResource}/${subresource}`;
  return subresource === capSubresource || subresource === '*' ? cap : undefined;
}

const capAtoms = (caps: readonly Sensitive[]): ResourceAtom[] =>
  caps.flatMap((c) => c.resources.map((resource) => ({ group: c.group, resource, names: [] })));

/** The part of a rule's resources that is sensitive, as atoms. A rule without resources takes them all. */
function sensitiveAtoms(rule: Rule, caps: readonly ResourceAtom[]): ResourceAtom[] {
  if (rule.resources.length === 0) return isResourceRule(rule) || rule.nonResourceURLs.length === 0 ? [...caps] : [];
  return rule.resources.flatMap(atomsOf).flatMap((atom) =>
    caps.flatMap((cap) => {
      if (!matchesGroup(atom.group, cap.group)) return [];
      const resource = intersection(atom.resource ?? '*', cap.resource ?? '*');
      return resource === undefined ? [] : [{ group: cap.group, resource, names: atom.names }];
    }),
  );
}

/** Atoms of one group and the same names share an entry; each pattern once, in order. */
function entriesOf(atoms: readonly ResourceAtom[]): GroupResources[] {
  const byKey = new Map<string, { group: string; resources: string[]; resourceNames: readonly string[] }>();
  for (const { group, resource = '*', names } of atoms) {
    const key = JSON.stringify([group, names]);
    const e = byKey.get(key) ?? { group, resources: [], resourceNames: names };
    if (!e.resources.includes(resource)) e.resources.push(resource);
    byKey.set(key, e);
  }
  return [...byKey.values()];
}

/** What a rule must name to be covered by one that names only these; undefined where it takes in every name. */
function objectNames(r: Rule): readonly string[] | undefined {
  const isOpen = r.resources.length === 0 || r.resources.some((e) => everyName(e));
  return isOpen ? undefined : [...new Set(r.resources.flatMap((e) => e.resourceNames))];
}
const everyName = (e: GroupResources): boolean => e.resources.length === 0 || e.resourceNames.length === 0;

/**
 * Earlier rules, found by what a rule must have in common with them to be covered: thousands of rules for one user, one
 * verb or one object each are not compared with one another.
 */
class EarlierRules {
  readonly #unconditional: Rule[] = [];
  readonly #byValue = new Map<string, Rule[]>();

  static #values(r: Rule): readonly string[] {
    if (r.users.length > 0) return r.users.map((v) => `user ${v}`);
    if (r.userGroups.length > 0) return r.userGroups.map((v) => `group ${v}`);
    if (r.namespaces.length > 0) return r.namespaces.map((v) => `namespace ${v}`);
    return objectNames(r)?.map((v) => `name ${v}`) ?? r.verbs.map((v) => `verb ${v}`);
  }

  add(r: Rule): void {
    const values = EarlierRules.#values(r);
    if (values.length === 0) this.#unconditional.push(r);
    for (const v of values) {
      const list = this.#byValue.get(v);
      if (list === undefined) this.#byValue.set(v, [r]);
      else list.push(r);
    }
  }

  /** Whether one of them takes all requests of `r` for the atom. */
  take(r: Rule, atom: ResourceAtom): boolean {
    const takes = (e: Rule): boolean => coversConditions(e, r) && coversAtom(e, atom);
    const keys = [
      `user ${r.users[0]}`,
      `group ${r.userGroups[0]}`,
      `namespace ${r.namespaces[0]}`,
      `name ${atom.names[0]}`,
      `verb ${r.verbs[0]}`,
    ];
    return this.#unconditional.some(takes) || keys.some((k) => this.#byValue.get(k)?.some(takes) === true);
  }
}

/** Sensitive requests that a rule is the first to take: `entries` are its resources, narrowed to them. */
export type SensitivePart = { readonly rule: number; readonly entries: readonly GroupResources[] };

/** Each once. */
function union(all: Iterable<readonly Sensitive[]>): readonly ResourceAtom[] {
  const atoms = [...new Set(all)].flatMap(capAtoms);
  return [...new Map(atoms.map((a) => [`${a.group} ${a.resource}`, a])).values()];
}

/**
 * For each rule the sensitive resources of which it takes requests that no earlier rule surely takes. `bodiesOf` says
 * which resources count for a rule; none where it logs no bodies of them.
 */
export function sensitiveParts(policy: Policy, bodiesOf: (rule: Rule) => readonly Sensitive[]): SensitivePart[] {
  const earlier = new EarlierRules();
  const bodies = policy.rules.map(bodiesOf);
  const all = union(bodies);
  return policy.rules.flatMap((rule, index) => {
    const isOpen = (atom: ResourceAtom): boolean => !earlier.take(rule, atom);
    const open = sensitiveAtoms(rule, capAtoms(bodies[index] ?? [])).filter(isOpen);
    // One that is the first to take nothing sensitive has nothing that a later one could be covered by.
    if (open.length > 0 || sensitiveAtoms(rule, all).some(isOpen)) earlier.add(rule);
    return open.length === 0 ? [] : [{ rule: index, entries: entriesOf(open) }];
  });
}

const logsBodies = (r: Rule): boolean => r.level === 'Request' || r.level === 'RequestResponse';

/**
 * Caps the level of sensitive resources at Metadata. For every request the level is the lower of the original's and the
 * cap; stages, managed fields and all other requests stay. Same input, same output; redacting twice adds nothing; at
 * most one rule is added for each rule that logs bodies.
 */
export function redactSensitive(policy: Policy, sensitive: readonly Sensitive[] = SENSITIVE): Policy {
  const parts = new Map(
    sensitiveParts(policy, (r) => (logsBodies(r) ? sensitive : [])).map((p) => [p.rule, p.entries]),
  );
  const rules = policy.rules.flatMap((rule, i): Rule[] => {
    const resources = parts.get(i);
    return resources === undefined ? [rule] : [{ ...rule, level: 'Metadata', resources, nonResourceURLs: [] }, rule];
  });
  return { ...policy, rules };
}
