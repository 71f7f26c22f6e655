/**
 * Never two API servers at once, and none while another is not ready: thousands of random histories with killed agents
 * and controllers, dead machines, deleted Nodes, caches that lag, an API that is away, and requests that arrive after
 * their senders gave up. And when all is calm again, every node gets there and nobody holds the Lease.
 */
import { describe, expect, it } from 'vitest';
import { RestartWorld } from './restart-world.ts';

const HISTORIES = 1_000;
const STEPS = 300;

/** What the code throws inside of a played process is a rejection that nobody handles. */
async function play(seed: number, allowDegraded: boolean): Promise<RestartWorld> {
  const world = new RestartWorld(seed, { allowDegraded, machines: 2 + (seed % 3) });
  const thrown: unknown[] = [];
  const onThrow = (e: unknown): void => void thrown.push(e);
  process.on('unhandledRejection', onThrow);
  try {
    await world.run(STEPS);
    await world.calm(20_000);
  } finally {
    process.off('unhandledRejection', onThrow);
  }
  const words = (): string => `seed ${seed}: ${String(thrown[0] ?? 'it does not settle')}\n${world.words()}`;
  if (thrown.length > 0 || !world.isSettled) throw new Error(words());
  return world;
}

describe.each([
  ['one after the other', false],
  ['with allowDegraded', true],
])('API servers restart %s', (_name, allowDegraded) => {
  it(`in ${HISTORIES} random histories, and all nodes get there in the end`, { timeout: 300_000 }, async () => {
    let restarts = 0;
    for (let seed = 1; seed <= HISTORIES; seed++) restarts += (await play(seed, allowDegraded)).restarts;
    // They do restart: a world where nothing happens proves nothing.
    expect(restarts).toBeGreaterThan(HISTORIES * 2);
  });
});
