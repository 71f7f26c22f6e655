/** docs/findings.md explains every finding code that src/ can produce, and no other. Both are read, neither is believed. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { NOT_FINDINGS, SRC, checkedProgram, findingCodes, sources } from './codes.ts';
import type { Codes } from './codes.ts';
import { codeIn, tablesOf } from './tables.ts';

/** A `code` that is not known to be text of ours, and why it is no finding. */
const NOT_FOLLOWED = [/^node\/apply-revision\.ts:\d+: diskCode\(e\)$/]; // an errno

const rows = tablesOf('findings.md').flatMap((t) => t.rows);
const explained = rows.map((r) => codeIn(r['code']));

/** Reading and checking all sources takes a few seconds, and on a busy machine longer. */
const SLOW = 180_000;

describe('docs/findings.md', () => {
  let codes: Codes;
  beforeAll(() => {
    codes = findingCodes(checkedProgram(sources()));
  }, SLOW);

  it('is held against every place where a code is given: none is beyond this test', () => {
    expect(codes.unknown.filter((u) => !NOT_FOLLOWED.some((n) => n.test(u)))).toEqual([]);
    expect(codes.found.length).toBeGreaterThan(150);
    expect(codes.found.map((f) => f.code).filter((c) => !/^[A-Z][A-Za-z0-9]+$/.test(c))).toEqual([]);
    expect(Object.keys(NOT_FINDINGS).filter((p) => !existsSync(join(SRC, p)))).toEqual([]);
  });

  it('explains every code that the sources can produce', () => {
    const missing = codes.found.filter((f) => !explained.includes(f.code));
    expect(missing.map((f) => `${f.code} (${f.at})`)).toEqual([]);
  });

  it('explains no code that no longer exists, and each once', () => {
    const produced = new Set(codes.found.map((f) => f.code));
    expect(explained.filter((code) => !produced.has(code))).toEqual([]);
    expect(explained.filter((code, i) => explained.indexOf(code) !== i)).toEqual([]);
  });

  it('gives the severity that stands in the sources', () => {
    const said = new Map(rows.map((r) => [codeIn(r['code']), r['severity']]));
    const wrong = codes.found.filter((f) => f.severity !== undefined && f.severity !== said.get(f.code));
    expect(wrong.map((f) => `${f.code} (${f.at}) is ${f.severity ?? ''}`)).toEqual([]);
  });

  it('says of each what it means and what to do', () => {
    const poor = rows.filter((r) => (r['what it means'] ?? '').length < 10 || (r['what to do'] ?? '') === '');
    expect(poor).toEqual([]);
  });
});

describe('the reading of codes from sources', () => {
  const read = (text: string): { codes: string[]; unknown: number } => {
    const file = join(SRC, 'render/imagined.ts');
    const program = checkedProgram([file], (f) => (f === file ? text : undefined));
    const { found, unknown } = findingCodes(program);
    return { codes: found.map((f) => `${f.code}${f.severity === undefined ? '' : `=${f.severity}`}`), unknown: unknown.length };
  };

  it.each([
    ['an object', `export const f = { severity: 'info', code: 'A', message: '' };`, ['A=info']],
    ['a call', `const error = (code: string): string => code; export const f = error('B');`, ['B=error']],
    ['a constructor', `class F { constructor(readonly code: string) {} } export const f = new F('C');`, ['C']],
    ['a condition', `export const f = (b: boolean) => ({ code: b ? 'D' : 'E' });`, ['D', 'E']],
    ['a constant', `const code = 'F'; export const f = { code };`, ['F']],
    ['a literal type', `export const f = (g: () => 'G' | 'H') => ({ code: g() });`, ['G', 'H']],
    ['a callback', `export const f = (report: (path: string, code: string) => void) => report('', 'I');`, ['I']],
    ['an exit code, which is none', `export const f = { code: 1 };`, []],
  ])('sees %s', (_, text, found) => {
    expect(read(text)).toEqual({ codes: found, unknown: 0 });
  }, SLOW);

  it.each([
    ['a computed text', 'export const f = (n: string) => ({ code: `X${n}` });'],
    ['a function that it does not know', `export const f = (g: () => string) => ({ code: g() });`],
    ['a parameter of another name', `export const f = (c: string) => ({ code: c });`],
    ['an error of somebody else', `export const f = (e: Map<string, string>) => ({ code: e.get('') });`],
  ])('does not pretend to see %s', (_, text) => {
    expect(read(text)).toEqual({ codes: [], unknown: 1 });
  }, SLOW);
});
