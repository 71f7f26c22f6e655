/**
 * kubeadm-config follows the nodes: it names a revision when all of them run it, and is set back before the first one is
 * asked to remove it, wherever the controller dies meanwhile. What stands in the text: test/targets/kubeadm-config.
 */
import { describe, expect, it } from 'vitest';
import { decide } from '../../src/rollout/decide.ts';
import { namedByKubeadm } from '../../src/rollout/kubeadm.ts';
import { V3, V4 } from '../targets/kubeadm-config/configs.ts';
import { World } from './world.ts';

const TYPE = 'KubeadmConfigSynced';

function world(text = V4, nodes = ['a', 'b']): World {
  const w = new World(nodes);
  w.kubeadm = { state: 'There', text, annotation: undefined, resourceVersion: '1', hasAnnotations: false };
  w.change({ kubeadmConfig: 'Sync', rollout: { minReadySeconds: 0 } });
  return w;
}
const textIn = (w: World): string | undefined => (w.kubeadm.state === 'There' ? w.kubeadm.text : undefined);
const named = (w: World): string | undefined => namedByKubeadm(w.kubeadm);
const edit = (w: World, change: (text: string) => string): void => {
  if (w.kubeadm.state !== 'There') throw new Error('no kubeadm-config');
  const resourceVersion = `${Number(w.kubeadm.resourceVersion) + 1}`;
  w.kubeadm = { ...w.kubeadm, text: change(w.kubeadm.text ?? ''), resourceVersion };
};

/** At no moment may kubeadm render what a node has no files of. */
function checkNames(w: World): void {
  const digest = named(w);
  for (const [name, n] of w.nodes) {
    const { current, lastKnownGood } = n.status;
    const kept = [current, lastKnownGood, n.spec?.desired.revision?.digest, ...(n.spec?.keep ?? [])];
    if (digest !== undefined && !kept.includes(digest)) throw new Error(`${name} has no files of ${digest}`);
  }
}
function run(w: World, steps?: () => number): void {
  for (let i = 0; i < 60; i++) {
    w.run(steps, 1);
    checkNames(w);
  }
}

describe('kubeadm-config with Sync', () => {
  it.each([
    ['v1beta3', V3],
    ['v1beta4', V4],
  ])('%s: it is written once every node runs the revision, and not again', (_, text) => {
    const w = world(text);
    w.run(() => 99, 1);
    expect(w.condition(TYPE)).toMatchObject({ status: 'Unknown', reason: 'Waiting' });
    expect(textIn(w)).toBe(text);
    run(w);
    expect(w.condition(TYPE)).toMatchObject({ status: 'True', reason: 'Synced' });
    expect(w.condition('Ready')).toMatchObject({ status: 'True' });
    expect(named(w)).toBe(w.status.revision?.digest);
    expect(w.kubeadmWrites).toHaveLength(1);
    expect(decide(w.facts()).kubeadm).toBeUndefined();
  });

  it('while a newer revision is on its way the one before is named, and kept on every node', () => {
    const w = world();
    run(w);
    const first = named(w);
    w.bad.clear();
    w.change({ policy: { preset: 'minimal' } });
    w.run(() => 99, 1);
    expect(named(w)).toBe(first);
    const told = [...w.nodes.values()].filter((n) => n.spec?.desired.revision?.digest !== first);
    expect(told.map((n) => n.spec?.keep)).toEqual([[first]]);
    run(w);
    expect(named(w)).toBe(w.status.revision?.digest);
    expect(named(w)).not.toBe(first);
  });

  it('a revision that a node went back from is never named', () => {
    const w = world();
    run(w);
    const first = named(w);
    w.change({ policy: { preset: 'minimal' } });
    w.bad.add(decide(w.facts()).publish?.digest ?? '');
    run(w);
    expect(w.condition('RolledOut')).toMatchObject({ reason: 'NodeHeld' });
    expect(w.condition(TYPE)).toMatchObject({ status: 'Unknown', reason: 'Waiting' });
    expect(named(w)).toBe(first);
  });

  it.each([
    ['deletion', (w: World) => void (w.deleting = true)],
    ['state: Disabled', (w: World) => w.change({ state: 'Disabled' })],
  ])('%s: it is set back before the first node is asked to remove anything', (_, end) => {
    const w = world();
    run(w);
    end(w);
    w.definition = 'Served';
    const d = decide(w.facts());
    expect(d.kubeadm).toMatchObject({ annotation: null, text: V4 });
    expect(d.assign?.spec.desired).toEqual({ type: 'Removed' });
    // Dies right after the patch.
    w.act(d, 3);
    expect([textIn(w), named(w)]).toEqual([V4, undefined]);
    run(w);
    expect(w.currents()).toEqual([undefined, undefined]);
    expect(w.condition(TYPE)).toBeUndefined();
    expect(textIn(w)).toBe(V4);
  });

  it('a controller that dies after any step of any reconcile never names what a node has not', () => {
    for (let seed = 1; seed <= 4; seed++) {
      let x = seed;
      const steps = (): number => (x = (x * 48_271) % 2_147_483_647) % 7;
      const w = world(V4, ['a', 'b', 'c']);
      run(w, steps);
      w.change({ policy: { preset: 'minimal' } });
      run(w, steps);
      w.deleting = true;
      w.definition = 'Served';
      run(w, steps);
      run(w);
      expect(textIn(w)).toBe(V4);
      expect(w.finalizer).toBe(false);
    }
  }, 120_000);

  it('Ignore instead of Sync takes ours out, and never touches what is not ours', () => {
    const w = world();
    run(w);
    w.change({ kubeadmConfig: 'Ignore' });
    run(w);
    expect([textIn(w), named(w), w.condition(TYPE)]).toEqual([V4, undefined, undefined]);
    expect(w.condition('Ready')).toMatchObject({ status: 'True' });
    const other = world('rubbish');
    other.change({ kubeadmConfig: undefined });
    run(other);
    expect([textIn(other), other.condition(TYPE)]).toEqual(['rubbish', undefined]);
  });

  it('a CRD that is being deleted takes nothing out', () => {
    const w = world();
    run(w);
    w.deleting = true;
    w.definition = 'Leaving';
    expect(decide(w.facts()).kubeadm).toBeUndefined();
  });

  it('a spec that is not accepted leaves it, and what is said of it, as it is', () => {
    const w = world();
    run(w);
    const before = textIn(w);
    w.change({ policy: { preset: 'metadata', rules: [{ level: 'Nonsense' }] } });
    run(w);
    expect(w.condition('Accepted')).toMatchObject({ status: 'False' });
    expect([textIn(w), w.condition(TYPE)?.reason]).toEqual([before, 'Synced']);
  });

  it('no kubeadm-config is said, and holds nothing back', () => {
    const w = world();
    w.kubeadm = { state: 'Absent' };
    run(w);
    expect(w.condition(TYPE)).toMatchObject({ status: 'Unknown', reason: 'NoKubeadmConfig' });
    expect(w.condition('Ready')).toMatchObject({ status: 'True' });
  });

  it('one that may not be read is said; once it was written, nothing is removed before it can be read again', () => {
    const w = world();
    const there = w.kubeadm;
    w.kubeadm = { state: 'Unknown' };
    run(w);
    expect(w.condition(TYPE)).toMatchObject({ status: 'Unknown', reason: 'NotReadable' });
    w.kubeadm = there;
    run(w);
    const written = w.kubeadm;
    w.kubeadm = { state: 'Unknown' };
    w.change({ state: 'Disabled' });
    run(w);
    expect(w.condition('RolledOut')).toMatchObject({ status: 'False', reason: 'Blocked' });
    expect(w.currents()).not.toContain(undefined);
    w.kubeadm = written;
    run(w);
    expect(w.condition('RolledOut')).toMatchObject({ status: 'True', reason: 'Removed' });
  });

  it.each([
    ['a version that is not understood', V4.replace('v1beta4', 'v1beta2'), 'UnknownVersion'],
    ['no YAML', 'a: [', 'Unreadable'],
    [
      'a volume of our name',
      V4.replace(
        'apiServer:\n',
        'apiServer:\n  extraVolumes: [{name: auditconfig-log, hostPath: /a, mountPath: /a}]\n',
      ),
      'Refused',
    ],
  ])('%s is refused, said, and left as it is', (_, text, reason) => {
    const w = world(text);
    run(w);
    expect(w.condition(TYPE)).toMatchObject({ status: 'False', reason });
    expect(w.condition('Ready')).toMatchObject({ status: 'False', reason });
    expect(w.condition('RolledOut')).toMatchObject({ status: 'True' });
    expect(textIn(w)).toBe(text);
  });

  it('ours in a version that nobody knows yet holds the removal, until somebody takes it out', () => {
    const w = world();
    run(w);
    edit(w, (t) => t.replace('v1beta4', 'v1beta5'));
    w.deleting = true;
    w.definition = 'Served';
    run(w);
    expect(w.condition('RolledOut')).toMatchObject({ status: 'False', reason: 'Blocked' });
    expect([w.finalizer, w.currents().includes(undefined)]).toEqual([true, false]);
    if (w.kubeadm.state === 'There') w.kubeadm = { ...w.kubeadm, annotation: undefined };
    run(w);
    expect([w.finalizer, w.currents()]).toEqual([false, [undefined, undefined]]);
  });

  it('of two AuditConfigs the one that it follows keeps it', () => {
    const w = world();
    if (w.kubeadm.state === 'There') w.kubeadm = { ...w.kubeadm, taken: 'auditconfig-system/older' };
    run(w);
    expect(w.condition(TYPE)).toMatchObject({ status: 'False', reason: 'OtherOwner' });
    expect(textIn(w)).toBe(V4);
  });

  it('an edit of our flags is put right; the fourth time in an hour it is left alone, for an hour', () => {
    const w = world();
    run(w);
    const ours = textIn(w);
    const undo = (): void => edit(w, (t) => t.replace('value: "30"', 'value: "3"'));
    for (let i = 0; i < 3; i++) {
      undo();
      run(w);
      expect(textIn(w)).toBe(ours);
    }
    undo();
    w.act(decide(w.facts()));
    expect(w.condition(TYPE)).toMatchObject({ status: 'False', reason: 'Fight' });
    expect(textIn(w)).not.toBe(ours);
    expect(decide(w.facts()).requeueAfterMs).toBeGreaterThan(0);
    w.now += 3_600_000;
    run(w);
    expect(textIn(w)).toBe(ours);
  });
});
