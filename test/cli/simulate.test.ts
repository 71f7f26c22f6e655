import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { parse } from 'yaml';
import { afterAll, describe, expect, it } from 'vitest';
import { run } from '../../src/cli/simulate.ts';
import type { CommandResult } from '../../src/cli/types.ts';
import { PRESET_NAMES, presetPolicy } from '../../src/policy/presets.ts';
import { RECORDED, recordedEvents, writtenBy } from '../analysis/recorded.ts';
import { IO } from './node-folder.ts';

const dir = mkdtempSync(join(tmpdir(), 'auditconfig-simulate-'));
afterAll(() => rmSync(dir, { recursive: true }));
const file = (name: string, bytes: string | Buffer): string => {
  writeFileSync(join(dir, name), bytes);
  return join(dir, name);
};

const simulate = (...args: readonly string[]): Promise<CommandResult> =>
  run(args, { ...IO, readFile: (path) => Promise.resolve(readFileSync(path)) });

type Report = {
  recorded: { events: number; bytes: number; level: string; from: string; to: string };
  policies: { policy: string; written: { events: number; bytes: number }; lost: unknown[] }[];
};
const report = (result: CommandResult): Report => JSON.parse(result.stdout ?? '') as Report;

const text = gunzipSync(readFileSync(RECORDED));

describe('simulate', () => {
  it('compares all presets where none is named, to the byte', async () => {
    const result = await simulate(RECORDED, '-o', 'json');
    expect(result.code).toBe(0);
    const { recorded, policies } = report(result);
    expect(recorded).toMatchObject({ events: recordedEvents().length, bytes: text.length, level: 'RequestResponse' });
    expect(policies.map((p) => p.policy)).toEqual(PRESET_NAMES);
    for (const { policy, written } of policies) {
      const { lines, bytes } = writtenBy(presetPolicy(policy as (typeof PRESET_NAMES)[number]), recordedEvents());
      expect({ policy, ...written }).toEqual({ policy, events: lines, bytes });
    }
  });

  it('shows them as a table, the smallest first', async () => {
    const { stdout = '' } = await simulate(RECORDED);
    const rows = stdout.split('\n').filter((l) => /^[a-z-]+ +[\d,]+ /.test(l));
    expect(rows.map((r) => r.split(' ')[0])).toHaveLength(PRESET_NAMES.length);
    expect(rows[0]).toMatch(/^none +0 +0 B +0\.0% +- +-$/);
    expect(rows[1]).toMatch(/^balanced /);
  });

  it('reads a log in several files as one, and is told the same in YAML', async () => {
    const half = text.indexOf('\n', text.length / 2) + 1;
    const parts = [file('a.log', text.subarray(0, half)), file('b.log', text.subarray(half))];
    const whole = report(await simulate('--preset', 'basic', '-o', 'json', RECORDED));
    expect(report(await simulate('--preset', 'basic', '-o', 'json', ...parts))).toEqual(whole);
    expect(parse((await simulate('--preset', 'basic', '-o', 'yaml', ...parts)).stdout ?? '')).toEqual(whole);
  });

  it('says of one policy what each rule would have written, what is lost, and what is unknown', async () => {
    const policy = file(
      'policy.yaml',
      'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- {level: None, verbs: [get]}\n- {level: RequestResponse}\n',
    );
    const event = (auditID: string, verb: string) => ({
      ...{ kind: 'Event', apiVersion: 'audit.k8s.io/v1', level: 'Metadata', auditID, stage: 'ResponseComplete', verb },
      ...{ requestURI: '/api/v1/namespaces/a/pods', user: { username: 'eve\u001b[2J', groups: [] } },
      ...{ objectRef: { resource: 'pods', namespace: 'a', apiVersion: 'v1' }, sourceIPs: [] },
      stageTimestamp: `2026-11-21T0${auditID}:00:00.000000Z`,
    });
    const log = file('c.log', [event('1', 'get'), event('3', 'create')].map((e) => `${JSON.stringify(e)}\n`).join(''));
    const { code, stdout = '' } = await simulate('--policy', policy, log);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^Recorded: 2 events, .*2026-11-21T01.* to 2026-11-21T03.*at level Metadata; [\d.]+ KiB a day$/m,
    );
    expect(stdout).toMatch(/would have written of it at least: 1 event,/);
    expect(stdout).toMatch(/^rules\[0\] +None +0 +0 B +1$/m);
    expect(stdout).toMatch(/^get +pods +eve\\u\{1b\}\[2J +nothing +1 /m);
    expect(stdout).toContain('events with a body that was not recorded: 1');
    expect(stdout).toContain('events of stage RequestReceived that were not recorded: 1');
    expect(stdout).not.toContain('\u001b');
  });

  it('names lines that are no events, and tells the rest', async () => {
    const [first = ''] = text.toString('utf8').split('\n');
    const aimless = first.replace(/"verb":"\w+"/, '"verb":""');
    const broken = file('d.log', `nonsense\n${first}\n${aimless}\n{"kind":"Event"`);
    const result = await simulate('--preset', 'metadata', '-o', 'json', broken);
    expect(result.code).toBe(1);
    expect(report(result).recorded.events).toBe(1);
    expect(result.stderr).toContain(`${broken}:1: error: not JSON`);
    expect(result.stderr).toMatch(/d\.log:3: error: .* \[EventWithoutRequest\]/);
    expect(result.stderr).toContain(`${broken}:4: error: the last line is torn`);
  });

  it.each([
    [['--policy', 'a', '--preset', 'basic', 'x'], 'either --policy or --preset'],
    [['-', 'x'], 'standard input'],
    [['--policy', '-', '-'], 'standard input'],
    [['--preset', 'blanced', 'x'], 'balanced'],
    [['--kubernetes-version', '1.12', 'x'], '--kubernetes-version'],
    [[], "missing required argument 'log'"],
  ])('%j is wrong usage', async (args, said) => {
    const { code, stderr } = await simulate(...args);
    expect(code).toBe(2);
    expect(stderr).toContain(said);
  });

  it('says why a log or a policy is not read, and prints nothing then', async () => {
    const missing = await simulate(join(dir, 'none.log'));
    expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining('there is no file') as string });
    expect(missing.stdout).toBeUndefined();
    const bad = await simulate('--policy', file('bad.yaml', 'rules: 3\n'), RECORDED);
    expect(bad).toMatchObject({ code: 1, stderr: expect.stringContaining('would not load') as string });
    expect(bad.stdout).toBeUndefined();
  });
});
