/** `npm run check` finds what its rules are for, in the words of the project's own .oxlintrc.json. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');
let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'auditconfig-check-'));
  for (const file of ['.oxlintrc.json', 'tsconfig.json', 'src/tsconfig.json', 'package.json', 'node_modules'])
    link(file);
});
afterAll(() => rmSync(dir, { recursive: true }));

function link(file: string): void {
  mkdirSync(dirname(join(dir, file)), { recursive: true });
  symlinkSync(join(ROOT, file), join(dir, file));
}

/** Codes that a file with this text gets, and no other file does. */
function codesOf(file: string, text: string): string[] {
  mkdirSync(dirname(join(dir, file)), { recursive: true });
  writeFileSync(join(dir, file), `${text}\n`);
  const args = [join(ROOT, 'node_modules/oxlint/bin/oxlint'), '--format=json', file];
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: dir, encoding: 'utf8' });
  try {
    const { diagnostics } = JSON.parse(stdout) as { diagnostics: { code: string }[] };
    return diagnostics.map((d) => d.code);
  } catch (error) {
    throw new Error(`${stdout}${stderr}`, { cause: error });
  } finally {
    rmSync(join(dir, file));
  }
}

describe('types and lint', { timeout: 60_000 }, () => {
  it.each([
    ['test/a.ts', 'export const work = (n: string): number => n.length;\nconsole.log(work("x"));'],
    ['src/main.ts', 'process.exit(1);'],
  ])('let pass what is right: %s', (file, text) => expect(codesOf(file, text)).toEqual([]));

  it.each([
    ['src/kube/a.ts', 'typescript(TS2322)', 'export const n: number = "1";'],
    ['src/kube/a.ts', 'typescript(TS6133)', 'const unused = 1;\nexport {};'],
    // The core is compiled without Node's types.
    ['src/policy/a.ts', 'typescript(TS2591)', 'export const now = process.hrtime();'],
    ['src/kube/a.ts', 'typescript(no-floating-promises)', 'declare const f: () => Promise<void>;\nf();'],
    ['src/kube/a.ts', 'typescript(no-misused-promises)', 'declare const f: () => Promise<void>;\n[1].forEach(async () => f());'],
    ['src/kube/a.ts', 'typescript(await-thenable)', 'await 1;\nexport {};'],
    ['src/kube/a.ts', 'typescript(only-throw-error)', 'export const f = (): never => {\n  throw "x";\n};'],
    ['src/kube/a.ts', 'typescript(no-explicit-any)', 'export const f = (x: any): unknown => x as unknown;'],
    ['src/kube/a.ts', 'typescript(no-unsafe-assignment)', 'export const x: string = JSON.parse("1");'],
    ['src/kube/a.ts', 'typescript(no-unsafe-argument)', 'export const x = Number.parseInt(JSON.parse("1"));'],
    ['test/a.ts', 'typescript(no-unsafe-call)', 'JSON.parse("1")();'],
    ['src/kube/a.ts', 'typescript(no-unsafe-member-access)', 'export const x: unknown = JSON.parse("1").a;'],
    ['src/kube/a.ts', 'typescript(no-unsafe-return)', 'export const f = (): string => JSON.parse("1");'],
    ['src/kube/a.ts', 'typescript(switch-exhaustiveness-check)', 'export const f = (x: "a" | "b"): void => {\n  switch (x) {\n    case "a":\n  }\n};'],
    ['src/kube/a.ts', 'typescript(consistent-type-imports)', 'import { readFile } from "node:fs";\nexport type W = typeof readFile;'],
    ['src/kube/a.ts', 'eslint(eqeqeq)', 'export const f = (x: unknown): boolean => x == 1;'],
    ['src/kube/a.ts', 'eslint(no-console)', 'console.log(1);'],
    ['src/kube/a.ts', 'eslint(max-params)', 'export const f = (...a: [number]): number => a[0];\nexport function g(a: 1, b: 1, c: 1, d: 1, e: 1): number {\n  return a + b + c + d + e;\n}'],
    ['src/kube/a.ts', 'unicorn(no-process-exit)', 'process.exit(1);'],
  ])('find in %s: %s', (file, code, text) => expect(codesOf(file, text)).toContain(code)); // prettier-ignore
});
