/**
 * Writes status, and writes nothing when nothing changed. The reconciler's own writes wake it again before its cache
 * has them: a controller without memory writes up to half of its statuses twice. One writer owns the whole status: it is
 * set by a JSON patch that first tests the uid, since the status subresource of a custom resource takes a server-side
 * apply for an object that was deleted and made anew (its uid is ignored, seen on 1.35 and 1.36). Called by controllers
 * and agent. Somebody else's writing in it is replaced: at once the first time, then ever rarer, since whoever does it
 * all the time would have us write all the time.
 */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { KubeMetrics } from '../telemetry/kube-metrics.ts';
import type { KubeClient } from './client.ts';
import { fail, isFailedTest, ok } from './errors.ts';
import type { KubeError, Result } from './errors.ts';
import { isOlder } from './types.ts';
import type { KubeObject, Resource } from './types.ts';
import { systemClock } from './wait.ts';
import type { Clock } from './wait.ts';

export type StatusWriterOptions = {
  readonly client: KubeClient;
  readonly resource: Resource;
  readonly fieldManager: string;
  readonly metrics: KubeMetrics;
  readonly clock?: Clock;
};

/** The object that a status is about, as far as it was read: enough of a projection of it. */
export type StatusTarget = {
  readonly metadata: Pick<KubeObject['metadata'], 'name' | 'namespace' | 'uid' | 'resourceVersion'>;
  readonly status?: unknown;
};

export interface StatusWriter {
  /**
   * True if it was written. `undefined` fields of `next` count as absent. Conflict: the object was deleted and made
   * anew; NotFound: it is gone; neither needs a retry by itself, a change of the cache is on its way. A Conflict with
   * `retryAfterMs`: somebody else writes this status again and again, and it is not yet time to replace that.
   */
  apply(target: StatusTarget, next: object, signal: AbortSignal): Promise<Result<boolean>>;
  /** What was written and the cache does not have yet; undefined: what the cache has is the newest. */
  newer(target: StatusTarget): unknown;
  /** Which version our last writing made; undefined where nothing was written, or the cache was seen to have it. */
  made(uid: string): string | undefined;
  /** To be called when the object is gone. */
  forget(uid: string): void;
}

/**
 * What we wrote while the cache showed `over`, and which version that made. Until the cache has that one, `status` is what
 * is really there: also when it goes on to a version in between, such as that of our own finalizer.
 */
type Written = { readonly over: string | undefined; readonly made: string | undefined; readonly status: unknown };

/** What was written last, and how often somebody else's writing has been replaced by just that. */
type Restored = { readonly hash: string; readonly times: number; readonly at: number };
const MAX_PATIENCE_MS = 60_000;
/** ms before the same is written again: none, a second, two, four. */
const patience = (times: number): number => (times === 0 ? 0 : Math.min(MAX_PATIENCE_MS, 500 * 2 ** times));
/** But for when conditions changed: who takes them out has that told anew with each writing. */
const hashOf = (status: unknown): string => {
  const text = JSON.stringify(status, (key, value: unknown) => (key === 'lastTransitionTime' ? undefined : value));
  return createHash('sha256').update(text).digest('base64').slice(0, 16);
};

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? {})) as unknown;

const explained = (error: KubeError): KubeError =>
  isFailedTest(error) ? { ...error, code: 'Conflict', message: 'the object is not the one that was read' } : error;

export function createStatusWriter(options: StatusWriterOptions): StatusWriter {
  const { client, resource, fieldManager, metrics, clock = systemClock } = options;
  const written = new Map<string, Written>();
  const restored = new Map<string, Restored>();

  const newer = ({ metadata: { uid = '', resourceVersion } }: StatusTarget): unknown => {
    const memory = written.get(uid);
    if (memory === undefined) return undefined;
    if (memory.over === resourceVersion || isOlder(resourceVersion, memory.made)) return memory.status;
    // The cache has it, or what somebody wrote over it.
    written.delete(uid);
    return undefined;
  };
  return {
    apply: async (target, next, signal) => {
      const { name, namespace, uid, resourceVersion } = target.metadata;
      const status = plain(next);
      if (isDeepStrictEqual(newer(target) ?? plain(target.status), status)) {
        metrics.statusWrite('unchanged');
        return ok(false);
      }
      const hash = hashOf(status);
      const before = restored.get(uid ?? '');
      const isAgain = before?.hash === hash;
      const waitMs = isAgain ? before.at + patience(before.times) - clock.monotonicMs() : 0;
      if (waitMs > 0)
        return fail('Conflict', 'somebody else writes this status, again and again', { retryAfterMs: waitMs });
      const same = uid === undefined ? [] : [{ op: 'test' as const, path: '/metadata/uid', value: uid }];
      const ref = namespace === undefined ? { name } : { namespace, name };
      const patch = [...same, { op: 'add' as const, path: '/status', value: status }];
      const result = await client.jsonPatch(resource, ref, patch, { signal, fieldManager, subresource: 'status' });
      metrics.statusWrite(result.ok ? 'written' : 'failed');
      if (!result.ok) return { ok: false, error: explained(result.error) };
      const made = result.value.metadata.resourceVersion;
      if (uid !== undefined) {
        written.set(uid, { over: resourceVersion, made, status });
        restored.set(uid, { hash, times: isAgain ? before.times + 1 : 0, at: clock.monotonicMs() });
      }
      return ok(true);
    },
    newer,
    made: (uid) => written.get(uid)?.made,
    forget: (uid) => {
      written.delete(uid);
      restored.delete(uid);
    },
  };
}
