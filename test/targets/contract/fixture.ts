/** What the contract suite (../contract.test.ts) must know of a kind of place, and a host in memory to play it on. */
import type fc from 'fast-check';
import { hasErrors } from '../../../src/api/findings.ts';
import { applyAll } from '../../../src/node/apply.ts';
import { gather } from '../../../src/node/gather.ts';
import type { Revision } from '../../../src/render/types.ts';
import type { HostChange, HostObserved, HostPath, HostTarget, Plan } from '../../../src/targets/types.ts';
import { MemoryDisk } from '../../host/memory-disk.ts';
import type { RevisionSketch } from '../revisions.ts';

export type Files = Readonly<Record<HostPath, string>>;

export type Fixture<Spec> = {
  readonly name: string;
  readonly target: HostTarget<Spec>;
  readonly spec: Spec;
  /** A control plane that audits nothing. */
  readonly bare: Files;
  /** The same, where somebody set up by hand what `revision(byHand.is)` wants, and what it says instead of `other`. */
  readonly byHand: { readonly files: Files; readonly is: RevisionSketch; readonly flags: readonly string[] };
  /** Somebody else's change of something that is not auditing, in the edited file or (a drop-in of ours) beside it. */
  readonly theirs: { readonly path: HostPath; readonly change: (text: string) => string };
  /** Who must restart it; null for the kubelet. */
  readonly unit: string | null;
  /** Hosts as people lay them out. */
  readonly hosts: fc.Arbitrary<Files>;
};

export type Made = Extract<Plan<HostChange>, { changes: unknown }>;

/** A host with one target on it. */
export class Host<Spec> {
  readonly disk: MemoryDisk;
  readonly fixture: Fixture<Spec>;

  constructor(fixture: Fixture<Spec>, files: Files = fixture.bare) {
    this.fixture = fixture;
    this.disk = new MemoryDisk(files);
  }

  see(to: Revision | null): Promise<HostObserved> {
    return gather(this.disk, this.fixture.target, to, this.fixture.spec);
  }

  async plan(to: Revision | null): Promise<Plan<HostChange>> {
    return this.fixture.target.plan(to, await this.see(to), this.fixture.spec);
  }

  /** Plans and does it; units are restarted by nobody here. */
  async bring(to: Revision | null): Promise<Made> {
    const plan = await this.plan(to);
    if ('refused' in plan) throw new Error(`refused: ${plan.refused.map((f) => `${f.code} ${f.message}`).join('; ')}`);
    if (hasErrors(plan.findings)) throw new Error('a plan with errors');
    const files = plan.changes.filter((c) => c.do !== 'RestartUnit');
    const guarded = await applyAll(this.disk, files);
    if (guarded !== null) throw new Error(`guarded: ${guarded.path}`);
    return plan;
  }

  async refusals(to: Revision | null): Promise<readonly string[]> {
    const plan = await this.plan(to);
    return 'refused' in plan ? plan.refused.map((f) => f.code) : [];
  }

  async drift(to: Revision | null): Promise<readonly string[]> {
    const findings = this.fixture.target.verify(to, await this.see(to), this.fixture.spec);
    return findings.map((f) => f.code);
  }

  async edited(): Promise<HostPath> {
    const path = this.fixture.target.edited(await this.see(null), this.fixture.spec);
    if (path === null) throw new Error('there is no such place on this host');
    return path;
  }

  async flags(): Promise<ReadonlyMap<string, string>> {
    const server = this.fixture.target.server(await this.see(null), this.fixture.spec);
    if (server === null) throw new Error('there is no such place on this host');
    return server.auditFlags;
  }

  edit(path: HostPath, change: (text: string) => string): void {
    const text = this.disk.text(path) ?? '';
    const changed = change(text);
    if (changed === text) throw new Error(`this edit of ${path} changes nothing`);
    this.disk.put(path, changed);
  }
}
