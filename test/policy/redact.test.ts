/** Sensitive bodies are capped at Metadata, and nothing else changes. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LEVELS } from '../../src/api/audit.ts';
import type { Level, Policy, RequestAttributes, Rule } from '../../src/api/audit.ts';
import { coversRule } from '../../src/policy/cover.ts';
import { compilePolicy } from '../../src/policy/evaluate.ts';
import { matchesResourcePattern, mismatch } from '../../src/policy/match.ts';
import { redactSensitive, SENSITIVE } from '../../src/policy/redact.ts';
import { arbPolicy, arbRequest, arbRule } from './arbitrary.ts';
import { nonResource, policyOf, resource, ruleOf } from './make.ts';

const isSensitive = (r: RequestAttributes): boolean =>
  r.kind === 'Resource' &&
  SENSITIVE.some(
    (s) => s.group === r.group && s.resources.some((p) => matchesResourcePattern(p, r.resource, r.subresource)),
  );

const capped = (l: Level): Level => LEVELS[Math.min(LEVELS.indexOf(l), LEVELS.indexOf('Metadata'))] ?? 'None';

/** A path gives a resource and a subresource without a slash, and nobody serves one that is called `*`. */
const real = (r: RequestAttributes): boolean =>
  r.kind === 'NonResource' ||
  (!/[/*]/.test(r.resource) && !/[/*]/.test(r.subresource) && (r.user !== undefined || r.groups.length === 0));
const arbReal = arbRequest.filter(real);

const SECRETS = resource({ resource: 'secrets' });
const level = (p: Policy, r: RequestAttributes): Level => compilePolicy(p).decide(r).level;

describe('redaction', () => {
  it('gives the lower of level and cap, and the same stages and managed fields, for every request', () => {
    fc.assert(
      fc.property(arbPolicy(), fc.array(arbReal, { minLength: 20, maxLength: 40 }), (policy, requests) => {
        const before = compilePolicy(policy);
        const after = compilePolicy(redactSensitive(policy));
        const want = requests.map((r) => {
          const d = before.decide(r);
          return { ...d, rule: 0, level: isSensitive(r) ? capped(d.level) : d.level };
        });
        expect(requests.map((r) => ({ ...after.decide(r), rule: 0 }))).toEqual(want);
      }),
      { numRuns: 800 },
    );
  });

  it('adds nothing the second time', () => {
    fc.assert(
      fc.property(arbPolicy(12), (policy) => {
        const once = redactSensitive(policy);
        expect(redactSensitive(once)).toEqual(once);
        const loud = policy.rules.filter((r) => r.level.startsWith('Request')).length;
        expect(once.rules.length).toBeLessThanOrEqual(policy.rules.length + loud);
      }),
      { numRuns: 600 },
    );
  });

  it('leaves a policy alone that already keeps sensitive bodies out', () => {
    const quiet = ruleOf({
      level: 'Metadata',
      resources: SENSITIVE.map((s) => ({ group: s.group, resources: s.resources })),
    });
    const policy = policyOf(quiet, ruleOf({ level: 'RequestResponse' }));
    expect(redactSensitive(policy)).toEqual(policy);
  });

  it.each([
    ['a rule for everything', ruleOf({ level: 'Request' })],
    ['a namespace', ruleOf({ level: 'Request', namespaces: ['default'] })],
    ['a whole group', ruleOf({ level: 'Request', resources: [{}] })],
    ['every group', ruleOf({ level: 'Request', resources: [{ group: '*' }] })],
    ['every resource', ruleOf({ level: 'Request', resources: [{ resources: ['*'] }] })],
    ['secrets/*', ruleOf({ level: 'Request', resources: [{ resources: ['secrets/*'] }] })],
    ['one name', ruleOf({ level: 'Request', resources: [{ resources: ['secrets'], resourceNames: ['x'] }] })],
  ])('caps secrets in a rule for %s', (_, rule) => {
    const r = { ...SECRETS, name: 'x' };
    expect(level(policyOf(rule), r)).toBe('Request');
    expect(level(redactSensitive(policyOf(rule)), r)).toBe('Metadata');
  });

  it('narrows a rule for one name to that name', () => {
    const rule = ruleOf({ level: 'Request', resources: [{ resources: ['*'], resourceNames: ['x'] }] });
    const after = redactSensitive(policyOf(rule));
    expect(level(after, { ...SECRETS, name: 'y' })).toBe('None');
    expect(level(after, resource({ name: 'x' }))).toBe('Request');
  });

  it('keeps paths of a rule for everything at their level', () => {
    const after = redactSensitive(policyOf(ruleOf({ level: 'RequestResponse' })));
    expect(level(after, nonResource('/healthz'))).toBe('RequestResponse');
  });

  it('caps the answer that holds a token, but not the service account itself', () => {
    const after = redactSensitive(policyOf(ruleOf({ level: 'RequestResponse' })));
    expect(level(after, resource({ resource: 'serviceaccounts', subresource: 'token' }))).toBe('Metadata');
    expect(level(after, resource({ resource: 'serviceaccounts' }))).toBe('RequestResponse');
  });

  it('takes as many rules as a file holds', () => {
    const rules = Array.from({ length: 8000 }, (_, i) => ruleOf({ level: 'Request', users: [`u${i}`] }));
    expect(redactSensitive(policyOf(...rules)).rules.length).toBe(16000);
  });

  const SECRET = [{ resources: ['secrets'] }];
  it.each([
    ['the same rule again and again', () => ({})],
    ['rules for one verb each', (i: number) => ({ verbs: [`v${i}`] })],
    ['rules for one object each', (i: number) => ({ resources: [{ resources: ['*'], resourceNames: [`n${i}`] }] })],
    ['rules for one namespace each', (i: number) => ({ namespaces: [`n${i}`], resources: SECRET })],
    ['rules for one group of resources each', (i: number) => ({ resources: [{ group: `g${i}.example.org` }] })],
    ['quiet rules before loud ones', (i: number) => (i < N / 2 ? { level: 'Metadata' as const } : {})],
    [
      'rules for others before one for all',
      (i: number) => (i < N / 2 ? { resources: [{ resources: [`r${i}`] }] } : {}),
    ],
  ])('compares no rule with thousands of others: %s', (_, parts) => {
    let reads = 0;
    const rules = Array.from({ length: N }, (_unused, i) =>
      counting(ruleOf({ level: 'RequestResponse', ...parts(i) }), () => reads++),
    );
    redactSensitive(policyOf(...rules));
    // Comparing all pairs reads some forty million.
    expect(reads / N).toBeLessThan(400);
  });
});

const N = 9_000;

/** The rule, telling each time that one of its lists is read: every comparison does. */
const counting = (rule: Rule, read: () => void): Rule =>
  new Proxy(rule, {
    get: (target, field) => {
      if (field !== 'level') read();
      return Reflect.get(target, field) as unknown;
    },
  });

describe('one rule covers another', () => {
  it('only where every request that matches the second matches the first', () => {
    let proofs = 0;
    fc.assert(
      fc.property(arbRule, arbRule, fc.array(arbReal, { minLength: 10, maxLength: 30 }), (a, b, requests) => {
        if (!coversRule(a, b)) return;
        proofs++;
        for (const r of requests) if (mismatch(b, r) === undefined) expect(mismatch(a, r)).toBe(undefined);
      }),
      { numRuns: 8000 },
    );
    expect(proofs).toBeGreaterThan(100);
  });
});
