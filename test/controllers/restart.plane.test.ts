/**
 * The real controller over 20 restarts of its API server, while AuditConfigs change: every change is reconciled, on the way
 * there nothing waits that the API server does not make wait (test/kube/recovery.ts), nothing is listed in a storm, and memory
 * stays flat. (test/kube has the same for the watch layer alone; `npm run bench:fleet` measures how long it takes.)
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { heapAfterCollection } from '../kube/heap.ts';
import { faultsOf, listsOf } from '../kube/recovery.ts';
import { record } from '../kube/waits.ts';
import { OPERATOR_NAMESPACE, apply } from '../operator/install.ts';
import type { Manifest } from '../operator/install.ts';
import { startController } from './running.ts';

const RESTARTS = 20;
const CONFIGS = 10;
const PATH = `/apis/auditconfig.dev/v1alpha1/namespaces/${OPERATOR_NAMESPACE}/auditconfigs`;

let plane: ControlPlane;
let controller: Promise<void>;
const stop = new AbortController();

beforeAll(async () => {
  plane = await startControlPlane({ version: '1.36' });
  controller = (await startController(plane, stop.signal)).ended;
});
afterAll(async () => {
  stop.abort();
  await controller;
  await plane?.stop();
});

/** Each has a node of its own that does not exist: accepted, rendered, and waiting. */
const config = (i: number, round: number): Manifest => ({
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'AuditConfig',
  metadata: { name: `c${i}`, namespace: OPERATOR_NAMESPACE },
  spec: {
    target: { type: 'StaticPod', staticPod: { nodeSelector: { node: `n${i}` } } },
    policy: { preset: 'minimal', rules: [{ level: 'None', users: [`round-${round}`] }] },
  },
});

async function change(i: number, round: number): Promise<void> {
  for (;;) {
    const reply = await apply(plane, config(i, round)).catch(() => undefined);
    if (reply !== undefined && reply.status < 300) return;
    await sleep(20);
  }
}

type Item = { metadata: { generation: number }; status?: { observedGeneration?: number; revision?: unknown } };
async function areReconciled(): Promise<boolean> {
  const list = (await plane.request('GET', PATH).catch(() => undefined))?.body as { items?: Item[] } | undefined;
  const items = list?.items ?? [];
  const done = (i: Item): boolean =>
    i.status?.observedGeneration === i.metadata.generation && i.status.revision !== undefined;
  return items.length === CONFIGS && items.every(done);
}
async function reconciled(): Promise<number> {
  while (!(await areReconciled())) await sleep(20);
  return performance.now();
}

it(
  `every change is reconciled over ${RESTARTS} restarts, and nothing but the API server is waited for`,
  { timeout: 1_800_000 },
  async () => {
    for (let i = 0; i < CONFIGS; i++) await change(i, 0);
    await reconciled();
    const recoveries: number[] = [];
    const faults: string[] = [];
    const lists: number[] = [];
    let heapAt5 = 0;
    for (let round = 1; round <= RESTARTS; round++) {
      for (let i = 0; i < CONFIGS / 2; i++) await change(i, round);
      const recording = record('auditconfig/');
      await plane.kill(round % 2 === 1 ? 'SIGKILL' : 'SIGTERM');
      await plane.start();
      const ready = performance.now();
      for (let i = CONFIGS / 2; i < CONFIGS; i++) await change(i, round);
      recoveries.push((await reconciled()) - ready);
      const recorded = recording.end();
      faults.push(...faultsOf(recorded).map((f) => `restart ${round}: ${f}`));
      lists.push(listsOf(recorded, '/apis/auditconfig.dev/v1alpha1/auditnodes'));
      if (round === 5) heapAt5 = await heapAfterCollection();
    }
    const growth = (await heapAfterCollection()) - heapAt5;
    const sorted = [...recoveries].sort((a, b) => a - b);
    const figures = {
      medianMs: Math.round(sorted[10] ?? NaN),
      maxMs: Math.round(sorted.at(-1) ?? NaN),
      lists: Math.max(...lists),
      growth,
      heapAt5,
    };
    console.log(JSON.stringify(figures));
    expect(faults).toEqual([]);
    // Once, and again where the server forgot the version of that list, or could not keep up.
    expect(Math.max(...lists)).toBeLessThanOrEqual(3);
    expect(growth).toBeLessThan(5_000_000);
  },
);
