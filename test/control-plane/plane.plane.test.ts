/** What tests may rely on in a control plane, on each version. */
import { spawn } from 'node:child_process';
import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isAlive } from './alive.ts';
import { startControlPlane } from './plane.ts';
import type { ControlPlane } from './plane.ts';
import { PINNED, PLANE_VERSIONS } from './versions.ts';

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 30_000;
  while (!(await what())) {
    if (Date.now() > end) throw new Error(`not in 30 s: ${what}`);
    await sleep(50);
  }
}

/** Refuses ConfigMaps that are named `forbidden`. */
const POLICY = {
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: 'ValidatingAdmissionPolicy',
  metadata: { name: 'no-forbidden' },
  spec: {
    failurePolicy: 'Fail',
    matchConstraints: {
      resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['configmaps'] }],
    },
    validations: [{ expression: "object.metadata.name != 'forbidden'", message: 'not this name' }],
  },
};
const BINDING = {
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: 'ValidatingAdmissionPolicyBinding',
  metadata: { name: 'no-forbidden' },
  spec: { policyName: 'no-forbidden', validationActions: ['Deny'] },
};
const configMap = (name: string): object => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } });

describe.each(PLANE_VERSIONS)('a control plane of %s', (version) => {
  let plane: ControlPlane;
  beforeAll(async () => {
    plane = await startControlPlane({ version, users: { alice: ['people'] } });
  });
  afterAll(() => plane?.stop());

  it('runs that version', async () => {
    const { body } = await plane.request('GET', '/version');
    expect(body).toMatchObject({ major: '1', minor: version.slice(2) });
    // Whatever the source: the pinned patch version, or the one that envtest or the user has.
    expect(body).toHaveProperty('gitVersion', expect.stringContaining(PINNED[version].kubernetes.slice(0, 5)));
  });

  it('knows its users, and RBAC refuses what they may not', async () => {
    const list = (token: string | undefined) => plane.request('GET', '/api/v1/secrets', { token: token ?? '' });
    expect((await list(plane.tokens['admin'])).status).toBe(200);
    expect((await list(plane.tokens['alice'])).status).toBe(403);
    expect((await list('nobody')).status).toBe(401);
  });

  it('gives a kubeconfig that the official client reads, and keeps it to the owner', async () => {
    const config = new KubeConfig();
    config.loadFromFile(plane.kubeconfigPath);
    expect(config.getCurrentCluster()).toMatchObject({ server: plane.url, skipTLSVerify: false });
    expect(Buffer.from(config.getCurrentCluster()?.caData ?? '', 'base64').toString()).toBe(plane.ca);
    expect((await stat(plane.kubeconfigPath)).mode & 0o777).toBe(0o600);
  });

  it('issues service account tokens that it then accepts', async () => {
    await plane.request('POST', '/api/v1/namespaces/default/serviceaccounts', {
      body: { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'robot' } },
    });
    const { body } = await plane.request('POST', '/api/v1/namespaces/default/serviceaccounts/robot/token', {
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} },
    });
    const { token } = (body as { status: { token: string } }).status;
    const review = await plane.request('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {
      token,
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
    });
    expect(review.body).toMatchObject({ status: { userInfo: { username: 'system:serviceaccount:default:robot' } } });
  });

  it('keeps admission policies', async () => {
    const policies = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies';
    expect((await plane.request('POST', policies, { body: POLICY })).status).toBe(201);
    expect(
      (await plane.request('POST', policies.replace('policies', 'policybindings'), { body: BINDING })).status,
    ).toBe(201);
    // It takes effect within a second or so of its creation.
    await until(async () => {
      const { status, text } = await plane.request('POST', '/api/v1/namespaces/default/configmaps?dryRun=All', {
        body: configMap('forbidden'),
      });
      return status === 422 && text.includes('not this name');
    });
    const allowed = await plane.request('POST', '/api/v1/namespaces/default/configmaps', { body: configMap('fine') });
    expect(allowed.status).toBe(201);
  });

  it('keeps its data over a crash and a restart of the API server', async () => {
    const { pid, startedAt } = plane.apiserver;
    expect(await plane.kill()).toMatchObject({ signal: 'SIGKILL' });
    expect(plane.apiserver.running).toBe(false);
    await expect(plane.ready()).rejects.toThrow('the kube-apiserver ended');
    await plane.start();
    expect(plane.apiserver.pid).not.toBe(pid);
    expect(plane.apiserver.startedAt).toBeGreaterThan(startedAt);
    await plane.restart();
    const kept = await plane.request('GET', '/api/v1/namespaces/default/serviceaccounts/robot');
    expect(kept.status).toBe(200);
  });

  it('leaves no process and no file behind when it stops', async () => {
    const { pid = 0 } = plane.apiserver;
    await plane.stop();
    expect(isAlive(pid)).toBe(false);
    expect(await isThere(plane.root)).toBe(false);
  });
});

/** A process that starts a plane, says which, and waits to be killed. */
const OWNER = `
const { startControlPlane } = await import('./test/control-plane/plane.ts');
const plane = await startControlPlane({ version: '1.36', run: process.argv[1] });
console.log(JSON.stringify({ root: plane.root, pid: plane.apiserver.pid }));
setInterval(() => {}, 1000);
`;

describe('a control plane whose owner goes', () => {
  it.each(['direct', 'manifest'])('ends with a killed process, run %s', async (run) => {
    const args = ['--import', './test/house/typescript.mjs', '--input-type=module', '-e', OWNER, run];
    const owner = spawn(process.execPath, args, {
      cwd: join(import.meta.dirname, '../..'),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const line = await new Promise<string>((resolve, reject) => {
      owner.stdout.once('data', (d: Buffer) => resolve(d.toString()));
      owner.once('close', () => reject(new Error('the owner ended')));
    });
    const { root, pid } = JSON.parse(line) as { root: string; pid: number };
    const etcds = await pidsWith(root);
    expect(isAlive(pid)).toBe(true);
    expect(etcds.length).toBeGreaterThanOrEqual(2);
    owner.kill('SIGKILL');
    await until(() => !isAlive(pid) && !etcds.some(isAlive));
    await until(async () => !(await isThere(root)));
  });

  it('ends with its signal, and a start that is under way is given up', async () => {
    for (const ms of [50, 300, 1_000]) {
      const early = new AbortController();
      const starting = startControlPlane({ version: '1.36', signal: early.signal });
      await Promise.all([sleep(ms).then(() => early.abort(new Error('enough'))), expect(starting).rejects.toThrow()]);
      expect(await serversOf(process.pid)).toEqual([]);
    }
    const late = new AbortController();
    const plane = await startControlPlane({ version: '1.36', signal: late.signal });
    const { pid = 0 } = plane.apiserver;
    expect(await serversOf(process.pid)).toHaveLength(2);
    late.abort();
    await until(async () => !isAlive(pid) && !(await isThere(plane.root)));
  });

  it('says the last words of a kube-apiserver that does not start', async () => {
    const start = startControlPlane({ version: '1.36', flags: ['--audit-policy-file={root}/none.yaml'] });
    await expect(start).rejects.toThrow(/none\.yaml: no such file or directory/);
  });
});

/** Processes of this machine that have `text` in their arguments. */
async function pidsWith(text: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((n) => /^\d+$/.test(n)).map(Number);
  const lines = await Promise.all(pids.map((p) => readFile(`/proc/${p}/cmdline`, 'utf8').catch(() => '')));
  return pids.filter((p, i) => p !== process.pid && (lines[i] ?? '').includes(text));
}

/** The etcds and kube-apiservers among the children of a process. */
async function serversOf(parent: number): Promise<number[]> {
  const pids = await pidsWith('auditconfig-plane-');
  const stats = await Promise.all(pids.map((p) => readFile(`/proc/${p}/stat`, 'utf8').catch(() => '')));
  // pid (comm) state ppid ...
  return pids.filter((_, i) => (stats[i] ?? '').split(') ').at(-1)?.split(' ')[1] === String(parent));
}
