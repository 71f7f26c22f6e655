/** docs/kubectl.md explains every printer column of the CRDs, in their order, and the short names are theirs. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { SRC } from './codes.ts';
import { codeIn, tablesOf } from './tables.ts';

type Crd = {
  readonly spec: {
    readonly names: { readonly kind: string; readonly shortNames: readonly string[]; readonly categories: readonly string[] };
    readonly versions: readonly {
      readonly additionalPrinterColumns: readonly { readonly name: string; readonly priority?: number }[];
    }[];
  };
};
const CRDS = join(SRC, '../crds');
const crds = readdirSync(CRDS)
  .filter((f) => f.startsWith('auditconfig.dev_'))
  .map((f) => parse(readFileSync(join(CRDS, f), 'utf8')) as Crd);
const tables = tablesOf('kubectl.md');

describe('docs/kubectl.md', () => {
  it('has a section for each kind, with its short name', () => {
    const names = crds.map(({ spec: { names: n } }) => `${n.kind} (${n.shortNames.join(', ')})`);
    expect(tables.map((t) => t.section).sort()).toEqual(names.sort());
    expect(crds.map((c) => c.spec.names.categories)).toEqual(crds.map(() => ['audit']));
  });

  it.each(crds.map((c) => [c.spec.names.kind, c] as const))('explains the columns of %s in their order', (kind, crd) => {
    const rows = tables.find((t) => t.section.startsWith(`${kind} `))?.rows ?? [];
    const told = rows.map((r) => [codeIn(r['column']), (r['what it says'] ?? '').endsWith('Wide.')]);
    const columns = crd.spec.versions[0]?.additionalPrinterColumns ?? [];
    expect(told).toEqual(columns.map((c) => [c.name.toUpperCase(), c.priority === 1]));
  });
});
