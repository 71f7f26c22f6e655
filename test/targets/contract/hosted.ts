/** Hosted: a Deployment and a StatefulSet as people host kube-apiservers, and an API server in memory that patches them. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { Finding } from '../../../src/api/findings.ts';
import type { Revision } from '../../../src/render/types.ts';
import { resolveFlags } from '../../../src/targets/host-layout.ts';
import { hosted, hostedView } from '../../../src/targets/hosted.ts';
import type { HostedTargetSpec } from '../../../src/targets/hosted.ts';
import type { PatchOp } from '../../../src/targets/hosted/patch.ts';
import { HOSTED_LAYOUT } from '../../../src/targets/hosted/volumes.ts';
import type { Place, Subject } from './common.ts';

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

const keysOf = (path: string): readonly string[] =>
  path
    .split('/')
    .slice(1)
    .map((k) => k.replaceAll('~1', '/').replaceAll('~0', '~'));

type Tree = Record<string, unknown>;
const same = (a: unknown, b: unknown): boolean => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
const sorted = (v: unknown): unknown =>
  Array.isArray(v)
    ? v.map(sorted)
    : typeof v === 'object' && v !== null
      ? Object.fromEntries(
          Object.entries(v)
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([k, x]) => [k, sorted(x)]),
        )
      : v;

/** RFC 6902 as far as targets use it; throws where a `test` does not hold. */
export function patched(object: unknown, patch: readonly PatchOp[]): unknown {
  const out = structuredClone(object) as Tree;
  for (const op of patch) {
    const keys = keysOf(op.path);
    const parent = keys.slice(0, -1).reduce<Tree>((o, k) => o[k] as Tree, out);
    const key = keys.at(-1) ?? '';
    if (op.op === 'test' && !same(parent[key] ?? null, op.value)) throw new Error(`test ${op.path}`);
    if (op.op === 'remove' && Array.isArray(parent)) parent.splice(Number(key), 1);
    else if (op.op === 'remove') delete parent[key];
    if (op.op === 'replace' && parent[key] === undefined) throw new Error(`replace of nothing: ${op.path}`);
    if (op.op === 'add' && Array.isArray(parent) && key === '-') parent.push(op.value);
    else if (op.op === 'add' || op.op === 'replace') parent[key] = op.value;
  }
  return out;
}

export class HostedPlace implements Place {
  object: unknown;
  readonly spec: HostedTargetSpec;
  readonly #theirs: (text: string) => string;

  constructor(object: unknown, spec: HostedTargetSpec, theirs = (t: string): string => t) {
    this.object = object;
    this.spec = spec;
    this.#theirs = theirs;
  }

  plan(to: Revision | null): ReturnType<typeof hosted.plan> {
    return hosted.plan(to, { workload: this.object }, this.spec);
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
    return hosted.verify(to, { workload: this.object }, this.spec).map((f) => f.code);
  }

  async flags(): Promise<ReadonlyMap<string, string>> {
    const view = hostedView({ workload: this.object }, this.spec);
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
    this.#edit((t) => t.replace('audit-log-maxage=30', 'audit-log-maxage=1'));
  }

  #edit(change: (text: string) => string): void {
    const text = JSON.stringify(this.object);
    const changed = change(text);
    if (changed === text) throw new Error('this edit changes nothing');
    this.object = JSON.parse(changed);
  }
}

const wanted = (of: Revision): ReadonlyMap<string, string> =>
  new Map(resolveFlags(of, HOSTED_LAYOUT).map((f) => [f.name, f.value]));

const subject = (file: string, byHand: string, spec: HostedTargetSpec): Subject => ({
  name: `Hosted (${spec.kind})`,
  place: (as) =>
    new HostedPlace(as === 'nothing' ? null : sample(as === 'bare' ? file : byHand), spec, (t) =>
      t.replace('--enable-bootstrap-token-auth=true', '--enable-bootstrap-token-auth=false'),
    ),
  wanted,
});

export const subjects: readonly Subject[] = [
  subject('deployment', 'deployment-audited', { kind: 'Deployment', container: 'apiserver', config: 'main' }),
  subject('statefulset', 'statefulset-audited', { kind: 'StatefulSet', container: 'kube-apiserver', config: 'main' }),
];
