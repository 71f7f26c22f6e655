/** `npm run generate`: what is made from sources and committed. test/api/crds.test.ts fails where it drifts. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { customResourceDefinitions } from '../../src/api/crd.ts';

/** File names below the repository's root, and what belongs there. */
export const generated = (): readonly { readonly path: string; readonly text: string }[] =>
  customResourceDefinitions().map(({ file, manifest }) => ({
    path: `crds/${file}`,
    text: `# Generated from src/api by \`npm run generate\`. Do not edit.\n${stringify(manifest, { lineWidth: 120, aliasDuplicateObjects: false })}`,
  }));

export function generate(root: string): void {
  for (const { path, text } of generated()) writeFileSync(join(root, path), text);
}
