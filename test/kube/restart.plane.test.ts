/**
 * An operator that restarts API servers meets restarts all day: 20 of them here, while custom resources change. Every
 * change must reach a reconcile, nothing may wait on the way there that the API server does not make wait (recovery.ts), and
 * nothing may pile up: requests, watches, memory.
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
import { faultsOf } from './recovery.ts';
import { CONFIGMAPS, THINGS, connectTo, installThings, must, numberIn, thing, until } from './things.ts';
import { record } from './waits.ts';

const RESTARTS = 20;
const OBJECTS = 40;
/** An API server of a busy machine takes long to start; whatever is waited for here ends as soon as it is there. */
const PATIENCE_MS = 120_000;
const OPERATOR = 'operator-of-things';

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
  const reconciled = new Map<string, number>();
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
        reconciled.set(key, n);
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
  `reconciles every change over ${RESTARTS} restarts, waits for nothing but the API server, and nothing piles up`,
  { timeout: 1_800_000 },
  async () => {
    const counts = { list: 0, readyz: 0, open: 0, statuses: 0 };
    const metrics: KubeMetrics = {
      ...noKubeMetrics,
      listed: () => void counts.list++,
      request: ({ resource }) => void (counts.readyz += resource === '/readyz' ? 1 : 0),
      watchStarted: () => void counts.open++,
      watchEnded: () => void counts.open--,
      statusWrite: (outcome) => void (counts.statuses += outcome === 'written' ? 1 : 0),
    };
    const kube = connectTo(plane, { metrics, userAgent: OPERATOR });
    const writer = connectTo(plane);
    await installThings(writer.client, stop.signal);
    let n = 0;
    const change = (i: number): Promise<unknown> =>
      must(() => writer.client.apply(THINGS, thing(`t${i}`, n), { ...call, fieldManager: 'test' }), PATIENCE_MS);
    const wanted = Array.from({ length: OBJECTS }, (_, i) => `default/t${i}`);
    for (let i = 0; i < OBJECTS; i++) await change(i);
    const operator = startOperator(kube, metrics);
    await operator.things.whenSynced(stop.signal);

    const recoveries: number[] = [];
    const lists: number[] = [];
    const readyzPerSecond: number[] = [];
    const faults: string[] = [];
    let heapAt5 = 0;
    for (let restart = 1; restart <= RESTARTS; restart++) {
      const before = { ...counts };
      n++;
      // Half of them just before the end, so that their events may never arrive; half as soon as it is back.
      for (let i = 0; i < OBJECTS / 2; i++) await change(i);
      const begun = performance.now();
      const recording = record(OPERATOR);
      await plane.kill(restart % 2 === 1 ? 'SIGKILL' : 'SIGTERM');
      await plane.start();
      const ready = performance.now();
      await Promise.all(Array.from({ length: OBJECTS / 2 }, (_, i) => change(i + OBJECTS / 2)));
      await until(() => wanted.every((key) => operator.reconciled.get(key) === n), PATIENCE_MS);
      recoveries.push(performance.now() - ready);
      faults.push(...faultsOf(recording.end()).map((f) => `restart ${restart}: ${f}`));
      readyzPerSecond.push((counts.readyz - before.readyz) / ((performance.now() - begun) / 1000));
      await until(() => counts.open === 2, PATIENCE_MS);
      lists.push(counts.list - before.list);
      if (restart === 5) heapAt5 = await heapAfterCollection();
    }
    const growth = (await heapAfterCollection()) - heapAt5;
    const current = (key: string): boolean => {
      const object = operator.things.store.get(key);
      return numberIn(object, 'spec') === n && numberIn(object, 'status') === n;
    };
    await until(() => wanted.every(current), PATIENCE_MS);
    const figures = {
      recoveryMs: { median: Math.round(median(recoveries)), max: Math.round(Math.max(...recoveries)) },
      lists: { median: median(lists), max: Math.max(...lists) },
      readyzPerSecond: Math.round(Math.max(...readyzPerSecond) * 10) / 10,
      statusWrites: counts.statuses,
      heapGrowthBytes: growth,
      heapBytes: heapAt5,
    };
    console.log(JSON.stringify(figures));

    expect(faults).toEqual([]);
    // Each of the two resources once, and again where the server forgot the version of that list, or could not keep up.
    expect(Math.max(...lists)).toBeLessThanOrEqual(6);
    expect(Math.max(...readyzPerSecond)).toBeLessThanOrEqual(6);
    expect(await metric('apiserver_longrunning_requests', { resource: 'things', verb: 'WATCH' })).toBe(1);
    // No status is written twice; some were overtaken by the next change.
    expect(counts.statuses).toBeLessThanOrEqual(OBJECTS * (RESTARTS + 1));
    expect(growth).toBeLessThan(5_000_000);

    stop.abort();
    await operator.ended;
    await kube.close();
    await writer.close();
    expect(counts.open).toBe(0);
  },
);
