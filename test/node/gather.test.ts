/** What is read of a real folder: what the kubelet would read there, whatever else somebody left in it. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { realDisk } from '../../src/host/disk.ts';
import { revision } from '../targets/revisions.ts';
import { MANIFEST, SPEC } from './fixture.ts';

const KUBEADM = readFileSync(`${import.meta.dirname}/../targets/static-pod/golden/kubeadm-1.36/before.yaml`);

describe('the manifests folder', () => {
  const root = mkdtempSync(join(tmpdir(), 'auditconfig-gather-'));
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it('may hold a snapshot of etcd and a pipe: neither is read, and the manifest is planned for', async () => {
    const folder = join(root, '/etc/kubernetes/manifests');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(root, MANIFEST), KUBEADM);
    writeFileSync(join(folder, 'etcd-snapshot.db'), '');
    // A hole in a file takes no space.
    truncateSync(join(folder, 'etcd-snapshot.db'), 3 * 1024 ** 3);
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    mkdirSync(join(folder, 'backup'));
    const to = revision();
    const seen = await SPEC.gather(realDisk(root), to);
    expect(['etcd-snapshot.db', 'pipe', 'backup'].map((name) => seen.files.get(`${folder.slice(root.length)}/${name}`))).toEqual([null, null, null]); // prettier-ignore
    expect(SPEC.plan(to, seen)).toMatchObject({ restarts: true });
  });
});
