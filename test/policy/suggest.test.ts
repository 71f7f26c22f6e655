/** Suggestions: near words only, case apart, never the word itself. */
import { describe, expect, it } from 'vitest';
import { LEVELS, STAGES } from '../../src/api/audit.ts';
import { GROUPS, RESOURCES, RESOURCE_VERBS, groupsOf } from '../../src/policy/suggest-words.ts';
import { didYouMean, editDistance, suggest } from '../../src/policy/suggest.ts';

describe('edit distance', () => {
  it.each([
    ['', '', 0],
    ['a', '', 1],
    ['kitten', 'sitting', 3],
    ['ab', 'ba', 1],
    ['abcd', 'acbd', 1],
    ['ca', 'abc', 3],
  ])('between %j and %j is %i', (a, b, distance) => {
    expect(editDistance(a, b, 10)).toBe(distance);
    expect(editDistance(b, a, 10)).toBe(distance);
  });

  it('stops at its limit', () => {
    expect(editDistance('aaaaaaaa', 'bbbbbbbb', 2)).toBe(3);
  });
});

describe('suggest', () => {
  it.each([
    ['ResponseCompleted', STAGES, 'ResponseComplete'],
    ['metadata', LEVELS, 'Metadata'],
    ['RequestRespones', LEVELS, 'RequestResponse'],
    ['lsit', RESOURCE_VERBS, 'list'],
    ['deletcollection', RESOURCE_VERBS, 'deletecollection'],
    ['pod', RESOURCES, 'pods'],
    ['configmap', RESOURCES, 'configmaps'],
    ['rbac.authorisation.k8s.io', GROUPS, 'rbac.authorization.k8s.io'],
    ['xyzzy', RESOURCES, undefined],
    ['pods', RESOURCES, undefined],
    ['', GROUPS, undefined],
    ['a', ['b'], undefined],
  ])('for %j', (word, candidates, found) => {
    expect(suggest(word, candidates)).toBe(found);
  });

  it('is the end of a sentence, or nothing', () => {
    expect(didYouMean('Metdata', LEVELS)).toBe('; did you mean "Metadata"?');
    expect(didYouMean('Everything', LEVELS)).toBe('');
  });
});

describe('known words', () => {
  it.each([
    ['pods', ['', 'metrics.k8s.io']],
    ['deployments', ['apps']],
    ['events', ['', 'events.k8s.io']],
    ['widgets', []],
  ])('tell the groups of %s', (resource, groups) => {
    expect(groupsOf(resource)).toEqual(groups);
  });
});
