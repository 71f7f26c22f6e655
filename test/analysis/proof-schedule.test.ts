/** When proof is due, and how many requests that can be. */
import { describe, expect, it } from 'vitest';
import { dueNow, lookEveryMs } from '../../src/analysis/proof-schedule.ts';
import type { LogLook, Proven } from '../../src/analysis/proof-schedule.ts';

const HOUR = 3_600_000;
const MINUTE = 60_000;
const log = (inode: number, size: number): LogLook => ({ inode: BigInt(inode), size: BigInt(size) });
const proven = (more: Partial<Proven> = {}): Proven => ({
  digest: 'a',
  result: 'EventFound',
  at: 0,
  look: log(1, 100),
  ...more,
});
const due = (last: Proven | undefined, look: LogLook, now: number): string | undefined =>
  dueNow({ last, look, now, digest: 'a', intervalMs: HOUR });

describe('proof is due', () => {
  const grown = log(1, 200);
  it.each([
    ['at once where nothing was proven', undefined, grown, 0, 'Settled'],
    ['at once for another revision', proven({ digest: 'b' }), grown, 1, 'Settled'],
    ['after an hour', proven(), grown, HOUR, 'Interval'],
    ['not before', proven(), grown, HOUR - 1, undefined],
    ['seconds after the log was deleted', proven(), null, 10_000, 'Gone'],
    ['seconds after it came back', proven({ look: null, result: 'LogMissing' }), log(2, 1), 10_000, 'Back'],
    ['seconds after it was cut off', proven(), log(1, 10), 10_000, 'Shrunk'],
    ['not at once after a rotation', proven(), log(2, 5), 9 * MINUTE, undefined],
    ['ten minutes after a proof where the log was rotated', proven(), log(2, 5), 10 * MINUTE, 'Rotated'],
    ['after a quarter of an hour of silence', proven(), log(1, 100), 15 * MINUTE, 'Silent'],
    ['not after less silence', proven(), log(1, 100), 14 * MINUTE, undefined],
    ['five minutes after it failed', proven({ result: 'EventMissing' }), grown, 5 * MINUTE, 'Again'],
    ['five minutes after nobody answered', proven({ result: 'NoAnswer' }), grown, 5 * MINUTE, 'Again'],
    ['not again while the log stays away', proven({ look: null, result: 'LogMissing' }), null, MINUTE, undefined],
    [
      'only after an hour where nothing can be observed',
      proven({ result: 'NothingToObserve', look: null }),
      null,
      59 * MINUTE,
      undefined,
    ],
  ] as const)('%s', (...[, last, look, now, want]) => {
    expect(due(last, look, now)).toBe(want);
  });

  /** Requests in an hour where the log goes through `look(time)` and each proof ends in `result`. */
  function requests(result: Proven['result'], look: (now: number) => LogLook): number {
    let last: Proven | undefined;
    let count = 0;
    for (let now = 0; now < HOUR; now += lookEveryMs(HOUR)) {
      if (due(last, look(now), now) === undefined) continue;
      count += 1;
      last = proven({ at: now, look: look(now), result });
    }
    return count;
  }

  it.each([
    ['a log that grows', 'EventFound', (now: number) => log(1, now), 1],
    ['a log that nobody else writes to', 'EventFound', () => log(1, 1), 4],
    ['a log that is rotated all the time', 'EventFound', (now: number) => log(now, 1), 6],
    ['a log that stays away', 'LogMissing', () => null, 12],
    ['a log that does not take events', 'EventMissing', () => log(1, 1), 12],
  ] as const)('so often an hour: %s', (_, result, look, want) => {
    expect(requests(result, look)).toBe(want);
  });

  it('looks twice a minute with an interval of an hour, and not more often than four times a second', () => {
    expect([lookEveryMs(HOUR), lookEveryMs(10_000)]).toEqual([30_000, 250]);
  });
});
