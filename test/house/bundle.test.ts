/** What the bundle is told about itself. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, it } from 'vitest';
import { definesOf } from './build.mjs';

it('the package needs nothing installed beside it: what it runs on is bundled', () => {
  const root = resolve(import.meta.dirname, '../..');
  const read = JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8')) as Record<string, unknown>;
  const wants = ['dependencies', 'optionalDependencies', 'peerDependencies'].filter((key) => key in read);
  expect(wants).toEqual([]);
});

it('the bundle says the version of package.json, whoever builds it', () => {
  const root = resolve(import.meta.dirname, '../..');
  const { version } = JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8')) as { version: string };
  expect(definesOf(root)).toEqual({ __VERSION__: JSON.stringify(version) });
});
