/**
 * The worker's part in the watch over what was committed a while ago (src/node/probation.ts): one look, and what is said where
 * it did not hold. Called by worker.ts.
 */
import type { Outcome } from '../kube/queue.ts';
import type { GuardPod } from '../node/guard-pod.ts';
import type { NodeHost } from '../node/host.ts';
import type { Place } from '../node/place.ts';
import { ProbationWatch } from '../node/probation.ts';
import { readState } from '../node/state-file.ts';
import type { StateFile } from '../node/state-file.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { FallbackWork } from './fallback-work.ts';
import { outcomeOf } from './outcomes.ts';
import type { Task } from './task.ts';
import type { Telling } from './telling.ts';
import type { TurnWork } from './turn-work.ts';

export type ProbationWorkOptions = {
  readonly host: NodeHost;
  readonly spec: Place;
  readonly log: Logger;
  readonly guard?: GuardPod;
  /** What is asked of this node, as of now. */
  readonly task: () => Task | undefined;
  readonly telling: Telling;
  readonly turns: Pick<TurnWork, 'announce'>;
  readonly fallback: Pick<FallbackWork, 'keep'>;
  /** Has this node worked on again, after so many ms. */
  readonly again: (afterMs: number) => void;
};

/** Between two looks at what is on probation. */
const PROBATION_MS = 5_000;
const AGAIN_MS = 1_000;

export class ProbationWork {
  readonly #o: ProbationWorkOptions;
  readonly #watch = new ProbationWatch();

  constructor(options: ProbationWorkOptions) {
    this.#o = options;
  }

  /** Back to the last known good where it does not hold. */
  async look(signal: AbortSignal): Promise<Outcome> {
    const { host, spec, log, task: asked, telling, turns, fallback, again, guard } = this.#o;
    // Undoing waits for nobody; but nobody else should begin meanwhile.
    const onState = (next: StateFile): void => {
      if (next.state.phase === 'RollingBack') turns.announce(signal);
    };
    const keep = await fallback.keep(asked());
    const withGuard = guard === undefined ? {} : { guard };
    const looked = await this.#watch.look({ host, spec, keep, signal, onState, ...withGuard });
    switch (looked.kind) {
      case 'Watching':
        return { kind: 'Again', afterMs: PROBATION_MS };
      case 'None':
      case 'Interrupted':
        return { kind: 'Done' };
      case 'Passed':
        log.info({}, 'the probation is over');
        return { kind: 'Done' };
      case 'OnHold':
      case 'NotItsTurn':
      case 'Overtaken':
      case 'StateUnreadable':
      case 'DiskFailed':
        // A rollback may be in flight; what is asked of this node is looked at after it, and so is the probation.
        log.warn({ outcome: looked.kind }, 'the watch over the probation was stopped');
        again(AGAIN_MS);
        return { kind: 'Done' };
      case 'Settled':
      case 'Refused':
      case 'RolledBack':
      case 'Held': {
        log.warn({ outcome: looked.kind }, 'the API server did not hold on its probation');
        const task = asked();
        if (task === undefined) return { kind: 'Done' };
        await telling.say(task, { file: await readState(host.disk, spec.layout.stateDir), outcome: looked });
        telling.tell(task, looked);
        // Of what nobody is blamed for, there is another try.
        const next = outcomeOf(looked);
        if (next.kind === 'Retry') again(next.afterMs ?? AGAIN_MS);
        return { kind: 'Done' };
      }
    }
  }
}
