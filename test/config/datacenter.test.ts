/** An AuditConfig and its datacenters: who counts, what nobody can lower, and that nothing is lost. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LayerSpec } from '../../src/api/auditconfig.ts';
import { PRESET_NAMES } from '../../src/api/preset-names.ts';
import { NEWEST } from '../../src/api/versions.ts';
import { canonicalJson } from '../../src/config/canonical.ts';
import { contentDigest, mergeDatacenters } from '../../src/config/datacenter.ts';
import { fieldOf } from '../../src/config/fields.ts';
import { effectiveOf, layerName } from '../../src/config/merge.ts';
import type { Datacenter, DatacenterContent, EffectiveConfig } from '../../src/config/types.ts';
import { compilePolicy } from '../../src/policy/evaluate.ts';
import { loadPolicy } from '../../src/policy/load.ts';
import { buildRevision } from '../../src/render/revision.ts';
import { arbRequest } from '../policy/arbitrary.ts';
import { WEBHOOK, holding } from '../render/inputs.ts';
import { arbDatacenters, arbOwn, arbRuleSpec } from './datacenters.ts';

const dc = (name: string, content: DatacenterContent): Datacenter => ({ name, content });
const POLICY = 'apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [ResponseComplete]\nrules: [{level: None}]\n';
const references = { policy: holding({ 'policy.yaml': POLICY }), webhook: holding({ 'webhook.yaml': WEBHOOK }) };

const GET_POD = {
  kind: 'Resource',
  verb: 'get',
  group: '',
  version: 'v1',
  resource: 'pods',
  subresource: '',
  namespace: 'x',
  name: 'y',
  user: 'u',
  groups: [],
} as const;

/** How the rendered policy decides; undefined where nothing is rendered. */
function deciderOf(effective: EffectiveConfig) {
  const { revision } = buildRevision({ effective, references, versions: [NEWEST] });
  const policy = revision === undefined ? undefined : loadPolicy(revision.policy, NEWEST).policy;
  return policy === undefined ? undefined : compilePolicy(policy);
}

describe('mandatory rules', () => {
  it('nothing that an owner writes changes level or stages of a request that they match', () => {
    let compared = 0;
    fc.assert(
      fc.property(
        fc.array(arbRuleSpec, { minLength: 1, maxLength: 3 }),
        arbDatacenters,
        arbOwn,
        arbRequest,
        (mandatoryRules, others, own, request) => {
          const all = [...others, dc('must', { mandatoryRules, priority: 9 })];
          const [alone, with_] = [mergeDatacenters({}, all), mergeDatacenters(own, all)];
          expect(with_.spec.state).toBe(alone.spec.state);
          fc.pre(alone.spec.state === 'Enabled');
          const wanted = deciderOf(alone)?.decide(request);
          const rules = with_.spec.policy.front.flatMap((f) => f.rules).length;
          fc.pre(wanted?.rule !== null && wanted !== undefined && wanted.rule < rules);
          const got = deciderOf(with_)?.decide(request);
          // What does not render changes nothing (src/rollout/accept.ts).
          fc.pre(got !== undefined);
          compared += 1;
          expect([got.level, got.omitStages, got.omitManagedFields]).toEqual([
            wanted.level,
            wanted.omitStages,
            wanted.omitManagedFields,
          ]);
        },
      ),
      { numRuns: 60 },
    );
    expect(compared).toBeGreaterThan(30);
  });

  it('are capped as the datacenters say, whether or not an owner wants bodies of Secrets', () => {
    const must = dc('eu', { mandatoryRules: [{ level: 'RequestResponse', resources: [{ resources: ['secrets'] }] }] });
    const level = (own: LayerSpec, d: Datacenter) =>
      deciderOf(mergeDatacenters(own, [d]))?.decide({ ...GET_POD, resource: 'secrets' }).level;
    expect(level({ policy: { sensitiveBodies: 'Allow' } }, must)).toBe('Metadata');
    const allowing = dc('eu', { ...must.content, enforced: { policy: { sensitiveBodies: 'Allow' } } });
    expect(level({}, allowing)).toBe('RequestResponse');
  });

  it('of all datacenters add up, the strongest first', () => {
    const { spec } = mergeDatacenters({}, [
      dc('b', { mandatoryRules: [{ level: 'Metadata' }] }),
      dc('a', { mandatoryRules: [{ level: 'Request' }] }),
      dc('c', { mandatoryRules: [{ level: 'None' }], priority: 1 }),
    ]);
    expect(spec.policy.front.map((f) => layerName(f.layer))).toEqual(
      ['c', 'a', 'b'].map((n) => `Datacenter/${n} mandatoryRules`),
    );
    expect(spec.policy.preset).toBe('metadata');
  });

  it('keep auditing on and a log written, unless a datacenter enforces something else', () => {
    const must = dc('eu', { mandatoryRules: [{ level: 'Metadata' }] });
    const off: LayerSpec = { state: 'Disabled', log: { type: 'None' } };
    const { spec, provenance } = mergeDatacenters(off, [must]);
    expect([spec.state, spec.log.type]).toEqual(['Enabled', 'File']);
    expect(provenance['state']?.set).toEqual({ from: 'Datacenter', name: 'eu', part: 'mandatoryRules' });
    expect(provenance['state']?.overrode).toContainEqual({ from: 'AuditConfig' });
    const enforced = dc('eu', { ...must.content, enforced: { state: 'Disabled' } });
    expect(mergeDatacenters({}, [enforced]).spec.state).toBe('Disabled');
    const hook = dc('eu', { ...must.content, enforced: { webhook: { secretRef: { name: 'a', namespace: 'b' } } } });
    expect(mergeDatacenters(off, [hook]).spec.log.type).toBe('None');
  });

  it('are in a log where an owner has a webhook of his own instead: nobody knows who listens there', () => {
    const rules = { mandatoryRules: [{ level: 'Metadata' as const }] };
    const own: LayerSpec = { log: { type: 'None' }, webhook: { secretRef: { name: 'mine' } } };
    const typeOf = (d: Datacenter) => mergeDatacenters(own, [d]).spec.log.type;
    expect([typeOf(dc('eu', rules)), typeOf(dc('eu', { defaults: {} }))]).toEqual(['File', 'None']);
    expect(typeOf(dc('eu', { ...rules, enforced: { log: { type: 'None' } } }))).toBe('None');
    const theirs = { webhook: { secretRef: { name: 'theirs', namespace: 'op' } } };
    expect(mergeDatacenters({ log: { type: 'None' } }, [dc('eu', { ...rules, defaults: theirs })]).spec.log.type).toBe('None');
    expect(typeOf(dc('eu', { ...rules, defaults: theirs }))).toBe('File');
  }); // prettier-ignore
});

describe('enforced fields', () => {
  it('an enforced preset is out of reach of stages that an owner omits, and enforced ones reach it', () => {
    const preset = dc('eu', { enforced: { policy: { preset: 'metadata' } } });
    const own: LayerSpec = {
      policy: { omitStages: ['RequestReceived', 'ResponseStarted', 'ResponseComplete', 'Panic'] },
    };
    const stages = (effective: EffectiveConfig) => deciderOf(effective)?.decide(GET_POD).omitStages;
    expect(stages(mergeDatacenters(own, [preset]))).toEqual(stages(mergeDatacenters({}, [preset])));
    const both = dc('eu', { enforced: { policy: { preset: 'metadata', omitStages: ['Panic'] } } });
    expect(stages(mergeDatacenters(own, [both]))).toContain('Panic');
    expect(stages(effectiveOf(own))).toContain('ResponseComplete');
  });

  it.each(PRESET_NAMES)('an enforced preset %s is the same whatever an owner sets for his whole policy', (preset) => {
    const eu = dc('eu', { enforced: { policy: { preset } } });
    const policyOf = (own: LayerSpec): string | undefined => {
      const { revision } = buildRevision({ effective: mergeDatacenters(own, [eu]), references, versions: [NEWEST] });
      return revision === undefined ? undefined : new TextDecoder().decode(revision.policy);
    };
    const alone = policyOf({});
    for (const policy of [
      { systemNamespaces: [] },
      { systemNamespaces: ['mine'] },
      { sensitiveBodies: 'Allow' as const },
      { omitManagedFields: true },
    ])
      expect(policyOf({ policy }), JSON.stringify(policy)).toBe(alone);
    const both = dc('eu', { enforced: { policy: { preset: 'basic', systemNamespaces: ['theirs'] } } });
    const { revision } = buildRevision({ effective: mergeDatacenters({}, [both]), references, versions: [NEWEST] });
    expect(new TextDecoder().decode(revision?.policy)).toContain('"theirs"');
  });

  it('an enforced reference keeps bodies of Secrets out, whatever an owner allows', () => {
    const enforced = { policy: { configMapRef: { name: 'theirs', namespace: 'operator' } } };
    const bodies = 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: RequestResponse}]\n';
    const effective = mergeDatacenters({ policy: { sensitiveBodies: 'Allow' } }, [dc('eu', { enforced })]);
    const policy = holding({ 'policy.yaml': bodies });
    const { revision } = buildRevision({ effective, references: { policy }, versions: [NEWEST] });
    const loaded = loadPolicy(revision?.policy ?? new Uint8Array(), NEWEST).policy;
    if (loaded === undefined) throw new Error('does not load');
    expect(compilePolicy(loaded).decide({ ...GET_POD, resource: 'secrets' }).level).toBe('Metadata');
    expect(compilePolicy(loaded).decide(GET_POD).level).toBe('RequestResponse');
  });

  it('count whatever an owner writes, field by field, and say what they overrode', () => {
    const paths = [
      'state',
      'log.type',
      'log.mode',
      'log.retention.maxAgeDays',
      'rollout.paused',
      'webhook.secretRef.name',
    ];
    fc.assert(
      fc.property(arbOwn, arbDatacenters, (own, datacenters) => {
        const { spec, provenance } = mergeDatacenters(own, datacenters);
        for (const path of paths) {
          const having = datacenters.filter((d) => fieldOf(d.content.enforced, path) !== undefined);
          const [first] = [...having].sort(
            (a, b) => (b.content.priority ?? 0) - (a.content.priority ?? 0) || (a.name < b.name ? -1 : 1),
          );
          if (first === undefined) continue;
          expect(fieldOf(spec, path)).toEqual(fieldOf(first.content.enforced, path));
          const at = path.replace(/Ref\.name$/, 'Ref');
          expect(provenance[at]?.set).toEqual({ from: 'Datacenter', name: first.name, part: 'enforced' });
        }
      }),
    );
  });
});

describe('several datacenters', () => {
  it('give the same in whatever order they come', () => {
    fc.assert(
      fc.property(arbOwn, arbDatacenters, fc.integer({ min: 0, max: 2 }), (own, datacenters, by) => {
        const turned = [...datacenters.slice(by), ...datacenters.slice(0, by)].reverse();
        expect(canonicalJson(mergeDatacenters(own, turned))).toBe(canonicalJson(mergeDatacenters(own, datacenters)));
      }),
    );
  });

  it('that enforce different values: the higher priority counts, then the first by name, and both are named', () => {
    const [a, b] = [
      dc('a', { enforced: { log: { retention: { maxAgeDays: 1 } }, state: 'Enabled' } }),
      dc('b', { enforced: { log: { retention: { maxAgeDays: 2 } }, state: 'Enabled' } }),
    ];
    const { spec, conflicts } = mergeDatacenters({}, [a, b]);
    expect(spec.log.retention.maxAgeDays).toBe(1);
    expect(conflicts).toEqual([{ path: 'log.retention.maxAgeDays', set: 'a', over: 'b' }]);
    const stronger = dc('b', { ...b.content, priority: 1 });
    expect(mergeDatacenters({}, [a, stronger]).spec.log.retention.maxAgeDays).toBe(2);
  });
});

describe('switching enforcement off', () => {
  it('gives back exactly what the owner had set', () => {
    fc.assert(
      fc.property(arbOwn, arbDatacenters, (own, datacenters) => {
        const before = canonicalJson(own);
        mergeDatacenters(own, datacenters);
        expect(canonicalJson(own)).toBe(before);
        const { ignored, conflicts, ...given } = mergeDatacenters(own, []);
        expect([ignored, conflicts]).toEqual([[], []]);
        expect(canonicalJson(given)).toBe(canonicalJson(effectiveOf(own)));
      }),
    );
  });

  it('a datacenter that says nothing changes nothing', () => {
    fc.assert(
      fc.property(arbOwn, (own) => {
        expect(canonicalJson(mergeDatacenters(own, [dc('idle', {})]).spec)).toBe(canonicalJson(effectiveOf(own).spec));
      }),
    );
  });
});

describe('what is forbidden', () => {
  it('does not count, is named, and what the datacenter itself sets stays', () => {
    const own: LayerSpec = {
      webhook: { secretRef: { name: 'mine' } },
      policy: { rules: [{ level: 'None' }], configMapRef: { name: 'p' }, omitStages: ['Panic'] },
    };
    const eu = dc('eu', {
      forbid: ['Webhook', 'Rules', 'PolicyReference', 'OmitStages'],
      defaults: { policy: { preset: 'minimal' } },
    });
    const { spec, ignored } = mergeDatacenters(own, [eu]);
    expect(spec.webhook).toBeUndefined();
    expect(spec.policy).toMatchObject({ preset: 'minimal', rules: [], omitStages: [] });
    expect(spec.policy.reference).toBeUndefined();
    expect(ignored.map((i) => i.path)).toEqual(['webhook', 'policy.rules', 'policy.configMapRef', 'policy.omitStages']);
    const theirs = dc('eu', {
      ...eu.content,
      enforced: { webhook: { secretRef: { name: 'theirs', namespace: 'op' } } },
    });
    expect(mergeDatacenters(own, [theirs]).spec.webhook?.secretRef).toEqual({
      name: 'theirs',
      namespace: 'op',
      key: 'webhook.yaml',
    });
  });

  it("an owner's pause does not count where a datacenter binds, and counts where it only has defaults", () => {
    const own: LayerSpec = { rollout: { paused: true } };
    expect(mergeDatacenters(own, [dc('eu', { enforced: {} })]).spec.rollout.paused).toBe(false);
    expect(mergeDatacenters(own, [dc('eu', { enforced: {} })]).ignored.map((i) => i.path)).toEqual(['rollout.paused']);
    expect(mergeDatacenters(own, [dc('eu', { defaults: {} })]).spec.rollout.paused).toBe(true);
    expect(mergeDatacenters({}, [dc('eu', { enforced: { rollout: { paused: true } } })]).spec.rollout.paused).toBe(
      true,
    );
  });
});

describe('limits', () => {
  const limited = dc('eu', {
    limits: {
      log: {
        types: ['File'],
        modes: ['Blocking'],
        paths: ['/var/log/kube-audit'],
        retention: {
          maxAgeDays: { min: 30, max: 90 },
          maxBackups: { min: 10 },
          maxSize: { min: '100Mi' },
          totalSize: { max: '20Gi' },
        },
        batch: { bufferSize: { min: 1000 } },
      },
    },
  });

  it('move numbers and sizes to their bounds, and name themselves', () => {
    const { spec, provenance } = mergeDatacenters(
      { log: { retention: { maxAgeDays: 1, maxBackups: 3, maxSize: '1Mi' }, batch: { bufferSize: 1 } } },
      [limited],
    );
    expect(spec.log.retention).toMatchObject({ maxAgeDays: 30, maxBackups: 10, maxSize: '100Mi', totalSize: '20Gi' });
    expect(spec.log.batch.bufferSize).toBe(1000);
    expect(provenance['log.retention.maxAgeDays']).toEqual({
      set: { from: 'Datacenter', name: 'eu', part: 'limits' },
      overrode: [{ from: 'BuiltIn' }, { from: 'AuditConfig' }],
    });
    expect(provenance['log.retention.compression']?.set).toEqual({ from: 'BuiltIn' });
  });

  it('an age of 0 days has no end: it is above every ceiling and below no floor', () => {
    const forever: LayerSpec = { log: { retention: { maxAgeDays: 0 } } };
    expect(mergeDatacenters(forever, [limited]).spec.log.retention.maxAgeDays).toBe(90);
    const floor = dc('eu', { limits: { log: { retention: { maxAgeDays: { min: 30 } } } } });
    expect(mergeDatacenters(forever, [floor]).spec.log.retention.maxAgeDays).toBe(0);
  });

  it('leave out what is not allowed, and fall back to what is', () => {
    const own: LayerSpec = { log: { type: 'Stdout', mode: 'Batch', file: { path: '/srv/audit/audit.log' } } };
    const { spec, ignored } = mergeDatacenters(own, [limited]);
    expect(spec.log).toMatchObject({ type: 'File', mode: 'Blocking', file: { path: '/var/log/kube-audit/audit.log' } });
    expect(ignored.map((i) => i.path)).toEqual(['log.type', 'log.mode', 'log.file.path']);
    const elsewhere = dc('eu', { limits: { log: { paths: ['/srv/logs'] } } });
    expect(mergeDatacenters({}, [elsewhere]).spec.log.file.path).toBe('/srv/logs/audit.log');
    const sibling: LayerSpec = { log: { file: { path: '/var/log/kube-audit-evil/audit.log' } } };
    expect(mergeDatacenters(sibling, [limited]).spec.log.file.path).toBe('/var/log/kube-audit/audit.log');
  });

  it('leave out shipping as a whole where one plugin, host or proxy of it is not allowed', () => {
    const eu = dc('eu', {
      limits: {
        shipping: {
          images: ['registry.example.org/fluent-bit:4'],
          plugins: ['grep', 'forward', 'stdout'],
          destinations: [{ host: 'logs.example.org', ports: [24224] }],
        },
      },
    });
    const left = (fluentBit: NonNullable<NonNullable<LayerSpec['shipping']>['fluentBit']>) =>
      mergeDatacenters({ shipping: { type: 'FluentBit', fluentBit } }, [eu]).ignored.map((i) => i.path);
    const good = { Name: 'forward', Host: 'logs.example.org', Port: 24224 };
    expect(left({ filters: [{ name: 'Grep', Exclude: 'user kube' }], outputs: [good, { Name: 'stdout' }] })).toEqual(
      [],
    );
    expect(left({ outputs: [good, { Name: 'http' }] })).toEqual(['shipping']);
    expect(left({ filters: [{ Match: '*' }] })).toEqual(['shipping']);
    expect(left({ outputs: [{ ...good, Port: '24225' }] })).toEqual(['shipping']);
    expect(left({ outputs: [{ Name: 'forward', HOST: 'evil.example.org', Port: 24224 }] })).toEqual(['shipping']);
    expect(left({ outputs: [{ ...good, proxy: 'http://evil.example.org:24224' }] })).toEqual(['shipping']);
    expect(left({ outputs: [{ ...good, proxy: 'http://u:p@logs.example.org:24224' }] })).toEqual([]);
    expect(left({ image: 'docker.io/evil:1', outputs: [good] })).toEqual(['shipping.fluentBit.image']);
  });

  it.each([
    ['brokers of Kafka', { Name: 'kafka', Brokers: 'logs.example.org:9092,evil.example.org:9092' }],
    ['servers of librdkafka', { Name: 'kafka', 'rdkafka.bootstrap.servers': 'evil.example.org:9092' }],
    ['an endpoint of a cloud', { Name: 'cloudwatch_logs', region: 'eu', endpoint: 'evil.example.org' }],
    ['an endpoint for its tokens', { Name: 'kinesis_streams', sts_endpoint: 'https://evil.example.org/' }],
    ['a base of URLs', { Name: 'nrlogs', base_uri: 'https://evil.example.org/log/v1' }],
    ['where tokens come from', { Name: 'http', Host: 'logs.example.org', 'oauth2.token_url': 'https://evil.example.org/t' }],
    ['a host under another name', { Name: 'logdna', logdna_host: 'evil.example.org' }],
    ['what only a variable tells', { Name: 'kafka', Brokers: '${BROKERS}' }],
  ])('see %s as a destination', (_name, output) => {
    const eu = dc('eu', { limits: { shipping: { destinations: [{ host: 'logs.example.org' }] } } });
    const left = (o: typeof output): readonly string[] =>
      mergeDatacenters({ shipping: { type: 'FluentBit', fluentBit: { outputs: [o] } } }, [eu]).ignored.map((i) => i.path);
    expect(left(output)).toEqual(['shipping']);
    const good: unknown = JSON.parse(JSON.stringify(output).replace(/evil\.example\.org|\$\{BROKERS\}/g, 'logs.example.org'));
    expect(left(good as typeof output)).toEqual([]);
  }); // prettier-ignore

  it("see the proxy that a shipper's environment names as a destination", () => {
    const eu = dc('eu', { limits: { shipping: { destinations: [{ host: 'logs.example.org', ports: [24224] }] } } });
    const left = (env: { name: string; value?: string; secretKeyRef?: { name: string; key: string } }[]) =>
      mergeDatacenters({ shipping: { type: 'FluentBit', fluentBit: { env } } }, [eu]).ignored.map((i) => i.path);
    expect(left([{ name: 'HTTP_PROXY', value: 'http://evil.example.org:24224' }])).toEqual(['shipping']);
    expect(left([{ name: 'http_proxy', secretKeyRef: { name: 's', key: 'k' } }])).toEqual(['shipping']);
    expect(left([{ name: 'HTTP_PROXY', value: 'http://logs.example.org:24224' }])).toEqual([]);
    expect(left([{ name: 'REGION', value: 'evil.example.org' }])).toEqual([]);
  });

  it('do not bind what a datacenter enforces, nor a webhook that is not there', () => {
    const both = dc('eu', { ...limited.content, enforced: { log: { retention: { maxAgeDays: 7 } } } });
    expect(mergeDatacenters({}, [both]).spec.log.retention.maxAgeDays).toBe(7);
    const hook = dc('eu', { limits: { webhook: { batch: { maxSize: { max: 7 } } } } });
    expect(mergeDatacenters({}, [hook]).spec.webhook).toBeUndefined();
    expect(mergeDatacenters({ webhook: { secretRef: { name: 'a' } } }, [hook]).spec.webhook?.batch.maxSize).toBe(7);
  });

  it('of several datacenters all hold where they go together', () => {
    fc.assert(
      fc.property(
        fc.nat(20),
        fc.integer({ min: 1, max: 10 }),
        fc.integer({ min: 1, max: 10 }),
        fc.integer({ min: -1, max: 1 }),
        (age, min, wide, priority) => {
          const a = dc('a', { limits: { log: { retention: { maxAgeDays: { min } } } }, priority });
          const b = dc('b', { limits: { log: { retention: { maxAgeDays: { max: min + wide } } } } });
          const days = mergeDatacenters({ log: { retention: { maxAgeDays: age } } }, [a, b]).spec.log.retention
            .maxAgeDays;
          expect(days).toBeGreaterThanOrEqual(min);
          expect(days).toBeLessThanOrEqual(min + wide);
        },
      ),
    );
  });
});

describe('the digest of what a datacenter gives', () => {
  it('does not depend on the order of keys, and changes with every value', () => {
    expect(contentDigest({ priority: 1, enforced: { state: 'Enabled', kubeadmConfig: 'Sync' } })).toBe(
      contentDigest({ enforced: { kubeadmConfig: 'Sync', state: 'Enabled' }, priority: 1 }),
    );
    expect(contentDigest({ priority: 1 })).not.toBe(contentDigest({ priority: 2 }));
  });
});
