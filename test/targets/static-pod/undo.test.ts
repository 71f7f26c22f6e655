/** Removal and later revisions keep what others changed in the manifest meanwhile, and give back what was there before. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { splitLines, unifiedDiff } from '../../../src/targets/diff.ts';
import { recordPath } from '../../../src/targets/record.ts';
import { DEFAULT_LAYOUT } from '../../../src/targets/host-layout.ts';
import type { MemoryDisk } from '../../host/memory-disk.ts';
import { revision } from '../revisions.ts';
import { bring, driftOn, MANIFEST, nodeWith } from '../static-pod-host.ts';

const KUBEADM = readFileSync(`${import.meta.dirname}/golden/kubeadm-1.36/before.yaml`, 'utf8');
const BY_HAND = readFileSync(`${import.meta.dirname}/golden/adopts-what-the-documentation-says/before.yaml`, 'utf8');
const RECORD = recordPath(MANIFEST, DEFAULT_LAYOUT);

function edit(disk: MemoryDisk, from: string | RegExp, to: string): void {
  const text = disk.text(MANIFEST) ?? '';
  const changed = text.replace(from, to);
  expect(changed).not.toBe(text);
  disk.put(MANIFEST, changed);
}

const changedLines = (a: string, b: string): readonly string[] =>
  splitLines(unifiedDiff({ name: 'a', text: a }, { name: 'b', text: b }))
    .slice(2)
    .filter((l) => /^[-+]/.test(l))
    .map((l) => l.trimEnd());

describe('a change of the policy alone', () => {
  it('changes one line of the manifest', async () => {
    const disk = nodeWith(KUBEADM);
    await bring(disk, revision());
    const first = disk.text(MANIFEST) ?? '';
    const plan = await bring(disk, revision({ policy: 'other\n' }));
    const lines = changedLines(first, disk.text(MANIFEST) ?? '');
    expect(lines.map((l) => l.replace(/[0-9a-f]{16}/, 'DIGEST'))).toEqual([
      '-    - --audit-policy-file=/etc/kubernetes/auditconfig/revisions/DIGEST/policy.yaml',
      '+    - --audit-policy-file=/etc/kubernetes/auditconfig/revisions/DIGEST/policy.yaml',
    ]);
    expect(lines[0]?.slice(1)).not.toBe(lines[1]?.slice(1));
    expect(plan.restarts).toBe(true);
  });
});

describe('someone else’s edit of an edited manifest', () => {
  it('stays when a new revision comes, and when ours is removed', async () => {
    const disk = nodeWith(BY_HAND);
    await bring(disk, revision());
    edit(
      disk,
      'image: registry.k8s.io/kube-apiserver:v1.36.3',
      'image: registry.k8s.io/kube-apiserver:v1.36.4 # upgraded',
    );
    edit(disk, '    - --authorization-mode=Node,RBAC\n', '    - --authorization-mode=Node,RBAC\n    - --v=4\n');
    const theirs = BY_HAND.replace('v1.36.3', 'v1.36.4 # upgraded').replace(
      '=Node,RBAC\n',
      '=Node,RBAC\n    - --v=4\n',
    );
    const second = revision({ policy: 'other\n', logDir: '/var/log/elsewhere' });
    await bring(disk, second);
    expect(await driftOn(disk, second)).toEqual([]);
    expect(disk.text(MANIFEST)).toContain('v1.36.4 # upgraded');
    await bring(disk, null);
    expect(disk.text(MANIFEST)).toBe(theirs);
  });

  it('beside our own lines stays too', async () => {
    const disk = nodeWith(KUBEADM);
    await bring(disk, revision());
    edit(disk, '    - --audit-log-compress=false\n', '    - --audit-log-compress=false\n    - --v=6\n');
    await bring(disk, null);
    const args = (parse(disk.text(MANIFEST) ?? '') as { spec: { containers: { command: string[] }[] } }).spec
      .containers[0]?.command;
    expect(args?.filter((a) => a.includes('audit'))).toEqual([]);
    expect(args).toContain('--v=6');
  });

  it('of our flags is drift: it is named, put right, and leaves nothing at removal', async () => {
    const disk = nodeWith(BY_HAND);
    const to = revision();
    await bring(disk, to);
    const good = disk.text(MANIFEST);
    edit(disk, '--audit-log-maxage=30', '--audit-log-maxage=1');
    edit(disk, '    - --audit-log-mode=blocking\n', '    - --audit-webhook-mode=batch\n');
    expect(await driftOn(disk, to)).toEqual([
      'FlagDrift --audit-log-maxage',
      'FlagDrift --audit-log-mode',
      'FlagDrift --audit-webhook-mode',
    ]);
    await bring(disk, to);
    expect(await driftOn(disk, to)).toEqual([]);
    const flags = (text: string | null): string[] => [...(text ?? '').matchAll(/--audit-\S+/g)].map((m) => m[0]).sort();
    expect(flags(disk.text(MANIFEST))).toEqual(flags(good));
    await bring(disk, null);
    expect(flags(disk.text(MANIFEST))).toEqual(flags(BY_HAND));
  });

  it('of our mounts and of the policy file is drift', async () => {
    const disk = nodeWith(KUBEADM);
    const to = revision();
    await bring(disk, to);
    edit(disk, /    - mountPath: \/var\/log\/kube-audit\n.*\n/, '');
    const policy = `${DEFAULT_LAYOUT.revisionsDir}/${to.digest.slice(0, 16)}/policy.yaml`;
    disk.put(policy, 'rules: []\n');
    expect(await driftOn(disk, to)).toEqual(['MountDrift spec.volumes', `FileDrift ${policy}`]);
    await bring(disk, to);
    expect(await driftOn(disk, to)).toEqual([]);
  });

  it('that writes the manifest anew (kubeadm upgrade) is the new original', async () => {
    const disk = nodeWith(BY_HAND);
    await bring(disk, revision());
    const anew = KUBEADM.replaceAll('v1.36.3', 'v1.36.9').replace(
      '    - --client-ca',
      '    - --audit-log-maxage=3\n    - --client-ca',
    );
    disk.put(MANIFEST, anew);
    const plan = await bring(disk, revision());
    expect(plan.findings.map((f) => `${f.code} ${f.path}`)).toEqual(['FlagAdopted --audit-log-maxage']);
    await bring(disk, null);
    expect(disk.text(MANIFEST)).toBe(anew);
  });
});

describe('a lost record', () => {
  it('is said, and all audit flags and mounts of ours go', async () => {
    const disk = nodeWith(KUBEADM);
    await bring(disk, revision());
    disk.live.delete(RECORD);
    const plan = await bring(disk, null);
    expect(plan.findings.map((f) => f.code)).toEqual(['RecordMissing']);
    expect(parse(disk.text(MANIFEST) ?? '')).toEqual(parse(KUBEADM));
  });

  it('or a broken one is no reason to stop', async () => {
    const disk = nodeWith(KUBEADM);
    await bring(disk, revision());
    disk.put(RECORD, '{"version":1');
    await bring(disk, null);
    expect(disk.text(RECORD)).toBeNull();
    expect(parse(disk.text(MANIFEST) ?? '')).toEqual(parse(KUBEADM));
  });
});

describe('removal', () => {
  it('does nothing on a node that has nothing of ours', async () => {
    expect((await bring(nodeWith(BY_HAND), null)).changes).toEqual([]);
  });

  it('keeps the logs', async () => {
    const disk = nodeWith(KUBEADM);
    await bring(disk, revision());
    disk.put('/var/log/kube-audit/audit.log', '{}\n');
    await bring(disk, null);
    expect(disk.text('/var/log/kube-audit/audit.log')).toBe('{}\n');
  });

  it('cleans up where the API server is gone', async () => {
    const disk = nodeWith(KUBEADM);
    await bring(disk, revision());
    disk.live.delete(MANIFEST);
    await bring(disk, null);
    expect(Object.keys(disk.snapshot()).filter((p) => p.includes('auditconfig'))).toEqual([]);
  });
});

describe('what a revision puts on the host', () => {
  it('is readable for the API server’s user alone, secrets included', async () => {
    const disk = nodeWith(
      KUBEADM.replace('  securityContext:\n', '  securityContext:\n    runAsUser: 996\n    runAsGroup: 995\n'),
    );
    const to = revision({ webhook: 'token: x\n', token: 'hunter2', confidential: true, readerGroup: 42 });
    const plan = await bring(disk, to);
    const dir = `${DEFAULT_LAYOUT.revisionsDir}/${to.digest.slice(0, 16)}`;
    const as = (path: string): unknown => {
      const e = disk.live.get(path);
      return [e?.mode.toString(8), e?.owner.uid, e?.owner.gid];
    };
    expect([dir, `${dir}/policy.yaml`, `${dir}/webhook.yaml`, `${dir}/token`].map(as)).toEqual([
      ['700', 996, 995],
      ['600', 996, 995],
      ['600', 996, 995],
      ['600', 996, 995],
    ]);
    expect(as('/var/log/kube-audit')).toEqual(['750', 996, 42]);
    expect(as('/var/log/kube-audit/audit.log')).toEqual(['640', 996, 42]);
    expect(JSON.stringify(plan.changes)).not.toMatch(/token:|hunter2/);
    expect(JSON.stringify(plan.changes)).toContain('[secret]');
  });

  it('becomes that of the API server’s new user, where its manifest was written anew with one', async () => {
    const disk = nodeWith(KUBEADM);
    const to = revision({ webhook: 'token: x\n', token: 'hunter2', readerGroup: 42 });
    await bring(disk, to);
    const dir = `${DEFAULT_LAYOUT.revisionsDir}/${to.digest.slice(0, 16)}`;
    const as = (path: string): unknown => {
      const e = disk.live.get(path);
      return [e?.mode.toString(8), e?.owner.uid, e?.owner.gid];
    };
    expect(as(`${dir}/policy.yaml`)).toEqual(['600', 0, 0]);
    disk.put(MANIFEST, KUBEADM.replace('  securityContext:\n', '  securityContext:\n    runAsUser: 996\n'));
    await bring(disk, to);
    expect([dir, `${dir}/policy.yaml`, `${dir}/webhook.yaml`, `${dir}/token`].map(as)).toEqual([
      ['700', 996, 0],
      ['600', 996, 0],
      ['600', 996, 0],
      ['600', 996, 0],
    ]);
    expect(['/var/log/kube-audit', '/var/log/kube-audit/audit.log'].map(as)).toEqual([
      ['750', 996, 42],
      ['640', 996, 42],
    ]);
    expect((await bring(disk, to)).changes).toEqual([]);
    await bring(disk, null);
    expect(disk.live.has(dir)).toBe(false);
  });

  it('is another token without another manifest, and goes with the revision', async () => {
    const disk = nodeWith(KUBEADM);
    const [one, two] = ['one', 'two'].map((token) => revision({ webhook: 'x\n', token }));
    await bring(disk, one ?? null);
    const before = disk.text(MANIFEST);
    const plan = await bring(disk, two ?? null);
    const path = `${DEFAULT_LAYOUT.revisionsDir}/${two?.digest.slice(0, 16)}/token`;
    expect(plan.restarts).toBe(false);
    expect(plan.changes.map((c) => 'path' in c && c.path)).toEqual([path]);
    expect([disk.text(path), disk.text(MANIFEST)]).toEqual(['two', before]);
    await bring(disk, null);
    expect(Object.keys(disk.snapshot()).filter((p) => p.includes('auditconfig'))).toEqual([]);
  });

  it('leaves mode and owner of the manifest as they are', async () => {
    const disk = nodeWith(KUBEADM);
    disk.put(MANIFEST, KUBEADM, 0o644);
    await bring(disk, revision());
    expect(disk.live.get(MANIFEST)?.mode).toBe(0o644);
  });
});
