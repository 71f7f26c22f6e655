/**
 * How many bytes a log may take at most where a revision puts it: what its disk has free, and what that log itself, with its
 * rotated files, has there already. A log that has grown to its limit needs no more room for the next revision or for a
 * repair of this one. Called before a revision is judged (checks.ts), by apply-revision.ts and by `prestage`.
 */
import type { Disk } from '../host/types.ts';
import { isOfLog } from '../render/rotated-name.ts';
import type { Revision } from '../render/types.ts';
import { baseOf, logFileOf } from '../targets/host-layout.ts';

type RoomDisk = Pick<Disk, 'freeBytes' | 'list' | 'stat'>;

/** null where that is unknown, or where there is no log file. */
export async function roomForLog(disk: RoomDisk, to: Revision): Promise<number | null> {
  const log = logFileOf(to);
  const free = log === null ? null : await disk.freeBytes(log.dir);
  return log === null || free === null ? null : free + (await takenBy(disk, log));
}

/** Bytes of the log and of the files that its rotation deletes in time; nothing else in that folder is ever deleted. */
async function takenBy(
  disk: RoomDisk,
  { dir, path }: { readonly dir: string; readonly path: string },
): Promise<number> {
  const log = baseOf(path);
  let bytes = 0;
  for (const name of (await disk.list(dir)) ?? []) {
    if (!isOfLog(name, log)) continue;
    const is = await disk.stat(`${dir}/${name}`);
    if (is?.kind === 'file') bytes += is.size ?? 0;
  }
  return bytes;
}
