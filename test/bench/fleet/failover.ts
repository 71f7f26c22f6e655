/**
 * Two controllers, and the one that leads is killed in the middle of a wave, at a moment that chance chose; then it comes
 * back at once under its own name (its container is started again), or only after the other has taken over. Watched all the
 * time by whoever plays the Deployments' controller: how many control planes are on their way at once, in one answer of the
 * API server. Used by `npm run bench:fleet` and by test/controllers/failover.plane.test.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerProcess } from '../../control-plane/process.ts';
import { pathOf } from '../../operator/install.ts';
import type { Fleet } from './fleet.ts';
import { auditConfig, availableStatus, datacenter, workload } from './workload.ts';

const LEASE = '/apis/coordination.k8s.io/v1/namespaces/auditconfig-system/leases/auditconfig-controller';
const IDENTITIES = ['controller-0', 'controller-1'] as const;
/** How long a workload stays unavailable: long enough to be seen. */
const AWAY_MS = 300;

type Live = {
  readonly metadata: { readonly namespace: string; readonly generation: number };
  readonly status?: { readonly observedGeneration?: number };
};

export type Failover = {
  readonly round: number;
  /** After the first workload was patched. */
  readonly killedAfterMs: number;
  readonly back: 'AtOnce' | 'AfterTheOther';
  /** Control planes that were on their way at once. */
  readonly most: number;
  /** Namespaces whose workload was not patched exactly once. */
  readonly notOnce: readonly string[];
  readonly ms: number;
};

/** Plays the controller of all Deployments until the signal aborts, and counts. */
class Player {
  readonly #fleet: Fleet;
  readonly #since = new Map<string, number>();
  most = 0;

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
  }

  async play(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#look();
      await sleep(30);
    }
  }

  async #look(): Promise<void> {
    const { items } = (await this.#fleet.must('GET', '/apis/apps/v1/deployments')) as { items: readonly Live[] };
    const away = items.filter((d) => d.status?.observedGeneration !== d.metadata.generation);
    this.most = Math.max(this.most, away.length);
    const now = Date.now();
    for (const { metadata } of away) {
      const key = `${metadata.namespace} ${metadata.generation}`;
      const since = this.#since.get(key) ?? now;
      this.#since.set(key, since);
      if (now - since < AWAY_MS) continue;
      const path = pathOf({
        ...workload(0),
        metadata: { name: workload(0).metadata.name, namespace: metadata.namespace },
      });
      await this.#fleet.must('PATCH', `${path}/status`, availableStatus(metadata.generation));
    }
  }
}

const generations = async (fleet: Fleet): Promise<ReadonlyMap<string, number>> => {
  const { items } = (await fleet.must('GET', '/apis/apps/v1/deployments')) as { items: readonly Live[] };
  return new Map(items.map((d) => [d.metadata.namespace, d.metadata.generation]));
};

type Config = {
  readonly status?: {
    readonly effective?: { readonly preset?: string };
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
};
async function converged(fleet: Fleet, preset: string): Promise<boolean> {
  for (let i = 0; i < fleet.count; i++) {
    const { status } = (await fleet.must('GET', pathOf(auditConfig(i)))) as Config;
    const rolled = status?.conditions?.find((c) => c.type === 'RolledOut')?.status;
    if (status?.effective?.preset !== preset || rolled !== 'True') return false;
  }
  return true;
}

async function until(what: string, ms: number, holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + ms; Date.now() < end; await sleep(100)) if (await holds()) return;
  throw new Error(`not in time: ${what}`);
}

const PRESETS = ['minimal', 'recommended', 'metadata', 'balanced'] as const;
const PATIENCE_MS = 240_000;

export class Failovers {
  readonly #fleet: Fleet;
  readonly #maxUnavailable: number;
  readonly #random: () => number;
  readonly #processes = new Map<string, ServerProcess>();

  constructor(fleet: Fleet, o: { readonly maxUnavailable: number; readonly random: () => number }) {
    this.#fleet = fleet;
    this.#maxUnavailable = o.maxUnavailable;
    this.#random = o.random;
  }

  #wave(preset: string): Promise<unknown> {
    const all = datacenter(preset);
    const rollout = { maxUnavailable: String(this.#maxUnavailable), maxFailures: 100 };
    return this.#fleet.apply({ ...all, spec: { ...(all['spec'] as object), rollout } });
  }

  #start(identity: string): void {
    this.#processes.set(identity, this.#fleet.startController(identity));
  }

  async #leader(): Promise<string> {
    const lease = (await this.#fleet.must('GET', LEASE)) as { spec?: { holderIdentity?: string } };
    return lease.spec?.holderIdentity ?? '';
  }

  async run(rounds: number, signal: AbortSignal): Promise<readonly Failover[]> {
    const over = new AbortController();
    const player = new Player(this.#fleet);
    const done: Failover[] = [];
    const playing = player.play(over.signal).then(
      () => undefined,
      (e: unknown) => (e instanceof Error ? e : new Error(String(e))),
    );
    let broke: Error | undefined;
    try {
      await this.#wave('basic');
      for (const identity of IDENTITIES) this.#start(identity);
      await until('the first revision everywhere', PATIENCE_MS, () => converged(this.#fleet, 'basic'));
      for (let round = 0; round < rounds && !signal.aborted; round++) done.push(await this.#round(round, player));
    } finally {
      over.abort();
      broke = await playing;
      for (const p of this.#processes.values())
        if (p.pid !== undefined && p.exit === undefined) process.kill(p.pid, 'SIGKILL');
    }
    if (broke !== undefined) throw broke;
    return done;
  }

  async #round(round: number, player: Player): Promise<Failover> {
    const before = await generations(this.#fleet);
    const began = Date.now();
    const preset = PRESETS[round % PRESETS.length] ?? 'minimal';
    player.most = 0;
    await this.#wave(preset);
    const moved = async (): Promise<boolean> =>
      [...(await generations(this.#fleet))].some(([ns, g]) => g !== before.get(ns));
    await until('the wave begins', PATIENCE_MS, moved);
    const killedAfterMs = Math.round(this.#random() * AWAY_MS * 4);
    await sleep(killedAfterMs);
    const leader = await this.#leader();
    const pid = this.#processes.get(leader)?.pid;
    if (pid === undefined) throw new Error(`nobody of ours leads, but '${leader}'`);
    process.kill(pid, 'SIGKILL');
    const back = round % 2 === 0 ? 'AfterTheOther' : 'AtOnce';
    if (back === 'AtOnce') this.#start(leader);
    else await until('the other leads', PATIENCE_MS, async () => (await this.#leader()) !== leader);
    if (back === 'AfterTheOther') this.#start(leader);
    await until(`all have ${preset}`, PATIENCE_MS, () => converged(this.#fleet, preset));
    // Whoever would do it twice does it now.
    await sleep(1_000);
    const after = await generations(this.#fleet);
    const notOnce = [...after].filter(([ns, g]) => g !== (before.get(ns) ?? 0) + 1).map(([ns]) => ns);
    return { round, killedAfterMs, back, most: player.most, notOnce, ms: Date.now() - began };
  }
}
