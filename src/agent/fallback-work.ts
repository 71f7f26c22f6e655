/**
 * The worker's part in going back from a webhook that blocks: makes the Batch twin ready, switches to it when its time has
 * come (fallback.ts says when, src/node/fallback.ts how), and says so. Nobody is asked: nobody would answer.
 */
import type { Minor } from '../api/versions.ts';
import type { Outcome } from '../kube/queue.ts';
import { dueFallback, endFallback, fallBack, keptFor } from '../node/fallback.ts';
import type { GuardPod } from '../node/guard-pod.ts';
import type { NodeHost } from '../node/host.ts';
import type { ApplyOutcome } from '../node/outcome.ts';
import type { Place } from '../node/place.ts';
import { readState } from '../node/state-file.ts';
import { DEFAULT_RULES } from '../rollout/node-state.ts';
import type { Logger } from '../telemetry/logger.ts';
import { outcomeOf } from './outcomes.ts';
import { keepOf } from './task.ts';
import type { Task } from './task.ts';
import type { Telling, TellingOptions } from './telling.ts';
import type { RestartTurn } from './turn.ts';

export type FallbackWorkOptions = {
  readonly host: NodeHost;
  readonly spec: Place;
  readonly log: Logger;
  readonly turn: Pick<RestartTurn, 'announce'>;
  readonly guard?: GuardPod;
  readonly note: TellingOptions['note'];
  readonly telling: Telling;
};

export class FallbackWork {
  readonly #o: FallbackWorkOptions;

  constructor(options: FallbackWorkOptions) {
    this.#o = options;
  }

  /** Nothing where no twin lies ready. `version`: of the API server that runs. */
  async go(task: Task | undefined, version: Minor, signal: AbortSignal): Promise<Outcome> {
    const { host, spec, log, turn, guard } = this.#o;
    const due = await dueFallback({ host, spec }, version);
    if (due === undefined) return { kind: 'Done' };
    void turn.announce(signal);
    log.warn({ digest: due.fallback.of }, 'the webhook keeps the API server from serving; it goes on in mode Batch');
    const timeoutMs = task === undefined ? DEFAULT_RULES.timeoutMs : task.spec.timeoutSeconds * 1000;
    const outcome = await fallBack(
      {
        host,
        spec,
        version,
        keep: await this.keep(task),
        ...(guard === undefined ? {} : { guard }),
        rules: { ...DEFAULT_RULES, timeoutMs },
        onState: (next) => log.info({ phase: next.state.phase, digest: due.twin.digest }, 'node state'),
        signal,
      },
      due,
    );
    return this.#ended(task, outcome);
  }

  /** Of a process that was killed after its twin had settled, and before that was written down. */
  async end(task: Task | undefined, signal: AbortSignal): Promise<Outcome | undefined> {
    const { host, spec } = this.#o;
    const outcome = await endFallback({ host, spec, keep: await this.keep(task), signal });
    return outcome === undefined ? undefined : this.#ended(task, outcome);
  }

  async #ended(task: Task | undefined, outcome: ApplyOutcome): Promise<Outcome> {
    const { host, spec, note, log, telling } = this.#o;
    const isBack = outcome.kind === 'RolledBack' && outcome.failure.reason === 'WebhookFallback';
    log.warn({ outcome: outcome.kind, isBack }, 'the fallback to mode Batch has ended');
    if (task !== undefined && outcome.kind !== 'Interrupted')
      await telling.say(task, { file: await readState(host.disk, spec.layout.stateDir), outcome });
    if (task !== undefined && isBack) note(task.object, 'Warning', 'WebhookFallback', outcome.failure.message);
    else if (task !== undefined) telling.tell(task, outcome);
    return outcomeOf(outcome);
  }

  /** Revisions that the controller asks to keep, and those that may be fallen back to. */
  async keep(task: Task | undefined): Promise<readonly string[] | 'All'> {
    const asked = keepOf(task);
    const { host, spec } = this.#o;
    return asked === 'All' ? asked : [...asked, ...(await keptFor(host.disk, spec.layout.stateDir).catch(() => []))];
  }
}
