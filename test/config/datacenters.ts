/** Generators of AuditConfigs and datacenters, small enough that they disagree often. */
import fc from 'fast-check';
import { STAGES } from '../../src/api/audit.ts';
import type { Rule } from '../../src/api/audit.ts';
import type { LayerSpec } from '../../src/api/auditconfig.ts';
import type { PolicyRuleSpec } from '../../src/api/auditconfig-policy.ts';
import { FORBIDDABLE } from '../../src/api/datacenterauditconfig.ts';
import type { DatacenterLayer } from '../../src/api/datacenterauditconfig.ts';
import type { Datacenter, DatacenterContent } from '../../src/config/types.ts';
import { arbRule } from '../policy/arbitrary.ts';

const some = <T extends object>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(fields, { requiredKeys: [], noNullPrototype: true }) as unknown as fc.Arbitrary<T>;

/** The policy engine's rule as the API has it; what validation would refuse is left out. */
const specOf = (r: Rule): PolicyRuleSpec => ({
  level: r.level,
  users: [...r.users],
  userGroups: [...r.userGroups],
  verbs: [...r.verbs],
  resources: r.resources.map((g) => ({
    group: g.group,
    resources: [...g.resources],
    resourceNames: [...g.resourceNames],
  })),
  namespaces: [...r.namespaces],
  nonResourceURLs: [...r.nonResourceURLs],
  omitStages: [...r.omitStages],
  ...(r.omitManagedFields === undefined ? {} : { omitManagedFields: r.omitManagedFields }),
});
export const arbRuleSpec: fc.Arbitrary<PolicyRuleSpec> = arbRule.map(specOf);
const rules = fc.array(arbRuleSpec, { maxLength: 3 });

const policy = some<NonNullable<LayerSpec['policy']>>({
  // The small ones: a policy is rendered for each run.
  preset: fc.constantFrom('' as const, 'metadata' as const, 'minimal' as const, 'recommended' as const),
  rules,
  rulesPosition: fc.constantFrom('Before' as const, 'After' as const),
  configMapRef: fc.constant({ name: 'policy' }),
  omitStages: fc.subarray([...STAGES]),
  omitManagedFields: fc.boolean(),
  sensitiveBodies: fc.constantFrom('Redact' as const, 'Allow' as const),
});
const log = some<NonNullable<LayerSpec['log']>>({
  type: fc.constantFrom('File' as const, 'Stdout' as const, 'None' as const),
  mode: fc.constantFrom('Batch' as const, 'Blocking' as const),
  file: some({ path: fc.constantFrom('/var/log/a/audit.log', '/srv/b/audit.log') }),
  retention: some({
    maxAgeDays: fc.integer({ min: 0, max: 20 }),
    maxBackups: fc.integer({ min: 1, max: 20 }),
    maxSize: fc.constantFrom('50Mi', '100Mi', '1Gi'),
    totalSize: fc.constantFrom('10Gi', '20Gi'),
  }),
});
const rollout = some<NonNullable<LayerSpec['rollout']>>({
  paused: fc.boolean(),
  minReadySeconds: fc.nat(900),
  windows: fc.constant([]),
});

/** What an owner may write. */
export const arbOwn: fc.Arbitrary<LayerSpec> = some<LayerSpec>({
  state: fc.constantFrom('Enabled' as const, 'Disabled' as const),
  policy,
  log,
  rollout,
  webhook: some({ initialBackoffSeconds: fc.integer({ min: 1, max: 9 }) }).map((w) => ({
    ...w,
    secretRef: { name: 'own' },
  })),
  kubeadmConfig: fc.constantFrom('Ignore' as const, 'Sync' as const),
});

const arbLayer: fc.Arbitrary<DatacenterLayer> = some<DatacenterLayer>({
  state: fc.constantFrom('Enabled' as const, 'Disabled' as const),
  policy: policy.map((p) => ({
    ...p,
    ...(p.configMapRef === undefined ? {} : { configMapRef: { name: 'theirs', namespace: 'operator' } }),
  })) as fc.Arbitrary<NonNullable<DatacenterLayer['policy']>>,
  log,
  rollout,
  webhook: fc.constant({ secretRef: { name: 'theirs', namespace: 'operator' } }),
});

const bounds = fc
  .tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20 }))
  .map(([a, b]) => ({ min: Math.min(a, b), max: Math.max(a, b) }));

export const arbContent: fc.Arbitrary<DatacenterContent> = some<DatacenterContent>({
  defaults: arbLayer,
  enforced: arbLayer,
  mandatoryRules: rules,
  limits: some<NonNullable<DatacenterContent['limits']>>({
    log: some({
      types: fc.subarray(['File' as const, 'Stdout' as const, 'None' as const]),
      paths: fc.constant<string[]>(['/var/log/a']),
      retention: some({ maxAgeDays: bounds, maxBackups: bounds }),
    }),
    rollout: some({ minReadySeconds: fc.constant({ max: 60 }) }),
  }),
  forbid: fc.subarray([...FORBIDDABLE]),
  priority: fc.integer({ min: -1, max: 1 }),
});

export const arbDatacenters: fc.Arbitrary<readonly Datacenter[]> = fc
  .array(arbContent, { maxLength: 3 })
  .map((contents) => contents.map((content, i) => ({ name: `dc-${i}`, content })));
