/** Whether `npm ci` is due before a command of this repository runs. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isInstalled } from './install.mjs';

type Entry = Readonly<Record<string, unknown>>;
const A = { version: '1.0.0', integrity: 'sha512-a' };

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'auditconfig-install-'));
  mkdirSync(join(root, 'node_modules'));
});
afterEach(() => rmSync(root, { recursive: true }));

function installed(wanted: Readonly<Record<string, Entry>>, there: Readonly<Record<string, Entry>>): boolean {
  writeFileSync(join(root, 'package-lock.json'), JSON.stringify({ packages: { '': { name: 'x' }, ...wanted } }));
  writeFileSync(join(root, 'node_modules/.package-lock.json'), JSON.stringify({ packages: there }));
  return isInstalled(root);
}

describe('dependencies are installed', () => {
  it('where npm has put there what the lockfile says, for whatever it is needed', () => {
    expect(installed({ 'node_modules/a': { ...A, dev: true } }, { 'node_modules/a': A })).toBe(true);
  });

  it('without what is for another platform, and what only that needs', () => {
    const other = { ...A, optional: true, os: ['aix'], cpu: [process.arch] };
    const itsOwn = { ...A, optional: true };
    expect(installed({ 'node_modules/other': other, 'node_modules/its-own': itsOwn }, {})).toBe(true);
  });
});

describe('dependencies are not installed', () => {
  it.each<[string, Readonly<Record<string, Entry>>]>([
    ['a package is missing', {}],
    ['it has another version', { 'node_modules/a': { ...A, version: '1.0.1' } }],
    ['it has other content', { 'node_modules/a': { ...A, integrity: 'sha512-b' } }],
    ['there is one that the lockfile does not know', { 'node_modules/a': A, 'node_modules/b': A }],
  ])('where %s', (_, there) => {
    expect(installed({ 'node_modules/a': A }, there)).toBe(false);
  });

  it('where the one for this platform is missing', () => {
    const ours = { ...A, optional: true, os: [process.platform], cpu: [process.arch] };
    expect(installed({ 'node_modules/ours': ours }, {})).toBe(false);
  });

  it('where npm has written down nothing, because it was stopped or never ran', () => {
    expect(installed({}, {})).toBe(true);
    rmSync(join(root, 'node_modules'), { recursive: true });
    expect(isInstalled(root)).toBe(false);
  });
});
