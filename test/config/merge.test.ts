/** The merge of layers: which one counts, what concatenates, what replaces whole, and the truth of provenance. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LayerSpec } from '../../src/api/auditconfig.ts';
import { canonicalJson } from '../../src/config/canonical.ts';
import { effectiveOf, layerName, mergeLayers } from '../../src/config/merge.ts';
import type { Layer, LayerInput } from '../../src/config/types.ts';

const DEFAULTS: Layer = { from: 'Datacenter', name: 'eu', part: 'defaults' };
const CONFIG: Layer = { from: 'AuditConfig' };
const ENFORCED: Layer = { from: 'Datacenter', name: 'eu', part: 'enforced' };
const on = (layer: Layer, spec: LayerSpec): LayerInput => ({ layer, spec });

describe('an AuditConfig alone', () => {
  it('that says nothing means the preset metadata, into a file, and says where each default is from', () => {
    const { spec, provenance } = effectiveOf({});
    expect(spec).toMatchObject({
      state: 'Enabled',
      policy: { preset: 'metadata', rules: [], rulesPosition: 'Before', sensitiveBodies: 'Redact' },
      log: { type: 'File', mode: 'Blocking', retention: { maxAgeDays: 30, maxBackups: 10, maxSize: '100Mi' } },
      rollout: { paused: false, minReadySeconds: 30, timeoutSeconds: 300 },
      kubeadmConfig: 'Ignore',
    });
    expect(spec.webhook).toBeUndefined();
    expect(new Set(Object.values(provenance).map((o) => o.set.from))).toEqual(new Set(['BuiltIn']));
    expect(provenance['policy.preset']).toEqual({ set: { from: 'BuiltIn' }, overrode: [] });
  });

  it('has a target that is no setting', () => {
    const target = { type: 'StaticPod' as const };
    expect(canonicalJson(effectiveOf({ ...{ target }, state: 'Enabled' }))).toBe(
      canonicalJson(effectiveOf({ state: 'Enabled' })),
    );
  });

  it('has no preset when rules or a reference stand instead', () => {
    expect(effectiveOf({ policy: { rules: [{ level: 'None' }] } }).spec.policy.preset).toBeUndefined();
    expect(effectiveOf({ policy: { configMapRef: { name: 'a' } } }).spec.policy.preset).toBeUndefined();
    expect(effectiveOf({ policy: { preset: 'minimal', rules: [{ level: 'None' }] } }).spec.policy.preset).toBe(
      'minimal',
    );
  });

  it("falls back to metadata when preset is '' and nothing else is given", () => {
    expect(effectiveOf({ policy: { preset: '' } }).spec.policy.preset).toBe('metadata');
  });

  it('gets the built-in defaults of a webhook only when it has one', () => {
    const { spec, provenance } = effectiveOf({ webhook: { secretRef: { name: 'hook' }, batch: { maxSize: 7 } } });
    expect(spec.webhook).toMatchObject({
      secretRef: { name: 'hook', key: 'webhook.yaml' },
      initialBackoffSeconds: 10,
      mode: 'Batch',
      batch: { bufferSize: 10_000, maxSize: 7, maxWaitSeconds: 30, throttle: { state: 'Enabled', qps: 10, burst: 15 } },
    });
    expect(provenance['webhook.batch.maxSize']).toEqual({ set: CONFIG, overrode: [{ from: 'BuiltIn' }] });
  });
});

describe('layers', () => {
  it('beat weaker ones field by field, and provenance names all of them', () => {
    const { spec, provenance } = mergeLayers([
      on(DEFAULTS, { log: { retention: { maxAgeDays: 90, maxBackups: 5 } } }),
      on(CONFIG, { log: { retention: { maxAgeDays: 7 } } }),
      on(ENFORCED, { log: { retention: { maxAgeDays: 365 } } }),
    ]);
    expect(spec.log.retention).toMatchObject({ maxAgeDays: 365, maxBackups: 5, maxSize: '100Mi' });
    expect(provenance['log.retention.maxAgeDays']).toEqual({
      set: ENFORCED,
      overrode: [{ from: 'BuiltIn' }, DEFAULTS, CONFIG],
    });
    expect(layerName(ENFORCED)).toBe('Datacenter/eu enforced');
  });

  it("unset a weaker layer's preset with ''", () => {
    const layers = [on(DEFAULTS, { policy: { preset: 'recommended' } })];
    expect(mergeLayers(layers).spec.policy.preset).toBe('recommended');
    const unset = on(CONFIG, { policy: { preset: '', rules: [{ level: 'Metadata' }] } });
    expect(mergeLayers([...layers, unset]).spec.policy.preset).toBeUndefined();
  });

  it("override a weaker layer's referenced policy with a preset, and get it back with ''", () => {
    const weaker = on(DEFAULTS, { policy: { configMapRef: { name: 'audit-config' } } });
    const preset = mergeLayers([weaker, on(CONFIG, { policy: { preset: 'minimal' } })]);
    expect(preset.spec.policy).toMatchObject({ preset: 'minimal' });
    expect(preset.spec.policy.reference).toBeUndefined();
    expect(preset.provenance['policy.preset']).toEqual({ set: CONFIG, overrode: [DEFAULTS] });
    const unset = mergeLayers([weaker, on(CONFIG, { policy: { preset: '' } })]);
    expect(unset.spec.policy).toMatchObject({ reference: { name: 'audit-config' } });
    expect(unset.spec.policy.preset).toBeUndefined();
    for (const policy of [
      { preset: 'minimal', configMapRef: { name: 'p' } },
      { configMapRef: { name: 'p' }, preset: 'minimal' },
    ] as const)
      expect(mergeLayers([on(CONFIG, { policy })]).spec.policy).toMatchObject({
        preset: 'minimal',
        reference: { name: 'p' },
      });
    const own = on(CONFIG, { policy: { configMapRef: { name: 'mine' }, preset: 'minimal' } });
    const enforced = mergeLayers([own, on(ENFORCED, { policy: { preset: 'recommended' } })]);
    expect(enforced.spec.policy.reference).toBeUndefined();
  });

  it('concatenate own rules, the strongest layer first, and enforced ones in front of everything', () => {
    const { spec } = mergeLayers([
      on(DEFAULTS, { policy: { rules: [{ level: 'Metadata' }] } }),
      on(CONFIG, { policy: { rules: [{ level: 'Request' }] } }),
      on(ENFORCED, { policy: { rules: [{ level: 'None' }] } }),
    ]);
    expect(spec.policy.front.map((r) => [r.layer, r.rules[0]?.level])).toEqual([[ENFORCED, 'None']]);
    expect(spec.policy.rules.map((r) => [r.layer, r.rules[0]?.level])).toEqual([
      [CONFIG, 'Request'],
      [DEFAULTS, 'Metadata'],
    ]);
  });

  it('replace lists', () => {
    const { spec } = mergeLayers([
      on(DEFAULTS, { policy: { omitStages: ['RequestReceived', 'Panic'] } }),
      on(CONFIG, { policy: { omitStages: ['ResponseStarted'] } }),
    ]);
    expect(spec.policy.omitStages).toEqual(['ResponseStarted']);
  });

  it("replace a reference whole: never one layer's name with another's key", () => {
    const { spec, provenance } = mergeLayers([
      on(DEFAULTS, { policy: { configMapRef: { name: 'a', key: 'a.yaml' } } }),
      on(CONFIG, { policy: { secretRef: { name: 'b' } } }),
    ]);
    expect(spec.policy.reference).toEqual({ kind: 'Secret', name: 'b' });
    expect(provenance['policy.secretRef']).toEqual({ set: CONFIG, overrode: [DEFAULTS] });
    expect(provenance['policy.configMapRef']).toBeUndefined();
  });

  it('replace a webhook whole when it is enforced: nothing of a tenant is left in it', () => {
    const { spec, provenance } = mergeLayers([
      on(CONFIG, { webhook: { secretRef: { name: 'mine' }, initialBackoffSeconds: 99, batch: { maxSize: 1 } } }),
      on(ENFORCED, { webhook: { secretRef: { name: 'theirs' } } }),
    ]);
    expect(spec.webhook).toMatchObject({
      secretRef: { name: 'theirs' },
      initialBackoffSeconds: 10,
      batch: { maxSize: 400 },
    });
    expect(provenance['webhook.initialBackoffSeconds']?.overrode).toContainEqual(CONFIG);
    const merged = mergeLayers([
      on(DEFAULTS, { webhook: { secretRef: { name: 'theirs' }, initialBackoffSeconds: 99 } }),
      on(CONFIG, { webhook: { secretRef: { name: 'mine' } } }),
    ]);
    expect(merged.spec.webhook).toMatchObject({ secretRef: { name: 'mine' }, initialBackoffSeconds: 99 });
  });

  it('are left as they were: merging changes no input, and no built-in default', () => {
    const frozen = canonicalJson(effectiveOf({}));
    const layer = on(CONFIG, { log: { retention: { maxAgeDays: 1 } }, rollout: { paused: true } });
    const before = canonicalJson(layer);
    mergeLayers([layer, on(ENFORCED, { log: { retention: { maxBackups: 1 } } })]);
    expect(canonicalJson(layer)).toBe(before);
    expect(canonicalJson(effectiveOf({}))).toBe(frozen);
  });
});

/** A small spec with arbitrary fields there or not. */
const specs = fc.record(
  {
    state: fc.constantFrom('Enabled' as const, 'Disabled' as const),
    log: fc.record(
      {
        type: fc.constantFrom('File' as const, 'Stdout' as const),
        retention: fc.record(
          { maxAgeDays: fc.nat(9), maxBackups: fc.integer({ min: 1, max: 9 }) },
          { requiredKeys: [] },
        ),
      },
      { requiredKeys: [] },
    ),
    rollout: fc.record({ paused: fc.boolean(), minReadySeconds: fc.nat(9) }, { requiredKeys: [] }),
  },
  { requiredKeys: [] },
);

/** The same value with the keys of every map in another order. */
const reversed = (v: unknown): unknown =>
  Array.isArray(v)
    ? v.map(reversed)
    : typeof v === 'object' && v !== null
      ? Object.fromEntries(
          Object.entries(v)
            .reverse()
            .map(([k, x]) => [k, reversed(x)]),
        )
      : v;

const at = (spec: unknown, path: string): unknown =>
  path.split('.').reduce<unknown>((o, k) => (o as Record<string, unknown> | undefined)?.[k], spec);

describe('properties of the merge', () => {
  it('key order does not matter', () => {
    fc.assert(
      fc.property(specs, specs, (a, b) => {
        const one = mergeLayers([on(DEFAULTS, a), on(CONFIG, b)]);
        const two = mergeLayers([on(DEFAULTS, reversed(a) as LayerSpec), on(CONFIG, reversed(b) as LayerSpec)]);
        expect(canonicalJson(two)).toBe(canonicalJson(one));
      }),
    );
  });

  it('the layer that provenance names is the strongest that has the field, and its value counts', () => {
    fc.assert(
      fc.property(specs, specs, specs, (a, b, c) => {
        const layers = [on(DEFAULTS, a), on(CONFIG, b), on(ENFORCED, c)];
        const { spec, provenance } = mergeLayers(layers);
        for (const path of ['state', 'log.type', 'log.retention.maxAgeDays', 'rollout.paused']) {
          const strongest = layers.filter((l) => at(l.spec, path) !== undefined).at(-1);
          expect(provenance[path]?.set).toEqual(strongest?.layer ?? { from: 'BuiltIn' });
          if (strongest !== undefined) expect(at(spec, path)).toEqual(at(strongest.spec, path));
        }
      }),
    );
  });
});
