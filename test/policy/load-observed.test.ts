/**
 * What LoadPolicyFromBytes of k8s.io/apiserver 0.35.4 and 0.36.3 made of each document, recorded from both: the policy,
 * or that it was refused. `findings` are ours for it, code and path, errors first. One result stands for both versions
 * unless a case has one for each. The differential run (test/judge) asks the living ones.
 */
import { describe, expect, it } from 'vitest';
import type { Policy, Rule } from '../../src/api/audit.ts';
import type { Minor } from '../../src/api/versions.ts';
import { loadPolicy } from '../../src/policy/load.ts';
import observed from './load-observed.json' with { type: 'json' };

type Outcome = { readonly policy?: unknown; readonly refused?: boolean; readonly findings?: readonly string[] };
type Case = Outcome & {
  readonly name: string;
  readonly document: string;
  readonly '1.35'?: Outcome;
  readonly '1.36'?: Outcome;
};
const groups: readonly { readonly group: string; readonly cases: readonly Case[] }[] = observed;

const PLAIN = { rules: [{ level: 'Metadata' }] };

/** Only what is set, as the table has it. */
function set(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, v]) => v !== undefined && !(Array.isArray(v) && v.length === 0)),
  );
}

const ruleShown = (rule: Rule): unknown => set({ ...rule, resources: rule.resources.map((r) => set({ ...r })) });

const shown = (policy: Policy): unknown => ({
  rules: policy.rules.map(ruleShown),
  ...set({ omitStages: policy.omitStages, omitManagedFields: policy.omitManagedFields || undefined }),
});

function load(document: string, version: Minor): Outcome {
  const { policy, findings } = loadPolicy(new TextEncoder().encode(document), version);
  return {
    ...(policy === undefined ? { refused: true } : { policy: shown(policy) }),
    findings: findings.map((f) => (f.path === '' ? f.code : `${f.code} ${f.path}`)),
  };
}

function expected(c: Case, version: '1.35' | '1.36'): Outcome {
  const { policy, refused, findings = [] } = c[version] ?? c;
  return refused === true ? { refused, findings } : { policy: policy === 'plain' ? PLAIN : policy, findings };
}

describe.each(groups)('loads as the API server does: $group', ({ cases }) => {
  it.each(cases)('$name', (c) => {
    expect(load(c.document, '1.35')).toEqual(expected(c, '1.35'));
    expect(load(c.document, '1.36')).toEqual(expected(c, '1.36'));
  });
});
