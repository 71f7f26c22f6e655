/** An object that somebody else rolls out, and an API server in memory that patches it. Used by hosted.ts, owner.ts and tests of single targets. */
import type { Finding } from '../../../src/api/findings.ts';
import type { Revision } from '../../../src/render/types.ts';
import type { PatchOp } from '../../../src/targets/hosted/patch.ts';
import { managed, managedView } from '../../../src/targets/managed.ts';
import type { ManagedSpec } from '../../../src/targets/managed.ts';
import type { Place } from './common.ts';

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

type Edit = (text: string) => string;
export type Edits = {
  /** Somebody's change of something that is not auditing. */
  readonly theirs?: Edit;
  /** Of the flag that keeps logs for 30 days, as it is spelled there. */
  readonly tamper?: Edit;
};

const OTHER_AGE: Edit = (t) =>
  t
    .replace(/"audit-log-maxage":"30"/, '"audit-log-maxage":"1"')
    .replace(/("name":"audit-log-maxage","value":)"30"/, '$1"1"')
    .replace(/"--audit-log-maxage=30"/, '"--audit-log-maxage=1"');

export class ManagedPlace implements Place {
  object: unknown;
  readonly spec: ManagedSpec;
  readonly #edits: Edits;

  constructor(object: unknown, spec: ManagedSpec, edits: Edits = {}) {
    this.object = object;
    this.spec = spec;
    this.#edits = edits;
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
    this.#edit(this.#edits.theirs ?? ((t) => t));
  }

  async tamper(): Promise<void> {
    this.#edit(this.#edits.tamper ?? OTHER_AGE);
  }

  #edit(change: Edit): void {
    const text = JSON.stringify(this.object);
    const changed = change(text);
    if (changed === text) throw new Error('this edit changes nothing');
    this.object = JSON.parse(changed);
  }
}
