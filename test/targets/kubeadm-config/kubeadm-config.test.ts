/**
 * kubeadm-config is edited as little as can be, in both versions of its API, and given back; what is not understood is
 * refused and nothing is written. That kubeadm itself reads what comes out: test/cluster/kubeadm.node.test.ts.
 */
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { DEFAULT_LAYOUT, revisionDir } from '../../../src/targets/host-layout.ts';
import { hunks, splitLines } from '../../../src/targets/diff.ts';
import { revision } from '../revisions.ts';
import { config, annotated, OWNER, plan, V3, V4, written } from './configs.ts';
import type { ClusterConfigurationView } from './configs.ts';

const REVISION = revision();
const POLICY = `${revisionDir(REVISION.digest, DEFAULT_LAYOUT)}/policy.yaml`;
const read = (text: string): ClusterConfigurationView => parse(text) as ClusterConfigurationView;
const codes = (p: ReturnType<typeof plan>): readonly string[] =>
  p.kind === 'Refused' ? p.findings.map((f) => f.code) : [p.kind];

describe('kubeadm-config with a revision', () => {
  it('v1beta4: flags and volumes are lists, in the order of the revision, behind what is there', () => {
    const { text } = written(plan(REVISION, config(V4)));
    const { extraArgs, extraVolumes } = read(text).apiServer ?? {};
    expect(extraArgs).toEqual([
      { name: 'authorization-mode', value: 'Node,RBAC' },
      { name: 'v', value: '2' },
      ...REVISION.flags.map((f) => ({ name: f.name.slice(2), value: expect.any(String) as string })),
    ]);
    expect(extraArgs).toContainEqual({ name: 'audit-policy-file', value: POLICY });
    expect(extraVolumes).toEqual([
      {
        hostPath: DEFAULT_LAYOUT.revisionsDir,
        mountPath: DEFAULT_LAYOUT.revisionsDir,
        name: 'auditconfig-revisions',
        pathType: 'DirectoryOrCreate',
        readOnly: true,
      },
      {
        hostPath: '/var/log/kube-audit',
        mountPath: '/var/log/kube-audit',
        name: 'auditconfig-log',
        pathType: 'DirectoryOrCreate',
      },
    ]);
  });

  it('v1beta3: flags are a map of strings', () => {
    const { extraArgs } = read(written(plan(REVISION, config(V3))).text).apiServer ?? {};
    expect(extraArgs).toMatchObject({
      'authorization-mode': 'Node,RBAC',
      'audit-policy-file': POLICY,
      'audit-log-maxage': '30',
      'audit-log-compress': 'false',
    });
  });

  it.each([
    ['v1beta3', V3],
    ['v1beta4', V4],
  ])('%s: every line that was there stays as it is, comments too', (_, before) => {
    const { text } = written(plan(REVISION, config(before)));
    const [a, b] = [splitLines(before), splitLines(text)];
    expect(hunks(a, b).filter((h) => h.aTo > h.aFrom)).toEqual([]);
  });

  it('an apiServer that kubeadm left empty, and one that is not there, are filled', () => {
    const none = 'apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: v1.36.3\n';
    for (const before of [`apiServer: {}\n${none}`, none, `apiServer:\n${none}`]) {
      const { text, annotation } = written(plan(REVISION, config(before)));
      expect(read(text).apiServer?.extraArgs).toHaveLength(REVISION.flags.length);
      expect(written(plan(null, annotated(text, annotation))).text).toBe(before);
    }
  });

  it('a second plan writes nothing, nor does one after kubeadm wrote the same in its own way', () => {
    const { text, annotation } = written(plan(REVISION, config(V4)));
    expect(plan(REVISION, annotated(text, annotation))).toEqual({ kind: 'Same' });
    const rewritten = `${JSON.stringify(parse(text), null, 1)}\n`;
    expect(rewritten).not.toBe(text);
    expect(plan(REVISION, annotated(rewritten, annotation))).toEqual({ kind: 'Same' });
  });

  it('another revision takes the place of the one before; removal still gives back the first text', () => {
    const first = written(plan(REVISION, config(V4)));
    const other = revision({ policy: '{"kind":"Policy"}', flags: { '--audit-log-maxage': '7' } });
    const second = written(plan(other, annotated(first.text, first.annotation)));
    const args = read(second.text).apiServer?.extraArgs as { name: string; value: string }[];
    expect(args.filter((a) => a.name === 'audit-log-maxage')).toEqual([{ name: 'audit-log-maxage', value: '7' }]);
    expect(second.text).not.toContain(REVISION.digest.slice(0, 16));
    expect(written(plan(null, annotated(second.text, second.annotation))).text).toBe(V4);
  });

  it('a revision that logs to standard output needs one volume only', () => {
    const { text } = written(plan(revision({ logDir: null }), config(V4)));
    expect(read(text).apiServer?.extraVolumes?.map((v) => v.name)).toEqual(['auditconfig-revisions']);
    expect(text).toContain('value: "-"');
  });

  it('a webhook is named by the file that the node has', () => {
    const to = revision({ webhook: 'apiVersion: v1\nkind: Config\n' });
    const { text } = written(plan(to, config(V3)));
    expect(read(text).apiServer?.extraArgs).toHaveProperty(
      'audit-webhook-config-file',
      `${revisionDir(to.digest, DEFAULT_LAYOUT)}/webhook.yaml`,
    );
  });
});

describe('what somebody had set in kubeadm-config by hand', () => {
  const BY_HAND = `${V4.replace(
    '  - name: v\n',
    '  - name: audit-log-path # ours since 2019\n    value: /var/log/old.log\n  - name: audit_log_maxage\n    value: "1"\n  - name: audit-log-maxage\n    value: "2"\n  - name: v\n',
  )}`;

  it('is adopted where it stands, said, and given back', () => {
    const planned = plan(REVISION, config(BY_HAND));
    const { text, annotation } = written(planned);
    expect(planned.kind === 'Write' && planned.findings.map((f) => f.code)).toEqual(Array(3).fill('FlagAdopted'));
    const args = read(text).apiServer?.extraArgs as { name: string; value: string }[];
    expect(args.filter((a) => /audit.log.maxage/.test(a.name))).toEqual([{ name: 'audit_log_maxage', value: '30' }]);
    expect(text).toContain('# ours since 2019');
    expect(written(plan(null, annotated(text, annotation))).text).toBe(BY_HAND);
  });

  it('is given back too when kubeadm wrote the whole of it anew meanwhile', () => {
    const { text, annotation } = written(plan(REVISION, config(BY_HAND)));
    const upgraded = JSON.stringify({ ...read(text), kubernetesVersion: 'v1.37.0' });
    const back = read(written(plan(null, annotated(upgraded, annotation))).text);
    const want = read(BY_HAND);
    const byName = (c: ClusterConfigurationView): unknown =>
      (c.apiServer?.extraArgs as { name: string; value: string }[])
        .map((a) => `${a.name.replaceAll('_', '-')}=${a.value}`)
        .sort();
    expect(byName(back)).toEqual(byName(want));
    expect({ ...back, apiServer: undefined }).toEqual({ ...want, kubernetesVersion: 'v1.37.0', apiServer: undefined });
    expect(back.apiServer?.extraVolumes).toBeUndefined();
  });

  it('from v1beta3, written as v1beta4 by an upgrade: ours goes, the rest stays', () => {
    const { text, annotation } = written(plan(REVISION, config(V3)));
    const { apiServer, ...rest } = read(text);
    const extraArgs = Object.entries(apiServer?.extraArgs ?? {}).map(([name, value]) => ({
      name,
      value: value as string,
    }));
    const migrated = JSON.stringify({
      ...rest,
      apiVersion: 'kubeadm.k8s.io/v1beta4',
      apiServer: { ...apiServer, extraArgs },
    });
    expect(plan(REVISION, annotated(migrated, annotation))).toEqual({ kind: 'Same' });
    const back = read(written(plan(null, annotated(migrated, annotation))).text);
    expect(back.apiServer).toEqual({
      certSANs: ['localhost'],
      extraArgs: [{ name: 'authorization-mode', value: 'Node,RBAC' }],
    });
  });

  it('a volume by hand that shows the log folder, writable, is used', () => {
    const before = V4.replace(
      'apiServer:\n',
      'apiServer:\n  extraVolumes:\n  - name: logs\n    hostPath: /var/log\n    mountPath: /var/log\n',
    );
    const { text } = written(plan(REVISION, config(before)));
    expect(read(text).apiServer?.extraVolumes?.map((v) => v.name)).toEqual(['logs', 'auditconfig-revisions']);
  });
});

describe('somebody else writes', () => {
  const { text, annotation } = written(plan(REVISION, config(V4)));

  it('what they changed besides stays, when ours is taken out', () => {
    const edited = text.replace('value: "2"', 'value: "4"').replace('networking:', '# by ops\nnetworking:');
    expect(written(plan(null, annotated(edited, annotation))).text).toBe(
      V4.replace('value: "2"', 'value: "4"').replace('networking:', '# by ops\nnetworking:'),
    );
  });

  it('a flag of ours that they changed, and a volume that they took out, are put right', () => {
    const edited = text.replace('value: "30"', 'value: "3"');
    expect(written(plan(REVISION, annotated(edited, annotation))).text).toBe(text);
    const without = text.replace(/ {2}- hostPath: \/var\/log\/kube-audit\n(?: {4}.*\n)*/, '');
    expect(without).not.toBe(text);
    expect(written(plan(REVISION, annotated(without, annotation))).text).toBe(text);
  });

  it('all of ours gone with another file: it is put in again, and the newer text is what removal gives back', () => {
    const newer = V4.replace('v1.36.3', 'v1.36.9');
    const again = written(plan(REVISION, annotated(newer, annotation)));
    expect(written(plan(null, annotated(again.text, again.annotation))).text).toBe(newer);
  });

  it('a lost or spoilt record: our flags and volumes go, none are given back', () => {
    const back = written(plan(null, annotated(text, '{"version":7}'))).text;
    expect(read(back)).toEqual(read(V4));
    expect(back).toBe(V4);
  });

  it('without our annotation nothing is taken out', () => {
    expect(plan(null, config(text))).toEqual({ kind: 'Same' });
    expect(plan(null, config('rubbish'))).toEqual({ kind: 'Same' });
  });

  it('an AuditConfig that takes over writes its name, and no other byte', () => {
    const owner = { ...OWNER, uid: 'another' };
    const over = written(plan(REVISION, annotated(text, annotation), owner));
    expect(over.text).toBe(text);
    expect(JSON.parse(over.annotation ?? '')).toMatchObject({ owner, before: V4 });
  });
});

describe('refused, and nothing is written', () => {
  it.each([
    ['v1beta2', V4.replace('v1beta4', 'v1beta2'), 'KubeadmConfigVersion'],
    ['a version that nobody knows yet', V4.replace('v1beta4', 'v1beta5'), 'KubeadmConfigVersion'],
    ['another kind', V4.replace('ClusterConfiguration', 'InitConfiguration'), 'KubeadmConfigVersion'],
    ['no YAML', `${V4}\t- : [`, 'KubeadmConfigUnreadable'],
    ['no map', 'just words', 'KubeadmConfigUnreadable'],
    ['nothing', '', 'KubeadmConfigUnreadable'],
    ['two documents', `${V4}---\n${V4}`, 'KubeadmConfigUnreadable'],
    ['a key twice', `${V4}kind: ClusterConfiguration\n`, 'KubeadmConfigUnreadable'],
    ['a list where v1beta3 has a map', V4.replace('v1beta4', 'v1beta3'), 'KubeadmConfigUnreadable'],
    ['a map where v1beta4 has a list', V3.replace('v1beta3', 'v1beta4'), 'KubeadmConfigUnreadable'],
    ['a flag that is no string', V4.replace('value: "2"', 'value: 2'), 'KubeadmConfigUnreadable'],
    [
      'a read-only volume at the log folder',
      V4.replace(
        'apiServer:\n',
        'apiServer:\n  extraVolumes:\n  - name: logs\n    hostPath: /var/log/kube-audit\n    mountPath: /var/log/kube-audit\n    readOnly: true\n',
      ),
      'LogFolderReadOnly',
    ],
    [
      'a volume with our name that is not ours',
      V4.replace(
        'apiServer:\n',
        'apiServer:\n  extraVolumes:\n  - name: auditconfig-log\n    hostPath: /a\n    mountPath: /a\n',
      ),
      'VolumeNameTaken',
    ],
  ])('%s', (_, text, code) => {
    expect(codes(plan(REVISION, config(text)))).toEqual([code]);
  });

  it('a ConfigMap without the key', () => {
    expect(codes(plan(REVISION, { text: undefined, annotation: undefined }))).toEqual(['KubeadmConfigUnreadable']);
  });

  it('taking ours out of a version that nobody knows yet', () => {
    const { text, annotation } = written(plan(REVISION, config(V4)));
    expect(codes(plan(null, annotated(text.replace('v1beta4', 'v1beta5'), annotation)))).toEqual([
      'KubeadmConfigVersion',
    ]);
  });
});
