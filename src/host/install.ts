/**
 * Atomic changes of files, made of the disk's few functions: a file is a whole old one or a whole new one at every
 * moment, also after a power cut. New content is staged as a dotfile in the same folder (the kubelet ignores those),
 * synced, and renamed over; then the folder is synced. The guard is read last, just before the rename: whoever changed the
 * file meanwhile is not overwritten. Called by src/node only.
 */
import type { Disk, DiskOwner, DiskStat } from './types.ts';

export type FileWrite = {
  readonly path: string;
  readonly bytes: Uint8Array;
  /** For a new file; one that is there keeps its own. */
  readonly mode: number;
  readonly owner: DiskOwner;
  /** False stops the rename: the file is not what the plan was made for. Given null where no file is. */
  readonly guard: (now: Uint8Array | null) => boolean;
  /**
   * A name of whoever may run beside others of its kind: what it stages is then nobody else's to rename, whole or half
   * written. Agent and guard have none, since only one of them acts at a time.
   */
  readonly stagedBy?: string | undefined;
};

const parentOf = (path: string): string => path.slice(0, Math.max(1, path.lastIndexOf('/')));
const baseOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** The same name each time, so that what a kill left behind is found and replaced, never collected. */
export const stagingPath = (path: string, by?: string): string =>
  `${parentOf(path)}/.${baseOf(path)}.auditconfig-staged${by === undefined ? '' : `-${by}`}`;

/** A write takes moments; what somebody staged so long ago he will not rename any more. */
const ABANDONED_MS = 600_000;

/** What those with a name of their own left behind when they were killed. */
async function removeAbandoned(disk: Disk, path: string): Promise<void> {
  const folder = parentOf(path);
  const names = (await disk.list(folder)) ?? [];
  for (const name of names.filter((n) => n.startsWith(`${baseOf(stagingPath(path))}-`))) {
    const changedAt = (await disk.stat(`${folder}/${name}`))?.changedAt;
    if (changedAt !== undefined && Date.now() - changedAt > ABANDONED_MS) await disk.remove(`${folder}/${name}`);
  }
}

/** Creates a folder and those above it that are missing; each is durable before the next. */
export async function makeFolder(disk: Disk, path: string, mode: number, owner: DiskOwner | null): Promise<void> {
  if (path === '/' || (await disk.stat(path)) !== null) return;
  await makeFolder(disk, parentOf(path), 0o755, null);
  await disk.makeDir(path, mode, owner);
  await disk.syncDir(parentOf(path));
}

async function stage(disk: Disk, w: FileWrite, old: DiskStat | null): Promise<string> {
  const staged = stagingPath(w.path, w.stagedBy);
  const keep = old?.kind === 'file' ? old : null;
  if (w.stagedBy !== undefined) await removeAbandoned(disk, w.path);
  await disk.remove(staged);
  await disk.create(staged, w.bytes, { kind: 'file', mode: keep?.mode ?? w.mode, owner: keep?.owner ?? w.owner });
  return staged;
}

/** `Guarded`: the file was not what the guard wants, and was left alone. Disk errors throw, with nothing half done. */
export async function installFile(disk: Disk, w: FileWrite): Promise<'Written' | 'Guarded'> {
  const old = await disk.stat(w.path);
  if (!w.guard(await disk.read(w.path))) return 'Guarded';
  await makeFolder(disk, parentOf(w.path), 0o755, null);
  try {
    const staged = await stage(disk, w, old);
    if (!w.guard(await disk.read(w.path))) {
      await disk.remove(staged);
      return 'Guarded';
    }
    await disk.rename(staged, w.path);
  } catch (e) {
    // Under a name of its own nobody would find it again.
    if (w.stagedBy !== undefined) await disk.remove(stagingPath(w.path, w.stagedBy)).catch(() => undefined);
    throw e;
  }
  await disk.syncDir(parentOf(w.path));
  return 'Written';
}

/** Takes a file away if the guard allows it. */
export async function removeFile(disk: Disk, path: string, guard: FileWrite['guard']): Promise<'Removed' | 'Guarded'> {
  if (!guard(await disk.read(path))) return 'Guarded';
  await disk.remove(path);
  await disk.syncDir(parentOf(path));
  return 'Removed';
}

/** Takes an empty folder away, durably, before anything that remembers it goes. */
export async function removeFolder(disk: Disk, path: string): Promise<void> {
  if ((await disk.stat(path))?.kind !== 'dir') return;
  await disk.removeDir(path);
  await disk.syncDir(parentOf(path));
}
