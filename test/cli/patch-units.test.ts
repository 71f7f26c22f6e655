/** `patch` and `diff` where systemd starts the API server: units, K3s and RKE2, with the guarantees that manifests have. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run as diff } from '../../src/cli/diff.ts';
import { run as patch } from '../../src/cli/patch.ts';
import type { CommandResult } from '../../src/cli/types.ts';
import { fixtures as rancher } from '../targets/contract/rancher.ts';
import { HARD_WAY, UNIT, fixture as systemd } from '../targets/contract/systemd.ts';
import type { Files } from '../targets/contract/fixture.ts';
import { IO, NodeFolder } from './node-folder.ts';

const configFor = (target: string, more = ''): string =>
  `apiVersion: auditconfig.dev/v1alpha1\nkind: AuditConfig\nmetadata: {name: here, namespace: audit}\nspec:\n  target: {type: ${target}}\n  policy: {preset: metadata}\n${more}`;

let node: NodeFolder;
afterEach(() => node.remove());

/** `--manifest`-like arguments of a place on that disk. */
type Where = (root: string) => string[];
type Case = { readonly name: string; readonly target: string; readonly files: Files; readonly where: Where; readonly edited: string; readonly restart: string }; // prettier-ignore
const RELOAD = 'systemctl daemon-reload && systemctl restart kube-apiserver.service';
const CASES: readonly Case[] = [
  {
    name: 'a unit by its name',
    target: 'Systemd',
    files: systemd.bare,
    where: () => ['--unit', 'kube-apiserver.service'],
    edited: UNIT,
    restart: RELOAD,
  },
  {
    name: 'a unit by its file',
    target: 'Systemd',
    files: systemd.bare,
    where: (root) => ['--unit', join(root, UNIT)],
    edited: UNIT,
    restart: RELOAD,
  },
  {
    name: 'the usual unit',
    target: 'Systemd',
    files: systemd.bare,
    where: () => ['--target', 'systemd'],
    edited: UNIT,
    restart: RELOAD,
  },
  ...rancher.map(({ name, bare, unit }): Case => {
    const edited = `/etc/rancher/${name.toLowerCase()}/config.yaml.d/99-auditconfig.yaml`;
    const where: Where = () => ['--target', name.toLowerCase()];
    return { name, target: name, files: bare, where, edited, restart: `systemctl restart ${unit ?? ''}` };
  }),
];

describe.each(CASES)('$name', ({ target, files, where, edited, restart }) => {
  beforeEach(async () => {
    node = await NodeFolder.make(files, configFor(target));
  });
  const at = (): string[] => [...where(node.root), '--root', node.root];
  const withFile = (): string[] => [...at(), '-f', node.config, '--kubernetes-version', '1.36'];

  it('gets policy and flags once, is told how it takes effect, and loses exactly what was added', async () => {
    const before = await node.tree();
    const first = await patch(withFile(), IO);
    expect(first).toMatchObject({ code: 0, stderr: '' });
    const text = await node.read(edited);
    const policy = /audit-policy-file=([^\s"]+)/.exec(text)?.[1] ?? '';
    expect(await node.read(policy)).toContain('audit.k8s.io/v1');
    expect(first.stdout).toContain(`It takes effect with: ${restart}\n`);
    expect(await node.unchanged(() => patch(withFile(), IO))).toMatchObject({
      code: 0,
      stdout: 'Nothing to change.\n',
    });
    expect((await patch([...at(), '--remove'], IO)).stdout).toContain(restart);
    expect(await node.tree()).toEqual(before);
    expect((await patch([...at(), '--remove'], IO)).stdout).toBe('Nothing to change.\n');
  });

  it('shows a unified diff with --dry-run, as diff does, and changes nothing', async () => {
    const shown = await node.unchanged(() => patch([...withFile(), '--dry-run'], IO));
    expect(shown.stdout).toContain(`\n+++ ${node.at(edited)}\n@@ `);
    expect(shown.stdout).toMatch(/^\+.*audit-policy-file=/m);
    expect((await node.unchanged(() => diff(withFile(), IO))).stdout).toBe(shown.stdout);
    await patch(withFile(), IO);
    expect((await diff(withFile(), IO)).stdout).toBe('');
    const removal = await node.unchanged(() => diff([...at(), '--remove'], IO));
    expect(removal.stdout).toMatch(/^-.*audit-policy-file=/m);
  });

  it('shows drift, and puts it right', async () => {
    await patch(withFile(), IO);
    const good = await node.read(edited);
    await node.write(edited, good.replace('audit-log-maxage=', 'audit-log-maxage=9'));
    expect((await diff(withFile(), IO)).stdout).toMatch(/^-.*audit-log-maxage=9/m);
    await patch(withFile(), IO);
    expect(await node.read(edited)).toBe(good);
  });

  it('is not touched by an AuditConfig for another kind of place', async () => {
    await writeFile(node.config, configFor(target === 'K3s' ? 'RKE2' : 'K3s'));
    const { code, stderr } = await node.unchanged(() => patch(withFile(), IO));
    expect([code, stderr]).toEqual([1, expect.stringMatching(/auditconfig\.yaml:5:3: error: .*\[TargetMismatch\]/)]);
  });

  it('is removed where the state is Disabled', async () => {
    const before = await node.tree();
    await patch(withFile(), IO);
    await writeFile(node.config, configFor(target, '  state: Disabled\n'));
    expect((await patch(withFile(), IO)).code).toBe(0);
    expect(await node.tree()).toEqual(before);
  });

  it('is refused where there is no such place', async () => {
    await rm(node.root, { recursive: true });
    await mkdir(node.root);
    const { code, stderr } = await node.unchanged(() => patch(withFile(), IO));
    expect([code, stderr]).toEqual([1, expect.stringContaining('[UnitMissing]')]);
  });

  it('is judged as for the newest version, with a warning, where none is said', async () => {
    const { code, stderr } = await diff([...at(), '-f', node.config], IO);
    expect([code, stderr]).toEqual([0, expect.stringContaining('[KubernetesVersionUnknown]')]);
    expect((await diff([...at(), '--remove'], IO)).stderr).toBe('');
  });

  it('is left to an agent that is in the middle of a change', async () => {
    await node.write('/var/lib/auditconfig/state.json', '{}');
    expect((await node.unchanged(() => patch(withFile(), IO))).stderr).toContain('[ChangeInFlight]');
  });

  it('never shows a policy that came from a Secret', async () => {
    const policy = 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata, users: [hidden-name]}]\n';
    const secret = `---\napiVersion: v1\nkind: Secret\nmetadata: {name: p, namespace: audit}\ndata: {policy.yaml: ${Buffer.from(policy).toString('base64')}}\n`;
    await writeFile(node.config, configFor(target, secret).replace('preset: metadata', 'secretRef: {name: p}'));
    const results: CommandResult[] = [await diff(withFile(), IO), await patch(withFile(), IO)];
    results.push(await diff([...at(), '--remove'], IO), await patch([...at(), '--remove'], IO));
    for (const { code, stdout, stderr } of results) {
      expect(code).toBe(0);
      expect(`${stdout}${stderr}`).not.toContain('hidden-name');
    }
  });
});

describe('a unit', () => {
  const exec = (text: string, level: string): string => text.replace('--v=2', `--v=${level}`);
  beforeEach(async () => {
    node = await NodeFolder.make(systemd.bare, configFor('Systemd'));
  });
  const withFile = (unit: string, root = node.root): string[] => ['--unit', unit, '--root', root, '-f', node.config];

  it('has its backup outside of systemd’s folders', async () => {
    await patch(withFile('kube-apiserver.service'), IO);
    expect(await readdir(node.at('/etc/systemd/system'))).toEqual(['kube-apiserver.service']);
    const [backup = ''] = await readdir(node.at('/var/lib/auditconfig/backups'));
    expect(await node.read(`/var/lib/auditconfig/backups/${backup}`)).toBe(HARD_WAY);
  });

  it('is patched where its command line stands: in a drop-in', async () => {
    const dropIn = `${UNIT}.d/10-site.conf`;
    await node.write(dropIn, `[Service]\nExecStart=\n${exec(HARD_WAY, '5').split('\n').slice(5, 13).join('\n')}\n`);
    expect((await patch(withFile(node.at(UNIT)), IO)).code).toBe(0);
    expect(await node.read(UNIT)).toBe(HARD_WAY);
    expect(await node.read(dropIn)).toContain('--audit-policy-file=');
  });

  it('given as a file of systemd’s is read as systemd does, with the drop-ins of all its folders', async () => {
    const dropIn = '/usr/lib/systemd/system/kube-apiserver.service.d/10-vendor.conf';
    await node.write(dropIn, '[Service]\nExecStart=\nExecStart=/bin/kube-apiserver --v=2\n    --audit-log-maxage=1\n');
    const { code, stderr } = await node.unchanged(() => patch(withFile(node.at(UNIT)), IO));
    expect([code, stderr]).toEqual([1, expect.stringContaining(`${node.at(dropIn)}:3:`)]);
    expect(stderr).toContain('[ContinuationMissing]');
  });

  it('as a copy elsewhere is taken as given, with the drop-ins beside it, and the node’s own is left alone', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'auditconfig-unit-'));
    try {
      const file = join(folder, 'kube-apiserver.service');
      await writeFile(file, exec(HARD_WAY, '7'));
      await mkdir(`${file}.d`);
      await writeFile(`${file}.d/a.conf`, '[Service]\nUser=root\n');
      expect((await patch(withFile(file), IO)).code).toBe(0);
      expect(await readFile(file, 'utf8')).toMatch(/--v=7 \\\n(.*\n)*.*--audit-policy-file=/);
      expect(await node.read(UNIT)).toBe(HARD_WAY);
      expect(await readdir(node.at('/etc/kubernetes/auditconfig/revisions'))).toHaveLength(1);
      await patch(['--unit', file, '--root', node.root, '--remove'], IO);
      expect(await readFile(file, 'utf8')).toBe(exec(HARD_WAY, '7'));
      await writeFile(`${file}.d/a.conf`, '[Service]\nUser=nobody-knows\n');
      expect((await patch(withFile(file), IO)).stderr).toContain('[UserUnknown]');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('of another name is no mismatch where the AuditConfig names none, and is one where it does', async () => {
    await node.write('/etc/systemd/system/api.service', HARD_WAY);
    expect((await diff(withFile('api.service'), IO)).code).toBe(0);
    await writeFile(node.config, configFor('Systemd, systemd: {unit: kube-apiserver.service}'));
    expect((await diff(withFile('api.service'), IO)).stderr).toContain('[TargetMismatch]');
    expect((await diff(withFile('kube-apiserver.service'), IO)).code).toBe(0);
  });
});

describe('the arguments', () => {
  beforeEach(async () => {
    node = await NodeFolder.make(systemd.bare, configFor('Systemd'));
  });

  it.each([
    ['name no place', []],
    ['name two places', ['--manifest', 'm.yaml', '--unit', 'kube-apiserver.service']],
    ['contradict each other', ['--target', 'k3s', '--unit', 'kube-apiserver.service']],
    ['name a kind that no node has', ['--target', 'Hosted']],
    ['name a kind that does not exist', ['--target', 'docker']],
    ['name what is no service', ['--unit', 'kube-apiserver']],
    ['name a file that is no service', ['--unit', '/etc/systemd/system/kube-apiserver.timer']],
  ])('are wrong usage where they %s, and nothing is changed', async (_, where) => {
    for (const command of [patch, diff])
      expect((await node.unchanged(() => command([...where, '--root', node.root, '-f', node.config], IO))).code).toBe(
        2,
      );
  });
});
