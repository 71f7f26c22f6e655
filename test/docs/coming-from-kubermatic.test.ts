/** docs/coming-from-kubermatic.md: every field of theirs has a row, every field of ours that it names is there, and its YAML is taken. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { auditConfigSpec } from '../../src/api/auditconfig.ts';
import { structural } from '../../src/api/crd.ts';
import { datacenterAuditConfigSpec } from '../../src/api/datacenterauditconfig.ts';
import { parseDatacenter } from '../../src/config/parse.ts';
import { renderFile } from '../../src/render/file.ts';
import { codeIn, tablesOf } from './tables.ts';

const page = readFileSync(`${import.meta.dirname}/../../docs/coming-from-kubermatic.md`, 'utf8');
const [cluster, datacenter] = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map((m) => m[1] ?? '');
const [fields, beside, seed] = tablesOf('coming-from-kubermatic.md').map((t) => t.rows);

/** AuditLoggingSettings of kubermatic.k8c.io/v1, and what Seed and DatacenterSpec have of it. */
const OF_CLUSTER = [
  'enabled',
  'policyPreset',
  ...['', '.resources', '.config', '.config.service', '.config.filters', '.config.outputs', '.extraEnvs'].map(
    (f) => `sidecar${f}`,
  ),
  ...['', '.auditWebhookConfig', '.auditWebhookInitialBackoff'].map((f) => `webhookBackend${f}`),
];
const OF_SEED = [
  'spec.auditLogging',
  ...['', '.auditWebhookConfig', '.auditWebhookInitialBackoff'].map(
    (f) => `spec.datacenters.NAME.spec.enforcedAuditWebhookSettings${f}`,
  ),
  'spec.datacenters.NAME.spec.enforceAuditLogging',
];

type Schema = { readonly properties?: Readonly<Record<string, Schema>> };
const has = (schema: unknown, path: string): boolean =>
  path
    .split('.')
    .slice(1)
    .reduce<Schema | undefined>((s, key) => s?.properties?.[key], schema as Schema) !== undefined;

describe('docs/coming-from-kubermatic.md', () => {
  it('has a row for every field of theirs, and no other', () => {
    expect((fields ?? []).map((r) => codeIn(Object.values(r)[0])).sort()).toEqual([...OF_CLUSTER].sort());
    expect((seed ?? []).map((r) => codeIn(r['`Seed`'])).sort()).toEqual([...OF_SEED].sort());
  });

  it('names only fields that are there', () => {
    const [ours, theirs] = [structural(auditConfigSpec), structural(datacenterAuditConfigSpec)];
    const named = (rows: typeof fields): readonly string[] => (rows ?? []).map((r) => codeIn(r['here']));
    expect(named(fields).filter((path) => !has(ours, path))).toEqual([]);
    expect(named(seed).filter((path) => !has(theirs, path))).toEqual([]);
    const said = (beside ?? []).flatMap((r) => [...(r['here'] ?? '').matchAll(/`(spec\.[\w.]+)/g)].map((m) => m[1] ?? ''));
    expect(said.length).toBeGreaterThan(2);
    expect(said.filter((path) => !has(ours, path))).toEqual([]);
  });

  it('has examples that are taken without a word', () => {
    const { revision, shipping, findings } = renderFile(new TextEncoder().encode(cluster), ['1.36']);
    expect(findings).toEqual([]);
    expect([revision?.webhook, shipping].includes(undefined)).toBe(false);
    expect(parseDatacenter(parse(datacenter ?? '')).findings).toEqual([]);
  });
});
