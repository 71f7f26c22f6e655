/**
 * The real kubeadm and kubeadmConfig: what it renders, what an upgrade keeps and a join needs, with `Sync` and with
 * `Ignore`. One cluster, which begins with one node, for all of it, in this order.
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join as path } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { fromBundle } from '../../src/render/bundle/read.ts';
import type { Revision } from '../../src/render/types.ts';
import { DEFAULT_LAYOUT } from '../../src/targets/host-layout.ts';
import { planKubeadmConfig } from '../../src/targets/kubeadm-config.ts';
import { run } from '../control-plane/sources/run.ts';
import type { Ran } from '../control-plane/sources/run.ts';
import { ROOT } from '../operator/install.ts';
import { startCluster } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { InstalledOperator, auditConfig } from './installed.ts';
import { allowJoins, join } from './join.ts';
import { kubeadm } from './kubeadm.ts';
import { until } from './lab.ts';
import { missingHere } from './machine.ts';
import { succeeded } from './node.ts';
import type { ClusterNode } from './node.ts';
import { apiServerOf, manifestOf, untilRestarted } from './restarts.ts';

const SYNCED = { type: 'KubeadmConfigSynced', status: 'True', reason: 'Synced' };
const READY = { type: 'Ready', status: 'True' };
const KUBEADM = '/api/v1/namespaces/kube-system/configmaps/kubeadm-config';
const missing = await missingHere();
const print = (line: string): void => void process.stdout.write(`[figure] ${line}\n`);
const took = (since: number): string => `${((Date.now() - since) / 1000).toFixed(1)} s`;

type Pod = {
  readonly spec: {
    readonly containers: readonly [
      { readonly command: readonly string[]; readonly volumeMounts: readonly { readonly name: string }[] },
    ];
    readonly volumes: readonly { readonly name: string }[];
  };
};
/** What of ours is in a manifest, in no order. */
function oursIn(manifest: string): { readonly flags: readonly string[]; readonly volumes: readonly string[] } {
  const { containers, volumes } = (parse(manifest) as Pod).spec;
  const flags = containers[0].command.filter((w) => w.startsWith('--audit-')).sort();
  const own = (items: readonly { readonly name: string }[]): readonly string[] =>
    items.filter((v) => v.name.startsWith('auditconfig-')).map((v) => JSON.stringify(v));
  return { flags, volumes: [...own(volumes), ...own(containers[0].volumeMounts)].sort() };
}
const NOTHING = { flags: [], volumes: [] };

describe.skipIf(missing !== undefined)(`the real kubeadm (needs ${missing ?? 'nothing more'})`, () => {
  let cluster: Cluster;
  let operator: InstalledOperator;
  let first: ClusterNode;
  let second: ClusterNode;
  let third: ClusterNode;
  let revision: Revision;
  let bundle: unknown;

  const kubeadmConfig = async (): Promise<string> => {
    const { body } = await cluster.request('GET', KUBEADM);
    return (body as { data: Record<string, string> }).data['ClusterConfiguration'] ?? '';
  };
  const editKubeadmConfig = async (change: (text: string) => string): Promise<void> => {
    const body = { data: { ClusterConfiguration: change(await kubeadmConfig()) } };
    expect((await cluster.request('PATCH', KUBEADM, { body })).status).toBe(200);
  };
  /** Has kubeadm write a manifest on a machine where nothing reads it. */
  const rendered = async (configuration: string): Promise<string> => {
    const { apiVersion } = parse(configuration) as { apiVersion: string };
    const endpoint = { advertiseAddress: third.ip, bindPort: 6443 };
    const init = stringify({ apiVersion, kind: 'InitConfiguration', localAPIEndpoint: endpoint });
    await writeFile(third.file('/etc/kubernetes/render.yaml'), `${init}---\n${configuration}`);
    await kubeadm(third, ['init', 'phase', 'control-plane', 'apiserver', '--config', '/etc/kubernetes/render.yaml']);
    const text = await manifestOf(third);
    await rm(third.manifest);
    return text;
  };
  const upgrade = async (node: ClusterNode): Promise<void> => {
    const args = ['upgrade', 'node', 'phase', 'control-plane'];
    succeeded('kubeadm upgrade node', await node.exec('kubeadm', args, { timeoutMs: 300_000 }));
  };
  const prestage = async (node: ClusterNode): Promise<Ran> => {
    const file = path(cluster.lab.folder, 'bundle.json');
    await writeFile(file, JSON.stringify(bundle));
    return run(process.execPath, [path(ROOT, 'dist/auditconfig.js'), 'prestage', '-f', file, '--root', node.root]);
  };
  const lastWords = async (node: ClusterNode): Promise<string> =>
    (await node.exec('sh', ['-c', 'cat /var/log/pods/kube-system_kube-apiserver-*/kube-apiserver/*.log'])).stdout;
  const nodeIsReady = (node: ClusterNode): Promise<true> =>
    until(
      `Node ${node.name} is ready`,
      async () => {
        const { body } = await cluster.request('GET', `/api/v1/nodes/${node.name}`);
        const { status } = body as { status?: { conditions?: { type: string; status: string }[] } };
        return status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') === true ? true : undefined;
      },
      { ms: 120_000, everyMs: 500 },
    );

  beforeAll(async () => {
    cluster = await startCluster({ nodes: 3, members: 1, version: '1.36', root: ROOT });
    const [one] = cluster.nodes;
    const [two, three] = cluster.spares;
    if (one === undefined || two === undefined || three === undefined) throw new Error('no nodes');
    [first, second, third] = [one, two, three];
    await allowJoins(first);
    operator = await InstalledOperator.install(cluster);
  });
  afterAll(() => cluster?.stop());

  it('Sync: kubeadm renders our flags and mounts, the same as on the node', async () => {
    const before = await kubeadmConfig();
    await operator.apply(auditConfig({ policy: { preset: 'metadata' }, kubeadmConfig: 'Sync' }));
    const { status } = await operator.until(auditConfig(), SYNCED);
    const { name = '', digest = '' } = status?.revision ?? {};
    bundle = (await cluster.request('GET', `/api/v1/namespaces/auditconfig-bundles/configmaps/${name}`)).body;
    const loaded = fromBundle({ bundle, digest, versions: ['1.36'] }).revision;
    if (loaded === undefined) throw new Error('the published revision does not load');
    revision = loaded;
    const now = await kubeadmConfig();
    expect(now).not.toBe(before);
    const ours = oursIn(await manifestOf(first));
    expect(ours.flags.length).toBeGreaterThan(10);
    expect(oursIn(await rendered(now))).toEqual(ours);
    expect(oursIn(await rendered(before))).toEqual(NOTHING);
  });

  it('v1beta3 is rendered the same, and migrated by kubeadm to what needs no other write', async () => {
    const text = `apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\nkubernetesVersion: v1.36.3\napiServer:\n  extraArgs:\n    v: "2" # by hand\n`;
    const question = { owner: { namespace: 'a', name: 'b', uid: 'c' }, layout: DEFAULT_LAYOUT };
    const plan = planKubeadmConfig(revision, { ...question, now: { text, annotation: undefined } });
    if (plan.kind !== 'Write') throw new Error(JSON.stringify(plan));
    expect(oursIn(await rendered(plan.text))).toEqual(oursIn(await manifestOf(first)));
    await writeFile(third.file('/etc/kubernetes/old.yaml'), plan.text);
    const migrated = await kubeadm(third, ['config', 'migrate', '--old-config', '/etc/kubernetes/old.yaml']);
    const cluster4 = migrated.split('---\n').find((d) => d.includes('kind: ClusterConfiguration')) ?? '';
    expect(parse(cluster4)).toMatchObject({ apiVersion: 'kubeadm.k8s.io/v1beta4' });
    const now = { text: cluster4, annotation: plan.annotation ?? undefined };
    expect(planKubeadmConfig(revision, { ...question, now })).toEqual({ kind: 'Same' });
    const back = planKubeadmConfig(null, { ...question, now });
    expect(back.kind === 'Write' && parse(back.text)).toMatchObject({
      apiServer: { extraArgs: [{ name: 'v', value: '2' }] },
    });
    expect(oursIn(await rendered(back.kind === 'Write' ? back.text : ''))).toEqual(NOTHING);
  });

  it('Sync without prestage: the join fails, and the API server says which file is missing; nobody else suffers', async () => {
    const start = Date.now();
    const failed = await join(cluster, second, '45s');
    print(
      `a join without prestage fails after ${took(start)}: ${
        failed.stderr
          .trim()
          .split('\n')
          .find((l) => /^error/i.test(l)) ?? ''
      }`,
    );
    expect(failed.code).not.toBe(0);
    const policy = `${DEFAULT_LAYOUT.revisionsDir}/${revision.digest.slice(0, 16)}/policy.yaml`;
    expect(await lastWords(second)).toContain(`${policy}: no such file or directory`);
    expect(await cluster.api(second).isReady()).toBe(false);
    // Nobody else suffers from it.
    expect(await cluster.api(first).isReady()).toBe(true);
    expect(oursIn(await manifestOf(second)).flags).toEqual(oursIn(await manifestOf(first)).flags);
    expect(await prestage(second)).toMatchObject({ code: 0 });
  });

  it('Sync with prestage: a real join works, is audited from the start, and the agent restarts nothing', async () => {
    expect(await prestage(second)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('here already') as string,
    });
    const start = Date.now();
    const joined = await join(cluster, second, '3m0s');
    succeeded('kubeadm join', joined);
    print(`a join with prestage took ${took(start)}`);
    await nodeIsReady(second);
    const started = await apiServerOf(second);
    expect(started?.args.join(' ')).toContain(revision.digest.slice(0, 16));
    const log = await readFile(second.file('/var/log/kube-audit/audit.log'), 'utf8');
    expect(log.split('\n')[0]).toContain('"audit.k8s.io/v1"');
    const done = await operator.until(auditConfig(), READY, 300_000);
    expect(done.status?.nodes).toMatchObject({ summary: '2/2', failed: 0 });
    expect((await apiServerOf(second))?.pid).toBe(started?.pid);
  }, 900_000);

  it('Sync: an upgrade keeps our flags, and the agent restarts nothing after it', async () => {
    // What somebody wants changed with it, so that there is something to upgrade.
    await editKubeadmConfig((t) => t.replace('  extraArgs:\n', '  extraArgs:\n  - name: v\n    value: "1"\n'));
    const [old, ours] = [await apiServerOf(first), oursIn(await manifestOf(first))];
    await upgrade(first);
    const now = await untilRestarted(cluster, first, old, (p) => p.args.includes('--v=1'));
    expect(now.args.filter((a) => a.startsWith('--audit-')).sort()).toEqual(ours.flags);
    const text = await manifestOf(first);
    expect(oursIn(text)).toEqual(ours);
    await sleep(10_000);
    expect([(await apiServerOf(first))?.pid, await manifestOf(first)]).toEqual([now.pid, text]);
  });

  it('Ignore: our flags leave kubeadm-config, no node changes, and an upgrade drops them', async () => {
    await operator.apply(auditConfig({ policy: { preset: 'metadata' }, kubeadmConfig: 'Ignore' }));
    await until(
      'kubeadm-config is set back',
      async () => ((await kubeadmConfig()).includes('audit-') ? undefined : true),
      { ms: 60_000, everyMs: 200 },
    );
    expect(await kubeadmConfig()).toContain('name: v\n    value: "1"');
    const old = await apiServerOf(first);
    expect(oursIn(await manifestOf(first)).flags.length).toBeGreaterThan(10);
    await upgrade(first);
    const now = await untilRestarted(cluster, first, old);
    expect(now.args.filter((a) => a.startsWith('--audit-'))).toEqual([]);
  });

  it('Ignore: a real join works without prestage', async () => {
    const start = Date.now();
    succeeded('kubeadm join', await join(cluster, third, '3m0s'));
    print(`a join with Ignore took ${took(start)}`);
    await nodeIsReady(third);
    const { apiVersion, kind, metadata } = auditConfig();
    const seen = async (): Promise<true | undefined> => {
      const config = (await operator.get({ apiVersion, kind, metadata })) as {
        status?: { nodes?: { desired?: number } };
      };
      return config.status?.nodes?.desired === 3 ? true : undefined;
    };
    await until('the AuditConfig has a third node', seen, { ms: 60_000, everyMs: 500 });
  }, 900_000);
});
