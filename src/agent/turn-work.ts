/**
 * The worker's part in the one Lease under which API servers restart (turn.ts): asks for it before a change, remembers that it
 * waits, goes on without it where nobody at all can be asked, and gives it back to the others.
 */
import type { Outcome } from '../kube/queue.ts';
import { isDown, isHealthy } from '../node/healthy.ts';
import type { NodeHost } from '../node/host.ts';
import type { Place } from '../node/place.ts';
import { readState } from '../node/state-file.ts';
import type { Revision } from '../render/types.ts';
import type { Turn } from '../rollout/turn.ts';
import type { Logger } from '../telemetry/logger.ts';
import { AWAY_RETRY_MS } from './outcomes.ts';
import type { RestartTurn } from './turn.ts';

export type TurnWorkOptions = {
  readonly host: NodeHost;
  readonly spec: Place;
  readonly turn: RestartTurn;
  readonly log: Logger;
};

/** Between two looks at our own API server, while the Lease is ours. */
const HEALTH_MS = 5_000;
/** An API server that restarts by itself answers sooner. */
const LOST_MS = 10_000;
const LOST: Turn = { granted: true };

export class TurnWork {
  readonly #o: TurnWorkOptions;
  #isWanted = false;
  /** Since when neither the API nor the node's own API server answers, as far as turns were asked for; in ticks. */
  #lostSince: number | undefined;

  constructor(options: TurnWorkOptions) {
    this.#o = options;
  }

  /** The last work was not done because it was not this node's turn, or may just be finding that out. */
  get isWanted(): boolean {
    return this.#isWanted;
  }

  /** Work begins: whether it needs a turn is not known yet. */
  begin(): void {
    this.#isWanted = false;
  }

  /** May `to` be installed now? */
  async take(to: Revision | null, signal: AbortSignal): Promise<Turn> {
    // Before it is asked: what changes from now on is worth another try.
    this.#isWanted = true;
    const asked = await this.#o.turn.take(signal);
    const turn = (await this.#isLost(asked, to, signal)) ? LOST : asked;
    this.#isWanted = !turn.granted;
    return turn;
  }

  /** Nobody else should begin: what goes on now waits for no turn. */
  announce(signal: AbortSignal): void {
    void this.#o.turn.announce(signal);
  }

  /**
   * Called while the Lease is this node's: it is given back as soon as nothing is in flight and the API server is proven
   * healthy. After an inconclusive rollback, too, that is only when it is ready again. `hurried` ends with what it asks.
   */
  async giveBack(hurried: Hurried, signal: AbortSignal): Promise<Outcome> {
    const { host, spec, turn, log } = this.#o;
    const file = await readState(host.disk, spec.layout.stateDir);
    const rests = file !== null && file.journal === null && (await isHealthy(host, spec, signal));
    if (signal.aborted) return { kind: 'Done' };
    if (!rests) return { kind: 'Again', afterMs: HEALTH_MS };
    const given = await hurried((s) => turn.giveBack(s), signal);
    if (given) log.info({}, 'the turn is over: the API server is healthy');
    return given ? { kind: 'Done' } : { kind: 'Retry', afterMs: AWAY_RETRY_MS };
  }

  /**
   * The API is away, and has been for a while, and so is this node's own API server: nobody can be asked, and a restart
   * takes nothing away. On a control plane of one, an edit that stops the API server could be put right by nobody else.
   * Only for what this node ran already.
   */
  async #isLost(turn: Turn, to: Revision | null, signal: AbortSignal): Promise<boolean> {
    const { host, spec, log } = this.#o;
    const state = (await readState(host.disk, spec.layout.stateDir))?.state;
    const ran = to !== null && state?.phase === 'Settled' && state.current === to.digest;
    const away = !turn.granted && turn.reason === 'LeaseUnreadable' && ran && (await isDown(host, spec, signal));
    const now = host.ticks();
    this.#lostSince = away ? (this.#lostSince ?? now) : undefined;
    const lost = this.#lostSince !== undefined && now - this.#lostSince >= LOST_MS;
    if (lost) log.warn({}, 'neither the API nor this node’s own API server answers: it goes on without the Lease');
    return lost;
  }
}

/** Asks the API, and is ended when there is something to do that needs no answer. */
export type Hurried = <T>(ask: (signal: AbortSignal) => Promise<T>, signal: AbortSignal) => Promise<T>;
