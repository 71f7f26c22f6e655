/** A world of plain data around decide(): objects, agents that obey (or fail), and a controller that may die anywhere. */
import type { AuditConfigStatus } from '../../src/api/auditconfig.ts';
import type { AuditNodeSpec, AuditNodeStatus } from '../../src/api/auditnode.ts';
import type { References } from '../../src/render/references.ts';
import type { Credentials, Secret } from '../../src/render/types.ts';
import { decide } from '../../src/rollout/decide.ts';
import { timestamp } from '../../src/rollout/turn.ts';
import type { Decision } from '../../src/rollout/decide.ts';
import type { Facts, NodeFact } from '../../src/rollout/facts.ts';
import type { KubeadmFact, KubeadmWrite } from '../../src/rollout/kubeadm.ts';

export type WorldNode = { spec?: AuditNodeSpec; status: AuditNodeStatus; generation: number; exists: boolean };

export class World {
  now = Date.parse('2026-01-01T00:00:00Z');
  spec: Record<string, unknown> = { target: { type: 'StaticPod' }, policy: { preset: 'metadata' } };
  namespace = 'auditconfig-system';
  generation = 1;
  status: AuditConfigStatus = {};
  finalizer = false;
  deleting = false;
  definition: Facts['definition'] = undefined;
  busyNode: string | undefined = undefined;
  references: References = {};
  /** No cluster of kubeadm's, until a test makes it one. */
  kubeadm: KubeadmFact = { state: 'Absent' };
  /** As the cache has it; undefined: the cache is not there yet. */
  shipper: Facts['shipper'] = undefined;
  readonly kubeadmWrites: KubeadmWrite[] = [];
  readonly published = new Set<string>();
  /** Kubeconfigs of published revisions. */
  readonly kubeconfigs = new Map<string, Secret<Uint8Array> | null>();
  /** Credentials that were published for a revision that is not the newest, by their digest. */
  readonly rotated = new Map<string, Credentials>();
  readonly nodes = new Map<string, WorldNode>();
  /** Digests that API servers do not survive. */
  readonly bad = new Set<string>();

  constructor(names: readonly string[]) {
    for (const name of names) this.nodes.set(name, { status: {}, generation: 0, exists: true });
  }

  change(spec: Record<string, unknown>): void {
    this.spec = { ...this.spec, ...spec };
    this.generation += 1;
  }

  facts(): Facts {
    const nodes = [...this.nodes].map(([name, n]): NodeFact => {
      const claimant = { key: `${this.namespace}/main`, uid: 'u1' };
      const auditNode =
        n.spec === undefined
          ? {}
          : { auditNode: { uid: `an-${name}`, generation: n.generation, spec: n.spec, status: n.status } };
      return { name, ...(n.exists ? { nodeUid: `node-${name}` } : {}), matches: n.exists, claimant, ...auditNode };
    });
    return {
      meta: {
        namespace: this.namespace,
        name: 'main',
        uid: 'u1',
        generation: this.generation,
        creationTimestamp: '2026-01-01T00:00:00Z',
        deleting: this.deleting,
        hasFinalizer: this.finalizer,
      },
      object: {
        apiVersion: 'auditconfig.dev/v1alpha1',
        kind: 'AuditConfig',
        metadata: { name: 'main', namespace: this.namespace },
        spec: this.spec,
      },
      status: this.status,
      references: this.references,
      nodes,
      ...(this.definition === undefined ? {} : { definition: this.definition }),
      ...(this.busyNode === undefined ? {} : { busyNode: this.busyNode }),
      ...(this.shipper === undefined ? {} : { shipper: this.shipper }),
      older: this.kubeconfigs,
      kubeadm: this.kubeadm,
      kubeadmWrites: this.kubeadmWrites,
      serverVersion: '1.36',
      settings: { operatorNamespace: 'auditconfig-system', bundlesNamespace: 'auditconfig-bundles' },
      now: this.now,
    };
  }

  /** Carries out the first `steps` steps of a decision: a controller may die after any of them. */
  act(d: Decision, steps = 99): void {
    const all: (() => void)[] = [
      () => void (d.finalizer === 'Add' && (this.finalizer = true)),
      () => this.#publish(d),
      () => this.#patchKubeadm(d),
      () => this.#assign(d),
      () => d.forget.forEach((name) => this.#forget(name)),
      () => void (d.status !== undefined && (this.status = d.status)),
      () => void (d.finalizer === 'Remove' && (this.finalizer = false)),
    ];
    for (const step of all.slice(0, steps)) step();
  }

  #publish({ publish, rotate }: Decision): void {
    if (publish !== undefined) {
      this.published.add(publish.digest);
      this.kubeconfigs.set(publish.digest, publish.webhook ?? null);
    }
    if (rotate !== undefined) this.rotated.set(rotate.credentialsDigest, rotate.credentials.reveal());
  }

  /** As the API server carries out the patch, test of the version included. */
  #patchKubeadm({ kubeadm: patch }: Decision): void {
    if (patch === undefined) return;
    if (this.kubeadm.state !== 'There' || this.kubeadm.resourceVersion !== patch.resourceVersion)
      throw new Error('stale');
    const { annotation: _old, ...now } = this.kubeadm;
    this.kubeadm = {
      ...now,
      text: patch.text ?? now.text,
      annotation: patch.annotation ?? undefined,
      resourceVersion: `${Number(now.resourceVersion) + 1}`,
    };
    if (patch.digest !== undefined) this.kubeadmWrites.push({ digest: patch.digest, at: this.now });
  }

  #assign(d: Decision): void {
    if (d.assign === undefined) return;
    const node = this.nodes.get(d.assign.node);
    if (node === undefined) throw new Error('assigned to nobody');
    if (!this.finalizer) throw new Error('assigned without a finalizer');
    const digest = d.assign.spec.desired.revision?.digest;
    if (digest !== undefined && !this.published.has(digest)) throw new Error('assigned before it was published');
    if (JSON.stringify(node.spec) === JSON.stringify(d.assign.spec)) return;
    node.spec = d.assign.spec;
    node.generation += 1;
  }

  #forget(name: string): void {
    const node = this.nodes.get(name);
    if (node === undefined) return;
    if (node.exists) this.nodes.set(name, { status: {}, generation: 0, exists: true });
    else this.nodes.delete(name);
  }

  /** Names of nodes whose API server restarts at this moment; their agents then bring it to an end. */
  runAgents(): readonly string[] {
    const restarted: string[] = [];
    for (const [name, n] of this.nodes) {
      if (n.spec === undefined || n.status.observedGeneration === n.generation) continue;
      const digest = n.spec.desired.revision?.digest;
      const observed = { observedGeneration: n.generation };
      if (digest === n.status.current && n.status.phase === 'Settled') {
        n.status = { ...n.status, ...observed };
        continue;
      }
      restarted.push(name);
      if (digest !== undefined && this.bad.has(digest)) {
        const lastFailure = { digest, reason: 'CrashLoop', message: 'unknown flag', time: timestamp(this.now) };
        n.status = { ...n.status, ...observed, phase: 'Held', lastFailure };
        continue;
      }
      const { current: _old, lastFailure: _gone, ...rest } = n.status;
      const current = digest === undefined ? {} : { current: digest, lastKnownGood: digest };
      n.status = { ...rest, ...current, ...observed, phase: 'Settled', settledTime: timestamp(this.now) };
    }
    return restarted;
  }

  /** Reconciles and lets agents work until nothing changes; `steps` says after how many steps each controller dies. */
  run(steps: () => number = () => 99, rounds = 200): void {
    for (let i = 0; i < rounds; i++) {
      const before = JSON.stringify([this.facts(), this.finalizer]);
      const d = decide(this.facts());
      const lived = steps();
      this.act(d, lived);
      const restarted = this.runAgents();
      if (restarted.length > 1) throw new Error(`two API servers at once: ${restarted.join(', ')}`);
      if (d.requeueAfterMs !== undefined) this.now += d.requeueAfterMs;
      else if (JSON.stringify([this.facts(), this.finalizer]) === before && lived >= 99) return;
    }
  }

  condition(type: string): { status: string; reason: string; message: string } | undefined {
    const c = this.status.conditions?.find((x) => x.type === type);
    return c === undefined ? undefined : { status: c.status, reason: c.reason, message: c.message };
  }
  currents(): (string | undefined)[] {
    return [...this.nodes.values()].map((n) => n.status.current);
  }
}
