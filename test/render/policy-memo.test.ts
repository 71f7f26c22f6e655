/** Policies that were rendered before are not rendered again, and only those. */
import { describe, expect, it } from 'vitest';
import type { LayerSpec } from '../../src/api/auditconfig.ts';
import { effectiveOf } from '../../src/config/merge.ts';
import { rememberPolicies } from '../../src/render/policy-memo.ts';
import { renderPolicy } from '../../src/render/policy.ts';
import type { PolicyInput } from '../../src/render/policy.ts';
import type { Reference } from '../../src/render/references.ts';
import { BOTH, holding } from './inputs.ts';

const input = (policy: LayerSpec['policy'], reference?: Reference): PolicyInput => ({
  spec: effectiveOf({ ...(policy === undefined ? {} : { policy }) }).spec.policy,
  versions: BOTH,
  ...(reference === undefined ? {} : { reference }),
});
const REF = { configMapRef: { name: 'p' } };
const text = (level: string): string => `apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: ${level}\n`;
const holds = (level: string, key = 'policy.yaml'): Reference => holding({ [key]: text(level) });

function counting(maxBytes?: number) {
  let count = 0;
  const render = rememberPolicies((i) => {
    count += 1;
    return renderPolicy(i);
  }, maxBytes);
  return {
    render,
    get count() {
      return count;
    },
  };
}

describe('a policy that was rendered before', () => {
  it('is not rendered again, though a thousand rules were written anew', () => {
    const c = counting();
    const rules = () => ({
      rules: Array.from({ length: 200 }, (_, i) => ({ level: 'None' as const, users: [`u${i}`] })),
    });
    const first = c.render(input(rules()));
    expect(first.bytes?.length).toBeGreaterThan(200);
    expect(c.render(input(rules()))).toBe(first);
    expect(c.render(input({ ...REF }, holds('Request')))).toEqual(renderPolicy(input(REF, holds('Request'))));
    expect(c.render(input({ ...REF }, holds('Request'))).findings).toEqual([]);
    expect(c.count).toBe(2);
  });

  it.each([
    ['another preset', input({ preset: 'minimal' }), input({ preset: 'metadata' })],
    ['another rule', input({ rules: [{ level: 'None' }] }), input({ rules: [{ level: 'Request' }] })],
    ['other bytes', input(REF, holds('Request')), input(REF, holds('Metadata'))],
    ['another key', input(REF, holds('Request')), input(REF, holds('Request', 'audit-policy.yaml'))],
    ['a reference that is gone', input(REF, holds('Request')), input(REF, { found: false, why: 'NotFound' })],
    ['other reasons', input(REF, { found: false, why: 'Forbidden' }), input(REF, { found: false, why: 'NotFound' })],
    ['another name', input(REF, holds('Bad')), input({ configMapRef: { name: 'q' } }, holds('Bad'))],
    ['other versions', input({ preset: 'minimal' }), { ...input({ preset: 'minimal' }), versions: BOTH.slice(1) }],
  ])('is not taken for one with %s', (_, a, b) => {
    const c = counting();
    expect(c.render(a)).toEqual(renderPolicy(a));
    expect(c.render(b)).toEqual(renderPolicy(b));
    expect(c.count).toBe(2);
  });

  it('is not taken for another because a name ends where bytes begin', () => {
    const of = (data: Readonly<Record<string, string>>) => input(REF, holding(data));
    const c = counting();
    c.render(of({ a: 'bcd', 'policy.yaml': text('Request') }));
    c.render(of({ a: 'b', c: 'd', 'policy.yaml': text('Request') }));
    expect(c.count).toBe(2);
  });

  it('is forgotten when others take the room, the oldest first, and what is larger than all room is never kept', () => {
    const size = renderPolicy(input({ preset: 'minimal' })).bytes?.length ?? 0;
    const c = counting(2 * (size + 1_000) + 500);
    const named = (user: string) => input({ preset: 'minimal', rules: [{ level: 'None', users: [user] }] });
    const small = (i: number) => named(`u${i}`);
    c.render(small(1));
    c.render(small(2));
    expect(c.count).toBe(2);
    // Asked for last, so it stays.
    c.render(small(1));
    expect(c.count).toBe(2);
    c.render(small(3));
    c.render(small(1));
    expect(c.count).toBe(3);
    c.render(small(2));
    expect(c.count).toBe(4);
    c.render(named('x'.repeat(4_000)));
    c.render(named('x'.repeat(4_000)));
    expect(c.count).toBe(6);
  });
});
