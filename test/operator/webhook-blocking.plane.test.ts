/**
 * A webhook that blocks requests, on a real kube-apiserver with a real receiver: only a datacenter permits it; when the
 * receiver dies the API hangs with every health check green, and within two minutes the agent has it serve again, in mode
 * Batch, with nobody's help. Then it stays so until something changes.
 */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { PLANE_VERSIONS } from '../control-plane/versions.ts';
import type { Manifest } from './install.ts';
import { NODE_NAME, Operator, conditionOf } from './operator.ts';
import type { AuditConfigView } from './operator.ts';
import { Receiver } from './receiver.ts';

const NAMESPACE = 'auditconfig-system';
const b64 = (text: string): string => Buffer.from(text).toString('base64');
const ALL_RUN = { type: 'RolledOut', status: 'True', reason: 'Complete' };
const MINUTE = 60_000;

const main = (rules: readonly object[]): Manifest => ({
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'AuditConfig',
  metadata: { name: 'main', namespace: NAMESPACE },
  spec: {
    target: { type: 'StaticPod' },
    policy: { rules },
    webhook: { secretRef: { name: 'receiver' }, mode: 'Blocking' },
    rollout: { minReadySeconds: 0, timeoutSeconds: 120 },
  },
});
// As policies have it: nothing of health checks, so that they are green whatever happens.
const HEALTH = { level: 'None', nonResourceURLs: ['/healthz*', '/livez*', '/readyz*'] };
const FIRST = main([HEALTH, { level: 'Metadata' }]);
const SECOND = main([HEALTH, { level: 'Metadata', omitStages: ['RequestReceived'] }]);
const datacenter: Manifest = {
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'DatacenterAuditConfig',
  metadata: { name: 'eu' },
  spec: { selector: {}, limits: { webhook: { modes: ['Batch', 'Blocking'] } } },
};
const auditNode = { apiVersion: 'auditconfig.dev/v1alpha1', kind: 'AuditNode', metadata: { name: NODE_NAME } };

describe.each(PLANE_VERSIONS.slice(0, 1))('a webhook that blocks, on kube-apiserver %s', (version) => {
  let plane: ControlPlane;
  let operator: Operator;
  let receiver: Receiver;

  beforeAll(async () => {
    receiver = await new Receiver().start();
    receiver.tokens.add('token');
    plane = await startControlPlane({ version, run: 'manifest' });
    operator = await Operator.start({ plane });
    const { cert, key } = receiver.client('api');
    const user = { 'client-certificate-data': b64(cert), 'client-key-data': b64(key), token: 'token' };
    const cluster = { server: receiver.url, 'certificate-authority-data': b64(receiver.authority.cert) };
    await operator.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'receiver', namespace: NAMESPACE },
      stringData: {
        'webhook.yaml': JSON.stringify({
          clusters: [{ name: 'c', cluster }],
          users: [{ name: 'u', user }],
          contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
          'current-context': 'x',
        }),
      },
    });
  });
  afterAll(async () => {
    await operator?.stop();
    await plane?.stop();
    await receiver?.stop();
  });

  const mode = async (): Promise<string> =>
    /--audit-webhook-mode=([a-z-]+)/.exec(await readFile(plane.manifestPath, 'utf8'))?.[1] ?? 'none';
  const untilMode = async (want: string, ms: number): Promise<number> => {
    const begun = Date.now();
    while ((await mode()) !== want && Date.now() - begun < ms) await sleep(200);
    expect(await mode()).toBe(want);
    return Date.now() - begun;
  };
  /** How long a request takes, or null where it is not answered in time. */
  const answered = async (path: string, ms: number): Promise<number | null> => {
    const begun = Date.now();
    const reply = plane.request('GET', path).then(
      ({ status }) => (status < 500 ? Date.now() - begun : null),
      () => null,
    );
    return Promise.race([reply, sleep(ms).then(() => null)]);
  };
  const SOMETHING = '/api/v1/namespaces/default/configmaps/none';

  it('is refused while no datacenter permits it', async () => {
    await operator.apply(FIRST);
    await operator.until(FIRST, { type: 'Accepted', status: 'False', reason: 'NotPermitted' });
    expect(await mode()).toBe('none');
  });

  it('is installed when one does, and a request is answered after its event is delivered', async () => {
    await operator.apply(datacenter);
    await operator.until(FIRST, ALL_RUN);
    expect(await mode()).toBe('blocking');
    const id = randomUUID();
    await plane.request('GET', SOMETHING, { headers: { 'audit-id': id } });
    expect(receiver.events.some((e) => e.auditID === id)).toBe(true);
  });

  it(
    'is in mode Batch within two minutes of its receiver’s end, and the API serves again',
    async () => {
      await receiver.stop();
      expect(await answered(SOMETHING, 5_000)).toBeNull();
      // The checks of health see nothing of it.
      expect(await answered('/readyz', 5_000)).not.toBeNull();
      const took = await untilMode('batch', 2 * MINUTE);
      expect(took).toBeGreaterThan(45_000);
      const end = Date.now() + 2 * MINUTE;
      let serves: number | null = null;
      while (serves === null && Date.now() < end) serves = await answered(SOMETHING, 5_000);
      expect(serves).not.toBeNull();
      console.log(`mode Batch ${Math.round(took / 1000)} s after the receiver had died`);
    },
    8 * MINUTE,
  );

  it(
    'and says so, on the node and on the AuditConfig, and does not go back by itself',
    async () => {
      await operator.until(FIRST, { type: 'Degraded', status: 'True', reason: 'WebhookFallback' }, 2 * MINUTE);
      const node = (await operator.get(auditNode)) as { status: { phase: string; lastFailure: { reason: string } } };
      expect([node.status.phase, node.status.lastFailure.reason]).toEqual(['Held', 'WebhookFallback']);
      await receiver.restart();
      await sleep(20_000);
      expect(await mode()).toBe('batch');
      const view = (await operator.get(FIRST)) as AuditConfigView;
      expect(conditionOf(view, 'Degraded')?.reason).toBe('WebhookFallback');
    },
    5 * MINUTE,
  );

  it(
    'blocks again with the next revision',
    async () => {
      await operator.apply(SECOND);
      await operator.until(SECOND, ALL_RUN, 3 * MINUTE);
      expect(await mode()).toBe('blocking');
      await operator.until(SECOND, { type: 'Degraded', status: 'False', reason: 'AsExpected' });
    },
    4 * MINUTE,
  );
});
