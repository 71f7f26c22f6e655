/**
 * Layers to effective config, with provenance. The one merge: controller and CLI call it, admission only repeats what
 * CEL can say of it. It knows no target and does no checks; render judges the result.
 *
 * 1. A stronger layer's field replaces a weaker one's; maps merge by key; lists replace.
 * 2. Own rules of all layers count, the strongest layer's first (first match wins). A datacenter's mandatory rules and
 *    its enforced ones stand in front of everything, and nothing that an AuditConfig sets for a whole policy reaches
 *    them, or an enforced preset or reference.
 * 3. References (fields named ...Ref) replace whole: a key of one layer and a name of another is nobody's wish.
 *    configMapRef and secretRef replace each other, and so does a preset the reference of a weaker layer (of one
 *    layer they go together).
 * 4. A datacenter's enforced webhook replaces whole, over the built-in defaults only; enforced shipping does so too.
 * 5. preset '' unsets. No preset, no rules and no reference in any layer: the preset metadata.
 */
import type { LayerSpec } from '../api/auditconfig.ts';
import type { PresetName } from '../api/preset-names.ts';
import { BUILT_IN, BUILT_IN_WEBHOOK, WEBHOOK_KEY } from './defaults.ts';
import type {
  EffectiveConfig,
  EnforcedPolicy,
  FieldPath,
  Layer,
  LayerInput,
  LayerRules,
  Origin,
  PolicyReference,
  ResolvedPolicy,
  ResolvedSpec,
  ResolvedWebhook,
} from './types.ts';

type Tree = { [key: string]: unknown };
const isTree = (v: unknown): v is Tree => typeof v === 'object' && v !== null && !Array.isArray(v);

/** `layers` weakest first, without the built-in one; `mandatory` in the order in which they are to stand. */
export function mergeLayers(layers: readonly LayerInput[], mandatory: readonly LayerRules[] = []): EffectiveConfig {
  const merge = new Merge();
  merge.layer(BUILT_IN_LAYER, BUILT_IN);
  if (layers.some(({ spec }) => spec.webhook !== undefined)) merge.layer(BUILT_IN_LAYER, { webhook: BUILT_IN_WEBHOOK });
  for (const { layer, spec } of layers) {
    const enforcedWebhook = layer.from === 'Datacenter' && layer.part === 'enforced' && spec.webhook !== undefined;
    if (enforcedWebhook) merge.restart('webhook', { ...BUILT_IN_WEBHOOK });
    if (isEnforced(layer) && spec.shipping !== undefined) merge.forget('shipping', 'shipping.type');
    merge.layer(layer, withLowerCaseService(spec));
  }
  const rules = layers
    .map(({ layer, spec }): LayerRules => ({ layer, rules: spec.policy?.rules ?? [] }))
    .filter((r) => r.rules.length > 0)
    .reverse();
  const front = [...mandatory, ...rules.filter((r) => isEnforced(r.layer))];
  const parts = { front, rules: rules.filter((r) => !isEnforced(r.layer)) };
  return { spec: resolve(merge, parts), provenance: merge.provenance() };
}

/** fluent-bit tells no cases apart: `Flush` of one layer replaces `flush` of another. */
function withLowerCaseService(spec: LayerSpec): LayerSpec {
  const { shipping } = spec;
  if (shipping?.fluentBit?.service === undefined) return spec;
  const service = Object.fromEntries(Object.entries(shipping.fluentBit.service).map(([k, v]) => [k.toLowerCase(), v]));
  return { ...spec, shipping: { ...shipping, fluentBit: { ...shipping.fluentBit, service } } };
}

type RuleParts = Pick<ResolvedPolicy, 'front' | 'rules'>;

/** Set by a datacenter whatever an AuditConfig says. */
export const isEnforced = (layer: Layer | undefined): boolean =>
  layer?.from === 'Datacenter' && layer.part !== 'defaults';

const BUILT_IN_LAYER: Layer = { from: 'BuiltIn' };
const EXCLUDES: Readonly<Record<string, string>> = { configMapRef: 'secretRef', secretRef: 'configMapRef' };

/** The tree that grows layer by layer, and who set what in it. */
class Merge {
  readonly tree: Tree = {};
  readonly #origins = new Map<FieldPath, Origin>();

  layer(layer: Layer, spec: object): void {
    this.#into(this.tree, { ...spec }, '', layer);
  }

  /** Forgets what layers so far gave for a first-level field, but remembers that they gave it. */
  restart(field: string, value: Tree): void {
    this.tree[field] = {};
    this.#into(this.tree, { [field]: value }, '', BUILT_IN_LAYER);
  }

  /** Forgets a first-level field altogether; `keeps` remembers that weaker layers had it. */
  forget(field: string, keeps: FieldPath): void {
    this.tree[field] = {};
    for (const path of [...this.#origins.keys()])
      if (path.startsWith(`${field}.`) && path !== keeps) this.#origins.delete(path);
  }

  /** A default that depends on the other fields, set where nothing else counts. */
  default(path: FieldPath): void {
    this.#origin(path, BUILT_IN_LAYER);
  }

  /** Which layer's value counts for a field. */
  setBy(path: FieldPath): Layer | undefined {
    return this.#origins.get(path)?.set;
  }

  provenance(): Readonly<Record<FieldPath, Origin>> {
    return Object.fromEntries([...this.#origins].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #into(target: Tree, source: Tree, path: string, layer: Layer): void {
    for (const [key, value] of Object.entries(source)) {
      if (value === undefined || key === '__proto__') continue;
      const at = path === '' ? key : `${path}.${key}`;
      const excluded = path === 'policy' ? EXCLUDES[key] : undefined;
      if (excluded !== undefined) this.#drop(target, excluded, at, `${path}.${excluded}`);
      if (at === 'policy.preset' && value !== '') this.#dropWeakerReferences(target, layer);
      if (isTree(value) && !key.endsWith('Ref')) {
        const inner = isTree(target[key]) ? target[key] : {};
        target[key] = inner;
        this.#into(inner, value, at, layer);
      } else {
        target[key] = value;
        this.#origin(at, layer);
      }
    }
  }

  #dropWeakerReferences(policy: Tree, layer: Layer): void {
    for (const ref of Object.keys(EXCLUDES)) {
      const origin = this.#origins.get(`policy.${ref}`);
      if (origin !== undefined && origin.set !== layer) this.#drop(policy, ref, 'policy.preset', `policy.${ref}`);
    }
  }

  /** What the excluded field had overrides goes to the field that excludes it. */
  #drop(target: Tree, key: string, to: FieldPath, from: FieldPath): void {
    const origin = this.#origins.get(from);
    delete target[key];
    this.#origins.delete(from);
    const there = this.#origins.get(to);
    const before = there === undefined ? [] : [...there.overrode, there.set];
    if (origin !== undefined) this.#origins.set(to, { ...origin, overrode: [...before, ...origin.overrode] });
  }

  #origin(path: FieldPath, layer: Layer): void {
    const before = this.#origins.get(path);
    this.#origins.set(path, { set: layer, overrode: before === undefined ? [] : [...before.overrode, before.set] });
  }
}

/** Every field of ResolvedSpec is there: the built-in layer is complete, and stronger layers only replace. */
function resolve(merge: Merge, rules: RuleParts): ResolvedSpec {
  const tree = merge.tree as LayerSpec & Omit<ResolvedSpec, 'policy' | 'webhook'>;
  const webhook = tree.webhook as UnkeyedWebhook | undefined;
  return {
    state: tree.state,
    policy: resolvePolicy(merge, tree.policy ?? {}, rules),
    log: tree.log,
    ...(webhook === undefined
      ? {}
      : {
          webhook: {
            ...webhook,
            secretRef: { ...webhook.secretRef, key: webhook.secretRef.key ?? WEBHOOK_KEY },
          },
        }),
    ...(tree.shipping === undefined ? {} : { shipping: tree.shipping }),
    rollout: tree.rollout,
    kubeadmConfig: tree.kubeadmConfig,
  };
}

type UnkeyedWebhook = Omit<ResolvedWebhook, 'secretRef'> & {
  readonly secretRef: { name: string; key?: string; namespace?: string };
};
type MergedPolicy = NonNullable<LayerSpec['policy']>;

function resolvePolicy(merge: Merge, p: MergedPolicy, { front, rules }: RuleParts): ResolvedPolicy {
  const reference = referenceOf(p);
  // Rules in front are added to what there is; they stand for nothing.
  const preset = presetOf(p, reference !== undefined || rules.length > 0);
  if (preset !== undefined && (p.preset ?? '') === '') merge.default('policy.preset');
  return {
    ...(preset === undefined ? {} : { preset }),
    front,
    rules,
    rulesPosition: p.rulesPosition ?? 'Before',
    ...(reference === undefined ? {} : { reference }),
    omitStages: p.omitStages ?? [],
    ...(p.omitManagedFields === undefined ? {} : { omitManagedFields: p.omitManagedFields }),
    sensitiveBodies: p.sensitiveBodies ?? 'Redact',
    enforced: enforcedOf(merge, p),
    ...(p.systemNamespaces === undefined ? {} : { systemNamespaces: p.systemNamespaces }),
  };
}

function enforcedOf(merge: Merge, p: MergedPolicy): EnforcedPolicy {
  const enforced = (field: string): boolean => isEnforced(merge.setBy(`policy.${field}`));
  return {
    preset: enforced('preset'),
    reference: enforced('configMapRef') || enforced('secretRef'),
    omitStages: enforced('omitStages') ? (p.omitStages ?? []) : [],
    ...(p.omitManagedFields !== undefined && enforced('omitManagedFields')
      ? { omitManagedFields: p.omitManagedFields }
      : {}),
    sensitiveBodies: enforced('sensitiveBodies') ? (p.sensitiveBodies ?? 'Redact') : 'Redact',
    ...(p.systemNamespaces !== undefined && enforced('systemNamespaces')
      ? { systemNamespaces: p.systemNamespaces }
      : {}),
  };
}

function presetOf(p: MergedPolicy, somethingElse: boolean): PresetName | undefined {
  if (p.preset !== undefined && p.preset !== '') return p.preset;
  return somethingElse ? undefined : 'metadata';
}

/** Of a datacenter it has a namespace. */
type NamespacedRef = { readonly name: string; readonly key?: string | undefined; readonly namespace?: string };

function referenceOf(p: MergedPolicy): PolicyReference | undefined {
  const kind = p.secretRef === undefined ? 'ConfigMap' : 'Secret';
  const ref: NamespacedRef | undefined = p.secretRef ?? p.configMapRef;
  if (ref === undefined) return undefined;
  const { name, key, namespace } = ref;
  return { kind, ...(namespace === undefined ? {} : { namespace }), name, ...(key === undefined ? {} : { key }) };
}

/** An AuditConfig's spec as the only layer: no datacenter has a say yet. Its target is no setting and does not merge. */
export function effectiveOf(spec: LayerSpec & { readonly target?: unknown }): EffectiveConfig {
  const { target: _target, ...layer } = spec;
  return mergeLayers([{ layer: { from: 'AuditConfig' }, spec: layer }]);
}

/** As status and `render` name it: `Datacenter/eu-1 enforced`. */
export const layerName = (layer: Layer): string =>
  layer.from === 'Datacenter' ? `Datacenter/${layer.name} ${layer.part}` : layer.from;
