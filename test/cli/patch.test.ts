/** `patch` and `diff` on a folder that plays the node's disk. */
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run as diff } from '../../src/cli/diff.ts';
import { run as patch } from '../../src/cli/patch.ts';
import { IO as io, NodeFolder } from './node-folder.ts';

const GOLDEN = join(import.meta.dirname, '../targets/static-pod/golden');
const HEAD = 'apiVersion: auditconfig.dev/v1alpha1\nkind: AuditConfig\nmetadata: {name: here, namespace: audit}\n';
const CONFIG = `${HEAD}spec:\n  target: {type: StaticPod, staticPod: {}}\n  policy: {preset: metadata}\n`;

const MANIFEST = '/etc/kubernetes/manifests/kube-apiserver.yaml';

let node: NodeFolder;
let root: string;
let manifest: string;

beforeEach(async () => {
  const text = await readFile(join(GOLDEN, 'kubeadm-1.36/before.yaml'), 'utf8');
  node = await NodeFolder.make({ [MANIFEST]: text }, CONFIG);
  root = node.root;
  manifest = node.at(MANIFEST);
});
afterEach(() => node.remove());

const at = (): string[] => ['--manifest', manifest, '--root', root];
const withFile = (): string[] => [...at(), '-f', node.config];
const config = (text: string): Promise<void> => writeFile(node.config, text);

describe('auditconfig patch', () => {
  it('writes policy and manifest below the root, does it once, and takes away exactly what it added', async () => {
    const before = await node.tree();
    const first = await patch(withFile(), io);
    expect(first.code).toBe(0);
    const text = await readFile(manifest, 'utf8');
    const policy = /--audit-policy-file=(\S+)/.exec(text)?.[1] ?? '';
    expect(policy).toMatch(/^\/etc\/kubernetes\/auditconfig\/revisions\/[0-9a-f]{16}\/policy\.yaml$/);
    expect(await readFile(join(root, policy), 'utf8')).toContain('audit.k8s.io/v1');
    expect((await stat(join(root, policy))).mode & 0o777).toBe(0o600);
    const second = await node.unchanged(() => patch(withFile(), io));
    expect(second).toMatchObject({ code: 0, stdout: 'Nothing to change.\n' });
    expect((await patch([...at(), '--remove'], io)).code).toBe(0);
    expect(await node.tree()).toEqual(before);
  });

  it('keeps a backup outside of the manifests folder', async () => {
    const before = await readFile(manifest, 'utf8');
    await patch(withFile(), io);
    expect(await readdir(join(root, 'etc/kubernetes/manifests'))).toEqual(['kube-apiserver.yaml']);
    const [backup = ''] = await readdir(join(root, 'var/lib/auditconfig/backups'));
    expect(await readFile(join(root, 'var/lib/auditconfig/backups', backup), 'utf8')).toBe(before);
  });

  it('shows a unified diff with --dry-run, as diff does, and changes nothing', async () => {
    const shown = await node.unchanged(() => patch([...withFile(), '--dry-run'], io));
    expect(shown.stdout).toContain(`--- ${manifest}\n+++ ${manifest}\n@@ `);
    expect(shown.stdout).toMatch(/^\+ {4}- --audit-policy-file=/m);
    expect(shown.stdout).toContain('--- /dev/null\n');
    expect((await node.unchanged(() => diff(withFile(), io))).stdout).toBe(shown.stdout);
    await patch(withFile(), io);
    expect((await diff(withFile(), io)).stdout).toBe('');
    const removal = await node.unchanged(() => diff([...at(), '--remove'], io));
    expect(removal.stdout).toMatch(/^- {4}- --audit-policy-file=/m);
  });

  it('refuses a root that is not there, and a file for one', async () => {
    for (const wrong of [join(root, 'nowhere'), manifest]) {
      const { code, stderr } = await node.unchanged(() =>
        patch(['--manifest', manifest, '-f', node.config, '--root', wrong], io),
      );
      expect([code, stderr]).toEqual([1, expect.stringContaining(wrong)]);
    }
  });

  it('says line and column of what is odd in the manifest', async () => {
    const text = await readFile(manifest, 'utf8');
    const odd = text.replace(/^( +)- --allow-privileged=true$/m, '$1- --allow-privileged=true --profiling=false');
    await writeFile(manifest, odd);
    const line = odd.split('\n').findIndex((l) => l.includes('--profiling=false')) + 1;
    expect(line).toBeGreaterThan(1);
    const { stderr } = await diff(withFile(), io);
    expect(stderr).toMatch(new RegExp(`:${line}:7: warning: .*\\[SeveralFlagsInOneArgument\\]`));
  });

  it('shows drift', async () => {
    await patch(withFile(), io);
    await writeFile(
      manifest,
      (await readFile(manifest, 'utf8')).replace('--audit-log-maxage=', '--audit-log-maxage=9'),
    );
    expect((await diff(withFile(), io)).stdout).toMatch(/^-.*--audit-log-maxage=9/m);
  });

  it.each([
    [
      'that does not validate',
      `${HEAD}spec:\n  target: {type: StaticPod, staticPod: {}}\n  policy: {rules: [{level: Metadatum}]}\n`,
    ],
    ['that is no AuditConfig', 'kind: Pod\n'],
    ['with a log in a forbidden folder', `${CONFIG}  log: {type: File, file: {path: /etc/audit/audit.log}}\n`],
  ])('changes no file and exits 1 for a file %s', async (_, text) => {
    await config(text);
    const result = await node.unchanged(() => patch(withFile(), io));
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/: error: .*\[[A-Za-z]+\]\n/);
  });

  it('changes no file and exits 1 for a manifest that it does not understand', async () => {
    await writeFile(manifest, 'kind: Pod\n');
    expect((await node.unchanged(() => patch(withFile(), io))).code).toBe(1);
    await rm(manifest);
    expect((await node.unchanged(() => patch(withFile(), io))).stderr).toContain('[ManifestMissing]');
  });

  it('changes no file and exits 1 for a file that cannot be read', async () => {
    await rm(node.config);
    expect((await node.unchanged(() => patch(withFile(), io))).code).toBe(1);
    expect((await diff(withFile(), io)).code).toBe(1);
  });

  it.each([
    ['v1.37.0', true],
    ['v1.36.9', false],
    ['v1.26.0', false],
    ['v1.25.16@sha256:abc', true],
    ['latest', false],
  ])('warns of the image %s: %s', async (tag, warned) => {
    await writeFile(manifest, (await readFile(manifest, 'utf8')).replace(/(kube-apiserver):v1\.\S+/, `$1:${tag}`));
    const { code, stderr } = await patch([...withFile(), '--dry-run'], io);
    expect({ code, warned: stderr?.includes('[KubernetesVersionUntested]') }).toEqual({ code: 0, warned });
    expect((await patch([...at(), '--remove'], io)).stderr).not.toContain('[KubernetesVersionUntested]');
  });

  it('refuses a second definition in a manifests folder, and warns of one elsewhere', async () => {
    await writeFile(`${manifest}.bak`, await readFile(manifest));
    expect((await node.unchanged(() => patch(withFile(), io))).stderr).toContain('[SecondDefinition]');
    const copy = join(root, 'work');
    await mkdir(copy);
    await writeFile(join(copy, 'a.yaml'), await readFile(manifest));
    await writeFile(join(copy, 'b.yaml'), await readFile(manifest));
    const args = ['--manifest', join(copy, 'a.yaml'), '--root', root, '-f', node.config];
    const result = await patch(args, io);
    expect([result.code, result.stderr]).toEqual([0, expect.stringContaining('warning')]);
  });

  it('takes a manifest outside of the root as given', async () => {
    const elsewhere = await mkdtemp(join(tmpdir(), 'auditconfig-manifest-'));
    try {
      const path = join(elsewhere, 'kube-apiserver.yaml');
      const before = await readFile(manifest, 'utf8');
      await writeFile(path, before);
      const args = ['--manifest', path, '--root', root];
      expect((await patch([...args, '-f', node.config], io)).code).toBe(0);
      expect(await readFile(path, 'utf8')).toContain('--audit-policy-file=');
      expect(await readdir(elsewhere)).toEqual(['kube-apiserver.yaml']);
      expect(await readdir(join(root, 'etc/kubernetes/auditconfig/revisions'))).toHaveLength(1);
      expect((await patch([...args, '--remove'], io)).code).toBe(0);
      expect(await readFile(path, 'utf8')).toBe(before);
    } finally {
      await rm(elsewhere, { recursive: true });
    }
  });

  it('leaves another manifest of the host its policy, whichever of the two is given back first', async () => {
    const before = await node.tree();
    const copy = node.at('/srv/copy/kube-apiserver.yaml');
    await node.write('/srv/copy/kube-apiserver.yaml', await readFile(manifest, 'utf8'));
    const ofCopy = ['--manifest', copy, '--root', root];
    const policyOf = async (file: string): Promise<string> => {
      const path = /--audit-policy-file=(\S+)/.exec(await readFile(file, 'utf8'))?.[1] ?? '';
      return readFile(join(root, path), 'utf8');
    };
    await patch(withFile(), io);
    await patch([...ofCopy, '-f', node.config], io);
    expect((await patch([...ofCopy, '--remove'], io)).code).toBe(0);
    expect(await policyOf(manifest)).toContain('audit.k8s.io/v1');
    await config(CONFIG.replace('metadata}', 'minimal}'));
    await patch([...ofCopy, '-f', node.config], io);
    await patch([...at(), '--remove'], io);
    expect(await policyOf(copy)).toContain('audit.k8s.io/v1');
    expect(await readdir(join(root, 'etc/kubernetes/auditconfig/revisions'))).toHaveLength(1);
    await patch([...ofCopy, '--remove'], io);
    await rm(node.at('/srv'), { recursive: true });
    expect(await node.tree()).toEqual(before);
  });

  it('says that there is no manifest to take anything out of', async () => {
    const wrong = ['--manifest', node.at('/etc/kubernetes/manifests/kube-apiservr.yaml'), '--root', root, '--remove'];
    const { code, stderr } = await node.unchanged(() => patch(wrong, io));
    expect([code, stderr]).toEqual([1, expect.stringContaining('[ManifestMissing]')]);
    expect((await diff(wrong, io)).code).toBe(1);
  });

  it('takes back what is left where the manifest itself was deleted', async () => {
    await patch(withFile(), io);
    await rm(manifest);
    expect((await patch([...at(), '--remove'], io)).code).toBe(0);
    expect(Object.keys(await node.tree()).filter((p) => p.includes('auditconfig'))).toEqual([]);
  });

  it('knows a manifest again by whichever path the root is reached', async () => {
    const before = await node.tree();
    await symlink(root, `${root}-link`);
    const linked = `${root}-link`;
    await patch(['--manifest', join(linked, MANIFEST), '--root', linked, '-f', node.config], io);
    expect((await patch(['--manifest', join(linked, MANIFEST), '--root', root, '--remove'], io)).stderr).toBe('');
    expect(await node.tree()).toEqual(before);
  });

  it('removes what it added where the state is Disabled', async () => {
    const before = await node.tree();
    await patch(withFile(), io);
    await config(CONFIG.replace('spec:\n', 'spec:\n  state: Disabled\n'));
    expect((await patch(withFile(), io)).code).toBe(0);
    expect(await node.tree()).toEqual(before);
  });

  it('never prints a policy that came from a Secret', async () => {
    const policy = 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata, users: [hidden-name]}]\n';
    await config(
      `${HEAD}spec:\n  target: {type: StaticPod, staticPod: {}}\n  policy: {secretRef: {name: p}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: p, namespace: audit}\ndata: {policy.yaml: ${Buffer.from(policy).toString('base64')}}\n`,
    );
    const result = await diff(withFile(), io);
    expect(result.code).toBe(0);
    expect(`${result.stdout}${result.stderr}`).not.toContain('hidden-name');
    expect(result.stdout).toContain('confidential');
    await patch(withFile(), io);
    const removals = [await diff([...at(), '--remove'], io), await patch([...at(), '--remove', '--dry-run'], io)];
    for (const { code, stdout } of removals) {
      expect([code, stdout]).toEqual([0, expect.stringMatching(/policy\.yaml\n\+\+\+ \/dev\/null\n/)]);
      expect(stdout).not.toContain('hidden-name');
    }
  });

  it('does not come between an agent and its change', async () => {
    await mkdir(join(root, 'var/lib/auditconfig'), { recursive: true });
    await writeFile(join(root, 'var/lib/auditconfig/state.json'), '{}');
    expect((await node.unchanged(() => patch(withFile(), io))).stderr).toContain('[ChangeInFlight]');
  });

  it('says what is wrong with its arguments', async () => {
    expect((await patch(['--manifest', manifest], io)).code).toBe(2);
    expect((await patch([...withFile(), '--remove'], io)).code).toBe(2);
    for (const version of ['new', '1.25', '1.37'])
      expect((await patch([...withFile(), '--kubernetes-version', version], io)).code).toBe(2);
  });
});

describe('the manifest of CozyFex’s document, as printed', () => {
  beforeEach(async () => {
    await writeFile(manifest, await readFile(join(GOLDEN, 'cozyfex/before.yaml')));
    await config(`${CONFIG}  log: {type: File, file: {path: /var/log/k8-audit.log}, retention: {maxAgeDays: 30}}\n`);
  });

  it('gets the volumes and mounts that it leaves to the reader, and keeps its log path', async () => {
    const result = await patch(withFile(), io);
    expect(result.code).toBe(0);
    const text = await readFile(manifest, 'utf8');
    expect(text).toContain('        - --audit-log-path=/var/log/k8-audit.log\n');
    expect(text).toContain('        - --audit-log-maxage=30\n');
    expect(text).toMatch(/volumeMounts:\n[^]*volumes:\n/);
  });

  it('is explained: rotation needs the folder, and two flags in one line are one argument', async () => {
    const result = await diff(withFile(), io);
    expect(result.stderr).toContain('[LogFolderShared]');
    expect(result.stderr).toContain('[SeveralFlagsInOneArgument]');
    expect(result.stderr).toMatch(/rotation renames/i);
  });

  it('is given back as printed', async () => {
    const before = await node.tree();
    await patch(withFile(), io);
    await patch([...at(), '--remove'], io);
    expect(await node.tree()).toEqual(before);
  });
});
