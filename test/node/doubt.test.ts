/**
 * Reboots and an etcd that is away in the middle of a change: whatever comes together, a bad revision is off the node
 * within seconds and held in the end, with one try more at most, and a good one is not blamed for what it did not do.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { resume } from '../../src/node/apply-revision.ts';
import type { ApplyOutcome } from '../../src/node/outcome.ts';
import { ProbationWatch } from '../../src/node/probation.ts';
import { readState } from '../../src/node/state-file.ts';
import type { StateFile } from '../../src/node/state-file.ts';
import type { Revision } from '../../src/render/types.ts';
import { DEFAULT_RULES } from '../../src/rollout/node-state.ts';
import { A, apply, B, BROKEN, MANIFEST, never, SPEC, worldWith } from './fixture.ts';
import type { World } from './world.ts';

const RULES = { ...DEFAULT_RULES, timeoutMs: 60_000 };

async function nodeWithA(): Promise<World> {
  const w = worldWith();
  await apply(w, A);
  w.settle();
  return w;
}

const stateOf = async (w: World): Promise<StateFile['state'] | undefined> =>
  (await readState(w.disk, SPEC.layout.stateDir))?.state;

/** Calls `then` once, so many ms from now. */
function after(w: World, ms: number, then: () => void): void {
  const [at, before] = [w.now + ms, w.onTick];
  let done = false;
  w.onTick = () => {
    before();
    if (done || w.now < at) return;
    done = true;
    then();
  };
}

/** Until the node reboots, or the change has ended; what a guard brings to its end, an agent finds so. */
async function life(w: World, to: Revision, reboot: AbortSignal): Promise<ApplyOutcome> {
  const guard = await resume({ host: w.host, spec: SPEC, signal: reboot, keep: 'All' });
  return guard.kind === 'Interrupted' ? guard : apply(w, to, { signal: reboot, rules: RULES });
}

describe('power that goes three times in one change', () => {
  it('is no crash loop: the revision is there in the end, and never gone back from', async () => {
    const w = await nodeWithA();
    const texts = new Set<string>();
    for (const ms of [1_800, 700, 800]) {
      const cut = new AbortController();
      after(w, ms, () => cut.abort());
      expect(await life(w, B, cut.signal)).toEqual({ kind: 'Interrupted' });
      w.onTick = () => texts.add(w.disk.text(MANIFEST) ?? '');
      w.reboot();
    }
    expect(await life(w, B, never)).toMatchObject({ kind: 'Settled', current: B.digest });
    expect(texts.size).toBe(1);
    expect(w.starts).toBe(4);
  });

  it('hides no crash loop: seconds after the last it is seen', async () => {
    const w = await nodeWithA();
    for (const ms of [300, 300]) {
      const cut = new AbortController();
      after(w, ms, () => cut.abort());
      await life(w, BROKEN, cut.signal);
      w.onTick = () => undefined;
      w.reboot();
    }
    const since = w.now;
    let back = Infinity;
    w.onTick = () => {
      if (!w.disk.text(MANIFEST)?.includes('broken')) back = Math.min(back, w.now - since);
    };
    // What it says of auditing itself leaves no doubt.
    expect(await resume({ host: w.host, spec: SPEC, signal: never })).toMatchObject({
      kind: 'RolledBack',
      failure: { reason: 'CrashLoop' },
    });
    expect(back).toBeLessThan(5_000);
  });
});

describe('an etcd that is away for two crashes', () => {
  async function doubted(): Promise<World> {
    const w = await nodeWithA();
    w.storageAway = true;
    after(w, 6_000, () => (w.storageAway = false));
    expect(await apply(w, B, { rules: RULES })).toMatchObject({
      kind: 'RolledBack',
      failure: { digest: B.digest, reason: 'Inconclusive', doubted: true, message: expect.stringContaining('once more') as unknown }, // prettier-ignore
    });
    expect(await stateOf(w)).toEqual({ phase: 'Held', current: A.digest, lastGood: A.digest, refused: null, why: 'Inconclusive' }); // prettier-ignore
    expect(w.isReady).toBe(true);
    return w;
  }

  it('is not the fault of the revision, which is tried once more', async () => {
    const w = await doubted();
    expect(await apply(w, B, { rules: RULES })).toMatchObject({ kind: 'Settled', current: B.digest });
  });

  it('and is so for the second time: then the revision is held', async () => {
    const w = await doubted();
    w.storageAway = true;
    after(w, 6_000, () => (w.storageAway = false));
    expect(await apply(w, B, { rules: RULES })).toMatchObject({ kind: 'RolledBack', failure: { reason: 'CrashLoop' } });
    expect(await apply(w, B, { rules: RULES })).toMatchObject({ kind: 'Held' });
  });

  it('and again on probation: then the revision is held', async () => {
    const w = await doubted();
    expect(await apply(w, B, { rules: RULES })).toMatchObject({ kind: 'Settled' });
    const watch = new ProbationWatch();
    const look = () => watch.look({ host: w.host, spec: SPEC, signal: never });
    await look();
    w.storageAway = true;
    w.crash();
    w.settle();
    w.settle();
    after(w, 3_000, () => (w.storageAway = false));
    expect(await look()).toMatchObject({ kind: 'RolledBack', failure: { digest: B.digest, reason: 'CrashLoop' } });
    expect(await apply(w, B, { rules: RULES })).toMatchObject({ kind: 'Held' });
  });

  it('is forgotten with the next revision', async () => {
    const w = await doubted();
    expect(await apply(w, A, { rules: RULES })).toMatchObject({ kind: 'Settled', current: A.digest });
    w.storageAway = true;
    after(w, 6_000, () => (w.storageAway = false));
    expect(await apply(w, BROKEN, { rules: RULES })).toMatchObject({ kind: 'RolledBack', failure: { digest: BROKEN.digest } }); // prettier-ignore
  });
});

type Disturbance = { readonly waitMs: number; readonly kind: 'Reboot' | 'Storage'; readonly lastsMs: number };

const disturbance: fc.Arbitrary<Disturbance> = fc.record({
  waitMs: fc.integer({ min: 0, max: 12_000 }),
  kind: fc.constantFrom('Reboot', 'Storage'),
  lastsMs: fc.integer({ min: 0, max: 20_000 }),
});

type Seen = {
  readonly last: ApplyOutcome;
  /** How often the revision came into the manifest. */
  readonly tries: number;
  /** The longest time in one boot that a manifest with the revision stood there. */
  readonly longestMs: number;
};

/** The whole story of one change: boots, etcd, and whoever brings it on, until it rests. */
async function story(w: World, to: Revision, all: readonly Disturbance[]): Promise<Seen> {
  const rest = [...all];
  const seen = { tries: 0, longestMs: 0 };
  let there = false;
  let [next, storageBack, since] = [rest[0] === undefined ? Infinity : w.now + rest[0].waitMs, 0, w.now];
  let cut = new AbortController();
  w.onTick = () => {
    w.storageAway = w.now < storageBack;
    const was = there;
    there = (w.disk.text(MANIFEST) ?? '').includes(to.digest.slice(0, 16));
    if (there && !was) seen.tries++;
    if (!there) since = w.now;
    seen.longestMs = Math.max(seen.longestMs, w.now - since);
    if (w.now < next) return;
    const is = rest.shift();
    next = rest[0] === undefined ? Infinity : w.now + rest[0].waitMs;
    if (is?.kind === 'Storage') storageBack = w.now + is.lastsMs;
    if (is?.kind === 'Reboot') cut.abort();
  };
  for (let lives = 0; lives < 40; lives++) {
    const last = await life(w, to, cut.signal);
    if (last.kind === 'Interrupted') {
      cut = new AbortController();
      w.reboot();
      since = w.now;
      continue;
    }
    if (last.kind !== 'RolledBack' || last.failure.reason !== 'Inconclusive') return { ...seen, last };
    await w.host.sleep(60_000, never);
    if (cut.signal.aborted) {
      cut = new AbortController();
      w.reboot();
    }
  }
  throw new Error('it never comes to rest');
}

describe('random histories of reboots and outages of etcd', () => {
  const runs = { numRuns: 60 };

  it('leave no bad revision on a node, nor try it again and again', { timeout: 300_000 }, async () => {
    let doubts = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(disturbance, { maxLength: 6 }), fc.boolean(), async (all, silent) => {
        const w = await nodeWithA();
        if (silent) w.crashWords = 'goodbye';
        const good = w.disk.text(MANIFEST);
        const seen = await story(w, BROKEN, all);
        expect(await stateOf(w)).toMatchObject({ phase: 'Held', current: A.digest, refused: BROKEN.digest });
        expect(w.disk.text(MANIFEST)).toBe(good);
        expect(w.isReady).toBe(true);
        expect(seen.tries).toBeLessThanOrEqual(2);
        if (!all.some((d) => d.kind === 'Storage') && !silent) expect(seen.tries).toBe(1);
        expect(seen.longestMs).toBeLessThan(10_000);
        doubts += seen.tries - 1;
      }),
      runs,
    );
    expect(doubts).toBeGreaterThan(0);
  });

  it('blame no good revision for one of them, and none for any number of reboots', { timeout: 300_000 }, async () => {
    let doubts = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(disturbance, { maxLength: 6 }), async (all) => {
        const w = await nodeWithA();
        const seen = await story(w, B, all);
        const outages = all.filter((d) => d.kind === 'Storage').length;
        expect(seen.tries).toBeLessThanOrEqual(2);
        if (outages <= 1) expect(seen.last).toMatchObject({ kind: 'Settled', current: B.digest });
        if (outages === 0) expect(seen.tries).toBe(1);
        // An outage may have come after its commit.
        for (let i = 0; i < 12 && !w.isReady; i++) w.settle();
        expect(w.isReady).toBe(true);
        doubts += seen.tries - 1;
      }),
      runs,
    );
    // Histories in which there was no doubt show nothing.
    expect(doubts).toBeGreaterThan(0);
  });
});
