/** Windows in which API servers may be restarted, around the clock changes of real zones. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isTimeZone } from '../../src/api/time-zone.ts';
import { windowed } from '../../src/rollout/windows.ts';

const at = (text: string): number => Date.parse(text);
const opens = (text: string): object => ({ open: false, opensAt: at(text) });
const NIGHT = { start: '22:00', durationMinutes: 240 };
const WEEKEND = { days: ['Sat', 'Sun'] as ('Sat' | 'Sun')[], start: '22:00', durationMinutes: 240 };
const BERLIN = { start: '02:30', durationMinutes: 60, timeZone: 'Europe/Berlin' };

const cases: readonly [string, Parameters<typeof windowed>[0], string, object][] = [
  ['none: always open', [], '2026-03-04T12:00:00Z', { open: true }],
  ['unset: always open', undefined, '2026-03-04T12:00:00Z', { open: true }],
  ['before it: opens today', [NIGHT], '2026-03-04T12:00:00Z', opens('2026-03-04T22:00:00Z')],
  ['at its first moment: open', [NIGHT], '2026-03-04T22:00:00Z', { open: true }],
  ['over midnight: open', [NIGHT], '2026-03-05T01:59:59Z', { open: true }],
  ['at its end: closed until the next day', [NIGHT], '2026-03-05T02:00:00Z', opens('2026-03-05T22:00:00Z')],
  ['on the wrong day: opens on the next right one', [WEEKEND], '2026-03-04T22:30:00Z', opens('2026-03-07T22:00:00Z')],
  ['that of Sunday reaches into Monday', [WEEKEND], '2026-03-09T01:00:00Z', { open: true }],
  ['a whole week of minutes never closes', [{ start: '00:00', durationMinutes: 10_080 }], '2026-03-04T12:00:00Z', { open: true }],
  ['the earlier of two', [NIGHT, { start: '13:00', durationMinutes: 5 }], '2026-03-04T12:00:00Z', opens('2026-03-04T13:00:00Z')],
  ['in a zone, in winter', [{ ...NIGHT, timeZone: 'Europe/Berlin' }], '2026-03-04T12:00:00Z', opens('2026-03-04T21:00:00Z')],
  ['in a zone, in summer', [{ ...NIGHT, timeZone: 'Europe/Berlin' }], '2026-07-04T12:00:00Z', opens('2026-07-04T20:00:00Z')],
  ['days are those of the zone', [{ days: ['Mon'], start: '00:30', durationMinutes: 30, timeZone: 'Asia/Tokyo' }], '2026-03-08T12:00:00Z', opens('2026-03-08T15:30:00Z')],
  ['a time that does not exist (clocks go forward): as much later', [BERLIN], '2026-03-29T00:00:00Z', opens('2026-03-29T01:30:00Z')],
  ['a time that comes twice (clocks go back): its first', [BERLIN], '2026-10-24T12:00:00Z', opens('2026-10-25T00:30:00Z')],
  ['and not its second', [BERLIN], '2026-10-25T01:30:00Z', opens('2026-10-26T01:30:00Z')],
  ['half an hour of daylight saving', [{ start: '12:00', durationMinutes: 1, timeZone: 'Australia/Lord_Howe' }], '2026-07-01T00:00:00Z', opens('2026-07-01T01:30:00Z')],
  ['a day that a zone skipped (Samoa, 30 December 2011)', [{ start: '12:00', durationMinutes: 1, timeZone: 'Pacific/Apia' }], '2011-12-30T00:00:00Z', opens('2011-12-30T22:00:00Z')],
]; // prettier-ignore

describe('windows', () => {
  it.each(cases)('%s', (_name, windows, now, expected) => {
    expect(windowed(windows, at(now))).toEqual(expected);
  });

  it('always say when they open next, at a moment when they are open, and not a minute before', () => {
    const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Australia/Lord_Howe', 'Africa/Cairo'];
    const window = fc.record({
      days: fc
        .subarray(['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'] as const, { minLength: 1 })
        .map((d) => [...d]),
      start: fc.tuple(fc.nat(23), fc.nat(59)).map((t) => t.map((n) => String(n).padStart(2, '0')).join(':')),
      durationMinutes: fc.integer({ min: 2, max: 10_080 }),
      timeZone: fc.constantFrom(...zones),
    });
    const now = fc.integer({ min: at('2026-01-01T00:00:00Z'), max: at('2027-01-01T00:00:00Z') });
    fc.assert(
      fc.property(fc.array(window, { minLength: 1, maxLength: 3 }), now, (windows, t) => {
        const w = windowed(windows, t);
        if (w.open) return;
        expect(w.opensAt).toBeGreaterThan(t);
        // On one of seven days, and no zone changes its clocks by more than a day.
        expect(w.opensAt - t).toBeLessThanOrEqual(8 * 86_400_000);
        expect(windowed(windows, w.opensAt)).toEqual({ open: true });
        const before = windowed(windows, Math.max(t, w.opensAt - 60_000));
        expect(before).toEqual(w);
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    ['UTC', true],
    ['Europe/Berlin', true],
    ['Europe/Berln', false],
    ['', false],
    ['22:00', false],
  ])('take %j for a time zone: %s', (name, expected) => {
    expect(isTimeZone(name)).toBe(expected);
  });
});
