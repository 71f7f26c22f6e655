/**
 * The agent's one queue of work, and the one that works on it, so that the watch over a probation, a drift, a fallback and a
 * change never meet: what happens becomes a key here, and nothing else touches the node. Called by agent.ts.
 */
import type { EventRecorder } from '../kube/events.ts';
import { createWorkQueue } from '../kube/queue.ts';
import type { Outcome, WorkQueue } from '../kube/queue.ts';
import { claimName, waitForClaim } from '../node/claim.ts';
import { mismatch } from '../node/place.ts';
import type { Desk } from './desk.ts';
import { DriftKeeper } from './drift.ts';
import { DriftWork } from './drift-work.ts';
import { FallbackWatch } from './fallback.ts';
import { ownServer } from './own-server.ts';
import { askGitVersion, askReady } from './peers.ts';
import type { Reporter } from './reporter.ts';
import { serveWith } from './serving.ts';
import { createRestartTurn } from './turn.ts';
import type { RestartTurn } from './turn.ts';
import { Worker } from './worker.ts';

/** In the queue, beside the node's name, which has no slash. */
const PROBATION = 'watch/probation';
const TURN = 'watch/turn';
const DRIFT = 'watch/drift';
const FALLBACK = 'watch/fallback';

const turnOf = ({ o, kube, own, host, spec, peers, log }: Desk): RestartTurn =>
  createRestartTurn({
    client: kube.client,
    namespace: o.bundlesNamespace,
    node: o.nodeName,
    nodeUid: () => own.nodeUid(),
    ownPort: async () => (await ownServer(host, spec))?.address.port,
    askPeer: (address, s) => askReady(peers, address, s),
    log,
    now: host.now,
  });

export class NodeWork {
  readonly #desk: Desk;
  readonly #reporter: Reporter;
  readonly #queue: WorkQueue<string>;
  readonly #keeper: DriftKeeper;
  readonly #fallback: FallbackWatch;
  readonly #worker: Worker;

  constructor(desk: Desk, reporter: Reporter, events: EventRecorder) {
    const { o, kube, own, host, spec, peers, metrics, log } = desk;
    this.#desk = desk;
    this.#reporter = reporter;
    this.#queue = createWorkQueue({ name: 'auditnode', log, metrics });
    const rules = { quietMs: o.quietMs };
    this.#keeper = new DriftKeeper({ host, spec, root: o.root, rules, log, onChange: () => this.#queue.add(DRIFT) });
    const heard = this.#keeper.listening();
    this.#worker = new Worker({
      host: heard,
      spec,
      client: kube.client,
      read: () => own.read(),
      reporter,
      turn: turnOf(desk),
      askVersion: (address, s) => askGitVersion(peers, address, s),
      log,
      agentVersion: o.version,
      drift: new DriftWork({ host: heard, spec, keeper: this.#keeper, log }),
      mismatch: (target) => mismatch(target, spec),
      ...(o.guard === undefined ? {} : { guard: o.guard }),
      again: (afterMs) => this.#queue.addAfter(o.nodeName, afterMs),
      note: (regarding, type, reason, note) => events.record({ regarding, type, reason, action: 'Install', note }),
    });
    this.#fallback = new FallbackWatch({
      host,
      spec,
      ask: serveWith(peers),
      node: o.nodeName,
      bundles: () => own.asked()?.namespace,
      version: () => own.version(),
      due: () => {
        // The one worker may be asking an API that does not answer.
        this.#worker.hurry();
        this.#queue.add(FALLBACK);
      },
      log,
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#keeper.run(signal), this.#fallback.run(signal), this.#work(signal)]);
  }

  async #work(signal: AbortSignal): Promise<void> {
    const { host, spec, log } = this.#desk;
    // A guard that is rolling back ends that first; while this process lives, no guard acts.
    const release = await waitForClaim(host, spec.layout.stateDir, {
      role: 'agent',
      pollMs: 250,
      onObstacle: (what) =>
        log.info({ waitsFor: what instanceof Error ? what.message : claimName(what) }, 'not yet at work'),
      signal,
    });
    if (release === null) return;
    this.#listen();
    await this.#queue.work({ workers: 1, reconcile: (key, s) => this.#reconcile(key, s), graceMs: 2_000 }, signal);
    await release().catch((e: unknown) => log.warn({ error: String(e) }, 'the claim stays; it dies with this process'));
  }

  #listen(): void {
    const { own } = this.#desk;
    own.onChange({ work: () => this.#queue.add(own.name), same: () => this.#reporter.remind() });
    const lookAtLease = (): void => {
      if (own.hasTurn()) this.#queue.add(TURN);
      if (this.#worker.wantsTurn) this.#queue.add(own.name);
    };
    own.onTurn(lookAtLease);
    // While a guard was waited for, the Lease that a former life took may have come already, and changes no more.
    lookAtLease();
    // What was in flight when a former process ended comes first, and needs no API.
    this.#queue.add(own.name);
  }

  async #reconcile(key: string, signal: AbortSignal): Promise<Outcome> {
    if (key === TURN) return this.#worker.giveBackTurn(signal);
    if (key === DRIFT) return this.#worker.watchDrift(signal);
    if (key === FALLBACK) return this.#worker.fallBack(signal);
    if (key === PROBATION) return this.#worker.watchProbation(signal);
    const outcome = await this.#worker.work(signal);
    this.#queue.add(PROBATION);
    return outcome;
  }
}
