/** Which nodes an AuditConfig means, by the kind of its target, and what their AuditNodes say of it. */
import { describe, expect, it } from 'vitest';
import { isControlPlane, nodeSelectorOf, nodeTargetOf } from '../../src/rollout/claims.ts';
import { World } from './world.ts';

const LABEL = 'node-role.kubernetes.io/control-plane';
const object = (target: unknown): unknown => ({ spec: { target } });

describe('the nodes of a target', () => {
  it.each<[string, unknown, Readonly<Record<string, string>> | undefined]>([
    ['StaticPod', {}, { [LABEL]: '' }],
    ['Systemd', {}, { [LABEL]: '' }],
    ['K3s', {}, { [LABEL]: 'true' }],
    ['RKE2', {}, { [LABEL]: 'true' }],
    ['Systemd', { systemd: { nodeSelector: { a: 'b' } } }, { a: 'b' }],
    ['RKE2', { rke2: { nodeSelector: { a: 'b' } } }, { a: 'b' }],
    ['Hosted', { hosted: { kind: 'Deployment', name: 'a' } }, undefined],
  ])('%s %j', (type, more, selector) => {
    expect(nodeSelectorOf(object({ type, ...(more as object) }))).toEqual(selector);
  });

  it('are control planes whoever wrote their label', () => {
    expect([{ [LABEL]: '' }, { [LABEL]: 'true' }, { [LABEL]: 'false' }, {}].map(isControlPlane)).toEqual([true, true, false, false]); // prettier-ignore
  });
});

describe('an AuditNode', () => {
  it.each<[Record<string, unknown>, unknown]>([
    [{ type: 'StaticPod' }, undefined],
    [{ type: 'K3s' }, { type: 'K3s' }],
    [
      { type: 'Systemd', systemd: { unit: 'api.service' } },
      { type: 'Systemd', unit: 'api.service' },
    ],
  ])('of %j says so, so that an agent of another kind refuses', (target, said) => {
    expect(nodeTargetOf(object(target))).toEqual(said);
    const w = new World(['a']);
    w.change({ target });
    w.run();
    expect(w.nodes.get('a')?.spec?.target).toEqual(said);
  });
});
