/** Owners' objects: as people write them, and an API server in memory that patches them. A new owner is a row more. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { Finding } from '../../../src/api/findings.ts';
import type { Revision } from '../../../src/render/types.ts';
import { HOSTED_LAYOUT } from '../../../src/targets/hosted/volumes.ts';
import { DEFAULT_LAYOUT, resolveFlags } from '../../../src/targets/host-layout.ts';
import type { HostLayout } from '../../../src/targets/host-layout.ts';
import { managed, managedView } from '../../../src/targets/managed.ts';
import type { OwnerSpec } from '../../../src/targets/owners/types.ts';
import { patched } from './hosted.ts';
import type { Place, Subject } from './common.ts';

const GOLDEN = `${import.meta.dirname}/../owners/golden`;
export const ownerSample = (name: string): unknown => parse(readFileSync(`${GOLDEN}/${name}.yaml`, 'utf8'));

export class OwnerPlace implements Place {
  object: unknown;
  readonly spec: OwnerSpec;
  readonly #theirs: (text: string) => string;

  constructor(object: unknown, spec: OwnerSpec, theirs: (text: string) => string = (t) => t) {
    this.object = object;
    this.spec = spec;
    this.#theirs = theirs;
  }

  plan(to: Revision | null): ReturnType<typeof managed.plan> {
    return managed.plan(to, { workload: this.object }, this.spec);
  }

  async bring(
    to: Revision | null,
  ): Promise<{ changes: readonly unknown[]; restarts: boolean; findings: readonly Finding[] }> {
    const plan = this.plan(to);
    if ('refused' in plan) throw new Error(`refused: ${plan.refused.map((f) => f.message).join('; ')}`);
    for (const c of plan.changes) this.object = patched(this.object, c.patch);
    return plan;
  }

  async print(to: Revision): Promise<string> {
    return JSON.stringify(this.plan(to));
  }

  async refusals(to: Revision | null): Promise<readonly string[]> {
    const plan = this.plan(to);
    return 'refused' in plan ? plan.refused.map((f) => f.code) : [];
  }

  async drift(to: Revision | null): Promise<readonly string[]> {
    return managed.verify(to, { workload: this.object }, this.spec).map((f) => f.code);
  }

  async flags(): Promise<ReadonlyMap<string, string>> {
    const view = managedView({ workload: this.object }, this.spec);
    if ('refused' in view) throw new Error('there is no such place');
    return view.ok.auditFlags;
  }

  snapshot(): unknown {
    return structuredClone(this.object);
  }

  async lines(): Promise<readonly string[]> {
    return [...(await this.flags())].map(([k, v]) => `${k}=${v}`);
  }

  theirs(): void {
    this.#edit(this.#theirs);
  }

  async tamper(): Promise<void> {
    this.#edit((t) =>
      t
        .replace(/"audit-log-maxage":"30"/, '"audit-log-maxage":"1"')
        .replace(/("name":"audit-log-maxage","value":)"30"/, '$1"1"')
        .replace(/"--audit-log-maxage=30"/, '"--audit-log-maxage=1"'),
    );
  }

  #edit(change: (text: string) => string): void {
    const text = JSON.stringify(this.object);
    const changed = change(text);
    if (changed === text) throw new Error('this edit changes nothing');
    this.object = JSON.parse(changed);
  }
}

type Row = { readonly file: string; readonly spec: OwnerSpec; readonly layout: HostLayout; readonly theirs: RegExp };

/** `theirs` is something of the owner's that somebody changes; `FILE-audited` has auditing set by hand. */
const subject = ({ file, spec, layout, theirs }: Row): Subject => ({
  name: `${spec.kind} ${spec.version}`,
  place: (as) =>
    new OwnerPlace(as === 'nothing' ? null : ownerSample(as === 'bare' ? file : `${file}-audited`), spec, (t) =>
      t.replace(theirs, (x) => x.replace('true', 'false')),
    ),
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
