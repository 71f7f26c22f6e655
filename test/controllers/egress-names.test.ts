/** Names that are followed: asked for once in their TTL, told where they change, quiet where they do not, ended by their signal. */
import { createSocket } from 'node:dgram';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Names, askAgainMs, remember, resolveName } from '../../src/controllers/hosted/names.ts';
import type { Answered } from '../../src/controllers/hosted/names.ts';

const a = (address: string, ttlSeconds = 60): Answered => ({ address, ttlSeconds });

class World {
  readonly asked: string[] = [];
  readonly changed: string[] = [];
  answer: readonly Answered[] | undefined = [a('203.0.113.1')];
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

/** A DNS server that knows one name; of another it says that there is none, and to `silent` it says nothing. */
async function server(): Promise<{ readonly at: string; close(): void }> {
  const socket = createSocket('udp4');
  socket.on('message', (question, from) => {
    const end = question.indexOf(0, 12) + 5;
    const type = question.readUInt16BE(end - 4);
    const text = question.toString('latin1', 12, end);
    if (text.includes('silent')) return;
    const isKnown = text.includes('known');
    const data = type === 1 ? [203, 0, 113, 7] : [0x20, 1, 0x0d, 0xb8, ...Array<number>(11).fill(0), 7];
    const answer = Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, type === 1 ? 77 : 99, 0, data.length, ...data]);
    const header = Buffer.from(question.subarray(0, 12));
    header.writeUInt16BE(isKnown ? 0x8180 : 0x8183, 2);
    header.writeUInt16BE(isKnown ? 1 : 0, 6);
    header.fill(0, 8, 12);
    socket.send(Buffer.concat([header, question.subarray(12, end), ...(isKnown ? [answer] : [])]), from.port);
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  return { at: `127.0.0.1:${(socket.address() as AddressInfo).port}`, close: () => socket.close() };
}

it('a server’s answer is its addresses with their TTL, none for a name that is not, and nothing where it is cancelled', async () => {
  const dns = await server();
  const stop = new AbortController();
  const ask = (name: string) => resolveName(name, stop.signal, [dns.at]);
  expect(await ask('known.example.org')).toEqual([a('203.0.113.7', 77), a('2001:db8::7', 99)]);
  expect(await ask('nobody.example.org')).toEqual([]);
  const waiting = ask('silent.example.org');
  stop.abort();
  expect(await waiting).toBeUndefined();
  dns.close();
});
