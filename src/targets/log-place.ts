/**
 * The log's folder and file on a host's disk: whose they are, whether they may be taken for a log, and who may write them. Pure;
 * called by the host targets, which refuse for these findings and carry these changes out.
 */
import type { Finding } from '../api/findings.ts';
import { isOfLog } from '../render/rotated-name.ts';
import type { Revision } from '../render/types.ts';
import { baseOf, givenTo, logFileOf, ROOT_OWNER } from './host-layout.ts';
import type { LogPlace } from './host-layout.ts';
import { recordOf } from './record.ts';
import type { Books } from './record.ts';
import { refusal } from './refusal.ts';
import { END_BYTES } from './types.ts';
import type { HostChange, HostObserved, HostPath, HostRead, HostStat, Owner } from './types.ts';

/** What must be read to judge it. */
export function logReads(to: Revision | null): readonly HostRead[] {
  const log = to === null ? null : logFileOf(to);
  if (log === null) return [];
  return [
    { read: 'Stat', path: log.path },
    { read: 'Dir', path: log.dir },
    { read: 'End', path: log.path },
  ];
}

/** What is there already is a file in a folder. */
export function logPlaceFindings(to: Revision, seen: HostObserved): readonly Finding[] {
  const log = logFileOf(to);
  if (log === null) return [];
  const [file, dir] = [seen.stats.get(log.path) ?? null, seen.stats.get(log.dir) ?? null];
  return [
    ...(file === null || file.kind === 'file'
      ? []
      : [refusal('LogPathNotAFile', `${log.path} is there and is not a plain file.`)]),
    ...(dir === null || dir.kind === 'dir' || dir.kind === 'link'
      ? []
      : [refusal('LogFolderNotAFolder', `${log.dir} is there and is not a folder.`)]),
  ];
}

/** As kube-apiserver writes it: an event in JSON, or a line of the format Legacy. */
const isAuditLine = (line: string): boolean => /"auditID"\s*:/.test(line) || /^\S+ AUDIT: /.test(line);

/** What we wrote last logs there, be it a manifest, a unit, or a drop-in, whose flags have no dashes. */
function isNamedByUs(log: HostPath, seen: HostObserved, books: Books): boolean {
  const words = (recordOf(seen, books)?.after ?? '').split(/[\s"',[\]]+/);
  return ['--', ''].some((dashes) => words.includes(`${dashes}audit-log-path=${log}`));
}

/**
 * A file at the log's path with whole lines, and none of an API server among the last: it is another program's log (auditd's
 * is /var/log/audit/audit.log), which rotation would rename and, in time, delete. Where this API server logs now
 * (`logsTo`, on the host) is its own, whatever is in it; so is where we last made it log, or else whoever takes our flags out
 * and writes rubbish into the log would thereby keep them out.
 */
export function logTakenFindings(
  to: Revision,
  seen: HostObserved,
  { logsTo, books }: { readonly logsTo: HostPath | null; readonly books: Books },
): readonly Finding[] {
  const log = logFileOf(to);
  const end = log === null ? null : (seen.ends.get(log.path) ?? null);
  if (log === null || end === null || logsTo === log.path || isNamedByUs(log.path, seen, books)) return [];
  // What stands behind the last line end is half a line, and so is what stands before the first one where there is more of it:
  // an event with large bodies begins far in front.
  const from = end.byteLength < END_BYTES ? 0 : 1;
  const lines = new TextDecoder()
    .decode(end)
    .split('\n')
    .slice(from, -1)
    .filter((l) => l.trim() !== '');
  if (lines.length === 0 || lines.some(isAuditLine)) return [];
  const message = `${log.path} is there, and is no log of a kube-apiserver: rotation would rename it, and delete what another program has written. Choose another path, or take that file away.`;
  return [refusal('LogTaken', message, log.path)];
}

/**
 * Somebody else made the log's folder, and gave it to whom he liked. One of root's with nothing in it but this log is for this
 * log: the kubelet makes it so for the agent's own pod, before that has done anything.
 */
function isTheirs({ dir, path }: LogPlace, seen: HostObserved, books: Books): boolean {
  if (recordOf(seen, books)?.made.includes(dir) === true) return false;
  const names = seen.dirs.get(dir) ?? null;
  const hasOthers = names === null || !names.every((name) => isOfLog(name, baseOf(path)));
  return seen.stats.get(dir)?.owner.uid !== ROOT_OWNER.uid || hasOthers;
}

/** By its mode; whoever is in a group that may write is believed. */
const mayWrite = ({ mode, owner }: HostStat, user: Owner): boolean =>
  owner.uid === user.uid ? (mode & 0o200) !== 0 : (mode & 0o022) !== 0;

/** A log that an API server cannot open stops it. Root may write everywhere, and what is ours becomes his (logChanges). */
export function logAccessFindings(to: Revision, seen: HostObserved, writer: Owner, books: Books): readonly Finding[] {
  const log = logFileOf(to);
  if (log === null || writer.uid === ROOT_OWNER.uid || !isTheirs(log, seen, books)) return [];
  const kinds = [[log.dir, 'dir'], [log.path, 'file']] as const; // prettier-ignore
  return kinds.flatMap(([path, kind]) => {
    const is = seen.stats.get(path) ?? null;
    if (is?.kind !== kind || mayWrite(is, writer)) return [];
    return [
      refusal(
        'LogNotWritable',
        `The API server runs as user ${writer.uid}, who may not write ${path}, and would not start. Give it to that user, or choose another folder.`,
        path,
      ),
    ];
  });
}

/** The log's folder, and with `readerGroup` the log itself: rotation keeps a file's mode and owner. */
export function logChanges(to: Revision, seen: HostObserved, writer: Owner, books?: Books): readonly HostChange[] {
  const log = logFileOf(to);
  if (log === null) return [];
  const group = to.readerGroup ?? 0;
  const owner = group === 0 ? writer : { uid: writer.uid, gid: group };
  const dir: readonly HostChange[] =
    (seen.stats.get(log.dir) ?? null) === null
      ? [{ do: 'MakeDir', path: log.dir, mode: group === 0 ? 0o700 : 0o750, owner }]
      : [];
  const file: readonly HostChange[] =
    group !== 0 && (seen.stats.get(log.path) ?? null) === null
      ? [{ do: 'WriteFile', path: log.path, before: null, after: new Uint8Array(), mode: 0o640, owner }]
      : [];
  // The log first: as long as the folder is not theirs, nobody can put something else in its place.
  const owners = [log.path, log.dir].map((path) => [path, seen.stats.get(path)?.owner] as const);
  const isOurs = books !== undefined && !isTheirs(log, seen, books);
  return [...dir, ...file, ...(isOurs ? givenTo(owner, new Map(owners)) : [])];
}
