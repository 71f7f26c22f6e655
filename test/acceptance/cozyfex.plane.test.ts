/**
 * CozyFex's three flags, set by hand on a node that runs, with the volumes and mounts that its page leaves to the
 * reader: the policy and the log, each mounted as a file, as the Kubernetes documentation shows it. The operator adopts
 * them, explains what cannot stay so, and gives all of it back. (The page's manifest as printed, which no API server
 * would start with, is in cozyfex.test.ts.)
 */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { PLANE_VERSIONS } from '../control-plane/versions.ts';
import type { Manifest } from '../operator/install.ts';
import { NODE_NAME, Operator, conditionOf } from '../operator/operator.ts';
import { AuditedClient } from './audited.ts';

const FLAGS = [
  '--audit-log-path=/var/log/k8-audit.log',
  '--audit-policy-file=/etc/kubernetes/audit-policy.yaml',
  '--audit-log-maxage=30',
];
const POLICY = readFileSync(`${import.meta.dirname}/fixtures/cozyfex.policy.yaml`, 'utf8');

/** The edit that the page asks for, done well. */
function byHand(manifest: string): string {
  const flags = FLAGS.map((f) => `    - ${f}\n`).join('');
  const mounts = `    - mountPath: /etc/kubernetes/audit-policy.yaml
      name: audit
      readOnly: true
    - mountPath: /var/log/k8-audit.log
      name: audit-log
`;
  const volumes = `  - name: audit
    hostPath: {path: /etc/kubernetes/audit-policy.yaml, type: File}
  - name: audit-log
    hostPath: {path: /var/log/k8-audit.log, type: FileOrCreate}
`;
  return manifest
    .replace('    - kube-apiserver\n', `    - kube-apiserver\n${flags}`)
    .replace('    volumeMounts:\n', `    volumeMounts:\n${mounts}`)
    .replace(/^ {2}volumes:\n/m, `  volumes:\n${volumes}`);
}

const config = (log: Record<string, unknown>): Manifest => ({
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'AuditConfig',
  metadata: { name: 'control-plane', namespace: 'auditconfig-system' },
  spec: {
    target: { type: 'StaticPod' },
    policy: { preset: 'sample' },
    log,
    rollout: { minReadySeconds: 0, timeoutSeconds: 60 },
  },
});

describe.each(PLANE_VERSIONS.map((v) => [v] as const))("CozyFex's flags, adopted, on kube-apiserver %s", (version) => {
  let plane: ControlPlane;
  let operator: Operator;
  let original: string;
  const manifest = (): Promise<string> => readFile(plane.manifestPath, 'utf8');
  const levelIn = async (log: string): Promise<string | undefined> => {
    const client = new AuditedClient(plane, join(plane.root, log));
    const sent = await client.send({ method: 'GET', path: '/api/v1/namespaces/default/configmaps/nobody' });
    return (await client.seen([sent]))[0]?.level;
  };

  beforeAll(async () => {
    plane = await startControlPlane({
      version,
      run: 'manifest',
      manifest: byHand,
      files: { 'etc/kubernetes/audit-policy.yaml': POLICY },
    });
    original = await manifest();
    operator = await Operator.start({ plane });
  });
  afterAll(async () => {
    await operator?.stop();
    await plane?.stop();
  });

  it('runs as it was set by hand', async () => {
    expect(original).toContain(FLAGS.join('\n    - '));
    expect(await levelIn('var/log/k8-audit.log')).toBe('Metadata');
  });

  it('explains that its log cannot rotate where the file itself is mounted, and leaves the node as it is', async () => {
    const same = config({ file: { path: '/var/log/k8-audit.log' } });
    await operator.apply(same);
    const held = await operator.until(same, { type: 'Ready', status: 'False', reason: 'NodeHeld' });
    expect(conditionOf(held, 'Ready')?.message).toMatch(/k8-audit\.log.*[Rr]otation.*LogFileMounted/s);
    expect(conditionOf(held, 'Accepted')?.message).toContain('LogFolderShared');
    expect(await manifest()).toBe(original);
  });

  it('adopts the three flags with a log in a folder of its own', async () => {
    const own = config({ type: 'File' });
    expect((await operator.apply(own)).status).toBe(200);
    await operator.until(own, { type: 'Ready', status: 'True' });
    const node = { apiVersion: 'auditconfig.dev/v1alpha1', kind: 'AuditNode', metadata: { name: NODE_NAME } };
    const { status } = (await operator.get(node)) as { status: { adopted: { flags: string[] } } };
    expect([...status.adopted.flags].sort()).toEqual([...FLAGS].sort());
    const [log = '', policy = '', age = ''] = FLAGS;
    const now = await manifest();
    expect([now.includes(log), now.includes(policy), now.includes(age)]).toEqual([false, false, true]);
    expect(await levelIn('var/log/kube-audit/audit.log')).toBe('Metadata');
  });

  it('gives the manifest back as it was, byte for byte, and it runs', async () => {
    const since = Date.now();
    await operator.delete(config({ type: 'File' }));
    await operator.untilGone(config({ type: 'File' }));
    expect(await manifest()).toBe(original);
    await plane.ready(undefined, since);
    expect(await levelIn('var/log/k8-audit.log')).toBe('Metadata');
  });
});
