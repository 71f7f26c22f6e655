/**
 * What every host target keeps beside the one file that it edits, and takes away again at removal: the record of
 * what was there before, a plain backup for people, and, at removal, the revisions' files and folders. Pure, as its callers
 * are: the targets of this folder.
 */
import type { Revision } from '../render/types.ts';
import {
  baseOf,
  foldersTo,
  isWithin,
  logFileOf,
  parentOf,
  revisionDir,
  REVISION_FILES,
  ROOT_OWNER,
  sha256,
} from './host-layout.ts';
import type { HostLayout } from './host-layout.ts';
import { logReads } from './log-place.ts';
import { backupPath, backupsDir, encodeRecord, ownBackups, parseRecord, recordOf, recordPath } from './record.ts';
import type { AdoptionRecord, Books } from './record.ts';
import type { HostChange, HostObserved, HostPath, HostRead } from './types.ts';

export const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

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
    ...logReads(to),
  ];
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
