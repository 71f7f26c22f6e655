/**
 * Requests aimed at one policy: most are made to fulfil one of its rules, word by word, with a word or two off. The
 * rest comes from the common vocabulary. They are request lines of the CLI contract (a SubjectAccessReview's spec), so
 * both sides parse them too.
 */
import type { GroupResources, Policy, Rule } from '../../src/api/audit.ts';
import type { Random } from './random.ts';
import * as words from './vocabulary.ts';

export type RequestLine = {
  readonly user?: string;
  readonly groups?: readonly string[];
  readonly resourceAttributes?: Readonly<Record<string, string>>;
  readonly nonResourceAttributes?: { readonly path: string; readonly verb: string };
};

/** Now and then another word than the wanted one. */
function near(random: Random, wanted: string, others: readonly string[]): string {
  if (random.chance(0.92)) return wanted;
  return random.pick([random.pick(others), `${wanted}x`, wanted.slice(0, -1), wanted.toUpperCase(), '', `/${wanted}`]);
}

const from = (random: Random, list: readonly string[], others: readonly string[]): string =>
  list.length > 0 ? near(random, random.pick(list), others) : random.pick(others);

/** A `resource[/subresource]` that a pattern may mean. */
function resourceFor(random: Random, pattern: string): { resource: string; subresource: string } {
  const slash = pattern.indexOf('/');
  const name = slash < 0 ? pattern : pattern.slice(0, slash);
  const sub = slash < 0 ? '' : pattern.slice(slash + 1);
  const resource = name === '*' ? random.pick(words.RESOURCES) : name;
  const subresource = sub === '*' ? random.pick([...words.SUBRESOURCES, '']) : sub;
  const flip = random.chance(0.1);
  if (flip) return { resource, subresource: subresource === '' ? random.pick(words.SUBRESOURCES) : '' };
  return {
    resource: near(random, resource, words.RESOURCES),
    subresource: near(random, subresource, words.SUBRESOURCES),
  };
}

function aimedAtEntry(random: Random, entry: GroupResources | undefined): Record<string, string> {
  const group = entry === undefined || entry.group === '*' ? random.pick(words.GROUPS) : entry.group;
  const pattern =
    entry === undefined || entry.resources.length === 0 ? random.pick(words.PATTERNS) : random.pick(entry.resources);
  return {
    group: near(random, group, words.GROUPS),
    version: 'v1',
    ...resourceFor(random, pattern),
    name: from(random, entry?.resourceNames ?? [], words.NAMES),
  };
}

function pathFor(random: Random, rule: Rule | undefined): string {
  if (rule === undefined || rule.nonResourceURLs.length === 0) return random.pick(words.PATHS);
  const pattern = random.pick(rule.nonResourceURLs);
  if (!pattern.endsWith('*')) return near(random, pattern, words.PATHS);
  const prefix = pattern.slice(0, -1);
  return random.pick([
    prefix,
    `${prefix}x`,
    `${prefix}/y`,
    prefix.slice(0, -1),
    pattern,
    `${prefix}*`,
    random.pick(words.PATHS),
  ]);
}

function who(random: Random, rule: Rule | undefined): Pick<RequestLine, 'user' | 'groups'> {
  if (random.chance(0.04)) return random.chance(0.5) ? {} : { groups: random.some(words.USER_GROUPS, 2) };
  const user = from(random, rule?.users ?? [], words.USERS);
  const groups = random.some(words.USER_GROUPS, random.below(3));
  if (rule !== undefined && rule.userGroups.length > 0 && random.chance(0.9))
    groups.splice(random.below(groups.length + 1), 0, near(random, random.pick(rule.userGroups), words.USER_GROUPS));
  return random.chance(0.05) ? { user } : { user, groups };
}

function request(random: Random, rule: Rule | undefined): RequestLine {
  const verb = from(random, rule?.verbs ?? [], words.VERBS);
  const toResource =
    rule === undefined || (rule.nonResourceURLs.length === 0 && rule.resources.length + rule.namespaces.length === 0)
      ? random.chance(0.7)
      : rule.nonResourceURLs.length === 0 || random.chance(0.08);
  if (!toResource || random.chance(0.05))
    return { ...who(random, rule), nonResourceAttributes: { path: pathFor(random, rule), verb } };
  const entry = rule === undefined || rule.resources.length === 0 ? undefined : random.pick(rule.resources);
  const namespace = from(random, rule?.namespaces ?? [], words.NAMESPACES);
  return { ...who(random, rule), resourceAttributes: { verb, ...aimedAtEntry(random, entry), namespace } };
}

/** `count` requests, most of them aimed at a rule of `policy`. */
export function requestsFor(policy: Policy, random: Random, count: number): RequestLine[] {
  return Array.from({ length: count }, () =>
    request(random, policy.rules.length > 0 && random.chance(0.9) ? random.pick(policy.rules) : undefined),
  );
}
