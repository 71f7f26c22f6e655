/** StaticPod: a manifest as kubeadm writes it. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { DEFAULT_LAYOUT } from '../../../src/targets/host-layout.ts';
import { staticPod } from '../../../src/targets/static-pod.ts';
import type { StaticPodSpec } from '../../../src/targets/static-pod.ts';
import { METADATA_POLICY } from '../revisions.ts';
import type { Fixture } from './fixture.ts';

const PATH = '/etc/kubernetes/manifests/kube-apiserver.yaml';
const golden = (name: string): string =>
  readFileSync(`${import.meta.dirname}/../static-pod/golden/${name}/before.yaml`, 'utf8');
const KUBEADM = golden('kubeadm-1.36');

const BY_HAND = [
  '--audit-policy-file=/etc/kubernetes/audit/policy.yaml',
  '--audit-log-path=/var/log/kube-audit/audit.log',
  '--audit-log-maxage=30',
  '--audit-log-maxbackup=10',
];
const mounted = KUBEADM.replace(
  /( +)- --authorization-mode/,
  `${BY_HAND.map((f) => `$1- ${f}\n`).join('')}$1- --authorization-mode`,
)
  .replace(
    /\n( +)volumeMounts:\n/,
    '\n$1volumeMounts:\n$1- mountPath: /etc/kubernetes/audit\n$1  name: audit\n$1- mountPath: /var/log/kube-audit\n$1  name: log\n',
  )
  .replace(
    /\n( +)volumes:\n/,
    '\n$1volumes:\n$1- hostPath: {path: /etc/kubernetes/audit}\n$1  name: audit\n$1- hostPath: {path: /var/log/kube-audit}\n$1  name: log\n',
  );

export const fixture: Fixture<StaticPodSpec> = {
  name: 'StaticPod',
  target: staticPod,
  spec: { manifest: PATH, layout: DEFAULT_LAYOUT },
  bare: { [PATH]: KUBEADM },
  byHand: {
    files: { [PATH]: mounted, '/etc/kubernetes/audit/policy.yaml': METADATA_POLICY },
    is: {},
    flags: BY_HAND.map((f) => f.split('=')[0] ?? ''),
  },
  theirs: { path: PATH, change: (t) => t.replace('--allow-privileged=true', '--allow-privileged=false') },
  unit: null,
  hosts: fc
    .record({
      name: fc.constantFrom('kubeadm-1.36', 'command-and-args', 'flow-style-lists', 'json-indented', 'odd-but-valid'),
      crlf: fc.boolean(),
      cut: fc.boolean(),
    })
    .map(({ name, crlf, cut }) => {
      const text = crlf ? golden(name).replace(/\r?\n/g, '\r\n') : golden(name);
      return { [PATH]: cut ? text.trimEnd() : text };
    }),
};
