import { describe, expect, it } from 'vitest';
import { decide } from '../../src/rollout/decide.ts';
import { blocked } from '../../src/rollout/accepted-status.ts';
import { Secret } from '../../src/render/types.ts';
import { World } from './world.ts';

const reasonOf = (w: World, type: string): string | undefined => w.condition(type)?.reason;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const GOOD = 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n';

describe('decide', () => {
  it('brings every node to the revision, one at a time, and says Ready', () => {
    const w = new World(['a', 'b', 'c']);
    w.run();
    const digest = w.status.revision?.digest;
    expect(digest).toMatch(/^[0-9a-f]{64}$/);
    expect(w.currents()).toEqual([digest, digest, digest]);
    expect(w.condition('Ready')).toMatchObject({ status: 'True', reason: 'Ready' });
    expect(w.status.nodes).toEqual({ desired: 3, updated: 3, failed: 0, summary: '3/3' });
    expect(w.status.effective).toMatchObject({ digest, preset: 'metadata', layers: ['BuiltIn', 'AuditConfig'] });
  });

  it('decides nothing more once all is done', () => {
    const w = new World(['a']);
    w.run();
    const d = decide(w.facts());
    expect([d.publish, d.assign, d.forget, d.requeueAfterMs, d.finalizer]).toEqual([
      undefined,
      undefined,
      [],
      undefined,
      'Keep',
    ]);
    expect(d.status).toEqual(w.status);
  });

  it('touches no node before the finalizer is there', () => {
    const w = new World(['a']);
    const d = decide(w.facts());
    expect([d.finalizer, d.assign]).toEqual(['Add', undefined]);
  });

  it.each([
    ['a field that the API does not know', { polcy: {} }, 'InvalidSpec'],
    ['a target of a later release', { target: { type: 'LaterKind' } }, 'InvalidSpec'],
    [
      'a policy with a bad rule',
      { policy: { rules: [{ level: 'Metadata', nonResourceURLs: ['healthz'] }] } },
      'InvalidSpec',
    ],
    ['a reference to nothing', { policy: { configMapRef: { name: 'gone' } } }, 'ReferenceNotFound'],
  ])('%s is refused and changes no node', (_name, spec, reason) => {
    const w = new World(['a']);
    w.run();
    const before = w.currents();
    w.change(spec);
    w.run();
    expect(reasonOf(w, 'Accepted')).toBe(reason);
    expect(w.condition('Ready')).toMatchObject({ status: 'False', reason });
    expect(reasonOf(w, 'Stalled')).toBe(reason);
    expect(w.currents()).toEqual(before);
    expect(w.status.revision?.digest).toBe(before[0]);
  });

  it('says why a Secret that may not be read is not used', () => {
    const w = new World(['a']);
    w.spec = { target: { type: 'StaticPod' }, policy: { secretRef: { name: 'audit-policy' } } };
    w.references = { policy: { found: false, why: 'Forbidden' } };
    w.run();
    expect(reasonOf(w, 'Accepted')).toBe('ReferenceForbidden');
    expect(w.condition('Accepted')?.message).toContain('audit-policy');
    expect([...w.nodes.values()].every((n) => n.spec === undefined)).toBe(true);
  });

  it('names line and column of a policy that does not load', () => {
    const w = new World(['a']);
    w.spec = { target: { type: 'StaticPod' }, policy: { configMapRef: { name: 'p' } } };
    w.references = {
      policy: { found: true, data: new Secret({ 'policy.yaml': bytes(GOOD.replace('Metadata', 'Metdata')) }) },
    };
    w.run();
    expect(reasonOf(w, 'Accepted')).toBe('InvalidPolicy');
    expect(w.condition('Accepted')?.message).toContain('line 4, column 10');
    w.references = { policy: { found: true, data: new Secret({ 'policy.yaml': bytes(GOOD) }) } };
    w.run();
    expect(reasonOf(w, 'Ready')).toBe('Ready');
  });

  it('an AuditConfig outside the operator’s namespace may not have nodes', () => {
    const w = new World(['a']);
    w.namespace = 'tenant';
    w.run();
    expect(reasonOf(w, 'Accepted')).toBe('NamespaceNotAllowed');
  });

  it('the younger of two for one node is refused and told the other one', () => {
    const w = new World(['a']);
    const facts = w.facts();
    const rival = {
      ...facts,
      nodes: facts.nodes.map((n) => ({ ...n, claimant: { key: 'auditconfig-system/older', uid: 'u0' } })),
    };
    const d = decide(rival);
    const accepted = d.status?.conditions?.find((c) => c.type === 'Accepted');
    expect([accepted?.reason, d.assign]).toEqual(['TargetConflict', undefined]);
    expect(accepted?.message).toContain('auditconfig-system/older');
  });

  it('stops at the first node that goes back, and a newer revision goes there first', () => {
    const w = new World(['a', 'b', 'c']);
    w.run();
    const good = w.status.revision?.digest ?? '';
    w.change({ policy: { preset: 'minimal' } });
    w.bad.add(decide(w.facts()).publish?.digest ?? '');
    w.run();
    expect(w.condition('Ready')).toMatchObject({ status: 'False', reason: 'NodeHeld' });
    expect(w.condition('Degraded')?.message).toContain('unknown flag');
    expect(w.status.nodes).toMatchObject({ failed: 1, updated: 0, worst: [{ name: 'a', phase: 'Held' }, {}, {}] });
    expect(w.currents()).toEqual([good, good, good]);
    w.change({ policy: { preset: 'recommended' } });
    expect(decide(w.facts()).assign?.node).toBe('a');
    w.run();
    expect(reasonOf(w, 'Ready')).toBe('Ready');
  });

  it('paused holds new nodes back, and deletion goes on nevertheless', () => {
    const w = new World(['a']);
    w.spec = { ...w.spec, rollout: { paused: true } };
    w.run();
    expect([reasonOf(w, 'RolledOut'), w.currents()[0]]).toEqual(['Paused', undefined]);
    w.change({ rollout: {} });
    w.run();
    w.change({ rollout: { paused: true } });
    w.deleting = true;
    w.run();
    expect([w.finalizer, w.currents()[0]]).toEqual([false, undefined]);
  });

  it('state Disabled takes away, keeps watching, and Enabled brings back', () => {
    const w = new World(['a', 'b']);
    w.run();
    w.change({ state: 'Disabled' });
    w.run();
    expect(w.currents()).toEqual([undefined, undefined]);
    expect(w.condition('Ready')).toMatchObject({ status: 'True', reason: 'Disabled' });
    w.change({ state: 'Enabled' });
    w.run();
    expect(w.currents()[1]).toBe(w.status.revision?.digest);
  });

  it('deletion removes from every node before the finalizer goes, and leaves no AuditNode', () => {
    const w = new World(['a', 'b', 'c']);
    w.run();
    w.deleting = true;
    w.act(decide(w.facts()));
    expect(w.finalizer).toBe(true);
    w.run();
    expect([w.finalizer, w.currents()]).toEqual([false, [undefined, undefined, undefined]]);
    expect([...w.nodes.values()].every((n) => n.spec === undefined)).toBe(true);
  });

  it('a CRD that is deleted takes its AuditConfigs along, and auditing from no node', () => {
    const w = new World(['a', 'b']);
    w.run();
    const running = w.currents();
    w.deleting = true;
    w.definition = 'Leaving';
    w.run();
    expect([w.finalizer, w.currents()]).toEqual([false, running]);
    expect([...w.nodes.values()].every((n) => n.spec?.desired.type === 'Revision')).toBe(true);
  });

  it('while it is not known whether the CRD is being deleted, nothing is taken away and the finalizer stays', () => {
    const w = new World(['a']);
    w.run();
    const running = w.currents();
    w.deleting = true;
    w.definition = 'Unknown';
    const d = decide(w.facts());
    expect([d.finalizer, d.assign, d.forget]).toEqual(['Keep', undefined, []]);
    expect(d.requeueAfterMs).toBeGreaterThan(0);
    w.definition = 'Served';
    w.run();
    expect([w.finalizer, w.currents()]).not.toEqual([true, running]);
    expect(w.currents()).toEqual([undefined]);
  });

  it('an AuditNode that somebody deleted does not spare the node its removal', () => {
    const w = new World(['a', 'b']);
    w.run();
    const digest = w.status.revision?.digest;
    w.nodes.set('a', { status: {}, generation: 0, exists: true });
    w.deleting = true;
    const d = decide(w.facts());
    expect([d.finalizer, d.assign?.node, d.assign?.spec.desired]).toEqual(['Keep', 'a', { type: 'Removed' }]);
    expect(w.currents()).toEqual([undefined, digest]);
    w.run();
    expect([w.finalizer, w.currents()]).toEqual([false, [undefined, undefined]]);
  });

  it('publishes again what a node still waits for: somebody may have deleted it', () => {
    const w = new World(['a']);
    w.run(() => 99, 2);
    const node = w.nodes.get('a');
    const digest = w.status.revision?.digest ?? '';
    const failure = { digest, reason: 'BundleMissing', message: 'gone', time: '2026-01-01T00:00:00Z' };
    if (node !== undefined) node.status = { observedGeneration: 1, phase: 'Held', lastFailure: failure };
    const d = decide(w.facts());
    expect([d.publish?.digest, d.assign, d.settled]).toEqual([digest, undefined, false]);
  });

  it('an AuditNode that a person pointed elsewhere is put right', () => {
    const w = new World(['a']);
    w.run();
    const node = w.nodes.get('a');
    const good = node?.spec;
    if (node?.spec?.desired.revision === undefined) throw new Error('nothing was assigned');
    const revision = { ...node.spec.desired.revision, namespace: 'kube-system' };
    node.spec = { ...node.spec, desired: { type: 'Revision', revision } };
    node.generation += 1;
    expect(decide(w.facts()).assign?.spec).toEqual(good);
  });

  it('waits while another AuditConfig changes a node of the same control plane', () => {
    const w = new World(['a']);
    w.finalizer = true;
    w.busyNode = 'z';
    const d = decide(w.facts());
    expect(d.assign).toBeUndefined();
    expect(d.status?.conditions?.find((c) => c.type === 'RolledOut')?.message).toContain('node z');
    w.busyNode = undefined;
    expect(decide(w.facts()).assign?.node).toBe('a');
  });

  it('a refused step is said, and claims no revision that was not published', () => {
    const w = new World(['a']);
    w.finalizer = true;
    const d = decide(w.facts());
    const status = blocked(w.facts(), d, 'namespaces "auditconfig-bundles" not found');
    expect(status?.revision).toBeUndefined();
    const of = (type: string) => status?.conditions?.find((c) => c.type === type);
    expect(of('RolledOut')).toMatchObject({ status: 'False', reason: 'Blocked' });
    expect(of('Ready')).toMatchObject({ status: 'False', reason: 'Blocked' });
    w.status = status ?? {};
    w.now += 60_000;
    expect(blocked(w.facts(), decide(w.facts()), 'namespaces "auditconfig-bundles" not found')).toEqual(status);
  });

  it('a deleted Node holds back neither rollout nor finalizer', () => {
    const w = new World(['a', 'b']);
    w.run();
    const dead = w.nodes.get('a');
    if (dead !== undefined) dead.exists = false;
    w.run();
    expect([...w.nodes.keys()]).toEqual(['b']);
    w.deleting = true;
    w.run();
    expect(w.finalizer).toBe(false);
  });

  it('a controller that dies after any step of any reconcile loses nothing', { timeout: 60_000 }, () => {
    for (let seed = 1; seed <= 30; seed++) {
      let x = seed;
      let kills = 25;
      const w = new World(['a', 'b', 'c']);
      const dying = (): number => {
        x = (x * 1103515245 + 12345) % 2147483648;
        return kills-- > 0 ? x % 7 : 99;
      };
      w.run(dying);
      w.change({ policy: { preset: 'minimal' } });
      kills = 25;
      w.run(dying);
      expect(w.condition('Ready')).toMatchObject({ status: 'True' });
      expect(new Set(w.currents())).toEqual(new Set([w.status.revision?.digest]));
      w.deleting = true;
      kills = 25;
      w.run(dying);
      expect([w.finalizer, w.currents()]).toEqual([false, [undefined, undefined, undefined]]);
    }
  });
});
