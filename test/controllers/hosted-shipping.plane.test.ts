/**
 * Shipping of hosted control planes on real API servers, with the controller and the rights that ship: the sidecar is
 * accepted, follows changes, and is gone when shipping is. What runs in the pods is shown elsewhere (test/shipping).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { apply, pathOf } from '../operator/install.ts';
import type { Manifest } from '../operator/install.ts';
import { Workload, hostedNamespace } from './hosted-owner.ts';
import { startController } from './running.ts';

type View = {
  readonly metadata: { readonly generation: number };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly revision?: { readonly digest: string };
    readonly conditions?: readonly { type: string; status: string; reason: string; message: string }[];
  };
};
type Container = {
  readonly name: string;
  readonly image: string;
  readonly volumeMounts: readonly { name: string; mountPath: string }[];
};

const NAMESPACE = 'cluster-e9s4w7jk6t';
const config = (fluentBit: object | undefined): Manifest => ({
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'AuditConfig',
  metadata: { name: 'main', namespace: NAMESPACE },
  spec: {
    target: { type: 'Hosted', hosted: { kind: 'Deployment', name: 'apiserver', container: 'apiserver' } },
    rollout: { timeoutSeconds: 30 },
    ...(fluentBit === undefined ? {} : { shipping: { type: 'FluentBit', fluentBit } }),
  },
});

let plane: ControlPlane;
let controller: Promise<void>;
let workload: Workload;
let playing: Promise<void> | undefined;
const stop = new AbortController();

beforeAll(async () => {
  plane = await startControlPlane({ version: '1.36' });
  controller = (await startController(plane, stop.signal)).ended;
  await hostedNamespace(plane, NAMESPACE);
  workload = await Workload.create(plane, 'Deployment', NAMESPACE);
  await workload.settle();
  playing = workload.play(stop.signal);
});
afterAll(async () => {
  stop.abort();
  await Promise.all([controller, playing]);
  await plane?.stop();
});

async function put(object: Manifest): Promise<void> {
  for (;;) {
    const reply = await apply(plane, object);
    if (reply.status < 300) return;
    if (reply.status < 429) throw new Error(reply.text);
    await sleep(100);
  }
}

async function until(type: string, reason: string): Promise<View> {
  const end = Date.now() + 120_000;
  let last: View | undefined;
  while (Date.now() < end) {
    last = (await plane.request('GET', pathOf(config({})))).body as View;
    const c = last.status?.conditions?.find((x) => x.type === type);
    if (c?.reason === reason && last.status?.observedGeneration === last.metadata.generation) return last;
    await sleep(50);
  }
  throw new Error(`${type}=${reason} did not come true: ${JSON.stringify(last?.status, null, 1)}`);
}

const shipperIn = (containers: readonly unknown[]): Container | undefined =>
  (containers as readonly Container[]).find((c) => c.name === 'audit-logs');
const generation = async (): Promise<number> => (await workload.get()).metadata.generation;

it('the sidecar comes, follows what is changed, restarts nothing where nothing changes, and goes', async () => {
  const resources = { requests: {}, limits: { cpu: '1000m', memory: '0.5Gi' } };
  const env = [{ name: 'EMPTY', value: '' }];
  await put(
    config({ resources, env, outputs: [{ Name: 'forward', Match: '*', Host: 'fluentd', Port: 24224, tls: true }] }),
  );
  const { status } = await until('RolledOut', 'Complete');
  const digest = status?.revision?.digest ?? '';
  const live = await workload.get();
  expect(shipperIn(live.spec.template.spec.containers)?.image).toMatch(/^fluent\/fluent-bit:/);
  const name = `auditconfig-${digest.slice(0, 16)}`;
  const map = await plane.request('GET', `/api/v1/namespaces/${NAMESPACE}/configmaps/${name}`);
  expect((map.body as { data: Record<string, string> }).data['fluent-bit.yaml']).toContain('"host": "fluentd"');

  // Its pods are ones that the API server takes, and the shipper gets no token although the others do.
  const { metadata, spec } = live.spec.template as unknown as { metadata: object; spec: object };
  await put({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: NAMESPACE } });
  const pod = await plane.request('POST', `/api/v1/namespaces/${NAMESPACE}/pods`, {
    body: { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, name: 'made' }, spec },
  });
  expect([pod.status, pod.status === 201 ? '' : pod.text]).toEqual([201, '']);
  const made = (pod.body as { spec: { containers: Container[] } }).spec.containers;
  const tokens = made.map((c) => [
    c.name,
    c.volumeMounts.find((m) => m.mountPath.endsWith('/serviceaccount'))?.name ?? '',
  ]);
  expect(tokens.find(([n]) => n === 'audit-logs')?.[1]).toBe('auditconfig-shipping');
  expect(tokens.find(([n]) => n === 'apiserver')?.[1]).toMatch(/^kube-api-access-/);

  const before = await generation();
  const other = { requests: {}, limits: { memory: '512Mi', cpu: '1' } };
  await put(
    config({
      resources: other,
      env,
      outputs: [{ name: 'FORWARD', port: '24224', HOST: 'fluentd', Match: '*', TLS: 'true' }],
    }),
  );
  await until('RolledOut', 'Complete');
  expect(await generation()).toBe(before);

  await put(config({ outputs: [{ Name: 'forward', Host: 'elsewhere' }] }));
  const second = await until('RolledOut', 'Complete');
  expect([await generation(), second.status?.revision?.digest === digest]).toEqual([before + 1, false]);

  await put(config({ outputs: [{ Name: 'forward', Host: 'a\nb' }] }));
  const refused = await until('Accepted', 'InvalidSettings');
  expect(refused.status?.conditions?.find((c) => c.type === 'Accepted')?.message).toContain('ShippingControlCharacter');
  expect(await generation()).toBe(before + 1);

  await put(config(undefined));
  await until('RolledOut', 'Complete');
  expect(shipperIn((await workload.get()).spec.template.spec.containers)).toBeUndefined();
});
