/** Why a request is logged as it is, by codes; and the request that a recorded event came from. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RequestAttributes, Rule } from '../../src/api/audit.ts';
import { compilePolicy } from '../../src/policy/evaluate.ts';
import { explain, mismatchText } from '../../src/policy/explain.ts';
import { looksLikeEvent, requestOfEvent } from '../../src/policy/request-event.ts';
import { arbPolicy, arbRequest } from './arbitrary.ts';
import { nonResource, policyOf, resource, ruleOf } from './make.ts';

const pods = resource({ resource: 'pods', verb: 'get' });
const entry = (...resources: string[]): Partial<Rule> => ({ resources: [{ group: '', resources, resourceNames: [] }] });

const CASES: readonly (readonly [string, Partial<Rule>, RequestAttributes, string])[] = [
  ['another user', { users: ['bob'] }, pods, 'User'],
  ['no user at all', { userGroups: ['g'] }, { kind: 'NonResource', groups: [], verb: 'get', path: '/' }, 'NoUser'],
  ['no group in common', { userGroups: ['g'] }, pods, 'UserGroups'],
  ['another verb, before the resource', { verbs: ['list'], ...entry('secrets') }, pods, 'Verb'],
  ['a rule for resources and a URL', entry('pods'), nonResource('/x'), 'NotAResourceRequest'],
  ['a rule for URLs and a resource', { nonResourceURLs: ['*'] }, pods, 'AResourceRequest'],
  ['another namespace', { namespaces: ['kube-system'] }, pods, 'Namespace'],
  ['another group', { resources: [{ group: 'apps', resources: [], resourceNames: [] }] }, pods, 'Group'],
  ['another resource', entry('secrets'), pods, 'Resource'],
  ['another name', { resources: [{ group: '', resources: ['pods'], resourceNames: ['x'] }] }, pods, 'ResourceName'],
  ['another path', { nonResourceURLs: ['/healthz'] }, nonResource('/x'), 'Path'],
];

describe('an explanation', () => {
  it.each(CASES)('names %s', (_, rule, request, code) => {
    const policy = policyOf(ruleOf(rule), ruleOf({ level: 'Metadata' }));
    const { earlier, decision } = explain(policy, request);
    expect(decision.rule).toBe(1);
    expect(earlier.map((e) => e.mismatch.code)).toEqual([code]);
    expect(earlier.map((e) => mismatchText(e.mismatch, ruleOf(rule))).join()).not.toBe('');
  });

  it('decides as the engine does and has a reason for every earlier rule', () => {
    fc.assert(
      fc.property(arbPolicy(), arbRequest, (policy, r) => {
        const { decision, earlier } = explain(policy, r);
        expect(decision).toEqual(compilePolicy(policy).decide(r));
        expect(earlier.map((e) => e.rule)).toEqual([...Array(decision.rule ?? policy.rules.length).keys()]);
      }),
      { numRuns: 400 },
    );
  });

  it.each([
    ['an ordinary read', pods, 'RequestResponse', ['RequestReceived', 'ResponseComplete+response']],
    ['a write', { ...pods, verb: 'create' }, 'Request', ['RequestReceived', 'ResponseComplete+request']],
    ['a watch', { ...pods, verb: 'watch' }, 'Metadata', ['RequestReceived', 'ResponseStarted', 'ResponseComplete']],
    ['a URL', nonResource('/healthz'), 'RequestResponse', ['RequestReceived', 'ResponseComplete']],
    ['nothing at None', pods, 'None', []],
  ] as const)('tells the events of %s', (_, r, level, want) => {
    const { events } = explain(policyOf(ruleOf({ level })), r);
    const told = events.map(
      (e) => `${e.stage}${e.requestObject ? '+request' : ''}${e.responseObject ? '+response' : ''}`,
    );
    expect(told).toEqual(want);
  });

  it('leaves omitted stages out', () => {
    const policy = { ...policyOf(ruleOf({ level: 'Metadata' })), omitStages: ['RequestReceived'] as const };
    expect(explain(policy, pods).events.map((e) => e.stage)).toEqual(['ResponseComplete']);
  });
});

const EVENT = {
  kind: 'Event',
  apiVersion: 'audit.k8s.io/v1',
  auditID: '1',
  verb: 'create',
  requestURI: '/api/v1/namespaces/default/pods?fieldManager=kubectl',
  user: { username: 'alice', groups: ['system:authenticated'] },
  objectRef: { resource: 'pods', namespace: 'default', name: 'web', apiVersion: 'v1' },
};

describe('a recorded event', () => {
  it('of a create has no name for the policy, though objectRef shows the one from the body', () => {
    expect(requestOfEvent(EVENT)).toEqual(resource({ verb: 'create', name: '' }));
  });

  it('of a create of a subresource has the name of its URL', () => {
    const exec = {
      ...EVENT,
      requestURI: '/api/v1/namespaces/default/pods/web/exec?command=sh',
      objectRef: { ...EVENT.objectRef, subresource: 'exec' },
    };
    expect(requestOfEvent(exec)).toMatchObject({ name: 'web', subresource: 'exec', namespace: 'default' });
  });

  it('of a create without a namespace in the URL has none, though the body may', () => {
    const review = {
      ...EVENT,
      requestURI: '/apis/authorization.k8s.io/v1/subjectaccessreviews',
      objectRef: { resource: 'subjectaccessreviews', apiGroup: 'authorization.k8s.io', namespace: 'x', name: 'y' },
    };
    expect(requestOfEvent(review)).toMatchObject({ name: '', namespace: '', group: 'authorization.k8s.io' });
  });

  it('of a namespace is within itself', () => {
    const finalize = { ...EVENT, requestURI: '/api/v1/namespaces/x/finalize', objectRef: { resource: 'namespaces' } };
    expect(requestOfEvent(finalize)).toMatchObject({ name: 'x', namespace: 'x' });
  });

  it('of a list keeps the name that a field selector gave it', () => {
    const list = {
      ...EVENT,
      verb: 'list',
      requestURI: '/api/v1/namespaces/default/pods?fieldSelector=metadata.name%3Dweb',
    };
    expect(requestOfEvent(list)).toMatchObject({ name: 'web' });
  });

  it('of a refused login has no user', () => {
    expect(requestOfEvent({ ...EVENT, user: {} })).not.toHaveProperty('user');
  });

  it('counts the real user, not the impersonated one', () => {
    expect(requestOfEvent({ ...EVENT, impersonatedUser: { username: 'bob' } })).toMatchObject({ user: 'alice' });
  });

  it('for a URL has its path without the query', () => {
    const { objectRef: _, ...rest } = EVENT;
    const probe = { ...rest, verb: 'get', requestURI: '/healthz?verbose' };
    expect(requestOfEvent(probe)).toMatchObject({ kind: 'NonResource', path: '/healthz' });
  });

  it('that tells too little is a finding', () => {
    expect(requestOfEvent({ kind: 'Event' })).toMatchObject({ code: 'EventWithoutRequest' });
  });

  it('is told from a request', () => {
    expect(looksLikeEvent(EVENT)).toBe(true);
    expect(looksLikeEvent({ user: 'x', nonResourceAttributes: { path: '/', verb: 'get' } })).toBe(false);
  });
});
