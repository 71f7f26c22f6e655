/** One policy out of several: order, settings that stay with their rules, and mandatory rules out of reach. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { STAGES } from '../../src/api/audit.ts';
import type { Policy } from '../../src/api/audit.ts';
import { composePolicy, pushDown } from '../../src/policy/compose.ts';
import type { ComposeInput } from '../../src/policy/compose.ts';
import { compilePolicy } from '../../src/policy/evaluate.ts';
import { arbPolicy, arbRequest, arbRule } from './arbitrary.ts';
import { policyOf, resource, ruleOf } from './make.ts';

const optional = <T>(a: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(a, { nil: undefined });
const rules = fc.array(arbRule, { maxLength: 4 });

const arbTenant: fc.Arbitrary<ComposeInput> = fc
  .record({
    rules,
    rulesPosition: fc.constantFrom('Before' as const, 'After' as const),
    referenced: optional(arbPolicy(4)),
    preset: optional(arbPolicy(4)),
    omitStages: fc.subarray([...STAGES]),
    omitManagedFields: optional(fc.boolean()),
  })
  .map(({ referenced, preset, omitManagedFields, ...t }) => ({
    ...t,
    ...(referenced === undefined ? {} : { referenced }),
    ...(preset === undefined ? {} : { preset }),
    ...(omitManagedFields === undefined ? {} : { omitManagedFields }),
  }));

const labelled = (label: string): Policy => policyOf(ruleOf({ users: [label] }));
const order = (p: Policy): readonly string[] => p.rules.map((r) => r.users[0] ?? '');

describe('mandatory rules', () => {
  it('decide for their requests what they decide alone, whatever the tenant sets', () => {
    fc.assert(
      fc.property(fc.array(arbRule, { minLength: 1, maxLength: 4 }), arbTenant, arbRequest, (mandatory, tenant, r) => {
        const alone = compilePolicy(policyOf(...mandatory)).decide(r);
        fc.pre(alone.rule !== null);
        expect(compilePolicy(composePolicy({ ...tenant, mandatory })).decide(r)).toEqual(alone);
      }),
      { numRuns: 600 },
    );
  });

  it('leave all other requests to the tenant', () => {
    fc.assert(
      fc.property(fc.array(arbRule, { minLength: 1, maxLength: 4 }), arbTenant, arbRequest, (mandatory, tenant, r) => {
        fc.pre(compilePolicy(policyOf(...mandatory)).decide(r).rule === null);
        const { rule: _with, ...composed } = compilePolicy(composePolicy({ ...tenant, mandatory })).decide(r);
        const { rule: _without, ...alone } = compilePolicy(composePolicy(tenant)).decide(r);
        expect(composed).toEqual(alone);
      }),
      { numRuns: 400 },
    );
  });
});

describe('a policy with its settings pushed down', () => {
  it('decides the same for every request that a rule matches', () => {
    fc.assert(
      fc.property(arbPolicy(), arbRequest, (policy, r) => {
        const before = compilePolicy(policy).decide(r);
        fc.pre(before.rule !== null);
        expect(compilePolicy(policyOf(...pushDown(policy))).decide(r)).toEqual(before);
      }),
      { numRuns: 600 },
    );
  });
});

describe('composed parts', () => {
  const parts = { referenced: labelled('referenced'), preset: labelled('preset'), mandatory: labelled('must').rules };
  const own = labelled('own').rules;

  it('stand in the order mandatory, own, referenced, preset', () => {
    const composed = composePolicy({ ...parts, rules: own, rulesPosition: 'Before' });
    expect(order(composed)).toEqual(['must', 'own', 'referenced', 'preset']);
  });

  it('have the own rules last where they are to come after', () => {
    const composed = composePolicy({ ...parts, rules: own, rulesPosition: 'After' });
    expect(order(composed)).toEqual(['must', 'referenced', 'preset', 'own']);
  });

  it('keep the stages that each part omits to itself', () => {
    const composed = composePolicy({
      rulesPosition: 'Before',
      rules: [ruleOf({ verbs: ['get'] })],
      referenced: { ...policyOf(ruleOf({ verbs: ['list'] })), omitStages: ['Panic'] },
      omitStages: ['RequestReceived'],
    });
    expect(composed.omitStages).toEqual([]);
    expect(composed.rules.map((r) => r.omitStages)).toEqual([['RequestReceived'], ['Panic', 'RequestReceived']]);
  });

  it("let the tenant's omitManagedFields replace a preset's, but not a rule's own", () => {
    const preset: Policy = {
      ...policyOf(ruleOf({ verbs: ['get'] }), ruleOf({ verbs: ['list'], omitManagedFields: true })),
      omitManagedFields: true,
    };
    const composed = compilePolicy(composePolicy({ rulesPosition: 'Before', preset, omitManagedFields: false }));
    expect(composed.decide(resource({ verb: 'get' })).omitManagedFields).toBe(false);
    expect(composed.decide(resource({ verb: 'list' })).omitManagedFields).toBe(true);
  });

  it('make a policy without rules out of nothing', () => {
    expect(composePolicy({ rulesPosition: 'Before' }).rules).toEqual([]);
  });
});
