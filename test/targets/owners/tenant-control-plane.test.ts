/** TenantControlPlane beyond the contract of all targets (contract/owner.ts): what Kamaji leaves in its Deployment. */
import { describe, expect, it } from 'vitest';
import { tenantControlPlane } from '../../../src/targets/owners/apis/tenant-control-plane.ts';
import { A } from '../contract/common.ts';
import { ManagedPlace, patched } from '../contract/managed.ts';
import { ownerSample } from '../contract/owner.ts';
import { revision } from '../revisions.ts';

const SPEC = { kind: 'TenantControlPlane', version: 'v1alpha1', config: 'main' } as const;
const place = (): ManagedPlace => new ManagedPlace(ownerSample('tenantcontrolplane'), SPEC);
const deployment = (args: readonly string[], volumes: readonly object[] = []): object => ({
  metadata: { name: 'tenant-a', generation: 1 },
  spec: {
    replicas: 1,
    template: {
      spec: {
        containers: [
          { name: 'kube-scheduler', args: ['--audit-log-path=/x'] },
          { name: 'kube-apiserver', image: 'kube-apiserver:v1.33.4', command: ['kube-apiserver'], args },
        ],
        volumes,
      },
    },
  },
  status: { observedGeneration: 1, replicas: 1, updatedReplicas: 1, availableReplicas: 1 },
});
const argsIn = (p: ManagedPlace): string[] => deploymentIn(p).extraArgs.apiServer;

type Container = { name: string; env?: { name: string }[] };
type Spec = { extraArgs: { apiServer: string[] }; additionalContainers?: Container[] };
/** As it is at every look, since plans are applied to copies. */
const deploymentIn = (p: ManagedPlace): Spec =>
  (p.object as { spec: { controlPlane: { deployment: Spec } } }).spec.controlPlane.deployment;
const SHIPPED = revision({
  shipping: {
    config: new TextEncoder().encode('service:\n'),
    image: 'fluent/fluent-bit:5.1.1',
    resources: { requests: {}, limits: {} },
    env: [],
    bufferBytes: 2 ** 20,
  },
});

describe('TenantControlPlane', () => {
  it('is through when its Deployment has exactly its audit flags, and is available', async () => {
    const p = place();
    await p.bring(A);
    const state = (made: unknown): string => tenantControlPlane.rollout(p.object, { deployment: made }).state;
    const args = ['--secure-port=6443', ...argsIn(p)];
    expect(state(deployment(args))).toBe('Complete');
    expect(state(deployment(['--secure-port=6443']))).toBe('Progressing');
    expect(state(deployment([...args, '--audit-webhook-config-file=/gone']))).toBe('Progressing');
    expect(state({ ...deployment(args), status: {} })).toBe('Progressing');
    expect(state(null)).toBe('Progressing');
  });

  it('takes out of its Deployment the audit flags that it does not have, and nothing else', async () => {
    const p = place();
    const made = deployment(['--secure-port=6443', '--audit-policy-file=/gone', '--v=2', '--audit-log-path', '/y']);
    const ops = tenantControlPlane.made?.leaves?.stale(p.object, made) ?? [];
    expect(patched(made, ops)).toEqual(deployment(['--secure-port=6443', '--v=2']));
    await p.bring(A);
    expect(tenantControlPlane.made?.leaves?.stale(p.object, deployment(['--secure-port=6443', ...argsIn(p)]))).toEqual(
      [],
    );
    expect(tenantControlPlane.made?.leaves?.stale(p.object, null)).toEqual([]);
  });

  it('sees volumes of ours that Kamaji has still to take out', () => {
    const has = tenantControlPlane.made?.leaves?.hasOurs ?? (() => false);
    expect([has(deployment(['--v=2'], [{ name: 'auditconfig-log' }])), has(deployment(['--v=2'])), has(null)]).toEqual([
      true,
      false,
      false,
    ]);
  });

  it('ships with a container of its own, as whom the API server runs as, and takes it out again', async () => {
    const p = place();
    const before = structuredClone(p.object);
    Object.assign(deploymentIn(p), {
      podSecurityContext: { runAsUser: 1000, fsGroup: 7 },
      containerSecurityContexts: { apiServer: { runAsUser: 2000 } },
      additionalContainers: [{ name: 'theirs' }],
    });
    const theirs = structuredClone(p.object);
    await p.bring(SHIPPED);
    const [other, ours] = deploymentIn(p).additionalContainers ?? [];
    expect([other, ours?.name]).toEqual([{ name: 'theirs' }, 'audit-logs']);
    expect(ours).toMatchObject({ securityContext: { runAsUser: 2000 } });
    expect(ours?.env?.find((e) => e.name === 'AUDITCONFIG_CLUSTER_ID')).toMatchObject({ value: 'tenant-a/tenant-a' });
    expect((await p.bring(SHIPPED)).changes).toEqual([]);
    await p.bring(A);
    expect(deploymentIn(p).additionalContainers).toEqual([{ name: 'theirs' }]);
    await p.bring(null);
    expect(p.object).toEqual(theirs);
    const bare = place();
    await bare.bring(SHIPPED);
    await bare.bring(null);
    expect(bare.object).toEqual(before);
  });

  it('does not ship beside a container of that name that is somebody else’s, nor as nobody knows whom', async () => {
    const taken = place();
    deploymentIn(taken).additionalContainers = [{ name: 'audit-logs' }];
    expect(await taken.refusals(SHIPPED)).toEqual(['ContainerNameTaken']);
    const unknown = place();
    Object.assign(deploymentIn(unknown), { podSecurityContext: { runAsNonRoot: true } });
    expect(await unknown.refusals(SHIPPED)).toEqual(['ShipperUserUnknown']);
  });

  it('refuses a flag in two words', async () => {
    const p = place();
    argsIn(p).push('--audit-log-path', '/x');
    expect(await p.refusals(A)).toEqual(['FlagInTwoWords']);
  });
});
