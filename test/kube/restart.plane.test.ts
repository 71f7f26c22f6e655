/**
 * An operator that restarts API servers meets restarts all day: 20 of them here, while custom resources change. Every
 * change must reach a reconcile within 2 s of readyz, and nothing may pile up: requests, watches, memory.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Kube } from '../../src/kube/connect.ts';
import { createWorkQueue } from '../../src/kube/queue.ts';
import { createStatusWriter } from '../../src/kube/status.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { noKubeMetrics } from '../../src/telemetry/kube-metrics.ts';
import type { KubeMetrics } from '../../src/telemetry/kube-metrics.ts';
import { silentLogger } from '../../src/telemetry/logger.ts';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { heapAfterCollection } from './heap.ts';
import { CONFIGMAPS, THINGS, connectTo, installThings, must, numberIn, thing, until } from './things.ts';

const RESTARTS = 20;
const OBJECTS = 40;
const WITHIN_MS = 2_000;

let plane: ControlPlane;
const stop = new AbortController();
const call = { signal: stop.signal };

beforeAll(async () => {
  plane = await startControlPlane({ version: '1.36' });
});
afterAll(async () => {
  stop.abort();
  await plane?.stop();
});

const median = (all: readonly number[]): number => [...all].sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? NaN;

/** Sum of a metric of the API server over the series that hold all of these labels. */
async function metric(name: string, labels: Readonly<Record<string, string>>): Promise<number> {
  const { text } = await plane.request('GET', '/metrics');
  return text
    .split('\n')
    .filter((l) => l.startsWith(`${name}{`) && Object.entries(labels).every(([k, v]) => l.includes(`${k}="${v}"`)))
    .reduce((sum, l) => sum + Number(l.slice(l.lastIndexOf(' ') + 1)), 0);
}

/** An operator in small: a reflector, a queue, and a reconciler that writes a status. */
function startOperator(kube: Kube, metrics: KubeMetrics) {
  const reconciled = new Map<string, { n: number; at: number }>();
  const things = kube.reflect<KubeObject>({ resource: THINGS, indexes: {}, project: (o) => o });
  const maps = kube.reflect<string>({ resource: CONFIGMAPS, indexes: {}, project: (o) => o.metadata.name });
  const queue = createWorkQueue({ name: 'things', log: silentLogger, metrics });
  const status = createStatusWriter({ client: kube.client, resource: THINGS, fieldManager: 'operator', metrics });
  things.onChange(({ key }) => queue.add(key));
  const work = queue.work(
    {
      workers: 4,
      gate: (signal) => kube.health.whenUp(5_000, signal),
      reconcile: async (key, signal) => {
        const object = things.store.get(key);
        const n = numberIn(object, 'spec');
        if (object === undefined || n === undefined) return { kind: 'Done' };
        reconciled.set(key, { n, at: performance.now() });
        const wrote = await status.apply({ metadata: object.metadata, status: object['status'] }, { n }, signal);
        return wrote.ok ? { kind: 'Done' } : { kind: 'Retry' };
      },
    },
    stop.signal,
  );
  const running = [kube.health.start(stop.signal), things.run(stop.signal), maps.run(stop.signal), work];
  return { reconciled, things, ended: Promise.all(running) };
}

it(
  `reconciles every change within ${WITHIN_MS} ms of readyz over ${RESTARTS} restarts, and nothing piles up`,
  { timeout: 400_000 },
  async () => {
    const counts = { list: 0, watch: 0, readyz: 0, open: 0, statuses: 0 };
    const metrics: KubeMetrics = {
      ...noKubeMetrics,
      request: ({ verb, resource }) => {
        if (verb === 'list') counts.list++;
        if (verb === 'watch') counts.watch++;
        if (resource === '/readyz') counts.readyz++;
      },
      watchStarted: () => void counts.open++,
      watchEnded: () => void counts.open--,
      statusWrite: (outcome) => void (counts.statuses += outcome === 'written' ? 1 : 0),
    };
    const kube = connectTo(plane, { metrics });
    await installThings(kube.client, stop.signal);
    let n = 0;
    const accepted = new Map<string, number>();
    const change = async (i: number): Promise<void> => {
      await must(() => kube.client.apply(THINGS, thing(`t${i}`, n), { ...call, fieldManager: 'test' }));
      accepted.set(wanted(i), performance.now());
    };
    const wanted = (i: number) => `default/t${i}`;
    for (let i = 0; i < OBJECTS; i++) await change(i);
    const operator = startOperator(kube, metrics);
    await operator.things.whenSynced(stop.signal);

    const recoveries: number[] = [];
    const outages: number[] = [];
    const lasts: number[] = [];
    const lists: number[] = [];
    const requestsOfServer: number[] = [];
    const readyzPerSecond: number[] = [];
    let heapAt5 = 0;
    for (let restart = 1; restart <= RESTARTS; restart++) {
      const before = { ...counts };
      n++;
      // Half of them just before the end, so that their events may never arrive; half as soon as it is back.
      for (let i = 0; i < OBJECTS / 2; i++) await change(i);
      const begun = performance.now();
      await plane.kill(restart % 2 === 1 ? 'SIGKILL' : 'SIGTERM');
      await plane.start();
      const ready = performance.now();
      await Promise.all(Array.from({ length: OBJECTS / 2 }, (_, i) => change(i + OBJECTS / 2)));
      const all = Array.from({ length: OBJECTS }, (_, i) => wanted(i));
      await until(() => all.every((key) => operator.reconciled.get(key)?.n === n));
      // What was changed before readyz counts from there, what was changed afterwards from when it was accepted.
      const late = all.map(
        (key) => (operator.reconciled.get(key)?.at ?? Infinity) - Math.max(ready, accepted.get(key) ?? Infinity),
      );
      recoveries.push(Math.max(0, ...late));
      all.forEach((key) => lasts.push((operator.reconciled.get(key)?.at ?? Infinity) - ready));
      outages.push(ready - begun);
      readyzPerSecond.push((counts.readyz - before.readyz) / ((performance.now() - begun) / 1000));
      lists.push(counts.list - before.list);
      await until(() => counts.open === 2);
      requestsOfServer.push(await metric('apiserver_request_total', { resource: 'things', verb: 'LIST' }));
      if (restart === 5) heapAt5 = await heapAfterCollection();
    }
    const growth = (await heapAfterCollection()) - heapAt5;
    const current = (key: string): boolean => {
      const object = operator.things.store.get(key);
      return numberIn(object, 'spec') === n && numberIn(object, 'status') === n;
    };
    await until(() => [...operator.things.store.keys()].every(current));
    const figures = {
      recoveryMs: { median: Math.round(median(recoveries)), max: Math.round(Math.max(...recoveries)) },
      lastReconcileAfterReadyzMs: Math.round(Math.max(...lasts)),
      outageMs: { median: Math.round(median(outages)), max: Math.round(Math.max(...outages)) },
      listsOfOurs: { median: median(lists), max: Math.max(...lists) },
      listsOfThingsSeenByServer: { median: median(requestsOfServer), max: Math.max(...requestsOfServer) },
      readyzPerSecond: Math.round(Math.max(...readyzPerSecond) * 10) / 10,
      statusWrites: counts.statuses,
      heapGrowthBytes: growth,
      heapBytes: heapAt5,
    };
    console.log(JSON.stringify(figures));

    expect(Math.max(...recoveries)).toBeLessThan(WITHIN_MS);
    // Two resources: one list each, and a few that met a server that was not ready for them.
    expect(Math.max(...lists)).toBeLessThanOrEqual(16);
    expect(Math.max(...requestsOfServer)).toBeLessThanOrEqual(10);
    expect(Math.max(...readyzPerSecond)).toBeLessThanOrEqual(6);
    expect(await metric('apiserver_longrunning_requests', { resource: 'things', verb: 'WATCH' })).toBe(1);
    // No status is written twice; some were overtaken by the next change.
    expect(counts.statuses).toBeLessThanOrEqual(OBJECTS * (RESTARTS + 1));
    expect(growth).toBeLessThan(5_000_000);

    stop.abort();
    await operator.ended;
    await kube.close();
    expect(counts.open).toBe(0);
  },
);
