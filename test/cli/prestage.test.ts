/** `prestage` on a folder that plays the disk of a node that is about to join. The real join: test/cluster. */
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { runCli } from '../../src/cli/index.ts';
// A command is loaded when it is asked for: here, where no test's time limit counts.
import '../../src/cli/prestage.ts';
import '../../src/cli/render.ts';
import type { CommandResult, Io } from '../../src/cli/types.ts';
import { toBundle } from '../../src/render/bundle/write.ts';
import type { BundleObject } from '../../src/render/bundle/write.ts';
import { renderFile } from '../../src/render/file.ts';
import type { Revision } from '../../src/render/types.ts';
import { DEFAULT_LAYOUT } from '../../src/targets/host-layout.ts';
import { KUBEADM_ANNOTATION, planKubeadmConfig } from '../../src/targets/kubeadm-config.ts';
import { encodeRecord, recordPath } from '../../src/targets/record.ts';
import { FakeApi, json, statusBody } from '../kube/fake-api.ts';

const GOLDEN = join(import.meta.dirname, '../targets/static-pod/golden');
const HEAD = 'apiVersion: auditconfig.dev/v1alpha1\nkind: AuditConfig\nmetadata: {name: main, namespace: audit}\n';
const SECRET = `---\napiVersion: v1\nkind: Secret\nmetadata: {name: hook, namespace: audit}\nstringData:\n  webhook.yaml: |\n    apiVersion: v1\n    kind: Config\n    clusters: [{name: a, cluster: {server: 'https://hook.example'}}]\n    users: [{name: a, user: {token: hunter2}}]\n    contexts: [{name: a, context: {cluster: a, user: a}}]\n    current-context: a\n`;

function rendered(spec: string, more = ''): Revision {
  const text = `${HEAD}spec:\n  target: {type: StaticPod, staticPod: {}}\n${spec}${more}`;
  const { revision, findings } = renderFile(new TextEncoder().encode(text), ['1.36']);
  if (revision === undefined) throw new Error(JSON.stringify(findings));
  return revision;
}
const REVISION = rendered('  policy: {preset: metadata}\n');
const OTHER = rendered('  policy: {preset: minimal}\n');
const bundle = (r: Revision = REVISION): readonly BundleObject[] => toBundle(r, 'auditconfig-bundles');
const folder = (r: Revision = REVISION): string => `/etc/kubernetes/auditconfig/revisions/${r.digest.slice(0, 16)}`;
const yaml = (objects: readonly unknown[]): string => objects.map((o) => stringify(o, { lineWidth: 0 })).join('---\n');

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'auditconfig-prestage-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const io = (input: string): Io => ({
  readFile: (path) => (path === '-' ? Promise.resolve(new TextEncoder().encode(input)) : readFile(path)),
  fds: { stdin: 0, stdout: 1 },
  stderrIsTTY: false,
  stdoutIsTTY: false,
  env: {},
  signal: new AbortController().signal,
});
const prestage = (input: string, ...args: string[]): Promise<CommandResult> =>
  runCli(['prestage', '--root', root, ...args], io(input));
const fromFile = (input: string, ...args: string[]): Promise<CommandResult> => prestage(input, '-f', '-', ...args);
const tree = async (): Promise<readonly string[]> => (await readdir(root, { recursive: true })).sort();
const modeOf = async (path: string): Promise<string> => ((await stat(join(root, path))).mode & 0o7777).toString(8);

describe('auditconfig prestage -f', () => {
  it('writes policy and log folder as the agent would, says what, and a second time nothing', async () => {
    const first = await fromFile(yaml(bundle()));
    expect(first.code).toBe(0);
    expect(await readFile(join(root, folder(), 'policy.yaml'))).toEqual(Buffer.from(REVISION.policy));
    expect(await modeOf(`${folder()}/policy.yaml`)).toBe('600');
    expect(await modeOf(folder())).toBe('700');
    expect(await modeOf('/var/log/kube-audit')).toBe('700');
    expect(first.stdout).toContain(`${root}${folder()}/policy.yaml`);
    const again = await fromFile(yaml(bundle()));
    expect(again).toMatchObject({ code: 0, stdout: `Revision ${REVISION.digest.slice(0, 16)} is here already.\n` });
  });

  it('takes what kubectl prints: metadata of the server, and a List', async () => {
    const object = { ...bundle()[0], metadata: { ...bundle()[0]?.metadata, uid: 'u', resourceVersion: '7' } };
    const list = stringify({ apiVersion: 'v1', kind: 'List', items: [object] });
    expect((await fromFile(list)).code).toBe(0);
    expect((await fromFile(JSON.stringify(object))).stdout).toContain('is here already');
  });

  it('takes what render -o bundle prints', async () => {
    const file = join(root, 'auditconfig.yaml');
    await writeFile(file, `${HEAD}spec:\n  target: {type: StaticPod, staticPod: {}}\n  policy: {preset: metadata}\n`);
    const { stdout } = await runCli(['render', '-f', file, '-o', 'bundle'], io(''));
    expect((await fromFile(stdout ?? '')).code).toBe(0);
    expect(await tree()).toContain(`${folder().slice(1)}/policy.yaml`);
  });

  it('with --dry-run shows the same and writes nothing', async () => {
    const before = await tree();
    const { code, stdout } = await fromFile(yaml(bundle()), '--dry-run');
    expect(code).toBe(0);
    expect(stdout).toContain(`would write  ${root}${folder()}/policy.yaml\n`);
    expect(await tree()).toEqual(before);
  });

  it('writes a webhook kubeconfig too, and shows nothing of it; without its Secret it is refused', async () => {
    const to = rendered('  webhook: {secretRef: {name: hook}}\n', SECRET);
    const before = await tree();
    const [map] = bundle(to);
    const refused = await fromFile(yaml([map]));
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('[BundleWebhookMissing]');
    expect(await tree()).toEqual(before);
    const half = await fromFile(yaml(bundle(to).slice(0, 2)));
    expect([half.code, half.stderr]).toEqual([1, expect.stringContaining('[BundleCredentials]')]);
    expect(await tree()).toEqual(before);
    const done = await fromFile(yaml(bundle(to)));
    expect(done.code).toBe(0);
    expect(await readFile(join(root, folder(to), 'token'), 'utf8')).toBe('hunter2');
    expect(await modeOf(`${folder(to)}/token`)).toBe('600');
    expect(await readFile(join(root, folder(to), 'webhook.yaml'), 'utf8')).not.toContain('hunter2');
    expect(`${done.stdout}${done.stderr}`).not.toContain('hunter2');
  });

  it('render -o bundle prints no Secret unasked', async () => {
    const file = join(root, 'auditconfig.yaml');
    const text = `${HEAD}spec:\n  target: {type: StaticPod, staticPod: {}}\n  webhook: {secretRef: {name: hook}}\n${SECRET}`;
    await writeFile(file, text);
    const { code, stdout } = await runCli(['render', '-f', file, '-o', 'bundle'], io(''));
    expect([code, stdout]).toEqual([1, undefined]);
    const shown = await runCli(['render', '-f', file, '-o', 'bundle', '--show-secrets'], io(''));
    expect((await fromFile(shown.stdout ?? '')).code).toBe(0);
  });

  it('gives the log to its reader group, and everything to the user that is asked for', async () => {
    const to = rendered('  log: {file: {readerGroup: 2000}}\n');
    const { code } = await fromFile(yaml(bundle(to)), '--owner', '65534:65534');
    expect(code).toBe(0);
    expect(await modeOf('/var/log/kube-audit')).toBe('750');
    expect(await modeOf('/var/log/kube-audit/audit.log')).toBe('640');
    // Only root gives files away.
    if (process.getuid?.() !== 0) return;
    const owner = async (path: string): Promise<readonly number[]> => {
      const { uid, gid } = await stat(join(root, path));
      return [uid, gid];
    };
    expect(await owner(`${folder(to)}/policy.yaml`)).toEqual([65534, 65534]);
    expect(await owner('/var/log/kube-audit')).toEqual([65534, 2000]);
  });

  it('is refused where the log is another program’s, unless what the agent wrote last logs there', async () => {
    const put = async (path: string, content: string | Uint8Array): Promise<void> => {
      await mkdir(join(root, dirname(path)), { recursive: true });
      await writeFile(join(root, path), content);
    };
    await put('/var/log/kube-audit/audit.log', 'type=DAEMON_START msg=audit(1763766000.123:1): op=start\n');
    const refused = await fromFile(yaml(bundle()));
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('[LogTaken]')]);
    const manifest = '/etc/kubernetes/manifests/kube-apiserver.yaml';
    const after = '    - --audit-log-path=/var/log/kube-audit/audit.log\n';
    const { digest } = OTHER;
    const record = encodeRecord({ version: 1, manifest, digest, adopted: [], made: [], before: '', after });
    await put(recordPath(manifest, DEFAULT_LAYOUT), record);
    expect((await fromFile(yaml(bundle()))).code).toBe(0);
  });

  it('where a manifest is there already, its user is the owner', async () => {
    const manifest = await readFile(join(GOLDEN, 'kubeadm-1.36/before.yaml'), 'utf8');
    await mkdir(join(root, 'etc/kubernetes/manifests'), { recursive: true });
    const rootless = manifest.replace(
      /securityContext:\n/,
      'securityContext:\n    runAsUser: 4321\n    runAsGroup: 4322\n',
    );
    expect(rootless).not.toBe(manifest);
    await writeFile(join(root, 'etc/kubernetes/manifests/kube-apiserver.yaml'), rootless);
    expect((await fromFile(yaml(bundle()))).code).toBe(0);
    const { uid, gid } = await stat(join(root, folder(), 'policy.yaml'));
    if (process.getuid?.() === 0) expect([uid, gid]).toEqual([4321, 4322]);
    expect(await readFile(join(root, 'etc/kubernetes/manifests/kube-apiserver.yaml'), 'utf8')).toBe(rootless);
  });

  const tampered = (edit: (text: string) => string): string => edit(yaml(bundle()));
  it.each([
    ['a policy that was changed', tampered((t) => t.replace('Metadata', 'None')), '[BundleDigest]'],
    ['a flag that was changed', tampered((t) => t.replace('"30"', '"31"')), '[BundleDigest]'],
    ['no revision.json', tampered((t) => t.replace('revision.json', 'other.json')), 'no published revision'],
    ['an AuditConfig', `${HEAD}spec:\n  target: {type: StaticPod, staticPod: {}}\n`, 'no published revision'],
    ['no YAML', 'a: [', '[FileNotYaml]'],
  ])('refuses %s and writes nothing', async (_, input, said) => {
    const before = await tree();
    const { code, stderr } = await fromFile(input);
    expect(code).toBe(1);
    expect(stderr).toContain(said);
    expect(await tree()).toEqual(before);
  });

  it('refuses a log folder that is a file', async () => {
    await mkdir(join(root, 'var/log'), { recursive: true });
    await writeFile(join(root, 'var/log/kube-audit'), '');
    const { code, stderr } = await fromFile(yaml(bundle()));
    expect([code, stderr]).toEqual([1, expect.stringContaining('[LogFolderNotAFolder]')]);
  });

  it.each([
    [[]],
    [['-f', '-', '--kubeconfig', 'x']],
    [['-f', '-', 'name']],
    [['-f', '-', '--owner', 'root']],
    [['-f', '-', '--kubernetes-version', '1.2']],
    [['--nonsense']],
  ])('wrong usage %j is code 2', async (args) => {
    expect((await prestage('', ...args)).code).toBe(2);
    expect(await tree()).toEqual([]);
  });

  it('exits 1 for a file that cannot be read', async () => {
    expect((await prestage('', '-f', '/not/there')).code).toBe(1);
  });

  it('has a --help with examples', async () => {
    const { code, stdout } = await prestage('', '--help');
    expect([code, stdout]).toEqual([0, expect.stringContaining('auditconfig prestage --kubeconfig admin.conf')]);
  });
});

describe('auditconfig prestage --kubeconfig', () => {
  let api: FakeApi;
  let objects: Record<string, unknown>;
  const CONFIGS = '/apis/auditconfig.dev/v1alpha1/auditconfigs';
  const KUBEADM = '/api/v1/namespaces/kube-system/configmaps/kubeadm-config';
  const auditConfig = (name: string, r?: Revision): object => ({
    metadata: { name, namespace: 'auditconfig-system' },
    status: r === undefined ? {} : { revision: { name: `auditconfig-${r.digest.slice(0, 16)}`, digest: r.digest } },
  });
  const list = (...items: object[]): object => ({ metadata: { resourceVersion: '1' }, items });
  const publish = (r: Revision): void => {
    for (const o of bundle(r))
      objects[`/api/v1/namespaces/auditconfig-bundles/${o.kind.toLowerCase()}s/${o.metadata.name}`] = o;
  };
  const kubeadmConfig = (r: Revision): object => {
    const text = 'apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n';
    const owner = { namespace: 'auditconfig-system', name: 'main', uid: 'u' };
    const plan = planKubeadmConfig(r, { now: { text, annotation: undefined }, owner, layout: DEFAULT_LAYOUT });
    const annotation = plan.kind === 'Write' ? plan.annotation : null;
    return { metadata: { name: 'kubeadm-config', annotations: { [KUBEADM_ANNOTATION]: annotation } } };
  };
  const fetched = async (...args: string[]): Promise<CommandResult> => {
    const file = join(root, 'admin.conf');
    const cluster = { name: 'a', cluster: { server: api.url } };
    const context = { name: 'a', context: { cluster: 'a', user: 'a' } };
    const users = [{ name: 'a', user: { token: 't' } }];
    await writeFile(file, JSON.stringify({ clusters: [cluster], contexts: [context], users, 'current-context': 'a' }));
    return prestage('', '--kubeconfig', file, ...args);
  };

  beforeEach(async () => {
    api = await new FakeApi().listen();
    objects = { '/version': { gitVersion: 'v1.36.3' }, [CONFIGS]: list(auditConfig('main', REVISION)) };
    publish(REVISION);
    api.handler = (asked, response) => {
      const found = objects[asked.path];
      if (found === undefined) json(response, 404, statusBody(404, 'NotFound'));
      else json(response, 200, found);
    };
  });
  afterEach(() => api.close());

  it('writes the revision that the AuditConfig has, and only reads from the API', async () => {
    expect(await fetched()).toMatchObject({ code: 0 });
    expect(await readFile(join(root, folder(), 'policy.yaml'))).toEqual(Buffer.from(REVISION.policy));
    expect(new Set(api.asked.map((a) => a.method))).toEqual(new Set(['GET']));
  });

  it('writes the one that kubeadm-config names too, where a rollout is under way', async () => {
    publish(OTHER);
    objects[KUBEADM] = kubeadmConfig(OTHER);
    expect((await fetched()).code).toBe(0);
    expect(await tree()).toEqual(
      expect.arrayContaining([`${folder().slice(1)}/policy.yaml`, `${folder(OTHER).slice(1)}/policy.yaml`]),
    );
  });

  it('fetches a policy and a webhook that are Secrets, and the newest credentials of it', async () => {
    const to = rendered('  webhook: {secretRef: {name: hook}}\n', SECRET);
    const newer = rendered('  webhook: {secretRef: {name: hook}}\n', SECRET.replace('hunter2', 'hunter3'));
    const credentials = [to, newer].map((r, i) => {
      const [, , object] = bundle(r);
      return { ...object, metadata: { ...object?.metadata, creationTimestamp: `2026-01-0${i + 1}T00:00:00Z` } };
    });
    objects[CONFIGS] = list(auditConfig('main', to));
    publish(to);
    objects['/api/v1/namespaces/auditconfig-bundles/secrets'] = list(...credentials);
    expect((await fetched()).code).toBe(0);
    expect(await tree()).toContain(`${folder(to).slice(1)}/webhook.yaml`);
    expect(await readFile(join(root, folder(to), 'token'), 'utf8')).toBe('hunter3');
  });

  it('does not believe the API: a bundle that does not hash to its name is refused', async () => {
    const [map] = bundle(OTHER);
    const name = `auditconfig-${REVISION.digest.slice(0, 16)}`;
    objects[`/api/v1/namespaces/auditconfig-bundles/configmaps/${name}`] = map;
    const { code, stderr } = await fetched();
    expect([code, stderr]).toEqual([1, expect.stringContaining('[BundleDigest]')]);
    expect(await tree()).toEqual(['admin.conf']);
  });

  it.each([
    ['none', list(), [], 'no AuditConfig'],
    ['none of that name', list(auditConfig('main', REVISION)), ['other'], 'no AuditConfig'],
    ['one without a revision', list(auditConfig('main')), [], 'no revision'],
    ['two', list(auditConfig('main', REVISION), auditConfig('second', OTHER)), [], 'name one'],
  ])('AuditConfigs: %s', async (_, configs, args, said) => {
    objects[CONFIGS] = configs;
    const { code, stderr } = await fetched(...args);
    expect([code, stderr]).toEqual([1, expect.stringContaining(said)]);
  });

  it('takes the one that is named, of two', async () => {
    objects[CONFIGS] = list(auditConfig('main', REVISION), auditConfig('second', OTHER));
    publish(OTHER);
    expect((await fetched('second')).stdout).toContain(OTHER.digest.slice(0, 16));
  });

  it('an API that is away is an error, and nothing is written', async () => {
    const url = api.url;
    await api.close();
    const { code, stderr } = await fetched();
    api = await new FakeApi().listen();
    expect([code, stderr, url === '']).toEqual([1, expect.stringContaining('(ConnectionRefused)'), false]);
    expect(await tree()).toEqual(['admin.conf']);
  });
});
