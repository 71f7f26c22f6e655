/**
 * Every output of every command, from the bundle that ships: what a bundler makes of an import is not what Node makes of it
 * (`presets -o yaml` said that it is a bug, and no test from the sources could see it).
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');
const FIXTURES = join(ROOT, 'test/acceptance/fixtures');

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'auditconfig-bundle-'));
  const event = {
    ...{ kind: 'Event', apiVersion: 'audit.k8s.io/v1', level: 'Metadata', auditID: 'a', stage: 'ResponseComplete' },
    ...{
      requestURI: '/version',
      verb: 'get',
      user: { username: 'u' },
      requestReceivedTimestamp: '2026-01-01T00:00:00.000000Z',
    },
    stageTimestamp: '2026-01-01T00:00:00.000000Z',
  };
  writeFileSync(join(dir, 'audit.log'), `${JSON.stringify(event)}\n`);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const run = (use: string): Promise<{ readonly code: unknown; readonly stdout: string; readonly stderr: string }> =>
  new Promise((done) => {
    const args = use.replaceAll('FIXTURES', FIXTURES).replaceAll('DIR', dir).split(' ');
    const child = execFile(process.execPath, [join(ROOT, 'dist/auditconfig.js'), ...args], (e, stdout, stderr) =>
      done({ code: e === null ? 0 : e.code, stdout, stderr }),
    );
    child.stdin?.end();
  });

const CONFIG = 'FIXTURES/cozyfex.auditconfig.yaml';
const POLICY = 'FIXTURES/cozyfex.policy.yaml';

describe.concurrent('the bundle', { timeout: 60_000 }, () => {
  it.each([
    '--help',
    '--version',
    ...['text', 'json', 'sarif'].map((o) => `lint ${POLICY} ${CONFIG} -o ${o}`),
    ...['text', 'json'].map((o) => `explain --policy ${POLICY} --verb get --path /x -o ${o}`),
    ...['table', 'json', 'yaml'].map((o) => `explain-config -f ${CONFIG} -o ${o}`),
    ...['yaml', 'json', 'policy', 'bundle'].map((o) => `render -f ${CONFIG} -o ${o}`),
    ...['table', 'json', 'yaml'].flatMap((o) => [`presets -o ${o}`, `presets basic -o ${o}`]),
    'presets basic --system-namespaces kube-system',
    ...['text', 'json', 'wide'].map((o) => `logs DIR/audit.log -o ${o}`),
    `diff --manifest FIXTURES/cozyfex.kube-apiserver.yaml --root DIR -f ${CONFIG}`,
    'controller --help',
    'agent --help',
    'guard --help',
  ])('answers %s', async (use) => {
    const { code, stdout, stderr } = await run(use);
    expect([code, stdout === '' && !use.startsWith('lint'), stderr.includes('this is a bug')], stderr).toEqual([
      0,
      false,
      false,
    ]);
  });

  it(`decides nothing where nothing is asked`, async () => {
    expect(await run(`evaluate --policy ${POLICY}`)).toEqual({ code: 0, stdout: '', stderr: '' });
  });
});
