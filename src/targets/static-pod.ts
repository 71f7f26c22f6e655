/**
 * StaticPod: kube-apiserver runs from a manifest in the kubelet's folder (kubeadm and its kin). Turns a revision and the
 * bytes that were read into changes: the revision's files, a record of what was there before, and last the manifest,
 * of which only audit flags, two mounts and two volumes are edited. The text edit is checked against the pod that was
 * wanted, and refused where they differ. `patch`, `diff`, the node room and the agent use it.
 */
import type { Finding } from '../api/findings.ts';
import { hasErrors } from '../api/findings.ts';
import type { Revision } from '../render/types.ts';
import {
  baseOf,
  foldersTo,
  isWithin,
  parentOf,
  resolveFlags,
  revisionChanges,
  revisionDir,
  ROOT_OWNER,
  sha256,
} from './host-layout.ts';
import type { HostLayout } from './host-layout.ts';
import { editText } from './static-pod/exact.ts';
import { flagOps, inEffect, readFlags } from './static-pod/flags.ts';
import type { FlagWords } from './static-pod/flags.ts';
import { isInPlace, namedFiles } from './static-pod/in-place.ts';
import { podIdentity, readManifest, readManifestText, refusal } from './static-pod/manifest.ts';
import type { Manifest, Read } from './static-pod/manifest.ts';
import { logFileOf, mountOps, readerOf } from './static-pod/mounts.ts';
import { samePod } from './static-pod/ops.ts';
import { backupPath, backupsDir, encodeRecord, ownBackups, parseRecord, recordPath } from './static-pod/record.ts';
import type { AdoptionRecord } from './static-pod/record.ts';
import { undo } from './static-pod/undo.ts';
import { drift } from './static-pod/verify.ts';
import type { HostChange, HostObserved, HostPath, HostRead, HostTarget, Plan } from './types.ts';

export type StaticPodSpec = {
  readonly manifest: HostPath;
  readonly layout: HostLayout;
  /** False for a folder that no kubelet watches (a working copy): a second definition there is only a warning. */
  readonly watched?: boolean;
};

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Every folder that this target may make, those above it first. */
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

/** Backups of this manifest that are there. */
const backupsOf = (seen: HostObserved, { layout, manifest }: StaticPodSpec): readonly HostPath[] =>
  ownBackups(manifest, seen.dirs.get(backupsDir(layout)) ?? []).map((n) => `${backupsDir(layout)}/${n}`);

/** Files that flags set by hand name: they may be just what is wanted. */
function namedOnHost(seen: HostObserved, spec: StaticPodSpec): readonly HostPath[] {
  const bytes = seen.files.get(spec.manifest)?.bytes;
  const read = bytes === undefined ? null : readManifest(bytes);
  return read !== null && 'ok' in read ? namedFiles(read.ok) : [];
}

function observe(to: Revision | null, seen: HostObserved, spec: StaticPodSpec): readonly HostRead[] {
  const { layout, manifest } = spec;
  const folder = parentOf(manifest);
  // The kubelet reads every file here whose name does not begin with a dot; there is no filter on the extension.
  const others = (seen.dirs.get(folder) ?? []).filter((n) => !n.startsWith('.') && n !== baseOf(manifest));
  const revisions = (seen.dirs.get(layout.revisionsDir) ?? []).map((n) => `${layout.revisionsDir}/${n}`);
  const mine = to === null ? [] : [revisionDir(to.digest, layout)];
  const log = to === null ? null : logFileOf(to);
  const file = (path: HostPath): HostRead => ({ read: 'File', path });
  const stat = (path: HostPath): HostRead => ({ read: 'Stat', path });
  return [
    stat(manifest),
    file(manifest),
    { read: 'Dir', path: folder },
    ...others.map((n) => file(`${folder}/${n}`)),
    file(recordPath(manifest, layout)),
    ...namedOnHost(seen, spec).map(file),
    { read: 'Dir', path: layout.revisionsDir },
    { read: 'Dir', path: backupsDir(layout) },
    ...backupsOf(seen, spec).map(file),
    ...[...new Set([...revisions, ...mine])].flatMap((d) => [
      stat(d),
      file(`${d}/policy.yaml`),
      file(`${d}/webhook.yaml`),
    ]),
    ...ownFolders(to, layout).map(stat),
    ...[...revisions, ...namedFolders(layout)].map((path): HostRead => ({ read: 'Dir', path })),
    ...(log === null ? [] : [stat(log.path)]),
  ];
}

/** Another file of the folder that defines the same pod: which one the kubelet runs is chance. */
function secondDefinitions(m: Manifest, seen: HostObserved, spec: StaticPodSpec): readonly Finding[] {
  const folder = parentOf(spec.manifest);
  return (seen.dirs.get(folder) ?? [])
    .filter((n) => !n.startsWith('.') && n !== baseOf(spec.manifest))
    .flatMap((n): Finding[] => {
      const other = seen.files.get(`${folder}/${n}`) ?? null;
      const pod = other === null ? null : podIdentity(other.bytes);
      if (pod === null || pod.name !== m.name || pod.namespace !== m.namespace) return [];
      const message = `${folder}/${n} defines the same pod ${m.namespace}/${m.name}; the kubelet reads every file of this folder, whatever its extension. Move it elsewhere.`;
      return [refusal('SecondDefinition', message)];
    });
}

type Seen = {
  readonly current: Manifest;
  readonly bytes: Uint8Array;
  /** The manifest as it would be without us. */
  readonly base: Manifest;
  readonly record: AdoptionRecord | null;
  readonly findings: readonly Finding[];
};

function recordOf(seen: HostObserved, spec: StaticPodSpec): AdoptionRecord | null {
  const file = seen.files.get(recordPath(spec.manifest, spec.layout)) ?? null;
  return file === null ? null : parseRecord(file.bytes);
}

/** What stands there now, and what would without us. */
function read(seen: HostObserved, spec: StaticPodSpec): Read<Seen> {
  const refused = (code: string, message: string): Read<Seen> => ({ refused: [refusal(code, message)] });
  if (seen.stats.get(spec.manifest)?.kind === 'link')
    return refused(
      'ManifestIsLink',
      `${spec.manifest} is a symbolic link; renaming over it would cut the link. Name the file itself.`,
    );
  const file = seen.files.get(spec.manifest) ?? null;
  if (file === null) return refused('ManifestMissing', `There is no manifest at ${spec.manifest}.`);
  const current = readManifest(file.bytes);
  if ('refused' in current) return current;
  const twice = secondDefinitions(current.ok, seen, spec);
  if (twice.length > 0 && spec.watched !== false) return { refused: twice };
  const record = recordOf(seen, spec);
  const undone = undo(current.ok, record, spec.layout);
  if (undone.base === null)
    return refused(
      'EditNotExact',
      'Our earlier edit cannot be taken out of this manifest without touching more than it.',
    );
  const lost: readonly Finding[] = undone.lost
    ? [
        {
          severity: 'warning',
          code: 'RecordMissing',
          message:
            'The record of what was set by hand before is gone; audit flags are taken out, and none are given back.',
          path: '',
        },
      ]
    : [];
  return {
    ok: {
      current: current.ok,
      bytes: file.bytes,
      base: undone.base,
      record,
      findings: [...lost, ...twice.map((f): Finding => ({ ...f, severity: 'warning' }))],
    },
  };
}

/** What was set by hand and is now ours: shown in diffs and status, given back at removal. */
function adoptionFindings(flags: FlagWords, wanted: ReadonlyMap<string, string>): readonly Finding[] {
  return [...inEffect(flags.found)].map(([name, value]): Finding => {
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
function logPlaceFindings(to: Revision, seen: HostObserved): readonly Finding[] {
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

type Wanted = {
  readonly text: string;
  readonly findings: readonly Finding[];
  readonly flags: FlagWords;
  readonly done: boolean;
};

/** The manifest's text with the revision in it. */
function wantedText(base: Manifest, to: Revision, seen: HostObserved, spec: StaticPodSpec): Read<Wanted> {
  const flags = readFlags(base);
  if ('refused' in flags) return flags;
  const wanted = resolveFlags(to, spec.layout);
  const mounts = mountOps(base, to, spec.layout, parentOf(spec.manifest));
  if (hasErrors(mounts.findings)) return { refused: mounts.findings };
  const done = isInPlace(base, { to, seen, layout: spec.layout });
  const text = done ? base.text : editText(base, [...flagOps(flags.ok, wanted), ...mounts.ops]);
  if (text === null)
    return {
      refused: [
        refusal(
          'EditNotExact',
          'This manifest is laid out so that the edit would touch more than it should. Write its lists in block style, an item a line.',
        ),
      ],
    };
  const names = new Map(wanted.map((f) => [f.name, f.value]));
  const findings = [...flags.ok.findings, ...mounts.findings, ...adoptionFindings(flags.ok, names)];
  return { ok: { text, findings, flags: flags.ok, done } };
}

/** The log's folder, and with `readerGroup` the log itself: rotation keeps a file's mode and owner. */
function logChanges(to: Revision, seen: HostObserved, m: Manifest): readonly HostChange[] {
  const log = logFileOf(to);
  if (log === null) return [];
  const reader = readerOf(m);
  const group = to.readerGroup ?? 0;
  const owner = group === 0 ? reader : { uid: reader.uid, gid: group };
  const dir: readonly HostChange[] =
    (seen.stats.get(log.dir) ?? null) === null
      ? [{ do: 'MakeDir', path: log.dir, mode: group === 0 ? 0o700 : 0o750, owner }]
      : [];
  const file: readonly HostChange[] =
    group !== 0 && (seen.stats.get(log.path) ?? null) === null
      ? [{ do: 'WriteFile', path: log.path, before: null, after: new Uint8Array(), mode: 0o640, owner }]
      : [];
  return [...dir, ...file];
}

const isMissing = (seen: HostObserved, path: HostPath): boolean => (seen.stats.get(path) ?? null) === null;

/** The record and, for people, a plain backup. */
function recordChanges(record: AdoptionRecord, seen: HostObserved, spec: StaticPodSpec): readonly HostChange[] {
  const { layout, manifest } = spec;
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
  const path = recordPath(manifest, layout);
  const was = seen.files.get(path)?.bytes ?? null;
  const after = encodeRecord(record);
  const backup = backupPath(manifest, record.before, layout);
  const hasBackup = backupsOf(seen, spec).includes(backup);
  return [
    ...dirs,
    ...(hasBackup ? [] : [write(backup, null, encode(record.before))]),
    ...(was !== null && sha256(was) === sha256(after) ? [] : [write(path, was, after)]),
  ];
}

function manifestChange(now: Seen, text: string, spec: StaticPodSpec): readonly HostChange[] {
  if (text === now.current.text) return [];
  return [{ do: 'WriteFile', path: spec.manifest, before: sha256(now.bytes), after: encode(text), mode: 0o600 }];
}

const restarts = (now: Seen, text: string): boolean => {
  const after = readManifestText(text);
  return !('ok' in after) || !samePod(after.ok.pod, now.current.pod);
};

/** Folders without our name that this plan makes, above all the log's. */
const foldersToMake = (to: Revision, seen: HostObserved, layout: HostLayout): readonly HostPath[] =>
  ownFolders(to, layout).filter((d) => isMissing(seen, d) && !namedFolders(layout).includes(d));

function install(to: Revision, seen: HostObserved, spec: StaticPodSpec): Plan<HostChange> {
  const now = read(seen, spec);
  if ('refused' in now) return now;
  const wanted = wantedText(now.ok.base, to, seen, spec);
  if ('refused' in wanted) return wanted;
  const place = logPlaceFindings(to, seen);
  if (place.length > 0) return { refused: place };
  const { text, flags, done } = wanted.ok;
  const record: AdoptionRecord = {
    version: 1,
    manifest: spec.manifest,
    digest: to.digest,
    adopted: [...inEffect(flags.found)].map(([name, value]) => ({ name, value })),
    made: [...new Set([...(now.ok.record?.made ?? []), ...foldersToMake(to, seen, spec.layout)])],
    before: now.ok.base.text,
    after: text,
  };
  return {
    changes: [
      // What was set by hand and is right is adopted as it stands: no file of ours is needed.
      ...(done ? [] : revisionChanges(to, seen, spec.layout, readerOf(now.ok.base))),
      ...(done ? [] : logChanges(to, seen, now.ok.base)),
      ...recordChanges(record, seen, spec),
      ...manifestChange(now.ok, text, spec),
    ],
    findings: [...now.ok.findings, ...wanted.ok.findings],
    restarts: restarts(now.ok, text),
  };
}

const removeFile = (path: HostPath, seen: HostObserved): readonly HostChange[] => {
  const file = seen.files.get(path) ?? null;
  return file === null ? [] : [{ do: 'RemoveFile', path, before: sha256(file.bytes) }];
};

/** Deepest first, so that each is empty when its turn comes. */
const deepestFirst = (dirs: readonly HostPath[]): readonly HostPath[] => [...dirs].sort((a, b) => b.length - a.length);

/**
 * Revision folders, the record, and the folders that were made for them. The record goes when all that it knows of is
 * gone, so that a removal that was cut short can be carried on. Logs stay: they are the user's.
 */
function cleanup(seen: HostObserved, spec: StaticPodSpec): readonly HostChange[] {
  const { layout, manifest } = spec;
  const revisions = (seen.dirs.get(layout.revisionsDir) ?? []).map((n) => `${layout.revisionsDir}/${n}`);
  const files = [
    ...revisions.flatMap((d) => [`${d}/policy.yaml`, `${d}/webhook.yaml`]),
    ...backupsOf(seen, spec),
    recordPath(manifest, layout),
  ].filter((path) => (seen.files.get(path) ?? null) !== null);
  const made = (recordOf(seen, spec)?.made ?? []).filter((d) => !namedFolders(layout).includes(d));
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

function remove(seen: HostObserved, spec: StaticPodSpec): Plan<HostChange> {
  // A node whose API server was taken away keeps none of our files either.
  if ((seen.files.get(spec.manifest) ?? null) === null && !seen.stats.get(spec.manifest))
    return { changes: cleanup(seen, spec), findings: [], restarts: false };
  const now = read(seen, spec);
  if ('refused' in now) return now;
  const { text } = now.ok.base;
  return {
    changes: [...manifestChange(now.ok, text, spec), ...cleanup(seen, spec)],
    findings: now.ok.findings,
    restarts: restarts(now.ok, text),
  };
}

export const staticPod: HostTarget<StaticPodSpec> = {
  observe,
  plan: (to, seen, spec) => (to === null ? remove(seen, spec) : install(to, seen, spec)),
  verify: (to, seen, spec) => drift(to, seen, spec.manifest, spec.layout),
};
