/** `npm run check` finds what the rules are for, and looks again at a file whose imports have changed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { typesAndLint } from './types-and-lint.ts';
import type { Verdict } from './types-and-lint.ts';

const ROOT = resolve(import.meta.dirname, '../..');
let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'auditconfig-check-'));
  write('tsconfig.json', JSON.stringify({ extends: join(ROOT, 'tsconfig.json'), compilerOptions: { types: [] }, include: ['*.ts'] })); // prettier-ignore
  write('package.json', '{"type": "module"}');
  write('core.json', JSON.stringify({ extends: './tsconfig.json', include: ['core.ts'] }));
  write('eslint.config.js', `export { default } from ${JSON.stringify(join(ROOT, 'eslint.config.js'))};`);
  write('core.ts', 'export const work = (): void => undefined;');
  write('calls.ts', "import { work } from './core.ts';\nwork();");
  write('alone.ts', 'export const n = 1;');
});
afterEach(() => rmSync(join(dir, 'wrong.ts'), { force: true }));
afterAll(() => rmSync(dir, { recursive: true }));

const write = (name: string, text: string): void => writeFileSync(join(dir, name), `${text}\n`);
const look = (): Promise<Verdict> =>
  typesAndLint({
    root: dir,
    tsconfig: join(dir, 'tsconfig.json'),
    without: join(dir, 'core.json'),
    cache: join(dir, 'passed.json'),
    decisive: [join(dir, 'eslint.config.js')],
  });
const rulesOf = ({ problems }: Verdict): string[] => problems.map((p) => /: (?:error )?([\w@/-]+): /.exec(p)?.[1] ?? p);

// The first to ask loads a compiler and a linter.
describe('types and lint', { timeout: 60_000 }, () => {
  it('pass once, and then only what has changed, with all that imports it', async () => {
    expect(await look()).toEqual({ problems: [], looked: 2 });
    expect(await look()).toEqual({ problems: [], looked: 0 });
    write('alone.ts', 'export const n = 2;');
    expect(await look()).toEqual({ problems: [], looked: 1 });
    write(
      'eslint.config.js',
      `export { default } from ${JSON.stringify(join(ROOT, 'eslint.config.js'))}; // other rules`,
    );
    expect(await look()).toEqual({ problems: [], looked: 2 });
  });

  it('see the promise that comes to float in a file which nobody touched, until it is mended', async () => {
    write('core.ts', 'export const work = (): Promise<void> => Promise.resolve();');
    for (let times = 0; times < 2; times++)
      expect(rulesOf(await look())).toEqual(['@typescript-eslint/no-floating-promises']);
    write('core.ts', 'export const work = (): void => undefined;');
    expect(await look()).toEqual({ problems: [], looked: 1 });
  });

  it.each([
    ['TS2322', 'export const n: number = "1";'],
    ['TS6133', 'const unused = 1;\nexport {};'],
    ['TS2591', 'export const now = process.hrtime();'],
    ['@typescript-eslint/no-misused-promises', 'declare const f: () => Promise<void>;\n[1].forEach(async () => f());'],
    ['@typescript-eslint/await-thenable', 'await 1;\nexport {};'],
    ['@typescript-eslint/only-throw-error', 'export const f = (): never => {\n  throw "x";\n};'],
    ['@typescript-eslint/no-explicit-any', 'export const f = (x: any): unknown => x as unknown;'],
    ['@typescript-eslint/no-unsafe-assignment', 'export const x: string = JSON.parse("1");'],
    ['@typescript-eslint/no-unsafe-argument', 'export const x = Number.parseInt(JSON.parse("1"));'],
    ['@typescript-eslint/no-unsafe-call', 'JSON.parse("1")();'],
    ['@typescript-eslint/no-unsafe-member-access', 'export const x: unknown = JSON.parse("1").a;'],
    ['@typescript-eslint/no-unsafe-return', 'export const f = (): string => JSON.parse("1");'],
    ['@typescript-eslint/switch-exhaustiveness-check', 'export const f = (x: "a" | "b"): void => {\n  switch (x) {\n    case "a":\n  }\n};'],
    ['@typescript-eslint/consistent-type-imports', 'import { work } from "./core.ts";\nexport type W = typeof work;'],
    ['eqeqeq', 'export const f = (x: unknown): boolean => x == 1;'],
    ['no-console', 'console.log(1);'],
  ])('find %s', async (rule, text) => {
    write('wrong.ts', text);
    expect(rulesOf(await look())).toContain(rule);
  }); // prettier-ignore
});
