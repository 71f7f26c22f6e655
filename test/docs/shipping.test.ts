/** docs/shipping.md: its examples are taken without a word, and what it says of defaults and of datacenters is so. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { parseDatacenter } from '../../src/config/parse.ts';
import { renderFile } from '../../src/render/file.ts';
import { RESTRICTED } from '../../src/render/shipping/plugins.ts';
import { configOf } from '../render/shipping/spec.ts';

const page = readFileSync(`${import.meta.dirname}/../../docs/shipping.md`, 'utf8');
const examples = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map((m) => m[1] ?? '');
const ofKind = (kind: string): readonly string[] => examples.filter((e) => e.includes(`kind: ${kind}\n`));

describe('docs/shipping.md', () => {
  it('has examples that are accepted without a word', () => {
    expect(ofKind('AuditConfig').length).toBeGreaterThan(0);
    for (const text of ofKind('AuditConfig')) {
      const { shipping, findings } = renderFile(new TextEncoder().encode(text), ['1.36']);
      expect(findings).toEqual([]);
      expect(shipping).toBeDefined();
    }
    expect(ofKind('DatacenterAuditConfig').map((t) => parseDatacenter(parse(t)).findings)).toEqual([[]]);
  });

  it('says what is there without being said', () => {
    const text = configOf({});
    for (const said of ['512M', '10M', 'stageTimestamp', 'cluster_id']) {
      expect(page).toContain(said);
      expect(text).toContain(said);
    }
  });

  it('names what only a datacenter sets', () => {
    const section = /## What only a datacenter sets\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
    const known = [...RESTRICTED.filters, ...RESTRICTED.outputs, ...RESTRICTED.service];
    // Plugins that no fluent-bit for audit logs has, and two ways to say a thing.
    const unsaid = ['exec_wasi', 'tensorflow', 'hot_reload', 'enable_chunk_trace'];
    expect(known.filter((k) => !unsaid.includes(k) && !section.includes(`\`${k}\``))).toEqual([]);
  });
});
