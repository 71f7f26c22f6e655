/**
 * A hosted API server with a webhook that blocks, and a real receiver that dies: the controller that ships has it serve again in mode
 * Batch, with nobody's help, and blocking again when it is told to. Two real kube-apiservers, which share an etcd: the one that
 * manages, and the hosted one, which is started anew with what its played workload says.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { PLANE_VERSIONS } from '../control-plane/versions.ts';
import { apply, applyPatiently, kubeconfigOf, pathOf } from '../operator/install.ts';
import type { Manifest } from '../operator/install.ts';
import { Receiver } from '../operator/receiver.ts';
import { Workload, hostedNamespace } from './hosted-owner.ts';
import { startController, untilSaid } from './running.ts';

const MINUTE = 60_000;
const NAMESPACE = 'hosted';
const HOST = '127.0.0.2';
// As policies have it: nothing of health checks, so that they are green whatever happens.
const RULES = [
  { level: 'None', nonResourceURLs: ['/healthz*', '/livez*', '/readyz*'] },
  { level: 'Metadata', omitStages: ['RequestReceived'] },
];
const POLICY = JSON.stringify({ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', rules: RULES });
const b64 = (text: string): string => Buffer.from(text).toString('base64');

describe.each(PLANE_VERSIONS.slice(0, 1))('a webhook that blocks, of a hosted kube-apiserver %s', (version) => {
  let plane: ControlPlane;
  let hosted: ControlPlane | undefined;
  let receiver: Receiver;
  let controller: Promise<void>;
  let workload: Workload;
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
    plane = await startControlPlane({ version });
    controller = (await startController(plane, stop.signal)).ended;
    await hostedNamespace(plane, NAMESPACE);
    workload = await Workload.create(plane, 'Deployment', NAMESPACE);
    await put(secret('receiver', { 'webhook.yaml': hook }));
    const kubeconfig = kubeconfigOf(plane, plane.tokens['admin'] ?? '').replaceAll(
      plane.url,
      `https://${HOST}:${plane.port}`,
    );
    await put(secret('admin', { kubeconfig }));
    await applyPatiently(plane, datacenter);
  });
  afterAll(async () => {
    stop.abort();
    await Promise.all([controller, ...playing]);
    await hosted?.stop();
    await plane?.stop();
    await receiver?.stop();
  });

  const put = async (object: Manifest): Promise<void> => void (await apply(plane, object));
  const secret = (name: string, stringData: Record<string, string>): Manifest => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: NAMESPACE },
    stringData,
  });
  const datacenter: Manifest = {
    apiVersion: 'auditconfig.dev/v1alpha1',
    kind: 'DatacenterAuditConfig',
    metadata: { name: 'eu' },
    spec: { selector: {}, limits: { webhook: { modes: ['Batch', 'Blocking'] } } },
  };
  const config = (): Manifest => ({
    apiVersion: 'auditconfig.dev/v1alpha1',
    kind: 'AuditConfig',
    metadata: { name: 'main', namespace: NAMESPACE },
    spec: {
      target: {
        type: 'Hosted',
        hosted: {
          kind: 'Deployment',
          name: 'apiserver',
          container: 'apiserver',
          kubeconfigSecretRef: { name: 'admin' },
        },
      },
      policy: { rules: RULES },
      webhook: { secretRef: { name: 'receiver' }, mode: 'Blocking', networkPolicy: 'None' },
    },
  });
  const said = (type: string, reason: string): Promise<unknown> =>
    untilSaid({ plane, object: config(), ms: 6 * MINUTE }, type, reason);
  const modeIn = (words: readonly string[]): string | undefined =>
    words.find((w) => w.startsWith('--audit-webhook-mode='))?.split('=')[1];
  const mode = async (): Promise<string | undefined> => modeIn(await workload.words().catch(() => []));
  const untilMode = (want: string): Promise<void> =>
    expect.poll(mode, { timeout: 6 * MINUTE, interval: 250 }).toBe(want);

  /** The one pod of the workload: an API server with the mode that its template says. */
  async function startHosted(as: string | undefined): Promise<void> {
    await hosted?.stop();
    const audit = [
      '--audit-policy-file={root}/etc/audit/policy.yaml',
      '--audit-webhook-config-file={root}/etc/audit/webhook.yaml',
      `--audit-webhook-mode=${as}`,
    ];
    hosted = await startControlPlane({
      version,
      join: plane,
      host: HOST,
      files: { 'etc/audit/policy.yaml': POLICY, 'etc/audit/webhook.yaml': hook },
      flags: as === undefined ? [] : audit,
    });
  }
  /** Replaces it with each new template, and says then that it is available. */
  async function play(): Promise<void> {
    let done = 0;
    let runs: string | undefined;
    while (!stop.signal.aborted) {
      const live = await workload.get().catch(() => undefined);
      const generation = live?.metadata?.generation ?? done;
      if (generation !== done) {
        const wanted = await mode();
        if (wanted !== runs || hosted === undefined) await startHosted(wanted);
        runs = wanted;
        await workload.settle();
        done = generation;
      }
      await sleep(200, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  }
  /** Whether a request that is recorded is answered in time. */
  const serves = (ms: number): Promise<boolean> =>
    Promise.race([
      (hosted as ControlPlane).request('GET', '/api/v1/namespaces/default/configmaps/none').then(
        ({ status }) => status < 500,
        () => false,
      ),
      sleep(ms).then(() => false),
    ]);

  it(
    'is not put in before that API server answers, and then it is',
    async () => {
      await workload.settle();
      await applyPatiently(plane, config());
      await said('RolledOut', 'Waiting');
      expect(await mode()).toBeUndefined();
      await startHosted(undefined);
      playing.push(play());
      await said('RolledOut', 'Complete');
      expect(await mode()).toBe('blocking');
      const before = receiver.events.length;
      expect(await serves(30_000)).toBe(true);
      expect(receiver.events.length).toBeGreaterThan(before);
    },
    15 * MINUTE,
  );

  it(
    'is in mode Batch some time after its receiver’s end, which says so, and the API serves again',
    async () => {
      const begun = Date.now();
      await receiver.stop();
      expect(await serves(5_000)).toBe(false);
      expect((await (hosted as ControlPlane).request('GET', '/readyz')).status).toBe(200);
      await untilMode('batch');
      const took = Date.now() - begun;
      expect(took).toBeGreaterThan(45_000);
      await said('Degraded', 'WebhookFallback');
      await expect.poll(() => serves(5_000), { timeout: 6 * MINUTE, interval: 500 }).toBe(true);
      const events = await plane.request('GET', `/apis/events.k8s.io/v1/namespaces/${NAMESPACE}/events`);
      expect(events.text).toContain('"reason":"WebhookFallback"');
      console.log(`mode Batch ${Math.round(took / 1000)} s after the receiver had died`);
    },
    15 * MINUTE,
  );

  it(
    'blocks again when it is told to, and not because its receiver is back',
    async () => {
      await receiver.restart();
      const { generation } = (await workload.get()).metadata;
      // What its API server counts then is looked at, and changes nothing.
      await said('Verified', 'EventCounted');
      expect([await mode(), (await workload.get()).metadata.generation]).toEqual(['batch', generation]);
      const body = { metadata: { annotations: { 'auditconfig.dev/again': 'yes' } } };
      const patched = await plane.request('PATCH', pathOf(config()), { body });
      expect(patched.status, patched.text).toBe(200);
      await untilMode('blocking');
      await said('RolledOut', 'Complete');
      await said('Degraded', 'AsExpected');
    },
    15 * MINUTE,
  );
});
