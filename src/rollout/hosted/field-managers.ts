/** Who wrote a workload's template last, besides us: from managedFields, which the API server keeps for every object. */
import { at } from '../../targets/hosted/workload.ts';

export const FIELD_MANAGER = 'auditconfig-controller';

/** A name for people; managedFields that are not there name nobody. */
export function managerOf(object: unknown): string {
  const fields = at(object, 'metadata', 'managedFields');
  const all: readonly unknown[] = Array.isArray(fields) ? fields : [];
  const writers = all
    .filter((f) => at(f, 'manager') !== FIELD_MANAGER && at(f, 'subresource') === undefined)
    .filter((f) => at(f, 'fieldsV1', 'f:spec') !== undefined)
    .map((f) => ({ name: String(at(f, 'manager') ?? ''), time: String(at(f, 'time') ?? '') }))
    .sort((a, b) => (a.time < b.time ? 1 : -1));
  return writers[0]?.name || 'somebody';
}
