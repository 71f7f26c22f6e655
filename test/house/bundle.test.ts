/** What the bundle is told about itself. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, it } from 'vitest';
import { definesOf } from './build.mjs';

it('the bundle says the version of package.json, whoever builds it', () => {
  const root = resolve(import.meta.dirname, '../..');
  const { version } = JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8')) as { version: string };
  expect(definesOf(root)).toEqual({ __VERSION__: JSON.stringify(version) });
});
