/**
 * The operator on three real control-plane nodes: what a rollout costs those who use the API, and what a node that goes
 * down in the middle of its change leaves. One cluster for all of it, in this order.
 */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../operator/install.ts';
import { startCluster } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { overlaps, startClient, watchDowns } from './failover.ts';
import type { Down } from './failover.ts';
import { InstalledOperator, auditConfig } from './installed.ts';
import { until } from './lab.ts';
import { missingHere } from './machine.ts';
import type { ClusterNode } from './node.ts';
import { apiServerOf, manifestOf } from './restarts.ts';

const READY = { type: 'Ready', status: 'True' };
const ROLLOUT_MS = 480_000;
const missing = await missingHere();

const print = (line: string): void => void process.stdout.write(`[figure] ${line}\n`);
const time = (ms: number): string => new Date(ms).toISOString().slice(11, 19);
const shown = (downs: readonly Down[]): string =>
  downs.map((d) => `${d.node} ${((d.to - d.from) / 1000).toFixed(1)} s from ${time(d.from)}`).join(', ');

describe.skipIf(missing !== undefined)(`three control-plane nodes (needs ${missing ?? 'nothing more'})`, () => {
  let cluster: Cluster;
  let operator: InstalledOperator;
  let originals: readonly string[];
  const ended = new AbortController();
  const manifests = (): Promise<readonly string[]> => Promise.all(cluster.nodes.map(manifestOf));

  beforeAll(async () => {
    cluster = await startCluster({ nodes: 3, version: '1.36', root: ROOT });
    originals = await manifests();
    operator = await InstalledOperator.install(cluster);
  });
  afterAll(async () => {
    ended.abort();
    await cluster?.stop();
  });

  it(
    'a rollout goes node by node, and a client that fails over sees no failed request',
    async () => {
      const before = await Promise.all(cluster.nodes.map(apiServerOf));
      const finish = await startClient(cluster, ended.signal);
      const downsUntilNow = watchDowns(cluster);
      const start = Date.now();
      await operator.apply(auditConfig({ policy: { preset: 'metadata' } }));
      const done = await operator.until(auditConfig(), READY, ROLLOUT_MS);
      const took = Date.now() - start;
      const [downs, client] = [await downsUntilNow(), await finish()];
      print(
        `three nodes in ${(took / 1000).toFixed(1)} s; not ready: ${shown(downs)}; client: ${client.asked} requests, ${client.refused} connections refused, ${client.goaway} GOAWAY, ${client.ending} told to retry, slowest ${client.slowestMs} ms`,
      );
      expect(done.status?.nodes).toMatchObject({ summary: '3/3', failed: 0 });
      expect(overlaps(downs)).toEqual([]);
      expect(downs.map((d) => d.node)).toEqual(expect.arrayContaining(cluster.nodes.map((n) => n.name)));
      expect(client.failed).toEqual([]);
      expect(client.asked).toBeGreaterThan(500);
      const after = await Promise.all(cluster.nodes.map(apiServerOf));
      for (const [i, p] of after.entries()) {
        expect(p?.pid).not.toBe(before[i]?.pid);
        expect(p?.args.join(' ')).toContain(done.status?.revision?.digest.slice(0, 16));
      }
    },
    ROLLOUT_MS + 60_000,
  );

  it(
    'a node that goes down right after its manifest was renamed finishes its change when it is back',
    async () => {
      const running = await manifests();
      const downsUntilNow = watchDowns(cluster);
      await operator.apply(auditConfig({ policy: { preset: 'minimal' } }));
      const renamed = async (): Promise<ClusterNode | undefined> => {
        const now = await manifests();
        return cluster.nodes.find((_, i) => now[i] !== running[i]);
      };
      const node = await until('a manifest is renamed', renamed, { ms: 60_000, everyMs: 10 });
      await cluster.reboot(node);
      const done = await operator.until(auditConfig(), READY, ROLLOUT_MS);
      const downs = await downsUntilNow();
      print(`${node.name} rebooted in mid-change; not ready: ${shown(downs)}`);
      expect(overlaps(downs)).toEqual([]);
      expect(done.status?.nodes).toMatchObject({ summary: '3/3', failed: 0 });
      const state: unknown = JSON.parse(await readFile(node.file('var/lib/auditconfig/state.json'), 'utf8'));
      expect(state).toMatchObject({
        state: { phase: 'Settled', current: done.status?.revision?.digest },
        journal: null,
      });
      expect((await apiServerOf(node))?.args.join(' ')).toContain(done.status?.revision?.digest.slice(0, 16));
    },
    ROLLOUT_MS + 60_000,
  );

  it(
    'a deleted AuditConfig gives all three manifests back, byte for byte',
    async () => {
      const downsUntilNow = watchDowns(cluster);
      await operator.remove(auditConfig(), ROLLOUT_MS);
      expect(await manifests()).toEqual(originals);
      expect(overlaps(await downsUntilNow())).toEqual([]);
    },
    ROLLOUT_MS + 60_000,
  );
});
