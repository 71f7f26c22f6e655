/** Fields of a spec by their path, such as `log.retention.maxAgeDays`. Called by the merge of datacenters. */
import type { LayerSpec } from '../api/auditconfig.ts';
import type { FieldPath } from './types.ts';

export const fieldOf = (spec: unknown, path: FieldPath): unknown =>
  path
    .split('.')
    .reduce<unknown>(
      (o, k) => (typeof o === 'object' && o !== null ? (o as Record<string, unknown>)[k] : undefined),
      spec,
    );

/** A copy; what is not on the path is shared. */
export function withoutField(spec: LayerSpec, path: FieldPath): LayerSpec {
  const remove = (node: Readonly<Record<string, unknown>>, [key = '', ...rest]: readonly string[]): object => {
    const { [key]: inner, ...others } = node;
    if (rest.length === 0 || typeof inner !== 'object' || inner === null) return others;
    return { ...others, [key]: remove(inner as Readonly<Record<string, unknown>>, rest) };
  };
  return remove(spec, path.split('.')) as LayerSpec;
}
