/** AuditConfigs in files: every finding has its place in the file, whichever document it is about. */
import { readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Finding } from '../../src/api/findings.ts';
import { pathKeys } from '../../src/render/documents.ts';
import { loadAuditConfigFile, renderFile } from '../../src/render/file.ts';
import { bytes, revisionOf, text } from './inputs.ts';

const HEAD = `apiVersion: auditconfig.dev/v1alpha1
kind: AuditConfig
metadata:
  name: a
  namespace: ns
spec:
  target: {type: StaticPod}
`;
const REFERRING = `${HEAD}  policy: {configMapRef: {name: p}}
`;
const at = (f: Finding | undefined): [string, number, number] | undefined =>
  f === undefined ? undefined : [f.code, f.at?.line ?? 0, f.at?.column ?? 0];
const findings = (file: string): readonly Finding[] => renderFile(bytes(file), ['1.36']).findings;
const errors = (file: string) =>
  findings(file)
    .filter((f) => f.severity === 'error')
    .map(at);

describe('a file', () => {
  it('with a right AuditConfig has no findings', () => {
    expect(findings(HEAD)).toEqual([]);
    expect(renderFile(bytes(HEAD), ['1.36'])).toMatchObject({ config: { metadata: { name: 'a' } } });
  });

  it.each<[string, string, [string, number, number]]>([
    ['a misspelled field', `${HEAD}  polcy: {}\n`, ['FieldUnknown', 8, 3]],
    ['a wrong value', `${HEAD}  policy:\n    preset: recommend\n`, ['FieldUnsupportedValue', 9, 5]],
    ['a missing field, at its parent', `${HEAD}  policy:\n    rules:\n    - users: [é, b]\n`, ['FieldRequired', 10, 7]],
    ['a broken rule', `${HEAD}  policy: {configMapRef: {name: a}, secretRef: {name: b}}\n`, ['FieldInvalid', 8, 3]],
    [
      'a column behind letters that are wider than a byte',
      `${HEAD}  policy: {rules: [{users: [é😀], level: X}]}\n`,
      ['FieldUnsupportedValue', 8, 34],
    ],
    [
      'a field that is not supported yet',
      `${HEAD}  webhook: {mode: Blocking, secretRef: {name: a}}\n`,
      ['Unsupported', 8, 13],
    ],
    ['a target of a later release', HEAD.replace('StaticPod', 'LaterKind'), ['FieldUnsupportedValue', 7, 12]],
    ['a field that stands twice', `${HEAD}  state: Enabled\n  state: Disabled\n`, ['FieldDuplicate', 9, 3]],
    ['what is no YAML', `${HEAD}  a: b: c\n`, ['FileNotYaml', 8, 6]],
    ['a document that is no map', '- a\n', ['DocumentNotAMap', 1, 1]],
    ['a reference that is not there', REFERRING, ['ReferenceNotFound', 8, 12]],
    ['a setting that does nothing', `${HEAD}  log: {type: None}\n`, ['NoBackend', 8, 9]],
    [
      'an own rule that does not load',
      `${HEAD}  policy:\n    rules:\n    - level: None\n    - level: None\n      resources: [{group: -a}]\n`,
      ['ResourceGroupInvalid', 12, 20],
    ],
  ])('names the place of %s', (_name, file, expected) => {
    const [code, line, column] = errors(file)[0] ?? [];
    expect([line, column]).toEqual(expected.slice(1));
    if (expected[0] !== 'ResourceGroupInvalid') expect(code).toBe(expected[0]);
    expect(renderFile(bytes(file), ['1.36']).revision).toBeUndefined();
  });

  it.each([
    '*hunter2',
    '>hunter2',
    '| hunter2',
    '"hunter2\\q"',
    '`hunter2',
    '!hunter2! x',
    '{*hunter2 : x}',
    '"a" hunter2',
  ])('repeats nothing of a Secret whose value %s is no YAML', (value) => {
    const secret = `---\napiVersion: v1\nkind: Secret\nmetadata: {name: p, namespace: ns}\nstringData:\n  k: ${value}\n`;
    const found = [...findings(HEAD + secret), ...findings(`${secret}${HEAD.replace('api', '---\napi')}`)];
    expect(found.filter((f) => f.severity === 'error').length).toBeGreaterThan(0);
    expect(JSON.stringify(found)).not.toContain('hunter2');
  });

  it('suggests the field and the value that were meant', () => {
    expect(findings(`${HEAD}  polcy: {}\n`)[0]?.message).toContain('did you mean "policy"');
    expect(findings(`${HEAD}  policy: {rules: [{levl: None}]}\n`)[0]?.message).toContain('level');
    expect(findings(`${HEAD}  policy: {preset: recomended}\n`)[0]?.message).toContain('did you mean "recommended"');
  });

  it('places a finding in a literal block of a ConfigMap at its line of the file', () => {
    const file = `${REFERRING}---
apiVersion: v1
kind: ConfigMap
metadata: {name: p, namespace: ns}
data:
  other: x
  policy.yaml: |
    apiVersion: audit.k8s.io/v1
    kind: Policy
    rules:
    - level: Reqest
`;
    expect(errors(file).map((e) => e?.slice(1))).toEqual([[19, 14]]);
    expect(file.split('\n')[18]?.slice(13)).toBe('Reqest');
    expect(findings(file)[0]?.message).toContain('line 4, column 10');
  });

  it('places it at the key where the text is not there line by line', () => {
    const file = `${REFERRING}---
kind: ConfigMap
metadata: {name: p, namespace: ns}
data: {policy.yaml: "apiVersion: audit.k8s.io/v1\\nkind: Policy\\nrules: [{level: X}]"}
`;
    expect(errors(file).map((e) => e?.slice(1))).toEqual([[12, 8]]);
  });

  it('reads Secrets as an API server stores them, and shows nothing of them', () => {
    const encoded = Buffer.from('apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: CANARY}]').toString(
      'base64',
    );
    const secret = (data: string): string => `${HEAD}  policy: {secretRef: {name: p}}
---
kind: Secret
metadata: {name: p, namespace: ns}
${data}
`;
    const broken = findings(secret(`data: {policy.yaml: ${encoded}}`));
    expect(
      broken
        .filter((f) => f.severity === 'error')
        .map(at)
        .map((e) => e?.slice(1)),
    ).toEqual([[12, 8]]);
    expect(JSON.stringify(broken)).not.toContain('CANARY');
    const good = '"apiVersion: audit.k8s.io/v1\\nkind: Policy\\nrules: [{level: None}]"';
    const wins = renderFile(bytes(secret(`data: {policy.yaml: ${encoded}}\nstringData: {policy.yaml: ${good}}`)), [
      '1.36',
    ]);
    expect(wins.revision?.confidential).toBe(true);
    expect(errors(secret('data: {policy.yaml: "%"}'))).toEqual([['ReferenceUnreadable', 8, 12]]);
  });

  it('reads what kubectl prints for several objects', () => {
    const list = `apiVersion: v1
kind: List
items:
- apiVersion: auditconfig.dev/v1alpha1
  kind: AuditConfig
  metadata: {name: a, namespace: ns, uid: u, generation: 3, managedFields: [{manager: x}]}
  spec:
    target: {type: StaticPod}
    policy: {configMapRef: {name: p}}
  status: {observedGeneration: 3}
- kind: ConfigMap
  metadata: {name: p, namespace: ns}
  data:
    policy.yaml: |
      apiVersion: audit.k8s.io/v1
      kind: Policy
      rules:
      - level: Metadata
`;
    expect(findings(list)).toEqual([]);
    expect(renderFile(bytes(list), ['1.36']).revision).toBeDefined();
    expect(errors(list.replace('level: Metadata', 'level: X')).map((e) => e?.slice(1))).toEqual([[18, 16]]);
    expect(errors(list.replace('type: StaticPod', 'type: X')).map((e) => e?.slice(1))).toEqual([[8, 14]]);
  });

  it('does not take an object of another namespace', () => {
    const file = `${REFERRING}---\nkind: ConfigMap\nmetadata: {name: p, namespace: other}\ndata: {policy.yaml: x}\n`;
    expect(errors(file).map((e) => e?.[0])).toEqual(['ReferenceNotFound']);
  });

  it('says what it does not look at, and what is missing', () => {
    expect(findings(`${HEAD}---\nkind: Pod\n`).map((f) => [f.severity, f.code])).toEqual([['info', 'DocumentIgnored']]);
    expect(errors('kind: Pod\n')).toEqual([['NoAuditConfig', 0, 0]]);
    expect(errors('')).toEqual([['NoAuditConfig', 0, 0]]);
    expect(errors(`${HEAD}---\n${HEAD}`).map((e) => e?.[0])).toEqual(['SeveralAuditConfigs']);
    expect(loadAuditConfigFile(bytes(`${HEAD}---\n${HEAD}`)).documents).toHaveLength(2);
  });

  it('is refused when it is no text, too large, or a bomb of aliases', () => {
    const codes = (data: Uint8Array): string[] => renderFile(data, ['1.36']).findings.map((f) => f.code);
    expect(codes(Uint8Array.from([0xff, 0xfe, 0x41]))).toEqual(['FileNotText']);
    expect(codes(new Uint8Array(5 * 2 ** 20))).toEqual(['FileTooLarge']);
    const bomb = ['a: &a [x,x,x,x,x,x,x,x,x,x]', ...'bcdefgh'.split('').map((c, i) => {
      const before = 'abcdefg'[i];
      return `${c}: &${c} [${Array.from({ length: 10 }, () => `*${before}`).join(',')}]`;
    })].join('\n'); // prettier-ignore
    expect(codes(bytes(bomb))).toContain('DocumentNotAMap');
  });

  it('reads dates as strings, and yes and no as booleans, as Kubernetes does', () => {
    const dated = HEAD.replace('  name: a\n', '  name: a\n  creationTimestamp: 2026-11-21T09:00:00Z\n');
    expect(findings(dated)).toEqual([]);
    expect(findings(`${HEAD}  rollout: {paused: yes}\n`)).toEqual([]);
  });
});

describe('paths', () => {
  it.each([
    ['spec.policy.rules[0].level', ['spec', 'policy', 'rules', 0, 'level']],
    ['data[policy.yaml]', ['data', 'policy.yaml']],
    ['', []],
  ])('%s', (path, keys) => {
    expect(pathKeys(path)).toEqual(keys);
  });
});

describe('the samples of deploy/', () => {
  const dir = resolve(import.meta.dirname, '../../deploy/samples');
  const samples = readdirSync(dir).filter((f) => f.endsWith('.yaml') && f !== 'kustomization.yaml');

  it('are there', () => {
    expect(samples.length).toBeGreaterThan(5);
  });

  it.each(samples)('%s renders for every supported version, without a finding of load or lint', (sample) => {
    const {
      revision,
      findings: found,
      effective,
    } = renderFile(readFileSync(join(dir, sample)), ['1.26', '1.35', '1.36']);
    expect(found).toEqual([]);
    if (effective?.spec.state === 'Disabled') expect(revision).toBeUndefined();
    else
      expect(text(revisionOf({ ...(revision && { revision }), findings: found }).policy)).toContain('kind: "Policy"');
  });
});
