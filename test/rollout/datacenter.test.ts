/** One datacenter: what it publishes, whom it tells, what it says of itself, and how it goes. */
import { describe, expect, it } from 'vitest';
import type { DatacenterAuditConfigStatus } from '../../src/api/datacenterauditconfig.ts';
import { contentDigest } from '../../src/config/datacenter.ts';
import { referenceKey } from '../../src/render/pins.ts';
import type { Reference } from '../../src/render/references.ts';
import { Secret } from '../../src/render/types.ts';
import { decideDatacenter } from '../../src/rollout/datacenter.ts';
import type { DatacenterFacts, MemberFact } from '../../src/rollout/datacenter.ts';
import { datacenterNotes } from '../../src/controllers/datacenter-notes.ts';

const NOW = Date.parse('2026-06-01T00:00:00Z');
const SPEC = { selector: {}, enforced: { state: 'Enabled' } };
const DIGEST = contentDigest({ enforced: { state: 'Enabled' } });
const facts = (spec: object = SPEC, more: Partial<DatacenterFacts> = {}): DatacenterFacts => ({
  meta: { name: 'eu', generation: 1, deleting: false, hasFinalizer: true },
  object: { apiVersion: 'auditconfig.dev/v1alpha1', kind: 'DatacenterAuditConfig', metadata: { name: 'eu' }, spec },
  status: {},
  members: [],
  references: new Map(),
  neighbours: [],
  versions: ['1.36'],
  now: NOW,
  ...more,
});
const member = (key: string, more: Partial<MemberFact> = {}): MemberFact => ({
  key, canary: false, has: null, state: 'Ready', governed: true, exempt: false, ...more,
}); // prettier-ignore
const condition = (status: DatacenterAuditConfigStatus | undefined, type: string) =>
  status?.conditions?.find((c) => c.type === type);
const deleting = { name: 'eu', generation: 2, deleting: true, hasFinalizer: true };

describe('a datacenter', () => {
  it('gives those that it discovers an AuditConfig in waves: a member that has nothing yet, and whose API server runs', () => {
    const spec = { selector: {}, discovery: { hosted: { workloadSelector: {} } }, rollout: { maxUnavailable: '1' } };
    const none = contentDigest({});
    const made = { has: none, state: 'Busy' as const };
    const found = ['a/x', 'b/x', 'c/x'];
    const admits = (members: readonly MemberFact[], more: Partial<DatacenterFacts> = {}) =>
      decideDatacenter(facts(spec, { members, ...more })).admit;
    expect(admits(found.map((k) => member(k)))).toEqual(['a/x']);
    expect(admits([member('a/x', made), member('b/x'), member('c/x')])).toEqual([]);
    expect(admits([member('a/x', { ...made, state: 'Ready' }), member('b/x'), member('c/x')])).toEqual(['b/x']);
    expect(admits([member('a/x', { ...made, state: 'Failed' }), member('b/x'), member('c/x')])).toEqual([]);
  });

  it('publishes its content before anybody is told, and only once its finalizer is there', () => {
    const bare = decideDatacenter(facts(SPEC, { meta: { ...facts().meta, hasFinalizer: false } }));
    expect([bare.finalizer, bare.publish, bare.admit]).toEqual(['Add', undefined, []]);
    const d = decideDatacenter(facts(SPEC, { members: [member('a/main')] }));
    expect(d.publish).toMatchObject({ name: `auditconfig-datacenter-${DIGEST.slice(0, 16)}` });
    expect(d.status?.content?.digest).toBe(DIGEST);
    const again = decideDatacenter(facts(SPEC, { status: d.status ?? {}, members: [member('a/main')] }));
    expect([again.publish, again.admit]).toEqual([undefined, ['a/main']]);
  });

  it.each([
    ['a field that does not exist', { enforcd: {} }, 'InvalidSpec'],
    [
      'a rule that no API server loads',
      { mandatoryRules: [{ level: 'Metadata', verbs: ['get'], nonResourceURLs: ['healthz'] }] },
      'InvalidSpec',
    ],
    [
      'a Secret that is not there',
      { enforced: { webhook: { secretRef: { name: 'w', namespace: 'op' } } } },
      'ReferenceNotFound',
    ],
    [
      'shipping that no fluent-bit starts with',
      { enforced: { shipping: { type: 'FluentBit', fluentBit: { outputs: [{ Name: 'nowhere' }] } } } },
      'InvalidSettings',
    ],
    ['no log and no webhook', { enforced: { log: { type: 'None' } } }, 'InvalidSettings'],
  ])('that says %s is refused, and what it said before counts on', (_name, spec, reason) => {
    const before = { content: { name: 'x', digest: 'd'.repeat(64) } };
    const d = decideDatacenter(facts({ selector: {}, ...spec }, { status: before, members: [member('a/main')] }));
    expect(condition(d.status, 'Accepted')).toMatchObject({ status: 'False', reason });
    expect([d.publish, d.status?.content?.digest]).toEqual([undefined, before.content.digest]);
  });

  it.each([
    ['a Secret that is not there yet', { enforced: { webhook: { secretRef: { name: 'w', namespace: 'op' } } } }],
    ['a field that this release does not know', { enforcd: {} }],
  ])('that is made anew and says %s lets nobody go who has what it said before', (_name, spec) => {
    const members = [member('a/main', { has: DIGEST }), member('b/main', { has: DIGEST })];
    const d = decideDatacenter(facts({ selector: {}, ...spec }, { members }));
    expect(condition(d.status, 'Accepted')).toMatchObject({ status: 'False' });
    expect([d.admit, [...(d.takes ?? [])], d.status?.content]).toEqual([[], [], undefined]);
    // Who is exempt, or selected no longer, leaves all the same.
    const left = [member('a/main', { has: DIGEST, governed: false })];
    expect(decideDatacenter(facts({ selector: {}, ...spec }, { members: left })).admit).toEqual(['a/main']);
  });

  it('gives another policy in the ConfigMap that it refers to in waves, and what is no policy to nobody', () => {
    const KEY = referenceKey('ConfigMap', 'op', 'policy');
    const spec = {
      selector: {},
      enforced: { policy: { configMapRef: { name: 'policy', namespace: 'op' } } },
      rollout: { maxUnavailable: '1' },
    };
    const holding = (level: string): ReadonlyMap<string, Reference> => {
      const text = `apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: ${level}}]\n`;
      return new Map([[KEY, { found: true, data: new Secret({ 'policy.yaml': new TextEncoder().encode(text) }) }]]);
    };
    const first = decideDatacenter(facts(spec, { references: holding('Metadata') }));
    const status = first.status ?? {};
    const has = status.content?.digest ?? '';
    const members = ['a', 'b', 'c'].map((n) => member(`${n}/main`, { has }));
    const at = (level: string) => decideDatacenter(facts(spec, { references: holding(level), status, members }));
    expect([at('Metadata').publish, at('Metadata').admit]).toEqual([undefined, []]);
    const next = at('Request');
    expect(next.publish?.name).not.toBe(first.publish?.name);
    expect([next.admit, next.keep?.digest]).toEqual([['a/main'], next.status?.content?.digest]);
    expect([at('Nonsense').publish, at('Nonsense').admit]).toEqual([undefined, []]);
  });

  it('counts whom it selects, who has what it says, who runs it, who failed and who is exempt', () => {
    const members = [
      member('a/main', { has: DIGEST }),
      member('b/main', { has: DIGEST, state: 'Failed', failure: { reason: 'NodeHeld', message: 'm' } }),
      member('c/main', { has: DIGEST, state: 'Busy' }),
      member('d/main', { governed: false, exempt: true }),
    ];
    const { status } = decideDatacenter(facts(SPEC, { members }));
    expect(status?.controlPlanes).toEqual({
      selected: 3, updated: 3, ready: 1, failed: 1, exempt: 1, summary: '1/3',
      failures: [{ name: 'b/main', reason: 'NodeHeld', message: 'm' }],
    }); // prettier-ignore
    expect(condition(status, 'RolledOut')).toMatchObject({ status: 'False', reason: 'ControlPlaneFailed' });
    expect(condition(status, 'Ready')).toMatchObject({ status: 'False', reason: 'ControlPlaneFailed' });
  });

  it('names those that the rest waits for', () => {
    const busy = Array.from({ length: 7 }, (_, i) => member(`n${i}/main`, { has: DIGEST, state: 'Busy' }));
    const { status } = decideDatacenter(facts(SPEC, { members: [...busy, member('z/main')] }));
    expect(condition(status, 'RolledOut')?.message).toMatch(/n0\/main, .*n4\/main and 2 more$/);
    const next = decideDatacenter(facts(SPEC, { members: [member('y/main'), member('z/main')] }));
    expect(condition(next.status, 'RolledOut')?.message).toMatch(/next: y\/main$/);
  });

  it('names at most twenty that failed', () => {
    const members = Array.from({ length: 30 }, (_, i) => member(`n${i}/main`, { has: DIGEST, state: 'Failed' }));
    expect(decideDatacenter(facts(SPEC, { members })).status?.controlPlanes?.failures).toHaveLength(20);
  });

  it('that conflicts with another says so, and who counts; the other says the same', () => {
    const content = { enforced: { log: { type: 'File' as const } }, priority: 1 };
    const other = { name: 'us', content: { enforced: { log: { type: 'Stdout' as const } } } };
    const here = decideDatacenter(facts({ selector: {}, ...content }, { neighbours: [other] }));
    expect(condition(here.status, 'Conflicting')).toMatchObject({ status: 'True', reason: 'FieldsDiffer' });
    const there = decideDatacenter({
      ...facts({ selector: {}, ...other.content }, { neighbours: [{ name: 'eu', content }] }),
      meta: { ...facts().meta, name: 'us' },
    });
    for (const d of [here, there])
      expect(condition(d.status, 'Conflicting')?.message).toContain('log.type (eu counts, us does not)');
  });
});

describe('a datacenter that is deleted', () => {
  const has = member('a/main', { has: DIGEST });

  it('leaves wave by wave, and is gone when nobody has anything of it', () => {
    const members = [has, member('b/main', { has: DIGEST }), member('c/main')];
    const d = decideDatacenter(facts(SPEC, { meta: deleting, definition: 'Served', members }));
    expect([d.finalizer, d.admit]).toEqual(['Keep', ['a/main']]);
    const gone = decideDatacenter(facts(SPEC, { meta: deleting, definition: 'Served', members: [member('a/main')] }));
    expect(gone.finalizer).toBe('Remove');
  });

  it('with its CRD is let go at once, and takes nothing with it', () => {
    const d = decideDatacenter(facts(SPEC, { meta: deleting, definition: 'Leaving', members: [has] }));
    expect([d.finalizer, d.admit, d.status]).toEqual(['Remove', [], undefined]);
    const unknown = decideDatacenter(facts(SPEC, { meta: deleting, definition: 'Unknown', members: [has] }));
    expect([unknown.finalizer, unknown.admit, unknown.requeueAfterMs]).toEqual(['Keep', [], 10_000]);
  });
});

describe('exemptions', () => {
  const spec = { ...SPEC, exemptions: [{ namespace: 'a', reason: 'r', expirationTime: '2026-06-20T00:00:00Z' }] };
  const at = (time: string, status: DatacenterAuditConfigStatus = {}) =>
    decideDatacenter(facts(spec, { now: Date.parse(time), status }));

  it('are said when they begin, before they end, and when they have ended; each once', () => {
    let status: DatacenterAuditConfigStatus = {};
    const said: string[] = [];
    for (const time of ['2026-06-01', '2026-06-02', '2026-06-14', '2026-06-15', '2026-06-21', '2026-06-22']) {
      const d = at(`${time}T00:00:00Z`, status);
      said.push(
        ...datacenterNotes(status, d.status)
          .filter((n) => n.action === 'Exempt')
          .map((n) => `${time} ${n.reason}`),
      );
      status = d.status ?? {};
    }
    expect(said).toEqual(['2026-06-01 ExemptionActive', '2026-06-14 ExemptionEnding', '2026-06-21 ExemptionExpired']);
  });

  it('that end too far ahead are warned of', () => {
    const d = at('2026-01-01T00:00:00Z');
    expect(condition(d.status, 'Accepted')?.message).toContain('ExemptionTooLong');
    expect(d.status?.exemptions?.[0]?.phase).toBe('TooLong');
  });

  it('wake the controller when they change, at the latest after a day', () => {
    expect(at('2026-06-01T00:00:00Z').requeueAfterMs).toBe(86_400_000);
    expect(at('2026-06-19T23:00:00Z').requeueAfterMs).toBe(3_600_001);
  });
});
