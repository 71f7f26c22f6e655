/**
 * Kubermatic's document as acceptance tests, as far as a datacenter goes: enforceAuditLogging, also for control planes
 * that are there already; enforcedAuditWebhookSettings, which Kubermatic gives to new ones only; the `audit-config`
 * ConfigMap that can be edited, the preset that overrides it, and '' that unsets the preset. On a real kube-apiserver.
 */
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import type { Manifest } from '../operator/install.ts';
import { Operator } from '../operator/operator.ts';
import type { AuditConfigView } from '../operator/operator.ts';

const NAMESPACE = 'auditconfig-system';
const API = 'auditconfig.dev/v1alpha1';
const cluster = (spec: object): Manifest => ({
  apiVersion: API,
  kind: 'AuditConfig',
  metadata: { name: 'user-cluster', namespace: NAMESPACE },
  spec: { target: { type: 'StaticPod' }, rollout: { minReadySeconds: 0, timeoutSeconds: 60 }, ...spec },
});
const datacenter = (spec: object): Manifest => ({
  apiVersion: API,
  kind: 'DatacenterAuditConfig',
  metadata: { name: 'eu-west-1' },
  spec: { selector: {}, ...spec },
});
const auditConfigMap = (level: string): Manifest => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'audit-config', namespace: NAMESPACE },
  data: { 'policy.yaml': `apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: ${level}\n` },
});
/** As in the document, its http server included. */
const WEBHOOK = `apiVersion: v1
kind: Config
clusters:
- name: audit-webhook
  cluster:
    server: http://127.0.0.1:9
contexts:
- name: audit-webhook
  context:
    cluster: audit-webhook
    user: ""
current-context: audit-webhook
users: []
preferences: {}
`;
const SECRET: Manifest = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'audit-webhook-backend-secret', namespace: NAMESPACE },
  type: 'Opaque',
  data: { 'webhook.yaml': Buffer.from(WEBHOOK).toString('base64') },
};

describe("Kubermatic's datacenter settings", () => {
  let plane: ControlPlane;
  let operator: Operator;
  const manifest = (): Promise<string> => readFile(plane.manifestPath, 'utf8');
  const until = async (
    what: string,
    holds: (text: string, level: string | undefined) => boolean,
  ): Promise<AuditConfigView> => {
    const end = Date.now() + 90_000;
    for (;;) {
      const text = await manifest();
      const now = (await operator.get(cluster({})).catch(() => undefined)) as AuditConfigView | undefined;
      const rolled = now?.status?.conditions?.find((c) => c.type === 'RolledOut');
      const current = now?.status?.observedGeneration === now?.metadata.generation && rolled?.status === 'True';
      if (now !== undefined && current && holds(text, await policyIn(text))) return now;
      if (Date.now() > end) throw new Error(`${what}: ${JSON.stringify(now?.status)}\n${operator.words()}`);
      await sleep(200);
    }
  };
  const policyIn = async (text: string): Promise<string | undefined> => {
    const path = /--audit-policy-file=(\S+)/.exec(text)?.[1];
    return path === undefined ? undefined : readFile(`${plane.root}${path}`, 'utf8').catch(() => undefined);
  };
  const apply = async (...objects: readonly Manifest[]): Promise<void> => {
    for (const object of objects) {
      const done = await operator.apply(object);
      expect([200, 201], done.text).toContain(done.status);
    }
  };

  beforeAll(async () => {
    plane = await startControlPlane({ version: '1.36', run: 'manifest' });
    operator = await Operator.start({ plane });
  });
  afterAll(async () => {
    await operator?.stop();
    await plane?.stop();
  });

  it('enforceAuditLogging: a control plane that is there already is audited, its own flag is ignored', async () => {
    await apply(cluster({ state: 'Disabled' }));
    await until('it is not audited', (text) => !text.includes('--audit-'));
    await apply(datacenter({ enforced: { state: 'Enabled' } }));
    await until(
      'it is audited',
      (text, policy) => text.includes('--audit-log-path=') && policy?.includes('Metadata') === true,
    );
  });

  it('an edited audit-config ConfigMap makes a revision, a preset overrides it, and "" unsets the preset', async () => {
    const dc = datacenter({
      enforced: { state: 'Enabled' },
      defaults: { policy: { configMapRef: { name: 'audit-config', namespace: NAMESPACE } } },
    });
    await apply(auditConfigMap('Request'), dc);
    const first = await until('the ConfigMap counts', (_text, policy) => policy?.includes('"Request"') === true);
    await apply(auditConfigMap('RequestResponse'));
    const edited = await until('an edit counts', (_text, policy) => policy?.includes('"RequestResponse"') === true);
    expect(edited.status?.revision?.digest).not.toBe(first.status?.revision?.digest);
    await apply(cluster({ state: 'Disabled', policy: { preset: 'metadata' } }));
    await until('the preset counts', (_text, policy) => policy?.includes('Request') === false);
    await apply(cluster({ state: 'Disabled', policy: { preset: '' } }));
    await until('the ConfigMap counts again', (_text, policy) => policy?.includes('"RequestResponse"') === true);
  });

  it('enforcedAuditWebhookSettings: the same, for a control plane that is there already', async () => {
    const webhook = { secretRef: { name: SECRET.metadata.name, namespace: NAMESPACE }, initialBackoffSeconds: 15 };
    await apply(SECRET, datacenter({ enforced: { state: 'Enabled', webhook } }));
    await until('the webhook is there', (text) => text.includes('--audit-webhook-config-file='));
    expect(await manifest()).toContain('--audit-webhook-initial-backoff=15s');
    // Neither settings nor Secret of its own change that.
    await apply(cluster({ webhook: { secretRef: { name: 'mine' } } }));
    const still = await until('the webhook stays', (text) => text.includes('--audit-webhook-config-file='));
    expect(still.status?.conditions?.find((c) => c.type === 'Accepted')?.message).toContain('spec.webhook.secretRef');
  });
});
