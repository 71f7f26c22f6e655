/**
 * What must be on a node's disk before a kube-apiserver starts there for the first time with a revision in its flags: a
 * node that joins, or one that kubeadm upgrades, where kubeadm-config is in step (kubeadmConfig: Sync). The revision's
 * files and the log's folder, nothing else: kubeadm writes the manifest, and the agent the record of it. Used by
 * `auditconfig prestage`.
 */
import { hasErrors } from '../api/findings.ts';
import type { Finding } from '../api/findings.ts';
import type { Revision } from '../render/types.ts';
import { logFileOf, filesOf, foldersTo, parentOf, revisionChanges, revisionDir, sha256 } from './host-layout.ts';
import type { HostLayout, RevisionFile } from './host-layout.ts';
import { logChanges, logPlaceFindings, logTakenFindings } from './log-place.ts';
import { recordPath } from './record.ts';
import type { Books } from './record.ts';
import { refusal } from './refusal.ts';
import { missingMounts } from './static-pod/mounts.ts';
import type { HostChange, HostObserved, HostPath, HostRead, FilesTarget, Owner, Plan } from './types.ts';

export type PrestageSpec = {
  readonly layout: HostLayout;
  /** The one that kubeadm will write, or has written. */
  readonly manifest: HostPath;
  /** The user that the API server will run as. */
  readonly owner: Owner;
};

const booksOf = ({ manifest, layout }: PrestageSpec): Books => ({ of: manifest, layout });

function observe(to: Revision | null, _seen: HostObserved, spec: PrestageSpec): readonly HostRead[] {
  if (to === null) return [];
  const log = logFileOf(to);
  const folders = [revisionDir(to.digest, spec.layout), ...(log === null ? [] : [log.dir])].flatMap(foldersTo);
  return [
    ...filesOf(to, spec.layout).map(({ path }): HostRead => ({ read: 'File', path })),
    ...[...folders, ...(log === null ? [] : [log.path])].map((path): HostRead => ({ read: 'Stat', path })),
    ...(log === null ? [] : [{ read: 'End', path: log.path } as const]),
    { read: 'File', path: recordPath(spec.manifest, spec.layout) },
  ];
}

function plan(to: Revision | null, seen: HostObserved, spec: PrestageSpec): Plan<HostChange> {
  if (to === null) return { changes: [], findings: [], restarts: false };
  const { layout, manifest, owner } = spec;
  const nothing = { mounts: [], names: [] };
  const findings = [
    ...missingMounts(nothing, to, layout, parentOf(manifest)).findings,
    ...logPlaceFindings(to, seen),
    ...logTakenFindings(to, seen, { logsTo: null, books: booksOf(spec) }),
  ];
  if (hasErrors(findings)) return { refused: findings };
  return {
    changes: [...revisionChanges(to, seen, layout, owner), ...logChanges(to, seen, owner)],
    findings,
    restarts: false,
  };
}

function verify(to: Revision | null, seen: HostObserved, spec: PrestageSpec): readonly Finding[] {
  if (to === null) return [];
  const is = ({ path, bytes }: RevisionFile): boolean => {
    const file = seen.files.get(path) ?? null;
    return file !== null && sha256(file.bytes) === sha256(bytes);
  };
  return filesOf(to, spec.layout).every(is)
    ? []
    : [refusal('FileDrift', 'A file of the revision is not there, or not what the revision holds.')];
}

export const prestage: FilesTarget<PrestageSpec> = { observe, plan, verify };
