/** Owners' objects, as people write them. A new owner is a row more. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { HOSTED_LAYOUT } from '../../../src/targets/hosted/volumes.ts';
import { DEFAULT_LAYOUT, resolveFlags } from '../../../src/targets/host-layout.ts';
import type { HostLayout } from '../../../src/targets/host-layout.ts';
import { hostedCluster } from '../../../src/targets/owners/apis/hosted-cluster.ts';
import { kubermaticCluster } from '../../../src/targets/owners/apis/kubermatic-cluster.ts';
import { shoot } from '../../../src/targets/owners/apis/shoot.ts';
import type { OwnerSpec } from '../../../src/targets/owners/types.ts';
import { composePolicy } from '../../../src/policy/compose.ts';
import { emitPolicy } from '../../../src/policy/emit.ts';
import { presetPolicy } from '../../../src/policy/presets.ts';
import type { PresetName } from '../../../src/policy/presets.ts';
import type { Revision } from '../../../src/render/types.ts';
import { revision } from '../revisions.ts';
import type { RevisionSketch } from '../revisions.ts';
import { A, B } from './common.ts';
import type { Subject } from './common.ts';
import { ManagedPlace } from './managed.ts';

const GOLDEN = `${import.meta.dirname}/../owners/golden`;
export const ownerSample = (name: string): unknown => parse(readFileSync(`${GOLDEN}/${name}.yaml`, 'utf8'));

/** A revision whose policy is exactly this preset, as a cluster renders it. */
export const presetRevision = (name: PresetName, more: RevisionSketch = {}): Revision => {
  const policy = composePolicy({ preset: presetPolicy(name, {}), rulesPosition: 'Before', omitStages: [] });
  return revision({ ...more, policy: new TextDecoder().decode(emitPolicy(policy)) });
};

type Row = { readonly file: string; readonly spec: OwnerSpec; readonly layout: HostLayout; readonly theirs: RegExp };

/** `theirs` is something of the owner's that somebody changes; `FILE-audited` has auditing set by hand. */
const subject = ({ file, spec, layout, theirs }: Row): Subject => ({
  name: `${spec.kind} ${spec.version}`,
  place: (as) =>
    new ManagedPlace(as === 'nothing' ? null : ownerSample(as === 'bare' ? file : `${file}-audited`), spec, {
      theirs: (t) => t.replace(theirs, (x) => x.replace('true', 'false')),
    }),
  wanted: (of) => new Map(resolveFlags(of, layout).map((f) => [f.name, f.value])),
});

const kcp = (version: string): Row => ({
  file: `kubeadmcontrolplane-${version}`,
  spec: { kind: 'KubeadmControlPlane', version, config: 'main' },
  layout: DEFAULT_LAYOUT,
  theirs: /"profiling":"true"|"name":"profiling","value":"true"/,
});

const tcp: Row = {
  file: 'tenantcontrolplane',
  spec: { kind: 'TenantControlPlane', version: 'v1alpha1', config: 'main' },
  layout: HOSTED_LAYOUT,
  theirs: /--profiling=true/,
};

const ofPreset = (name: PresetName, more: RevisionSketch = {}) => presetRevision(name, more);
const withWebhook = (name: PresetName): Revision =>
  ofPreset(name, { webhook: 'kubeconfig\n', token: 'hunter2', flags: { '--audit-webhook-initial-backoff': '10s' } });

const kkp: Subject = {
  name: 'KubermaticCluster v1',
  place: (as) =>
    new ManagedPlace(
      as === 'nothing' ? null : ownerSample(as === 'bare' ? 'kubermaticcluster' : 'kubermaticcluster-audited'),
      { kind: 'KubermaticCluster', version: 'v1', config: 'main' },
      {
        theirs: (t) =>
          t.replace('"usePodNodeSelectorAdmissionPlugin":true', '"usePodNodeSelectorAdmissionPlugin":false'),
        tamper: (t) => t.replace('"policyPreset":"metadata"', '"policyPreset":"minimal"'),
      },
    ),
  wanted: (of) => {
    const [secret] = kubermaticCluster.objects?.(of) ?? [];
    const preset = /pods\/log/.test(text(of)) ? 'minimal' : /pods/.test(text(of)) ? 'recommended' : 'metadata';
    return new Map([
      ['spec.auditLogging.enabled', 'true'],
      ['spec.auditLogging.policyPreset', preset],
      ...(secret === undefined
        ? []
        : ([
            ['spec.auditLogging.webhookBackend.auditWebhookConfig', secret.name],
            ['spec.auditLogging.webhookBackend.auditWebhookInitialBackoff', '10s'],
          ] as const)),
    ]);
  },
  revisions: {
    a: ofPreset('metadata'),
    b: ofPreset('recommended'),
    more: withWebhook('metadata'),
    other: withWebhook('minimal'),
    series: [ofPreset('metadata'), withWebhook('minimal'), ofPreset('recommended')],
  },
};
const text = (of: Revision): string => new TextDecoder().decode(of.policy);

const REFERENCE = 'spec.kubernetes.kubeAPIServer.auditConfig.auditPolicy.configMapRef.name';
const gardener: Subject = {
  name: 'Shoot v1beta1',
  place: (as) =>
    new ManagedPlace(
      as === 'nothing' ? null : ownerSample(as === 'bare' ? 'shoot' : 'shoot-audited'),
      { kind: 'Shoot', version: 'v1beta1', config: 'main' },
      {
        theirs: (t) => t.replace('"enableStaticTokenKubeconfig":true', '"enableStaticTokenKubeconfig":false'),
        tamper: (t) => t.replace(/"name":"auditconfig-[^"]*-policy"/, '"name":"another"'),
      },
    ),
  wanted: (of) => new Map([[REFERENCE, shoot.objects?.(of)[0]?.name ?? '']]),
  revisions: { a: A, b: B, other: ofPreset('minimal'), series: [A, ofPreset('minimal'), B] },
};

const AUDIT = 'spec.configuration.apiServer.audit';
const PROFILES: readonly (readonly [PresetName, string])[] = [
  ['default', 'Default'],
  ['write-request-bodies', 'WriteRequestBodies'],
  ['all-request-bodies', 'AllRequestBodies'],
  ['none', 'None'],
];
const KUBECONFIG =
  '{"clusters":[{"cluster":{"server":"https://a"}}],"users":[{"name":"webhook","user":{"tokenFile":"token"}}]}\n';
/** A profile, with a webhook, as a cluster renders it. */
export const openshiftRevision = (name: PresetName, token?: string): Revision =>
  ofPreset(name, token === undefined ? {} : { webhook: KUBECONFIG, token });
const hypershift: Subject = {
  name: 'HostedCluster v1beta1',
  place: (as) =>
    new ManagedPlace(
      as === 'nothing' ? null : ownerSample(as === 'bare' ? 'hostedcluster' : 'hostedcluster-audited'),
      { kind: 'HostedCluster', version: 'v1beta1', config: 'main' },
      {
        theirs: (t) => t.replace('"fips":false', '"fips":true'),
        tamper: (t) => t.replace(/"profile":"[A-Za-z]+"/, '"profile":"None"'),
      },
    ),
  wanted: (of) => {
    const [secret] = hostedCluster.objects?.(of) ?? [];
    const profile = PROFILES.find(([name]) => text(openshiftRevision(name)) === text(of))?.[1] ?? '';
    return new Map([
      [`${AUDIT}.profile`, profile],
      ...(secret === undefined ? [] : ([['spec.auditWebhook', secret.name]] as const)),
    ]);
  },
  revisions: {
    a: openshiftRevision('default'),
    b: openshiftRevision('write-request-bodies'),
    more: openshiftRevision('default', 'hunter2'),
    other: openshiftRevision('all-request-bodies', 'hunter2'),
    series: [
      openshiftRevision('default'),
      openshiftRevision('none', 'hunter2'),
      openshiftRevision('all-request-bodies'),
    ],
  },
};

export const subjects: readonly Subject[] = [
  ...[kcp('v1beta1'), kcp('v1beta2'), tcp].map(subject),
  kkp,
  gardener,
  hypershift,
];
