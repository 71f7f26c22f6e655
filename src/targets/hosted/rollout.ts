/**
 * How far Kubernetes is with a Deployment or StatefulSet, from its own status: what `kubectl rollout status` goes by, as
 * data. Nothing is believed that its controller said about an older template.
 */
import { at } from './workload.ts';
import type { WorkloadKind } from './workload.ts';
import type { RolloutState } from '../owners/types.ts';

const numberAt = (object: unknown, ...keys: readonly string[]): number => {
  const value = at(object, ...keys);
  return typeof value === 'number' ? value : 0;
};

function deadline(object: unknown): string | undefined {
  const conditions = at(object, 'status', 'conditions');
  const list: readonly unknown[] = Array.isArray(conditions) ? conditions : [];
  const over = list.find((c) => at(c, 'type') === 'Progressing' && at(c, 'reason') === 'ProgressDeadlineExceeded');
  return over === undefined ? undefined : String(at(over, 'message') ?? 'its progress deadline has passed');
}

export function rolloutOf(object: unknown, kind: WorkloadKind): RolloutState {
  const generation = numberAt(object, 'metadata', 'generation');
  const replicas = at(object, 'spec', 'replicas') === undefined ? 1 : numberAt(object, 'spec', 'replicas');
  if (kind === 'Deployment' && at(object, 'spec', 'paused') === true) return { state: 'Paused' };
  if (numberAt(object, 'status', 'observedGeneration') < generation)
    return { state: 'Progressing', message: 'its controller has not seen the change yet', isUnseen: true };
  const late = kind === 'Deployment' ? deadline(object) : undefined;
  if (late !== undefined) return { state: 'Failed', message: late };
  const updated = numberAt(object, 'status', 'updatedReplicas');
  const all = numberAt(object, 'status', 'replicas');
  const available = numberAt(object, 'status', 'availableReplicas');
  // A StatefulSet that has updated all pods makes the update revision the current one, and drops updatedReplicas of old ones.
  const said = `${updated} of ${replicas} pods have it, ${available} of ${all} are available`;
  return updated >= replicas && all <= updated && available >= replicas
    ? { state: 'Complete' }
    : { state: 'Progressing', message: said };
}
