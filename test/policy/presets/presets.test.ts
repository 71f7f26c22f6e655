/** What every preset promises: it loads without a word on every version, says what it is, and explains each rule. */
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { NEWEST, OLDEST, minorNumber } from '../../../src/api/versions.ts';
import type { Minor } from '../../../src/api/versions.ts';
import { compilePolicy } from '../../../src/policy/evaluate.ts';
import { loadPolicy } from '../../../src/policy/load.ts';
import { PRESETS, PRESET_NAMES, isPresetName, presetPolicy, presetSource } from '../../../src/policy/presets.ts';

const MINORS = Array.from(
  { length: minorNumber(NEWEST) - minorNumber(OLDEST) + 1 },
  (_, i): Minor => `1.${minorNumber(OLDEST) + i}`,
);
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe.each(PRESETS)('the preset $name', (preset) => {
  it.each(MINORS)('loads strictly on %s, and means the same there', (version) => {
    const loaded = loadPolicy(bytes(preset.source), version);
    expect(loaded.findings).toEqual([]);
    expect(loaded.policy).toEqual(presetPolicy(preset.name));
  });

  it('says its name, version, summary and origin in its first lines', () => {
    expect(preset.source.split('\n').slice(0, 4)).toEqual([
      `# preset: ${preset.name}`,
      `# version: ${preset.version}`,
      `# summary: ${preset.summary}`,
      `# origin: ${preset.origin}`,
    ]);
    expect(preset.version).toBeGreaterThanOrEqual(1);
    expect(Number.isInteger(preset.version)).toBe(true);
  });

  it('has a comment before each rule', () => {
    const lines = preset.source.split('\n');
    const uncommented = lines.filter((l, i) => l.startsWith('  - level:') && !/^ {2}# \S/.test(lines[i - 1] ?? ''));
    expect(uncommented).toEqual([]);
    expect(lines.filter((l) => l.startsWith('  - level:'))).toHaveLength(presetPolicy(preset.name).rules.length);
  });

  it('uses no group that older versions refuse', () => {
    expect(presetPolicy(preset.name).rules.flatMap((r) => r.resources.map((g) => g.group))).not.toContain('*');
  });
});

describe('the presets', () => {
  it('are exactly the files that ship', () => {
    const files = readdirSync(`${import.meta.dirname}/../../../src/policy/presets`);
    expect(files.sort()).toEqual(PRESET_NAMES.map((n) => `${n}.yaml`).sort());
  });

  it('are found by name only', () => {
    expect(PRESET_NAMES.every(isPresetName)).toBe(true);
    expect(['', 'Metadata', 'constructor', 'toString'].some(isPresetName)).toBe(false);
    expect(presetSource('none')).toContain('level: None');
  });
});

describe('the preset balanced', () => {
  const { rules, omitStages } = presetPolicy('balanced');
  const dropping = rules.filter((r) => r.level === 'None');

  it('drops nothing for everyone: each None names who', () => {
    expect(dropping.length).toBeGreaterThan(5);
    expect(dropping.filter((r) => r.users.length === 0 && r.userGroups.length === 0)).toEqual([]);
  });

  it('drops nothing of anonymous callers but health probes', () => {
    const groups = ['system:unauthenticated', 'system:anonymous'];
    const anonymous = dropping.filter((r) => [...r.users, ...r.userGroups].some((w) => groups.includes(w)));
    expect(anonymous.map((r) => [r.verbs, r.nonResourceURLs])).toEqual([
      [['get'], ['/healthz', '/healthz/*', '/livez', '/livez/*', '/readyz', '/readyz/*']],
    ]);
  });

  it('keeps ResponseStarted and Panic everywhere: the first is all that refused credentials leave', () => {
    const omitted = new Set([...omitStages, ...rules.flatMap((r) => r.omitStages)]);
    expect([...omitted].sort()).toEqual(['RequestReceived', 'ResponseComplete']);
    expect(rules.filter((r) => r.omitStages.includes('ResponseComplete')).map((r) => r.verbs)).toEqual([
      ['watch'],
      ['watch'],
    ]);
  });
});

describe('the parameter systemNamespaces of basic', () => {
  const change = (who: 'alice' | 'account', namespace: string): string => {
    const groups = ['system:authenticated', ...(who === 'alice' ? [] : [`system:serviceaccounts:${namespace}`])];
    const policy = presetPolicy('basic', { systemNamespaces: ['infra', 'infra', 'd8-upmeter'] });
    const on = who === 'alice' ? namespace : 'shop';
    return compilePolicy(policy).decide({
      kind: 'Resource',
      ...{ user: who, groups, verb: 'update', group: '', version: 'v1', resource: 'configmaps', subresource: '' },
      ...{ namespace: on, name: 'x' },
    }).level;
  };

  it('replaces the namespaces of its file, for changes in them and by their service accounts', () => {
    expect(change('alice', 'infra')).toBe('Metadata');
    expect(change('account', 'infra')).toBe('Metadata');
    expect(change('alice', 'kube-system')).toBe('None');
    expect(change('account', 'kube-system')).toBe('None');
  });

  it('changes exactly two rules, and names each namespace once', () => {
    const before = presetPolicy('basic');
    const after = presetPolicy('basic', { systemNamespaces: ['infra', 'infra'] });
    const changed = after.rules.filter((r, i) => JSON.stringify(r) !== JSON.stringify(before.rules[i]));
    expect(changed.map((r) => [r.userGroups, r.namespaces])).toEqual([
      [['system:serviceaccounts:infra'], []],
      [[], ['infra']],
    ]);
  });

  it('drops both rules where it is empty, since an empty list would match everything', () => {
    const before = presetPolicy('basic');
    const after = presetPolicy('basic', { systemNamespaces: [] });
    expect(after.rules).toHaveLength(before.rules.length - 2);
    expect(after.rules.some((r) => r.namespaces.includes('kube-system'))).toBe(false);
  });

  it('names the same namespaces in both rules of the file', () => {
    const { rules } = presetPolicy('basic');
    const accounts = rules.find((r) => r.userGroups.includes('system:serviceaccounts:kube-system'))?.userGroups;
    const namespaces = rules.find((r) => r.namespaces.includes('kube-system'))?.namespaces;
    expect(accounts).toEqual(namespaces?.map((n) => `system:serviceaccounts:${n}`));
  });

  it('leaves the other presets as they are', () => {
    for (const name of PRESET_NAMES.filter((n) => n !== 'basic'))
      expect(presetPolicy(name, { systemNamespaces: ['infra'] })).toEqual(presetPolicy(name));
  });
});
