/**
 * Looks at something again and again, and at once when it is woken: the rhythm of proof (proof.ts) and of delivery
 * (delivery.ts). What a look throws is told and waits for the next one: looking must not stop an agent.
 */
import { delay, scope } from '../kube/wait.ts';

export class Looks {
  #woken = false;
  #endPause: (() => void) | undefined;

  /** Looks now instead of at the next turn; once more where it is looking, since that look began before. */
  wake(): void {
    this.#woken = true;
    this.#endPause?.();
  }

  /** Until the signal aborts; `everyMs` between the end of a look and the next one. Never throws, unless `failed` does. */
  async run(
    everyMs: number,
    look: (signal: AbortSignal) => Promise<void>,
    failed: (error: unknown) => void,
    signal: AbortSignal,
  ): Promise<void> {
    while (!signal.aborted) {
      this.#woken = false;
      try {
        await look(signal);
      } catch (error) {
        failed(error);
      }
      if (this.#woken) continue;
      const pause = scope([signal], everyMs);
      this.#endPause = () => pause.abort('wake');
      await delay(everyMs, pause.signal);
      pause.dispose();
    }
  }
}
