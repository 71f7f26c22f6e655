/** Decisions about owners' objects that differ from those about workloads: what an API has no place for, and what it leaves. */
import { describe, expect, it } from 'vitest';
import { unsupportedFields } from '../../src/api/auditconfig-unsupported.ts';
import { decideHosted } from '../../src/rollout/hosted/hosted.ts';
import type { HostedFacts } from '../../src/rollout/hosted/scene.ts';
import { ownerSample } from '../targets/contract/owner.ts';

const facts = (spec: object, more: Partial<HostedFacts['workload']> = {}): HostedFacts => ({
  meta: { namespace: 'tenant-a', name: 'main', uid: 'u1', generation: 1, creationTimestamp: '2026-01-01T00:00:00Z', deleting: false, hasFinalizer: true },
  object: {
    apiVersion: 'auditconfig.dev/v1alpha1',
    kind: 'AuditConfig',
    metadata: { name: 'main', namespace: 'tenant-a' },
    spec: { target: { type: 'KubeadmControlPlane', kubeadmControlPlane: { name: 'a' } }, ...spec },
  },
  status: {},
  references: {},
  nodes: [],
  kubeadm: { state: 'Absent' },
  kubeadmWrites: [],
  serverVersion: '1.36',
  settings: { operatorNamespace: 'auditconfig-system', bundlesNamespace: 'b' },
  now: Date.parse('2026-01-01T00:00:00Z'),
  workload: {
    name: 'a',
    spec: { kind: 'KubeadmControlPlane', version: 'v1beta2', config: 'main' },
    object: ownerSample('kubeadmcontrolplane-v1beta2'),
    claimant: { key: 'tenant-a/main', uid: 'u1' },
    ...more,
  },
}); // prettier-ignore
const accepted = (f: HostedFacts) => decideHosted(f).status?.conditions?.find((c) => c.type === 'Accepted');
const readers = { log: { file: { readerGroup: 1000 } } };

describe("an owner's object", () => {
  it('is not touched for a field that its API has no place for, which is named', () => {
    const d = decideHosted(facts(readers));
    expect(d.patch).toBeUndefined();
    expect(accepted(facts(readers))).toMatchObject({ status: 'False', reason: 'Unsupported' });
    expect(accepted(facts(readers))?.message).toContain('spec.log.file.readerGroup');
    expect(accepted(facts({ log: { file: { readerGroup: 0 } } }))).toMatchObject({ status: 'True' });
  });

  it("is touched where a datacenter's defaults say such a field, which is told", () => {
    const governed = { unreadable: [], references: new Map() };
    const by = (part: 'defaults' | 'enforced'): HostedFacts => ({
      ...facts({}),
      governed: { ...governed, datacenters: [{ name: 'eu', content: { [part]: readers } }] },
    });
    expect(accepted(by('defaults'))).toMatchObject({ status: 'True' });
    expect(accepted(by('defaults'))?.message).toContain('OwnerCannotExpress');
    expect(accepted(by('enforced'))).toMatchObject({ status: 'False', reason: 'Unsupported' });
  });

  const kkp = (spec: object, namespace = 'cluster-a'): HostedFacts => {
    const f = facts({}, { spec: { kind: 'KubermaticCluster', version: 'v1', config: 'main' }, object: ownerSample('kubermaticcluster') });
    const target = { type: 'KubermaticCluster', kubermaticCluster: { name: 'a' } };
    const object = { ...(f.object as object), spec: { target, ...spec } };
    return { ...f, meta: { ...f.meta, namespace }, object };
  }; // prettier-ignore

  it.each([
    [{ policy: { preset: 'balanced' } }, 'spec.policy'],
    [{ policy: { preset: 'minimal', rules: [{ level: 'None', users: ['x'] }] } }, 'spec.policy'],
    [{ log: { type: 'None' } }, 'spec.log.type'],
    [{ log: { retention: { maxBackups: 4 } } }, 'spec.log.retention.maxBackups'],
    [{ shipping: { type: 'FluentBit', fluentBit: { outputs: [{ name: 'stdout' }] } } }, 'spec.shipping'],
  ])('is not touched for %j where it takes names of presets and fixes its log: %s', (spec, path) => {
    expect(decideHosted(kkp(spec)).patch).toBeUndefined();
    expect(accepted(kkp(spec))).toMatchObject({ status: 'False', reason: 'Unsupported' });
    expect(accepted(kkp(spec))?.message).toContain(path);
  });

  it('of Kamaji has the shipper in its revision, and one that takes no container does not', () => {
    const target = { type: 'TenantControlPlane', tenantControlPlane: { name: 'tenant-a' } };
    const shipping = { type: 'FluentBit', fluentBit: { outputs: [{ name: 'stdout', match: '*' }] } };
    const f = facts({}, { spec: { kind: 'TenantControlPlane', version: 'v1alpha1', config: 'main' }, object: ownerSample('tenantcontrolplane'), made: { deployment: null } });
    const decided = (spec: object) => decideHosted({ ...f, object: { ...(f.object as object), spec: { target, rollout: { allowDegraded: true }, ...spec } } });
    expect(decided({ shipping }).publish?.shipping).toBeDefined();
    expect(JSON.stringify(decided({ shipping }).patch)).toContain('"audit-logs"');
    expect(decided({}).publish?.shipping).toBeUndefined();
  }); // prettier-ignore

  const openshift = (policy?: object): HostedFacts => {
    const f = facts({}, { spec: { kind: 'HostedCluster', version: 'v1beta1', config: 'main' }, object: ownerSample('hostedcluster') });
    const target = { type: 'HostedCluster', hostedCluster: { name: 'a' } };
    return { ...f, object: { ...(f.object as object), spec: { target, ...(policy === undefined ? {} : { policy }) } } };
  }; // prettier-ignore

  it.each([
    [undefined, 'False'],
    [{ preset: 'default' }, 'False'],
    [{ preset: 'all-request-bodies', sensitiveBodies: 'Redact' }, 'False'],
    [{ preset: 'default', sensitiveBodies: 'Allow' }, 'True'],
    [{ preset: 'all-request-bodies', sensitiveBodies: 'Allow' }, 'True'],
    [{ preset: 'none' }, 'True'],
    [{ preset: 'default', sensitiveBodies: 'Allow', omitStages: ['ResponseStarted'] }, 'False'],
  ])('with profiles of its own takes a policy only as that profile has it, bodies included: %j', (policy, status) => {
    expect(accepted(openshift(policy))).toMatchObject(
      status === 'True' ? { status } : { status, reason: 'Unsupported' },
    );
    if (status === 'False') expect(accepted(openshift(policy))?.message).toContain('spec.policy');
  });

  it('of k0smotron is refused by name, with the reason', () => {
    const target = { type: 'K0smotronControlPlane', k0smotronControlPlane: { name: 'a' } } as const;
    const [finding] = unsupportedFields({ target });
    expect(finding).toMatchObject({ severity: 'error', code: 'Unsupported', path: 'spec.target.type' });
    expect(finding?.message).toContain('k0s status');
    expect(unsupportedFields({ target: { type: 'K3s' } })).toEqual([]);
  });

  it('takes what its owner has fixed anyway, and nothing from another namespace than its own', () => {
    const fixed = { log: { retention: { maxBackups: 3, maxAgeDays: 30 } }, policy: { preset: 'recommended' } };
    expect(accepted(kkp(fixed))).toMatchObject({ status: 'True' });
    expect(accepted(kkp(fixed, 'tenant-a'))).toMatchObject({ status: 'False', reason: 'NamespaceNotAllowed' });
    expect(decideHosted(kkp(fixed, 'tenant-a')).patch).toBeUndefined();
  });

  it('says in words that its API is not served, and writes nothing', () => {
    const d = decideHosted(facts({}, { object: null, unserved: 'this cluster serves none' }));
    expect(d.patch).toBeUndefined();
    expect(d.status?.conditions?.find((c) => c.type === 'RolledOut')).toMatchObject({
      reason: 'WorkloadNotFound',
      message: 'this cluster serves none',
    });
  });
});
