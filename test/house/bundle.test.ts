/** What the bundle is told about itself. */
import { readFileSync, readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, it } from 'vitest';
import { definesOf } from './build.mjs';

it('the package needs nothing installed beside it: what it runs on is bundled', () => {
  const root = resolve(import.meta.dirname, '../..');
  const read = JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8')) as Record<string, unknown>;
  const wants = ['dependencies', 'optionalDependencies', 'peerDependencies'].filter((key) => key in read);
  expect(wants).toEqual([]);
});

it('the bundle holds neither the generated client of every API group nor other languages', () => {
  const root = resolve(import.meta.dirname, '../..');
  for (const [file, mark] of [
    ['@kubernetes/client-node/dist/gen/models/V1CSIDriver.js', 'V1CSIDriver'],
    ['zod/v4/locales/fi.js', 'merkkijono'],
  ] as const) {
    expect(readFileSync(resolve(root, 'node_modules', file), 'utf8')).toContain(mark);
    const chunks = readdirSync(resolve(root, 'dist/chunks')).filter((n) => n.endsWith('.js'));
    expect(chunks.filter((n) => readFileSync(resolve(root, 'dist/chunks', n), 'utf8').includes(mark))).toEqual([]);
  }
});

it('the bundle says the version of package.json, whoever builds it', () => {
  const root = resolve(import.meta.dirname, '../..');
  const { version } = JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8')) as { version: string };
  expect(definesOf(root)).toEqual({ __VERSION__: JSON.stringify(version) });
});
