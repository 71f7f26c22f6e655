/**
 * What an AuditConfig and the datacenters that select it give together. Datacenters' defaults, the AuditConfig without
 * what is forbidden to it, limits, enforced fields, mandatory rules in front: one pure function for controller and CLI.
 * Nothing of the AuditConfig is lost: what does not count is named in `ignored`, and counts again as soon as nobody
 * forbids it. Which datacenters select it is decided in selection.ts.
 *
 * 1. Of two datacenters the one with the higher priority counts, of equal ones the first by name; `conflicts` names both.
 * 2. Mandatory rules of all of them add up. They keep auditing on, since they could not be recorded otherwise: state is
 *    Enabled, and there is a log where there is no webhook of a datacenter's, unless a datacenter enforces something else.
 * 3. Where a datacenter has more to say than defaults, an AuditConfig's `rollout.paused` does not count.
 */
import type { LayerSpec } from '../api/auditconfig.ts';
import type { DatacenterAuditConfigSpec, DatacenterLayer, Forbiddable } from '../api/datacenterauditconfig.ts';
import { canonicalJson, sha256 } from './canonical.ts';
import { fieldOf, withoutField } from './fields.ts';
import { limiterOfWebhook, limitLayers, shippingPermits, webhookDestinations, withoutDisallowed } from './limits.ts';
import { effectiveOf, isEnforced, mergeLayers } from './merge.ts';
import type {
  Conflict,
  Datacenter,
  DatacenterContent,
  DatacenterEffect,
  DatacenterPart,
  EffectiveConfig,
  FieldPath,
  Ignored,
  Layer,
  LayerInput,
  LayerRules,
  ResolvedSpec,
} from './types.ts';

export const contentOf = (spec: DatacenterAuditConfigSpec): DatacenterContent => {
  const { defaults, enforced, mandatoryRules, limits, forbid, priority } = spec;
  return {
    ...(defaults === undefined ? {} : { defaults }),
    ...(enforced === undefined ? {} : { enforced }),
    ...(mandatoryRules === undefined ? {} : { mandatoryRules }),
    ...(limits === undefined ? {} : { limits }),
    ...(forbid === undefined ? {} : { forbid }),
    ...(priority === undefined ? {} : { priority }),
  };
};

/** 64 hex digits; the same content has the same, whatever the order of its keys. */
export const contentDigest = (content: DatacenterContent): string => sha256(canonicalJson(content));

/** Does it bind an AuditConfig to anything? */
export const binds = ({ enforced, mandatoryRules, limits, forbid }: DatacenterContent): boolean =>
  enforced !== undefined || (mandatoryRules ?? []).length > 0 || limits !== undefined || (forbid ?? []).length > 0;

/** Weakest first: whoever comes later counts. */
export const byStrength = (datacenters: readonly Datacenter[]): readonly Datacenter[] =>
  [...datacenters].sort(
    (a, b) => (a.content.priority ?? 0) - (b.content.priority ?? 0) || (a.name < b.name ? 1 : a.name > b.name ? -1 : 0),
  );

const layerOf = ({ name }: Datacenter, part: DatacenterPart): Layer => ({ from: 'Datacenter', name, part });

/** `own`: an AuditConfig's spec, without its target. `datacenters`: those that select it, in any order. */
export function mergeDatacenters(own: LayerSpec, datacenters: readonly Datacenter[]): DatacenterEffect {
  // Most AuditConfigs have none, and are merged for each decision about them.
  if (datacenters.length === 0) return { ...effectiveOf(own), ignored: [], conflicts: [] };
  const weakestFirst = byStrength(datacenters);
  const strongestFirst = [...weakestFirst].reverse();
  const allowed = withoutForbidden(own, strongestFirst);
  const disallowed = withoutDisallowed(allowed.spec, strongestFirst);
  const free = withoutPause(disallowed.spec, strongestFirst);
  const base: readonly LayerInput[] = [
    ...layersOf(weakestFirst, 'defaults'),
    { layer: { from: 'AuditConfig' }, spec: free.spec },
  ];
  const bounded = [...base, ...limitLayers(mergeLayers(base).spec, weakestFirst)];
  const enforced = layersOf(weakestFirst, 'enforced');
  const mandatory = strongestFirst.flatMap((d): LayerRules[] => {
    const rules = d.content.mandatoryRules ?? [];
    return rules.length === 0 ? [] : [{ layer: layerOf(d, 'mandatoryRules'), rules }];
  });
  const kept = keptOn([...bounded, ...enforced], mandatory[0]?.layer);
  const merged = mergeLayers([...bounded, ...kept, ...enforced], mandatory);
  return {
    ...merged,
    spec: withDestinations(merged, weakestFirst),
    permits: shippingPermits(weakestFirst),
    ignored: [...allowed.ignored, ...disallowed.ignored, ...free.ignored],
    conflicts: conflictsOf(weakestFirst),
  };
}

/** Where a webhook may send to; whoever enforces one says by that where. */
function withDestinations({ spec, provenance }: EffectiveConfig, datacenters: readonly Datacenter[]): ResolvedSpec {
  const allowedDestinations = webhookDestinations(datacenters);
  const { webhook } = spec;
  if (webhook === undefined || allowedDestinations.length === 0 || isEnforced(provenance['webhook.secretRef']?.set))
    return spec;
  return { ...spec, webhook: { ...webhook, allowedDestinations } };
}

/**
 * The same without the AuditConfig's own webhook, which sends to where a datacenter does not let it: the renderer sees
 * that, since it reads the Secret. Undefined where the AuditConfig has none.
 */
export function withoutOwnWebhook(own: LayerSpec, datacenters: readonly Datacenter[]): DatacenterEffect | undefined {
  const by = limiterOfWebhook([...byStrength(datacenters)].reverse());
  if (own.webhook === undefined || by === undefined) return undefined;
  const effect = mergeDatacenters(withoutField(own, 'webhook'), datacenters);
  return { ...effect, ignored: [...effect.ignored, { path: 'webhook', by }] };
}

const layersOf = (datacenters: readonly Datacenter[], part: 'defaults' | 'enforced'): readonly LayerInput[] =>
  datacenters.flatMap((d) => {
    const spec: DatacenterLayer | undefined = d.content[part];
    return spec === undefined ? [] : [{ layer: layerOf(d, part), spec }];
  });

type Narrowed = { readonly spec: LayerSpec; readonly ignored: readonly Ignored[] };

/** The fields that a word of `forbid` stands for. */
export const FORBIDDEN_FIELDS: Readonly<Record<Forbiddable, readonly FieldPath[]>> = {
  Webhook: ['webhook'],
  Shipping: ['shipping'],
  Rules: ['policy.rules', 'policy.rulesPosition'],
  PolicyReference: ['policy.configMapRef', 'policy.secretRef'],
  OmitStages: ['policy.omitStages', 'policy.omitManagedFields'],
};

function withoutForbidden(own: LayerSpec, strongestFirst: readonly Datacenter[]): Narrowed {
  let spec = own;
  const ignored: Ignored[] = [];
  for (const d of strongestFirst)
    for (const path of (d.content.forbid ?? []).flatMap((word) => FORBIDDEN_FIELDS[word])) {
      if (fieldOf(spec, path) === undefined) continue;
      ignored.push({ path, by: layerOf(d, 'forbid') });
      spec = withoutField(spec, path);
    }
  return { spec, ignored };
}

function withoutPause(own: LayerSpec, strongestFirst: readonly Datacenter[]): Narrowed {
  const by = strongestFirst.find((d) => binds(d.content));
  if (by === undefined || own.rollout?.paused !== true) return { spec: own, ignored: [] };
  return {
    spec: withoutField(own, 'rollout.paused'),
    ignored: [{ path: 'rollout.paused', by: layerOf(by, 'enforced') }],
  };
}

/** Mandatory rules that nothing records would be none. Weaker than what a datacenter enforces in so many words. */
function keptOn(layers: readonly LayerInput[], layer: Layer | undefined): readonly LayerInput[] {
  if (layer === undefined) return [];
  const { spec, provenance } = mergeLayers(layers);
  const on: LayerInput[] = [];
  if (spec.state === 'Disabled') on.push({ layer, spec: { state: 'Enabled' } });
  // An owner's webhook may send to where nobody listens.
  const isTheirs = provenance['webhook.secretRef']?.set.from === 'Datacenter';
  if (spec.log.type === 'None' && !isTheirs) on.push({ layer, spec: { log: { type: 'File' } } });
  return on;
}

/** Fields by path; lists, references, the webhook and shipping count as one value each. Own rules add up: they cannot differ. */
function leavesOf(layer: DatacenterLayer): ReadonlyMap<FieldPath, string> {
  const leaves = new Map<FieldPath, string>();
  const walk = (node: object, path: string): void => {
    for (const [key, value] of Object.entries(node) as [string, unknown][]) {
      const at = path === '' ? key : `${path}.${key}`;
      if (value === undefined || at === 'policy.rules') continue;
      const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
      if (isMap && at !== 'webhook' && at !== 'shipping' && !key.endsWith('Ref')) walk(value, at);
      else leaves.set(at, canonicalJson(value));
    }
  };
  walk(layer, '');
  return leaves;
}

/** Each field once for each datacenter that does not get its way. */
export function conflictsOf(datacenters: readonly Datacenter[]): readonly Conflict[] {
  const strongestFirst = [...byStrength(datacenters)].reverse();
  const set = new Map<FieldPath, { readonly name: string; readonly value: string }>();
  const conflicts: Conflict[] = [];
  for (const { name, content } of strongestFirst)
    for (const [path, value] of leavesOf(content.enforced ?? {})) {
      const stronger = set.get(path);
      if (stronger === undefined) set.set(path, { name, value });
      else if (stronger.value !== value) conflicts.push({ path, set: stronger.name, over: name });
    }
  return conflicts;
}
