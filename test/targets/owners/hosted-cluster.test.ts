/** HostedCluster beyond the contract of all targets (contract/owner.ts): profiles, the webhook's one key, and what HyperShift leaves. */
import { describe, expect, it } from 'vitest';
import { withCredentialsInside } from '../../../src/render/webhook/inline.ts';
import { hostedCluster } from '../../../src/targets/owners/apis/hosted-cluster.ts';
import type { Made } from '../../../src/targets/owners/types.ts';
import { A } from '../contract/common.ts';
import { ManagedPlace, patched } from '../contract/managed.ts';
import { openshiftRevision, ownerSample, presetRevision } from '../contract/owner.ts';

type Spec = { auditWebhook?: { name: string }; configuration?: Record<string, unknown>; pausedUntil?: string };
const place = (sample = 'hostedcluster'): ManagedPlace =>
  new ManagedPlace(ownerSample(sample), { kind: 'HostedCluster', version: 'v1beta1', config: 'main' });
const specOf = (p: ManagedPlace): Spec => (p.object as { spec: Spec }).spec;
const auditOf = (p: ManagedPlace): unknown =>
  (specOf(p).configuration?.['apiServer'] as { audit?: unknown } | undefined)?.audit;
const hooked = (token: string) => openshiftRevision('default', token);
const nameOf = (token: string): string => hostedCluster.objects?.(hooked(token))[0]?.name ?? '';

const at = (time: string, fields: object): object => ({
  managedFields: [{ time: `2026-11-22T01:00:${time}Z`, fieldsV1: fields }],
});
const controlPlane = (profile: string | undefined, webhook?: string, customRules?: object[]): object => ({
  spec: {
    ...(webhook === undefined ? {} : { auditWebhook: { name: webhook } }),
    ...(profile === undefined
      ? {}
      : {
          configuration: { apiServer: { audit: { profile, ...(customRules === undefined ? {} : { customRules }) } } },
        }),
  },
});
const policy = (profile?: string, time = '10'): object => ({
  metadata: at(time, { 'f:data': {} }),
  data: { 'policy.yaml': 'x', ...(profile === undefined ? {} : { profile }) },
});
const deployment = (webhook?: string, time = '11', status: object = {}): object => ({
  metadata: { generation: 2, ...at(time, { 'f:spec': { 'f:template': {} } }) },
  spec: {
    replicas: 1,
    template: {
      spec: { volumes: webhook === undefined ? [] : [{ name: 'kas-audit-webhook', secret: { secretName: webhook } }] },
    },
  },
  status: { observedGeneration: 2, replicas: 1, updatedReplicas: 1, availableReplicas: 1, ...status },
});

describe('HostedCluster', () => {
  it.each([
    ['default', 'Default'],
    ['write-request-bodies', 'WriteRequestBodies'],
    ['all-request-bodies', 'AllRequestBodies'],
    ['none', 'None'],
  ] as const)('says the preset %s as the profile %s', async (name, profile) => {
    const p = place();
    await p.bring(openshiftRevision(name));
    expect(auditOf(p)).toEqual({ profile });
  });

  it.each([
    ['a preset that OpenShift does not have', presetRevision('metadata')],
    ['rules of somebody', A],
  ])('refuses %s, by the field, and changes nothing', async (_what, to) => {
    const p = place();
    expect(await p.refusals(to)).toEqual(['OwnerCannotExpress']);
    expect(hostedCluster.judge?.(to).map((f) => f.path)).toEqual(['spec.policy']);
    expect(p.object).toEqual(ownerSample('hostedcluster'));
  });

  it('takes the profiles of single groups out, which would log otherwise, and gives them back', async () => {
    const p = place('hostedcluster-audited');
    await p.bring(openshiftRevision('write-request-bodies'));
    expect(auditOf(p)).toEqual({ profile: 'WriteRequestBodies' });
    await p.bring(null);
    expect(p.object).toEqual(ownerSample('hostedcluster-audited'));
  });

  it('calls a profile for a group that somebody adds later a drift', async () => {
    const p = place();
    await p.bring(openshiftRevision('default'));
    Object.assign(auditOf(p) as object, { customRules: [{ group: 'a', profile: 'None' }] });
    expect(await p.drift(openshiftRevision('default'))).toEqual(['FlagDrift']);
  });

  it('leaves no empty object behind where there was none', async () => {
    const p = place();
    await p.bring(hooked('hunter2'));
    await p.bring(null);
    expect(p.object).toEqual(ownerSample('hostedcluster'));
  });

  it('names one Secret whose one key has the kubeconfig with its credentials inside', async () => {
    const p = place();
    await p.bring(hooked('hunter2'));
    const [secret] = hostedCluster.objects?.(hooked('hunter2')) ?? [];
    expect(specOf(p).auditWebhook).toEqual({ name: secret?.name });
    expect(Object.keys(secret?.data ?? {})).toEqual(['webhook-kubeconfig']);
    const config = JSON.parse(new TextDecoder().decode(secret?.data['webhook-kubeconfig'])) as { users: unknown };
    expect(config.users).toEqual([{ name: 'webhook', user: { token: 'hunter2' } }]);
    expect(JSON.stringify(p.object)).not.toContain('hunter');
    expect((await p.bring(hooked('hunter2'))).changes).toEqual([]);
    expect((await p.bring(hooked('hunter3'))).restarts).toBe(true);
    expect(hostedCluster.objects?.(openshiftRevision('default'))).toEqual([]);
  });

  it('puts a client certificate and its key inside too, which are one file elsewhere', () => {
    const user = { 'client-certificate': 'client.pem', 'client-key': 'client.pem', username: 'u' };
    const kubeconfig = new TextEncoder().encode(JSON.stringify({ kind: 'Config', users: [{ name: 'webhook', user }] }));
    const pem = 'both';
    const inside = withCredentialsInside(kubeconfig, { 'client.pem': new TextEncoder().encode(pem) });
    const data = Buffer.from(pem).toString('base64');
    expect(JSON.parse(new TextDecoder().decode(inside))).toEqual({
      kind: 'Config',
      users: [{ name: 'webhook', user: { 'client-certificate-data': data, 'client-key-data': data, username: 'u' } }],
    });
  });

  it('finds what is made of it in a namespace of its own', () => {
    const made = hostedCluster.made?.objects({ namespace: 'clusters', name: 'tenant.a' }) ?? {};
    expect(Object.values(made).map((m) => [m.kind, m.namespace, m.name])).toEqual([
      ['HostedControlPlane', 'clusters-tenant-a', 'tenant.a'],
      ['ConfigMap', 'clusters-tenant-a', 'kas-audit-config'],
      ['Deployment', 'clusters-tenant-a', 'kube-apiserver'],
    ]);
  });

  it('is through when each step that HyperShift takes has come after the one before', async () => {
    const p = place();
    const state = (made: Made): string => hostedCluster.rollout(p.object, made).state;
    expect(state({ controlPlane: controlPlane(undefined), policy: policy('Default'), deployment: deployment() })).toBe(
      'Complete',
    );
    await p.bring(hooked('hunter2'));
    const hook = nameOf('hunter2');
    const good = {
      controlPlane: controlPlane('Default', hook),
      policy: policy('Default'),
      deployment: deployment(hook),
    };
    expect(state(good)).toBe('Complete');
    expect(state({ ...good, policy: policy() })).toBe('Complete');
    const groups = [{ group: 'a', profile: 'None' }];
    for (const other of [
      { controlPlane: controlPlane('None', hook) },
      { controlPlane: controlPlane('Default', 'another') },
      { controlPlane: controlPlane('Default', hook, groups) },
      { controlPlane: null },
      { policy: policy('None') },
      { policy: policy('Default', '12') },
      { deployment: deployment('another') },
      { deployment: deployment(hook, '11', { updatedReplicas: 0 }) },
      { deployment: null },
    ])
      expect([other, state({ ...good, ...other })]).toEqual([other, 'Progressing']);
    specOf(p).pausedUntil = 'true';
    expect(state(good)).toBe('Paused');
  });

  it('takes a webhook of ours out of the HostedControlPlane, where HyperShift leaves it, and nobody else’s', async () => {
    const p = place();
    const leaves = hostedCluster.made?.leaves;
    const left = controlPlane('Default', nameOf('hunter2'));
    const ops = leaves?.stale(p.object, left) ?? [];
    expect(patched(left, ops)).toEqual(controlPlane('Default'));
    expect([leaves?.hasOurs(left), leaves?.hasOurs(controlPlane('Default', 'by-hand'))]).toEqual([true, false]);
    expect(leaves?.stale(p.object, controlPlane('Default', 'by-hand'))).toEqual([]);
    await p.bring(hooked('hunter2'));
    expect(leaves?.stale(p.object, left)).toEqual([]);
    expect(leaves?.stale(p.object, null)).toEqual([]);
  });

  it('does not wait for ever for a webhook that somebody took out before us', () => {
    const left = {
      controlPlane: controlPlane('Default', 'by-hand'),
      policy: policy('Default'),
      deployment: deployment('by-hand'),
    };
    expect(hostedCluster.rollout(place().object, left).state).toBe('Complete');
  });

  it.each([
    ['4.19.3', 'v1.32.0'],
    ['5.0.0', ''],
  ])('of OpenShift %s knows the version of Kubernetes: %s', (version, kubernetes) => {
    const status = {
      version: {
        history: [
          { state: 'Partial', version: '4.20.1' },
          { state: 'Completed', version },
        ],
      },
    };
    expect(hostedCluster.kubernetes({ ...(ownerSample('hostedcluster') as object), status })).toBe(kubernetes);
  });
});
