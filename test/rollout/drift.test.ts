/** What is done about drift, from facts alone. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FIGHT_MS, beforeInstall, driftStep, isFight } from '../../src/rollout/drift.ts';
import type { DriftFacts, DriftStep } from '../../src/rollout/drift.ts';

const NOW = 1_000_000_000;
const MINUTE = 60_000;
const RULES = { quietMs: 2 * MINUTE };
const QUIET: DriftFacts = {
  hold: false,
  kind: 'None',
  edited: 'Serving',
  health: 'Ready',
  quietMs: Infinity,
  loaded: 'Right',
  corrections: [],
  stopped: null,
  now: NOW,
};
const step = (facts: Partial<DriftFacts>): DriftStep => driftStep({ ...QUIET, ...facts }, RULES);
const repair = (restart: 'Manifest' | 'Process' | 'No'): DriftStep => ({ do: 'Repair', restart });
const stop = (why: 'Rescued' | 'DriftFight'): DriftStep => ({ do: 'Stop', why });

describe('drift', () => {
  it.each<[string, Partial<DriftFacts>, DriftStep]>([
    ['is nothing where nothing differs', {}, { do: 'Nothing' }],
    ['is nothing where no process runs that could have read another policy', { loaded: 'None' }, { do: 'Nothing' }],
    ['is nothing where processes cannot be seen', { loaded: 'Hidden' }, { do: 'Nothing' }],
    ['is put right at once where only ours was changed', { kind: 'Ours' }, repair('Manifest')],
    ['is put right although that edit is just restarting it', { kind: 'Ours', health: 'Down' }, repair('Manifest')],
    [
      'waits a second for an editor that saves twice',
      { kind: 'Ours', quietMs: 400 },
      { do: 'Wait', why: 'Settling', afterMs: 600 },
    ],
    [
      'waits for one that is just starting',
      { kind: 'Ours', health: 'Forbidden' },
      { do: 'Wait', why: 'Starting', afterMs: 1_000 },
    ],
    ['of a file needs no restart', { kind: 'Files' }, repair('No')],
    ['of a file comes before the restart that it may need', { kind: 'Files', loaded: 'Unsure' }, repair('No')],
    ['of what the process has read is a restart', { loaded: 'Unsure' }, repair('Process')],
    [
      'of what the process has read waits for one that serves',
      { loaded: 'Unsure', health: 'NotReady' },
      { do: 'Wait', why: 'NotReady', afterMs: 5_000 },
    ],
    [
      'by a rewrite is awaited for two minutes',
      { kind: 'Rewrite', quietMs: 30_000 },
      { do: 'Wait', why: 'Rewritten', afterMs: 90_000 },
    ],
    [
      'by an upgrade is awaited until it is healthy',
      { kind: 'Upgrade', quietMs: 5 * MINUTE, health: 'NotReady' },
      { do: 'Wait', why: 'Rewritten', afterMs: 5_000 },
    ],
    ['by a rewrite is patched again then', { kind: 'Rewrite', quietMs: 2 * MINUTE }, repair('Manifest')],
    ['made while it was down is a rescue', { kind: 'Ours', edited: 'Down' }, stop('Rescued')],
    ['made while it was down is a rescue, a rewrite too', { kind: 'Rewrite', edited: 'Down' }, stop('Rescued')],
    ['made while it was down is a rescue, an upgrade too', { kind: 'Upgrade', edited: 'Down' }, stop('Rescued')],
    ['that takes a file away rescues nothing', { kind: 'Gone', edited: 'Down', health: 'Down' }, repair('No')],
    ['made while it was down is a rescue, in a policy file too', { kind: 'Files', edited: 'Down' }, stop('Rescued')],
    ['that nobody saw may be a rescue', { kind: 'Ours', edited: 'Unknown' }, stop('Rescued')],
    ['by an upgrade that nobody saw is none', { kind: 'Upgrade', edited: 'Unknown' }, repair('Manifest')],
    ['stays a rescue whatever is seen later', { kind: 'Ours', stopped: 'Rescued' }, stop('Rescued')],
    ['stays a fight whatever is seen later', { kind: 'Ours', stopped: 'DriftFight' }, stop('DriftFight')],
    ['that was put right by hand is no rescue any more', { stopped: 'Rescued' }, { do: 'Nothing' }],
    ['that cannot be read is left alone', { kind: 'Unreadable' }, { do: 'Wait', why: 'Unreadable' }],
    ['is held by a file HOLD', { kind: 'Ours', hold: true }, { do: 'Wait', why: 'Hold', afterMs: 10_000 }],
    [
      'after three corrections in an hour is a fight',
      { kind: 'Ours', corrections: [NOW - 50 * MINUTE, NOW - 20 * MINUTE, NOW - MINUTE] },
      stop('DriftFight'),
    ],
    [
      'by a job that runs each half hour is a fight at the fourth time',
      { kind: 'Ours', corrections: [90, 60, 30].map((m) => NOW - m * MINUTE - 3_000) },
      stop('DriftFight'),
    ],
    ['is none yet after two', { kind: 'Ours', corrections: [NOW - 20 * MINUTE, NOW - MINUTE] }, repair('Manifest')],
    [
      'once an hour is none',
      { kind: 'Ours', corrections: [180, 120, 60].map((m) => NOW - m * MINUTE) },
      repair('Manifest'),
    ],
    [
      'weeks after three corrections is none',
      { kind: 'Ours', corrections: [3, 2, 1].map((m) => NOW - 20_000 * MINUTE - m * MINUTE) },
      repair('Manifest'),
    ],
  ])('%s', (_, facts, want) => {
    expect(step(facts)).toEqual(want);
  });

  const facts: fc.Arbitrary<DriftFacts> = fc.record({
    hold: fc.boolean(),
    kind: fc.constantFrom('None', 'Gone', 'Files', 'Ours', 'Rewrite', 'Upgrade', 'Unreadable'),
    edited: fc.constantFrom('Serving', 'Down', 'Unknown'),
    health: fc.constantFrom('Down', 'NotReady', 'Forbidden', 'Ready'),
    quietMs: fc.oneof(fc.nat(10 * MINUTE), fc.constant(Infinity)),
    loaded: fc.constantFrom('Right', 'Unsure', 'None', 'Hidden'),
    corrections: fc
      .array(fc.integer({ min: NOW - 3 * FIGHT_MS, max: NOW }), { maxLength: 6 })
      .map((a) => a.sort((x, y) => x - y)),
    stopped: fc.constantFrom(null, 'Rescued', 'DriftFight'),
    now: fc.constant(NOW),
  });

  it('never undoes what was written while the API server was down, nor touches anything on hold', () => {
    fc.assert(
      fc.property(facts, (f) => {
        const { do: what } = driftStep(f, RULES);
        const isRescue = f.edited === 'Down' && f.kind !== 'Gone';
        if (f.kind !== 'None' && (isRescue || f.hold)) expect(what).not.toBe('Repair');
      }),
      { numRuns: 2_000 },
    );
  });

  it('waits only with an end in sight, or for a file to change', () => {
    fc.assert(
      fc.property(facts, (f) => {
        const s = driftStep(f, RULES);
        if (s.do === 'Wait' && s.why !== 'Unreadable') expect(s.afterMs).toBeGreaterThan(0);
      }),
      { numRuns: 2_000 },
    );
  });

  it('whoever undoes us again and again is undone three times, however he times it', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1_000, max: FIGHT_MS / 3 }), { minLength: 4, maxLength: 12 }), (gaps) => {
        const corrections: number[] = [];
        let now = 0;
        for (const gap of gaps) {
          now += gap;
          if (isFight(corrections, now)) break;
          corrections.push(now);
        }
        expect(corrections.length).toBeLessThanOrEqual(3);
      }),
    );
  });
});

describe('before a revision that is new to the node', () => {
  const at = (foreign: boolean, quietMs: number, health: DriftFacts['health']): DriftStep =>
    beforeInstall({ foreign, quietMs, health }, RULES);
  it.each<[string, DriftStep, DriftStep]>([
    ['nothing is awaited where nobody was seen', at(true, Infinity, 'Down'), { do: 'Nothing' }],
    ['nothing is awaited where the manifest is as it was left', at(false, 5, 'Down'), { do: 'Nothing' }],
    ['somebody’s rewrite is awaited', at(true, 5, 'Ready'), { do: 'Wait', why: 'Rewritten', afterMs: 2 * MINUTE - 5 }],
    ['until it is ready', at(true, 5 * MINUTE, 'Down'), { do: 'Wait', why: 'Rewritten', afterMs: 5_000 }],
    ['and no longer', at(true, 5 * MINUTE, 'Ready'), { do: 'Nothing' }],
  ])('%s', (_, is, want) => {
    expect(is).toEqual(want);
  });
});
