/** The way back from a webhook that blocks requests, where systemd starts the API server: as on static pods, with no guard but the agent. */
import { describe, expect, it } from 'vitest';
import { FallbackWatch } from '../../src/agent/fallback.ts';
import { applyRevision, resume } from '../../src/node/apply-revision.ts';
import { dueFallback, endFallback, fallBack, prepareFallback } from '../../src/node/fallback.ts';
import type { ApplyOutcome } from '../../src/node/outcome.ts';
import { readState } from '../../src/node/state-file.ts';
import { batchTwin } from '../../src/render/batch-twin.ts';
import type { Revision } from '../../src/render/types.ts';
import { DEFAULT_RULES } from '../../src/rollout/node-state.ts';
import { DEFAULT_LAYOUT } from '../../src/targets/host-layout.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { Killed, MemoryDisk } from '../host/memory-disk.ts';
import { holding, render, revisionOf, WEBHOOK } from '../render/inputs.ts';
import { CASES } from './unit-cases.ts';
import { UnitWorld } from './unit-world.ts';
import type { UnitWorldOptions } from './unit-world.ts';

const never = new AbortController().signal;
const { stateDir, revisionsDir } = DEFAULT_LAYOUT;
const hooked = (mode: 'Blocking' | 'BlockingStrict', token = 'one'): Revision =>
  revisionOf(
    render(
      { webhook: { secretRef: { name: 'w' }, mode } },
      { webhook: holding({ 'webhook.yaml': WEBHOOK.replace('CANARY-token', token) }) },
    ),
  );
const BATCH = '--audit-webhook-mode=batch';

describe.each(CASES)('$kind', ({ kind, place, files, file }) => {
  const common = (w: UnitWorld, timeoutMs = 60_000) => ({
    host: w.host,
    spec: place,
    version: '1.36' as const,
    rules: { ...DEFAULT_RULES, timeoutMs },
    signal: never,
  });
  const bring = (w: UnitWorld, to: Revision | null, again = false): Promise<ApplyOutcome> =>
    applyRevision({ ...common(w), to, checks: [], again });
  /** As the worker installs one. */
  async function installed(to: Revision, more: Partial<UnitWorldOptions> = {}): Promise<UnitWorld> {
    const w = new UnitWorld(new MemoryDisk(files), { kind, file, behaves: () => 'good', ...more });
    const prepare = () => prepareFallback({ host: w.host, spec: place, to, signal: never });
    expect(await prepare()).toBeUndefined();
    expect((await bring(w, to)).kind).toBe('Settled');
    expect(await prepare()).toBeUndefined();
    return w;
  }
  async function fallenBack(w: UnitWorld, timeoutMs?: number): Promise<ApplyOutcome> {
    const due = await dueFallback({ host: w.host, spec: place }, '1.36');
    if (due === undefined) throw new Error('nothing is prepared');
    return fallBack(common(w, timeoutMs), due);
  }
  const stateOf = async (w: UnitWorld) => (await readState(w.disk, stateDir))?.state;

  it.each(['Blocking', 'BlockingStrict'] as const)(
    'goes from %s to Batch in one restart, and stays there',
    async (mode) => {
      const to = hooked(mode);
      const twin = batchTwin(to)?.digest ?? '';
      const w = await installed(to);
      expect(w.disk.text(`${revisionsDir}/${twin.slice(0, 16)}/token`)).toBe('one');
      const { asked } = w;
      expect(await fallenBack(w)).toMatchObject({
        kind: 'RolledBack',
        failure: { reason: 'WebhookFallback', digest: to.digest },
      });
      expect([w.args.includes(BATCH), w.isReady, w.asked - asked]).toEqual([true, true, 1]);
      expect(await stateOf(w)).toMatchObject({ phase: 'Held', current: twin, refused: to.digest });
      // What was asked before is asked on, and is no loop.
      expect(await bring(w, to)).toMatchObject({ kind: 'Held', failure: { reason: 'WebhookFallback' } });
      expect([w.args.includes(BATCH), w.asked - asked]).toEqual([true, 1]);
      expect((await bring(w, to, true)).kind).toBe('Settled');
      expect(w.args.includes(BATCH)).toBe(false);
    },
  );

  it('waits for what hangs to be killed, however short the time of a rollout is', async () => {
    const to = hooked('Blocking');
    const hangs = '--audit-webhook-mode=blocking';
    const endsAfterMs = (args: readonly string[]): number => (args.includes(hangs) ? 91_000 : 1_000);
    const w = await installed(to, { endsAfterMs });
    expect(await fallenBack(w, 30_000)).toMatchObject({ kind: 'RolledBack', failure: { reason: 'WebhookFallback' } });
    expect([w.args.includes(BATCH), w.isReady]).toEqual([true, true]);
  });

  it('goes back to what it had from a Batch that does not come up, and is left alone for an hour', async () => {
    const to = hooked('Blocking');
    const w = await installed(to, { behaves: (args) => (args.includes(BATCH) ? 'crashes' : 'good') });
    expect(await fallenBack(w)).toMatchObject({ kind: 'RolledBack', failure: { reason: 'CrashLoop' } });
    expect([w.args.includes(BATCH), w.isReady]).toEqual([false, true]);
    expect(await dueFallback({ host: w.host, spec: place }, '1.36')).toBeUndefined();
    w.now += 3_600_001;
    expect(await dueFallback({ host: w.host, spec: place }, '1.36')).toBeDefined();
  });

  it('is due after a minute in which its own API server answers nothing, by its flags as they stand there', async () => {
    const to = hooked('Blocking');
    const w = await installed(to);
    const asked = new Set<string>();
    let due = 0;
    const watch = new FallbackWatch({
      host: w.host,
      spec: place,
      ask: (address) => {
        asked.add(`${address.host}:${address.port}`);
        w.now += 10_000;
        return Promise.resolve({ is: 'Waits', why: 'Timeout' });
      },
      node: 'cp-1',
      bundles: () => 'bundles',
      version: () => '1.36',
      due: () => (due += 1),
      log: createLogger({ name: 'test', level: 'silent' }),
    });
    for (let i = 0; i < 5; i++) await watch.look(never);
    expect([due, asked]).toEqual([0, new Set(['127.0.0.1:6443'])]);
    await watch.look(never);
    expect(due).toBe(1);
    await fallenBack(w);
    // In mode Batch nobody waits, and nobody is asked.
    asked.clear();
    for (let i = 0; i < 20; i++) await watch.look(never);
    expect([due, asked.size]).toEqual([1, 0]);
  });

  it('is at hand again as soon as somebody has it block again', async () => {
    const to = hooked('Blocking');
    const w = await installed(to);
    await fallenBack(w);
    expect((await bring(w, to, true)).kind).toBe('Settled');
    expect(w.args.includes(BATCH)).toBe(false);
    expect(await fallenBack(w)).toMatchObject({ kind: 'RolledBack', failure: { reason: 'WebhookFallback' } });
    expect([w.args.includes(BATCH), w.isReady]).toEqual([true, true]);
  });

  it('comes to its end from a kill at the first operations on the disk, and at every seventh after them', async () => {
    const to = hooked('Blocking');
    const twin = batchTwin(to)?.digest;
    const whole = await installed(to);
    const first = whole.disk.operations.length;
    await fallenBack(whole);
    const last = whole.disk.operations.length;
    expect(last - first).toBeGreaterThan(5);
    for (let at = first; at < last; at += at < first + 4 ? 1 : 7) {
      const w = await installed(to);
      w.disk.fault = { kind: 'kill', at, after: at % 2 === 0 };
      await fallenBack(w).catch((e: unknown) => {
        if (!(e instanceof Killed)) throw e;
      });
      w.disk = w.disk.reopened();
      w.pass(5_000);
      // As the worker begins: what is in flight, then the word of it. Where nothing had begun, it is seen to hang again.
      await resume({ host: w.host, spec: place, signal: never });
      await endFallback({ host: w.host, spec: place, signal: never });
      if ((await stateOf(w))?.phase === 'Settled') await fallenBack(w);
      expect(await stateOf(w), `operation ${at}`).toMatchObject({ phase: 'Held', current: twin, refused: to.digest });
      expect([w.args.includes(BATCH), w.isReady], `operation ${at}`).toEqual([true, true]);
    }
  }, 120_000);
});
