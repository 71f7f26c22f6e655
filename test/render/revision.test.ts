/** Effective config to revision: what is rendered, what is refused with which words, and that it is deterministic. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LayerSpec } from '../../src/api/auditconfig.ts';
import { compilePolicy } from '../../src/policy/evaluate.ts';
import { loadPolicy } from '../../src/policy/load.ts';
import { PRESET_NAMES } from '../../src/policy/presets.ts';
import { effectiveOf } from '../../src/config/merge.ts';
import { buildRevision } from '../../src/render/revision.ts';
import type { Revision } from '../../src/render/types.ts';
import { BOTH, holding, render, revisionOf, text, WEBHOOK } from './inputs.ts';

const codes = (r: { findings: readonly { code: string }[] }): string[] => r.findings.map((f) => f.code);
const CUSTOM = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- level: Request
  users: [alice]
- level: Metadata
`;

const pods = (user: string, verb = 'create') =>
  ({
    kind: 'Resource',
    user,
    groups: [],
    verb,
    group: '',
    version: 'v1',
    resource: 'pods',
    subresource: '',
    namespace: 'a',
    name: '',
  }) as const;

function decide(spec: LayerSpec, policy: string | undefined, user: string) {
  const revision = revisionOf(render(spec, policy === undefined ? {} : { policy: holding({ 'policy.yaml': policy }) }));
  const loaded = loadPolicy(revision.policy, '1.36').policy;
  if (loaded === undefined) throw new Error('does not load');
  return compilePolicy(loaded).decide(pods(user));
}

describe('a revision', () => {
  it.each(PRESET_NAMES)('is made of the preset %s on the oldest and the newest version', (preset) => {
    const r = render({ policy: { preset } });
    expect(codes(r)).toEqual([]);
    expect(r.revision?.versions).toEqual(BOTH);
    expect(r.revision?.logDir).toBe('/var/log/kube-audit');
  });

  it('is nothing, without findings, when the state is Disabled', () => {
    expect(render({ state: 'Disabled', policy: { configMapRef: { name: 'gone' } } })).toEqual({ findings: [] });
  });

  it('is refused where policy and shipper are more together than one object holds, and only where they are one', () => {
    const users = Array.from({ length: 880 }, (_, i) => `u${i}-${'x'.repeat(1000)}`);
    const Record = [`a ${'x'.repeat(150_000)}`];
    const spec: LayerSpec = {
      policy: { rules: [{ level: 'Metadata', users }] },
      shipping: { type: 'FluentBit', fluentBit: { filters: [{ Name: 'record_modifier', Match: '*', Record }] } },
    };
    const effective = effectiveOf(spec);
    const input = { effective, references: {}, versions: ['1.36' as const] };
    expect(codes(buildRevision(input))).not.toContain('ShippingTooLarge');
    const inPod = buildRevision({ ...input, shipper: 'InPod' });
    expect([inPod.revision, codes(inPod).at(-1)]).toEqual([undefined, 'ShippingTooLarge']);
  });

  it('combines preset, own rules and a reference; own rules stand where they are told', () => {
    const rules = [{ level: 'None' as const, users: ['alice'] }];
    const reference = { configMapRef: { name: 'p' } };
    expect(decide({ policy: { rules, ...reference } }, CUSTOM, 'alice').level).toBe('None');
    expect(decide({ policy: { rules, ...reference, rulesPosition: 'After' } }, CUSTOM, 'alice').level).toBe('Request');
    expect(decide({ policy: { rules, preset: 'metadata' } }, undefined, 'alice').level).toBe('None');
    expect(decide({ policy: { rules, preset: 'metadata' } }, undefined, 'bob').level).toBe('Metadata');
  });

  it('keeps the settings of a referenced policy within its own rules', () => {
    const rules = [{ level: 'Request' as const, users: ['bob'] }];
    const spec = { policy: { rules, configMapRef: { name: 'p' } } };
    expect(decide(spec, CUSTOM, 'alice')).toMatchObject({ omitStages: ['RequestReceived'], omitManagedFields: true });
    expect(decide(spec, CUSTOM, 'bob')).toMatchObject({ omitStages: [], omitManagedFields: false });
  });

  it('applies spec.policy.omitStages and omitManagedFields to all of it, where a rule says nothing', () => {
    const rules = [
      { level: 'Request' as const, users: ['bob'] },
      { level: 'Request' as const, users: ['eve'], omitManagedFields: false },
    ];
    const spec: LayerSpec = {
      policy: { rules, configMapRef: { name: 'p' }, omitStages: ['Panic'], omitManagedFields: true },
    };
    expect(decide(spec, CUSTOM, 'bob')).toMatchObject({ omitStages: ['Panic'], omitManagedFields: true });
    expect(decide(spec, CUSTOM, 'eve')).toMatchObject({ omitStages: ['Panic'], omitManagedFields: false });
    expect(decide(spec, CUSTOM, 'alice').omitStages).toEqual(['Panic', 'RequestReceived']);
  });

  it('caps bodies of secrets unless that is turned off', () => {
    const level = (spec: LayerSpec, resource: string): string => {
      const { policy } = loadPolicy(revisionOf(render(spec)).policy, '1.36');
      if (policy === undefined) throw new Error('does not load');
      return compilePolicy(policy).decide({ ...pods('alice'), resource }).level;
    };
    const rules = [{ level: 'RequestResponse' as const }];
    expect(level({ policy: { rules } }, 'secrets')).toBe('Metadata');
    expect(level({ policy: { rules } }, 'pods')).toBe('RequestResponse');
    expect(level({ policy: { rules, sensitiveBodies: 'Allow' } }, 'secrets')).toBe('RequestResponse');
  });

  it('gives the preset basic its system namespaces, and says when nobody takes them', () => {
    const named = text(revisionOf(render({ policy: { preset: 'basic', systemNamespaces: ['my-system'] } })).policy);
    expect(named).toContain('"my-system"');
    expect(codes(render({ policy: { preset: 'metadata', systemNamespaces: ['a'] } }))).toEqual(['ParameterUnused']);
  });

  it('takes the first default key that is there, or the one that is named', () => {
    const spec = { policy: { configMapRef: { name: 'p' } } };
    expect(render(spec, { policy: holding({ 'audit-policy.yaml': CUSTOM }) }).revision).toBeDefined();
    expect(
      render(spec, { policy: holding({ 'policy.yaml': CUSTOM, 'audit-policy.yaml': 'broken' }) }).revision,
    ).toBeDefined();
    const named = { policy: { configMapRef: { name: 'p', key: 'x' } } };
    expect(render(named, { policy: holding({ x: CUSTOM }) }).revision).toBeDefined();
    expect(codes(render(named, { policy: holding({ 'policy.yaml': CUSTOM }) }))).toEqual(['ReferenceNotFound']);
  });

  it('is confidential when its policy came from a Secret', () => {
    const r = render({ policy: { secretRef: { name: 'p' } } }, { policy: holding({ 'policy.yaml': CUSTOM }) });
    expect(r.revision?.confidential).toBe(true);
    expect(render({}).revision?.confidential).toBe(false);
  });
});

describe('what nobody means', () => {
  const preset = 'metadata' as const;

  it('is said of own rules that stand behind a catch-all, and of no preset', () => {
    const rules = [{ level: 'Request' as const, users: ['alice'] }];
    expect(codes(render({ policy: { rules, preset } }))).toEqual([]);
    const [finding, ...more] = render({ policy: { rules, preset, rulesPosition: 'After' } }).findings;
    expect(more).toEqual([]);
    expect(finding).toMatchObject({ severity: 'warning', code: 'RuleAfterCatchAll', path: 'spec.policy.rules[0]' });
  });

  it('is said of a preset that rules in front of it leave nothing to, and of none that decides something', () => {
    const catchAll = { level: 'Metadata' as const };
    const policy = holding({
      'policy.yaml': 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n',
    });
    const said = { severity: 'warning', code: 'PresetUnreachable', path: 'spec.policy.preset' };
    const [first] = render({ policy: { preset: 'basic', rules: [catchAll] } }).findings;
    expect(first).toMatchObject(said);
    expect(render({ policy: { preset, secretRef: { name: 'p' } } }, { policy }).findings[0]).toMatchObject(said);
    expect(codes(render({ policy: { rules: [catchAll] } }))).toEqual([]);
    const partly = { policy: { preset: 'basic' as const, rules: [{ ...catchAll, users: ['alice'] }] } };
    expect(codes(render(partly))).toEqual([]);
  });

  it('is said of a referenced policy with its place, without words where that is a Secret', () => {
    const policy = holding({ 'policy.yaml': CUSTOM.replace('users: [alice]', 'verbs: ["*"]') });
    const rules = [{ level: 'None' as const, users: ['eve'] }];
    const [open] = render({ policy: { rules, configMapRef: { name: 'p' } } }, { policy }).findings;
    expect(open).toMatchObject({
      severity: 'warning',
      path: 'spec.policy.configMapRef.rules[0].verbs[0]',
      at: { line: 7 },
    });
    const [closed] = render({ policy: { rules, secretRef: { name: 'p' } } }, { policy }).findings;
    expect(closed).toMatchObject({ code: open?.code, at: open?.at, path: 'spec.policy.secretRef' });
  });

  it('is not said of bodies that are redacted anyway', () => {
    const rules = [{ level: 'RequestResponse' as const }];
    expect(codes(render({ policy: { rules } }))).toEqual([]);
    expect(codes(render({ policy: { rules, sensitiveBodies: 'Allow' } }))).toEqual(['SensitiveBodiesLogged']);
  });
});

describe('what is refused', () => {
  it.each([
    ['NotFound', 'ReferenceNotFound'],
    ['Forbidden', 'ReferenceForbidden'],
    ['Unreadable', 'ReferenceUnreadable'],
  ] as const)('a policy or webhook that is %s', (why, code) => {
    const spec = { policy: { secretRef: { name: 'p' } }, webhook: { secretRef: { name: 'w' } } };
    const r = render(spec, { policy: { found: false, why }, webhook: { found: false, why } });
    expect(r.findings.map((f) => [f.code, f.path])).toEqual([
      [code, 'spec.policy.secretRef'],
      [code, 'spec.webhook.secretRef'],
    ]);
    expect(r.revision).toBeUndefined();
  });

  it('a policy that does not load, with its line and column', () => {
    const broken = CUSTOM.replace('level: Request\n', 'level: Reqest\n');
    const r = render({ policy: { configMapRef: { name: 'p' } } }, { policy: holding({ 'policy.yaml': broken }) });
    expect(r.revision).toBeUndefined();
    const [finding] = r.findings;
    expect(finding).toMatchObject({
      severity: 'error',
      path: 'spec.policy.configMapRef.rules[0].level',
      source: { kind: 'ConfigMap', name: 'p', key: 'policy.yaml' },
      at: { line: 6, column: 10 },
    });
    expect(finding?.message).toContain('ConfigMap p, key policy.yaml, line 6, column 10');
  });

  it('a policy that only the newest version loads, and names the version that does not', () => {
    const rules = [{ level: 'Metadata' as const, resources: [{ group: '*' }] }];
    const r = render({ policy: { rules } });
    expect(r.revision).toBeUndefined();
    expect(r.findings[0]).toMatchObject({ path: 'spec.policy.rules[0].resources[0].group' });
    expect(r.findings[0]?.message).toContain('1.26');
    expect(render({ policy: { rules } }, { versions: ['1.36'] }).revision).toBeDefined();
  });

  it('an own rule that CEL lets through, by the path that its author knows', () => {
    const rules = [{ level: 'Metadata' as const }, { level: 'Metadata' as const, resources: [{ group: '-a' }] }];
    const r = render({ policy: { rules, preset: 'balanced' } });
    expect(r.findings.filter((f) => f.severity === 'error').map((f) => f.path)).toEqual([
      'spec.policy.rules[1].resources[0].group',
    ]);
    expect(r.findings[0]?.at).toBeUndefined();
  });

  it('a policy that is too large for an object', () => {
    const users = Array.from({ length: 128 }, (_, i) => `${'u'.repeat(240)}${i}`);
    const rules = Array.from({ length: 40 }, () => ({ level: 'None' as const, users }));
    expect(codes(render({ policy: { rules } }))).toContain('PolicyTooLarge');
  });

  it('without words of a policy that stands in a Secret', () => {
    const broken = [
      CUSTOM.replace('level: Request\n', 'level: CANARY\n'),
      CUSTOM.replace('users:', 'CANARY:'),
      'CANARY',
      `${CUSTOM}- CANARY: [`,
      CUSTOM.replace('[alice]', '[CANARY, 7]'),
      CUSTOM.replace('- level: Metadata', '- level: None\n  resources: [{group: CANARY}]'),
    ];
    for (const policy of broken) {
      const open = render({ policy: { configMapRef: { name: 'p' } } }, { policy: holding({ 'policy.yaml': policy }) });
      const closed = render({ policy: { secretRef: { name: 'p' } } }, { policy: holding({ 'policy.yaml': policy }) });
      expect(codes(closed)).toEqual(codes(open));
      expect(codes(closed)).not.toEqual([]);
      expect(closed.findings.map((f) => f.at)).toEqual(open.findings.map((f) => f.at));
      expect(JSON.stringify(closed)).not.toContain('CANARY');
    }
  });
});

const anyLevel = fc.constantFrom('None' as const, 'Metadata' as const, 'Request' as const, 'RequestResponse' as const);
const anyRule = fc.record({ level: anyLevel, users: fc.array(fc.string({ maxLength: 5 }), { maxLength: 2 }) });
const anySpec = fc.record({
  policy: fc.record({ preset: fc.constantFrom(...PRESET_NAMES), rules: fc.array(anyRule, { maxLength: 3 }) }),
  log: fc.record({ retention: fc.record({ maxAgeDays: fc.nat(99), maxBackups: fc.integer({ min: 1, max: 99 }) }) }),
  webhook: fc.record({ secretRef: fc.constant({ name: 'w' }), initialBackoffSeconds: fc.integer({ min: 1, max: 99 }) }),
});
const shuffled = (v: unknown): unknown =>
  Array.isArray(v)
    ? v.map(shuffled)
    : typeof v === 'object' && v !== null
      ? Object.fromEntries(Object.entries(v).reverse().map(([k, x]) => [k, shuffled(x)]))
      : v; // prettier-ignore

describe('the digest', () => {
  const webhook = holding({ 'webhook.yaml': WEBHOOK });

  it('is the same for the same input in another order of keys, and so are all bytes', () => {
    fc.assert(
      fc.property(anySpec, (spec) => {
        const one = revisionOf(render(spec, { webhook }));
        const two = revisionOf(render(shuffled(spec) as LayerSpec, { webhook }));
        expect(two.digest).toBe(one.digest);
        expect(text(two.policy)).toBe(text(one.policy));
        expect(two.flags).toEqual(one.flags);
        expect(text(two.webhook?.reveal())).toBe(text(one.webhook?.reveal()));
      }),
      { numRuns: 50 },
    );
  });

  it('does not depend on the versions that it was checked for', () => {
    expect(revisionOf(render({}, { versions: ['1.36'] })).digest).toBe(
      revisionOf(render({}, { versions: ['1.30', '1.31'] })).digest,
    );
  });

  it('does not depend on comments, order or style of a referenced policy', () => {
    const spec = { policy: { configMapRef: { name: 'p' } } };
    const json =
      '{"kind":"Policy","rules":[{"users":["alice"],"level":"Request"},{"level":"Metadata"}],"omitManagedFields":true,"omitStages":["RequestReceived"],"apiVersion":"audit.k8s.io/v1"}';
    const digests = [CUSTOM, `# hello\n${CUSTOM}`, json].map(
      (p) => revisionOf(render(spec, { policy: holding({ 'policy.yaml': p }) })).digest,
    );
    expect(new Set(digests).size).toBe(1);
  });

  it('changes with everything that an API server or a node does differently', () => {
    const of = (spec: LayerSpec, hook = webhook): string => revisionOf(render(spec, { webhook: hook })).digest;
    const digests = [
      of({}),
      of({ policy: { preset: 'minimal' } }),
      of({ log: { retention: { maxAgeDays: 31 } } }),
      of({ log: { file: { path: '/var/log/other/audit.log' } } }),
      of({ log: { file: { readerGroup: 7 } } }),
      of({ webhook: { secretRef: { name: 'w' } } }),
      of(
        { webhook: { secretRef: { name: 'w' } } },
        holding({ 'webhook.yaml': WEBHOOK.replace('audit.example', 'other.example') }),
      ),
    ];
    expect(new Set(digests).size).toBe(digests.length);
    expect(digests[0]).toMatch(/^[0-9a-f]{64}$/);
  });

  it('does not change with the credentials of a webhook, which an API server reads again by itself', () => {
    const of = (token: string): Revision =>
      revisionOf(
        render(
          { webhook: { secretRef: { name: 'w' } } },
          { webhook: holding({ 'webhook.yaml': WEBHOOK.replace('CANARY-token', token) }) },
        ),
      );
    expect(of('one').digest).toBe(of('two').digest);
    expect(text(of('one').credentials?.reveal().token)).toBe('one');
  });

  it('is pinned: a change here means that every cluster restarts its API servers at an upgrade of auditconfig', () => {
    expect(revisionOf(render({ policy: { preset: '', rules: [{ level: 'Metadata' }] } })).digest).toBe(
      'd3f7d0ed6401cfd9ed544a9b217548cf0fb50c59711fddcb76aa48b27a473a57',
    );
  });
});
