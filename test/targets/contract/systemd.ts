/** Systemd: a unit as "the hard way" writes it, and as people lay units out. */
import fc from 'fast-check';
import { DEFAULT_LAYOUT } from '../../../src/targets/host-layout.ts';
import { systemd } from '../../../src/targets/systemd.ts';
import type { SystemdSpec } from '../../../src/targets/systemd.ts';
import { METADATA_POLICY } from '../revisions.ts';
import type { Files, Fixture } from './fixture.ts';

export const UNIT = '/etc/systemd/system/kube-apiserver.service';

export const HARD_WAY = `[Unit]
Description=Kubernetes API Server
Documentation=https://github.com/kubernetes/kubernetes

[Service]
ExecStart=/usr/local/bin/kube-apiserver \\
  --allow-privileged=true \\
  --authorization-mode=Node,RBAC \\
  --bind-address=0.0.0.0 \\
  --client-ca-file=/var/lib/kubernetes/ca.crt \\
  --etcd-servers=http://127.0.0.1:2379 \\
  --v=2
Restart=on-failure
RestartSec=5

[Install]
WantedBy=multi-user.target
`;

const BY_HAND = [
  '--audit-log-maxage=30',
  '--audit-log-maxbackup=10',
  '--audit-log-path=/var/log/kube-audit/audit.log',
  '--audit-policy-file=/etc/kubernetes/audit-policy.yaml',
];

const comment = fc.constantFrom('# a comment', '; another \\', '#', '   # indented');
const argument = fc.constantFrom(
  '--v=2',
  '--allow-privileged',
  '"--service-cluster-ip-range=10.32.0.0/24"',
  "'--runtime-config=api/all'",
  '--advertise-address ${INTERNAL_IP}',
  '--feature-gates="A=true,B=false"',
  '--external-hostname=%H',
  '$KUBE_API_ARGS',
  '--event-ttl=1h\\x20',
  '--audit-log-maxage=7',
  '--audit-log-maxage 3',
  '"--audit-log-path=/var/log/old/audit.log"',
  '--audit-policy-file=${POLICY}',
  '--audit-webhook-batch-max-size=7',
);

/** A command line over one or several lines, with comments in between. */
const command = fc
  .array(fc.record({ words: fc.array(argument, { minLength: 1, maxLength: 3 }), before: fc.option(comment) }), {
    minLength: 1,
    maxLength: 6,
  })
  .map((lines) =>
    ['ExecStart=/usr/local/bin/kube-apiserver', ...lines.map((l) => `  ${l.words.join(' ')}`)]
      .flatMap((line, i) => {
        const before = i === 0 ? null : lines[i - 1]?.before;
        return [...(before === null || before === undefined ? [] : [before]), i === lines.length ? line : `${line} \\`];
      })
      .join('\n'),
  );

const hosts: fc.Arbitrary<Files> = fc
  .record({
    exec: command,
    crlf: fc.boolean(),
    cut: fc.boolean(),
    place: fc.constantFrom('unit', 'drop-in', 'lib'),
    args: fc.constantFrom('', '--v=4', '--audit-log-maxage=9 --v=1', '--audit-webhook-mode=batch'),
    install: fc.boolean(),
  })
  .map(({ exec, crlf, cut, place, args, install }) => {
    const tail = install ? '\nRestart=always\n\n[Install]\nWantedBy=multi-user.target\n' : '\n';
    const env = 'EnvironmentFile=-/etc/default/kube-apiserver\nEnvironment=POLICY=/etc/kubernetes/p.yaml "A=b c"\n';
    const unit = `[Unit]\nDescription=x\n\n[Service]\n${env}${place === 'drop-in' ? 'ExecStart=/bin/kube-apiserver --old' : exec}${tail}`;
    const shape = (text: string): string => {
      const ends = crlf ? text.replaceAll('\n', '\r\n') : text;
      return cut ? ends.trimEnd() : ends;
    };
    return {
      [place === 'lib' ? '/usr/lib/systemd/system/kube-apiserver.service' : UNIT]: shape(unit),
      '/etc/default/kube-apiserver': `# arguments\nKUBE_API_ARGS="${args}"\nINTERNAL_IP=10.0.0.1\n`,
      ...(place === 'drop-in' ? { [`${UNIT}.d/10-site.conf`]: shape(`[Service]\nExecStart=\n${exec}\n`) } : {}),
    };
  });

export const fixture: Fixture<SystemdSpec> = {
  name: 'Systemd',
  target: systemd,
  spec: { unit: 'kube-apiserver.service', layout: DEFAULT_LAYOUT },
  bare: { [UNIT]: HARD_WAY },
  byHand: {
    files: {
      [UNIT]: HARD_WAY.replace('  --v=2\n', `${BY_HAND.map((f) => `  ${f} \\\n`).join('')}  --v=2\n`),
      '/etc/kubernetes/audit-policy.yaml': METADATA_POLICY,
    },
    is: {},
    flags: BY_HAND.map((f) => f.split('=')[0] ?? ''),
  },
  theirs: { path: UNIT, change: (t) => t.replace('--allow-privileged=true', '--allow-privileged=false') },
  unit: 'kube-apiserver.service',
  hosts,
};
