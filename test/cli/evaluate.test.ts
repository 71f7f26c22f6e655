/** The contract of `auditconfig evaluate`: lines in, decisions out, bad lines by number. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { run } from '../../src/cli/evaluate.ts';
import { compilePolicy } from '../../src/policy/evaluate.ts';
import { NEWEST } from '../../src/api/versions.ts';
import { loadPolicy } from '../../src/policy/load.ts';
import type { CommandResult } from '../../src/cli/types.ts';

const dir = mkdtempSync(join(tmpdir(), 'auditconfig-evaluate-'));
afterAll(() => rmSync(dir, { recursive: true }));

const POLICY = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: ["system:kube-proxy"]
- level: Metadata
  resources: [{group: "", resources: [secrets]}]
- level: Request
  omitManagedFields: true
  omitStages: [ResponseStarted]
  resources: [{group: ""}]
`;
const policyFile = join(dir, 'policy.yaml');
writeFileSync(policyFile, POLICY);

async function evaluate(
  input: string | Uint8Array,
  args = ['--policy', policyFile],
): Promise<CommandResult & { out: string }> {
  const [stdin, stdout] = [join(dir, 'in'), join(dir, 'out')];
  writeFileSync(stdin, input);
  const fds = { stdin: openSync(stdin, 'r'), stdout: openSync(stdout, 'w') };
  const io = {
    readFile: (p: string) => Promise.resolve(readFileSync(p)),
    fds,
    stderrIsTTY: false,
    stdoutIsTTY: false,
    env: {},
    signal: new AbortController().signal,
  };
  const result = await run(args, io);
  closeSync(fds.stdin);
  closeSync(fds.stdout);
  return { ...result, out: readFileSync(stdout, 'utf8') };
}

const line = (user: string, resource: string): string =>
  JSON.stringify({ user, groups: ['g'], resourceAttributes: { verb: 'get', group: '', version: 'v1', resource } });

const REQUEST =
  '{"level":"Request","rule":2,"omitStages":["RequestReceived","ResponseStarted"],"omitManagedFields":true}\n';
const METADATA = '{"level":"Metadata","rule":1,"omitStages":["RequestReceived"],"omitManagedFields":false}\n';
const NONE = '{"level":"None","rule":null,"omitStages":["RequestReceived"],"omitManagedFields":false}\n';

describe('evaluate', () => {
  it('answers each line with one decision of the documented shape', async () => {
    const path = '{"nonResourceAttributes":{"path":"/healthz","verb":"get"}}';
    const { out, code, stderr } = await evaluate(`${line('a', 'pods')}\n${line('a', 'secrets')}\n${path}\n`);
    expect({ out, code, stderr }).toEqual({ out: REQUEST + METADATA + NONE, code: 0, stderr: undefined });
  });

  it('takes a last line without a newline, CRLF and white space', async () => {
    const spaced = JSON.stringify(JSON.parse(line('a', 'secrets')), null, 1).replaceAll('\n', ' ');
    const { out, code } = await evaluate(`${line('a', 'secrets')}\r\n  ${spaced}`);
    expect({ out, code }).toEqual({ out: METADATA + METADATA, code: 0 });
  });

  it('names lines that are no requests by number, goes on, and exits 1', async () => {
    const bad = ['', ' ', 'not json', '[]', '{"usr":"a","resourceAttributes":{}}', '{"user":"a"}'];
    const { out, code, stderr } = await evaluate([line('a', 'pods'), ...bad, line('a', 'pods')].join('\n'));
    expect(out).toBe(REQUEST + REQUEST);
    expect(code).toBe(1);
    const named = (stderr ?? '')
      .trimEnd()
      .split('\n')
      .map((l) => /^line (\d+): error (\w+):/.exec(l)?.slice(1).join(' '));
    expect(named).toEqual([
      '2 RequestNotJson',
      '3 RequestNotJson',
      '4 RequestNotJson',
      '5 RequestWrongType',
      '6 RequestUnknownField',
      '7 RequestWithoutAttributes',
    ]);
  });

  it('decides lines across the borders of its reads as one by one', async () => {
    const compiled = compilePolicy(loadPolicy(new TextEncoder().encode(POLICY), NEWEST).policy ?? never());
    const resources = ['pods', 'secrets', 'configmaps', 'ünicode'];
    const lines = Array.from({ length: 9000 }, (_, i) =>
      line(i % 7 === 0 ? 'system:kube-proxy' : `u${'x'.repeat(i % 97)}`, resources[i % 4] ?? ''),
    );
    const { out, code } = await evaluate(lines.join('\n'));
    const want = lines.map((_, i) => {
      const who = { user: i % 7 === 0 ? 'system:kube-proxy' : 'u', groups: ['g'], verb: 'get' };
      const what = { group: '', version: 'v1', subresource: '', namespace: '', name: '' };
      return `${JSON.stringify(compiled.decide({ kind: 'Resource', ...who, ...what, resource: resources[i % 4] ?? '' }))}\n`;
    });
    expect(code).toBe(0);
    expect(out).toBe(want.join(''));
  });

  it('takes a line that is longer than its buffer', async () => {
    const { out, code } = await evaluate(`${line('a'.repeat(3_000_000), 'secrets')}\n${line('a', 'pods')}\n`);
    expect({ out, code }).toEqual({ out: METADATA + REQUEST, code: 0 });
  });

  it('does nothing for empty input', async () => {
    expect(await evaluate('')).toEqual({ out: '', code: 0 });
  });

  it('refuses wrong usage with code 2', async () => {
    for (const args of [
      [],
      ['--policy', policyFile, '--kubernetes-version', 'x'],
      ['--policy', '-'],
      ['--nope'],
      ['--policy', policyFile, 'more'],
    ]) {
      expect((await evaluate('', args)).code, args.join(' ')).toBe(2);
    }
  });

  it('exits 1 with the reason where an API server of that version would not load the policy', async () => {
    const star = join(dir, 'star.yaml');
    writeFileSync(star, POLICY.replace('{group: ""}', '{group: "*"}'));
    expect((await evaluate('', ['--policy', star])).code).toBe(0);
    const old = await evaluate('', ['--policy', star, '--kubernetes-version', '1.35']);
    expect(old.code).toBe(1);
    expect(old.stderr).toContain('star.yaml:');
    expect((await evaluate('', ['--policy', join(dir, 'missing.yaml')])).code).toBe(1);
  });

  it('has a help with examples', async () => {
    const { code, stdout } = await evaluate('', ['--help']);
    expect(code).toBe(0);
    expect(stdout).toContain('Examples:');
  });
});

function never(): never {
  throw new Error('the policy of this test does not load');
}
