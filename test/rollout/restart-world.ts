/**
 * A control plane played by the code that runs it: the agents' side of the Lease (src/agent/turn.ts), two controllers
 * with caches that lag (src/controllers/restart-lease.ts, next-node.ts), and machines, API servers and a network that do
 * what a seed says. Whoever waits, waits at a gate; each step opens one of them or lets something happen, so every
 * interleaving and every kill between two lines that wait can come up. The rules that nobody may break are checked where
 * an API server begins to restart.
 */
import { createRestartTurn } from '../../src/agent/turn.ts';
import { nodeOfHolder } from '../../src/api/restart-lease.ts';
import type { AuditNodeSpec, AuditNodeStatus } from '../../src/api/auditnode.ts';
import type { Caches } from '../../src/controllers/caches.ts';
import { createRestartLease } from '../../src/controllers/restart-lease.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { fail, ok } from '../../src/kube/errors.ts';
import type { KubeObject, Resource } from '../../src/kube/types.ts';
import { viewOf } from '../../src/rollout/facts.ts';
import { nextNode } from '../../src/rollout/next-node.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { LeaseStore } from './lease-store.ts';

const LABELS = { 'node-role.kubernetes.io/control-plane': '' };
const never = new AbortController().signal;
const log = createLogger({ name: 'test', level: 'silent' });
const MINUTE = 60_000;
const CONFIG_UID = 'config';

/** A process that was killed never gets through a gate again. */
type Process = { alive: boolean };
type Change = { readonly to: string; renamed: boolean; readonly fate: 'good' | 'bad' | 'inconclusive' };

type Machine = {
  readonly name: string;
  readonly uid: string;
  /** Its Node object is there. */
  exists: boolean;
  up: boolean;
  downSince: number;
  ready: boolean;
  /** Since which step its API server is not ready. */
  unreadySince: number;
  current: string | undefined;
  drifted: boolean;
  refused: string | undefined;
  /** On its disk. */
  journal: Change | null;
  /** The Lease was taken from it, as it was dead. */
  freed: boolean;
  /** In the middle of its change. */
  wasLongDead: boolean;
  agent: Process;
  spec: AuditNodeSpec | undefined;
  generation: number;
  status: AuditNodeStatus;
};

/** What a controller has in its caches. */
type Seen = {
  readonly nodes: readonly {
    readonly metadata: { readonly name: string; readonly uid: string; readonly labels: object };
  }[];
  readonly auditNodes: ReadonlyMap<
    string,
    {
      readonly metadata: { readonly generation: number };
      readonly spec: AuditNodeSpec;
      readonly status: AuditNodeStatus;
    }
  >;
  readonly config: { readonly spec: { readonly rollout: { readonly paused: boolean } } };
  readonly lease: KubeObject | undefined;
  readonly want: string;
};

export type Chaos = { readonly allowDegraded: boolean; readonly machines: number };

export class RestartWorld {
  readonly #seed: { x: number };
  readonly #chaos: Chaos;
  readonly machines: Machine[];
  readonly lease = new LeaseStore();
  readonly #gates: { readonly process: Process; readonly open: () => void }[] = [];
  readonly #network: Process = { alive: true };
  #controllers: Process[] = [];
  #step = 0;
  #now = Date.parse('2026-01-01T00:00:00Z');
  #calm = false;
  want = 'a'.repeat(64);
  paused = false;
  restarts = 0;
  readonly #history: string[] = [];

  constructor(seed: number, chaos: Chaos) {
    this.#seed = { x: seed };
    this.#chaos = chaos;
    this.machines = Array.from({ length: chaos.machines }, (_, i) => ({
      ...{ name: `cp-${i + 1}`, uid: `uid-${i + 1}`, exists: true, up: true, downSince: 0, ready: true },
      ...{
        unreadySince: 0,
        current: undefined,
        drifted: false,
        refused: undefined,
        journal: null,
        freed: false,
        wasLongDead: false,
      },
      ...{ agent: { alive: false }, spec: undefined, generation: 0, status: {} },
    }));
    for (const m of this.machines) this.#startAgent(m);
    for (const i of [0, 1]) this.#startController(i);
  }

  /** Uniform in [0, 1). */
  #random(): number {
    let t = (this.#seed.x += 0x6d2b79f5);
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }
  #chance(p: number): boolean {
    return !this.#calm && this.#random() < p;
  }
  #pick<T>(all: readonly T[]): T | undefined {
    return all[Math.floor(this.#random() * all.length)];
  }
  #note(what: string): void {
    this.#history.push(`${this.#step} ${what}`);
  }

  #gate(process: Process): Promise<void> {
    return new Promise((open) => void this.#gates.push({ process, open }));
  }

  // ---- the network: requests arrive late, get lost, or their senders give up before they arrive

  #client(process: Process): KubeClient {
    const inner = this.lease.client();
    const send = async <T>(act: () => Promise<T>): Promise<T | ReturnType<typeof fail>> => {
      const arrived = this.#gate(this.#network).then(act);
      if (this.#chance(0.03)) {
        await this.#gate(process);
        return fail('Timeout', 'no answer in time');
      }
      const answer = await arrived;
      await this.#gate(process);
      return this.#chance(0.03) ? fail('ConnectionLost', 'the answer got lost') : answer;
    };
    return {
      get: (resource: Resource, ref: { name: string }) =>
        send(async () =>
          resource.kind === 'Node' ? this.#nodeObject(ref.name) : inner.get(resource, ref, { signal: never }),
        ),
      mergePatch: (...args: Parameters<KubeClient['mergePatch']>) => send(() => inner.mergePatch(...args)),
      create: (...args: Parameters<KubeClient['create']>) => send(() => inner.create(...args)),
    } as unknown as KubeClient;
  }

  #nodeObject(name: string) {
    const m = this.machines.find((x) => x.name === name && x.exists);
    if (m === undefined) return fail('NotFound', 'no such Node');
    const ready = { type: 'Ready', status: m.up ? 'True' : 'Unknown', lastTransitionTime: new Date(m.downSince).toISOString() };
    const addresses = [{ type: 'InternalIP', address: m.name }];
    const node: KubeObject = { apiVersion: 'v1', kind: 'Node', metadata: { name, uid: m.uid, labels: LABELS }, status: { conditions: [ready], addresses } };
    return ok(node);
  } // prettier-ignore

  // ---- agents

  #startAgent(m: Machine): void {
    m.agent.alive = false;
    const process = (m.agent = { alive: true });
    void this.#agent(m, process);
  }

  async #agent(m: Machine, process: Process): Promise<void> {
    const asked = { at: 0 };
    const turn = createRestartTurn({
      client: this.#client(process),
      namespace: 'bundles',
      node: m.name,
      nodeUid: () => m.uid,
      ownPort: async () => 6443,
      askPeer: async ({ host }) => {
        await this.#gate(process);
        const peer = this.machines.find((x) => x.name === host);
        if (peer?.ready === true && peer.up) return null;
        return 'ConnectionRefused';
      },
      log,
      now: () => this.#now,
    });
    for (;;) {
      await this.#gate(process);
      if (m.journal !== null) {
        void turn.announce(never);
        await this.#follow(m, process);
      }
      const wanted = m.spec?.desired.revision?.digest;
      const restart = wanted !== undefined && wanted !== m.refused && (wanted !== m.current || m.drifted);
      if (restart) {
        asked.at = this.#step;
        const granted = await turn.take(never);
        await this.#gate(process);
        if (granted.granted) {
          m.journal = { to: wanted, renamed: false, fate: this.#fate() };
          await this.#gate(process);
          this.#beginRestart(m, m.journal, asked.at);
          await this.#follow(m, process);
        } else {
          const { reason, node } = granted;
          m.status = { ...m.status, observedGeneration: m.generation, phase: 'Waiting', waiting: { reason, ...(node === undefined ? {} : { node }) } };
          continue;
        } // prettier-ignore
      }
      this.#say(m);
      if (nodeOfHolder(this.lease.holder) === m.name && m.ready && m.journal === null) await turn.giveBack(never);
    }
  }

  #fate(): Change['fate'] {
    if (this.#chance(0.15)) return 'bad';
    return this.#chance(0.05) ? 'inconclusive' : 'good';
  }

  #say(m: Machine): void {
    const current = m.current === undefined ? {} : { current: m.current };
    const observed = { observedGeneration: m.generation, ...current };
    const time = new Date(this.#now).toISOString();
    m.status =
      m.refused !== undefined && m.refused === m.spec?.desired.revision?.digest
        ? { ...observed, phase: 'Held', lastFailure: { digest: m.refused, reason: 'CrashLoop', message: '', time } }
        : { ...observed, phase: 'Settled', settledTime: time };
  }

  /** From the journal to the end of the change, as any life of the agent goes on. */
  async #follow(m: Machine, process: Process): Promise<void> {
    const change = m.journal;
    if (change === null) return;
    const done = (): void => {
      m.journal = null;
      m.freed = false;
      m.drifted = false;
      m.wasLongDead = false;
    };
    if (!change.renamed) return done();
    m.status = { ...m.status, observedGeneration: m.generation, phase: 'Probing' };
    for (let i = 0; i < 3; i++) await this.#gate(process);
    const fate = this.#calm ? 'good' : change.fate;
    if (fate === 'good') {
      m.current = change.to;
      this.#becomes(m, true);
      return done();
    }
    // Undone without asking: it is its own change, and the Lease is still its own.
    m.status = { ...m.status, phase: 'RollingBack' };
    await this.#gate(process);
    if (fate === 'bad') {
      this.#becomes(m, true);
      if (!this.#calm) m.refused = change.to;
    }
    done();
  }

  #becomes(m: Machine, ready: boolean): void {
    if (m.ready && !ready) m.unreadySince = this.#step;
    m.ready = ready && m.up;
  }

  /** The rename. What nobody may do is looked at here. */
  #beginRestart(m: Machine, change: Change, askedAt: number): void {
    const others = this.machines.filter((x) => x !== m && x.exists);
    const restarting = others.filter((x) => x.journal?.renamed === true && !x.freed);
    if (restarting.length > 0) throw new Error(`${m.name} restarts while ${restarting[0]?.name} does`);
    // What fell over by itself after it was asked is nobody's fault.
    const down = others.filter((x) => !x.ready && x.unreadySince < askedAt);
    if (down.length > 0 && !this.#chaos.allowDegraded)
      throw new Error(`${m.name} restarts while ${down[0]?.name} is not ready`);
    if (down.length === others.length && others.length > 1)
      throw new Error(`${m.name} restarts although no other API server is ready`);
    change.renamed = true;
    this.restarts += 1;
    this.#note(`${m.name} restarts`);
    this.#becomes(m, false);
  }

  // ---- controllers

  #startController(i: number): void {
    const old = this.#controllers[i];
    if (old !== undefined) old.alive = false;
    const process = (this.#controllers[i] = { alive: true });
    void this.#controller(process);
  }

  /** What a controller knows; `caches` lag behind until it is taken anew. */
  #snapshot(): Seen {
    const nodes = this.machines.filter((m) => m.exists).map(({ name, uid }) => ({ metadata: { name, uid, labels: LABELS } }));
    const auditNodes = new Map(
      this.machines.flatMap((m) => {
        const { spec, status } = m;
        const metadata = { name: m.name, uid: `an-${m.uid}`, generation: m.generation };
        return m.exists && spec !== undefined ? [[m.name, { metadata, spec, status }] as const] : [];
      }),
    );
    const rollout = { paused: this.paused, allowDegraded: this.#chaos.allowDegraded };
    const config = { metadata: { name: 'main', namespace: 'ns', uid: CONFIG_UID, creationTimestamp: '2026-01-01T00:00:00Z' }, spec: { target: { type: 'StaticPod' }, rollout } };
    return { nodes, auditNodes, config, lease: this.lease.object, want: this.want };
  } // prettier-ignore

  async #controller(process: Process): Promise<void> {
    let seen = this.#snapshot();
    const store = <T>(values: () => Iterable<T>) => ({ store: { values, get: (): undefined => undefined } });
    const caches = {
      nodes: store(() => seen.nodes),
      configs: store(() => [seen.config]),
      leases: store(() => (seen.lease === undefined ? [] : [seen.lease])),
      auditNodes: {
        store: { get: (name: string) => seen.auditNodes.get(name), values: () => seen.auditNodes.values() },
      },
    } as unknown as Caches;
    const client = this.#client(process);
    const restartLease = createRestartLease({
      governed: { rolloutOf: (config) => (config['spec'] as { rollout?: unknown } | undefined)?.rollout },
      caches,
      client,
      namespace: 'bundles',
      log,
      now: () => this.#now,
    });
    for (;;) {
      // It has less to do than an agent.
      for (let i = 0; i < 5; i++) await this.#gate(process);
      if (!this.#chance(0.4)) seen = this.#snapshot();
      await restartLease(never);
      await this.#gate(process);
      this.#assign(seen);
    }
  }

  #assign(seen: Seen): void {
    const digest = seen.want;
    const facts = seen.nodes.map(({ metadata: { name, uid } }) => {
      const known = seen.auditNodes.get(name);
      const auditNode = known === undefined ? {} : { auditNode: { uid, generation: known.metadata.generation, spec: known.spec, status: known.status } };
      return { name, nodeUid: uid, matches: true, claimant: { key: 'ns/main', uid: CONFIG_UID }, ...auditNode };
    }); // prettier-ignore
    const views = facts.map((f) => ({ ...viewOf(f, CONFIG_UID), isDead: this.#chaos.allowDegraded && this.#isLongDead(f.name) }));
    const name = `audit-${digest.slice(0, 8)}`;
    const want = { type: 'Revision' as const, digest, at: `ConfigMap/bundles/${name}` };
    const rules = { paused: seen.config.spec.rollout.paused, minReadyMs: 0, maxFailures: 9 };
    const next = nextNode(views, want, rules, this.#now);
    if (next.kind !== 'Assign') return;
    const m = this.machines.find((x) => x.name === next.node);
    if (m === undefined || !m.exists || m.spec?.desired.revision?.digest === digest) return;
    m.spec = {
      nodeName: m.name,
      auditConfigRef: { namespace: 'ns', name: 'main', uid: CONFIG_UID },
      desired: { type: 'Revision', revision: { kind: 'ConfigMap', namespace: 'bundles', name, digest } },
      timeoutSeconds: 300,
    };
    m.generation += 1;
  } // prettier-ignore

  #isLongDead(name: string): boolean {
    const m = this.machines.find((x) => x.name === name);
    return m !== undefined && !m.up && this.#now - m.downSince >= 20 * MINUTE;
  }

  // ---- what happens

  /** One of these, with more or less chance each. */
  #happen(): void {
    const m = this.#pick(this.machines);
    if (m === undefined) return;
    const events: readonly (readonly [number, () => void])[] = [
      [0.2, () => m.up && (this.#note(`agent of ${m.name} is killed`), this.#startAgent(m))],
      [0.1, () => this.#startController(this.#random() < 0.5 ? 0 : 1)],
      [0.06, () => m.up && this.#dies(m)],
      // Just when it matters.
      [0.08, () => this.#dies(this.machines.find((x) => x.up && x.journal !== null) ?? m)],
      [0.1, () => !m.up && m.exists && this.#revives(m)],
      [0.03, () => !m.up && (this.#note(`Node ${m.name} is deleted`), (m.exists = false), (m.spec = undefined))],
      [0.05, () => m.journal === null && this.#becomes(m, !m.ready)],
      [0.1, () => void (m.drifted = true)],
      [0.05, () => void (this.lease.away = !this.lease.away)],
      [0.05, () => void (this.paused = !this.paused)],
      [0.1, () => void (this.want = this.#pick(['a', 'b', 'c'])?.repeat(64) ?? this.want)],
      [0.08, () => void (this.#now += this.#random() * 30 * MINUTE)],
    ];
    let x = this.#random();
    for (const [weight, event] of events) if ((x -= weight) < 0) return void event();
  }

  #dies(m: Machine): void {
    if (!m.up) return;
    this.#note(`${m.name} dies`);
    this.#becomes(m, false);
    m.up = false;
    m.agent.alive = false;
    m.downSince = this.#now;
  }

  #revives(m: Machine): void {
    this.#note(`${m.name} is back`);
    m.wasLongDead = this.#isLongDead(m.name);
    m.up = true;
    m.downSince = this.#now;
    if (m.journal?.renamed !== true) this.#becomes(m, true);
    m.freed = m.freed && m.journal !== null;
    this.#startAgent(m);
  }

  /** In the middle of a change the Lease may only be taken from a node that is dead, where that is allowed. */
  #watchHolder(before: string): void {
    const after = this.lease.holder;
    if (before === after || before === '') return;
    const m = this.machines.find((x) => x.name === nodeOfHolder(before));
    if (m?.exists !== true || m.journal === null) return;
    // It may be back since it was looked at.
    if (!this.#chaos.allowDegraded || !(this.#isLongDead(m.name) || m.wasLongDead))
      throw new Error(`the Lease went from ${m.name}, whose change is in flight, to '${after}'`);
    m.freed = true;
  }

  async #oneStep(): Promise<void> {
    this.#step += 1;
    if (this.#chance(0.12)) this.#happen();
    const open = this.#gates.filter((g) => g.process.alive);
    this.#gates.splice(0, this.#gates.length, ...open);
    const i = Math.floor(this.#random() * this.#gates.length);
    const [gate] = this.#gates.splice(i, 1);
    const before = this.lease.holder;
    gate?.open();
    await new Promise(setImmediate);
    this.#watchHolder(before);
  }

  async run(steps: number): Promise<void> {
    for (let i = 0; i < steps; i++) await this.#oneStep();
  }

  /** Nothing bad happens any more, and whoever is gone is known to be: does everybody get there? */
  async calm(steps: number): Promise<void> {
    this.#calm = true;
    this.lease.away = false;
    this.paused = false;
    for (const m of this.machines) {
      if (!m.up && m.exists) this.#revives(m);
      if (m.journal === null && m.exists) this.#becomes(m, true);
      m.refused = undefined;
    }
    for (let i = 0; i < steps && !this.isSettled; i++) await this.#oneStep();
  }

  words(): string {
    const state = JSON.stringify({
      holder: this.lease.holder,
      paused: this.paused,
      want: this.want,
      machines: this.machines,
    });
    return [...this.#history, state].join('\n');
  }

  get isSettled(): boolean {
    const there = this.machines.filter((m) => m.exists);
    return (
      this.lease.holder === '' &&
      there.every(
        (m) => m.ready && m.journal === null && !m.drifted && m.current === this.want && m.status.phase === 'Settled',
      )
    );
  }
}
