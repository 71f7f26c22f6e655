/** TenantControlPlane beyond the contract of all targets (contract/owner.ts): what Kamaji leaves in its Deployment. */
import { describe, expect, it } from 'vitest';
import { tenantControlPlane } from '../../../src/targets/owners/apis/tenant-control-plane.ts';
import { A } from '../contract/common.ts';
import { ManagedPlace, patched } from '../contract/managed.ts';
import { ownerSample } from '../contract/owner.ts';

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
const argsIn = (p: ManagedPlace): string[] =>
  (p.object as { spec: { controlPlane: { deployment: { extraArgs: { apiServer: string[] } } } } }).spec.controlPlane
    .deployment.extraArgs.apiServer;

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

  it('refuses a flag in two words', async () => {
    const p = place();
    argsIn(p).push('--audit-log-path', '/x');
    expect(await p.refusals(A)).toEqual(['FlagInTwoWords']);
  });
});
