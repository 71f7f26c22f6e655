/** What was set by hand and already is what is wanted is adopted without an edit and without a restart. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Minor } from '../../../src/api/versions.ts';
import type { Revision } from '../../../src/render/types.ts';
import type { MemoryDisk } from '../../host/memory-disk.ts';
import { revision } from '../revisions.ts';
import type { RevisionSketch } from '../revisions.ts';
import { bring, driftOn, MANIFEST, nodeWith } from '../static-pod-host.ts';

const DOCS = readFileSync(`${import.meta.dirname}/golden/adopts-what-the-documentation-says/before.yaml`, 'utf8');
const BY_HAND = DOCS.replace('/etc/kubernetes/pki/audit-webhook.kubeconfig', 'X')
  .replace(/ {4}- --audit-webhook-config-file=X\n/, '')
  .replace('--audit-log-maxage=30', '--audit-log-maxage=30\n    - --audit-log-maxbackup=10');
const POLICY = '# by hand\napiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n';
const WANTED: RevisionSketch = { logDir: '/var/log/kubernetes/audit' };

const node = (manifest = BY_HAND, policy = POLICY): MemoryDisk =>
  nodeWith(manifest, { '/etc/kubernetes/audit-policy.yaml': policy });
const on = (version: Minor, r: Revision): Revision => ({ ...r, versions: [version] });

describe('a manifest that was set up by hand', () => {
  it('stays as it is where it already does what is wanted, and is remembered', async () => {
    const disk = node();
    const to = revision(WANTED);
    const plan = await bring(disk, to);
    expect(plan.restarts).toBe(false);
    expect(disk.text(MANIFEST)).toBe(BY_HAND);
    expect(plan.findings.map((f) => f.code)).toContain('FlagAdopted');
    expect(await driftOn(disk, to)).toEqual([]);
    expect((await bring(disk, to)).changes).toEqual([]);
  });

  it('is edited as soon as something differs, and given back', async () => {
    for (const [manifest, policy, sketch] of [
      [BY_HAND, POLICY.replace('Metadata', 'Request'), WANTED],
      [BY_HAND, 'not a policy', WANTED],
      [BY_HAND, POLICY, { ...WANTED, flags: { '--audit-log-maxage': '31' } }],
      [BY_HAND, POLICY, { ...WANTED, flags: { '--audit-log-mode': 'batch' } }],
      [BY_HAND, POLICY, { ...WANTED, logDir: '/var/log/elsewhere' }],
      [DOCS, POLICY, WANTED],
    ] as const) {
      const disk = node(manifest, policy);
      const plan = await bring(disk, revision(sketch));
      expect(plan.restarts).toBe(true);
      expect(await driftOn(disk, revision(sketch))).toEqual([]);
      await bring(disk, null);
      expect(disk.text(MANIFEST)).toBe(manifest);
    }
  });

  it('is edited when someone changes the policy file that was adopted', async () => {
    const disk = node();
    const to = revision(WANTED);
    await bring(disk, to);
    disk.put('/etc/kubernetes/audit-policy.yaml', POLICY.replace('Metadata', 'None'));
    expect(await driftOn(disk, to)).not.toEqual([]);
    expect((await bring(disk, to)).restarts).toBe(true);
    expect(await driftOn(disk, to)).toEqual([]);
  });

  it('counts what is not set with the default of that Kubernetes version', async () => {
    const bare = BY_HAND.replace(/ {4}- --audit-log-max.*\n/g, '');
    const to = revision({ ...WANTED, flags: { '--audit-log-maxage': '366', '--audit-log-maxbackup': '100' } });
    expect((await bring(node(bare), on('1.36', to))).restarts).toBe(false);
    expect((await bring(node(bare), on('1.35', to))).restarts).toBe(true);
  });

  it('leaves no trace of having been adopted', async () => {
    const disk = node();
    const before = disk.snapshot();
    await bring(disk, revision(WANTED));
    await bring(disk, null);
    expect(disk.snapshot()).toEqual(before);
  });
});
