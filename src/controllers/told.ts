/**
 * What this controller told AuditNodes a moment ago, until the watch brings it back. Without it, a decision made from a
 * cache that lags could start a second node while the first is only just told. Called by reconcile.ts and gather.ts.
 */
import type { KubeObject } from '../kube/types.ts';

/** By then the watch has it, or the object is gone again. */
const KEEP_MS = 30_000;

export class Told {
  readonly #objects = new Map<string, { readonly object: KubeObject; readonly at: number }>();
  readonly #now: () => number;

  /** `now`: milliseconds of a clock that only differences are taken of. */
  constructor(now: () => number) {
    this.#now = now;
  }

  remember(object: KubeObject): void {
    this.#objects.set(object.metadata.name, { object, at: this.#now() });
  }

  names(): readonly string[] {
    return [...this.#objects.keys()];
  }

  /** Called when an AuditNode is known to be gone. */
  forget(name: string): void {
    this.#objects.delete(name);
  }

  /** The cached object, or what was told where the cache has not heard of it. */
  newest(name: string, cached: KubeObject | undefined): KubeObject | undefined {
    const told = this.#objects.get(name);
    if (told === undefined) return cached;
    const old = this.#now() - told.at > KEEP_MS;
    const seen =
      cached !== undefined &&
      (cached.metadata.uid !== told.object.metadata.uid ||
        (cached.metadata.generation ?? 0) >= (told.object.metadata.generation ?? 0));
    if (!old && !seen) return told.object;
    this.#objects.delete(name);
    return cached;
  }
}
