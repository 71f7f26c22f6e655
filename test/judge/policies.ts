/**
 * The mixture of policies that the differential run asks about. At least half are real ones with a few edits; the rest
 * is written from trees, odd constructs, token soup and JSON. Same seed, same policies.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DOCUMENTS, FRAGMENTS, GOOD, TORN } from './constructs.ts';
import { edited, spliced } from './edit.ts';
import { policyTree } from './model.ts';
import type { Random } from './random.ts';
import type { Binary } from './vocabulary.ts';
import { FIELDS, LEVEL_WORDS, ODD_SCALARS, TOKENS, VERBS, binaryOf } from './vocabulary.ts';
import { asJson, written } from './writer.ts';

export type Origin = 'regression' | 'real' | 'construct' | 'edited' | 'spliced' | 'written' | 'odd' | 'soup' | 'json';
export type Generated = { readonly origin: Origin; readonly text: Binary };

const CORPUS = join(import.meta.dirname, 'corpus');

/** Real policies as they stand in the corpus folder. */
export function realPolicies(): readonly Binary[] {
  const files = readdirSync(CORPUS).sort();
  return files.map((f) => binaryOf(readFileSync(join(CORPUS, f))));
}

/** Asked once on every run, whatever the seed. */
export function fixedPolicies(): readonly Generated[] {
  return [
    ...realPolicies().map((text): Generated => ({ origin: 'real', text })),
    ...FRAGMENTS.map((f): Generated => ({
      origin: 'construct',
      text: `${GOOD}x:${f.startsWith('\n') ? f : ` ${f}`}\n`,
    })),
    ...[...DOCUMENTS, ...TORN].map((text): Generated => ({ origin: 'construct', text })),
  ];
}

const WORDS = [...FIELDS, ...LEVEL_WORDS, ...VERBS, 'audit.k8s.io/v1', 'Policy', 'a', 'b'];

function soup(random: Random): Binary {
  const count = random.between(1, 14);
  return Array.from({ length: count }, () =>
    random.pick(random.pick([TOKENS, TOKENS, ODD_SCALARS, WORDS]) as readonly string[]),
  ).join(random.pick(['', '', ' ', '\n', '\n  ']));
}

/** Soup in a place where the rest of the policy can still load. */
function odd(random: Random): Binary {
  const filling = random.chance(0.5) ? soup(random) : random.pick(FRAGMENTS);
  switch (random.below(5)) {
    case 0:
      return `${GOOD}x: ${filling}\n`;
    case 1:
      return `${GOOD}metadata: {annotations: {a: ${filling}}}\n`;
    case 2:
      return `${GOOD}  users:\n  - ${filling}\n`;
    case 3:
      return `${GOOD}${filling}\n`;
    default:
      return `x: ${filling}\n${GOOD}`;
  }
}

function one(
  origin: Exclude<Origin, 'regression' | 'real' | 'construct'>,
  random: Random,
  real: readonly Binary[],
): Binary {
  switch (origin) {
    case 'edited':
      return edited(random.pick(real), random);
    case 'spliced':
      return spliced(random.pick(real), random.pick(real), random);
    case 'written': {
      const text = written(policyTree(random), random);
      return random.chance(0.2) ? edited(text, random) : text;
    }
    case 'odd':
      return random.chance(0.3) ? edited(odd(random), random) : odd(random);
    case 'soup':
      return soup(random);
    case 'json': {
      const text = asJson(policyTree(random), random);
      return random.chance(0.3) ? edited(text, random) : text;
    }
  }
}

type Mixture = Readonly<Record<Exclude<Origin, 'regression' | 'real' | 'construct'>, number>>;

/** Mixtures by name: what files are like, or what grammars stumble over. */
export const MIXTURES = {
  real: { edited: 66, spliced: 4, written: 19, odd: 5, soup: 2, json: 4 },
  odd: { edited: 5, spliced: 2, written: 13, odd: 50, soup: 10, json: 20 },
} as const satisfies Readonly<Record<string, Mixture>>;

/** An endless row of policies. */
export function* policies(random: Random, mixture: Mixture = MIXTURES.real): Generator<Generated, never> {
  const real = realPolicies();
  for (;;) {
    const origin = random.weighted(mixture);
    yield { origin, text: one(origin, random, real) };
  }
}
