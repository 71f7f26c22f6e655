/**
 * Somebody else writes the same workload and the same AuditConfig all the time, while a change is rolled out: neither side
 * loses a word, nobody calls it a fight, and the controller does not write more because others do.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AUDIT_POLICY, AuditLog } from '../bench/fleet/log.ts';
import type { Entry } from '../bench/fleet/log.ts';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { applyPatiently, pathOf } from '../operator/install.ts';
import type { Manifest } from '../operator/install.ts';
import { Workload, hostedNamespace } from './hosted-owner.ts';
import { startController, untilSaid } from './running.ts';

let plane: ControlPlane;
let controller: Promise<void> | undefined;
const stop = new AbortController();
const playing: Promise<void>[] = [];

beforeAll(async () => {
  plane = await startControlPlane({
    version: '1.36',
    files: { 'storm/policy.yaml': AUDIT_POLICY },
    flags: ['--audit-policy-file={root}/storm/policy.yaml', '--audit-log-path={root}/storm/audit.log'],
  });
  controller = (await startController(plane, stop.signal)).ended;
});
afterAll(async () => {
  stop.abort();
  await Promise.all([controller, ...playing]);
  await plane?.stop();
});

const WRITES = 60;
const PATIENCE_MS = 120_000;

const config = (namespace: string, preset: string): Manifest => ({
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'AuditConfig',
  metadata: { name: 'main', namespace },
  spec: {
    target: { type: 'Hosted', hosted: { kind: 'Deployment', name: 'apiserver', container: 'apiserver' } },
    rollout: { timeoutSeconds: 600 },
    policy: { preset },
  },
});

async function begin(namespace: string) {
  const put = (object: Manifest): Promise<void> => applyPatiently(plane, object);
  const until = (object: Manifest, type: string, reason: string) =>
    untilSaid({ plane, object, ms: PATIENCE_MS }, type, reason);
  await hostedNamespace(plane, namespace);
  const workload = await Workload.create(plane, 'Deployment', namespace);
  await workload.settle();
  playing.push(workload.play(stop.signal));
  await put(config(namespace, 'metadata'));
  const first = await until(config(namespace, 'metadata'), 'RolledOut', 'Complete');
  const log = new AuditLog(join(plane.root, 'storm/audit.log'));
  await log.read();
  return { put, until, workload, log, first, path: pathOf(config(namespace, '')) };
}

/** So often, as fast as it is answered; the middle one begins the change. */
async function storm(write: (i: number) => Promise<void>, middle: () => Promise<void>): Promise<void> {
  for (let i = 1; i <= WRITES; i++) {
    await write(i);
    if (i === WRITES / 3) await middle();
  }
}

async function merge(path: string, body: object): Promise<void> {
  const contentType = 'application/merge-patch+json';
  for (;;) {
    const reply = await plane.request('PATCH', `${path}?fieldManager=stranger`, { body, contentType });
    if (reply.status < 300) return;
    // The API server itself gives up after some tries.
    if (reply.status !== 409 && reply.status < 429) throw new Error(reply.text);
  }
}

const asked = (all: readonly Entry[], verb: string, what: string): number =>
  all.filter((e) => e.verb === verb && e.what === what && e.code < 300).length;
const digestIn = (words: readonly string[]): string =>
  /\/etc\/auditconfig\/([0-9a-f]+)\//.exec(words.find((w) => w.startsWith('--audit-policy-file=')) ?? '')?.[1] ?? '';

describe('a second writer', { timeout: 300_000 }, () => {
  it('who changes annotations of workload and AuditConfig all the time loses nothing and costs nothing', async () => {
    const s = await begin('annotations');
    const said = (i: number) => ({ metadata: { annotations: { 'storm.example.org/n': String(i) } } });
    await storm(
      async (i) => {
        await Promise.all([merge(s.workload.path, said(i)), merge(s.path, said(i))]);
      },
      () => s.put(config('annotations', 'minimal')),
    );
    const done = await s.until(config('annotations', 'minimal'), 'RolledOut', 'Complete');
    const live = await s.workload.get();
    expect(live.metadata).toMatchObject({ annotations: { 'storm.example.org/n': String(WRITES) } });
    expect(done.metadata).toMatchObject({ annotations: { 'storm.example.org/n': String(WRITES) } });
    expect(done.status?.revision?.digest.startsWith(digestIn(await s.workload.words()))).toBe(true);
    expect(done.status?.revision?.digest).not.toBe(s.first.status?.revision?.digest);
    const all = await s.log.read();
    // Once each, and once more where the API server gave up on a patch for the others' sake.
    expect(asked(all, 'patch', 'deployments')).toBeLessThanOrEqual(4);
    expect(asked(all, 'patch', 'auditconfigs/status')).toBeLessThanOrEqual(6);
    expect(asked(all, 'create', 'configmaps')).toBeLessThanOrEqual(4);
    expect(done.status?.workload?.['reverts']).toBeUndefined();
  });

  it('who changes arguments of his own all the time, beside ours, is no fight, and both sides stay', async () => {
    const s = await begin('arguments');
    const write = async (i: number): Promise<void> => {
      for (;;) {
        const live = await s.workload.get();
        const text = JSON.stringify(live);
        const body: unknown = JSON.parse(
          text.includes('"--v=')
            ? text.replace(/"--v=\d+"/, `"--v=${i}"`)
            : text.replace(/"--audit-/, `"--v=${i}","--audit-`),
        );
        const reply = await plane.request('PUT', `${s.workload.path}?fieldManager=stranger`, { body });
        if (reply.status === 200) return;
        if (reply.status !== 409 && reply.status < 429) throw new Error(reply.text);
      }
    };
    await storm(write, () => s.put(config('arguments', 'minimal')));
    const done = await s.until(config('arguments', 'minimal'), 'RolledOut', 'Complete');
    const words = await s.workload.words();
    expect(words.filter((w) => w.startsWith('--v='))).toEqual([`--v=${WRITES}`]);
    expect(done.status?.revision?.digest.startsWith(digestIn(words))).toBe(true);
    expect(done.status?.conditions?.find((c) => c.type === 'Degraded')?.reason).not.toBe('FieldFight');
    expect(done.status?.workload?.['reverts']).toBeUndefined();
    const all = await s.log.read();
    // It follows what they write, and no more often.
    expect(asked(all, 'patch', 'deployments')).toBeLessThanOrEqual(2 * WRITES);
  });

  it('who writes status all the time is put right, ever rarer, and what he wrote does not stay', async () => {
    const s = await begin('status');
    const foreign = { status: { conditions: [], observedGeneration: 999 } };
    const began = Date.now();
    await storm(
      async () => {
        await merge(`${s.path}/status`, foreign);
        await sleep(50);
      },
      () => s.put(config('status', 'minimal')),
    );
    const seconds = (Date.now() - began) / 1_000;
    const during = asked(await s.log.read(), 'patch', 'auditconfigs/status');
    // Two for the change; the first of each at once, then after one, two, four ... seconds.
    expect(during).toBeLessThanOrEqual(8 + 2 * Math.log2(1 + seconds));
    const done = await s.until(config('status', 'minimal'), 'RolledOut', 'Complete');
    expect(done.status?.revision?.digest.startsWith(digestIn(await s.workload.words()))).toBe(true);
  });
});
