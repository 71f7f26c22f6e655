/**
 * Shipping in real pods: fluent-bit as a real kubelet and containerd start it, from what the operator as deploy/ installs it
 * made: beside a hosted kube-apiserver, and as the DaemonSet of a node whose kube-apiserver is a static pod. Its image is made
 * here from the program that AUDITCONFIG_FLUENT_BIT names or that is on the PATH; without one nothing of this runs
 * (docs/shipping.md says so). One cluster for all of it, in this order.
 */
import { readFile, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_IMAGE } from '../../src/render/shipping.ts';
import { startCluster } from '../cluster/cluster.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { HostedServer } from '../cluster/hosted-server.ts';
import type { Pod } from '../cluster/hosted-server.ts';
import { linkedImage, writeImage } from '../cluster/images.ts';
import { InstalledOperator, NAMESPACE, auditConfig } from '../cluster/installed.ts';
import { BRIDGE, until } from '../cluster/lab.ts';
import { missingHere } from '../cluster/machine.ts';
import type { ClusterNode } from '../cluster/node.ts';
import { apiServerOf } from '../cluster/restarts.ts';
import { ROOT } from '../operator/install.ts';
import { program } from './fluent-bit.ts';
import { LabReceiver } from './lab-receiver.ts';
import type { Shipped } from './lab-receiver.ts';
import { certificateFor } from './receivers.ts';

const missing = program === undefined ? 'a fluent-bit of this machine' : await missingHere();
const print = (line: string): void => void process.stdout.write(`[figure] ${line}\n`);
const seconds = (since: number): string => ((Date.now() - since) / 1000).toFixed(1);

const COMPLETE = { type: 'RolledOut', status: 'True', reason: 'Complete' };
const RUNNING = { type: 'Shipping', status: 'True', reason: 'Running' };
const IN_POD = '/var/lib/kubelet/pods';
const ON_NODE = '/var/lib/auditconfig-shipping/state';
const LOG_DIR = '/var/log/kube-audit';
const READERS = 4242;
const MIB = 2 ** 20;

/** One event is one record for each stage. */
const keyOf = (e: Pick<Shipped, 'auditID' | 'stage'>): string => `${e.auditID} ${e.stage}`;
const keysIn = (log: string): readonly string[] =>
  log
    .split('\n')
    .slice(0, -1)
    .map((l) => keyOf(JSON.parse(l) as Shipped));

describe.skipIf(missing !== undefined)(`a shipper that a kubelet runs (needs ${missing ?? 'nothing more'})`, () => {
  let cluster: Cluster;
  let node: ClusterNode;
  let operator: InstalledOperator;
  let hosted: HostedServer;
  let receiver: LabReceiver;

  beforeAll(async () => {
    cluster = await startCluster({ nodes: 1, version: '1.36', root: ROOT });
    const [first] = cluster.nodes;
    if (first === undefined) throw new Error('no node');
    node = first;
    const image = await linkedImage(DEFAULT_IMAGE, program ?? '', '/fluent-bit/bin/fluent-bit');
    const archive = join(cluster.lab.folder, 'fluent-bit.tar');
    await writeImage(image, archive, join(cluster.lab.folder, 'fluent-bit'));
    await node.importImage(archive);
    const { cert, key, ca } = certificateFor(BRIDGE.address);
    receiver = new LabReceiver(cluster.lab, 8_100, { cert, key });
    await receiver.up();
    operator = await InstalledOperator.install(cluster);
    hosted = await HostedServer.create(cluster, 'Deployment');
    const data = { 'ca.crt': ca };
    const metadata = { name: 'collector' };
    await operator.apply({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { ...metadata, namespace: hosted.name },
      data,
    });
    await operator.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { ...metadata, namespace: NAMESPACE },
      stringData: data,
    });
    await hosted.pod();
  });
  afterAll(async () => {
    await receiver?.down();
    await cluster?.stop();
  });

  const output = (uri: string, more: object = {}): object => ({
    Name: 'http', Host: receiver.host, Port: receiver.port, Uri: uri, Format: 'json_lines',
    TLS: true, 'tls.ca_file': 'ca.crt', ...more,
  }); // prettier-ignore
  /** With the receiver's CA, which nobody else knows. */
  const shipping = (from: 'configMapKeyRef' | 'secretKeyRef', outputs: readonly object[]): object => ({
    type: 'FluentBit',
    fluentBit: { files: [{ name: 'ca.crt', [from]: { name: 'collector', key: 'ca.crt' } }], outputs },
  });

  /** PID on the node of the shipper that runs as this user; `not`: an older one. */
  async function shipperOf(user: number, not?: number): Promise<number> {
    const find = async (): Promise<number | undefined> => {
      const { stdout } = await node.exec('ps', ['-eo', 'pid=,uid=,args=']);
      const found = stdout.split('\n').map((l) => /^\s*(\d+)\s+(\d+)\s+\/fluent-bit\/bin\/fluent-bit /.exec(l));
      const pids = found.filter((m) => Number(m?.[2]) === user).map((m) => Number(m?.[1]));
      const [pid] = pids;
      return pids.length === 1 && pid !== not ? pid : undefined;
    };
    return until(`one fluent-bit of user ${user}`, find, { ms: 180_000 });
  }
  const statusOf = async (pid: number): Promise<ReadonlyMap<string, string>> =>
    new Map(
      (await node.exec('cat', [`/proc/${pid}/status`])).stdout
        .split('\n')
        .map((l) => [l.slice(0, l.indexOf(':')), l.slice(l.indexOf(':') + 1).trim()] as const),
    );
  /** Chunks that wait for an output, and their bytes. */
  async function waiting(state: string): Promise<{ readonly chunks: number; readonly bytes: number }> {
    const { stdout } = await node.exec('find', [`${state}/chunks`, '-name', '*.flb', '-printf', '%b\n']);
    const blocks = stdout.split('\n').filter((l) => l !== '');
    return { chunks: blocks.length, bytes: blocks.reduce((sum, b) => sum + Number(b) * 512, 0) };
  }
  const untilSent = (state: string): Promise<true> =>
    until('nothing waits', async () => ((await waiting(state)).chunks === 0 ? true : undefined), { ms: 120_000 });

  /** How often each came. */
  function counts(path: string): ReadonlyMap<string, number> {
    const all = new Map<string, number>();
    for (const r of receiver.at(path)) all.set(keyOf(r), (all.get(keyOf(r)) ?? 0) + 1);
    return all;
  }
  /** Whose all stages of this request say that they are. */
  const from = (path: string, name: string): readonly string[] => [
    ...new Set(
      receiver.at(path).filter((r) => r.requestURI.endsWith(name)).map((r) => `${r.cluster_id} ${r.node}`),
    ),
  ]; // prettier-ignore
  /** Waits until each event that the log holds now has come, and says when the last was seen. */
  async function untilAllCame(path: string, log: () => Promise<string>, ms = 120_000): Promise<void> {
    const wanted = keysIn(await log());
    expect(wanted.length).toBeGreaterThan(0);
    let absent: readonly string[] = [];
    const ask = (): Promise<true | undefined> => {
      const came = counts(path);
      absent = wanted.filter((k) => !came.has(k));
      return Promise.resolve(absent.length === 0 ? true : undefined);
    };
    await until('all of the log has come', ask, { ms }).catch(async (error: unknown) => {
      throw new Error(`${String(error)}: ${absent.length} of ${wanted.length} are absent\n${await shipperWords()}`);
    });
  }
  async function shipperWords(): Promise<string> {
    const script = 'for f in /var/log/pods/*/audit-logs/*.log; do echo "$f"; tail -n 20 "$f"; done';
    return (await node.exec('sh', ['-c', script])).stdout;
  }

  /** Everything in the log has come; then it is killed, and goes on: nothing is lost, and nothing that had come comes again. */
  async function killedItGoesOn(at: {
    readonly user: number;
    readonly path: string;
    readonly state: string;
    readonly log: () => Promise<string>;
    readonly make: () => Promise<unknown>;
  }): Promise<void> {
    await untilAllCame(at.path, at.log);
    const had = counts(at.path);
    await untilSent(at.state);
    const pid = await shipperOf(at.user);
    const killed = Date.now();
    await node.exec('kill', ['-9', String(pid)]);
    for (let i = 0; i < 20; i++) await at.make();
    await shipperOf(at.user, pid);
    await at.make();
    await untilAllCame(at.path, at.log);
    print(`${at.path}: killed, and all of the log there, ${seconds(killed)} s later`);
    const now = counts(at.path);
    expect([...had].filter(([k, n]) => now.get(k) !== n)).toEqual([]);
    expect(now.size).toBeGreaterThanOrEqual(had.size + 21);
  }

  describe('beside a hosted kube-apiserver', () => {
    let pod: Pod;
    let state: string;
    const log = async (): Promise<string> =>
      (await hosted.file(pod, 'kubernetes.io~empty-dir/auditconfig-log/audit.log')) ?? '';
    const request = async (): Promise<string> => {
      const name = `asked-${Math.random().toString(36).slice(2)}`;
      await hosted.ask(pod, `/api/v1/namespaces/default/secrets/${name}`);
      return name;
    };

    it('ships its events, each once, with the cluster and the node, and can do no more than that', async () => {
      await operator.apply(hosted.receiver('one'));
      await operator.apply(hosted.config({ shipping: shipping('configMapKeyRef', [output('/hosted')]) }));
      await operator.until(hosted.config(), COMPLETE);
      pod = await hosted.pod();
      state = `${IN_POD}/${pod.metadata.uid}/volumes/kubernetes.io~empty-dir/auditconfig-shipping/state`;
      expect(pod.status.containerStatuses?.map((c) => c.restartCount)).toEqual([0, 0]);
      const name = await request();
      const started = Date.now();
      await untilAllCame('/hosted', log);
      print(`a hosted event came ${seconds(started)} s after it`);
      expect(from('/hosted', name)).toEqual([`${hosted.name} ${node.name}`]);
      expect([...counts('/hosted').values()].every((n) => n === 1)).toBe(true);

      const pid = await shipperOf(65_532);
      const status = await statusOf(pid);
      expect(['CapEff', 'CapPrm', 'CapBnd', 'NoNewPrivs'].map((k) => status.get(k))).toEqual([
        ...Array.from({ length: 3 }, () => '0'.repeat(16)),
        '1',
      ]);
      for (const path of ['/audit-logs/x', '/x', '/etc/auditconfig-shipping/x'])
        expect([path, (await node.exec('touch', [`/proc/${pid}/root${path}`])).stderr]).toEqual([
          path,
          expect.stringContaining('Read-only file system'),
        ]);
      const token = await node.exec('ls', [`/proc/${pid}/root/var/run/secrets/kubernetes.io/serviceaccount`]);
      expect(token).toMatchObject({ stdout: '' });
    });

    it('killed, it goes on where it was', () =>
      killedItGoesOn({ user: 65_532, path: '/hosted', state, log, make: request }));

    it('keeps on disk what a collector that is down cannot take, over its own end too, and delivers it', async () => {
      await untilAllCame('/hosted', log);
      await receiver.down();
      for (let i = 0; i < 50; i++) await request();
      await until('it waits', async () => ((await waiting(state)).chunks > 0 ? true : undefined), { ms: 60_000 });
      const pid = await shipperOf(65_532);
      await node.exec('kill', ['-9', String(pid)]);
      await shipperOf(65_532, pid);
      await request();
      expect((await waiting(state)).chunks).toBeGreaterThan(0);
      await receiver.up();
      const up = Date.now();
      await untilAllCame('/hosted', log, 240_000);
      print(`the collector was back, and all of the log there, ${seconds(up)} s later`);
      expect((await hosted.pod()).metadata.uid).toBe(pod.metadata.uid);
    });
  });

  describe('on a control-plane node', () => {
    const LOG = `${LOG_DIR}/audit.log`;
    const log = (): Promise<string> => readFile(node.file(LOG), 'utf8');
    const request = async (): Promise<string> => {
      const name = `asked-${Math.random().toString(36).slice(2)}`;
      await cluster.request('GET', `/api/v1/namespaces/default/secrets/${name}`);
      return name;
    };
    const LIMIT = { 'storage.total_limit_size': '4M' };
    const config = (path: string) =>
      auditConfig({
        policy: { rules: [{ level: 'Metadata', resources: [{ group: '', resources: ['secrets'] }] }, { level: 'None' }] },
        log: { file: { readerGroup: READERS } },
        shipping: shipping('secretKeyRef', [output(path, LIMIT)]),
      }); // prettier-ignore

    it('ships the log of a static pod, as root without any right, in the group of the log', async () => {
      await operator.apply(config('/node'));
      await operator.until(auditConfig(), { type: 'Ready', status: 'True' });
      await operator.until(auditConfig(), RUNNING);
      const name = await request();
      await untilAllCame('/node', log);
      const cp = (await cluster.request('GET', '/api/v1/namespaces/kube-system')).body as { metadata: { uid: string } };
      expect(from('/node', name)).toEqual([`${cp.metadata.uid} ${node.name}`]);
      expect([...counts('/node').values()].every((n) => n === 1)).toBe(true);

      const pid = await shipperOf(0);
      const status = await statusOf(pid);
      expect(['CapEff', 'CapPrm', 'CapBnd', 'NoNewPrivs'].map((k) => status.get(k))).toEqual([
        ...Array.from({ length: 3 }, () => '0'.repeat(16)),
        '1',
      ]);
      expect(status.get('Gid')?.split('\t')).toEqual(Array.from({ length: 4 }, () => String(READERS)));
      const { stdout } = await node.exec('stat', ['-c', '%a %u %g', LOG]);
      expect(stdout.trim()).toBe(`640 0 ${READERS}`);
      const { stderr } = await node.exec('touch', [`/proc/${pid}/root/audit-logs/x`]);
      expect(stderr).toContain('Read-only file system');
    });

    it('killed, it goes on where it was', () =>
      killedItGoesOn({ user: 0, path: '/node', state: ON_NODE, log, make: request }));

    it('a change of it restarts no API server, hosted or not, and sends nothing again', async () => {
      await untilSent(ON_NODE);
      const had = new Set(counts('/node').keys());
      const [server, pod] = [await apiServerOf(node), await hosted.pod()];
      const shipper = await shipperOf(0);
      await operator.apply(config('/node-too'));
      await operator.until(auditConfig(), { type: 'Shipping', status: 'True', reason: 'Running' });
      await shipperOf(0, shipper);
      const name = await request();
      const came = async (): Promise<true | undefined> =>
        Promise.resolve(receiver.at('/node-too').some((r) => r.requestURI.endsWith(name)) || undefined);
      await until('the event at the other path', came, { ms: 120_000 });
      expect([...counts('/node-too').keys()].filter((k) => had.has(k))).toEqual([]);
      expect((await apiServerOf(node))?.pid).toBe(server?.pid);
      expect((await hosted.pod()).metadata.uid).toBe(pod.metadata.uid);
    });

    it('keeps no more than its limit while a collector is down, and delivers the newest', async () => {
      await untilSent(ON_NODE);
      await receiver.down();
      // As a rotated file, which nobody writes to any more.
      const many = 30_000;
      const line = (i: number): string =>
        `${JSON.stringify({ kind: 'Event', auditID: `many-${i}`, stage: 'ResponseComplete', requestURI: `/many/${i}`, stageTimestamp: new Date().toISOString(), annotations: { padding: 'x'.repeat(700) } })}\n`;
      const aside = node.file(`${LOG_DIR}/.many`);
      const lines = Array.from({ length: many }, (_, i) => line(i));
      await writeFile(aside, lines.join(''), { mode: 0o600 });
      await rename(aside, node.file(`${LOG_DIR}/audit-2026-11-21T18-00-00.000.log`));
      let [most, quiet, last] = [0, 0, -1];
      const read = async (): Promise<true | undefined> => {
        const { bytes } = await waiting(ON_NODE);
        most = Math.max(most, bytes);
        quiet = bytes === last && bytes > 0 ? quiet + 1 : 0;
        last = bytes;
        return quiet > 10 ? true : undefined;
      };
      await until('the file is read', read, { ms: 240_000, everyMs: 500 });
      print(`of ${Math.round(lines.join('').length / MIB)} MiB at most ${(most / MIB).toFixed(1)} MiB were on disk`);
      await receiver.up();
      const up = Date.now();
      const newest = async (): Promise<true | undefined> =>
        Promise.resolve(receiver.at('/node-too').some((r) => r.auditID === `many-${many - 1}`) || undefined);
      await until('the newest', newest, { ms: 240_000 });
      await untilSent(ON_NODE);
      const came = new Set(receiver.at('/node-too').filter((r) => r.auditID.startsWith('many-')).map((r) => r.auditID)); // prettier-ignore
      print(`the newest came ${seconds(up)} s after the collector was back; ${came.size} of ${many} were kept`);
      expect(most).toBeLessThan(8 * MIB);
      expect(came.size).toBeLessThan(many);
      expect(came.size).toBeGreaterThan(1_000);
    });

    it('goes with the AuditConfig', async () => {
      await operator.remove(auditConfig());
      const gone = async (): Promise<true | undefined> => {
        const { stdout } = await node.exec('ps', ['-eo', 'uid=,args=']);
        return /^\s*0\s+\/fluent-bit/m.test(stdout) ? undefined : true;
      };
      await until('no shipper of the node', gone, { ms: 120_000 });
      expect(await readdir(node.file(ON_NODE))).toContain('positions.db');
    });
  });
});
