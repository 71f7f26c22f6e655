/** What cannot be edited safely is refused with a code, and the disk is as it was. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { editText } from '../../../src/targets/static-pod/exact.ts';
import { readManifestText } from '../../../src/targets/static-pod/manifest.ts';
import type { MemoryDisk } from '../../host/memory-disk.ts';
import { revision } from '../revisions.ts';
import type { RevisionSketch } from '../revisions.ts';
import { bring, MANIFEST, nodeWith, planOn, refusalsOn } from '../static-pod-host.ts';

const KUBEADM = readFileSync(`${import.meta.dirname}/golden/kubeadm-1.36/before.yaml`, 'utf8');

const swap = (from: string, to: string): string => {
  expect(KUBEADM).toContain(from);
  return KUBEADM.replace(from, to);
};
const withMount = (mount: string, volume: string): string =>
  swap('    volumeMounts:\n', `    volumeMounts:\n    - ${mount}\n`).replace(
    '  volumes:\n',
    `  volumes:\n  - ${volume}\n`,
  );

async function refused(disk: MemoryDisk, sketch: RevisionSketch = {}): Promise<readonly string[]> {
  const before = disk.snapshot();
  const codes = await refusalsOn(disk, revision(sketch));
  expect(disk.snapshot()).toEqual(before);
  return codes;
}

describe('a static-pod manifest is refused', () => {
  it.each<[string, string | Uint8Array, string]>([
    ['that is not UTF-8', new Uint8Array([0x61, 0xff, 0xfe]), 'ManifestUnreadable'],
    ['that is empty', '', 'ManifestUnreadable'],
    ['that is not YAML', 'a: [b\nc: d', 'ManifestUnreadable'],
    ['that begins as JSON and is not', '{kind: Pod, apiVersion: v1}', 'ManifestUnreadable'],
    ['with a key given twice', swap('kind: Pod\n', 'kind: Pod\nkind: Pod\n'), 'ManifestUnreadable'],
    ['with several documents', `${KUBEADM}---\nkind: Pod\n`, 'SeveralDocuments'],
    ['with an anchor', swap('hostNetwork: true', 'hostNetwork: &yes true'), 'ManifestHasAnchors'],
    ['that is no pod', swap('kind: Pod', 'kind: PodList'), 'ManifestNotAPod'],
    [
      'without kube-apiserver',
      KUBEADM.replaceAll('- kube-apiserver', '- kube-proxy').replaceAll('name: kube-apiserver', 'name: x'),
      'NoApiServerContainer',
    ],
    [
      'with two of them',
      swap('  hostNetwork: true', '  - name: another\n    command: [/bin/kube-apiserver, --v=2]\n  hostNetwork: true'),
      'SeveralApiServerContainers',
    ],
    [
      'whose command is a shell',
      swap('    - kube-apiserver\n', '    - /bin/sh\n    - -c\n    - exec kube-apiserver\n'),
      'CommandIsShell',
    ],
    ['whose command is something else', swap('    - kube-apiserver\n', '    - /bin/wrapper\n'), 'CommandNotUnderstood'],
    ['where `--` ends the flags', swap('    - --allow-privileged=true\n', '    - --\n'), 'CommandNotUnderstood'],
    ['whose arguments hold a number', swap('    - --allow-privileged=true\n', '    - 2\n'), 'ArgumentNotText'],
    [
      'whose last audit flag lacks its value',
      swap('apiserver.key\n    image', 'apiserver.key\n    - --audit-log-path\n    image'),
      'FlagWithoutValue',
    ],
    ['whose list is no list', swap('    volumeMounts:\n', '    volumeMounts: 3\n    xs:\n'), 'ManifestNotAPod'],
  ])('%s', async (_, manifest, code) => {
    expect(await refused(nodeWith(manifest))).toEqual([code]);
  });

  it('that is not there, or is a link', async () => {
    const none = nodeWith('');
    none.live.delete(MANIFEST);
    expect(await refused(none)).toEqual(['ManifestMissing']);
    const link = nodeWith(KUBEADM);
    link.live.set(MANIFEST, { kind: 'link', mode: 0o777, owner: { uid: 0, gid: 0 }, bytes: new Uint8Array() });
    expect(await refused(link)).toEqual(['ManifestIsLink']);
  });

  it('with a backup in the same folder, which is named', async () => {
    const disk = nodeWith(KUBEADM, { '/etc/kubernetes/manifests/kube-apiserver.yaml.bak': KUBEADM });
    const plan = await planOn(disk, revision());
    expect('refused' in plan && plan.refused[0]).toMatchObject({
      code: 'SecondDefinition',
      message: expect.stringContaining('kube-apiserver.yaml.bak') as unknown,
    });
  });

  it.each([
    ['several documents, of which the kubelet reads the first', `${KUBEADM}---\n${KUBEADM}`],
    ['another document behind it that is no YAML', `${KUBEADM}---\na: [b\n`],
    ['a key that is given twice', KUBEADM.replace('kind: Pod\n', 'kind: Pod\nkind: Pod\n')],
  ])('for a second definition with %s', async (_, text) => {
    expect(await refused(nodeWith(KUBEADM, { '/etc/kubernetes/manifests/kube-apiserver.yaml.bak': text }))).toEqual([
      'SecondDefinition',
    ]);
  });

  it('for a log that its user could not write, in a folder of somebody else', async () => {
    const kubeadm = swap('  securityContext:\n', '  securityContext:\n    runAsUser: 996\n');
    const [folder, log] = ['/var/log/kube-audit', '/var/log/kube-audit/audit.log'];
    const made = (mode: number, uid: number, manifest = kubeadm): MemoryDisk => {
      const disk = nodeWith(manifest);
      disk.folder('/var/log');
      disk.live.set(folder, { kind: 'dir', mode, owner: { uid, gid: 0 }, bytes: new Uint8Array() });
      disk.put(`${folder}/of-another-program.txt`, '');
      return disk;
    };
    expect(await refused(made(0o755, 0))).toEqual(['LogNotWritable']);
    for (const disk of [made(0o755, 996), made(0o775, 0), made(0o1777, 0), made(0o755, 0, KUBEADM)])
      expect(await refused(disk)).toEqual([]);
    const disk = made(0o755, 996);
    disk.put(log, '{}', 0o600);
    expect(await refused(disk)).toEqual(['LogNotWritable']);
    const own = made(0o755, 0);
    own.live.delete(`${folder}/of-another-program.txt`);
    own.put(log, '{}', 0o600);
    own.put(`${folder}/audit-2026-11-21T10-00-00.000.log`, '{}', 0o600);
    await bring(own, revision());
    expect([folder, log].map((path) => own.live.get(path)?.owner.uid)).toEqual([996, 996]);
    const besides = (name: string): MemoryDisk => {
      const disk = made(0o755, 0);
      disk.live.delete(`${folder}/of-another-program.txt`);
      disk.put(`${folder}/${name}`, '{}', 0o600);
      return disk;
    };
    // The last dot is the extension's.
    const rotated = besides('kube.audit-2026-11-21T10-00-00.000.log');
    expect(await refused(rotated, { logName: 'kube.audit.log' })).toEqual([]);
    expect(await refused(besides('audit-of-last-year.txt'))).toEqual(['LogNotWritable']);
  });

  it.each<[string, string, readonly string[]]>([
    ['auditd’s', 'type=DAEMON_START msg=audit(1763766000.123:1): op=start\n', ['LogTaken']],
    ['another program’s in JSON', '{"level":"info","msg":"hello"}\n{"level":"info"}\n', ['LogTaken']],
    ['of an API server', `{"kind":"Event","auditID":"x","stage":"Panic"}\n{"kind":"Eve`, []],
    ['of an API server in the format Legacy', '2026-11-21T10:00:00.0Z AUDIT: id="x" stage="Panic"\n', []],
    [
      'of an API server, with large bodies',
      `{"kind":"Event","auditID":"x","requestObject":"${'x'.repeat(100_000)}"}\n`,
      [],
    ],
    ['empty', '', []],
    ['nothing but half a line', `${'x'.repeat(100_000)}`, []],
    ['what a power cut left', '\0'.repeat(4096), []],
  ])('for a log that is there and is %s', async (_, text, codes) => {
    const log = '/var/log/audit/audit.log';
    const sketch = { logDir: '/var/log/audit' };
    expect(await refused(nodeWith(KUBEADM, { [log]: text }), sketch)).toEqual(codes);
    // Inside its container alone it writes another file; where the folder is mounted, this one is its own.
    const flag = '    - --allow-privileged=true\n';
    const inside = KUBEADM.replace(flag, `${flag}    - --audit-log-path=${log}\n`);
    const mounted = inside
      .replace('    volumeMounts:\n', '    volumeMounts:\n    - {mountPath: /var/log/audit, name: theirs}\n')
      .replace('  volumes:\n', '  volumes:\n  - {hostPath: {path: /var/log/audit}, name: theirs}\n');
    expect(await refused(nodeWith(inside, { [log]: text }), sketch)).toEqual(codes);
    expect(await refused(nodeWith(mounted, { [log]: text }), sketch)).toEqual([]);
  });

  it('not for other pods, files that do not parse and dotfiles in its folder', async () => {
    const folder = '/etc/kubernetes/manifests';
    const disk = nodeWith(KUBEADM, {
      [`${folder}/etcd.yaml`]: 'apiVersion: v1\nkind: Pod\nmetadata: {name: etcd, namespace: kube-system}\n',
      [`${folder}/elsewhere.yaml`]: 'apiVersion: v1\nkind: Pod\nmetadata: {name: kube-apiserver, namespace: default}\n',
      [`${folder}/notes.txt`]: 'a: [',
      [`${folder}/aliases.txt`]: 'a: *b',
      [`${folder}/.kube-apiserver.yaml`]: KUBEADM,
    });
    expect(await refused(disk)).toEqual([]);
  });
});

describe('a log is refused', () => {
  const audit = 'hostPath: {path: /var/log/kube-audit/audit.log, type: FileOrCreate}\n    name: a';
  it.each<[string, string, RevisionSketch, string]>([
    [
      'whose file is itself a mount',
      withMount('{mountPath: /var/log/kube-audit/audit.log, name: a}', audit),
      {},
      'LogFileMounted',
    ],
    [
      'whose folder is mounted read-only',
      withMount(
        '{mountPath: /var/log/kube-audit, name: a, readOnly: true}',
        'hostPath: {path: /var/log/kube-audit}\n    name: a',
      ),
      {},
      'LogFolderReadOnly',
    ],
    [
      'whose folder is another folder of the host',
      withMount('{mountPath: /var/log/kube-audit/, name: a}', 'hostPath: {path: /data/audit}\n    name: a'),
      {},
      'FolderMountedElsewhere',
    ],
    [
      'whose folder is no folder of the host',
      withMount('{mountPath: /var/log/kube-audit, name: a}', 'emptyDir: {}\n    name: a'),
      {},
      'FolderMountedElsewhere',
    ],
    [
      'whose folder is a part of a volume',
      withMount(
        '{mountPath: /var/log/kube-audit, name: a, subPath: x}',
        'hostPath: {path: /var/log/kube-audit}\n    name: a',
      ),
      {},
      'FolderMountedElsewhere',
    ],
    ['in the manifests folder', KUBEADM, { logDir: '/etc/kubernetes/manifests' }, 'LogFolderForbidden'],
    ['in a folder above our own', KUBEADM, { logDir: '/var/lib' }, 'LogFolderForbidden'],
    ['below /etc', KUBEADM, { logDir: '/etc/logs' }, 'LogFolderForbidden'],
    ['outside of any folder', KUBEADM, { logDir: '/' }, 'LogFolderForbidden'],
    ['on a path that climbs', KUBEADM, { logDir: '/var/log/../lib/etcd' }, 'LogPathInvalid'],
    [
      'where a volume of the name is someone else’s',
      withMount('{mountPath: /x, name: auditconfig-log}', 'emptyDir: {}\n    name: auditconfig-log'),
      {},
      'VolumeNameTaken',
    ],
  ])('%s', async (_, manifest, sketch, code) => {
    expect(await refused(nodeWith(manifest), sketch)).toContain(code);
  });

  it('where something else than a file stands', async () => {
    const folder = nodeWith(KUBEADM);
    folder.folder('/var/log/kube-audit/audit.log');
    expect(await refused(folder)).toEqual(['LogPathNotAFile']);
    expect(await refused(nodeWith(KUBEADM, { '/var/log/kube-audit': 'x' }))).toEqual(['LogFolderNotAFolder']);
  });

  it('not where a mount above shows the same folder', async () => {
    const disk = nodeWith(withMount('{mountPath: /var/log, name: a}', 'hostPath: {path: /var/log}\n    name: a'));
    await bring(disk, revision());
    expect(disk.text(MANIFEST)).not.toContain('auditconfig-log');
    expect(disk.text(MANIFEST)).toContain('auditconfig-revisions');
  });
});

describe('an edit that does not come out as meant', () => {
  it('is not made: text and plain data must agree', () => {
    const read = readManifestText(KUBEADM);
    if ('refused' in read) throw new Error('the fixture is refused');
    const op = { op: 'Set', list: 'command', index: 1, value: '--advertise-address=10.0.0.99' } as const;
    expect(editText(read.ok, [op])).toBe(KUBEADM.replace('--advertise-address=10.0.0.11', op.value));
    // As if the places were wrong by one line: what a fault in the text edit would do.
    expect(editText({ ...read.ok, text: `#\n${KUBEADM}` }, [op])).toBeNull();
  });
});
