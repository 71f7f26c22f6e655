/** Whose turn it is in a fleet: examples, and random histories in which controllers die and control planes fail. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planFleet, shareOf } from '../../src/rollout/fleet.ts';
import type { FleetRules, Member } from '../../src/rollout/fleet.ts';

const NOW = 1_000_000_000;
const RULES: FleetRules = { maxUnavailable: '1', maxFailures: 1, paused: false, soakMs: 600_000 };
const member = (key: string, more: Partial<Member> = {}): Member => ({
  key, canary: false, has: 'old', wants: 'new', state: 'Ready', readySince: 0, ...more,
}); // prettier-ignore
const there = { has: 'new' } as const;

describe('a fleet', () => {
  it('goes one after the other, by name, and the next when the last is ready', () => {
    const first = planFleet([member('b'), member('a'), member('c')], RULES, NOW);
    expect(first).toMatchObject({ phase: 'Progressing', admit: ['a'] });
    expect(planFleet([member('a', { ...there, state: 'Busy' }), member('b')], RULES, NOW).admit).toEqual([]);
    expect(planFleet([member('a', there), member('b')], RULES, NOW).admit).toEqual(['b']);
    expect(planFleet([member('a', there), member('b', there)], RULES, NOW).phase).toBe('Complete');
  });

  it('begins with canaries, and waits for them to soak', () => {
    const canary = { canary: true } as const;
    expect(planFleet([member('a'), member('z', canary)], RULES, NOW)).toMatchObject({ phase: 'Canary', admit: ['z'] });
    const soaking = [member('a'), member('z', { ...canary, ...there, readySince: NOW - 100_000 })];
    expect(planFleet(soaking, RULES, NOW)).toMatchObject({ phase: 'Soaking', admit: [], afterMs: 500_000 });
    expect(planFleet(soaking, RULES, NOW + 500_000).admit).toEqual(['a']);
    const busy = [member('a'), member('z', { ...canary, ...there, state: 'Busy' })];
    expect(planFleet(busy, RULES, NOW + 1e9)).toEqual({ phase: 'Soaking', admit: [], failed: [] });
  });

  it('stops at maxFailures, and names who failed', () => {
    const failed = member('a', { ...there, state: 'Failed' });
    expect(planFleet([failed, member('b')], RULES, NOW)).toMatchObject({ phase: 'Stopped', admit: [], failed: ['a'] });
    const two = planFleet([failed, member('b')], { ...RULES, maxFailures: 2, maxUnavailable: '2' }, NOW);
    expect(two).toMatchObject({ phase: 'Progressing', admit: ['b'] });
  });

  it('that is paused gives to nobody but those where nothing runs', () => {
    const fresh = member('f', { has: null, state: 'Fresh' });
    expect(planFleet([fresh, member('a')], { ...RULES, paused: true }, NOW)).toMatchObject({
      phase: 'Paused',
      admit: ['f'],
    });
  });

  it('what is newer goes first where something older is on its way, or has failed', () => {
    const stuck = [
      member('a'),
      member('b', { has: 'older', state: 'Busy' }),
      member('c', { has: 'older', state: 'Failed' }),
    ];
    expect(planFleet(stuck, RULES, NOW)).toMatchObject({ phase: 'Progressing', admit: ['b', 'c'] });
  });

  it('an outage is no wave: what is newer goes first to as many as could have been on their way', () => {
    const rules = { ...RULES, maxUnavailable: '2' };
    const down = Array.from({ length: 9 }, (_, i) => member(`m${i}`, { has: 'older', state: 'Busy' }));
    expect(planFleet(down, rules, NOW).admit).toEqual(['m0', 'm1', 'm2']);
    const taken = down.map((m, i) => (i < 3 ? { ...m, has: 'new' } : m));
    expect(planFleet(taken, rules, NOW).admit).toEqual([]);
    const back = taken.map((m, i): Member => (i === 0 ? { ...m, state: 'Ready', readySince: 0 } : m));
    expect(planFleet(back, rules, NOW).admit).toEqual(['m3']);
  });

  it('those that are halted take turns too, however many they are, and hold up nobody else', () => {
    const halted = Array.from({ length: 5 }, (_, i) => member(`h${i}`, { state: 'Halted' }));
    const rules = { ...RULES, maxUnavailable: '2' };
    const at = (members: readonly Member[], more: Partial<FleetRules> = {}, now = 0) =>
      planFleet(members, { ...rules, ...more }, now);
    expect(at(halted)).toMatchObject({ phase: 'Progressing', admit: ['h0', 'h1'], afterMs: 60_000 });
    expect(at([...halted, member('r')]).admit).toEqual(['h0', 'h1', 'r']);
    expect(at([...halted, member('r', { ...there, state: 'Busy' })]).admit).toHaveLength(1);
    const onTheirWay = ['x', 'y'].map((key) => member(key, { ...there, state: 'Busy' }));
    expect(at([...halted, ...onTheirWay])).toMatchObject({ phase: 'Progressing', admit: [] });
    expect(at(halted, { paused: true })).toMatchObject({ phase: 'Paused', admit: [] });
    expect(at([...halted, member('f', { ...there, state: 'Failed' })])).toMatchObject({ phase: 'Stopped', admit: [] });
    expect(at([...halted, member('z', { canary: true })])).toMatchObject({ phase: 'Canary', admit: ['z'] });
    // One that never takes it keeps nobody from it.
    const asked = new Set([0, 1, 2].flatMap((minute) => at(halted, {}, minute * 60_000 + 30_000).admit));
    expect([...asked].sort()).toEqual(['h0', 'h1', 'h2', 'h3', 'h4']);
    expect(at(halted, {}, 30_000).afterMs).toBe(30_000);
  });

  it('a datacenter that goes leaves in the same waves', () => {
    const all = ['a', 'b', 'c'].map((key) => member(key, { wants: null }));
    expect(planFleet(all, RULES, NOW).admit).toEqual(['a']);
  });

  it.each([['10%', 25, 3], ['0%', 25, 1], ['100%', 25, 25], ['7', 25, 7], ['1%', 0, 1]] as const)(
    '%s of %d control planes are %d', (share, all, wanted) => expect(shareOf(share, all)).toBe(wanted),
  ); // prettier-ignore
});

/** What happens in a fleet: plans are made (and forgotten: nothing is kept between them), and control planes move on. */
type World = { members: Member[]; now: number; worst: number };
const scenario = fc.record({
  size: fc.integer({ min: 1, max: 12 }),
  canaries: fc.integer({ min: 0, max: 3 }),
  unavailable: fc.integer({ min: 1, max: 4 }),
  maxFailures: fc.integer({ min: 1, max: 3 }),
  bad: fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }),
  order: fc.array(fc.nat(11), { minLength: 60, maxLength: 60 }),
  /** A plan acts on a part of what it may: the controller died. */
  cut: fc.array(fc.nat(4), { minLength: 60, maxLength: 60 }),
});

describe('random histories of a fleet', () => {
  it('never have more on their way than allowed, never go on after maxFailures, canaries first, and end', () => {
    fc.assert(
      fc.property(scenario, (s) => {
        const rules: FleetRules = { ...RULES, maxUnavailable: String(s.unavailable), maxFailures: s.maxFailures };
        const w: World = { members: Array.from({ length: s.size }, (_, i) => member(`m${String(i).padStart(2, '0')}`, { canary: i >= s.size - s.canaries })), now: NOW, worst: 0 };
        const turn = (key: string, more: Partial<Member>): void => { w.members = w.members.map((m) => (m.key === key ? { ...m, ...more } : m)); };
        for (let step = 0; step < 60; step++) {
          const plan = planFleet(w.members, rules, w.now);
          expect(planFleet([...w.members].reverse(), rules, w.now)).toEqual(plan);
          const failedBefore = w.members.filter((m) => m.state === 'Failed').length;
          const taken = plan.admit.slice(0, s.cut[step]);
          if (taken.length > 0) expect(failedBefore).toBeLessThan(s.maxFailures);
          for (const key of taken) {
            const m = w.members.find((x) => x.key === key);
            if (m?.canary === false) {
              const early = w.members.filter((x) => x.canary && (x.has !== 'new' || x.state !== 'Ready' || w.now - (x.readySince ?? 0) < rules.soakMs));
              expect(early.map((x) => x.key)).toEqual([]);
            }
            turn(key, { has: 'new', state: 'Busy' });
          }
          const busy = w.members.filter((m) => m.state === 'Busy' || m.state === 'Failed').length;
          expect(busy).toBeLessThanOrEqual(s.unavailable);
          // One of those on their way comes to an end.
          const index = (s.order[step] ?? 0) % s.size;
          const one = w.members[index];
          if (one?.state === 'Busy') turn(one.key, s.bad[index] === true ? { state: 'Failed' } : { state: 'Ready', readySince: w.now });
          w.now += plan.afterMs ?? 1_000;
        }
        // Left alone, it comes to rest: complete, or stopped by as many failures as are allowed.
        for (let step = 0; step < 200; step++) {
          const plan = planFleet(w.members, rules, w.now);
          for (const key of plan.admit) turn(key, { has: 'new', state: 'Busy' });
          w.members.forEach((m, i) => { if (m.state === 'Busy') turn(m.key, s.bad[i] === true ? { state: 'Failed' } : { state: 'Ready', readySince: w.now }); });
          w.now += plan.afterMs ?? 1_000;
        }
        const end = planFleet(w.members, rules, w.now);
        const failures = w.members.filter((m) => m.state === 'Failed');
        if (end.phase !== 'Complete') {
          expect(failures.length).toBeGreaterThan(0);
          const spent = failures.length >= Math.min(s.maxFailures, s.unavailable) || failures.some((m) => m.canary);
          expect(spent).toBe(true);
        }
      }),
      { numRuns: 300 },
    ); // prettier-ignore
  });
});
