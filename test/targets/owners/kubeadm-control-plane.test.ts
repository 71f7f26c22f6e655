/** KubeadmControlPlane beyond the contract of all targets (contract/owner.ts): its versions' oddities, and its rollout. */
import { describe, expect, it } from 'vitest';
import { kubeadmControlPlane } from '../../../src/targets/owners/apis/kubeadm-control-plane.ts';
import { A } from '../contract/common.ts';
import { ManagedPlace } from '../contract/managed.ts';
import { ownerSample } from '../contract/owner.ts';
import { revision } from '../revisions.ts';

type Kcp = {
  metadata: Record<string, unknown>;
  spec: {
    replicas?: number;
    kubeadmConfigSpec?: { clusterConfiguration?: { apiServer?: Record<string, unknown> }; files?: object[] };
  };
  status?: Record<string, unknown>;
};
const sample = (version: string): Kcp => ownerSample(`kubeadmcontrolplane-${version}`) as Kcp;
const placeOf = (object: Kcp, version = 'v1beta2'): ManagedPlace =>
  new ManagedPlace(object, { kind: 'KubeadmControlPlane', version, config: 'main' });

describe('KubeadmControlPlane', () => {
  it.each([
    ['no kubeadmConfigSpec', (o: Kcp) => delete o.spec.kubeadmConfigSpec],
    ['no clusterConfiguration', (o: Kcp) => delete o.spec.kubeadmConfigSpec?.clusterConfiguration],
    ['no apiServer', (o: Kcp) => delete o.spec.kubeadmConfigSpec?.clusterConfiguration?.apiServer],
  ])('leaves no empty object or list behind where there was %s', async (_what, change) => {
    const object = sample('v1beta2');
    change(object);
    const p = placeOf(object);
    const before = p.snapshot();
    await p.bring(A);
    expect(JSON.stringify((p.object as Kcp).spec)).not.toMatch(/\{\}|\[\]/);
    await p.bring(revision({ policy: '{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[]}\n' }));
    await p.bring(null);
    expect(p.snapshot()).toEqual(before);
  });

  it('keeps an empty parent that was there before (v1beta1)', async () => {
    const object = sample('v1beta1');
    if (object.spec.kubeadmConfigSpec !== undefined)
      object.spec.kubeadmConfigSpec.clusterConfiguration = { apiServer: {} };
    const p = placeOf(object, 'v1beta1');
    const before = p.snapshot();
    await p.bring(A);
    await p.bring(null);
    expect(p.snapshot()).toEqual(before);
  });

  it('is another object to Cluster API when credentials of the webhook are others, and holds none of them', async () => {
    const p = placeOf(sample('v1beta2'));
    const with_ = (token: string) => revision({ webhook: 'kubeconfig\n', token });
    await p.bring(with_('hunter2'));
    expect((await p.bring(with_('hunter2'))).changes).toEqual([]);
    expect((await p.bring(with_('hunter3'))).restarts).toBe(true);
    expect(JSON.stringify(p.object)).not.toContain('hunter');
  });

  type Arg = { readonly name: string; readonly value: string };
  const argsOf = (o: unknown): Arg[] =>
    ((o as Kcp).spec.kubeadmConfigSpec?.clusterConfiguration?.apiServer?.['extraArgs'] ?? []) as Arg[];
  const byName = (args: readonly Arg[]): Arg[] => [...args].sort((a, b) => (a.name < b.name ? -1 : 1));

  it('takes it for no edit that a writer of v1beta1 leaves the flags sorted by name, and gives all back', async () => {
    const object = sample('v1beta2');
    argsOf(object).reverse();
    const before = structuredClone(argsOf(object));
    expect(before).not.toEqual(byName(before));
    const p = placeOf(object);
    await p.bring(A);
    const args = argsOf(p.object);
    args.splice(0, args.length, ...byName(args));
    expect(await p.drift(A)).toEqual([]);
    expect(await p.bring(A)).toMatchObject({ changes: [], restarts: false });
    await p.bring(null);
    expect(argsOf(p.object)).toEqual(byName(before));
  });

  it('writes sorted flags where its owner’s are sorted, so that a writer of v1beta1 changes nothing', async () => {
    const p = placeOf(sample('v1beta2'));
    expect(argsOf(p.object).length).toBeGreaterThan(1);
    await p.bring(A);
    expect(argsOf(p.object)).toEqual(byName(argsOf(p.object)));
  });

  it('leaves flags of its owner that are not sorted where they are', async () => {
    const object = sample('v1beta2');
    argsOf(object).reverse();
    const before = structuredClone(argsOf(object));
    const p = placeOf(object);
    await p.bring(A);
    expect(argsOf(p.object).slice(0, before.length)).toEqual(before);
    await p.bring(null);
    expect(argsOf(p.object)).toEqual(before);
  });

  it('refuses one that a ClusterClass makes, and changes nothing', async () => {
    const object = sample('v1beta2');
    object.metadata['labels'] = { 'topology.cluster.x-k8s.io/owned': '' };
    expect(await placeOf(object).refusals(A)).toEqual(['OwnedByTopology']);
  });

  it.each([
    ['LogFolderReadOnly', { mountPath: '/var/log/kube-audit', readOnly: true }],
    ['FolderMountedElsewhere', { mountPath: '/etc/kubernetes/auditconfig' }],
  ])('refuses a volume in the way: %s', async (code, mount) => {
    const object = sample('v1beta2');
    const apiServer = object.spec.kubeadmConfigSpec?.clusterConfiguration?.apiServer ?? {};
    apiServer['extraVolumes'] = [{ name: 'theirs', hostPath: '/x', ...mount }];
    expect(await placeOf(object).refusals(A)).toEqual([code]);
  });

  it('uses the volume that its owner has at the folder of the log', async () => {
    const object = sample('v1beta2');
    const apiServer = object.spec.kubeadmConfigSpec?.clusterConfiguration?.apiServer ?? {};
    apiServer['extraVolumes'] = [{ name: 'theirs', hostPath: '/x', mountPath: '/var/log/kube-audit/' }];
    const p = placeOf(object);
    await p.bring(A);
    expect(JSON.stringify(p.object)).not.toContain('auditconfig-log');
  });

  const status = { observedGeneration: 3, replicas: 3, upToDateReplicas: 3, readyReplicas: 3 };
  it.each([
    ['Complete', status, {}],
    [
      'Complete',
      { observedGeneration: 3, replicas: 3, updatedReplicas: 3, readyReplicas: 3, unavailableReplicas: 0 },
      {},
    ],
    ['Progressing', { ...status, observedGeneration: 2 }, {}],
    ['Progressing', { ...status, upToDateReplicas: 1 }, {}],
    ['Progressing', { ...status, replicas: 4 }, {}],
    ['Progressing', { ...status, readyReplicas: 2 }, {}],
    ['Progressing', {}, {}],
    ['Failed', { ...status, failureMessage: 'no' }, {}],
    ['Paused', status, { annotations: { 'cluster.x-k8s.io/paused': '' } }],
    // Of its Cluster; observedGeneration stays behind then.
    ['Paused', { ...status, observedGeneration: 2, conditions: [{ type: 'Paused', status: 'True' }] }, {}],
    ['Paused', { ...status, v1beta2: { conditions: [{ type: 'Paused', status: 'True' }] } }, {}],
    ['Complete', { ...status, conditions: [{ type: 'Paused', status: 'False' }] }, {}],
  ] as const)('is %s with status %j %j', (state, s, metadata) => {
    const object = { ...sample('v1beta2'), status: s };
    Object.assign(object.metadata, metadata);
    expect(kubeadmControlPlane.rollout(object, {}).state).toBe(state);
  });

  it('may take its time for each machine', () => {
    const object = sample('v1beta1');
    expect([
      kubeadmControlPlane.timeoutSeconds(object, undefined),
      kubeadmControlPlane.timeoutSeconds(object, 60),
    ]).toEqual([3600, 180]);
  });
});
