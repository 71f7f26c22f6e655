/**
 * The controller that leads dies in the middle of a wave over hosted control planes. Two rounds here, one for each way in
 * which it comes back; `npm run bench:fleet -- --only failover` has twenty.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Failovers } from '../bench/fleet/failover.ts';
import { Fleet } from '../bench/fleet/fleet.ts';

describe('a leader that is killed in the middle of a wave', () => {
  let fleet: Fleet;
  const stop = new AbortController();
  beforeAll(async () => {
    fleet = await Fleet.start(8, stop.signal);
  });
  afterAll(async () => {
    stop.abort();
    await fleet?.stop();
  });

  it('nothing is done twice, never more than may be away are, and all get there', { timeout: 600_000 }, async () => {
    let n = 0;
    const random = (): number => [0.3, 0.8][n++ % 2] ?? 0;
    const rounds = await new Failovers(fleet, { maxUnavailable: 2, random }).run(2, stop.signal);
    expect(rounds.map((r) => r.back)).toEqual(['AfterTheOther', 'AtOnce']);
    for (const { most, notOnce } of rounds) expect([most, notOnce]).toEqual([2, []]);
  });
});
