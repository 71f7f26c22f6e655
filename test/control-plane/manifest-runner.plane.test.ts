/** The stand-in for the kubelet with a real kube-apiserver: what a change of the manifest does, and what it does not. */
import { mkdir, readFile, readdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listApiServers } from '../../src/host/processes.ts';
import { APISERVER_POD } from './apiserver.ts';
import type { PodView } from './manifest-runner.ts';
import { startControlPlane } from './plane.ts';
import type { ControlPlane } from './plane.ts';

let plane: ControlPlane;
let good: string;

beforeAll(async () => {
  plane = await startControlPlane({ version: '1.36', run: 'manifest' });
  good = await readFile(plane.manifestPath, 'utf8');
});
afterAll(() => plane?.stop());

const pod = (): PodView => {
  const view = plane.runner?.pod(APISERVER_POD);
  if (view === undefined) throw new Error('no such pod');
  return view;
};

async function until(what: () => boolean | Promise<boolean>, ms = 60_000): Promise<void> {
  const end = Date.now() + ms;
  while (!(await what())) {
    if (Date.now() > end) throw new Error(`not in ${ms} ms: ${what}`);
    await sleep(20);
  }
}

/** As an agent installs it: a dotfile in the same folder, then a rename. */
async function install(manifest: string): Promise<void> {
  const staged = join(dirname(plane.manifestPath), '.kube-apiserver.yaml.new');
  await writeFile(staged, manifest);
  await rename(staged, plane.manifestPath);
}

/** Installed, and ready in a process that started since. */
async function installAndWait(manifest: string): Promise<void> {
  const before = Date.now();
  await install(manifest);
  await plane.ready(undefined, before);
}

const AUDIT_FLAGS = (policy: string): string =>
  `    - --audit-policy-file=${policy}\n    - --audit-log-path=/var/log/kube-audit/audit.log\n    image:`;
const MOUNTS = `    volumeMounts:
    - {mountPath: /etc/kubernetes/audit, name: audit-policy, readOnly: true}
    - {mountPath: /var/log/kube-audit, name: audit-log}
`;
const VOLUMES = `  volumes:
  - hostPath: {path: /etc/kubernetes/audit, type: Directory}
    name: audit-policy
  - hostPath: {path: /var/log/kube-audit, type: DirectoryOrCreate}
    name: audit-log
`;
const withFlags = (text: string): string =>
  text.replace('    image:', AUDIT_FLAGS('/etc/kubernetes/audit/policy.yaml'));
const withMounts = (text: string): string =>
  text.replace('    volumeMounts:\n', MOUNTS).replace('  volumes:\n', VOLUMES);

describe('the manifest runner with a real kube-apiserver', () => {
  it('serves what the manifest says, and restarts nothing for a comment', async () => {
    const { pid } = pod();
    const { apiServers } = (await listApiServers(join(plane.root, 'proc'))) ?? {};
    expect(apiServers).toMatchObject([
      { pid, args: expect.arrayContaining([`--secure-port=${plane.port}`]) as unknown },
    ]);
    expect((await plane.request('GET', '/version')).body).toMatchObject({ minor: '36' });
    await install(`# a comment\n${good.replace('  hostNetwork: true', '\n  hostNetwork:   true   # here too')}`);
    await sleep(1_500);
    expect(pod().pid).toBe(pid);
    expect(pod().restarts).toBe(0);
  });

  it('writes audit events through a mounted folder, in a process that started after the old one was gone', async () => {
    await mkdir(join(plane.root, 'etc/kubernetes/audit'), { recursive: true });
    const policy = '{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[{"level":"Metadata"}]}';
    await writeFile(join(plane.root, 'etc/kubernetes/audit/policy.yaml'), policy);
    await installAndWait(withMounts(withFlags(good)));
    await plane.request('GET', '/api/v1/namespaces/kube-system');
    const log = join(plane.root, 'var/log/kube-audit/audit.log');
    await until(async () => (await readFile(log, 'utf8')).includes('/api/v1/namespaces/kube-system'));
    const order = (plane.runner?.events ?? []).map((e) => e.what).slice(-3);
    expect(order).toEqual(['Applied', 'Gone', 'Started']);
  });

  it('lets the API server fail on a policy file that no mount covers, and comes back with the good manifest', async () => {
    await install(withFlags(good));
    await until(() => pod().restarts >= 1);
    expect(pod().lines.join('\n')).toMatch(/policy\.yaml: no such file or directory/);
    await installAndWait(good);
    expect(pod().restarts).toBe(0);
  });

  it('loses the log of a path that no mount covers, as a container does', async () => {
    await mkdir(join(plane.root, 'etc/kubernetes/audit'), { recursive: true });
    const policyOnly = MOUNTS.split('\n').filter((l) => !l.includes('audit-log')).join('\n'); // prettier-ignore
    const manifest = withFlags(good)
      .replace('    volumeMounts:\n', policyOnly)
      .replace('  volumes:\n', VOLUMES)
      .replaceAll('/var/log/kube-audit', '/var/log/elsewhere');
    await installAndWait(manifest);
    expect(await readdir(join(plane.root, 'var/log/elsewhere'))).toEqual([]);
  });

  it('does not start with a hostPath of type Directory that is not there, and says why', async () => {
    await install(withMounts(good).replace('path: /etc/kubernetes/audit', 'path: /etc/kubernetes/missing'));
    await until(() => pod().phase === 'FailedMount');
    expect(pod().message).toContain('/etc/kubernetes/missing is not a directory');
    expect(pod().pid).toBeUndefined();
  });

  it('fails with an audit log in a read-only mount', async () => {
    await install(withMounts(withFlags(good)).replace('name: audit-log}', 'name: audit-log, readOnly: true}'));
    await until(() => pod().restarts >= 1);
    expect(pod().lines.at(-1)).toContain('read-only file system');
  });

  it('starts a crashed API server again by itself', async () => {
    await installAndWait(good);
    const { pid } = pod();
    await plane.kill('SIGKILL');
    await until(() => pod().pid !== undefined && pod().pid !== pid);
    await plane.ready();
    expect(pod().restarts).toBe(1);
  });
});
