/**
 * What every host target keeps beside the one file that it edits, and takes away again at removal: the revisions' files,
 * the log's folder, the record of what was there before, and a plain backup for people. Pure, as its callers are: the
 * targets of this folder.
 */
import type { Finding } from '../api/findings.ts';
import type { Revision } from '../render/types.ts';
import {
  baseOf,
  foldersTo,
  givenTo,
  isWithin,
  parentOf,
  revisionDir,
  REVISION_FILES,
  ROOT_OWNER,
  sha256,
  tidyPath,
} from './host-layout.ts';
import type { HostLayout } from './host-layout.ts';
import { backupPath, backupsDir, encodeRecord, ownBackups, parseRecord, recordPath } from './record.ts';
import type { AdoptionRecord } from './record.ts';
import { END_BYTES } from './types.ts';
import type { HostChange, HostObserved, HostPath, HostRead, HostStat, Owner } from './types.ts';

/** Whose books: `of` names the place for as long as it exists, also where the edited file becomes another one. */
export type Books = { readonly of: HostPath; readonly layout: HostLayout };

export const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

export const refusal = (code: string, message: string, path = ''): Finding => ({
  severity: 'error',
  code,
  message,
  path,
});

type LogPlace = { readonly dir: HostPath; readonly path: HostPath };

/** File name of the log inside its folder, where a revision logs to a file. */
export function logFileOf(revision: Revision): LogPlace | null {
  const flag = revision.flags.find((f) => f.name === '--audit-log-path')?.value;
  if (revision.logDir === undefined || typeof flag !== 'object' || !('dir' in flag)) return null;
  const dir = tidyPath(revision.logDir);
  return { dir, path: `${dir}/${flag.name}` };
}

/** Every folder that a target may make, those above it first. */
function ownFolders(to: Revision | null, layout: HostLayout): readonly HostPath[] {
  const log = to === null ? null : logFileOf(to);
  const leaves = [layout.revisionsDir, `${layout.stateDir}/adopted`, backupsDir(layout)];
  return [...new Set([...leaves, ...(log === null ? [] : [log.dir])].flatMap(foldersTo))];
}

/** Folders that bear our name: ours whoever made them, so that a record need not tell. */
const namedFolders = (layout: HostLayout): readonly HostPath[] => [
  parentOf(layout.revisionsDir),
  layout.revisionsDir,
  layout.stateDir,
  `${layout.stateDir}/adopted`,
  backupsDir(layout),
];

/** Backups of this place that are there. */
const backupsOf = (seen: HostObserved, { layout, of }: Books): readonly HostPath[] =>
  ownBackups(of, seen.dirs.get(backupsDir(layout)) ?? []).map((n) => `${backupsDir(layout)}/${n}`);

/** Records of other places on this host: a copy of the manifest that somebody tries things on, say. */
function otherRecords(seen: HostObserved, { layout, of }: Books): readonly HostPath[] {
  const dir = `${layout.stateDir}/adopted`;
  const all = (seen.dirs.get(dir) ?? []).filter((n) => n.endsWith('.json') && !n.startsWith('.'));
  return all.map((n) => `${dir}/${n}`).filter((path) => path !== recordPath(of, layout));
}

/** Folders that were made for other places too: the last of all takes them away. */
const madeForOthers = (seen: HostObserved, books: Books): readonly HostPath[] =>
  otherRecords(seen, books).flatMap((path) => parseRecord(seen.files.get(path)?.bytes ?? new Uint8Array())?.made ?? []);

/** What must be read to keep the books. */
export function bookReads(to: Revision | null, seen: HostObserved, books: Books): readonly HostRead[] {
  const { layout } = books;
  const revisions = (seen.dirs.get(layout.revisionsDir) ?? []).map((n) => `${layout.revisionsDir}/${n}`);
  const mine = to === null ? [] : [revisionDir(to.digest, layout)];
  const log = to === null ? null : logFileOf(to);
  const file = (path: HostPath): HostRead => ({ read: 'File', path });
  const stat = (path: HostPath): HostRead => ({ read: 'Stat', path });
  return [
    file(recordPath(books.of, layout)),
    ...otherRecords(seen, books).map(file),
    { read: 'Dir', path: layout.revisionsDir },
    { read: 'Dir', path: backupsDir(layout) },
    ...backupsOf(seen, books).map(file),
    ...[...new Set([...revisions, ...mine])].flatMap((d) => [
      stat(d),
      ...REVISION_FILES.map((name) => file(`${d}/${name}`)),
    ]),
    ...ownFolders(to, layout).map(stat),
    ...[...revisions, ...namedFolders(layout)].map((path): HostRead => ({ read: 'Dir', path })),
    ...(log === null
      ? []
      : [stat(log.path), { read: 'Dir', path: log.dir } as const, { read: 'End', path: log.path } as const]),
  ];
}

export function recordOf(seen: HostObserved, { of, layout }: Books): AdoptionRecord | null {
  const file = seen.files.get(recordPath(of, layout)) ?? null;
  return file === null ? null : parseRecord(file.bytes);
}

export const RECORD_MISSING: Finding = {
  severity: 'warning',
  code: 'RecordMissing',
  message: 'The record of what was set by hand before is gone; audit flags are taken out, and none are given back.',
  path: '',
};

/** What was set by hand and is now ours: shown in diffs and status, given back at removal. */
export function adoptionFindings(
  flags: ReadonlyMap<string, string>,
  wanted: ReadonlyMap<string, string>,
): readonly Finding[] {
  return [...flags].map(([name, value]): Finding => {
    const to = wanted.get(name);
    return to === undefined
      ? {
          severity: 'info',
          code: 'FlagTakenOut',
          message: `${name}=${value} was set by hand and is not in the revision: it is taken out, and given back at removal.`,
          path: name,
        }
      : {
          severity: 'info',
          code: 'FlagAdopted',
          message: `${name}=${value} was set by hand: it is ${to === value ? 'kept' : `now ${to}`}, and given back at removal.`,
          path: name,
        };
  });
}

/** The log's place on the host's disk. */
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
  const [stem] = baseOf(path).split('.');
  const isOfLog = (name: string): boolean => name === baseOf(path) || name.startsWith(`${stem ?? ''}-`);
  const names = seen.dirs.get(dir) ?? null;
  return seen.stats.get(dir)?.owner.uid !== ROOT_OWNER.uid || names === null || !names.every(isOfLog);
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

const isMissing = (seen: HostObserved, path: HostPath): boolean => (seen.stats.get(path) ?? null) === null;

export type Recorded = Pick<AdoptionRecord, 'manifest' | 'before' | 'after'> & {
  readonly adopted: ReadonlyMap<string, string>;
};

/** Folders without our name that this plan makes, above all the log's. */
const foldersToMake = (to: Revision, seen: HostObserved, layout: HostLayout): readonly HostPath[] =>
  ownFolders(to, layout).filter((d) => isMissing(seen, d) && !namedFolders(layout).includes(d));

/** The record of an installation, with the folders that were made for it. */
export const recordFor = (to: Revision, r: Recorded, seen: HostObserved, books: Books): AdoptionRecord => ({
  version: 1,
  manifest: r.manifest,
  digest: to.digest,
  adopted: [...r.adopted].map(([name, value]) => ({ name, value })),
  made: [
    ...new Set([
      ...(recordOf(seen, books)?.made ?? []),
      ...madeForOthers(seen, books),
      ...foldersToMake(to, seen, books.layout),
    ]),
  ],
  before: r.before,
  after: r.after,
});

/** The record and, for people, a plain backup. */
export function recordChanges(record: AdoptionRecord, seen: HostObserved, books: Books): readonly HostChange[] {
  const { layout, of } = books;
  const dirs = [layout.stateDir, `${layout.stateDir}/adopted`, backupsDir(layout)]
    .filter((path) => isMissing(seen, path))
    .map((path): HostChange => ({ do: 'MakeDir', path, mode: 0o700, owner: ROOT_OWNER }));
  const write = (path: HostPath, before: Uint8Array | null, after: Uint8Array): HostChange => ({
    do: 'WriteFile',
    path,
    before: before === null ? null : sha256(before),
    after,
    mode: 0o600,
    owner: ROOT_OWNER,
  });
  const path = recordPath(of, layout);
  const was = seen.files.get(path)?.bytes ?? null;
  const after = encodeRecord(record);
  const backup = record.before === null ? null : backupPath(of, record.before, layout);
  const hasBackup = backup === null || backupsOf(seen, books).includes(backup);
  return [
    ...dirs,
    ...(hasBackup || record.before === null ? [] : [write(backup, null, encode(record.before))]),
    ...(was !== null && sha256(was) === sha256(after) ? [] : [write(path, was, after)]),
  ];
}

const removeFile = (path: HostPath, seen: HostObserved): readonly HostChange[] => {
  const file = seen.files.get(path) ?? null;
  return file === null ? [] : [{ do: 'RemoveFile', path, before: sha256(file.bytes) }];
};

/** The change of a file from what was seen to a text, or to nothing. */
export function fileChange(path: HostPath, text: string | null, seen: HostObserved): readonly HostChange[] {
  if (text === null) return removeFile(path, seen);
  const now = seen.files.get(path) ?? null;
  const after = encode(text);
  const before = now === null ? null : sha256(now.bytes);
  return before === sha256(after) ? [] : [{ do: 'WriteFile', path, before, after, mode: 0o600 }];
}

/** What would be seen if a file had this text, or were not there. */
export function withText(seen: HostObserved, path: HostPath, text: string | null): HostObserved {
  const old = seen.files.get(path) ?? { mode: 0o600, owner: ROOT_OWNER };
  const file = text === null ? null : { ...old, bytes: encode(text) };
  return { ...seen, files: new Map([...seen.files, [path, file]]) };
}

/** Is a revision folder of another place of this host too? Its API server could not start without it. */
export function isOfOthers(seen: HostObserved, books: Books): (dir: HostPath) => boolean {
  const others = otherRecords(seen, books).flatMap((path) => seen.files.get(path)?.bytes ?? []);
  const said = others.map((bytes) => new TextDecoder().decode(bytes));
  return (dir) => said.some((text) => text.includes(baseOf(dir)));
}

/**
 * The revision folders that a removal takes: all of them, also what a change that was cut short left behind. Beside
 * another place only the one that was installed here, and not if that place has it too.
 */
function revisionsToTake(seen: HostObserved, books: Books): readonly HostPath[] {
  const { layout } = books;
  const all = (seen.dirs.get(layout.revisionsDir) ?? []).map((n) => `${layout.revisionsDir}/${n}`);
  if (otherRecords(seen, books).length === 0) return all;
  const own = recordOf(seen, books);
  const isTheirs = isOfOthers(seen, books);
  return all.filter((dir) => own !== null && dir === revisionDir(own.digest, layout) && !isTheirs(dir));
}

/** Deepest first, so that each is empty when its turn comes. */
const deepestFirst = (dirs: readonly HostPath[]): readonly HostPath[] => [...dirs].sort((a, b) => b.length - a.length);

/**
 * Revision folders, the record, and the folders that were made for them. The record goes when all that it knows of is
 * gone, so that a removal that was cut short can be carried on. Logs stay: they are the user's.
 */
export function cleanup(seen: HostObserved, books: Books): readonly HostChange[] {
  const { layout, of } = books;
  const revisions = revisionsToTake(seen, books);
  const files = [
    ...revisions.flatMap((d) => REVISION_FILES.map((name) => `${d}/${name}`)),
    ...backupsOf(seen, books),
    recordPath(of, layout),
  ].filter((path) => (seen.files.get(path) ?? null) !== null);
  const stay = new Set([...namedFolders(layout), ...madeForOthers(seen, books)]);
  const made = (recordOf(seen, books)?.made ?? []).filter((d) => !stay.has(d));
  const [above, aside] = [true, false].map((is) =>
    deepestFirst(made.filter((d) => namedFolders(layout).some((n) => isWithin(n, d)) === is)),
  );
  const going = new Set(files);
  const empty = deepestFirst([...revisions, ...namedFolders(layout)]).filter((dir) => {
    const names = seen.dirs.get(dir) ?? null;
    const isEmpty = names !== null && names.every((n) => going.has(`${dir}/${n}`));
    if (isEmpty) going.add(dir);
    return isEmpty;
  });
  const removeDir = (path: HostPath): HostChange => ({ do: 'RemoveDir', path });
  return [
    ...files.slice(0, -1).flatMap((path) => removeFile(path, seen)),
    ...(aside ?? []).map(removeDir),
    ...files.slice(-1).flatMap((path) => removeFile(path, seen)),
    ...[...empty, ...(above ?? [])].map(removeDir),
  ];
}
