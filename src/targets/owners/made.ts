/**
 * What owners make of their objects, as far as a rollout is followed by it: where it is, and when somebody last wrote a part
 * of it. Called by the files of apis/.
 */
import { at, isJsonRecord } from '../hosted/workload.ts';
import type { MadeObject, OwnerPlace } from './types.ts';

export const deployment = ({ namespace, name }: OwnerPlace): MadeObject => ({
  group: 'apps',
  version: 'v1',
  plural: 'deployments',
  kind: 'Deployment',
  namespace,
  name,
});

export const configMap = ({ namespace, name }: OwnerPlace): MadeObject => ({
  group: '',
  version: 'v1',
  plural: 'configmaps',
  kind: 'ConfigMap',
  namespace,
  name,
});

/**
 * When the field at a path was last written, as managedFields say; ms since the epoch, in whole seconds. Undefined: they do
 * not say. Statuses are written by others, at other times, and do not count.
 */
export function writtenAt(object: unknown, path: readonly string[]): number | undefined {
  const entries = at(object, 'metadata', 'managedFields');
  const keys = path.map((k) => `f:${k}`);
  const times = (Array.isArray(entries) ? (entries as readonly unknown[]) : [])
    .filter((e) => at(e, 'subresource') === undefined && isJsonRecord(at(e, 'fieldsV1', ...keys)))
    .map((e) => Date.parse(String(at(e, 'time') ?? '')))
    .filter((t) => !Number.isNaN(t));
  return times.length === 0 ? undefined : Math.max(...times);
}
