/**
 * One provider of binaries at a time, among the processes of a run and of several: two builds side by side take twice
 * as long and use the same cores. The lock saves time only. What keeps a cache entry whole is that it is renamed into
 * place; so a lock whose holder died may be taken, even by two at once.
 */
import { mkdir, open, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { isAlive } from './alive.ts';

/** A living holder touches its lock every two seconds; one that is silent this long is taken for dead. */
const SILENT_MS = 30_000;

type Holder = { readonly pid: number; readonly host: string };

async function create(file: string): Promise<boolean> {
  await mkdir(dirname(file), { recursive: true });
  try {
    const handle = await open(file, 'wx');
    await handle.close();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
  const holder: Holder = { pid: process.pid, host: hostname() };
  await writeFile(file, JSON.stringify(holder));
  return true;
}

async function isStale(file: string): Promise<boolean> {
  try {
    const { mtimeMs } = await stat(file);
    if (Date.now() - mtimeMs > SILENT_MS) return true;
    const holder: unknown = JSON.parse(await readFile(file, 'utf8'));
    if (typeof holder !== 'object' || holder === null || !('pid' in holder) || !('host' in holder)) return false;
    return holder.host === hostname() && typeof holder.pid === 'number' && !isAlive(holder.pid);
  } catch {
    return false; // gone meanwhile, or not yet written
  }
}

/** Gives what releases the lock, or undefined where another living process holds it. */
export async function tryLock(file: string): Promise<(() => Promise<void>) | undefined> {
  if (!(await create(file))) {
    if (!(await isStale(file))) return undefined;
    // Renamed and not removed: of two that see the same dead lock only one gets it.
    const dead = `${file}.${randomUUID()}`;
    await rename(file, dead).catch(() => undefined);
    await rm(dead, { force: true });
    if (!(await create(file))) return undefined;
  }
  const beat = setInterval(() => void utimes(file, new Date(), new Date()).catch(() => undefined), 2_000);
  beat.unref();
  return async () => {
    clearInterval(beat);
    await rm(file, { force: true });
  };
}
