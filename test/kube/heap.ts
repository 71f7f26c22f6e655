/** How much memory is really held, for tests that look for leaks. */
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

/** Bytes in use after collections that were forced, with pauses in which finished promises let go of what they hold. */
export async function heapAfterCollection(): Promise<number> {
  const collect = collector();
  for (let i = 0; i < 3; i++) {
    await sleep(50);
    collect();
  }
  return process.memoryUsage().heapUsed;
}
