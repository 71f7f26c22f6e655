/**
 * The manifest as it was, kept beside it as a dotfile while a change is in flight or on probation: a hard link, so that it
 * is the very file, with owner, mode, label and all, and takes no space. A rollback renames it back, which needs no new
 * block either: so it works on a full disk. Called by apply-revision.ts (keep) and follow.ts (put back, drop).
 */
import type { Disk } from '../host/types.ts';
import { parentOf, ROOT_OWNER } from '../targets/host-layout.ts';
import type { HostPath } from '../targets/types.ts';
import type { Journal } from './state-file.ts';

const baseOf = (path: HostPath): string => path.slice(path.lastIndexOf('/') + 1);

export const beforePath = (manifest: HostPath): HostPath =>
  `${parentOf(manifest)}/.${baseOf(manifest)}.auditconfig-before`;

const textAt = async (disk: Disk, path: HostPath): Promise<string | null> => {
  const bytes = await disk.read(path);
  return bytes === null ? null : new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
};

/** What file systems say that know no hard links, or none more to this file. */
const NO_LINKS: readonly string[] = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EXDEV'];

const hasNoLinks = (e: unknown): boolean =>
  e instanceof Error && 'code' in e && typeof e.code === 'string' && NO_LINKS.includes(e.code);

/** Durable when it returns. Where there are no hard links it is a copy, with owner and mode. */
export async function keepBefore(disk: Disk, journal: Journal): Promise<void> {
  const { manifest, before } = journal;
  if (before === null) return;
  const path = beforePath(manifest);
  await disk.remove(path);
  try {
    await disk.link(manifest, path);
  } catch (e) {
    if (!hasNoLinks(e)) throw e;
    const as = (await disk.stat(manifest)) ?? { kind: 'file', mode: 0o600, owner: ROOT_OWNER };
    await disk.create(path, new TextEncoder().encode(before), as);
  }
  await disk.syncDir(parentOf(manifest));
}

/** True when the manifest is the one of before; false where someone else's hands were on either file. */
export async function putBack(disk: Disk, { manifest, before, after }: Journal): Promise<boolean> {
  const text = await textAt(disk, manifest);
  if (text === before) return true;
  if (text !== after) return false;
  if (before !== null && (await textAt(disk, beforePath(manifest))) !== before) return false;
  if (before === null) await disk.remove(manifest);
  else await disk.rename(beforePath(manifest), manifest);
  await disk.syncDir(parentOf(manifest));
  return true;
}

export async function dropBefore(disk: Disk, manifest: HostPath): Promise<void> {
  const path = beforePath(manifest);
  if ((await disk.stat(path)) === null) return;
  await disk.remove(path);
  await disk.syncDir(parentOf(manifest));
}
