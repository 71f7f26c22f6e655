/** Names that are followed: asked for once in their TTL, told where they change, quiet where they do not, ended by their signal. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Names, askAgainMs, remember } from '../../src/controllers/hosted/names.ts';
import type { Record } from '../../src/controllers/hosted/names.ts';

const a = (address: string, ttlSeconds = 60): Record => ({ address, ttlSeconds });

class World {
  readonly asked: string[] = [];
  readonly changed: string[] = [];
  answer: readonly Record[] | undefined = [a('203.0.113.1')];
  readonly stop = new AbortController();
  readonly names = new Names({
    resolve: (name) => {
      this.asked.push(name);
      return Promise.resolve(this.answer);
    },
    changed: (name) => this.changed.push(name),
    now: Date.now,
    random: () => 0,
  });
  addresses(name = 'x'): Promise<readonly string[] | undefined> {
    return this.names.addressesOf(name, 10, this.stop.signal);
  }
}

describe('a name that is followed', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('is asked for once in its TTL, by whomever it is needed, and nobody is told the same twice', async () => {
    const w = new World();
    w.names.follow('x', w.stop.signal);
    w.names.follow('x', w.stop.signal);
    await vi.advanceTimersByTimeAsync(59_000);
    expect([w.asked.length, w.changed, await w.addresses()]).toEqual([1, ['x'], ['203.0.113.1']]);
    await vi.advanceTimersByTimeAsync(10 * 60_000);
    expect([w.asked.length, w.changed.length]).toEqual([11, 1]);
  });

  it('tells of another address, and keeps the one before for a while', async () => {
    const w = new World();
    w.names.follow('x', w.stop.signal);
    await vi.advanceTimersByTimeAsync(1);
    w.answer = [a('203.0.113.2'), a('2001:db8::2')];
    await vi.advanceTimersByTimeAsync(60_000);
    expect([w.changed.length, await w.addresses()]).toEqual([2, ['2001:db8::2', '203.0.113.1', '203.0.113.2']]);
    await vi.advanceTimersByTimeAsync(16 * 60_000);
    expect([w.changed.length, await w.addresses()]).toEqual([3, ['2001:db8::2', '203.0.113.2']]);
  });

  it('keeps what it had while nobody answers, however long', async () => {
    const w = new World();
    w.names.follow('x', w.stop.signal);
    await vi.advanceTimersByTimeAsync(1);
    w.answer = undefined;
    await vi.advanceTimersByTimeAsync(3 * 3_600_000);
    expect([w.changed.length, await w.addresses()]).toEqual([1, ['203.0.113.1']]);
  });

  it('is not known before the first answer, and has no address where there is none', async () => {
    const w = new World();
    w.answer = undefined;
    w.names.follow('x', w.stop.signal);
    const waiting = w.addresses();
    await vi.advanceTimersByTimeAsync(20);
    expect(await waiting).toBeUndefined();
    w.answer = [];
    await vi.advanceTimersByTimeAsync(60_000);
    expect([w.changed, await w.addresses()]).toEqual([['x'], []]);
  });

  it('is followed no more when nobody needs it, nor after the signal', async () => {
    const w = new World();
    w.names.follow('x', w.stop.signal);
    w.names.follow('y', w.stop.signal);
    await vi.advanceTimersByTimeAsync(1);
    await w.names.only(new Set(['y']));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(w.asked).toEqual(['x', 'y', 'y']);
    w.stop.abort();
    await w.names.only(new Set());
    await vi.advanceTimersByTimeAsync(600_000);
    expect(w.asked.length).toBe(3);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('what an answer means', () => {
  it('a TTL of nothing is no reason to ask all the time, and a long one none to ask never', () => {
    expect([0, 1, 45, 300, 10 ** 7].map((ttl) => askAgainMs([a('x', 9 ** 9), a('y', ttl)], () => 0) / 1000)).toEqual([
      30, 30, 45, 300, 3600,
    ]);
  });
  it('too many addresses: the ones seen last stay', () => {
    const many = Array.from({ length: 100 }, (_, i) => a(`10.0.0.${i}`));
    const before = remember(new Map(), many.slice(0, 60), 1_000);
    const seen = remember(before, many.slice(50), 2_000);
    expect(seen.size).toBe(64);
    expect(many.slice(50).every((r) => seen.has(r.address))).toBe(true);
  });
});
