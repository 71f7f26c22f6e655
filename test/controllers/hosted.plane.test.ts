/**
 * Hosted control planes on real API servers, with the controller that ships and the rights that ship. What a Deployment's or
 * StatefulSet's own controller and kubelet would do is played (hosted-owner.ts): test/cluster/hosted.node.test.ts has real ones.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { PLANE_VERSIONS } from '../control-plane/versions.ts';
import { apply, applyPatiently, pathOf, removeAndWait } from '../operator/install.ts';
import type { Manifest } from '../operator/install.ts';
import { Workload, hostedNamespace } from './hosted-owner.ts';
import type { Kind } from './hosted-owner.ts';
import { configOn, startController, untilSaid } from './running.ts';
import type { ConfigView } from './running.ts';

describe.each(PLANE_VERSIONS)('hosted control planes on Kubernetes %s', (version) => {
  let plane: ControlPlane;
  let controller: Promise<void>;
  const stop = new AbortController();
  const playing: Promise<void>[] = [];

  beforeAll(async () => {
    plane = await startControlPlane({ version, users: { tenant: ['tenants'] } });
    controller = (await startController(plane, stop.signal)).ended;
  });
  afterAll(async () => {
    stop.abort();
    await Promise.all([controller, ...playing]);
    await plane?.stop();
  });

  const config = (namespace: string, kind: Kind, spec: Record<string, unknown> = {}): Manifest => ({
    apiVersion: 'auditconfig.dev/v1alpha1',
    kind: 'AuditConfig',
    metadata: { name: 'main', namespace },
    spec: {
      target: {
        type: 'Hosted',
        hosted:
          kind === 'Deployment'
            ? { kind, name: 'apiserver', container: 'apiserver' }
            : { kind, name: 'kube-apiserver' },
      },
      rollout: { timeoutSeconds: 30 },
      ...spec,
    },
  });
  const put = (object: Manifest): Promise<void> => applyPatiently(plane, object);
  const get = (object: Manifest): Promise<ConfigView> => configOn(plane, object);
  const until = (object: Manifest, type: string, reason: string, ms = 120_000): Promise<ConfigView> =>
    untilSaid({ plane, object, ms }, type, reason);
  /** A namespace with a workload whose controller is played. */
  const place = async (name: string, kind: Kind): Promise<Workload> => {
    await hostedNamespace(plane, name);
    const workload = await Workload.create(plane, kind, name);
    await workload.settle();
    playing.push(workload.play(stop.signal));
    return workload;
  };

  it.each(['Deployment', 'StatefulSet'] as const)(
    'a %s gets a revision, another one, and everything back',
    async (kind) => {
      const namespace = `cluster-${kind.toLowerCase()}`;
      const w = await place(namespace, kind);
      const before = await w.get();
      const c = config(namespace, kind);
      await put(c);
      const { status } = await until(c, 'RolledOut', 'Complete');
      const digest = status?.revision?.digest ?? '';
      expect(await w.flags()).toContain(`--audit-policy-file=/etc/auditconfig/${digest.slice(0, 16)}/policy.yaml`);
      expect((await w.get()).metadata.generation).toBe(before.metadata.generation + 1);
      const map = await plane.request(
        'GET',
        `/api/v1/namespaces/${namespace}/configmaps/auditconfig-${digest.slice(0, 16)}`,
      );
      expect(map.body).toMatchObject({
        immutable: true,
        metadata: { ownerReferences: [{ kind, uid: before.metadata.uid }] },
      });

      await put(config(namespace, kind, { policy: { preset: 'minimal' } }));
      const second = await until(c, 'RolledOut', 'Complete');
      expect(second.status?.workload).toEqual({
        digest: second.status?.revision?.digest,
        lastKnownGood: second.status?.revision?.digest,
        published: 2,
      });
      expect((await w.get()).metadata.generation).toBe(before.metadata.generation + 2);

      // Nothing changed: nothing is written.
      const quiet = [(await w.get()).metadata.resourceVersion, second.metadata.resourceVersion];
      await sleep(2_000);
      expect([(await w.get()).metadata.resourceVersion, (await get(c)).metadata.resourceVersion]).toEqual(quiet);

      await removeAndWait(plane, c);
      const after = await w.get();
      expect([after.spec, after.metadata.labels, after.metadata.annotations]).toEqual([
        before.spec,
        before.metadata.labels,
        before.metadata.annotations,
      ]);
    },
  );

  it('a change costs one create, one patch of the workload and two of status: begun, and through', async () => {
    await place('costs', 'Deployment');
    const c = config('costs', 'Deployment');
    await put(c);
    await until(c, 'RolledOut', 'Complete');
    const counts = async (): Promise<ReadonlyMap<string, number>> => {
      const { text } = await plane.request('GET', '/metrics');
      const found = new Map<string, number>();
      for (const [, labels = '', n = '0'] of text.matchAll(/^apiserver_request_total\{([^}]*)\} (\S+)$/gm)) {
        const label = (name: string): string => new RegExp(`[{,]?${name}="([^"]*)"`).exec(labels)?.[1] ?? '';
        const key = `${label('verb')} ${label('resource')}/${label('subresource')}`;
        found.set(key, (found.get(key) ?? 0) + Number(n));
      }
      return found;
    };
    await sleep(1_000);
    const before = await counts();
    await put(config('costs', 'Deployment', { policy: { preset: 'minimal' } }));
    await until(c, 'RolledOut', 'Complete');
    await sleep(1_000);
    const after = await counts();
    const cost = (key: string): number => (after.get(key) ?? 0) - (before.get(key) ?? 0);
    const keys = [
      'POST configmaps/',
      'PATCH deployments/',
      'PATCH auditconfigs/status',
      'PATCH auditconfigs/',
      'GET configmaps/',
      'GET secrets/',
    ];
    expect(Object.fromEntries(keys.map((k) => [k, cost(k)]))).toEqual({
      'POST configmaps/': 1,
      'PATCH deployments/': 1,
      'PATCH auditconfigs/status': 2,
      'PATCH auditconfigs/': 0,
      'GET configmaps/': 0,
      'GET secrets/': 0,
    });
  });

  it('a revision that is not available in time goes back to the last good one, and is not tried again', async () => {
    const w = await place('goes-back', 'Deployment');
    const c = config('goes-back', 'Deployment');
    await put(c);
    await until(c, 'RolledOut', 'Complete');
    const good = await w.words();
    w.available = 1;
    await put(config('goes-back', 'Deployment', { policy: { preset: 'minimal' } }));
    const held = await until(c, 'RolledOut', 'NodeHeld');
    expect(held.status?.conditions?.find((x) => x.type === 'Degraded')).toMatchObject({
      status: 'True',
      reason: 'NodeHeld',
    });
    expect(await w.words()).toEqual(good);
    w.available = null;
    const { generation } = (await w.get()).metadata;
    await sleep(2_000);
    expect((await w.get()).metadata.generation).toBe(generation);
    await put(config('goes-back', 'Deployment', { policy: { preset: 'recommended' } }));
    await until(c, 'RolledOut', 'Complete');
  });

  it('an owner who writes his whole object back twice is named, and left alone', async () => {
    const w = await place('fight', 'Deployment');
    const c = config('fight', 'Deployment');
    await put(c);
    await until(c, 'RolledOut', 'Complete');
    await w.writeBack();
    await until(c, 'RolledOut', 'Complete');
    const end = Date.now() + 20_000;
    while ((await w.flags()).length === 0 && Date.now() < end) await sleep(50);
    expect((await w.flags()).length).toBeGreaterThan(0);
    await w.writeBack();
    const fought = await until(c, 'Degraded', 'FieldFight');
    expect(fought.status?.conditions?.find((x) => x.type === 'Degraded')?.message).toContain('platform-operator');
    const { generation } = (await w.get()).metadata;
    await sleep(2_000);
    expect([(await w.get()).metadata.generation, await w.flags()]).toEqual([generation, []]);
    await put(config('fight', 'Deployment', { policy: { preset: 'minimal' } }));
    await until(c, 'RolledOut', 'Complete');
  });

  it('a workload that is no kube-apiserver, and one that is not there, are refused by name', async () => {
    await hostedNamespace(plane, 'refused');
    const c = config('refused', 'Deployment');
    await put(c);
    await until(c, 'RolledOut', 'WorkloadNotFound');
  });

  it('whoever writes an AuditConfig must be allowed to patch the workload that it targets', async () => {
    await apply(plane, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'writer' } });
    const may = async (name: string, group: string, resource: string): Promise<void> => {
      const api = 'rbac.authorization.k8s.io';
      const rules = [{ apiGroups: [group], resources: [resource], verbs: ['get', 'create', 'patch'] }];
      await apply(plane, { apiVersion: `${api}/v1`, kind: 'Role', metadata: { name, namespace: 'writer' }, rules });
      await apply(plane, {
        apiVersion: `${api}/v1`,
        kind: 'RoleBinding',
        metadata: { name, namespace: 'writer' },
        roleRef: { apiGroup: api, kind: 'Role', name },
        subjects: [{ kind: 'Group', name: 'tenants' }],
      });
    };
    const token = plane.tokens['tenant'] ?? '';
    const body = config('writer', 'Deployment');
    const write = (query = '') =>
      plane.request('PATCH', `${pathOf(body)}?fieldManager=tenant${query}`, {
        body,
        contentType: 'application/apply-patch+yaml',
        token,
      });
    const until403 = async (): Promise<string> => {
      for (const end = Date.now() + 20_000; Date.now() < end; await sleep(100)) {
        const { status, text } = await write('&dryRun=All');
        if (status === 403 && text.includes('allowed to patch it')) return text;
      }
      return 'it was never refused so';
    };
    await may('configs', 'auditconfig.dev', 'auditconfigs');
    expect(await until403()).toContain('deployments apiserver in namespace writer');
    await may('deployments', 'apps', 'deployments');
    let status = 0;
    for (const end = Date.now() + 20_000; Date.now() < end && status !== 201; await sleep(100))
      status = (await write()).status;
    expect(status).toBe(201);
  });

  it('what it refers to in its own namespace is watched: changed, deleted and made anew', async () => {
    const namespace = 'referring';
    const w = await place(namespace, 'Deployment');
    const map = (rule: string): Manifest => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'policy', namespace },
      data: { 'policy.yaml': `apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: ${rule}\n` },
    });
    await apply(plane, map('Metadata'));
    const c = config(namespace, 'Deployment', { policy: { configMapRef: { name: 'policy' } } });
    await put(c);
    const first = await until(c, 'RolledOut', 'Complete');
    const { generation } = (await w.get()).metadata;
    await plane.request('DELETE', pathOf(map('')));
    await until(c, 'Accepted', 'ReferenceNotFound', 15_000);
    expect((await w.get()).metadata.generation).toBe(generation);
    await apply(plane, map('Request'));
    await until(c, 'Accepted', 'Valid', 15_000);
    const digests = new Set([first.status?.revision?.digest]);
    const another = async (): Promise<void> => {
      const end = Date.now() + 15_000;
      while (digests.has((await get(c)).status?.revision?.digest) && Date.now() < end) await sleep(50);
      digests.add((await until(c, 'RolledOut', 'Complete')).status?.revision?.digest);
    };
    await another();
    await apply(plane, map('RequestResponse'));
    await another();
    expect([digests.size, (await w.get()).metadata.generation]).toEqual([3, generation + 2]);
  });

  it('another token of its webhook changes a Secret, and neither workload nor condition', async () => {
    const namespace = 'rotating';
    const w = await place(namespace, 'Deployment');
    const secret = (token: string, cluster: object = {}): Manifest => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'receiver', namespace },
      stringData: {
        'webhook.yaml': JSON.stringify({
          clusters: [{ name: 'c', cluster: { server: 'https://receiver.example', ...cluster } }],
          users: [{ name: 'u', user: { token } }],
          contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
          'current-context': 'x',
        }),
      },
    });
    await apply(plane, secret('one'));
    const c = config(namespace, 'Deployment', { webhook: { secretRef: { name: 'receiver' } } });
    await put(c);
    const before = await until(c, 'RolledOut', 'Complete');
    const { volumes } = (await w.get()).spec.template.spec;
    const ours = volumes.find((v) => v['name'] === 'auditconfig-revision') as {
      projected: { sources: { secret?: { name: string; items: { path: string }[] } }[] };
    };
    const name = ours.projected.sources.find((s) => s.secret?.items[0]?.path === 'token')?.secret?.name ?? '-';
    const mounted = async (): Promise<string> => {
      const { body } = await plane.request('GET', `/api/v1/namespaces/${namespace}/secrets/${name}`);
      return Buffer.from((body as { data?: { token?: string } }).data?.token ?? '', 'base64').toString();
    };
    expect(await mounted()).toBe('one');
    const { resourceVersion } = (await w.get()).metadata;
    const becomes = (token: string): Promise<void> =>
      expect.poll(mounted, { timeout: 60_000, interval: 50 }).toBe(token);
    await apply(plane, secret('two'));
    await becomes('two');
    await sleep(1_000);
    expect((await w.get()).metadata.resourceVersion).toBe(resourceVersion);
    const after = await until(c, 'RolledOut', 'Complete');
    expect(after.status?.revision).toEqual(before.status?.revision);
    // Another kubeconfig waits: what runs has the newest token all the same, as long as that is for the same server.
    const waits = config(namespace, 'Deployment', {
      webhook: { secretRef: { name: 'receiver' } },
      rollout: { timeoutSeconds: 30, paused: true },
    });
    await put(waits);
    await until(waits, 'RolledOut', 'Complete');
    await apply(plane, secret('three', { 'disable-compression': true }));
    await becomes('three');
    await until(waits, 'RolledOut', 'Paused');
    await apply(plane, secret('four', { server: 'https://other.example' }));
    await until(waits, 'Degraded', 'CredentialsWaiting');
    expect([await mounted(), (await w.get()).metadata.resourceVersion]).toEqual(['three', resourceVersion]);
  });

  it('old revisions are deleted, but for the newest and for one that a ReplicaSet could go back to', async () => {
    const namespace = 'pruned';
    const w = await place(namespace, 'Deployment');
    const change = async (n: number): Promise<string> => {
      const c = config(namespace, 'Deployment', { policy: { rules: [{ level: 'Metadata', users: [`u${n}`] }] } });
      await put(c);
      return (await until(c, 'RolledOut', 'Complete')).status?.revision?.digest.slice(0, 16) ?? '';
    };
    const digests = [await change(1)];
    const { template } = (await w.get()).spec;
    const labels = { of: 'the-first' };
    const spec = { replicas: 0, selector: { matchLabels: labels }, template: { ...template, metadata: { labels } } };
    const old = { apiVersion: 'apps/v1', kind: 'ReplicaSet', metadata: { name: 'first', namespace }, spec };
    const path = `/apis/apps/v1/namespaces/${namespace}/replicasets`;
    expect((await plane.request('POST', path, { body: old })).status).toBe(201);
    for (let n = 2; n <= 10; n++) digests.push(await change(n));
    const there = async (): Promise<readonly number[]> => {
      const { body } = await plane.request('GET', `/api/v1/namespaces/${namespace}/configmaps`);
      const names = (body as { items: { metadata: { name: string } }[] }).items.map((i) => i.metadata.name);
      return digests.flatMap((d, i) => (names.includes(`auditconfig-${d}`) ? [i + 1] : []));
    };
    const end = Date.now() + 10_000;
    while ((await there()).length > 5 && Date.now() < end) await sleep(50);
    const left = await there();
    expect([left.length, left.includes(1), left.includes(10)]).toEqual([5, true, true]);
  });

  it('a namespace in which nobody bound the role says so', async () => {
    await apply(plane, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'unbound' } });
    const c = config('unbound', 'Deployment');
    await put(c);
    await until(c, 'RolledOut', 'Blocked');
  });
});
