/**
 * Workloads that a datacenter discovers, on a real API server, with the controller and the rights that ship. Deployments'
 * own controller is played (hosted-owner.ts), and no garbage collector runs: who owns an AuditConfig is what is seen here.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { applyOrThrow, applyPatiently } from '../operator/install.ts';
import { removeAndWait } from '../operator/install.ts';
import type { Manifest } from '../operator/install.ts';
import { Workload, hostedNamespace } from './hosted-owner.ts';
import { startController } from './running.ts';

type Config = {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly generation: number;
    readonly labels?: Record<string, string>;
    readonly ownerReferences?: readonly { kind: string; uid: string }[];
  };
  readonly spec: { readonly policy?: unknown };
  readonly status?: { readonly conditions?: readonly { type: string; status: string; reason: string }[] };
};

const SELECTED = { matchLabels: { app: 'apiserver' } };
const datacenter = (spec: Record<string, unknown> = {}): Manifest => ({
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'DatacenterAuditConfig',
  metadata: { name: 'eu' },
  spec: {
    selector: { namespaceSelector: { matchLabels: { dc: 'eu' } } },
    discovery: { hosted: { workloadSelector: SELECTED } },
    defaults: { policy: { preset: 'minimal' } },
    rollout: { maxUnavailable: '1' },
    ...spec,
  },
});

describe('discovery of hosted control planes', () => {
  let plane: ControlPlane;
  let controller: Promise<void>;
  const stop = new AbortController();
  const playing: Promise<void>[] = [];

  beforeAll(async () => {
    plane = await startControlPlane({ version: '1.36' });
    controller = (await startController(plane, stop.signal)).ended;
  });
  afterAll(async () => {
    stop.abort();
    await Promise.all([controller, ...playing]);
    await plane?.stop();
  });

  const configs = async (): Promise<readonly Config[]> => {
    const reply = await plane.request('GET', '/apis/auditconfig.dev/v1alpha1/auditconfigs');
    return (reply.body as { items?: readonly Config[] }).items ?? [];
  };
  const through = (all: readonly Config[]): readonly Config[] =>
    all.filter((c) => c.status?.conditions?.some((x) => x.type === 'RolledOut' && x.status === 'True') === true);
  const until = async (
    what: string,
    holds: (all: readonly Config[]) => boolean,
    ms = 90_000,
  ): Promise<readonly Config[]> => {
    for (const end = Date.now() + ms; ; await sleep(50)) {
      const all = await configs();
      if (holds(all)) return all;
      if (Date.now() > end) throw new Error(`${what}: ${JSON.stringify(all, null, 1)}`);
    }
  };
  const label = (namespace: string): Promise<void> =>
    applyOrThrow(plane, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespace, labels: { dc: 'eu' } } as Manifest['metadata'],
    });
  const place = async (namespace: string): Promise<Workload> => {
    await hostedNamespace(plane, namespace);
    await label(namespace);
    const w = await Workload.create(plane, 'Deployment', namespace);
    await w.settle();
    return w;
  };
  const put = (object: Manifest): Promise<void> => applyPatiently(plane, object);

  it('makes one AuditConfig for each, one after the other, and leaves the rest alone', async () => {
    const workloads = [await place('tenant-a'), await place('tenant-b'), await place('tenant-c')];
    // Somebody has one already; another runs no kube-apiserver; another is in a namespace that is not selected.
    await place('tenant-own');
    await put({
      apiVersion: 'auditconfig.dev/v1alpha1',
      kind: 'AuditConfig',
      metadata: { name: 'mine', namespace: 'tenant-own' },
      spec: {
        state: 'Disabled',
        target: { type: 'Hosted', hosted: { kind: 'Deployment', name: 'apiserver', container: 'apiserver' } },
      },
    });
    const other = { name: 'nginx', image: 'nginx' };
    const labels = { app: 'apiserver' };
    const body = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web', namespace: 'tenant-a', labels },
      spec: {
        selector: { matchLabels: { app: 'web' } },
        template: { metadata: { labels: { app: 'web' } }, spec: { containers: [other] } },
      },
    };
    expect((await plane.request('POST', '/apis/apps/v1/namespaces/tenant-a/deployments', { body })).status).toBe(201);
    await hostedNamespace(plane, 'elsewhere');
    await Workload.create(plane, 'Deployment', 'elsewhere');

    await put(datacenter());
    const discovered = (all: readonly Config[]): readonly Config[] => all.filter((c) => c.metadata.name !== 'mine');
    // Nothing becomes available while nobody plays: the second waits for the first.
    const first = discovered(await until('the first', (all) => discovered(all).length > 0));
    await sleep(3_000);
    expect(discovered(await configs()).map((c) => c.metadata.namespace)).toEqual([first[0]?.metadata.namespace]);

    for (const w of workloads) playing.push(w.play(stop.signal));
    const all = discovered(await until('all', (x) => through(discovered(x)).length === 3));
    expect(all.map((c) => `${c.metadata.namespace}/${c.metadata.name}`)).toEqual(
      ['a', 'b', 'c'].map((x) => `tenant-${x}/discovered-deployment-apiserver`),
    );
    expect(all.map((c) => c.metadata.labels?.['auditconfig.dev/discovered-by'])).toEqual(['eu', 'eu', 'eu']);
    const uids = await Promise.all(workloads.map(async (w) => (await w.get()).metadata.uid));
    expect(all.map((c) => c.metadata.ownerReferences?.map((o) => o.uid))).toEqual(uids.map((u) => [u]));
    await sleep(2_000);
    expect(discovered(await configs()).length).toBe(3);
  });

  it('leaves what a person has made of one, and all of them when the datacenter goes', async () => {
    const path = '/apis/auditconfig.dev/v1alpha1/namespaces/tenant-a/auditconfigs/discovered-deployment-apiserver';
    const edit = { spec: { policy: { preset: 'recommended' } } };
    await plane.request('PATCH', path, { body: edit, contentType: 'application/merge-patch+json' });
    await removeAndWait(plane, datacenter());
    const all = await until('they stay', (x) => through(x).length === 4);
    const edited = all.find((c) => c.metadata.namespace === 'tenant-a');
    expect(edited?.spec.policy).toEqual({ preset: 'recommended' });
  });

  it('finds a workload that comes later', async () => {
    await put(datacenter());
    const w = await place('tenant-later');
    playing.push(w.play(stop.signal));
    await until('the late one', (all) => through(all).some((c) => c.metadata.namespace === 'tenant-later'));
  });
});
