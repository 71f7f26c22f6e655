/**
 * Between the worker and the keeper of drift: before the node room is asked for a revision, says whether it may be; a
 * process that may run with another policy is restarted here. Called by worker.ts.
 */
import type { Outcome } from '../kube/queue.ts';
import type { Place } from '../node/place.ts';
import { countAnew } from '../node/probation.ts';
import { restartProcess } from '../node/restart-process.ts';
import type { NodeHost } from '../node/host.ts';
import type { Revision } from '../render/types.ts';
import type { Turn } from '../rollout/turn.ts';
import type { Logger } from '../telemetry/logger.ts';
import { driftMessage } from './drift.ts';
import type { DriftKeeper, Judged } from './drift.ts';

export type Before =
  /** Nothing stands in the way. `again`: even a revision that this node went back from is tried. */
  | { readonly kind: 'Go'; readonly again: boolean }
  /** Nothing is done now: what to say of it, and when to look again. */
  | {
      readonly kind: 'Leave';
      readonly said: { readonly reason?: string; readonly message: string };
      readonly note?: { readonly reason: string; readonly text: string };
      readonly outcome: Outcome;
    }
  /** Go on, and say afterwards what was put right. */
  | { readonly kind: 'Repair'; readonly restart: 'Manifest' | 'Process' | 'No'; readonly diff: string };

export type DriftWorkOptions = {
  readonly host: NodeHost;
  readonly spec: Place;
  readonly keeper: DriftKeeper;
  readonly log: Logger;
};

type How = {
  readonly timeoutMs: number;
  /** The control plane's one Lease: whether the API server may be restarted now. */
  readonly turn: (signal: AbortSignal) => Promise<Turn>;
  readonly signal: AbortSignal;
};

export class DriftWork {
  readonly #o: DriftWorkOptions;
  /** Something was said of drift that is not taken back yet. */
  #said = false;
  /** A stop of which no event has told. */
  #untold = false;

  constructor(options: DriftWorkOptions) {
    this.#o = options;
  }

  /** Is there anything to do, or to take back? */
  async concerns(to: Revision, again: string | undefined, signal: AbortSignal): Promise<boolean> {
    const judged = await this.#o.keeper.judge(to, again, signal);
    this.#untold ||= judged.isNew;
    return judged.step.do !== 'Nothing' || judged.credentials === 'Differ' || this.#said;
  }

  async before(to: Revision | null, again: string | undefined, t: How): Promise<Before> {
    const judged = await this.#o.keeper.judge(to, again, t.signal);
    const { step, diff } = judged;
    switch (step.do) {
      case 'Nothing':
        this.#said = false;
        return { kind: 'Go', again: judged.again };
      case 'Wait':
        return this.#leave(
          judged,
          step.afterMs === undefined ? { kind: 'Done' } : { kind: 'Again', afterMs: step.afterMs },
        );
      case 'Stop':
        return this.#leave(judged, { kind: 'Done' });
      case 'Repair':
        this.#o.log.warn({ diff: diff.slice(0, 20), restart: step.restart }, 'drift is put right');
        if (step.restart === 'Process' && to !== null) return this.#restart(to, judged, t);
        if (step.restart === 'No') await this.#o.keeper.correcting();
        this.#said = false;
        return { kind: 'Repair', restart: step.restart, diff: diff.join('\n') };
    }
  }

  /** A restart of ours is about to begin. */
  correcting(): Promise<void> {
    return this.#o.keeper.correcting();
  }

  /** The node has settled on `to`. */
  after(to: Revision | null, restarted: boolean, signal: AbortSignal): Promise<void> {
    return this.#o.keeper.settled(to, restarted, signal);
  }

  #leave({ step, diff, isNew }: Judged, outcome: Outcome): Before {
    this.#said = true;
    const message = driftMessage(step, diff);
    if (step.do !== 'Stop') return { kind: 'Leave', said: { message }, outcome };
    const text = [message, ...diff].join('\n');
    const isUntold = isNew || this.#untold;
    this.#untold = false;
    const note = isUntold ? { note: { reason: step.why, text } } : {};
    return { kind: 'Leave', said: { reason: step.why, message }, ...note, outcome };
  }

  /** Files and manifest are right; the process may have read others. */
  async #restart(to: Revision, { process }: Judged, t: How): Promise<Before> {
    const { host, spec, keeper } = this.#o;
    if (process === null) return { kind: 'Go', again: false };
    const leave = (said: { reason?: string; message: string }, outcome: Outcome): Before => {
      this.#said = true;
      return { kind: 'Leave', said, outcome };
    };
    const allowed = await t.turn(t.signal);
    if (!allowed.granted)
      return leave({ message: `${RESTART}; ${allowed.message}` }, { kind: 'Retry', afterMs: TURN_MS });
    const done = await restartProcess({ host, spec, process, ...t });
    switch (done) {
      case 'Restarted':
        await countAnew({ host, spec, signal: t.signal });
        await keeper.settled(to, true, t.signal);
        this.#said = false;
        return { kind: 'Repair', restart: 'Process', diff: RESTARTED };
      case 'NotPermitted':
        return leave({ reason: 'RestartNotPermitted', message: `${RESTART}; ${NOT_PERMITTED}` }, { kind: 'Done' });
      case 'NotReady':
        return leave(
          { message: 'the API server was restarted and is not ready yet' },
          { kind: 'Retry', afterMs: TURN_MS },
        );
    }
  }
}

const TURN_MS = 2_000;
const RESTART = 'the API server may have read another policy than the one that is on disk now, and must be restarted';
const NOT_PERMITTED =
  'the agent may not end a process of another user; restart it, or give the agent the capability KILL';
const RESTARTED = 'the API server was restarted: it may have read another policy than the one that is on disk now';
