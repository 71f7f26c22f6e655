/** Reads from the disk what a target asks for, until it asks for nothing new. The target itself does no I/O. */
import type { Disk } from '../host/types.ts';
import type { Revision } from '../render/types.ts';
import { END_BYTES } from '../targets/types.ts';
import type { HostFile, HostObserved, HostPath, HostRead, HostStat, FilesTarget } from '../targets/types.ts';

/**
 * The kubelet takes no manifest that is larger (pkg/kubelet/config/common.go, maxConfigLength), and no file of ours is: what
 * somebody left in a folder, such as a snapshot of etcd, is not read into memory.
 */
const MAX_BYTES = 10 * 1024 * 1024;

/** null for what the kubelet does not read either: a pipe would keep its reader for ever. */
async function readFile(disk: Disk, path: HostPath): Promise<HostFile | null> {
  const stat = await disk.stat(path);
  if (stat === null || stat.kind === 'other' || (stat.size ?? 0) > MAX_BYTES) return null;
  const bytes = await disk.read(path);
  return bytes === null ? null : { bytes, mode: stat.mode, owner: stat.owner };
}

const readEnd = async (disk: Disk, path: HostPath): Promise<Uint8Array | null> =>
  (await disk.stat(path))?.kind === 'file' ? disk.readEnd(path, END_BYTES) : null;

/** What `target` needs for a plan to `to`. Disk errors throw. */
export async function gather<Spec>(
  disk: Disk,
  target: FilesTarget<Spec>,
  to: Revision | null,
  spec: Spec,
): Promise<HostObserved> {
  const files = new Map<HostPath, HostFile | null>();
  const dirs = new Map<HostPath, readonly string[] | null>();
  const stats = new Map<HostPath, HostStat | null>();
  const ends = new Map<HostPath, Uint8Array | null>();
  const seen: HostObserved = { files, dirs, stats, ends };
  const known = { File: files, Dir: dirs, Stat: stats, End: ends };
  const fresh = (): readonly HostRead[] => target.observe(to, seen, spec).filter((r) => !known[r.read].has(r.path));
  for (let reads = fresh(); reads.length > 0; reads = fresh()) {
    for (const { read, path } of reads) {
      if (read === 'File') files.set(path, await readFile(disk, path));
      else if (read === 'Dir') dirs.set(path, await disk.list(path));
      else if (read === 'End') ends.set(path, await readEnd(disk, path));
      else stats.set(path, await disk.stat(path));
    }
  }
  return seen;
}
