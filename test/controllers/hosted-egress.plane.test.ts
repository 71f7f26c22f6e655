/**
 * webhook.networkPolicy: Auto on real API servers, with the controller and the rights that ship: a policy of ours comes with
 * somebody else's that restricts the API server's pods, follows the Service, is put right, and goes with the other one.
 * Whether it lets packets through is the network plugin's business, which no test here runs.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { egressName } from '../../src/render/egress/policy.ts';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { PLANE_VERSIONS } from '../control-plane/versions.ts';
import { applyOrThrow, applyPatiently, pathOf, removeAndWait } from '../operator/install.ts';
import type { Manifest } from '../operator/install.ts';
import { Workload, hostedNamespace } from './hosted-owner.ts';
import { startController } from './running.ts';

type Policy = {
  metadata: { resourceVersion: string; uid: string; ownerReferences?: { name: string }[] };
  spec: object;
};
type View = {
  metadata: { resourceVersion: string };
  status?: { conditions?: { type: string; status: string; reason: string; message: string }[] };
};
const NS = 'tenant';
const LONG = 60_000;

describe.each(PLANE_VERSIONS)('egress of hosted control planes on Kubernetes %s', (version) => {
  let plane: ControlPlane;
  let running: Promise<unknown>;
  const stop = new AbortController();

  beforeAll(async () => {
    plane = await startControlPlane({ version });
    const controller = (await startController(plane, stop.signal)).ended;
    await hostedNamespace(plane, NS);
    const workload = await Workload.create(plane, 'Deployment', NS);
    await workload.settle();
    running = Promise.all([controller, workload.play(stop.signal)]);
    await applyOrThrow(plane, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'logging' } });
  });
  afterAll(async () => {
    stop.abort();
    await running;
    await plane?.stop();
  });

  const secret = (name: string, server: string): Manifest => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: NS },
    stringData: {
      'webhook.yaml': JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        clusters: [{ name: 'c', cluster: { server } }],
        contexts: [{ name: 'x', context: { cluster: 'c' } }],
        'current-context': 'x',
      }),
    },
  });
  const service = (app: string): Manifest => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'audit', namespace: 'logging' },
    spec: { selector: { app }, ports: [{ port: 8443, targetPort: 9880 }] },
  });
  const deny: Manifest = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'default-deny', namespace: NS },
    spec: { podSelector: {}, policyTypes: ['Egress'] },
  };
  const config = (secretName: string): Manifest => ({
    apiVersion: 'auditconfig.dev/v1alpha1',
    kind: 'AuditConfig',
    metadata: { name: 'main', namespace: NS },
    spec: {
      target: { type: 'Hosted', hosted: { kind: 'Deployment', name: 'apiserver', container: 'apiserver' } },
      webhook: { secretRef: { name: secretName } },
      rollout: { timeoutSeconds: 30 },
    },
  });
  const ours: Manifest = { ...deny, metadata: { name: egressName('Deployment', 'apiserver'), namespace: NS } };

  const put = (object: Manifest): Promise<void> => applyPatiently(plane, object);
  const policy = async (): Promise<Policy | undefined> => {
    const reply = await plane.request('GET', pathOf(ours));
    return reply.status === 200 ? (reply.body as Policy) : undefined;
  };
  const view = async (): Promise<View> => (await plane.request('GET', pathOf(config('')))).body as View;
  const until = async <T>(ask: () => Promise<T>, holds: (t: T) => boolean): Promise<T> => {
    const end = Date.now() + LONG;
    let last = await ask();
    while (!holds(last) && Date.now() < end) {
      await sleep(50);
      last = await ask();
    }
    if (!holds(last)) throw new Error(`it did not come true: ${JSON.stringify(last)}\n${JSON.stringify(await view())}`);
    return last;
  };
  const untilSaid = (type: string, reason: string): Promise<View> =>
    until(view, (v) => v.status?.conditions?.some((c) => c.type === type && c.reason === reason) === true);
  const text = (p: Policy | undefined): string => JSON.stringify(p?.spec);

  it('where nothing restricts the pods there is none, and that is said', async () => {
    await put(service('receiver'));
    await put(secret('by-service', 'https://audit.logging.svc:8443/events'));
    await put(config('by-service'));
    await untilSaid('EgressPermitted', 'NotRestricted');
    await untilSaid('RolledOut', 'Complete');
    expect(await policy()).toBeUndefined();
  });

  it('comes with a policy that restricts them: the Service’s pods, their own port, and DNS', async () => {
    await put(deny);
    const there = await until(policy, (p) => p !== undefined);
    await untilSaid('EgressPermitted', 'Permitted');
    expect(there?.metadata.ownerReferences?.map((o) => o.name)).toEqual(['default-deny']);
    const { podSelector, egress } = there?.spec as { podSelector: object; egress: { ports: { port: number }[] }[] };
    const live = (await plane.request('GET', `/apis/apps/v1/namespaces/${NS}/deployments/apiserver`)).body as {
      spec: { selector: object };
    };
    expect(podSelector).toEqual(live.spec.selector);
    expect(egress).toContainEqual({
      to: [
        {
          namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'logging' } },
          podSelector: { matchLabels: { app: 'receiver' } },
        },
      ],
      ports: [{ protocol: 'TCP', port: 9880 }],
    });
    expect(egress.map((r) => r.ports.map((p) => p.port))).toContainEqual([53, 53]);
    expect(egress).toHaveLength(2);
  });

  it('follows the Service’s selector, and is put right where somebody changes it or deletes it', async () => {
    await put(service('other-receiver'));
    const followed = await until(policy, (p) => text(p).includes('other-receiver'));
    expect(text(followed)).not.toContain('"receiver"');
    await plane.request('PATCH', pathOf(ours), {
      body: { spec: { egress: [{}] } },
      contentType: 'application/merge-patch+json',
    });
    await until(policy, (p) => text(p) === text(followed));
    await plane.request('DELETE', pathOf(ours));
    await until(
      policy,
      (p) => p !== undefined && p.metadata.uid !== followed?.metadata.uid && text(p) === text(followed),
    );
  });

  it('is not written, and neither is status, while nothing changes', async () => {
    const versions = async (): Promise<readonly unknown[]> => [
      (await policy())?.metadata.resourceVersion,
      (await view()).metadata.resourceVersion,
    ];
    await sleep(1_000);
    const before = await versions();
    // Another policy that restricts nothing that leaves, and one about other pods: looked at, and nothing written.
    await put({
      ...deny,
      metadata: { name: 'inward', namespace: NS },
      spec: { podSelector: {}, policyTypes: ['Ingress'] },
    });
    await put({ ...deny, metadata: { name: 'others', namespace: NS }, spec: { podSelector: { matchLabels: { a: 'b' } }, policyTypes: ['Egress'] } }); // prettier-ignore
    await sleep(3_000);
    expect(await versions()).toEqual(before);
  });

  it('goes with the last policy that restricts them', async () => {
    await put({ ...deny, metadata: { name: 'second', namespace: NS } });
    await plane.request('DELETE', pathOf(deny));
    await until(policy, (p) => p?.metadata.ownerReferences?.[0]?.name === 'second');
    await plane.request('DELETE', pathOf({ ...deny, metadata: { name: 'second', namespace: NS } }));
    await until(policy, (p) => p === undefined);
    await untilSaid('EgressPermitted', 'NotRestricted');
  });

  it('never opens the way to a metadata service, and a Service’s own address is refused', async () => {
    await put(deny);
    await until(policy, (p) => p !== undefined);
    const { clusterIP } = ((await plane.request('GET', pathOf(service('x')))).body as { spec: { clusterIP: string } })
      .spec;
    for (const [name, host] of [
      ['metadata', '169.254.169.254'],
      ['by-cluster-ip', clusterIP],
    ] as const) {
      await put(secret(name, `http://${host}:8443/`));
      await put(config(name));
      const refused = await untilSaid('EgressPermitted', 'DestinationRefused');
      expect(JSON.stringify(refused.status)).not.toContain(host);
      await untilSaid('RolledOut', 'Complete');
      await until(policy, (p) => p === undefined);
      await put(config('by-service'));
      await untilSaid('EgressPermitted', 'Permitted');
    }
  });

  it('goes with the AuditConfig, and with networkPolicy: None', async () => {
    await until(policy, (p) => p !== undefined);
    const off = config('by-service');
    (off['spec'] as { webhook: object }).webhook = { secretRef: { name: 'by-service' }, networkPolicy: 'None' };
    await put(off);
    await until(policy, (p) => p === undefined);
    await until(view, (v) => v.status?.conditions?.every((c) => c.type !== 'EgressPermitted') === true);
    await put(config('by-service'));
    await until(policy, (p) => p !== undefined);
    await removeAndWait(plane, config(''));
    expect(await policy()).toBeUndefined();
  });
});
