/** The comparison itself: each kind of difference is seen, and agreement is none. The judge's answers are made up here. */
import { describe, expect, it } from 'vitest';
import type { Decision, Policy, Rule, Stage } from '../../src/api/audit.ts';
import type { Finding } from '../../src/api/findings.ts';
import type { Difference, Engine } from './disagreement.ts';
import { difference, loadOurs } from './disagreement.ts';
import type { Verdict } from './judge.ts';
import type { RequestLine } from './requests.ts';

const EMPTY: readonly string[] = [];
const RULE: Rule = {
  ...{ level: 'Metadata', users: EMPTY, userGroups: EMPTY, verbs: EMPTY, resources: [], namespaces: EMPTY },
  ...{ nonResourceURLs: EMPTY, omitStages: [] as readonly Stage[] },
};
const POLICY: Policy = { rules: [RULE], omitStages: ['Panic'], omitManagedFields: false };
const DECISION: Decision = { level: 'Metadata', rule: 0, omitStages: ['Panic'], omitManagedFields: false };
const LINE: RequestLine = { user: 'a', nonResourceAttributes: { path: '/', verb: 'get' } };
const AGREES: Verdict = { policy: POLICY, decisions: [DECISION] };

const warning = (code: string, path: string): Finding => ({ severity: 'warning', code, message: '', path });

function engine(parts: { policy?: Policy; findings?: Finding[]; decision?: Decision }): Engine {
  const { policy, findings = [] } = parts;
  return {
    load: () => (policy === undefined ? { findings } : { policy, findings }),
    compile: () => ({ decide: () => parts.decision ?? DECISION }),
    parse: () => ({ kind: 'NonResource', groups: [], verb: 'get', path: '/' }),
  };
}

function found(parts: Parameters<typeof engine>[0], theirs: Verdict): Difference | undefined {
  const e = engine(parts);
  return difference(e, loadOurs(e, new Uint8Array(), '1.36'), theirs, [LINE]);
}

describe('a comparison with the judge', () => {
  it('finds nothing where both say the same', () => {
    expect(found({ policy: POLICY }, AGREES)).toBeUndefined();
    expect(found({}, { error: 'no' })).toBeUndefined();
  });

  it('finds a policy that only we accept, and one that only we refuse', () => {
    expect(found({ policy: POLICY }, { error: 'no' })?.kind).toBe('AcceptedByUs');
    expect(found({}, AGREES)?.kind).toBe('RefusedByUs');
  });

  it('finds an engine that throws, when loading and when deciding', () => {
    const throws = (): never => {
      throw new Error('bug');
    };
    const loads: Engine = { ...engine({}), load: throws };
    expect(difference(loads, loadOurs(loads, new Uint8Array(), '1.36'), { error: 'no' }, [])?.kind).toBe('Threw');
    const compiles: Engine = { ...engine({ policy: POLICY }), compile: throws };
    expect(difference(compiles, loadOurs(compiles, new Uint8Array(), '1.36'), AGREES, [LINE])?.kind).toBe('Threw');
  });

  it.each([
    ['a rule', { ...POLICY, rules: [{ ...RULE, verbs: ['get'] }] }],
    ['a stage', { ...POLICY, omitStages: [] }],
    ['managed fields', { ...POLICY, omitManagedFields: true }],
    ['managed fields of a rule that are set', { ...POLICY, rules: [{ ...RULE, omitManagedFields: false }] }],
  ])('finds a policy that differs in %s', (_, policy) => {
    expect(found({ policy }, AGREES)?.kind).toBe('Policy');
  });

  it.each([
    ['level', { ...DECISION, level: 'None' }],
    ['rule', { ...DECISION, rule: null }],
    ['stages', { ...DECISION, omitStages: [] }],
    ['managed fields', { ...DECISION, omitManagedFields: true }],
  ] satisfies [string, Decision][])('finds a decision that differs in its %s, and names the request', (_, decision) => {
    expect(found({ policy: POLICY, decision }, AGREES)).toMatchObject({ kind: 'Decision', request: LINE });
  });

  it('finds a missing answer', () => {
    expect(found({ policy: POLICY }, { policy: POLICY, decisions: [] })?.kind).toBe('Decision');
  });

  const unknown = { ...AGREES, warnings: ['unknown field "rules[0].f\\"oo"'] };
  const json = { ...AGREES, warnings: ['duplicate field "rules[0].level"'] };
  const yaml = {
    ...AGREES,
    warnings: ['yaml: unmarshal errors:\n  line 3: key "level" already set in map\n  line 4: key 1 already set in map'],
  };
  const both = [warning('DuplicateField', 'rules[0].level'), warning('DuplicateField', 'x.1')];

  it('finds no difference between warnings that say the same', () => {
    expect(found({ policy: POLICY, findings: [warning('UnknownField', 'rules[0].f"oo')] }, unknown)).toBeUndefined();
    expect(found({ policy: POLICY, findings: [warning('DuplicateField', 'rules[0].level')] }, json)).toBeUndefined();
    expect(found({ policy: POLICY, findings: both }, yaml)).toBeUndefined();
  });

  it.each([
    ['an unknown field that we miss', [], unknown],
    ['an unknown field that only we see', [warning('UnknownField', 'a')], AGREES],
    ['an unknown field elsewhere', [warning('UnknownField', 'rules[1].f"oo')], unknown],
    ['a duplicate in JSON that we miss', [], json],
    ['a duplicate in JSON elsewhere', [warning('DuplicateField', 'rules[1].level')], json],
    ['a duplicate in YAML that we miss', [], yaml],
    ['a duplicate in YAML of another key', [warning('DuplicateField', 'rules[0].users')], yaml],
    ['a duplicate that only we see', [warning('DuplicateField', 'rules[0].users')], AGREES],
  ])('finds %s', (_, findings, theirs) => {
    expect(found({ policy: POLICY, findings }, theirs)?.kind).toBe('Warnings');
  });
});
