/**
 * The host's real disk behind the seam of types.ts. `root` goes before every path: `/` on the node itself, a mounted
 * disk, the host's file system inside the agent's container, or a test's folder. It decides nothing.
 */
import { constants } from 'node:fs';
import { link, lstat, mkdir, open, readdir, readFile, rename, rmdir, statfs, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Disk, DiskOwner, DiskStat } from './types.ts';

const codeOf = (e: unknown): string | undefined =>
  e instanceof Error && 'code' in e && typeof e.code === 'string' ? e.code : undefined;

/** The value, or null where the error only says that there is no such thing. */
async function unless<T>(codes: readonly string[], act: () => Promise<T>): Promise<T | null> {
  try {
    return await act();
  } catch (e) {
    if (codes.includes(codeOf(e) ?? '')) return null;
    throw e;
  }
}

const ABSENT = ['ENOENT', 'ENOTDIR'];

async function statOf(path: string): Promise<DiskStat | null> {
  const s = await unless(ABSENT, () => lstat(path));
  if (s === null) return null;
  const kind = s.isFile() ? 'file' : s.isDirectory() ? 'dir' : s.isSymbolicLink() ? 'link' : 'other';
  const size = kind === 'file' ? { size: s.size } : {};
  return { kind, mode: s.mode & 0o7777, owner: { uid: s.uid, gid: s.gid }, changedAt: s.ctimeMs, ...size };
}

async function readEnd(path: string, bytes: number): Promise<Uint8Array> {
  const file = await open(path, constants.O_RDONLY);
  try {
    const { size } = await file.stat();
    const from = Math.max(0, size - bytes);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - from), 0, size - from, from);
    return new Uint8Array(buffer.subarray(0, bytesRead));
  } finally {
    await file.close();
  }
}

async function create(path: string, bytes: Uint8Array, as: DiskStat): Promise<void> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const file = await open(path, flags, 0o600);
  try {
    await file.writeFile(bytes);
    await own((o) => file.chown(o.uid, o.gid), as.owner);
    await file.chmod(as.mode);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Only root gives files away; without that right (a developer's `patch --root DIR`) they stay his who writes them. */
async function own(change: (o: DiskOwner) => Promise<void>, owner: DiskOwner): Promise<void> {
  if (process.getuid?.() === 0) await change(owner);
}

/**
 * Gives a folder away by a handle on it, never by its name: who may write beside it could have put a link in its place since
 * it was made (a log's folder lies in what the API server's user owns), and root would give away what the link names.
 */
export async function giveFolder(path: string, owner: DiskOwner): Promise<void> {
  const dir = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    await own((o) => dir.chown(o.uid, o.gid), owner);
  } finally {
    await dir.close();
  }
}

/** By a handle too, and only what nobody else has linked here: root would give away that very file. */
async function give(path: string, owner: DiskOwner): Promise<void> {
  const there = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const is = await there.stat();
    if (is.isDirectory() || (is.isFile() && is.nlink === 1)) await own((o) => there.chown(o.uid, o.gid), owner);
  } finally {
    await there.close();
  }
}

async function makeDir(path: string, mode: number, owner: DiskOwner | null): Promise<void> {
  await mkdir(path, { mode });
  if (owner !== null) await giveFolder(path, owner);
}

async function syncDir(path: string): Promise<void> {
  const dir = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await dir.sync();
  } finally {
    await dir.close();
  }
}

async function freeBytes(path: string): Promise<number | null> {
  const s = await unless(ABSENT, () => statfs(path));
  if (s !== null) return s.bavail * s.bsize;
  return dirname(path) === path ? null : freeBytes(dirname(path));
}

/**
 * Why a folder may stay. In the agent's pod ours are mount points (EBUSY), in a root that is read-only (EROFS): an empty
 * folder hurts nobody, and a removal that never ends does. A disk that went read-only is told by the other writes.
 */
const STAYS = [...ABSENT, 'ENOTEMPTY', 'EEXIST', 'EBUSY', 'EROFS'];

/** Links are followed only above the last part of a path; a file is read whole, up to what fits in memory. */
export function realDisk(root: string): Disk {
  const at = (path: string): string => join(root, path);
  return {
    stat: (path) => statOf(at(path)),
    read: (path) => unless([...ABSENT, 'EISDIR', 'ENXIO'], async () => new Uint8Array(await readFile(at(path)))),
    readEnd: (path, bytes) => unless([...ABSENT, 'EISDIR', 'ENXIO'], () => readEnd(at(path), bytes)),
    list: async (path) => (await unless(ABSENT, () => readdir(at(path))))?.sort() ?? null,
    makeDir: (path, mode, owner) => makeDir(at(path), mode, owner),
    create: (path, bytes, as) => create(at(path), bytes, as),
    give: async (path, owner) => void (await unless([...ABSENT, 'ELOOP', 'ENXIO'], () => give(at(path), owner))),
    link: (from, to) => link(at(from), at(to)),
    rename: (from, to) => rename(at(from), at(to)),
    remove: async (path) => void (await unless(ABSENT, () => unlink(at(path)))),
    removeDir: async (path) => void (await unless(STAYS, () => rmdir(at(path)))),
    syncDir: (path) => syncDir(at(path)),
    freeBytes: (path) => freeBytes(at(path)),
  };
}
