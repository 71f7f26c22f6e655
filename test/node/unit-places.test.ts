/** A revision on hosts where systemd starts the API server: installed, proven, rolled back, resumed, removed. */
import { describe, expect, it } from 'vitest';
import { applyRevision, resume } from '../../src/node/apply-revision.ts';
import type { ApplyInput } from '../../src/node/apply-revision.ts';
import type { ApplyOutcome } from '../../src/node/outcome.ts';
import { ProbationWatch } from '../../src/node/probation.ts';
import { readState } from '../../src/node/state-file.ts';
import type { Revision } from '../../src/render/types.ts';
import { DEFAULT_RULES } from '../../src/rollout/node-state.ts';
import { DEFAULT_LAYOUT } from '../../src/targets/host-layout.ts';
import { Killed, MemoryDisk } from '../host/memory-disk.ts';
import { revision } from '../targets/revisions.ts';
import { behaves, CASES } from './unit-cases.ts';
import { UnitWorld } from './unit-world.ts';
import type { UnitWorldOptions } from './unit-world.ts';

const A = revision();
const B = revision({ flags: { '--audit-log-maxage': '7' } });
const BROKEN = revision({ flags: { '--audit-log-mode': 'broken' } });
const HANGING = revision({ flags: { '--audit-log-mode': 'hanging' } });

describe.each(CASES)('$kind', ({ kind, place, files, file }) => {
  const worldWith = (more: Partial<UnitWorldOptions> = {}): UnitWorld =>
    new UnitWorld(new MemoryDisk(files), { kind, file, behaves, ...more });
  const input = (w: UnitWorld): Pick<ApplyInput, 'host' | 'spec' | 'signal'> => ({
    host: w.host,
    spec: place,
    signal: new AbortController().signal,
  });
  const apply = (w: UnitWorld, to: Revision | null, more: Partial<ApplyInput> = {}): Promise<ApplyOutcome> =>
    applyRevision({ ...input(w), to, version: '1.36', ...more });
  /** Past the checks. */
  const force = (w: UnitWorld, to: Revision | null, more: Partial<ApplyInput> = {}): Promise<ApplyOutcome> =>
    apply(w, to, { checks: [], ...more });
  const stateOf = async (w: UnitWorld): Promise<unknown> => (await readState(w.disk, DEFAULT_LAYOUT.stateDir))?.state;

  it('runs a good revision in a new process, after one restart, and is on probation then', async () => {
    const w = worldWith();
    const outcome = await apply(w, A);
    expect(outcome).toMatchObject({ kind: 'Settled', current: A.digest, restarted: true });
    expect(outcome.kind === 'Settled' && outcome.findings.map((f) => f.code)).not.toContain('NoGuard');
    expect([w.asked, w.isReady, w.args.includes('--audit-log-maxage=30')]).toEqual([1, true, true]);
    expect(await stateOf(w)).toEqual({ phase: 'Settled', current: A.digest, lastGood: A.digest });
    expect(await new ProbationWatch().look(input(w))).toEqual({ kind: 'Watching' });
  });

  it('changes and restarts nothing when it is asked for again', async () => {
    const w = worldWith();
    await apply(w, A);
    const before = [w.disk.operations.length, w.asked];
    expect(await apply(w, A)).toMatchObject({ kind: 'Settled', restarted: false });
    expect([w.disk.operations.length, w.asked]).toEqual(before);
  });

  it('goes back by itself from a revision with which it does not start, with its last words as the reason', async () => {
    const w = worldWith();
    await apply(w, A);
    const good = w.disk.text(file);
    const since = w.now;
    expect(await force(w, BROKEN)).toMatchObject({
      kind: 'RolledBack',
      failure: { reason: 'CrashLoop', message: expect.stringContaining('invalid audit log mode') as string },
    });
    expect([w.disk.text(file), w.isReady, w.asked]).toEqual([good, true, 3]);
    expect(w.args).toContain('--audit-log-mode=blocking');
    expect(w.now - since).toBeLessThan(15_000);
    expect(await stateOf(w)).toMatchObject({ phase: 'Held', current: A.digest, refused: BROKEN.digest });
  });

  it('goes back where nobody starts it again after its first crash', async () => {
    const w = worldWith({ restarts: false });
    if (kind === 'RKE2') return; // The kubelet always starts it again.
    expect(await force(w, BROKEN)).toMatchObject({ kind: 'RolledBack', failure: { reason: 'CrashLoop' } });
    expect(w.isReady).toBe(true);
    expect(w.disk.text(file) ?? null).toBe(files[file] ?? null);
  });

  it('goes back after the timeout from one that hangs', async () => {
    const w = worldWith();
    const rules = { ...DEFAULT_RULES, timeoutMs: 30_000 };
    expect(await force(w, HANGING, { rules })).toMatchObject({ failure: { reason: 'NotHealthyInTime' } });
    expect([w.disk.text(file) ?? null, w.isReady]).toEqual([files[file] ?? null, true]);
  });

  it('is removed without a trace', async () => {
    const w = worldWith();
    const untouched = w.disk.snapshot();
    await apply(w, A);
    await apply(w, B);
    expect(await apply(w, null)).toMatchObject({ kind: 'Settled', current: null, restarted: true });
    expect(w.disk.snapshot()).toEqual(untouched);
    expect([w.isReady, w.args]).toEqual([true, []]);
  });

  it('killed between rename and restart, the next life sees the old process and restarts it', async () => {
    const w = worldWith();
    // The rename is done; before systemd is asked, the process ends.
    const killed = { ...w.host, units: { ...w.host.units, restart: async () => Promise.reject(new Killed()) } } as typeof w.host; // prettier-ignore
    await expect(force(w, A, { host: killed })).rejects.toThrow(Killed);
    expect([w.asked, w.args]).toEqual([0, []]);
    expect(await resume(input(w))).toMatchObject({ kind: 'Settled', current: A.digest });
    expect([w.asked, w.isReady, w.args.length > 0]).toEqual([1, true, true]);
  });

  it('killed between the rename of a rollback and its restart, the next life restarts it', async () => {
    const w = worldWith();
    await apply(w, A);
    let asked = 0;
    const units = { ...w.host.units, restart: async (...a: Parameters<NonNullable<typeof w.host.units>['restart']>) => (++asked === 2 ? Promise.reject(new Killed()) : w.host.units?.restart(...a)) }; // prettier-ignore
    await expect(force(w, BROKEN, { host: { ...w.host, units } as typeof w.host })).rejects.toThrow(Killed);
    expect(await resume(input(w))).toMatchObject({ kind: 'RolledBack' });
    expect([w.isReady, w.args.includes('--audit-log-mode=blocking')]).toEqual([true, true]);
  });

  it('comes to the same end from a kill at every operation on the disk', async () => {
    const whole = worldWith();
    await apply(whole, A);
    const count = whole.disk.operations.length;
    for (let at = 0; at < count; at++) {
      const w = worldWith();
      w.disk.fault = { kind: 'kill', at, after: at % 2 === 0 };
      await apply(w, A).catch((e: unknown) => {
        if (!(e instanceof Killed)) throw e;
      });
      w.disk = w.disk.reopened();
      w.pass(5_000);
      await resume(input(w));
      expect(await apply(w, A)).toMatchObject({ kind: 'Settled', current: A.digest });
      expect([w.isReady, w.args.includes('--audit-log-maxage=30')]).toEqual([true, true]);
    }
  });

  it('after a reboot in mid-change, the agent’s own next life goes on: it waits for no API server', async () => {
    const w = worldWith();
    await apply(w, A);
    const stop = new AbortController();
    w.onTick = () => {
      if (w.lines.length > 0) stop.abort();
    };
    expect(await force(w, BROKEN, { signal: stop.signal })).toEqual({ kind: 'Interrupted' });
    w.onTick = () => undefined;
    w.reboot();
    expect(w.isReady).toBe(false);
    expect(await resume(input(w))).toMatchObject({ kind: 'RolledBack' });
    expect([w.isReady, w.args.includes('--audit-log-mode=blocking')]).toEqual([true, true]);
  });

  it('asks again while systemd takes no requests', async () => {
    const w = worldWith();
    w.refuses = true;
    const since = w.now;
    w.onTick = () => {
      if (w.now - since > 5_000) w.refuses = false;
    };
    expect(await apply(w, A)).toMatchObject({ kind: 'Settled', current: A.digest });
    expect(w.asked).toBe(1);
  });

  it('is refused, and nothing is touched, where no unit can be restarted from here', async () => {
    const w = worldWith();
    const untouched = w.disk.snapshot();
    const { units: _units, ...inContainer } = w.host;
    const outcome = await apply(w, A, { host: inContainer });
    expect(outcome).toMatchObject({ kind: 'Refused', findings: [{ code: 'CannotRestart' }] });
    expect(w.disk.snapshot()).toEqual(untouched);
  });

  it('falling over on its probation, it goes back', async () => {
    const w = worldWith();
    await apply(w, A);
    let bad = false;
    const shaky = new UnitWorld(w.disk, { kind, file, behaves: (args) => (bad && args.includes('--audit-log-maxage=7') ? 'crashes' : 'good') }); // prettier-ignore
    expect(await apply(shaky, B)).toMatchObject({ kind: 'Settled', current: B.digest });
    const watch = new ProbationWatch();
    expect(await watch.look(input(shaky))).toEqual({ kind: 'Watching' });
    bad = true;
    let looked = await watch.look(input(shaky));
    for (let i = 0; i < 20 && looked.kind === 'Watching'; i++) {
      shaky.pass(1_000);
      looked = await watch.look(input(shaky));
    }
    expect(looked).toMatchObject({ kind: 'RolledBack', failure: { digest: B.digest } });
    expect([shaky.isReady, shaky.args.includes('--audit-log-maxage=30')]).toEqual([true, true]);
  });
});
