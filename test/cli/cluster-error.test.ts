/** What commands say when a cluster refuses, told by a fake API server and by kubeconfigs that lead nowhere. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { COMMANDS, runCli } from '../../src/cli/index.ts';
import { FakeApi, json, statusBody } from '../kube/fake-api.ts';
import { IO } from './node-folder.ts';

await Promise.all(COMMANDS.map((c) => c.load()));

let api: FakeApi;
let dir: string;
let kubeconfig: string;
const written = (server: string): Promise<void> =>
  writeFile(
    kubeconfig,
    JSON.stringify({
      ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'c' },
      clusters: [{ name: 'c', cluster: { server } }],
      users: [{ name: 'c', user: { token: 't' } }],
      contexts: [{ name: 'c', context: { cluster: 'c', user: 'c' } }],
    }),
  );
beforeEach(async () => {
  api = await new FakeApi().listen();
  dir = await mkdtemp(join(tmpdir(), 'auditconfig-cluster-'));
  kubeconfig = join(dir, 'kubeconfig');
  await written(api.url);
});
afterEach(async () => {
  await api.close();
  await rm(dir, { recursive: true, force: true });
});

const USES = ['status', 'explain-config main', 'prestage'];
const run = (use: string, ...more: string[]) =>
  runCli([...use.split(' '), '--kubeconfig', kubeconfig, ...(use === 'prestage' ? ['--root', dir] : []), ...more], IO);

describe.each(USES)('auditconfig %s', (use) => {
  it('says that the operator is not installed where its API is not served', async () => {
    api.handler = (_a, response) => void response.writeHead(404).end('404 page not found\n');
    const { code, stdout, stderr } = await run(use);
    expect([code, stdout]).toEqual([1, undefined]);
    expect(stderr).toMatch(/auditconfig\.dev\/v1alpha1.*kubectl apply -k deploy.*\(NotFound\)\n$/);
  });

  it.each([
    [401, 'Unauthorized', '--context'],
    [403, 'Forbidden', '--context'],
  ] as const)("gives the API server's word for %s, its code, and what to do", async (status, reason, next) => {
    const said = `no, \u001b[31m${reason}`;
    api.handler = (_a, response) => json(response, status, statusBody(status, reason, said));
    const { code, stderr } = await run(use);
    expect([code, stderr]).toEqual([1, expect.stringContaining(`(${reason})`)]);
    expect(stderr).toContain(next);
    expect(stderr).not.toContain('\u001b');
  });

  it('says which kubeconfig, or that its server does not answer', async () => {
    await written('http://127.0.0.1:1');
    expect(await run(use)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('(ConnectionRefused); ') as unknown,
    });
    await written('nonsense');
    expect(await run(use)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('(CredentialsFailed); ') as unknown,
    });
    await written(api.url);
    const { stderr } = await run(use, '--context', 'other');
    expect(stderr).toContain('--context');
  });
});
