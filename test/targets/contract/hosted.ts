/** Hosted: a Deployment and a StatefulSet as people host kube-apiservers. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { Revision } from '../../../src/render/types.ts';
import { resolveFlags } from '../../../src/targets/host-layout.ts';
import type { HostedTargetSpec } from '../../../src/targets/hosted.ts';
import { HOSTED_LAYOUT } from '../../../src/targets/hosted/volumes.ts';
import type { Subject } from './common.ts';
import { ManagedPlace } from './managed.ts';

const GOLDEN = `${import.meta.dirname}/../hosted/golden`;
export const sample = (name: string): unknown => parse(readFileSync(`${GOLDEN}/${name}.yaml`, 'utf8'));

export type SampleContainer = {
  name: string;
  image: string;
  command?: string[];
  args: string[];
  env?: unknown[];
  envFrom?: unknown[];
  volumeMounts: Record<string, unknown>[];
};
/** As far as tests look into one or change it. */
export type SampleWorkload = {
  metadata: { labels: Record<string, string>; annotations: Record<string, string> };
  spec: {
    replicas?: number;
    updateStrategy: { type: string; rollingUpdate?: { partition: number } };
    volumeClaimTemplates?: unknown[];
    template: { spec: { containers: SampleContainer[]; volumes: Record<string, unknown>[] } };
  };
};

const wanted = (of: Revision): ReadonlyMap<string, string> =>
  new Map(resolveFlags(of, HOSTED_LAYOUT).map((f) => [f.name, f.value]));

const subject = (file: string, byHand: string, spec: HostedTargetSpec): Subject => ({
  name: `Hosted (${spec.kind})`,
  place: (as) =>
    new ManagedPlace(as === 'nothing' ? null : sample(as === 'bare' ? file : byHand), spec, {
      theirs: (t) => t.replace('--enable-bootstrap-token-auth=true', '--enable-bootstrap-token-auth=false'),
    }),
  wanted,
});

export const subjects: readonly Subject[] = [
  subject('deployment', 'deployment-audited', { kind: 'Deployment', container: 'apiserver', config: 'main' }),
  subject('statefulset', 'statefulset-audited', { kind: 'StatefulSet', container: 'kube-apiserver', config: 'main' }),
];
