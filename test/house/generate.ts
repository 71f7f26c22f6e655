/** `npm run generate`: what is made from sources and committed. committed.test.ts fails where it drifts. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { datacenterAdmission } from '../../src/api/datacenter-admission.ts';
import { customResourceDefinitions } from '../../src/api/crd.ts';

/** File names below the repository's root, and what belongs there. */
export const generated = (): readonly { readonly path: string; readonly text: string }[] => [
  ...customResourceDefinitions().map(({ file, manifest }) => ({ path: `crds/${file}`, text: textOf(manifest) })),
  { path: 'deploy/controller/datacenter-admission.yaml', text: textOf(...datacenterAdmission()) },
];

const textOf = (...objects: readonly object[]): string => {
  const documents = objects.map((o) => stringify(o, { lineWidth: 120, aliasDuplicateObjects: false }));
  return `# Generated from src/api by \`npm run generate\`. Do not edit.\n${documents.join('---\n')}`;
};

export function generate(root: string): void {
  for (const { path, text } of generated()) writeFileSync(join(root, path), text);
}
