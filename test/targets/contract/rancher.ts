/** K3s and RKE2: their configuration, drop-ins of others, and the units of their own installers. */
import fc from 'fast-check';
import { DEFAULT_LAYOUT } from '../../../src/targets/host-layout.ts';
import { k3s, rke2 } from '../../../src/targets/rancher.ts';
import type { RancherSpec } from '../../../src/targets/rancher.ts';
import { METADATA_POLICY } from '../revisions.ts';
import type { Files, Fixture } from './fixture.ts';

export const K3S_UNIT = `[Unit]
Description=Lightweight Kubernetes
Wants=network-online.target

[Service]
Type=notify
EnvironmentFile=-/etc/default/%N
EnvironmentFile=-/etc/systemd/system/k3s.service.env
KillMode=process
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStart=/usr/local/bin/k3s \\
    server \\

`;

export const RKE2_UNIT = `[Unit]
Description=Rancher Kubernetes Engine v2 (server)

[Service]
Type=notify
EnvironmentFile=-/etc/default/%N
EnvironmentFile=-/usr/local/lib/systemd/system/%N.env
KillMode=process
ExecStartPre=-/sbin/modprobe overlay
ExecStart=/usr/local/bin/rke2 server
ExecStopPost=-/bin/sh -c "systemd-cgls /system.slice/%n | grep -Eo '[0-9]+ (containerd|kubelet)' | xargs -r kill"
`;

const CONFIG = 'token: x\nkube-apiserver-arg:\n  - "v=2"\n  - enable-admission-plugins=NodeRestriction\n';
const BY_HAND = [
  'audit-log-maxage=30',
  'audit-log-maxbackup=10',
  'audit-log-path=/var/log/kube-audit/audit.log',
  'audit-policy-file=/etc/kubernetes/audit-policy.yaml',
];

const key = fc.constantFrom('kube-apiserver-arg', 'kube-apiserver-arg+', 'node-label', 'kubelet-arg+');
const value = fc.constantFrom(
  'v=4',
  'audit-log-maxage=7',
  '--audit-log-path=/var/log/x/audit.log',
  'audit-log-mode=batch',
);
const file = fc
  .array(fc.record({ key, values: fc.array(value, { maxLength: 3 }), scalar: fc.boolean() }), { maxLength: 3 })
  .map((entries) =>
    entries
      .map(({ key: k, values, scalar }) =>
        scalar && values[0] !== undefined
          ? `${k}: ${JSON.stringify(values[0])}\n`
          : `${k}:${values.length === 0 ? ' []' : ''}\n${values.map((v) => `  - ${JSON.stringify(v)}\n`).join('')}`,
      )
      .join(''),
  );

function hostsOf(name: string, base: Files): fc.Arbitrary<Files> {
  const dir = `/etc/rancher/${name}`;
  return fc
    .record({ config: fc.option(file), early: fc.option(file), late: fc.option(file), other: fc.boolean() })
    .map(({ config, early, late, other }) => ({
      ...base,
      ...(config === null ? {} : { [`${dir}/config.yaml`]: config }),
      ...(early === null ? {} : { [`${dir}/config.yaml.d/10-early.yml`]: early }),
      ...(late === null ? {} : { [`${dir}/config.yaml.d/zz-late.yaml`]: late }),
      ...(other ? { [`${dir}/config.yaml.d/README`]: 'kube-apiserver-arg: nobody reads this' } : {}),
    }));
}

function fixtureOf(
  name: 'k3s' | 'rke2',
  unit: string,
  base: Files,
): Pick<Fixture<RancherSpec>, 'spec' | 'bare' | 'byHand' | 'theirs' | 'unit' | 'hosts'> {
  // prettier-ignore
  const config = `/etc/rancher/${name}/config.yaml`;
  return {
    spec: { layout: DEFAULT_LAYOUT },
    bare: { ...base, [config]: CONFIG },
    byHand: {
      files: {
        ...base,
        [config]: `${CONFIG}${BY_HAND.map((f) => `  - ${f}\n`).join('')}`,
        '/etc/kubernetes/audit-policy.yaml': METADATA_POLICY,
      },
      is: {},
      flags: BY_HAND.map((f) => `--${f.split('=')[0] ?? ''}`),
    },
    theirs: { path: config, change: (t) => t.replace('v=2', 'v=5') },
    unit,
    hosts: hostsOf(name, base),
  };
}

export const fixtures: readonly Fixture<RancherSpec>[] = [
  {
    name: 'K3s',
    target: k3s,
    ...fixtureOf('k3s', 'k3s.service', { '/etc/systemd/system/k3s.service': K3S_UNIT }),
  },
  {
    name: 'RKE2',
    target: rke2,
    ...fixtureOf('rke2', 'rke2-server.service', { '/usr/local/lib/systemd/system/rke2-server.service': RKE2_UNIT }),
  },
];
