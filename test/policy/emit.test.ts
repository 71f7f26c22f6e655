/** Canonical bytes load again, to the same policy, on every supported version. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { minorNumber, NEWEST, OLDEST } from '../../src/api/versions.ts';
import type { Minor } from '../../src/api/versions.ts';
import type { Policy, Rule } from '../../src/api/audit.ts';
import { emitPolicy, emitPolicyText } from '../../src/policy/emit.ts';
import { loadPolicy } from '../../src/policy/load.ts';
import { arbPolicy } from './arbitrary.ts';
import { policyOf, ruleOf } from './make.ts';

const VERSIONS = Array.from(
  { length: minorNumber(NEWEST) - minorNumber(OLDEST) + 1 },
  (_, i): Minor => `1.${minorNumber(OLDEST) + i}`,
);

const odd = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 6 }),
      fc.constantFrom(
        'yes',
        'null',
        '~',
        '1e3',
        '0x1F',
        '- a',
        '# b',
        ': ',
        '"',
        '\\',
        '\t',
        '\n',
        '\r\n',
        '\u0085',
        '\u2028',
        '\ufeff',
        '\u00a0',
        '\ufffe',
        '\u007f',
        '😀',
        '!!binary',
        '&a',
        '*a',
        '<<',
        'x'.repeat(2000),
      ),
    ),
    { minLength: 1, maxLength: 4 },
  )
  .map((parts) => parts.join(''));

const withOddStrings = (policy: Policy, words: readonly string[]): Policy => ({
  ...policy,
  rules: policy.rules.map((r): Rule => ({ ...r, users: [...words], verbs: [...words] })),
});

const starGroup = (p: Policy): boolean => p.rules.some((r) => r.resources.some((e) => e.group === '*'));

describe('canonical bytes', () => {
  it('load to the same policy on every version, without a finding', () => {
    fc.assert(
      fc.property(arbPolicy(4), fc.array(odd, { maxLength: 3 }), fc.constantFrom(...VERSIONS), (p, words, version) => {
        const policy = withOddStrings(p, words);
        const asked = starGroup(policy) ? NEWEST : version;
        const loaded = loadPolicy(emitPolicy(policy), asked);
        fc.pre(policy.rules.every((r) => r.nonResourceURLs.every((u) => u === '*' || u.startsWith('/'))));
        expect(loaded.findings).toEqual([]);
        expect(loaded.policy).toEqual(policy);
      }),
      { numRuns: 1000 },
    );
  });

  it('are the same for the same policy', () => {
    fc.assert(
      fc.property(arbPolicy(4), (policy) => {
        const text = emitPolicyText(policy);
        expect(emitPolicyText(structuredClone(policy))).toBe(text);
        expect(emitPolicyText(loadPolicy(emitPolicy(policy), NEWEST).policy ?? policyOf())).toBe(text);
      }),
      { numRuns: 200 },
    );
  });

  it('quote every string and use no YAML beyond lists and maps', () => {
    const text = emitPolicyText(policyOf(ruleOf({ level: 'None', users: ['yes', 'a"b'], omitManagedFields: false })));
    expect(text).toBe(
      'apiVersion: "audit.k8s.io/v1"\nkind: "Policy"\nrules:\n  - level: "None"\n    users: ["yes", "a\\"b"]\n    omitManagedFields: false\n',
    );
  });

  it('escape what a reader might fold, refuse or eat', () => {
    const text = emitPolicyText(policyOf(ruleOf({ users: ['\u0085\u2028\ufeff\u0000\ud800é😀'] })));
    expect(text).toContain('"\\u0085\\u2028\\ufeff\\u0000\ufffdé😀"');
  });
});
