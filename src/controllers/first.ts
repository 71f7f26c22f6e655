/**
 * Which AuditConfigs a new leader looks at first. It looks at all of them, since it knows of none what became of it; with
 * thousands of control planes that takes many seconds, for which nobody's change may wait. Called when a term begins.
 */
import { isRecord } from '../kube/types.ts';
import type { KubeObject } from '../kube/types.ts';

/** Its status says that nothing is left to do: it is looked at to be sure. Cheap, since it is asked of all at once. */
export function isAtRest({ metadata, ...object }: KubeObject): boolean {
  const status = isRecord(object['status']) ? object['status'] : {};
  if (metadata.deletionTimestamp !== undefined || status['observedGeneration'] !== metadata.generation) return false;
  const conditions: readonly unknown[] = Array.isArray(status['conditions']) ? status['conditions'] : [];
  return conditions.some((c) => isRecord(c) && c['type'] === 'RolledOut' && c['status'] === 'True');
}
