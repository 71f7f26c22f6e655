/** docs/presets.md says what the code does: its two tables are read and held against the presets. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DETECTIONS, coverage } from '../../src/analysis/detections.ts';
import { presetRow } from '../../src/cli/presets.ts';
import type { RequestAttributes } from '../../src/api/audit.ts';
import { explain } from '../../src/policy/explain.ts';
import { PRESETS, PRESET_NAMES, isPresetName, presetPolicy } from '../../src/policy/presets.ts';
import { renderFile } from '../../src/render/file.ts';
import { percentOf, recordedEvents } from '../analysis/recorded.ts';

const page = readFileSync(`${import.meta.dirname}/../../docs/presets.md`, 'utf8');

/** Rows of the table whose first heading is `first`, as cells by heading, without backquotes. */
function table(first: string): Record<string, string>[] {
  const lines = page.split('\n');
  const from = lines.findIndex((l) => l.startsWith(`| ${first} |`));
  const length = lines.slice(from).findIndex((l) => !l.startsWith('|'));
  const cells = (l: string): string[] =>
    l
      .split('|')
      .slice(1, -1)
      .map((c) => c.trim().replaceAll('`', ''));
  const headings = cells(lines[from] ?? '');
  return lines
    .slice(from + 2, from + length)
    .map((l) => Object.fromEntries(cells(l).map((c, i) => [headings[i] ?? '', c])));
}

const recorded = recordedEvents();

describe('docs/presets.md', () => {
  it('lists every preset as the command does', () => {
    expect(table('preset')).toEqual(
      PRESETS.map((p) => ({ ...presetRow(p), name: p.name })).map((r) => ({
        preset: r.name,
        version: String(r.version),
        rules: String(r.rules),
        sees: `${r.detections.seen} of ${r.detections.of}`,
        bytes: `${Math.round(percentOf(presetPolicy(r.name), recorded))}%`,
        'leaks bodies of': r.leaks.length === 0 ? 'none' : r.leaks.join(', '),
        'what it is': r.summary,
      })),
    );
  });

  it('shows for each pattern which preset sees it', () => {
    const shown = PRESET_NAMES.filter((n) => n !== 'none');
    const seen = new Map(shown.map((n) => [n, coverage(presetPolicy(n))]));
    expect(table('pattern')).toEqual(
      DETECTIONS.map((d, i) => ({
        pattern: d.name,
        id: d.id,
        needs: d.level,
        ...Object.fromEntries(shown.map((n) => [n, seen.get(n)?.[i]?.seen === true ? 'yes' : '-'])),
      })),
    );
    expect(coverage(presetPolicy('none')).filter((c) => c.seen)).toEqual([]);
  });

  it('shows which preset sees what the CIS Benchmark asks for, and that the defaults keep the log as it asks', () => {
    const ask = (words: string): RequestAttributes => {
      const [verb = '', resource = '', group = ''] = words.split(' ');
      const [kind = '', subresource = ''] = resource.split('/');
      const who = { kind: 'Resource', user: 'alice', groups: ['system:authenticated'], version: 'v1' } as const;
      return { ...who, verb, group, resource: kind, subresource, namespace: 'x', name: 'y' };
    };
    const writes = (of: string): string[] => ['create', 'update', 'patch', 'delete'].map((v) => `${v} ${of}`);
    const asked: readonly (readonly string[])[] = [
      ['secrets', 'configmaps'].flatMap((r) => [`get ${r}`, `list ${r}`, ...writes(r)]),
      ['create tokenreviews authentication.k8s.io'],
      ['pods', 'deployments apps'].flatMap(writes),
      ['create pods/exec', 'get pods/exec', 'create pods/portforward', 'get pods/proxy', 'create services/proxy'],
      ['get ingresses networking.k8s.io', 'list nodes', 'create jobs batch', 'delete namespaces'],
    ];
    const rows = table('that');
    expect(rows).toHaveLength(asked.length);
    for (const name of PRESET_NAMES.filter((n) => n !== 'none')) {
      const policy = presetPolicy(name);
      const seen = asked.map((all) => all.every((words) => explain(policy, ask(words)).events.length > 0));
      expect([name, rows.map((r) => r[name])]).toEqual([name, seen.map((yes) => (yes ? 'yes' : '-'))]);
    }
    const text = 'apiVersion: auditconfig.dev/v1alpha1\nkind: AuditConfig\nmetadata: {name: x}\nspec: {target: {type: StaticPod}}\n';
    const flags = renderFile(new TextEncoder().encode(text), ['1.36']).revision?.flags ?? [];
    const value = (name: string): unknown => flags.find((f) => f.name === `--audit-log-${name}`)?.value;
    expect(['maxage', 'maxbackup', 'maxsize'].map(value)).toEqual(['30', '10', '100']);
  });

  it('says of omitted stages what the policies do', () => {
    const omits = (n: string): boolean => isPresetName(n) && presetPolicy(n).omitStages.includes('RequestReceived');
    expect(PRESET_NAMES.filter((n) => !omits(n))).toEqual(['metadata', 'basic', 'none']);
  });
});
