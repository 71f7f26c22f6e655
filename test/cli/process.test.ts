/** The CLI as a process: what pipes, full disks and signals do to it. Run from the sources, as the demo is. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');
const ARGS = ['--import', join(ROOT, 'test/house/typescript.mjs'), join(ROOT, 'src/main.ts')];

/** There a default is found, and it is no use to take it away. */
const POD_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount/token';

let dir = '';
let bad = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'auditconfig-process-'));
  bad = join(dir, 'bad.yaml');
  const rules = Array.from({ length: 5000 }, (_, i) => `- level: Metadta\n  users: ["u${i}"]\n`);
  writeFileSync(bad, `apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n${rules.join('')}`);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Longer than any start takes on a busy machine; the tests end as soon as the process does. */
const PATIENCE = 60_000;

const start = (args: readonly string[], stdout: 'pipe' | number = 'pipe', env = process.env) =>
  spawn(process.execPath, [...ARGS, ...args], { stdio: ['pipe', stdout, 'pipe'], env });

const ended = async (child: ReturnType<typeof start>): Promise<{ code: number | null; signal: string | null }> => {
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { code, signal };
};

describe.concurrent('the command line as a process', { timeout: PATIENCE }, () => {
  it('gives all of a large output to a slow reader, and then the exit code', async () => {
    const child = start(['lint', bad]);
    const end = ended(child);
    await sleep(1000);
    const [out, { code }] = await Promise.all([text(child.stdout!), end]);
    expect(out.split('\n')).toHaveLength(5001);
    expect(code).toBe(1);
  });

  it.each([
    ['lint', 1],
    ['presets', 0],
  ])('says nothing when the reader of %s goes away, and keeps its exit code', async (name, expected) => {
    const child = start(name === 'lint' ? ['lint', bad] : [name]);
    const stderr = text(child.stderr!);
    const end = ended(child);
    child.stdout!.destroy();
    expect((await end).code).toBe(expected);
    expect(await stderr).toBe('');
  });

  it.runIf(process.platform === 'linux')('says in one line that the disk is full', async () => {
    const full = openSync('/dev/full', 'w');
    const child = start(['presets'], full);
    closeSync(full);
    const [stderr, { code }] = await Promise.all([text(child.stderr!), ended(child)]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: .*ENOSPC.*\n$/);
  });

  it.runIf(!existsSync(POD_ACCOUNT)).each([
    ['controller without any kubeconfig', ['controller'], 'KUBECONFIG'],
    ['agent without any kubeconfig', ['agent', '--node-name', 'n'], 'KUBECONFIG'],
    ['controller with a kubeconfig that is not there', ['controller', '--kubeconfig', '/nowhere/k'], '/nowhere/k'],
  ])('ends with code 2 and what is missing: %s', async (_, args, missing) => {
    const { KUBECONFIG: _unset, ...env } = process.env;
    const child = start([...args, '--port', '0'], 'pipe', { ...env, HOME: dir });
    const [stderr, { code }] = await Promise.all([text(child.stderr!), ended(child)]);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(missing) as unknown });
    expect(stderr).toMatch(/^error: .*\n$/);
  });

  it.each([
    ['lint', '-'],
    ['logs', '-'],
    ['evaluate', '--policy', 'POLICY'],
    ['render', '-f', '-'],
  ])('ends at once on Ctrl-C while %s waits for standard input', async (...args) => {
    const policy = join(dir, 'policy.yaml');
    writeFileSync(policy, 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n');
    const child = start(args.map((a) => (a === 'POLICY' ? policy : a)));
    // What it does not read is no sign that it waits: long enough to have started.
    const end = ended(child);
    await sleep(2000);
    child.kill('SIGINT');
    expect((await end).signal).toBe('SIGINT');
  });
});
