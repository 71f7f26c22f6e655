/**
 * Whether a process still runs. One that has ended and waits for its parent to take notice does not, although signals reach
 * it: an orphan's parent is whatever is PID 1, which in a container may take minutes over it. Used by lock.ts and by tests
 * that see processes end.
 */
import { readFileSync } from 'node:fs';

/** The state's letter stands behind the name, which may have anything in it; null where there is no /proc. */
function stateOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3);
  } catch {
    return null;
  }
}

/** Of this machine, whoever's it is. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return false;
  }
  return !['Z', 'X'].includes(stateOf(pid) ?? '');
}
