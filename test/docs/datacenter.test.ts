/** docs/datacenter.md: every example is accepted, and what explain-config is shown to print is what it prints. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { FORBIDDABLE } from '../../src/api/datacenterauditconfig.ts';
import { runCli } from '../../src/cli/index.ts';
import { acceptDatacenter } from '../../src/rollout/accept-datacenter.ts';
import { referenceKey } from '../../src/rollout/facts.ts';
// A command is loaded when it is asked for: here, where no test's time limit counts.
import '../../src/cli/explain-config.ts';
import { IO } from '../cli/node-folder.ts';
import { WEBHOOK, holding } from '../render/inputs.ts';
import { SRC } from './codes.ts';

const page = readFileSync(join(SRC, '../docs/datacenter.md'), 'utf8');
const blocks = (language: string): readonly string[] =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))].map((m) => m[1] ?? '');
const yaml = blocks('yaml');
const kindOf = (text: string): string => (parse(text) as { kind: string }).kind;
const datacenters = yaml.filter((t) => kindOf(t) === 'DatacenterAuditConfig');

describe('docs/datacenter.md', () => {
  it('has examples of both kinds', () => {
    expect(yaml.map(kindOf)).toEqual(['DatacenterAuditConfig', 'AuditConfig', 'DatacenterAuditConfig']);
  });

  it.each(datacenters.map((t) => [(parse(t) as { metadata: { name: string } }).metadata.name, t]))('the datacenter %s is accepted', (name, text) => {
    const references = new Map([
      [referenceKey('Secret', 'auditconfig-system', 'audit-webhook-backend-secret'), holding({ 'webhook.yaml': WEBHOOK })],
    ]);
    const now = Date.parse('2026-11-21T00:00:00Z');
    const { verdict, findings } = acceptDatacenter({ name, object: parse(text), references, versions: ['1.36'], now });
    expect([verdict.status, findings]).toEqual(['True', []]);
  });

  it('explain-config prints what is shown, for the examples', async () => {
    const [shown = ''] = blocks('console');
    const [command = '', ...lines] = shown.split('\n');
    const files: Record<string, string> = {
      'auditconfig.yaml': yaml[1] ?? '',
      // Its exemption is for another namespace, whenever this runs.
      'datacenter.yaml': yaml[0] ?? '',
    };
    const io = { ...IO, readFile: (path: string) => Promise.resolve(new TextEncoder().encode(files[path])) };
    const { stdout } = await runCli(command.replace('$ auditconfig ', '').split(' '), io);
    expect(stdout).toBe(lines.join('\n'));
  });

  it('names everything that can be forbidden', () => {
    for (const word of FORBIDDABLE) expect(page).toContain(word);
  });
});
