/** What every command has in common: its name, its help, and flags that contradict each other. */
import { describe, expect, it } from 'vitest';
import { COMMANDS, runCli } from '../../src/cli/index.ts';
import { IO } from './node-folder.ts';

// Loaded here, where no test's time limit counts: on a busy machine that takes longer than all that they do.
await Promise.all(COMMANDS.map((c) => c.load()));

const run = (...args: string[]) => runCli(args, { ...IO, readFile: () => Promise.reject(new Error('not read')) });

describe('a command', () => {
  it.each([
    ['lnit', 'lint'],
    ['explain-confg', 'explain-config'],
    ['presest', 'presets'],
    ['agnet', 'agent'],
  ])('%s is wrong usage, and %s is suggested', async (given, meant) => {
    const { code, stdout, stderr } = await run(given);
    expect([code, stdout]).toEqual([2, undefined]);
    expect(stderr?.split('\n')[0]).toBe(`error: unknown command '${given}'; did you mean "${meant}"?`);
  });

  it('that is not there has no help either', async () => {
    const { code, stdout, stderr } = await run('help', 'lnit');
    expect([code, stdout, stderr?.split('\n')[0]]).toEqual([
      2,
      undefined,
      `error: unknown command 'lnit'; did you mean "lint"?`,
    ]);
    for (const own of ['agent', 'controller', 'guard']) expect((await run('help', own)).code).toBe(0);
  });

  it.each(['', '__proto__', 'constructor', 'zzzzzz'])('%j is like nothing that there is', async (given) => {
    expect((await run(given)).stderr?.split('\n')[0]).toBe(`error: unknown command '${given}'`);
  });

  it.each(COMMANDS.map((c) => c.name))('%s is explained by help and by --help alike', async (name) => {
    const shown = await run(name, '--help');
    expect([shown.code, shown.stdout?.split('\n')[0]]).toEqual([
      0,
      expect.stringContaining(`Usage: auditconfig ${name}`),
    ]);
    expect(await run('help', name)).toEqual(shown);
  });
});

describe('a flag of one value', () => {
  it.each([
    ['patch', '--manifest', 'm', '-f', 'a.yaml', '-f', 'b.yaml'],
    ['patch', '--manifest', 'a', '--manifest=b', '--remove'],
    ['render', '-f', 'a.yaml', '--filename', 'b.yaml'],
    ['evaluate', '--policy', 'a', '--policy', 'b'],
    ['lint', 'a.yaml', '-o', 'json', '-o', 'text'],
  ])('given twice is wrong usage: %s %s %s', async (...args) => {
    const { code, stderr } = await run(...args);
    expect([code, stderr]).toEqual([2, expect.stringContaining('takes one value')]);
  });

  it('may be said again, and a list may be long', async () => {
    expect((await run('render', '-f', 'a.yaml', '-f', 'a.yaml')).code).toBe(1);
    const versions = ['--kubernetes-version', '1.35', '--kubernetes-version', '1.36'];
    expect((await run('render', '-f', 'a.yaml', ...versions)).code).toBe(1);
  });
});
