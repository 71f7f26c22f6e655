/** docs/targets.md names files, options and defaults; they are held against the sources. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseAgentArgs } from '../../src/agent/options.ts';
import { DEFAULT_UNIT, NODE_TARGETS } from '../../src/api/auditconfig-target.ts';
import { MANIFEST, rancherPlace } from '../../src/node/place.ts';
import { DEFAULT_LAYOUT } from '../../src/targets/host-layout.ts';
import { OWNER_KINDS } from '../../src/targets/owners/types.ts';
import { tablesOf } from './tables.ts';

const ROOT = join(import.meta.dirname, '../..');
const page = readFileSync(join(ROOT, 'docs/targets.md'), 'utf8');
const service = readFileSync(join(ROOT, 'deploy/systemd/auditconfig-agent.service'), 'utf8');
const [kinds = { rows: [] }, owners = { rows: [] }, tested = { rows: [] }] = tablesOf('targets.md');

describe('docs/targets.md', () => {
  it('has a column, and a row on how it is tested, for each kind of node', () => {
    expect(Object.keys(kinds.rows[0] ?? {}).filter((k) => k !== '')).toEqual(NODE_TARGETS.map((t) => `\`${t}\``));
    expect(tested.rows.map((r) => r[''])).toEqual(NODE_TARGETS.map((t) => `\`${t}\``));
  });

  it("has a row for each owner's API, and names its component", () => {
    expect(owners.rows.map((r) => r['type'])).toEqual(OWNER_KINDS.map((k) => `\`${k}\``));
    for (const kind of OWNER_KINDS)
      expect(owners.rows.map((r) => r['component'])).toContain(`\`deploy/owners/${kind.toLowerCase()}s\``);
  });

  it('names the files that are written', () => {
    const files = (['K3s', 'RKE2'] as const).map((k) => rancherPlace(k, DEFAULT_LAYOUT).manifest);
    for (const path of [MANIFEST, ...files, DEFAULT_UNIT, DEFAULT_LAYOUT.revisionsDir, DEFAULT_LAYOUT.stateDir])
      expect(page).toContain(path);
  });

  it('shows settings of the agent with which the shipped unit starts it', () => {
    const shown = [...page.matchAll(/^([A-Z_]+)=(.*)$/gm)].map((m) => [m[1] ?? '', m[2] ?? ''] as const);
    const env = Object.fromEntries(shown);
    for (const [name] of shown) expect(service).toContain(`${name}=`);
    const args = (/^ExecStart=\S+ agent (.*)$/m.exec(service)?.[1] ?? '').replace(/\$\{(\w+)\}/g, (_, n: string) => env[n] ?? '');
    const options = parseAgentArgs(args.split(' '), env, '0.0.0');
    expect(options).toMatchObject({ nodeName: 'cp-1', place: { kind: 'Systemd', unit: DEFAULT_UNIT } });
  });
});
