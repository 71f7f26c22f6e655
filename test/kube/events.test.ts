import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { KubeClient } from '../../src/kube/client.ts';
import { fail, ok } from '../../src/kube/errors.ts';
import type { KubeError } from '../../src/kube/errors.ts';
import { createEventRecorder } from '../../src/kube/events.ts';
import type { EventEnd, EventNote } from '../../src/kube/events.ts';
import type { ApiHealth } from '../../src/kube/health.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { noKubeMetrics } from '../../src/telemetry/kube-metrics.ts';
import { silentLogger } from '../../src/telemetry/logger.ts';
import { thing } from './things.ts';

let stop: AbortController;
beforeEach(() => {
  vi.useFakeTimers();
  stop = new AbortController();
});
afterEach(() => {
  stop.abort();
  vi.useRealTimers();
});

function make() {
  const created: KubeObject[] = [];
  const patched: { name: string; patch: unknown }[] = [];
  const outcomes: string[] = [];
  const state: { failWith?: KubeError['code']; patchFails?: KubeError['code']; takesMs?: number } = {};
  const client = {
    create: async (_r: unknown, object: KubeObject) => {
      if (state.takesMs !== undefined) await new Promise((resolve) => setTimeout(resolve, state.takesMs));
      if (state.failWith !== undefined) return fail(state.failWith, 'x');
      created.push(object);
      return ok(object);
    },
    mergePatch: (_r: unknown, ref: { name: string }, patch: unknown) => {
      if (state.patchFails !== undefined) return Promise.resolve(fail(state.patchFails, 'x'));
      patched.push({ name: ref.name, patch });
      return Promise.resolve(ok(thing('x', 1)));
    },
  } as unknown as KubeClient;
  const recorder = createEventRecorder({
    client,
    health: { whenUp: () => Promise.resolve() } as unknown as ApiHealth,
    log: silentLogger,
    metrics: { ...noKubeMetrics, eventSent: (o) => outcomes.push(o) },
    reportingController: 'auditconfig.dev/controller',
    reportingInstance: 'pod-1',
  });
  void recorder.run(stop.signal);
  return { recorder, created, patched, outcomes, state };
}
const note = (text: string, name = 'a'): EventNote => ({
  regarding: { ...thing(name, 1), metadata: { name, namespace: 'd', uid: `uid-${name}`, resourceVersion: '3' } },
  type: 'Warning',
  reason: 'RolledBack',
  action: 'Install',
  note: text,
});
const flush = (): Promise<unknown> => vi.advanceTimersByTimeAsync(10);

describe('events', () => {
  it('name object, reporter, reason and time', async () => {
    const { recorder, created } = make();
    recorder.record(note('it did not start'));
    await flush();
    expect(created).toMatchObject([
      {
        metadata: { namespace: 'd' },
        type: 'Warning',
        reason: 'RolledBack',
        action: 'Install',
        note: 'it did not start',
        reportingController: 'auditconfig.dev/controller',
        reportingInstance: 'pod-1',
        regarding: { kind: 'Thing', apiVersion: 'test.dev/v1', name: 'a', namespace: 'd', uid: 'uid-a' },
      },
    ]);
    expect(created[0]?.['eventTime']).toMatch(/\.\d{6}Z$/);
  });

  it('with an id have that in their name, and are told where they are there already', async () => {
    const { recorder, created, state } = make();
    const ends: EventEnd[] = [];
    const done = (how: EventEnd): void => void ends.push(how);
    recorder.record({ ...note('gap'), id: 'gap-1', done });
    await flush();
    expect(created[0]?.metadata.name).toBe('a.gap-1');
    state.failWith = 'AlreadyExists';
    recorder.record({ ...note('another'), id: 'gap-2', done });
    await flush();
    expect(ends).toEqual(['Told', 'Told']);
  });

  it.each([
    ['Lost', 'ConnectionRefused'],
    ['Refused', 'Forbidden'],
  ] as const)('say that they were %s where the API answers %s', async (how, code) => {
    const { recorder, state } = make();
    const ends: EventEnd[] = [];
    state.failWith = code;
    recorder.record({ ...note('x'), done: (end) => void ends.push(end) });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(ends).toEqual([how]);
  });

  it('that repeat become a count in the series of the first', async () => {
    const { recorder, created, patched } = make();
    for (let i = 0; i < 4; i++) recorder.record(note('again'));
    await flush();
    expect(created).toHaveLength(1);
    expect(patched.map((p) => p.patch)).toMatchObject([
      { series: { count: 2 } },
      { series: { count: 3 } },
      { series: { count: 4 } },
    ]);
    recorder.record(note('something else'));
    await flush();
    expect(created).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(7 * 60_000);
    recorder.record(note('again'));
    await flush();
    expect(created).toHaveLength(3);
  });

  it('are made anew when the server has forgotten the series', async () => {
    const { recorder, created, state } = make();
    recorder.record(note('x'));
    await flush();
    state.patchFails = 'NotFound';
    recorder.record(note('x'));
    await flush();
    expect(created).toHaveLength(2);
    expect(created[0]?.metadata.name).not.toBe(created[1]?.metadata.name);
  });

  it('have a budget for each object, which fills up again', async () => {
    const { recorder, created, outcomes } = make();
    for (let i = 0; i < 100; i++) recorder.record(note(`loop ${i}`));
    recorder.record(note('of another', 'b'));
    await flush();
    expect(created).toHaveLength(26);
    expect(outcomes.filter((o) => o === 'dropped')).toHaveLength(75);
    await vi.advanceTimersByTimeAsync(5 * 60_000);
    recorder.record(note('later'));
    recorder.record(note('too soon'));
    await flush();
    expect(created).toHaveLength(27);
  });

  it('that cannot be written are given up after some tries, and never hold up others', async () => {
    const { recorder, created, outcomes, state } = make();
    state.failWith = 'Forbidden';
    recorder.record(note('no'));
    await flush();
    expect(outcomes).toEqual(['failed']);
    state.failWith = 'Unavailable';
    recorder.record(note('later'));
    await vi.advanceTimersByTimeAsync(700);
    delete state.failWith;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(outcomes).toEqual(['failed', 'created']);
    expect(created).toHaveLength(1);
  });

  it('of thousands of objects leave an API server that has much to do most of its time, and say when it was', async () => {
    const { recorder, created, state } = make();
    state.takesMs = 20;
    const at = new Date().toISOString().replace('Z', '000Z');
    for (let i = 0; i < 500; i++) recorder.record(note('x', `object-${i}`));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(created.length).toBeGreaterThan(90);
    expect(created.length).toBeLessThan(110);
    expect(new Set(created.map((e) => e['eventTime']))).toEqual(new Set([at]));
  });

  it('wait for nothing where there are no others', async () => {
    const { recorder, created, state } = make();
    state.takesMs = 5;
    for (let i = 0; i < 3; i++) {
      recorder.record(note('x', `object-${i}`));
      await flush();
    }
    expect(created).toHaveLength(3);
  });

  it('are cut to what the API takes, between characters', async () => {
    const { recorder, created } = make();
    recorder.record(note('ü'.repeat(2_000)));
    await flush();
    const text = String(created[0]?.['note']);
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(1_024);
    expect(text).not.toContain('�');
  });
});
