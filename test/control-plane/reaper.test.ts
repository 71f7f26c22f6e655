/** Whoever is killed takes along what he started, whenever that was. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { isAlive } from './alive.ts';

const ROOT = join(import.meta.dirname, '../..');
/** Says which process it has started, and is killed in the same moment. */
const KILLED = `
const { spawnReaped } = await import('./test/control-plane/reaper.ts');
process.stdout.write(String(spawnReaped('sleep', ['600'], { stdio: 'ignore' }).pid));
process.kill(process.pid, 'SIGKILL');
`;

it('a process whose parent is killed while it starts does not outlive him', { timeout: 60_000 }, async () => {
  const args = ['--import', './test/house/typescript.mjs', '--input-type=module', '-e', KILLED];
  const ended = promisify(execFile)(process.execPath, args, { cwd: ROOT }).catch((e: unknown) => e);
  const { stdout } = (await ended) as { stdout: string };
  const pid = Number(stdout);
  expect(pid).toBeGreaterThan(1);
  const end = Date.now() + 50_000;
  while (isAlive(pid) && Date.now() < end) await sleep(50);
  expect(isAlive(pid)).toBe(false);
});
