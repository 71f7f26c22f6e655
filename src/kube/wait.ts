/**
 * Waiting that can always be cancelled, and the arithmetic of waiting longer. Every wait of this room goes through
 * here, so that a signal ends it and leaves no timer and no listener behind.
 */

import { setMaxListeners } from 'node:events';

/** Where time comes from. `monotonicMs` never jumps with the wall clock; `wallMs` is milliseconds since 1970. */
export type Clock = { readonly monotonicMs: () => number; readonly wallMs: () => number };
export const systemClock: Clock = { monotonicMs: () => performance.now(), wallMs: () => Date.now() };

/** Uniform in [0, 1). Handed in so that tests are deterministic. */
export type Random = () => number;

/** Hundreds may wait for one signal at a time; each unhooks itself, so Node's warning at eleven says nothing here. */
function listen(signal: AbortSignal, run: (event: Event) => void): () => void {
  setMaxListeners(0, signal);
  signal.addEventListener('abort', run);
  return () => signal.removeEventListener('abort', run);
}

/** Resolves after `ms`, or at once when the signal is or gets aborted. Never rejects: look at the signal. */
export function delay(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      unhook();
      resolve();
    };
    // Rounded up: a wait for a fraction of a millisecond must not end before its time.
    const timer = setTimeout(done, Math.ceil(ms));
    const unhook = listen(signal, done);
  });
}

export type Scope = { readonly signal: AbortSignal; abort(reason: string): void; dispose(): void };

/**
 * A signal that aborts with any of its parents, after `timeoutMs`, or by `abort`. `dispose` unhooks it from the
 * parents: AbortSignal.any and AbortSignal.timeout keep derived signals alive as long as a long-lived parent (Node 20),
 * and a process that runs for months makes one for each request.
 */
export function scope(parents: readonly AbortSignal[], timeoutMs?: number): Scope {
  const controller = new AbortController();
  const unhooks: (() => void)[] = [];
  let timer: NodeJS.Timeout | undefined;
  const onParent = (event: Event): void => {
    controller.abort(event.target instanceof AbortSignal ? event.target.reason : undefined);
    dispose();
  };
  const dispose = (): void => {
    clearTimeout(timer);
    for (const unhook of unhooks.splice(0)) unhook();
  };
  const aborted = parents.find((p) => p.aborted);
  if (aborted !== undefined) {
    controller.abort(aborted.reason);
    return { signal: controller.signal, abort: () => undefined, dispose };
  }
  for (const p of parents) unhooks.push(listen(p, onParent));
  const abort = (reason: string): void => {
    controller.abort(reason);
    dispose();
  };
  if (timeoutMs !== undefined) timer = setTimeout(() => abort('Timeout'), timeoutMs);
  return { signal: controller.signal, abort, dispose };
}

/** Runs callbacks for `signal.aborted` now or later; the returned function unhooks. */
export function onAbort(signal: AbortSignal, run: () => void): () => void {
  if (signal.aborted) {
    run();
    return () => undefined;
  }
  const unhook = listen(signal, () => {
    unhook();
    run();
  });
  return unhook;
}

export type BackoffOptions = { readonly firstMs: number; readonly maxMs: number; readonly factor?: number };

/** The wait before try number `attempt` (0 is the first wait): exponential, full value less up to a fifth of jitter. */
export function backoffMs(attempt: number, options: BackoffOptions, random: Random): number {
  const raw = Math.min(options.maxMs, options.firstMs * (options.factor ?? 2) ** Math.min(attempt, 60));
  return raw * (1 - random() / 5);
}

export class Backoff {
  readonly #options: BackoffOptions;
  readonly #random: Random;
  #attempt = 0;

  constructor(options: BackoffOptions, random: Random = Math.random) {
    this.#options = options;
    this.#random = random;
  }
  get attempts(): number {
    return this.#attempt;
  }
  /** `most` caps it for now; what was capped lengthens no later wait. */
  nextMs(most = Infinity): number {
    const ms = backoffMs(this.#attempt, this.#options, this.#random);
    if (ms <= most) this.#attempt++;
    return Math.min(ms, most);
  }
  reset(): void {
    this.#attempt = 0;
  }
}
