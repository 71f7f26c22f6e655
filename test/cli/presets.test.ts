import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { run } from '../../src/cli/presets.ts';
import type { CommandResult, Io } from '../../src/cli/types.ts';
import { loadPolicy } from '../../src/policy/load.ts';
import { PRESET_NAMES, presetPolicy, presetSource } from '../../src/policy/presets.ts';

const IO: Io = {
  readFile: () => Promise.reject(new Error('presets reads no file')),
  fds: { stdin: 0, stdout: 1 },
  stderrIsTTY: false,
  stdoutIsTTY: false,
  env: {},
  signal: new AbortController().signal,
};
const presets = (...args: string[]): Promise<CommandResult> => run(args, IO);

describe('presets', () => {
  it('lists every preset with what it sees and leaks', async () => {
    const { code, stdout } = await presets();
    expect(code).toBe(0);
    const [head, ...rows] = (stdout ?? '').trimEnd().split('\n');
    expect(head).toMatch(/^NAME +VERSION +RULES +SEES +LEAKS +SUMMARY$/);
    expect(rows.map((r) => r.split(/ +/)[0])).toEqual([...PRESET_NAMES]);
    expect(rows[0]).toMatch(/^balanced +1 +18 +31\/31 +- +\S/);
    expect(rows.find((r) => r.startsWith('sample'))).toMatch(/27\/31 +configmaps +\S/);
  });

  it.each([
    ['json', (s: string): unknown => JSON.parse(s)],
    ['yaml', (s: string): unknown => parse(s)],
  ])('lists the same with -o %s', async (format, read) => {
    const { stdout } = await presets('-o', format);
    const { presets: rows } = read(stdout ?? '') as { presets: { name: string; detections: { missed: string[] } }[] };
    expect(rows.map((r) => r.name)).toEqual([...PRESET_NAMES]);
    expect(rows.find((r) => r.name === 'sample')?.detections).toEqual({
      seen: 27,
      of: 31,
      missed: ['deployment-change', 'clusterrolebinding-write', 'clusterrole-create', 'clusterrole-patch'],
    });
  });

  it.each(PRESET_NAMES)('prints %s as it stands in its file', async (name) => {
    expect(await presets(name)).toEqual({ code: 0, stdout: presetSource(name) });
  });

  it('prints a preset as data with -o json', async () => {
    const { stdout } = await presets('minimal', '-o', 'json');
    expect(JSON.parse(stdout ?? '')).toMatchObject({ name: 'minimal', version: 1, policy: presetPolicy('minimal') });
    const other = await presets('basic', '--system-namespaces', 'infra', '-o', 'json');
    expect(JSON.parse(other.stdout ?? '')).toMatchObject({
      policy: presetPolicy('basic', { systemNamespaces: ['infra'] }),
      detections: { missed: expect.arrayContaining(['coredns-write']) as unknown },
    });
  });

  it('prints basic with other system namespaces as a policy that means just that', async () => {
    const { code, stdout } = await presets('basic', '--system-namespaces', 'infra,ops');
    expect(code).toBe(0);
    const loaded = loadPolicy(new TextEncoder().encode(stdout), '1.26');
    expect(loaded.findings).toEqual([]);
    expect(loaded.policy).toEqual(presetPolicy('basic', { systemNamespaces: ['infra', 'ops'] }));
    expect(loaded.policy).not.toEqual(presetPolicy('basic'));
  });

  it.each([
    [['basic', '--system-namespaces', 'd8-*'], "'d8-*' is no namespace"],
    [['minimal', '--system-namespaces', 'infra'], "only the preset 'basic'"],
    [['--system-namespaces', 'infra'], 'needs the name of a preset'],
    [['nosuch'], 'balanced, metadata, minimal'],
    [['balance'], 'did you mean "balanced"?'],
    [['none', 'minimal'], 'too many arguments'],
    [['-o', 'wide'], 'One of table, json, yaml'],
  ])('refuses %j with code 2', async (args, said) => {
    const { code, stderr } = await presets(...args);
    expect(code).toBe(2);
    expect(stderr).toContain(said);
  });
});
