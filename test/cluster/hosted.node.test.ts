/**
 * Hosted control planes with everything real: the controllers of Deployments and StatefulSets, scheduler, kubelet and
 * containerd of a management cluster, kube-apiservers in its pods, and the operator as deploy/ leaves it. One cluster for
 * all of it, in this order; both kinds at the same time, since most of it is waiting.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../operator/install.ts';
import { conditionOf } from '../operator/operator.ts';
import { startCluster } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { CLAIM, HostedServer } from './hosted-server.ts';
import type { Pod } from './hosted-server.ts';
import { InstalledOperator } from './installed.ts';
import { until } from './lab.ts';
import { missingHere } from './machine.ts';

const COMPLETE = { type: 'RolledOut', status: 'True', reason: 'Complete' };
const HELD = { type: 'RolledOut', status: 'False', reason: 'NodeHeld' };
const missing = await missingHere();
const print = (line: string): void => void process.stdout.write(`[figure] ${line}\n`);
const seconds = (since: number): string => ((Date.now() - since) / 1000).toFixed(1);

describe.skipIf(missing !== undefined)(
  `hosted control planes in real pods (needs ${missing ?? 'nothing more'})`,
  () => {
    let cluster: Cluster;
    let operator: InstalledOperator;
    let deployment: HostedServer;
    let statefulSet: HostedServer;
    let ran: Pod;

    beforeAll(async () => {
      cluster = await startCluster({ nodes: 1, version: '1.36', root: ROOT });
      operator = await InstalledOperator.install(cluster);
      deployment = await HostedServer.create(cluster, 'Deployment');
      statefulSet = await HostedServer.create(cluster, 'StatefulSet');
      await Promise.all([deployment.pod(), statefulSet.pod()]);
    });
    afterAll(() => cluster?.stop());

    /** Its log: what a Deployment's pod prints, and a file on a volume of the StatefulSet's. */
    const sinkOf = (s: HostedServer): 'Stdout' | 'File' => (s === deployment ? 'Stdout' : 'File');
    const good = (s: HostedServer, preset: string) => s.config({ policy: { preset }, log: { type: sinkOf(s) } });
    const both = <T>(act: (s: HostedServer) => Promise<T>): Promise<T[]> =>
      Promise.all([act(deployment), act(statefulSet)]);

    it('an AuditConfig becomes new pods whose API servers write events', async () => {
      await both(async (s) => {
        const before = await s.pod();
        await operator.apply(s.receiver('one'));
        const start = Date.now();
        await operator.apply(good(s, 'metadata'));
        const { status } = await operator.until(s.config(), COMPLETE);
        print(`${s.kind}: rolled out after ${seconds(start)} s`);
        const pod = await s.pod();
        expect(pod.metadata.uid).not.toBe(before.metadata.uid);
        const digest = status?.revision?.digest.slice(0, 16);
        expect(await s.words()).toContain(`--audit-policy-file=/etc/auditconfig/${digest}/policy.yaml`);
        expect(await s.event(pod, sinkOf(s))).toMatchObject({ verb: 'get', level: 'Metadata' });
        expect(await s.token(pod)).toBe('one');
      });
    });

    it('a revision that no API server starts with goes back by itself, and the Deployment never stops serving', async () => {
      // A kubelet takes its time for it: this begins now, and is looked at in the next test.
      ran = await deployment.pod();
      await operator.apply(deployment.receiver('two'));
      await both(async (s) => {
        const before = await s.pod();
        const words = await s.words();
        const start = Date.now();
        const log = { type: 'File', file: { path: `${CLAIM}/audit.log` } };
        await operator.apply(s.config({ log, rollout: { timeoutSeconds: 30 } }));
        const crashed = await crash(s, before);
        const held = await operator.until(s.config(), HELD);
        expect(conditionOf(held, 'Degraded')).toMatchObject({ status: 'True', reason: 'NodeHeld' });
        expect(await s.words()).toEqual(words);
        const after = await s.pod();
        print(`${s.kind}: taken back, and one healthy pod, ${seconds(start)} s after the change`);
        expect(after.metadata.uid).not.toBe(crashed.metadata.uid);
        expect(await s.event(after, sinkOf(s))).toMatchObject({ level: 'Metadata' });
        if (s === deployment) {
          expect(after.metadata.uid).toBe(before.metadata.uid);
          expect(after.status.containerStatuses?.[0]?.restartCount).toBe(0);
        }
      });
    });

    it('the pod that ran all the while has the token that its webhook got meanwhile', async () => {
      const arrived = async (): Promise<true | undefined> =>
        (await deployment.token(ran)) === 'two' ? true : undefined;
      await until('the other token', arrived, { ms: 180_000 });
      expect((await deployment.pod()).metadata.uid).toBe(ran.metadata.uid);
    });

    it('what is wrong is put right, and rolled out', async () => {
      await both(async (s) => {
        await operator.apply(good(s, 'recommended'));
        await operator.until(s.config(), COMPLETE);
        expect(await s.event(await s.pod(), sinkOf(s))).toMatchObject({ level: 'Metadata' });
      });
    });

    it('a deleted AuditConfig leaves pods as their owner wrote them', async () => {
      await both(async (s) => {
        await operator.remove(s.config());
        expect((await s.words()).filter((w) => w.startsWith('--audit-'))).toEqual([]);
      });
    });

    /** The pod whose API server says that it may not write there. */
    async function crash(s: HostedServer, before: Pod): Promise<Pod> {
      for (const end = Date.now() + 120_000; Date.now() < end;) {
        for (const pod of await s.pods())
          if (pod.metadata.uid !== before.metadata.uid && (await s.log(pod)).includes('permission denied')) return pod;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      throw new Error(`${s.kind}: no pod crashed: ${JSON.stringify((await s.pods()).map((p) => p.status))}`);
    }
  },
);
