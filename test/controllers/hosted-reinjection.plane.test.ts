/**
 * Re-injection at admission (deploy/hosted-reinjection) on a real API server 1.36, under an owner who writes his whole object
 * again and again. Our own edit is made with the patch that the target plans, as the controller makes it.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { hosted } from '../../src/targets/hosted.ts';
import type { HostedTargetSpec } from '../../src/targets/hosted.ts';
import type { Shipping } from '../../src/render/types.ts';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { ROOT, applyOrThrow, installOperator, kustomized, tokenOf } from '../operator/install.ts';
import { revision } from '../targets/revisions.ts';
import { Workload, hostedNamespace } from './hosted-owner.ts';
import type { Kind } from './hosted-owner.ts';

const WRITES = 100;
const SPECS: Readonly<Record<Kind, HostedTargetSpec>> = {
  Deployment: { kind: 'Deployment', container: 'apiserver', config: 'main' },
  StatefulSet: { kind: 'StatefulSet', container: 'kube-apiserver', config: 'main' },
};

let plane: ControlPlane;
let token: string;
beforeAll(async () => {
  plane = await startControlPlane({ version: '1.36' });
  await installOperator(plane);
  for (const o of kustomized(join(ROOT, 'deploy/hosted-reinjection'))) await applyOrThrow(plane, o);
  token = await tokenOf(plane, 'auditconfig-controller');
  // A policy counts when every API server has read it, which nothing tells.
  await sleep(3_000);
});
afterAll(() => plane?.stop());

const SHIPPING: Shipping = {
  config: new TextEncoder().encode('service:\n'),
  image: 'fluent/fluent-bit:5.1.1',
  resources: { requests: { cpu: '10m' }, limits: { memory: '128Mi' } },
  env: [],
  files: [{ name: 'ca.crt', configMapKeyRef: { name: 'collector', key: 'ca.crt' } }],
  bufferBytes: 2 ** 30,
};
const shippers = async (w: Workload): Promise<number> =>
  (await w.get()).spec.template.spec.containers.filter((c) => c.name === 'audit-logs').length;

/** As the controller does it, with its account and rights. */
async function bring(w: Workload, to: ReturnType<typeof revision> | null): Promise<void> {
  const plan = hosted.plan(to, { workload: await w.get() }, SPECS[w.kind]);
  if ('refused' in plan) throw new Error(plan.refused[0]?.message);
  for (const { patch } of plan.changes) {
    const path = `${w.path}?fieldManager=auditconfig-controller`;
    const done = await plane.request('PATCH', path, { body: patch, contentType: 'application/json-patch+json', token });
    if (done.status !== 200) throw new Error(done.text);
  }
}

it.each(['Deployment', 'StatefulSet'] as const)(
  `an owner who writes his whole ${'%s'} ${WRITES} times causes no rollout`,
  async (kind) => {
    const namespace = `owner-${kind.toLowerCase()}`;
    await hostedNamespace(plane, namespace);
    const w = await Workload.create(plane, kind, namespace);
    const bare = await w.get();
    await bring(w, revision({ webhook: 'x\n', shipping: SHIPPING }));
    expect(await shippers(w)).toBe(1);
    const ours = await w.get();
    expect(ours.metadata.generation).toBe(bare.metadata.generation + 1);
    for (let i = 0; i < WRITES; i++) await w.writeBack();
    const after = await w.get();
    expect(after.metadata.generation).toBe(ours.metadata.generation);
    expect([after.spec, after.metadata.labels, after.metadata.annotations]).toEqual([
      ours.spec,
      ours.metadata.labels,
      ours.metadata.annotations,
    ]);
    // What he changes himself is his.
    await w.writeBack((text) =>
      text.replace('--enable-bootstrap-token-auth=true', '--enable-bootstrap-token-auth=false'),
    );
    expect(await w.words()).toContain('--enable-bootstrap-token-auth=false');
    expect((await w.flags()).length).toBe(9);
    expect((await w.get()).metadata.generation).toBe(ours.metadata.generation + 1);
    // The controller's own writes pass: another revision, and removal.
    await w.writeBack();
    await bring(w, revision());
    expect([(await w.flags()).length, await shippers(w)]).toEqual([8, 0]);
    await bring(w, null);
    expect((await w.get()).spec).toEqual(bare.spec);
    await w.writeBack();
    expect(await w.flags()).toEqual([]);
  },
);

it('a write with a flag whose value is the next word passes as it is', async () => {
  await hostedNamespace(plane, 'two-words');
  const w = await Workload.create(plane, 'Deployment', 'two-words');
  await bring(w, revision());
  await w.writeBack((text) => text.replace('"--etcd-servers"', '"--audit-log-maxage","7","--etcd-servers"'));
  expect(await w.flags()).toEqual(['--audit-log-maxage']);
  expect(await w.words()).toContain('7');
});
