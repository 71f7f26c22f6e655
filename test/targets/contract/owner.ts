/** Owners' objects, as people write them. A new owner is a row more. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { HOSTED_LAYOUT } from '../../../src/targets/hosted/volumes.ts';
import { DEFAULT_LAYOUT, resolveFlags } from '../../../src/targets/host-layout.ts';
import type { HostLayout } from '../../../src/targets/host-layout.ts';
import type { OwnerSpec } from '../../../src/targets/owners/types.ts';
import type { Subject } from './common.ts';
import { ManagedPlace } from './managed.ts';

const GOLDEN = `${import.meta.dirname}/../owners/golden`;
export const ownerSample = (name: string): unknown => parse(readFileSync(`${GOLDEN}/${name}.yaml`, 'utf8'));

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

export const subjects: readonly Subject[] = [kcp('v1beta1'), kcp('v1beta2'), tcp].map(subject);
