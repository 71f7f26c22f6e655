/**
 * Executes a plan's changes on a disk, in order, each behind its guard. It decides nothing: `patch` calls it directly,
 * applyRevision with a journal around it.
 */
import { installFile, makeFolder, removeFile, removeFolder } from '../host/install.ts';
import type { Disk } from '../host/types.ts';
import { Secret } from '../render/types.ts';
import { ROOT_OWNER, sha256 } from '../targets/host-layout.ts';
import type { HostChange, HostPath } from '../targets/types.ts';

/** The file is not what the plan was made for: someone changed it meanwhile. */
export type Guarded = { readonly path: HostPath };

export const bytesOf = (after: Uint8Array | Secret<Uint8Array>): Uint8Array =>
  after instanceof Secret ? after.reveal() : after;

const isAt =
  (digest: string | null) =>
  (now: Uint8Array | null): boolean =>
    (now === null ? null : sha256(now)) === digest;

/** A file that is already as the change wants it is done, whatever it was before: so a plan can be carried on. */
async function writeFile(
  disk: Disk,
  c: Extract<HostChange, { do: 'WriteFile' }>,
  stagedBy?: string,
): Promise<Guarded | null> {
  const bytes = bytesOf(c.after);
  if (isAt(sha256(bytes))(await disk.read(c.path))) return null;
  const w = { path: c.path, bytes, mode: c.mode, owner: c.owner ?? ROOT_OWNER, guard: isAt(c.before), stagedBy };
  return (await installFile(disk, w)) === 'Guarded' ? { path: c.path } : null;
}

async function takeFile(disk: Disk, c: Extract<HostChange, { do: 'RemoveFile' }>): Promise<Guarded | null> {
  if ((await disk.read(c.path)) === null) return null;
  return (await removeFile(disk, c.path, isAt(c.before))) === 'Guarded' ? { path: c.path } : null;
}

/** null when the change is done. Disk errors throw, with the file whole. `stagedBy`: see FileWrite. */
export async function applyChange(disk: Disk, change: HostChange, stagedBy?: string): Promise<Guarded | null> {
  switch (change.do) {
    case 'MakeDir':
      await makeFolder(disk, change.path, change.mode, change.owner ?? null);
      return null;
    case 'WriteFile':
      return writeFile(disk, change, stagedBy);
    case 'RemoveFile':
      return takeFile(disk, change);
    case 'Give':
      await disk.give(change.path, change.owner);
      return null;
    case 'RemoveDir':
      await removeFolder(disk, change.path);
      return null;
    case 'RestartUnit':
      throw new Error('units are restarted by the Systemd target’s runner, which is not here');
  }
}

/** All changes, until one is guarded. */
export async function applyAll(disk: Disk, changes: readonly HostChange[], stagedBy?: string): Promise<Guarded | null> {
  for (const change of changes) {
    const guarded = await applyChange(disk, change, stagedBy);
    if (guarded !== null) return guarded;
  }
  return null;
}
