/**
 * Which news is nothing but our own writing coming back: a third of all decisions about thousands of control planes were about
 * that. Only of a rollout that has just begun (isFollowed): whatever that does is told by whoever carries it out. Versions are
 * compared and nothing else, so that what somebody else wrote in between, which has a version of its own, is looked at.
 * Called by queues.ts, which hears, and reconcile.ts, which writes.
 */
import type { ObjectKey } from '../../kube/types.ts';

export class Echoes {
  /** Of what is worked on now: what was told meanwhile. News is often faster than the answer to the request that caused it. */
  readonly #working = new Map<ObjectKey, Set<string>>();
  /** Ours, which nobody has told yet. */
  readonly #own = new Map<ObjectKey, Set<string>>();

  begin(key: ObjectKey): void {
    this.#working.set(key, new Set());
  }

  /** `own`: versions that the work made and that need no other look. True: something else was told meanwhile. */
  end(key: ObjectKey, own: readonly string[]): boolean {
    const told = this.#working.get(key) ?? new Set();
    this.#working.delete(key);
    if (own.length > 0) this.#own.set(key, new Set(own.filter((version) => !told.delete(version))));
    return told.size > 0;
  }

  /** Is this version of an AuditConfig, or of its workload, to be looked at? What is told while it is worked on waits for `end`. */
  concerns(key: ObjectKey, version: string): boolean {
    if (this.#own.get(key)?.delete(version) === true) return false;
    const told = this.#working.get(key);
    told?.add(version);
    return told === undefined;
  }

  forget(key: ObjectKey): void {
    this.#own.delete(key);
  }
}
