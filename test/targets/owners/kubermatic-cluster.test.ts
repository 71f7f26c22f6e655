/** KubermaticCluster beyond the contract of all targets (contract/owner.ts): what KKP can say, and how its rollout is followed. */
import { describe, expect, it } from 'vitest';
import { kubermaticCluster } from '../../../src/targets/owners/apis/kubermatic-cluster.ts';
import { A } from '../contract/common.ts';
import { ManagedPlace } from '../contract/managed.ts';
import { ownerSample, presetRevision } from '../contract/owner.ts';

const place = (sample = 'kubermaticcluster'): ManagedPlace =>
  new ManagedPlace(ownerSample(sample), { kind: 'KubermaticCluster', version: 'v1', config: 'main' });
type Cluster = { spec: { auditLogging?: Record<string, unknown>; pause?: boolean } };
const audit = (p: ManagedPlace): Record<string, unknown> => (p.object as Cluster).spec.auditLogging ?? {};
const hooked = (token: string) =>
  presetRevision('minimal', { webhook: 'kubeconfig\n', token, flags: { '--audit-webhook-initial-backoff': '15s' } });

/** As KKP makes it: flags in two words, its own container name. */
const deployment = (flags: readonly string[], secret?: string, status: object = {}): object => ({
  metadata: { name: 'apiserver', generation: 2 },
  spec: {
    replicas: 1,
    template: {
      metadata: { labels: { 'audit-config-configmap-revision': '17' } },
      spec: {
        containers: [
          { name: 'konnectivity-server', args: ['--logtostderr=true'] },
          {
            name: 'apiserver',
            image: 'kube-apiserver:v1.33.4',
            command: ['/usr/local/bin/kube-apiserver'],
            args: flags,
          },
          { name: 'audit-logs' },
        ],
        volumes: secret === undefined ? [] : [{ name: 'audit-webhook-backend', secret: { secretName: secret } }],
      },
    },
  },
  status: { observedGeneration: 2, replicas: 1, updatedReplicas: 1, availableReplicas: 1, ...status },
});
const policy = (preset: string, resourceVersion = '17'): object => ({
  metadata: { resourceVersion },
  data: { 'policy.yaml': `# policyPreset: ${preset}\napiVersion: audit.k8s.io/v1\n` },
});
const LOG = ['--audit-log-maxage', '30'];
const POLICY = ['--audit-policy-file', '/etc/kubernetes/audit/policy.yaml'];
const HOOK = ['--audit-webhook-config-file', '/etc/kubernetes/audit/webhook/webhook.yaml'];

describe('KubermaticCluster', () => {
  it.each(['metadata', 'minimal', 'recommended'] as const)('says the preset %s by its name', async (name) => {
    const p = place();
    await p.bring(presetRevision(name));
    expect(audit(p)).toEqual({ enabled: true, policyPreset: name });
  });

  it.each([
    ['a preset that KKP does not know', presetRevision('balanced')],
    ['rules of somebody', A],
  ])('refuses %s, by the field, and changes nothing', async (_what, to) => {
    const p = place();
    expect(await p.refusals(to)).toEqual(['OwnerCannotExpress']);
    expect(kubermaticCluster.judge?.(to).map((f) => f.path)).toEqual(['spec.policy']);
    expect(p.object).toEqual(ownerSample('kubermaticcluster'));
  });

  it('names one Secret with the kubeconfig and the files beside it, and another one for other credentials', async () => {
    const p = place();
    await p.bring(hooked('hunter2'));
    const [secret] = kubermaticCluster.objects?.(hooked('hunter2')) ?? [];
    expect(audit(p)['webhookBackend']).toEqual({
      auditWebhookConfig: { name: secret?.name, namespace: 'cluster-a1b2c3d4e5' },
      auditWebhookInitialBackoff: '15s',
    });
    expect(Object.keys(secret?.data ?? {}).sort()).toEqual(['token', 'webhook.yaml']);
    expect((await p.bring(hooked('hunter2'))).changes).toEqual([]);
    expect((await p.bring(hooked('hunter3'))).restarts).toBe(true);
    expect(JSON.stringify(p.object)).not.toContain('hunter');
    expect(kubermaticCluster.objects?.(presetRevision('minimal'))).toEqual([]);
  });

  it("leaves the sidecar's settings alone, and gives back the preset that was there", async () => {
    const p = place('kubermaticcluster-audited');
    const sidecar = audit(p)['sidecar'];
    await p.bring(presetRevision('minimal'));
    expect(audit(p)).toMatchObject({ policyPreset: 'minimal', sidecar });
    await p.bring(null);
    expect(p.object).toEqual(ownerSample('kubermaticcluster-audited'));
  });

  it('is through when its Deployment audits as it is to, with the Secret that is named, and is available', async () => {
    const p = place();
    const state = (made: unknown, map: unknown = policy('minimal')): string =>
      kubermaticCluster.rollout(p.object, { deployment: made, policy: map }).state;
    expect(state(deployment(LOG))).toBe('Complete');
    await p.bring(hooked('hunter2'));
    const name = kubermaticCluster.objects?.(hooked('hunter2'))[0]?.name;
    const flags = [...LOG, ...POLICY, ...HOOK];
    expect(state(deployment(flags, name))).toBe('Complete');
    expect(state(deployment(flags, 'another'))).toBe('Progressing');
    expect(state(deployment([...LOG, ...POLICY]))).toBe('Progressing');
    expect(state(deployment(LOG))).toBe('Progressing');
    expect(state(deployment(flags, name, { updatedReplicas: 0 }))).toBe('Progressing');
    expect(state(null)).toBe('Progressing');
    for (const map of [policy('metadata'), policy('minimal', '18'), null])
      expect(state(deployment(flags, name), map)).toBe('Progressing');
    expect(state(deployment(flags, name), { metadata: { resourceVersion: '17' }, data: {} })).toBe('Complete');
    (p.object as Cluster).spec.pause = true;
    expect(state(deployment(flags, name))).toBe('Paused');
  });
});
