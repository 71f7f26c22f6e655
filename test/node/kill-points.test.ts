/**
 * Every operation on the disk is a point where the process may be killed, where the disk may fail, fill up or become
 * read-only, and where the power may go. Whatever happens: the manifest is a whole old or a whole new one, and the next
 * life brings the node to where an undisturbed one stands. With a guard the first of the next lives is the guard's, which
 * may not write revisions. A rollback needs no space: on a disk that is full from any point on, it takes place.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { guardPath } from '../../src/node/guard-pod.ts';
import type { ApplyOutcome } from '../../src/node/outcome.ts';
import type { Revision } from '../../src/render/types.ts';
import { Killed } from '../host/memory-disk.ts';
import type { Fault, MemoryDisk } from '../host/memory-disk.ts';
import {
  A,
  actAsGuard,
  apply as applyGuarded,
  applyUnguarded,
  B,
  BROKEN,
  MANIFEST,
  worldOn,
  worldWith,
} from './fixture.ts';
import type { World } from './world.ts';

const apply = (w: World, to: Revision | null, guarded = false): Promise<ApplyOutcome> =>
  (guarded ? applyGuarded : applyUnguarded)(w, to);

/** A node on which `steps` were done, without any fault. */
async function nodeAfter(steps: readonly (Revision | null)[]): Promise<World> {
  const w = worldWith();
  for (const dir of ['/var/lib', '/var/log']) w.disk.folder(dir);
  for (const to of steps) await apply(w, to);
  return w;
}

const copyOf = (w: World): World => worldOn(w.disk.reopened(), w.now);

/** How often what was tried, and how often the manifest was neither a whole old nor a whole new one. */
const points = new Map<string, number>();
let torn = 0;
const count = (what: string): void => void points.set(what, (points.get(what) ?? 0) + 1);

afterAll(() => {
  const all = [...points].map(([what, n]) => `${n} ${what}`).join(', ');
  const sum = [...points.values()].reduce((a, b) => a + b, 0);
  process.stdout.write(`[figure] crash points: ${sum} (${all}); torn states: ${torn}\n`);
});

type Scenario = {
  readonly name: string;
  readonly before: readonly (Revision | null)[];
  readonly to: Revision | null;
  readonly guarded?: true;
};
const PLAIN: readonly Scenario[] = [
  { name: 'a first installation', before: [], to: A },
  { name: 'a change of the policy', before: [A], to: B },
  { name: 'a rollback', before: [A], to: BROKEN },
  { name: 'a removal', before: [A, B], to: null },
];
const SCENARIOS: readonly Scenario[] = [
  ...PLAIN,
  ...PLAIN.map((s): Scenario => ({ ...s, name: `${s.name}, guarded`, guarded: true })),
];

/** Dotfiles that a kill left behind are overwritten by the next write; the kubelet does not see them. */
const visible = (disk: MemoryDisk): Record<string, string> =>
  Object.fromEntries(
    Object.entries(disk.snapshot())
      .filter(([p]) => !p.includes('/.'))
      .map(([p, text]) => [
        p,
        p.endsWith('state.json') ? text.replace(/"(time|since|at)": \d+|"message": ".*"/g, '') : text,
      ]),
  );

const mapped = (files: Record<string, string>, as: (text: string) => string): Record<string, string> =>
  Object.fromEntries(Object.entries(files).map(([p, text]) => [p, as(text)]));

/** What went wrong could not be written down when it did; that it did is told by the manifest, and no more. */
const anyReason = (text: string): string => text.replaceAll('"NotHealthyInTime"', '"CrashLoop"');

describe.each(SCENARIOS)('$name', ({ before, to, guarded }) => {
  let start: World;
  let end: Record<string, string>;
  let whole: readonly string[];
  let operations: readonly string[];
  /** Disks that were brought to rest: many faults leave the same. */
  const rested = new Set<string>();

  beforeAll(async () => {
    start = await nodeAfter(before);
    const w = copyOf(start);
    const seen = new Set<string>([w.disk.text(MANIFEST) ?? '']);
    w.onTick = () => seen.add(w.disk.text(MANIFEST) ?? '');
    await apply(w, to, guarded);
    seen.add(w.disk.text(MANIFEST) ?? '');
    [end, whole, operations] = [visible(w.disk), [...seen], w.disk.operations];
  });

  function isWhole(w: { readonly disk: MemoryDisk }): void {
    if (whole.includes(w.disk.text(MANIFEST) ?? '')) return;
    torn++;
    expect(whole).toContain(w.disk.text(MANIFEST));
  }

  async function withFault(fault: Fault): Promise<World> {
    count(fault.kind === 'error' ? fault.code : fault.kind === 'kill' ? 'kills' : 'full disks');
    const w = copyOf(start);
    w.disk.fault = fault;
    try {
      await apply(w, to, guarded);
    } catch (e) {
      if (!(e instanceof Killed)) throw e;
    }
    isWhole(w);
    return w;
  }

  /** Another life on the same disk, with the same wish, until it rests. */
  async function comesToRest(disk: MemoryDisk, since: number, as = (text: string): string => text): Promise<void> {
    const files = JSON.stringify(disk.snapshot());
    if (rested.has(files)) return;
    rested.add(files);
    const w = worldOn(disk, since + 1);
    if (guarded === true) await guardThenAgent(w);
    await apply(w, to, guarded);
    expect(mapped(visible(w.disk), as)).toEqual(mapped(end, as));
    w.settle();
    expect(w.isReady).toBe(true);
    expect(w.runningText).toBe(w.disk.text(MANIFEST));
  }

  /** Wherever a guard was left, it brings what is in flight to its end, and is gone. */
  async function guardThenAgent(w: World): Promise<void> {
    if (w.disk.text(guardPath(MANIFEST)) === null) return;
    await actAsGuard(w);
    expect(w.disk.text(guardPath(MANIFEST))).toBeNull();
    isWhole(w);
    w.settle();
    expect(w.isReady).toBe(true);
  }

  it('has operations to be disturbed at', () => {
    expect(operations.length).toBeGreaterThan(8);
    expect(whole.length).toBeGreaterThan(1);
    expect(operations.includes(`rename ${guardPath(MANIFEST)}`)).toBe(guarded === true);
  });

  it('survives a kill before and in the middle of each, and after each', async () => {
    for (const after of [false, true])
      for (let at = 0; at < operations.length; at++) {
        const w = await withFault({ kind: 'kill', at, after });
        await comesToRest(w.disk.reopened(), w.now);
      }
  }, 120_000);

  it.each(['ENOSPC', 'EIO', 'EROFS'])(
    'survives %s, once at each and from each on',
    async (code) => {
      for (const lasting of [false, true])
        for (let at = 0; at < operations.length; at++) {
          const w = await withFault({ kind: 'error', at, code, lasting });
          await comesToRest(w.disk.reopened(), w.now);
        }
    },
    120_000,
  );

  it('survives a disk that is full from each on, where renames go on', async () => {
    for (let at = 0; at < operations.length; at++) {
      const w = await withFault({ kind: 'full', at });
      if (to === BROKEN) {
        expect(w.disk.text(MANIFEST)).toBe(start.disk.text(MANIFEST));
        w.settle();
        expect(w.isReady).toBe(true);
      }
      await comesToRest(w.disk.reopened(), w.now, anyReason);
    }
  }, 120_000);

  it('survives a kill at each on a disk that is full since the manifest’s rename', async () => {
    const full = operations.indexOf(`rename ${MANIFEST}`) + 1;
    for (let at = full; at < operations.length; at++) {
      const w = await withFault({ kind: 'full', at: full, killAt: at });
      const next = worldOn(w.disk.reopened(), w.now);
      next.disk.fault = { kind: 'full', at: 0 };
      await actAsGuard(next);
      isWhole(next);
      if (to === BROKEN) expect(next.disk.text(MANIFEST)).toBe(start.disk.text(MANIFEST));
      await comesToRest(next.disk.reopened(), next.now, anyReason);
    }
  }, 120_000);

  it('survives a power cut at each, whichever of the names not yet synced are lost', async () => {
    for (let at = 0; at < operations.length; at++) {
      const w = await withFault({ kind: 'kill', at, after: true });
      const n = w.disk.pendingCount;
      expect(n).toBeLessThan(7);
      for (let keep = 0; keep < 2 ** n; keep++) {
        count('power cuts');
        const disk = w.disk.afterPowerCut((i) => (keep & (1 << i)) !== 0);
        isWhole({ disk });
        await comesToRest(disk, w.now);
      }
    }
  }, 180_000);
});
