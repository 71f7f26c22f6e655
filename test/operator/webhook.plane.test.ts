/**
 * The webhook of an AuditConfig, from its Secret to a real receiver, on a real kube-apiserver: events arrive once and
 * whole, a rotation of the client's certificate and token restarts nothing, and whatever becomes of the receiver, the
 * condition and the metrics say so. The agent looks every ten seconds here, every hour in life.
 */
import { randomUUID } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Issued } from '../control-plane/pki.ts';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { PLANE_VERSIONS } from '../control-plane/versions.ts';
import type { Manifest } from './install.ts';
import { NODE_NAME, Operator, conditionOf } from './operator.ts';
import type { AuditConfigView } from './operator.ts';
import { Receiver } from './receiver.ts';

const NAMESPACE = 'auditconfig-system';
const b64 = (text: string): string => Buffer.from(text).toString('base64');
const DELIVERING = { type: 'WebhookDelivering', status: 'True', reason: 'Delivering' };
const FAILING = { type: 'WebhookDelivering', status: 'False', reason: 'Failing' };
const LOST = { type: 'WebhookDelivering', status: 'False', reason: 'EventsLost' };
const ALL_RUN = { type: 'RolledOut', status: 'True', reason: 'Complete' };

const main: Manifest = {
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'AuditConfig',
  metadata: { name: 'main', namespace: NAMESPACE },
  spec: {
    target: { type: 'StaticPod' },
    policy: { rules: [{ level: 'Metadata', omitStages: ['RequestReceived'] }] },
    webhook: {
      secretRef: { name: 'receiver', key: 'audit.kubeconfig' },
      initialBackoffSeconds: 1,
      batch: { maxSize: 50, maxWaitSeconds: 1 },
    },
    rollout: { minReadySeconds: 0, timeoutSeconds: 60 },
  },
};
const auditNode = { apiVersion: 'auditconfig.dev/v1alpha1', kind: 'AuditNode', metadata: { name: NODE_NAME } };

describe.each(PLANE_VERSIONS.map((v) => [v] as const))('a webhook on kube-apiserver %s', (version) => {
  let plane: ControlPlane;
  let operator: Operator;
  let receiver: Receiver;
  let view: AuditConfigView;
  const secrets: string[] = [];

  const kubeconfig = (client: Issued, token: string, cluster: object = {}): string => {
    secrets.push(token, b64(client.key), client.key.split('\n')[1] ?? '-');
    const ca = { 'certificate-authority-data': b64(receiver.authority.cert) };
    return JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'r', cluster: { server: receiver.url, ...ca, ...cluster } }],
      users: [
        {
          name: 'u',
          user: { 'client-certificate-data': b64(client.cert), 'client-key-data': b64(client.key), token },
        },
      ],
      contexts: [{ name: 'x', context: { cluster: 'r', user: 'u' } }],
      'current-context': 'x',
    });
  };
  const secretWith = (text: string): Manifest => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'receiver', namespace: NAMESPACE },
    stringData: { 'audit.kubeconfig': text },
  });
  const apply = async (text: string): Promise<void> => {
    expect((await operator.apply(secretWith(text))).status).toBeLessThan(300);
  };
  const folder = (): string =>
    join(plane.root, 'etc/kubernetes/auditconfig/revisions', view.status?.revision?.digest.slice(0, 16) ?? '-');
  /** Audit IDs of requests that were made just now. */
  async function make(count: number): Promise<readonly string[]> {
    const ids = Array.from({ length: count }, () => randomUUID());
    for (const id of ids)
      await plane.request('GET', '/api/v1/namespaces/default/configmaps/none', { headers: { 'audit-id': id } });
    return ids;
  }
  const timesOf = (id: string): number => receiver.events.filter((e) => e.auditID === id).length;
  async function until(is: () => boolean, ms = 60_000): Promise<boolean> {
    const end = Date.now() + ms;
    while (!is() && Date.now() < end) await sleep(50);
    return is();
  }
  /** A metric of the agent. */
  async function metric(name: string): Promise<number> {
    const line = operator.agent.lines.find((l) => l.includes('agent started')) ?? '{}';
    const { port } = JSON.parse(line) as { port: number };
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1]);
  }
  const lost = (): Promise<number> => metric('auditconfig_webhook_lost_events_total');

  beforeAll(async () => {
    receiver = await new Receiver().start();
    plane = await startControlPlane({ version, run: 'manifest' });
    operator = await Operator.start({ plane, agentArgs: ['--proof-interval', '10'] });
  });
  afterAll(async () => {
    await operator?.stop();
    await plane?.stop();
    await receiver?.stop();
  });

  it('waits for its Secret, and says so', async () => {
    await operator.apply(main);
    const waits = await operator.until(main, { type: 'Accepted', status: 'False', reason: 'ReferenceNotFound' });
    expect(conditionOf(waits, 'WebhookDelivering')).toBeUndefined();
  });

  it('refuses a kubeconfig that cannot work, with line and column and no word of it', async () => {
    const good = receiver.client('early');
    const past = receiver.client('old', { from: new Date(Date.now() - 7_200_000), to: new Date(Date.now() - 60_000) });
    for (const [text, code] of [
      [kubeconfig(past, 'token-old'), 'WebhookCertificateExpired'],
      [kubeconfig({ ...good, key: receiver.client('x').key }, 'token-x'), 'WebhookKeyMismatch'],
      [kubeconfig(good, 'token-x', { server: 'https://audit.logging.svc' }), 'WebhookClusterHost'],
      ['a: [', 'WebhookUnparsable'],
    ] as const) {
      await apply(text);
      const end = Date.now() + 30_000;
      const message = async (): Promise<string> =>
        conditionOf((await operator.get(main)) as AuditConfigView, 'Accepted')?.message ?? '';
      while (!(await message()).includes(code) && Date.now() < end) await sleep(100);
      expect(await message()).toMatch(new RegExp(`line \\d+, column \\d+: .*\\(${code}\\)`));
    }
    expect((await operator.list('/apis/auditconfig.dev/v1alpha1/auditnodes')).length).toBe(0);
  });

  it('brings every event to the receiver once, with the client’s certificate and its token', async () => {
    receiver.tokens.add('token-one');
    await apply(kubeconfig(receiver.client('one'), 'token-one'));
    await operator.until(main, ALL_RUN);
    view = await operator.until(main, DELIVERING);
    const ids = await make(100);
    expect(await until(() => ids.every((id) => timesOf(id) > 0))).toBe(true);
    expect(ids.filter((id) => timesOf(id) !== 1)).toEqual([]);
    expect(new Set(receiver.batches.map((b) => [b.client, b.authorization, b.kind].join()))).toEqual(
      new Set(['one,Bearer token-one,EventList']),
    );
    expect(Math.max(...receiver.batches.map((b) => b.events.length))).toBeLessThanOrEqual(50);
    expect(await metric('auditconfig_webhook_delivering')).toBe(1);
    for (const name of ['client.pem', 'token'])
      expect(((await stat(join(folder(), name))).mode & 0o777).toString(8)).toBe('600');
    expect(((await stat(folder())).mode & 0o777).toString(8)).toBe('700');
  });

  it('takes another certificate and token without a restart and without another revision', async () => {
    const pid = plane.apiserver.pid;
    const before = await readFile(join(folder(), 'client.pem'), 'utf8');
    const next = receiver.client('two');
    await apply(kubeconfig(next, 'token-two'));
    let now = before;
    const end = Date.now() + 30_000;
    while (now === before && Date.now() < end) {
      await sleep(100);
      now = await readFile(join(folder(), 'client.pem'), 'utf8');
    }
    expect(now).toContain(next.cert.split('\n')[1]);
    // A connection that stands keeps its certificate for up to five minutes; a new one has the new one at once.
    receiver.tokens.add('token-two');
    receiver.drop();
    const ids = await make(20);
    expect(await until(() => ids.every((id) => timesOf(id) > 0))).toBe(true);
    const those = receiver.batches.filter((b) => b.events.some((e) => ids.includes(e.auditID)));
    expect(new Set(those.map((b) => b.client))).toEqual(new Set(['two']));
    // The token is read again after at most a minute: until then the old one must stay good.
    const withNew = (): boolean => receiver.batches.at(-1)?.authorization === 'Bearer token-two';
    for (let i = 0; i < 75 && !withNew(); i++) {
      await make(1);
      await sleep(1_000);
    }
    expect(withNew()).toBe(true);
    receiver.tokens.delete('token-one');
    expect(plane.apiserver.pid).toBe(pid);
    const after = await operator.until(main, ALL_RUN);
    expect(after.status?.revision).toEqual(view.status?.revision);
    await operator.until(main, DELIVERING);
  });

  it('fails while the receiver answers 500, and what was given up in that time is counted', async () => {
    const lostBefore = await lost();
    receiver.behaviour = { status: 500 };
    const failing = await operator.until(main, FAILING);
    expect(conditionOf(failing, 'WebhookDelivering')?.message).toContain('with HTTP 500');
    expect(conditionOf(failing, 'Ready')).toMatchObject({ status: 'False', reason: 'Failing' });
    expect(await metric('auditconfig_webhook_delivering')).toBe(0);
    const ids = await make(10);
    // Then they are given up (k8s.io/apiserver pkg/util/webhook: five steps).
    expect(await until(() => ids.every((id) => receiver.refused.get(id) === 5))).toBe(true);
    receiver.behaviour = {};
    await operator.until(main, DELIVERING);
    expect(ids.filter((id) => timesOf(id) > 0 || receiver.refused.get(id) !== 5)).toEqual([]);
    expect(await lost()).toBeGreaterThanOrEqual(lostBefore + 10);
  });

  // What the receiver does is the same to every version; each of these takes a while.
  if (version === PLANE_VERSIONS[0]) {
    it('is slow and delivers all the same', async () => {
      receiver.behaviour = { delayMs: 3_000 };
      const ids = await make(20);
      expect(await until(() => ids.every((id) => timesOf(id) > 0))).toBe(true);
      expect(conditionOf(await operator.until(main, DELIVERING), 'Ready')?.status).toBe('True');
      receiver.behaviour = {};
    });

    it('fails while the receiver is down, and recovers when it is back', async () => {
      await receiver.stop();
      const failing = await operator.until(main, FAILING);
      expect(conditionOf(failing, 'WebhookDelivering')?.message).toContain('without an answer');
      await receiver.restart();
      await operator.until(main, DELIVERING);
    });

    it('fails when the receiver’s certificate has expired', async () => {
      await receiver.restart('Expired');
      const failing = await operator.until(main, FAILING);
      expect(conditionOf(failing, 'WebhookDelivering')?.message).toContain('without an answer');
      await receiver.restart();
      await operator.until(main, DELIVERING);
    });

    it('stays as it is when its Secret is deleted or broken', async () => {
      const pid = plane.apiserver.pid;
      await apply(kubeconfig({ ...receiver.client('three'), key: receiver.client('x').key }, 'token-three'));
      await operator.until(main, { type: 'Accepted', status: 'False', reason: 'InvalidWebhook' });
      await operator.delete(secretWith(''));
      await operator.until(main, { type: 'Accepted', status: 'False', reason: 'ReferenceNotFound' });
      const ids = await make(10);
      expect(await until(() => ids.every((id) => timesOf(id) > 0))).toBe(true);
      expect(plane.apiserver.pid).toBe(pid);
      await apply(kubeconfig(receiver.client('two'), 'token-two'));
      await operator.until(main, { type: 'Ready', status: 'True' });
      expect(plane.apiserver.pid).toBe(pid);
    });

    it('that gets more than its buffer and throttle let through loses the rest, and every event is accounted for', async () => {
      const spec = main['spec'] as { webhook: object };
      const batch = { bufferSize: 10, maxSize: 1, throttle: { qps: 1, burst: 1 } };
      const rules = [
        {
          level: 'Metadata',
          namespaces: ['default'],
          verbs: ['get'],
          // Nobody but this test asks for these: every event is one of its own.
          resources: [{ group: '', resources: ['configmaps'] }],
          omitStages: ['RequestReceived'],
        },
        { level: 'None' },
      ];
      const tight = { ...main, spec: { ...spec, policy: { rules }, webhook: { ...spec.webhook, batch } } };
      await operator.apply(tight);
      await operator.until(main, ALL_RUN);
      const ids: string[] = [];
      let seen = false;
      for (let i = 0; i < 6 && !seen; i++) {
        ids.push(...(await make(40)));
        seen = await operator.until(main, LOST, 15_000).then(
          () => true,
          () => false,
        );
      }
      expect(seen).toBe(true);
      const text = async (): Promise<string> => (await plane.request('GET', '/metrics')).text;
      const dropped = async (): Promise<number> =>
        Number(/^apiserver_audit_error_total\{plugin="buffered"\} (.*)$/m.exec(await text())?.[1]);
      const arrived = (): number => ids.filter((id) => timesOf(id) > 0).length;
      const lostNow = await dropped();
      expect(lostNow).toBeGreaterThan(0);
      expect(await until(() => arrived() + lostNow === ids.length)).toBe(true);
      expect(await dropped()).toBe(lostNow);
    });
  }

  it('shows no word of its Secret anywhere', async () => {
    const events = await operator.list('/apis/events.k8s.io/v1/namespaces/default/events');
    const own = await operator.list(`/apis/events.k8s.io/v1/namespaces/${NAMESPACE}/events`);
    const said = [
      JSON.stringify([await operator.get(main), await operator.get(auditNode), events, own]),
      ...operator.controller.lines,
      ...operator.agent.lines,
      await readFile(join(plane.root, 'var/lib/auditconfig/state.json'), 'utf8').catch(() => ''),
    ].join('\n');
    expect(said.length).toBeGreaterThan(10_000);
    expect(secrets.filter((s) => said.includes(s))).toEqual([]);
  });

  it('goes with all its files when the webhook is taken away', async () => {
    const spec = main['spec'] as Record<string, unknown>;
    const { webhook: _gone, ...rest } = spec;
    await operator.apply({ ...main, spec: rest });
    const done = await operator.until(main, { type: 'Ready', status: 'True' });
    expect(conditionOf(done, 'WebhookDelivering')).toBeUndefined();
    const text = await readFile(plane.manifestPath, 'utf8');
    expect(text).not.toContain('audit-webhook');
  });
});
