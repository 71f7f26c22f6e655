/** Shoot beyond the contract of all targets (contract/owner.ts): where its policy comes from, and how its rollout is followed. */
import { describe, expect, it } from 'vitest';
import { shoot } from '../../../src/targets/owners/apis/shoot.ts';
import { A } from '../contract/common.ts';
import { ManagedPlace } from '../contract/managed.ts';
import { ownerSample } from '../contract/owner.ts';
import { revision } from '../revisions.ts';

type Sample = { spec: { kubernetes: { kubeAPIServer?: { auditConfig: { auditPolicy: { configMapRef: object } } } } } };
const place = (): ManagedPlace =>
  new ManagedPlace(ownerSample('shoot'), { kind: 'Shoot', version: 'v1beta1', config: 'main' });
const reference = (p: ManagedPlace): object | undefined =>
  (p.object as Sample).spec.kubernetes.kubeAPIServer?.auditConfig.auditPolicy.configMapRef;

describe('Shoot', () => {
  it('reads the policy, all of it, from a ConfigMap of its own under the key that Gardener knows', async () => {
    const p = place();
    await p.bring(A);
    const [map] = shoot.objects?.(A) ?? [];
    expect(reference(p)).toEqual({ name: map?.name });
    expect([map?.kind, map?.data]).toEqual(['ConfigMap', { policy: A.policy }]);
  });

  it('takes the version that Gardener writes beside the name for no edit', async () => {
    const p = place();
    await p.bring(A);
    Object.assign(reference(p) ?? {}, { resourceVersion: '17' });
    expect(await p.drift(A)).toEqual([]);
    expect((await p.bring(A)).changes).toEqual([]);
  });

  it('refuses a policy from a Secret, by the field, and changes nothing', async () => {
    const p = place();
    const secret = revision({ confidential: true });
    expect(await p.refusals(secret)).toEqual(['OwnerCannotExpress']);
    expect(shoot.judge?.(secret).map((f) => f.path)).toEqual(['spec.policy.secretRef']);
    expect(p.object).toEqual(ownerSample('shoot'));
  });

  const seen = { observedGeneration: 2 };
  it.each([
    ['Complete', { ...seen, lastOperation: { state: 'Succeeded' } }],
    ['Progressing', { observedGeneration: 1, lastOperation: { state: 'Succeeded' } }],
    ['Progressing', { ...seen, lastOperation: { state: 'Processing' } }],
    ['Progressing', { ...seen, lastOperation: { state: 'Error', description: 'again' } }],
    ['Progressing', {}],
    ['Failed', { ...seen, lastOperation: { state: 'Failed', description: 'no' } }],
  ])('is %s with status %j', (state, status) => {
    expect(shoot.rollout({ ...(ownerSample('shoot') as object), status }, {}).state).toBe(state);
  });

  it('is paused where Gardener ignores it, unless its gardenlet came all the same', () => {
    const object = ownerSample('shoot') as { metadata: object; status?: object };
    Object.assign(object.metadata, { annotations: { 'shoot.gardener.cloud/ignore': 'true' } });
    expect(shoot.rollout(object, {}).state).toBe('Paused');
    object.status = { ...seen, lastOperation: { state: 'Succeeded' } };
    expect(shoot.rollout(object, {}).state).toBe('Complete');
  });

  describe('whose owner confines changes to the maintenance window, so that its generation stays', () => {
    const name = { 'f:auditConfig': { 'f:auditPolicy': { 'f:configMapRef': { 'f:name': {} } } } };
    const written = {
      manager: 'auditconfig-controller',
      time: '2026-01-02T10:00:00Z',
      fieldsV1: { 'f:spec': { 'f:kubernetes': { 'f:kubeAPIServer': name } } },
    };
    const other = { manager: 'gitops', time: '2026-01-03T00:00:00Z', fieldsV1: { 'f:spec': { 'f:region': {} } } };
    const confined = (lastOperation: object, managedFields: readonly object[] = [other, written]): unknown => {
      const { metadata, spec } = ownerSample('shoot') as { metadata: object; spec: object };
      return {
        metadata: { ...metadata, managedFields },
        spec: { ...spec, maintenance: { confineSpecUpdateRollout: true } },
        status: { ...seen, lastOperation },
      };
    };
    const [before, then, after] = ['2026-01-02T09:00:00Z', '2026-01-02T10:00:00Z', '2026-01-02T22:10:00Z'];

    it.each([
      ['Paused', { state: 'Succeeded', lastUpdateTime: before }],
      ['Paused', { state: 'Succeeded', lastUpdateTime: then }],
      ['Paused', { state: 'Failed', lastUpdateTime: before }],
      ['Progressing', { state: 'Processing', lastUpdateTime: after }],
      ['Failed', { state: 'Failed', lastUpdateTime: after }],
      ['Complete', { state: 'Succeeded', lastUpdateTime: after }],
    ])('is %s with last operation %j', (state, operation) => {
      expect(shoot.rollout(confined(operation), {}).state).toBe(state);
    });

    it('is through where nobody wrote a policy', () => {
      const operation = { state: 'Succeeded', lastUpdateTime: before };
      expect(shoot.rollout(confined(operation, [other]), {}).state).toBe('Complete');
    });
  });
});
