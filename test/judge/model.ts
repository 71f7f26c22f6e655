/**
 * Policies as trees, before they are written down: mostly what people mean, now and then what validation refuses. The
 * writer (writer.ts) turns a tree into YAML of many styles.
 */
import type { Random } from './random.ts';
import * as words from './vocabulary.ts';

export type Tree =
  | { readonly is: 'text'; readonly text: string }
  /** Written as it stands: a number, a boolean, null, or something odd. */
  | { readonly is: 'raw'; readonly text: string }
  | { readonly is: 'list'; readonly items: readonly Tree[] }
  | { readonly is: 'map'; readonly pairs: readonly (readonly [Tree, Tree])[] };

export const text = (s: string): Tree => ({ is: 'text', text: s });
export const raw = (s: string): Tree => ({ is: 'raw', text: s });
export const list = (items: readonly Tree[]): Tree => ({ is: 'list', items });
export const map = (pairs: readonly (readonly [string, Tree])[]): Tree => ({
  is: 'map',
  pairs: pairs.map(([k, v]) => [text(k), v]),
});

/** How often a part is wrong, or merely odd. */
type Mood = { readonly bad: number; readonly odd: number };

function words0(random: Random, from: readonly string[], mood: Mood): Tree {
  if (random.chance(mood.odd)) return random.pick([raw('null'), raw('[]'), raw('~'), list([])]);
  const items = random.some(from, random.between(1, random.chance(0.1) ? 12 : 3)).map(text);
  if (random.chance(mood.odd)) items.push(raw(random.pick(words.ODD_SCALARS)));
  return list(items);
}

function groupResources(random: Random, mood: Mood): Tree {
  const pairs: [string, Tree][] = [];
  if (random.chance(0.9)) {
    const group = random.chance(mood.bad)
      ? random.pick(words.BAD_GROUPS)
      : random.pick([...words.GROUPS, random.chance(0.5) ? '*' : '']);
    pairs.push(['group', text(group)]);
  }
  const resources = random.chance(0.85);
  if (resources) pairs.push(['resources', words0(random, words.PATTERNS, mood)]);
  if (random.chance(resources ? 0.2 : mood.bad)) pairs.push(['resourceNames', words0(random, words.NAMES, mood)]);
  return map(shuffled(pairs, random));
}

function rule(random: Random, mood: Mood): Tree {
  const pairs: [string, Tree][] = [];
  if (!random.chance(mood.bad / 3)) {
    const level = random.pick(random.chance(mood.bad) ? words.BAD_LEVELS : words.LEVEL_WORDS);
    pairs.push(['level', text(level)]);
  }
  if (random.chance(0.3)) pairs.push(['users', words0(random, words.USERS, mood)]);
  if (random.chance(0.3)) pairs.push(['userGroups', words0(random, words.USER_GROUPS, mood)]);
  if (random.chance(0.4)) pairs.push(['verbs', words0(random, words.VERBS, mood)]);
  const urls = random.chance(0.2);
  if (urls) {
    const patterns = random.chance(mood.bad) ? words.BAD_URL_PATTERNS : words.URL_PATTERNS;
    pairs.push(['nonResourceURLs', words0(random, patterns, mood)]);
  }
  if (random.chance(urls ? mood.bad : 0.6)) {
    const entries = Array.from({ length: random.between(random.chance(0.1) ? 0 : 1, 3) }, () =>
      groupResources(random, mood),
    );
    pairs.push(['resources', list(entries)]);
  }
  if (random.chance(urls ? mood.bad : 0.25)) pairs.push(['namespaces', words0(random, words.NAMESPACES, mood)]);
  if (random.chance(0.25)) pairs.push(['omitStages', stages(random, mood)]);
  if (random.chance(0.2)) pairs.push(['omitManagedFields', flag(random, mood)]);
  return map(oddly(pairs, random, mood));
}

const stages = (random: Random, mood: Mood): Tree =>
  words0(random, random.chance(mood.bad) ? words.BAD_STAGES : words.STAGE_WORDS, mood);

function flag(random: Random, mood: Mood): Tree {
  if (random.chance(mood.odd)) return random.pick([text('true'), raw('1'), raw('null'), raw('y'), raw('OFF')]);
  return raw(random.pick(['true', 'false', 'True', 'yes', 'no', 'on', 'off', 'FALSE']));
}

/** Shuffled, and now and then a field that is unknown, nearly known or there twice. */
function oddly(pairs: readonly (readonly [string, Tree])[], random: Random, mood: Mood): [string, Tree][] {
  const all = pairs.map(([k, v]): [string, Tree] => [k, v]);
  const out = random.chance(0.7) ? all : shuffled(all, random);
  if (random.chance(mood.odd)) out.push([random.pick(words.NEAR_FIELDS), anything(random)]);
  if (random.chance(mood.odd)) out.unshift(random.pick(out.length > 0 ? out : [['foo', raw('1')]]));
  return out;
}

function shuffled<T>(from: readonly T[], random: Random): T[] {
  const out: T[] = [];
  for (const item of from) out.splice(random.below(out.length + 1), 0, item);
  return out;
}

function anything(random: Random): Tree {
  const kind = random.weighted({ raw: 4, text: 2, list: 1, map: 2 });
  switch (kind) {
    case 'raw':
      return raw(random.pick(words.ODD_SCALARS));
    case 'text':
      return text(random.pick([...words.ODD_SCALARS, ...words.USERS]));
    case 'list':
      return list(Array.from({ length: random.below(3) }, () => anything(random)));
    case 'map':
      return map(Array.from({ length: random.below(3) }, () => [random.pick(words.NEAR_FIELDS), anything(random)]));
  }
}

function metadata(random: Random, mood: Mood): Tree {
  if (random.chance(mood.bad)) return anything(random);
  const pairs: [string, Tree][] = [];
  if (random.chance(0.7)) pairs.push(['name', text(random.pick(words.USERS))]);
  const values = map([
    ['a', text('b')],
    ['c', random.chance(mood.bad) ? anything(random) : text('1')],
  ]);
  if (random.chance(0.3)) pairs.push([random.pick(['labels', 'annotations']), values]);
  if (random.chance(0.3)) pairs.push(['creationTimestamp', timestamp(random, mood)]);
  if (random.chance(mood.odd)) pairs.push([random.pick(METADATA_FIELDS), anything(random)]);
  return map(oddly(pairs, random, mood));
}

const METADATA_FIELDS = [
  ...[
    'generateName',
    'namespace',
    'selfLink',
    'uid',
    'resourceVersion',
    'generation',
    'deletionTimestamp',
    'finalizers',
  ],
  ...['deletionGracePeriodSeconds', 'ownerReferences', 'managedFields'],
];

function timestamp(random: Random, mood: Mood): Tree {
  if (random.chance(mood.bad)) return random.pick([text('yesterday'), text(''), raw('2024'), raw('{}'), raw('[]')]);
  return random.pick([raw('null'), text('2024-02-29T12:30:45Z'), raw('2024-02-29T12:30:45+01:00'), raw('~')]);
}

function header(random: Random, mood: Mood): [string, Tree][] {
  const version = random.chance(mood.bad / 3)
    ? random.pick([
        'audit.k8s.io/v1beta1',
        'v1',
        'audit.k8s.io',
        '',
        'a/b/c',
        'Audit.k8s.io/v1',
        'audit.k8s.io/__internal',
      ])
    : 'audit.k8s.io/v1';
  const kind = random.chance(mood.bad / 3) ? random.pick(['policy', 'Event', 'PolicyList', '', 'EventList']) : 'Policy';
  const pairs: [string, Tree][] = [['apiVersion', text(version)]];
  if (!random.chance(mood.odd / 3)) pairs.push(['kind', text(kind)]);
  return pairs;
}

/** A policy, or nearly one. */
export function policyTree(random: Random): Tree {
  const mood = random.chance(0.7) ? { bad: 0, odd: 0.004 } : { bad: 0.06, odd: 0.04 };
  const pairs = header(random, mood);
  if (random.chance(0.2)) pairs.push(['metadata', metadata(random, mood)]);
  if (random.chance(0.3)) pairs.push(['omitStages', stages(random, mood)]);
  if (random.chance(0.2)) pairs.push(['omitManagedFields', flag(random, mood)]);
  const rules = Array.from({ length: random.between(random.chance(mood.bad / 3) ? 0 : 1, 8) }, () =>
    rule(random, mood),
  );
  pairs.push(['rules', random.chance(mood.bad / 3) ? anything(random) : list(rules)]);
  return map(oddly(pairs, random, mood));
}
