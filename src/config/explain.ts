/**
 * Which resource set each field of an effective config, what it overrode, and what does not count: as data for
 * `explain-config`. Values of shipping are left out: its env and outputs may hold what nobody is to read.
 */
import type { LayerSpec } from '../api/auditconfig.ts';
import { mergeDatacenters } from './datacenter.ts';
import { fieldOf } from './fields.ts';
import { layerName } from './merge.ts';
import type { Conflict, Datacenter, FieldPath, Layer } from './types.ts';

export type ExplainedField = {
  readonly path: FieldPath;
  readonly value: unknown;
  readonly setBy: string;
  /** Strongest first; of the built-in default no value. */
  readonly overrode: readonly { readonly by: string; readonly value?: unknown }[];
};
export type Explanation = {
  readonly fields: readonly ExplainedField[];
  /** Own rules in the order in which they stand in the policy, `front` of everything else or not. */
  readonly rules: readonly { readonly by: string; readonly count: number; readonly front: boolean }[];
  readonly ignored: readonly { readonly path: FieldPath; readonly value: unknown; readonly by: string }[];
  readonly conflicts: readonly Conflict[];
};

/** `own`: an AuditConfig's spec without its target. */
export function explainConfig(own: LayerSpec, datacenters: readonly Datacenter[]): Explanation {
  const { spec, provenance, ignored, conflicts } = mergeDatacenters(own, datacenters);
  const saidBy = (layer: Layer, path: FieldPath): unknown => {
    if (layer.from !== 'Datacenter') return layer.from === 'AuditConfig' ? shown(own, path) : undefined;
    if (layer.part !== 'defaults' && layer.part !== 'enforced') return undefined;
    return shown(datacenters.find((d) => d.name === layer.name)?.content[layer.part], path);
  };
  const fields = Object.entries(provenance).map(([path, { set, overrode }]): ExplainedField => ({
    path,
    // A reference is called policy.reference once it is resolved.
    value: fieldOf(spec, path) === undefined ? saidBy(set, path) : shown(spec, path),
    setBy: layerName(set),
    overrode: [...overrode].reverse().map((layer) => {
      const value = saidBy(layer, path);
      return { by: layerName(layer), ...(value === undefined ? {} : { value }) };
    }),
  }));
  const { front, rules } = spec.policy;
  return {
    // Their rules are told one by one below: the last layer's would look like all.
    fields: fields.filter((f) => f.path !== 'policy.rules'),
    rules: [
      ...front.map((r) => ({ by: layerName(r.layer), count: r.rules.length, front: true })),
      ...rules.map((r) => ({ by: layerName(r.layer), count: r.rules.length, front: false })),
    ],
    ignored: ignored.map(({ path, by }) => ({ path, value: shown(own, path), by: layerName(by) })),
    conflicts,
  };
}

const shown = (spec: unknown, path: FieldPath): unknown =>
  path.startsWith('shipping') ? '[not shown]' : fieldOf(spec, path);
