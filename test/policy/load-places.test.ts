/** Findings say where: code, field path, line and column; and what was meant, for words that are nearly right. */
import { describe, expect, it } from 'vitest';
import { loadForVersions, loadPolicy } from '../../src/policy/load.ts';

const load = (text: string): ReturnType<typeof loadPolicy> => loadPolicy(new TextEncoder().encode(text), '1.36');
const HEAD = 'apiVersion: audit.k8s.io/v1\nkind: Policy\n';

describe('findings', () => {
  it.each([
    ['a misspelled level at its value', '- level: Metdata\n', 'LevelUnknown', 'rules[0].level', 4, 10, 'Metadata'],
    [
      'a stage of another document',
      '- level: None\n  omitStages:\n  - ResponseCompleted\n',
      'StageUnknown',
      'rules[0].omitStages[0]',
      6,
      5,
      'ResponseComplete',
    ],
    ['a misspelled field at its key', '- level: None\n  verb: [get]\n', 'UnknownField', 'rules[0].verb', 5, 3, 'verbs'],
    ['a field in the wrong case', '- level: None\n  Users: [a]\n', 'UnknownField', 'rules[0].Users', 5, 3, 'users'],
    [
      'a deep field',
      '- level: None\n  resources: [{groups: ""}]\n',
      'UnknownField',
      'rules[0].resources[0].groups',
      5,
      16,
      'group',
    ],
  ])('name %s', (...[, rules, code, path, line, column, meant]) => {
    const [finding] = load(`${HEAD}rules:\n${rules}`).findings;
    expect(finding).toMatchObject({ code, path, at: { line, column } });
    expect(finding?.message).toContain(`did you mean "${meant}"?`);
  });

  it.each([
    ['a missing level at its rule', '- level: None\n- users: [a]\n', 'LevelRequired', 'rules[1].level', 5, 3],
    ['a wrong type at its value', '- level: None\n  users: [a, 5]\n', 'TypeMismatch', 'rules[0].users[1]', 5, 14],
    ['a duplicate at its second key', '- level: None\n  level: None\n', 'DuplicateField', 'rules[0].level', 5, 3],
    [
      'a bad URL at itself',
      '- level: None\n  nonResourceURLs:\n  - /a\n  - b\n',
      'NonResourceURLInvalid',
      'rules[0].nonResourceURLs[1]',
      7,
      5,
    ],
    [
      'a bad group at itself',
      '- level: None\n  resources:\n  - group: ""\n  - group: A\n',
      'GroupInvalid',
      'rules[0].resources[1].group',
      7,
      12,
    ],
    [
      'names without resources at their key',
      '- level: None\n  resources:\n  - group: ""\n    resourceNames: [a]\n',
      'ResourceNamesWithoutResources',
      'rules[0].resources[0].resourceNames',
      7,
      5,
    ],
  ])('place %s', (...[, rules, code, path, line, column]) => {
    const { findings } = load(`${HEAD}rules:\n${rules}`);
    expect(findings).toMatchObject([{ code, path, at: { line, column } }]);
  });

  it('stand in JSON as they do in YAML', () => {
    const json =
      '{"apiVersion":"audit.k8s.io/v1","kind":"Policy",\n "rules":[{"level":"é"},\n  {"é":1,  "level":"None"}]}';
    expect(load(json).findings).toMatchObject([
      { code: 'LevelUnknown', path: 'rules[0].level', at: { line: 2, column: 20, offset: 68 } },
      { code: 'UnknownField', path: 'rules[1].é', at: { line: 3, column: 4 } },
    ]);
  });

  it('come with errors first, all of one kind at once', () => {
    const { findings } = load(
      `${HEAD}foo: 1\nomitStages: [x]\nrules: [{level: z}, {level: None, nonResourceURLs: [a]}]\n`,
    );
    expect(findings.map((f) => f.severity)).toEqual(['error', 'error', 'error', 'warning']);
  });

  it.each(['', '- a', 'kind: Policy', HEAD, `${HEAD}rules: []`, 'k8s\0', '{', 'a: [', `${HEAD}rules: [null]`, '\0'])(
    'always have a line and a column: %j',
    (text) => {
      const { findings } = load(text);
      expect(findings.length).toBeGreaterThan(0);
      for (const { at } of findings)
        expect(at).toMatchObject({ line: expect.any(Number) as unknown, column: expect.any(Number) as unknown });
    },
  );

  it('keep the sentence of the API server', () => {
    const { findings } = load(`${HEAD}rules: [{level: None, users: [1]}]\n`);
    expect(findings[0]?.message).toBe(
      'json: cannot unmarshal number into Go struct field PolicyRule.rules.users of type string',
    );
  });
});

describe('positions', () => {
  it('hold every field, item and rule by path', () => {
    const { positions } = load(
      `${HEAD}omitStages: [Panic]\nrules:\n- level: None\n  resources:\n  - group: apps\n    resources: [pods]\n`,
    );
    const lines = [...positions].map(([path, at]) => `${path} ${at.line}:${at.column}`);
    expect(lines).toEqual([
      ' 1:1',
      'apiVersion 1:13',
      'kind 2:7',
      'omitStages 3:1',
      'omitStages[0] 3:14',
      'rules 4:1',
      'rules[0] 5:3',
      'rules[0].level 5:10',
      'rules[0].resources 6:3',
      'rules[0].resources[0] 7:5',
      'rules[0].resources[0].group 7:12',
      'rules[0].resources[0].resources 8:5',
      'rules[0].resources[0].resources[0] 8:17',
    ]);
  });

  it('of what comes through an alias are where it stands', () => {
    const { positions } = load(`x: &x [a, b]\n${HEAD}rules:\n- level: None\n  users: *x\n  verbs: *x\n`);
    expect(positions.get('rules[0].verbs')).toMatchObject({ line: 7, column: 3 });
    expect(positions.get('rules[0].verbs[1]')).toMatchObject({ line: 1, column: 11 });
  });
});

describe('hostile policies', () => {
  it.each([
    ['deep YAML', '['.repeat(50_000)],
    ['deep JSON', '{"rules":'.repeat(50_000)],
    ['a megabyte of digits', `${HEAD}rules: [{level: None}]\nmetadata: {generation: ${'9'.repeat(100_000)}}\n`],
    ['a long group', `${HEAD}rules: [{level: None, resources: [{group: ${'a-'.repeat(50_000)}}]}]\n`],
    ['a long field name', `${HEAD}rules: [{level: None}]\n${'k'.repeat(1000)}: x\n`],
  ])('end in findings: %s', (_name, text) => {
    expect(load(text).findings).not.toEqual([]);
  });
});

describe('a policy that is larger than anyone would write', () => {
  it('is refused before it is read', () => {
    const bytes = new Uint8Array(16 * 1024 * 1024 + 1).fill(0x23);
    expect(loadPolicy(bytes, '1.36').findings.map((f) => f.code)).toEqual(['PolicyFileTooLarge']);
  });
});

describe('several versions', () => {
  it('are asked about bytes that are read once, and each has its own answer', () => {
    const one = new TextEncoder().encode(
      'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata, resources: [{group: "*"}]}]\n',
    );
    const all = loadForVersions(one, ['1.35', '1.36', '1.37']);
    expect(all).toEqual((['1.35', '1.36', '1.37'] as const).map((v) => loadPolicy(one, v)));
    expect(all.map((l) => l.findings.map((f) => f.code))).toEqual([['GroupWildcardUnsupported'], [], []]);
    // What was read twice would be two objects.
    expect(all[2]?.policy).toBe(all[1]?.policy);
    expect(all[0]?.positions).toBe(all[1]?.positions);
  });
});
