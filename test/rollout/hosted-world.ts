/** A workload in memory, its controller played, an owner, and a controller that obeys decisions. For tests of hosted.ts. */
import type { AuditConfigStatus } from '../../src/api/auditconfig.ts';
import { rememberPolicies } from '../../src/render/policy-memo.ts';
import type { Revision } from '../../src/render/types.ts';
import type { Found, ServingFact } from '../../src/rollout/facts.ts';
import { decideHosted } from '../../src/rollout/hosted/hosted.ts';
import type { HostedDecision, HostedFacts } from '../../src/rollout/hosted/scene.ts';
import { managedView } from '../../src/targets/managed.ts';
import { sample } from '../targets/contract/hosted.ts';
import { patched } from '../targets/contract/managed.ts';
import type { SampleWorkload } from '../targets/contract/hosted.ts';

/** Nearly all of the time of these tests, otherwise. */
const renderPolicy = rememberPolicies();

type Live = SampleWorkload & {
  metadata: { generation: number; managedFields?: unknown[] };
  status?: Record<string, unknown>;
};

export class HostedWorld {
  now = Date.parse('2026-01-01T00:00:00Z');
  spec: Record<string, unknown> = {};
  generation = 1;
  status: AuditConfigStatus = {};
  finalizer = false;
  deleting = false;
  patches = 0;
  /** How often what runs had to be read. */
  reads = 0;
  object: Live | null;
  readonly kind: 'Deployment' | 'StatefulSet';
  references: HostedFacts['references'] = {};
  governed: HostedFacts['governed'] = undefined;
  annotations: Record<string, string> = {};
  /** The Secret by which its API server is asked, and what came of that. */
  kubeconfig: string | undefined = undefined;
  serving: ServingFact | undefined = undefined;
  found: Found | undefined = undefined;
  readonly published = new Map<string, Revision>();

  constructor(kind: 'Deployment' | 'StatefulSet' = 'Deployment') {
    this.kind = kind;
    this.object = structuredClone(sample(kind.toLowerCase())) as Live;
    this.object.metadata.generation = 1;
    this.settle();
  }

  /** What the workload's controller says when so many replicas are available; all of them unless told otherwise. */
  settle(available?: number): void {
    if (this.object === null) return;
    const replicas = this.object.spec.replicas ?? 1;
    this.object.status = {
      observedGeneration: this.object.metadata.generation,
      replicas,
      updatedReplicas: replicas,
      availableReplicas: available ?? replicas,
    };
  }

  facts(lastGood?: Revision | 'Lost', running?: Revision | 'Lost'): HostedFacts {
    const { kind } = this;
    const hosted =
      kind === 'Deployment' ? { kind, name: 'apiserver', container: 'apiserver' } : { kind, name: 'kube-apiserver' };
    const container = kind === 'Deployment' ? 'apiserver' : 'kube-apiserver';
    return {
      meta: { namespace: 'tenant', name: 'main', uid: 'u1', generation: this.generation, creationTimestamp: '2026-01-01T00:00:00Z', deleting: this.deleting, hasFinalizer: this.finalizer },
      object: { apiVersion: 'auditconfig.dev/v1alpha1', kind: 'AuditConfig', metadata: { name: 'main', namespace: 'tenant', annotations: this.annotations }, spec: { target: { type: 'Hosted', hosted }, ...this.spec } },
      status: this.status,
      references: this.references,
      ...(this.governed === undefined ? {} : { governed: this.governed }),
      nodes: [],
      kubeadm: { state: 'Absent' },
      kubeadmWrites: [],
      serverVersion: '1.36',
      settings: { operatorNamespace: 'auditconfig-system', bundlesNamespace: 'b', renderPolicy },
      now: this.now,
      ...(this.deleting ? { definition: 'Served' as const } : {}),
      workload: { name: hosted.name, spec: { kind, container, config: 'main' }, object: this.object, claimant: { key: 'tenant/main', uid: 'u1' }, ...(lastGood === undefined ? {} : { lastGood }), ...(running === undefined ? {} : { running }), ...this.asked() },
    }; // prettier-ignore
  }

  asked(): Partial<HostedFacts['workload']> {
    const { kubeconfig, serving, found } = this;
    return {
      ...(kubeconfig === undefined ? {} : { kubeconfig: { name: kubeconfig } }),
      ...(serving === undefined ? {} : { serving }),
      ...(found === undefined ? {} : { found }),
    };
  }

  /** One reconcile, of which the first so many steps are carried out: a controller may die after any of them. */
  step(steps = 99): HostedDecision {
    const d = this.#decided();
    const all: (() => void)[] = [
      () => void (d.finalizer !== 'Keep' && (this.finalizer = d.finalizer === 'Add')),
      () => void (d.carry !== undefined && this.published.set(d.carry.digest, d.carry)),
      () => void (d.publish !== undefined && this.published.set(d.publish.digest, d.publish)),
      () => this.#patch(d),
      () => void (d.status !== undefined && (this.status = d.status)),
    ];
    for (const act of all.slice(0, steps)) act();
    return d;
  }

  /** What a decision turns out to need is read. */
  #decided(): HostedDecision {
    let d = decideHosted(this.facts());
    if (d.needs === 'LastGood')
      d = decideHosted(this.facts(this.published.get(this.status.workload?.lastKnownGood ?? '') ?? 'Lost'));
    if (d.needs === 'Running') {
      this.reads += 1;
      d = decideHosted(this.facts(undefined, this.published.get(this.digest ?? '') ?? 'Lost'));
    }
    return d;
  }

  /** Of the revision that is in it. */
  get digest(): string | undefined {
    const view = managedView({ workload: this.object }, this.facts().workload.spec);
    return 'ok' in view ? view.ok.digest : undefined;
  }

  #patch({ patch }: HostedDecision): void {
    if (patch === undefined || this.object === null) return;
    const template = JSON.stringify(this.object.spec);
    this.object = patched(this.object, patch) as Live;
    if (JSON.stringify(this.object.spec) !== template) this.object.metadata.generation += 1;
    this.patches += 1;
  }

  /** Until nothing is left to do; the workload's controller obeys. */
  run(available?: number): void {
    for (let i = 0; i < 10; i++) {
      const before = JSON.stringify([this.object, this.status, this.finalizer]);
      this.step();
      this.settle(available);
      if (JSON.stringify([this.object, this.status, this.finalizer]) === before) return;
    }
    throw new Error('it never ends');
  }

  change(spec: Record<string, unknown>): void {
    this.spec = { ...this.spec, ...spec };
    this.generation += 1;
  }

  /** The owner writes his whole object. */
  writeBack(): void {
    const generation = (this.object?.metadata.generation ?? 0) + 1;
    this.object = structuredClone(sample(this.kind.toLowerCase())) as Live;
    this.object.metadata.generation = generation;
    this.object.metadata.managedFields = [
      { manager: 'auditconfig-controller', time: '2026-01-01T00:00:09Z', fieldsV1: { 'f:spec': {} } },
      { manager: 'old', time: '2025-01-01T00:00:00Z', fieldsV1: { 'f:spec': {} } },
      { manager: 'platform', time: '2026-01-01T00:00:01Z', fieldsV1: { 'f:spec': {} } },
    ];
    this.settle();
  }

  /** Somebody writes an annotation: a new generation, which the workload's controller has not seen. */
  annotate(): void {
    if (this.object !== null) this.object.metadata.generation += 1;
  }

  /** The owner changes an argument of his own in what is there, and leaves ours. */
  retouch(n: number): void {
    if (this.object === null) return;
    const text = JSON.stringify(this.object.spec);
    const next = text.includes('"--v=')
      ? text.replace(/"--v=\d+"/, `"--v=${n}"`)
      : text.replace('"--audit-', `"--v=${n}","--audit-`);
    this.object = { ...this.object, spec: JSON.parse(next) as Live['spec'] };
    this.object.metadata.generation += 1;
    this.settle();
  }

  /** The owner writes the words of his container anew, from what is there. */
  words(change: (words: readonly string[]) => string[]): void {
    const container = this.object?.spec.template.spec.containers.at(-1);
    if (this.object === null || container === undefined) return;
    container.args = change(container.args);
    this.object.metadata.generation += 1;
    this.settle();
  }

  reason(type: string): string | undefined {
    return this.status.conditions?.find((c) => c.type === type)?.reason;
  }
  get flags(): number {
    return JSON.stringify(this.object).split('"--audit-').length - 1;
  }
}
