/** Which kind of place an agent looks after, and whose AuditNodes it does not touch. */
import { describe, expect, it } from 'vitest';
import { parsePlace, placeFrom } from '../../src/agent/places.ts';
import type { PlaceOptions } from '../../src/agent/places.ts';
import { mismatch } from '../../src/node/place.ts';

function placeOf(values: Parameters<typeof parsePlace>[0]): PlaceOptions {
  const place = parsePlace(values);
  if ('usage' in place) throw new Error(place.usage);
  return place;
}

describe('--target', () => {
  it.each([
    [{}, 'StaticPod', '/etc/kubernetes/manifests/kube-apiserver.yaml'],
    [{ manifest: '/m/api.yaml' }, 'StaticPod', '/m/api.yaml'],
    [{ target: 'systemd' }, 'Systemd', '/etc/systemd/system/kube-apiserver.service'],
    [{ target: 'Systemd', unit: 'api.service' }, 'Systemd', '/etc/systemd/system/api.service'],
    [{ target: 'k3s' }, 'K3s', '/etc/rancher/k3s/config.yaml.d/99-auditconfig.yaml'],
    [{ target: 'rke2' }, 'RKE2', '/etc/rancher/rke2/config.yaml.d/99-auditconfig.yaml'],
  ])('%j is %s at %s', (values, kind, manifest) => {
    expect(placeFrom(placeOf(values))).toMatchObject({ kind, manifest });
  });

  it.each([{ target: 'hosted' }, { target: 'docker' }, { unit: 'api' }, { unit: '../x.service' }, { manifest: 'm' }])(
    '%j is wrong usage',
    (values) => {
      expect(parsePlace(values)).toHaveProperty('usage');
    },
  );
});

describe('an AuditNode for another kind of place', () => {
  it.each([
    ['systemd', undefined, 'TargetMismatch'],
    ['StaticPod', undefined, undefined],
    ['StaticPod', { type: 'K3s' as const }, 'TargetMismatch'],
    ['k3s', { type: 'K3s' as const }, undefined],
    ['rke2', { type: 'K3s' as const }, 'TargetMismatch'],
    ['systemd', { type: 'Systemd' as const }, undefined],
    ['systemd', { type: 'Systemd' as const, unit: 'other.service' }, 'TargetMismatch'],
  ])('agent of %s, asked for %j: %s', (target, asked, code) => {
    expect(mismatch(asked, placeFrom(placeOf({ target })))?.code).toBe(code);
  });
});
