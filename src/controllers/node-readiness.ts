/**
 * Since when a Node is ready or not, asked of the API server itself: caches hold only metadata of Nodes, and may lag
 * behind. Called by restart-lease.ts and gather.ts, before anybody is passed over as dead.
 */
import type { KubeClient } from '../kube/client.ts';
import { fail, ok } from '../kube/errors.ts';
import type { Result } from '../kube/errors.ts';
import { isRecord } from '../kube/types.ts';
import type { HolderNode } from '../rollout/restart-plan.ts';
import { NODES } from './resources.ts';

/** Its uid, and since when it is ready or not; undefined where there is no such Node. */
export async function nodeReadiness(
  client: KubeClient,
  name: string,
  signal: AbortSignal,
): Promise<Result<HolderNode | undefined>> {
  const read = await client.get(NODES, { name }, { signal });
  if (!read.ok) return read.error.code === 'NotFound' ? ok(undefined) : read;
  const status = isRecord(read.value['status']) ? read.value['status'] : {};
  const conditions: readonly unknown[] = Array.isArray(status['conditions']) ? status['conditions'] : [];
  const ready = conditions.find((c) => isRecord(c) && c['type'] === 'Ready');
  const { uid = '' } = read.value.metadata;
  // Nobody has said anything of its readiness: that is no proof of its end.
  if (!isRecord(ready)) return ok({ uid, ready: true, since: 0 });
  const since = Date.parse(String(ready['lastTransitionTime']));
  if (Number.isNaN(since)) return fail('BadResponse', `Node ${name} does not say since when it is what it is`);
  return ok({ uid, ready: ready['status'] === 'True', since });
}
