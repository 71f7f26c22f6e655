/** docs/coming-from-elsewhere.md: every flag of the log has a row, every field that is named is there, and its YAML is taken. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { auditConfigSpec } from '../../src/api/auditconfig.ts';
import { structural } from '../../src/api/crd.ts';
import { renderFile } from '../../src/render/file.ts';
import { codeIn, tablesOf } from './tables.ts';

const PAGE = 'coming-from-elsewhere.md';
const page = readFileSync(`${import.meta.dirname}/../../docs/${PAGE}`, 'utf8');
const example = /```yaml\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
const tables = tablesOf(PAGE);

type Schema = { readonly properties?: Readonly<Record<string, Schema>> };
const has = (path: string): boolean =>
  path
    .split('.')
    .slice(1)
    .reduce<Schema | undefined>((s, key) => s?.properties?.[key], structural(auditConfigSpec) as Schema) !== undefined;

describe(`docs/${PAGE}`, () => {
  it('names only fields that are there', () => {
    const named = [...page.matchAll(/`(spec\.(?!settings)[\w.]+)/g)].map((m) => m[1] ?? '');
    expect(named.length).toBeGreaterThan(25);
    expect(named.filter((path) => !has(path))).toEqual([]);
  });

  it('has a row for each flag of the policy and the log that is rendered', () => {
    const { revision, findings } = renderFile(new TextEncoder().encode(example), ['1.36']);
    expect(findings).toEqual([]);
    const rows = tables.filter((t) => t.section === 'Flags set by hand').flatMap((t) => t.rows);
    const said = rows.map((r) => codeIn(r['flag']));
    const rendered = revision?.flags.map((f): string => f.name) ?? [];
    expect(rendered.length).toBeGreaterThan(10);
    expect(rendered.filter((f) => !said.includes(f))).toEqual(['--audit-log-version']);
  });

  it("has DC/OS's defaults", () => {
    const rows = tables.filter((t) => t.section === 'DC/OS').flatMap((t) => t.rows);
    const text = example.replace(/retention: .*/, 'retention: {}');
    const flags = renderFile(new TextEncoder().encode(text), ['1.36']).revision?.flags ?? [];
    const value = (name: string): unknown => flags.find((f) => f.name === `--audit-log-${name}`)?.value;
    const told = new Map(rows.map((r) => [codeIn(Object.values(r)[0]), r['what is different']]));
    expect(told.get('log_maxage')).toBe(value('maxage'));
    expect(told.get('log_maxbackup')).toBe(value('maxbackup'));
    expect(told.get('log_maxsize')).toBe(`${String(value('maxsize'))}Mi`);
  });
});
