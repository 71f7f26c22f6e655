/**
 * A hosted API server is asked whether it audits: a real one, with a real policy, log and webhook of its own, by the
 * controller that ships. It is its own management cluster here, and the workload that stands for it is played.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { PLANE_VERSIONS } from '../control-plane/versions.ts';
import { apply, kubeconfigOf, pathOf } from '../operator/install.ts';
import type { Manifest } from '../operator/install.ts';
import { Receiver } from '../operator/receiver.ts';
import { Workload, hostedNamespace } from './hosted-owner.ts';
import { startController } from './running.ts';

type Condition = { readonly type: string; readonly status: string; readonly reason: string; readonly message: string };
type View = {
  readonly metadata: { readonly resourceVersion: string };
  readonly status?: { readonly conditions?: readonly Condition[]; readonly workload?: unknown };
};

const POLICY = 'apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- level: Metadata\n';
const b64 = (text: string): string => Buffer.from(text).toString('base64');

describe.each(PLANE_VERSIONS)('a hosted API server of Kubernetes %s that is asked', (version) => {
  let plane: ControlPlane;
  let receiver: Receiver;
  let controller: Promise<void>;
  let hook: string;
  const stop = new AbortController();
  const playing: Promise<void>[] = [];

  beforeAll(async () => {
    receiver = new Receiver();
    receiver.tokens.add('');
    await receiver.start();
    const { cert, key } = receiver.client('apiserver');
    const ca = { 'certificate-authority-data': b64(receiver.authority.cert) };
    hook = JSON.stringify({
      clusters: [{ name: 'c', cluster: { server: receiver.url, ...ca } }],
      users: [{ name: 'u', user: { 'client-certificate-data': b64(cert), 'client-key-data': b64(key) } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    });
    plane = await startControlPlane({
      version,
      users: { nobody: [] },
      files: { 'etc/audit/policy.yaml': POLICY, 'etc/audit/webhook.yaml': hook },
      flags: [
        '--audit-policy-file={root}/etc/audit/policy.yaml',
        '--audit-log-path={root}/var/log/audit.log',
        '--audit-webhook-config-file={root}/etc/audit/webhook.yaml',
        '--audit-webhook-batch-max-wait=1s',
      ],
    });
    controller = (await startController(plane, stop.signal)).ended;
  });
  afterAll(async () => {
    stop.abort();
    await Promise.all([controller, ...playing]);
    await plane?.stop();
    await receiver?.stop();
  });

  const secret = (namespace: string, name: string, stringData: Record<string, string>): Manifest => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace },
    stringData,
  });

  /** Waits until the API server was asked, and gives what is said of it. */
  async function asked(
    namespace: string,
    kubeconfig: string | undefined,
    spec: Record<string, unknown>,
  ): Promise<{ readonly view: View; readonly of: (type: string) => Condition | undefined; readonly config: Manifest }> {
    await hostedNamespace(plane, namespace);
    const workload = await Workload.create(plane, 'Deployment', namespace);
    await workload.settle();
    playing.push(workload.play(stop.signal));
    if (kubeconfig !== undefined) await apply(plane, secret(namespace, 'admin', { kubeconfig }));
    await apply(plane, secret(namespace, 'receiver', { 'webhook.yaml': hook }));
    const hosted = {
      kind: 'Deployment',
      name: 'apiserver',
      container: 'apiserver',
      kubeconfigSecretRef: { name: 'admin' },
    };
    const config: Manifest = {
      apiVersion: 'auditconfig.dev/v1alpha1',
      kind: 'AuditConfig',
      metadata: { name: 'main', namespace },
      spec: { target: { type: 'Hosted', hosted }, ...spec },
    };
    for (const end = Date.now() + 20_000; (await apply(plane, config)).status >= 300 && Date.now() < end;)
      await sleep(100);
    let view: View | undefined;
    for (const end = Date.now() + 90_000; Date.now() < end; await sleep(100)) {
      view = (await plane.request('GET', pathOf(config))).body as View;
      if (JSON.stringify(view.status?.workload ?? {}).includes('"proof"')) {
        const { conditions = [] } = view.status ?? {};
        return { view, config, of: (type) => conditions.find((c) => c.type === type) };
      }
    }
    throw new Error(`it was not asked: ${JSON.stringify(view?.status)}`);
  }
  const admin = (): string => kubeconfigOf(plane, plane.tokens['admin'] ?? '');
  const METADATA = { policy: { rules: [{ level: 'Metadata', omitStages: ['RequestReceived'] }] } };

  it('has counted the events of requests that its policy records, and its webhook took them', async () => {
    const webhook = { secretRef: { name: 'receiver' }, batch: { maxWaitSeconds: 1 } };
    const { view, of } = await asked('proven', admin(), { ...METADATA, webhook });
    expect(of('Verified')).toMatchObject({ status: 'True', reason: 'EventCounted' });
    expect(of('WebhookDelivering')).toMatchObject({ status: 'True', reason: 'Delivering' });
    expect(of('RetentionMet')).toMatchObject({ status: 'Unknown', reason: 'NotMeasured' });
    expect(JSON.stringify(view)).not.toContain(plane.tokens['admin']);
    // Once; the next time is in an hour.
    const events = receiver.events.filter((e) => e.requestURI.includes('selfsubjectreviews')).length;
    await sleep(3_000);
    expect(receiver.events.filter((e) => e.requestURI.includes('selfsubjectreviews')).length).toBe(events);
  });

  it('that runs another policy than the one that is wanted is found out', async () => {
    const { of } = await asked('other-policy', admin(), { policy: { rules: [{ level: 'RequestResponse' }] } });
    expect(of('Verified')).toMatchObject({ status: 'False', reason: 'EventMissing' });
    expect(of('Ready')).toMatchObject({ status: 'False', reason: 'EventMissing' });
  });

  it('is not asked by a program or a file that its kubeconfig names, nor without verified TLS', async () => {
    const ran = `${plane.root}/ran`;
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: '/bin/touch', args: [ran] };
    const change = (user: object, cluster: object = {}): string => {
      const config = JSON.parse(admin()) as { users: { user: object }[]; clusters: { cluster: object }[] };
      for (const u of config.users) u.user = { ...user };
      for (const c of config.clusters) c.cluster = { ...c.cluster, ...cluster };
      return JSON.stringify(config);
    };
    const insecure = { 'insecure-skip-tls-verify': true, 'certificate-authority-data': undefined };
    const all = await Promise.all([
      asked('exec', change({ exec }), METADATA),
      asked('file', change({ tokenFile: '/etc/hostname' }), METADATA),
      asked('insecure', change({ token: 'x' }, insecure), METADATA),
      asked('nothing', undefined, METADATA),
    ]);
    for (const { of } of all) expect(of('Verified')).toMatchObject({ status: 'Unknown', reason: 'Pending' });
    expect(
      all.map(({ of }) => /exec|tokenFile|insecure|is not there/.exec(of('Verified')?.message ?? '')?.[0]),
    ).toEqual(['exec', 'tokenFile', 'insecure', 'is not there']);
    await expect(import('node:fs/promises').then((fs) => fs.stat(ran))).rejects.toThrow();
  });

  it('says which right is missing where its metrics may not be read, and is asked at once with another kubeconfig', async () => {
    const { of, config } = await asked('no-rights', kubeconfigOf(plane, plane.tokens['nobody'] ?? ''), METADATA);
    expect(of('Verified')).toMatchObject({ status: 'Unknown', reason: 'Pending' });
    expect(of('Verified')?.message).toContain('/metrics');
    expect(of('Ready')).toMatchObject({ status: 'True' });
    await apply(plane, secret('no-rights', 'admin', { kubeconfig: admin() }));
    const verified = async (): Promise<string | undefined> => {
      const { status } = (await plane.request('GET', pathOf(config))).body as View;
      return status?.conditions?.find((c) => c.type === 'Verified')?.reason;
    };
    for (const end = Date.now() + 60_000; (await verified()) === 'Pending' && Date.now() < end;) await sleep(100);
    expect(await verified()).toBe('EventCounted');
  });

  it('is asked anew where another Secret is named, and not any more where none is', async () => {
    const webhook = { secretRef: { name: 'receiver' }, batch: { maxWaitSeconds: 1 } };
    const nobody = kubeconfigOf(plane, plane.tokens['nobody'] ?? '');
    const { config } = await asked('named-anew', nobody, { ...METADATA, webhook });
    await apply(plane, secret('named-anew', 'other', { kubeconfig: admin() }));
    const named = async (ref: object | null, verified: string, delivering: string): Promise<void> => {
      const target = { hosted: { kubeconfigSecretRef: ref } };
      const patched = await plane.request('PATCH', pathOf(config), { body: { spec: { target } } });
      expect(patched.status, patched.text).toBe(200);
      const said = async (): Promise<readonly unknown[]> => {
        const { conditions = [] } = ((await plane.request('GET', pathOf(config))).body as View).status ?? {};
        return ['Verified', 'WebhookDelivering'].map((type) => conditions.find((c) => c.type === type)?.reason);
      };
      await expect.poll(said, { timeout: 90_000, interval: 200 }).toEqual([verified, delivering]);
    };
    await named({ name: 'other' }, 'EventCounted', 'Delivering');
    await named(null, 'NothingToObserve', 'Pending');
    await named({ name: 'admin' }, 'Pending', 'Pending');
    await named({ name: 'other', key: 'kubeconfig' }, 'EventCounted', 'Delivering');
  });
});
