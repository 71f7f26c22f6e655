/** When a restart may begin, as decided by the controller and as people read it: windows, waits, failures, dead nodes. */
import { describe, expect, it } from 'vitest';
import { decide } from '../../src/rollout/decide.ts';
import { World } from './world.ts';

const HOUR = 3_600_000;
/** The world begins at midnight. */
const windows = [{ start: '02:00', durationMinutes: 60 }];

const waiting = (w: World, name: string, waits: { reason: string; node?: string }, message: string): void => {
  const node = w.nodes.get(name);
  if (node === undefined) throw new Error(`there is no node ${name}`);
  node.status = { ...node.status, observedGeneration: node.generation, phase: 'Waiting', waiting: waits, message };
};

describe('windows', () => {
  it('hold every node back until the next one opens, which is said, and looked at exactly then', () => {
    const w = new World(['a', 'b']);
    w.spec = { ...w.spec, rollout: { windows, minReadySeconds: 0 } };
    w.act(decide(w.facts()));
    const d = decide(w.facts());
    expect(d.assign).toBeUndefined();
    expect(d.requeueAfterMs).toBe(2 * HOUR);
    w.act(d);
    expect(w.condition('RolledOut')).toMatchObject({ status: 'False', reason: 'OutsideWindow' });
    expect(w.condition('RolledOut')?.message).toContain('2026-01-01T02:00:00Z');
    expect(w.condition('Reconciling')?.status).toBe('True');
    w.now += 2 * HOUR;
    expect(decide(w.facts()).assign?.node).toBe('a');
  });

  it('that close in the middle stop what has not begun', () => {
    const w = new World(['a', 'b']);
    w.spec = { ...w.spec, rollout: { windows, minReadySeconds: 0 } };
    w.now += 2 * HOUR + 59 * 60_000;
    w.run(() => 99, 2);
    expect(w.currents().filter((c) => c !== undefined)).toHaveLength(1);
    w.now += 60_000;
    expect(decide(w.facts()).assign).toBeUndefined();
    expect(decide(w.facts()).requeueAfterMs).toBe(23 * HOUR);
  });

  it('of a zone that nobody knows are not accepted', () => {
    const w = new World(['a']);
    w.spec = { ...w.spec, rollout: { windows: [{ ...windows[0], timeZone: 'Europe/Berln' }] } };
    w.run();
    expect(w.condition('Accepted')).toMatchObject({ status: 'False', reason: 'InvalidSpec' });
    expect(w.condition('Accepted')?.message).toContain('timeZone');
  });
});

describe('a node whose agent waits for its turn', () => {
  const started = (): World => {
    const w = new World(['a', 'b', 'c']);
    w.act(decide(w.facts()));
    w.act(decide(w.facts()));
    return w;
  };

  it('is said with the reason, and the node that it waits for', () => {
    const w = started();
    waiting(w, 'a', { reason: 'PeerNotReady', node: 'c' }, 'the API server of node c is not ready');
    w.busyNode = 'z';
    w.act(decide(w.facts()));
    expect(w.condition('RolledOut')).toMatchObject({ status: 'False', reason: 'Waiting' });
    expect(w.condition('RolledOut')?.message).toContain('node a waits: the API server of node c is not ready');
    expect(w.status.nodes?.worst?.[0]).toMatchObject({ name: 'a', phase: 'Waiting' });
  });

  it.each(['Paused', 'OutsideWindow'])('for %s has that reason', (reason) => {
    const w = started();
    waiting(w, 'a', { reason }, 'not now');
    w.act(decide(w.facts()));
    expect(w.condition('RolledOut')).toMatchObject({ status: 'False', reason });
  });

  it('holds back the next, and is not told again', () => {
    const w = started();
    waiting(w, 'a', { reason: 'LeaseHeld', node: 'z' }, 'z restarts');
    const d = decide(w.facts());
    expect(d.assign).toBeUndefined();
    w.act(d);
    expect(decide(w.facts()).status).toEqual(w.status);
  });
});

describe('failures', () => {
  const failing = (maxFailures: number): World => {
    const w = new World(['a', 'b', 'c']);
    w.run();
    w.change({ policy: { preset: 'minimal' }, rollout: { maxFailures } });
    w.bad.add(decide(w.facts()).publish?.digest ?? '');
    w.run();
    return w;
  };
  it.each([1, 2])('stop the rollout when there are %d', (maxFailures) => {
    const w = failing(maxFailures);
    expect(w.status.nodes).toMatchObject({ failed: maxFailures, updated: 0 });
    expect(w.condition('RolledOut')).toMatchObject({ status: 'False', reason: 'NodeHeld' });
  });

  it('that nobody is to blame for are told apart', () => {
    const w = failing(1);
    const node = w.nodes.get('a');
    if (node?.status.lastFailure === undefined) throw new Error('it did not fail');
    node.status = { ...node.status, lastFailure: { ...node.status.lastFailure, reason: 'Inconclusive' } };
    w.act(decide(w.facts()));
    expect(w.condition('Degraded')).toMatchObject({ status: 'True', reason: 'Inconclusive' });
  });
});

describe('a node whose kubelet is gone in the middle of its change', () => {
  const dying = (allowDegraded: boolean, awayMs: number) => {
    const w = new World(['a', 'b']);
    w.spec = { ...w.spec, rollout: { allowDegraded } };
    w.act(decide(w.facts()));
    w.act(decide(w.facts()));
    const readiness = { ready: false, since: w.now - awayMs };
    const facts = w.facts();
    // The controller asks for Nodes only where it is allowed to go on without them.
    const nodes = facts.nodes.map((n) => (n.name === 'a' && allowDegraded ? { ...n, readiness } : n));
    return decide({ ...facts, nodes });
  };

  it('holds back the next', () => {
    expect(dying(false, 24 * HOUR).assign).toBeUndefined();
  });
  it('holds back nobody where allowDegraded is set, after twice its time limit and ten minutes', () => {
    expect(dying(true, 20 * 60_000).assign?.node).toBe('b');
    const early = dying(true, 20 * 60_000 - 1);
    expect([early.assign, early.requeueAfterMs]).toEqual([undefined, 60_000]);
  });
});

it('nothing is written when nothing has changed', () => {
  const w = new World(['a', 'b', 'c']);
  w.spec = { ...w.spec, rollout: { windows: [{ start: '00:00', durationMinutes: 60 }] } };
  w.run();
  expect(w.condition('Ready')?.status).toBe('True');
  for (const hours of [0, 1, 5, 30]) {
    w.now += hours * HOUR;
    const d = decide(w.facts());
    expect([d.status, d.assign, d.publish, d.forget]).toEqual([w.status, undefined, undefined, []]);
  }
});
