import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createWorkQueue } from '../../src/kube/queue.ts';
import type { Outcome, WorkQueue } from '../../src/kube/queue.ts';
import { noKubeMetrics } from '../../src/telemetry/kube-metrics.ts';
import { silentLogger } from '../../src/telemetry/logger.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const make = (more: object = {}): WorkQueue<string> =>
  createWorkQueue({
    name: 'q',
    log: silentLogger,
    metrics: noKubeMetrics,
    random: () => 0,
    nextRound: queueMicrotask,
    ...more,
  });
const flush = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

/** A reconciler whose calls end when the test says so. */
function manual() {
  const open: { key: string; end: (outcome?: Outcome) => void; signal: AbortSignal }[] = [];
  const calls: string[] = [];
  const reconcile = (key: string, signal: AbortSignal): Promise<Outcome> => {
    calls.push(key);
    return new Promise((resolve) => open.push({ key, signal, end: (o = { kind: 'Done' }) => resolve(o) }));
  };
  return { open, calls, reconcile };
}

describe('the work queue', () => {
  it('holds a key once however often it is added', async () => {
    const queue = make();
    for (let i = 0; i < 5; i++) queue.add('a');
    queue.add('b');
    expect(queue.depth).toBe(2);
    const { calls, reconcile } = manual();
    void queue.work({ workers: 4, reconcile }, new AbortController().signal);
    await flush();
    expect(calls).toEqual(['a', 'b']);
  });

  it('never works on a key twice at a time, and works on it again when it was added meanwhile', async () => {
    const queue = make();
    const { calls, open, reconcile } = manual();
    void queue.work({ workers: 3, reconcile }, new AbortController().signal);
    queue.add('a');
    await flush();
    queue.add('a');
    queue.add('a');
    await flush();
    expect(calls).toEqual(['a']);
    open[0]?.end();
    await flush();
    expect(calls).toEqual(['a', 'a']);
    open[1]?.end();
    await flush();
    expect(calls).toHaveLength(2);
    expect(queue.inFlight).toBe(0);
  });

  it('works on as many keys at a time as it has workers', async () => {
    const queue = make();
    const { open, reconcile } = manual();
    for (const k of 'abcde') queue.add(k);
    void queue.work({ workers: 2, reconcile }, new AbortController().signal);
    await flush();
    expect(queue.inFlight).toBe(2);
    expect(queue.depth).toBe(3);
    open[0]?.end();
    await flush();
    expect(open.map((o) => o.key)).toEqual(['a', 'b', 'c']);
  });

  it('takes what is looked at to be sure after all that changed, and at once when that changes too', async () => {
    const queue = make();
    const { open, calls, reconcile } = manual();
    for (const k of ['idle-1', 'idle-2', 'idle-3']) queue.addIdle(k);
    queue.addIdle('idle-1');
    queue.add('changed-1');
    queue.add('idle-3');
    queue.addIdle('changed-1');
    expect(queue.depth).toBe(4);
    void queue.work({ workers: 1, reconcile }, new AbortController().signal);
    for (let i = 0; i < 4; i++) {
      await flush();
      // Worked on when it is added: looked at once more, as ever.
      if (i === 3) queue.addIdle(calls[3] ?? '');
      open[i]?.end();
    }
    await flush();
    expect(calls).toEqual(['changed-1', 'idle-3', 'idle-1', 'idle-2', 'idle-2']);
    open[4]?.end();
    await flush();
    expect([queue.depth, queue.inFlight]).toEqual([0, 0]);
  });

  it('takes one in eight of those that let others pass, however much changes', async () => {
    const queue = make();
    const { open, calls, reconcile } = manual();
    for (let i = 0; i < 3; i++) queue.addIdle(`idle-${i}`);
    for (let i = 0; i < 40; i++) queue.add(`changed-${i}`);
    void queue.work({ workers: 1, reconcile }, new AbortController().signal);
    for (let i = 0; i < 24; i++) {
      await flush();
      open[i]?.end();
    }
    const seen = calls.slice(0, 24).flatMap((k, i) => (k.startsWith('idle') ? [`${k} as ${i + 1}`] : []));
    expect(seen).toEqual(['idle-0 as 8', 'idle-1 as 16', 'idle-2 as 24']);
  });

  it('works on a key that fails at most once a second, however often somebody else adds it, until it succeeds', async () => {
    const queue = make();
    let fails = true;
    let calls = 0;
    const reconcile = (): Promise<Outcome> => {
      calls += 1;
      // As an event of the very write that made it fail.
      if (fails) queue.add('a');
      return Promise.resolve(fails ? { kind: 'Retry' } : { kind: 'Done' });
    };
    const stop = new AbortController();
    const ended = queue.work({ workers: 2, reconcile }, stop.signal);
    queue.add('a');
    for (let ms = 0; ms < 10_000; ms += 20) {
      await vi.advanceTimersByTimeAsync(20);
      queue.add('a');
    }
    expect(calls).toBeGreaterThanOrEqual(9);
    expect(calls).toBeLessThanOrEqual(20);
    // Whatever it failed for is over: it is known within a second, not when its own wait of up to a minute ends.
    await vi.advanceTimersByTimeAsync(60_000);
    fails = false;
    calls = 0;
    queue.add('a');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(calls).toBeGreaterThanOrEqual(1);
    stop.abort();
    await ended;
  });

  it('waits twice as long for each failure of a key, not for other keys, and forgets after a success', async () => {
    const queue = make({ firstRetryMs: 100, maxRetryMs: 300 });
    const at: number[] = [];
    let fails = 4;
    const begun = performance.now();
    const reconcile = (key: string): Promise<Outcome> => {
      if (key === 'other') return Promise.resolve({ kind: 'Done' });
      at.push(Math.round(performance.now() - begun));
      return Promise.resolve(fails-- > 0 ? { kind: 'Retry' } : { kind: 'Done' });
    };
    void queue.work({ workers: 1, reconcile }, new AbortController().signal);
    queue.add('a');
    queue.add('other');
    await vi.advanceTimersByTimeAsync(2_000);
    expect(at).toEqual([0, 100, 300, 600, 900]);
    fails = 1;
    at.length = 0;
    queue.add('a');
    await vi.advanceTimersByTimeAsync(150);
    expect(at).toHaveLength(2);
  });

  it('retries what threw, and honours the wait that a server asked for', async () => {
    const queue = make({ firstRetryMs: 100 });
    const at: number[] = [];
    const begun = performance.now();
    const reconcile = (): Promise<Outcome> => {
      at.push(Math.round(performance.now() - begun));
      if (at.length === 1) throw new Error('a bug');
      return Promise.resolve(at.length === 2 ? { kind: 'Retry', afterMs: 5_000 } : { kind: 'Done' });
    };
    void queue.work({ workers: 1, reconcile }, new AbortController().signal);
    queue.add('a');
    await vi.advanceTimersByTimeAsync(10_000);
    expect(at).toEqual([0, 100, 5_100]);
  });

  it('adds later at the earlier of two times', async () => {
    const queue = make();
    queue.addAfter('a', 500);
    queue.addAfter('a', 100);
    queue.addAfter('a', 900);
    await vi.advanceTimersByTimeAsync(99);
    expect(queue.depth).toBe(0);
    await vi.advanceTimersByTimeAsync(1);
    expect(queue.depth).toBe(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('looks again after the time that a reconcile asked for', async () => {
    const queue = make();
    const calls: number[] = [];
    const reconcile = (): Promise<Outcome> => {
      calls.push(performance.now());
      return Promise.resolve(calls.length < 3 ? { kind: 'Again', afterMs: 1_000 } : { kind: 'Done' });
    };
    void queue.work({ workers: 1, reconcile }, new AbortController().signal);
    queue.add('a');
    await vi.advanceTimersByTimeAsync(10_000);
    expect(calls).toHaveLength(3);
  });

  it('takes nothing while the gate is shut', async () => {
    const queue = make();
    const { calls, reconcile } = manual();
    let open = (): void => undefined;
    const gate = (): Promise<void> => new Promise((resolve) => (open = resolve));
    void queue.work({ workers: 1, reconcile, gate }, new AbortController().signal);
    for (let i = 0; i < 9; i++) queue.add('a');
    await flush();
    expect(calls).toEqual([]);
    open();
    await flush();
    expect(calls).toEqual(['a']);
  });

  it('ends when what is in flight has ended, takes nothing new, and leaves no timer', async () => {
    const queue = make();
    const { calls, open, reconcile } = manual();
    const stop = new AbortController();
    let ended = false;
    const work = queue.work({ workers: 2, reconcile, graceMs: 1_000 }, stop.signal).then(() => (ended = true));
    queue.add('a');
    await flush();
    queue.add('b');
    queue.addAfter('c', 50);
    await flush();
    queue.add('d');
    stop.abort();
    await vi.advanceTimersByTimeAsync(999);
    expect(ended).toBe(false);
    expect(open[0]?.signal.aborted).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(open.every((o) => o.signal.aborted)).toBe(true);
    for (const o of open) o.end({ kind: 'Retry' });
    await work;
    expect(calls).toEqual(['a', 'b']);
    expect(vi.getTimerCount()).toBe(0);
    expect(queue.depth).toBe(0);
  });
});

describe('a work queue of thousands of keys that ask nobody for anything', () => {
  it('works on one in each round of the event loop, so that timers and answers have their turn', async () => {
    vi.useRealTimers();
    const queue = createWorkQueue({ name: 'q', log: silentLogger, metrics: noKubeMetrics });
    for (let i = 0; i < 100; i++) queue.add(`key-${i}`);
    const stop = new AbortController();
    let most = 0;
    let thisRound = 0;
    let done = 0;
    let rounds = 0;
    const round = (): void => {
      [most, thisRound, rounds] = [Math.max(most, thisRound), 0, rounds + 1];
      if (done < 100) setImmediate(round);
      else stop.abort();
    };
    setImmediate(round);
    const reconcile = (): Promise<Outcome> => {
      thisRound += 1;
      done += 1;
      return Promise.resolve({ kind: 'Done' });
    };
    await queue.work({ workers: 8, reconcile }, stop.signal);
    expect([done, most]).toEqual([100, 1]);
    expect(rounds).toBeGreaterThanOrEqual(100);
  });
});
