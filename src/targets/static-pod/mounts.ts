/**
 * Which volumes and mounts the API server's container needs so that it sees the revisions folder (read-only) and can
 * write and rotate in the log folder. What someone mounted by hand is used where it shows the same host folder, and
 * refused where it would make the log fail: a mounted log file cannot be rotated, a read-only folder not written.
 */
import type { Finding } from '../../api/findings.ts';
import { checkLogPath } from '../../render/log-path.ts';
import type { Revision } from '../../render/types.ts';
import { logFileOf, isWithin, parentOf, tidyPath } from '../host-layout.ts';
import type { HostLayout } from '../host-layout.ts';
import { refusal } from '../refusal.ts';
import { at, isRecord, listOf, textOf } from './manifest.ts';
import type { Json, Manifest } from './manifest.ts';
import type { ListOp } from './ops.ts';

export const REVISIONS_VOLUME = 'auditconfig-revisions';
export const LOG_VOLUME = 'auditconfig-log';
export const OWN_VOLUMES: readonly string[] = [REVISIONS_VOLUME, LOG_VOLUME];

export type Mount = {
  readonly path: string;
  readonly volume: string;
  readonly readOnly: boolean;
  /** What of the host stands there; null for anything but a whole hostPath. */
  readonly hostPath: string | null;
};

export const containerOf = (m: Manifest): Json | undefined => listOf(at(m.pod, 'spec', 'containers'))[m.container];

const volumeList = (m: Manifest): readonly Json[] => listOf(at(m.pod, 'spec', 'volumes'));
const mountList = (m: Manifest): readonly Json[] => listOf(at(containerOf(m), 'volumeMounts'));

function mountsOf(m: Manifest): readonly Mount[] {
  const hostPaths = new Map(volumeList(m).map((v) => [at(v, 'name'), textOf(at(v, 'hostPath', 'path')) ?? null]));
  return mountList(m).map((v) => {
    const volume = textOf(at(v, 'name')) ?? '';
    const whole = at(v, 'subPath') === undefined && at(v, 'subPathExpr') === undefined;
    const hostPath = whole ? (hostPaths.get(volume) ?? null) : null;
    return {
      path: tidyPath(textOf(at(v, 'mountPath')) ?? ''),
      volume,
      readOnly: at(v, 'readOnly') === true,
      hostPath: hostPath === null ? null : tidyPath(hostPath),
    };
  });
}

/** The mount that decides what stands at `dir` inside the container: the deepest one at or above it. */
const decisive = (mounts: readonly Mount[], dir: string): Mount | undefined =>
  mounts.filter((x) => isWithin(dir, x.path)).sort((a, b) => b.path.length - a.path.length)[0];

/** The mount shows `dir` of the host at the same path. */
function shows(mount: Mount, dir: string): boolean {
  if (mount.hostPath === null) return false;
  const rest = dir.slice(mount.path === '/' ? 0 : mount.path.length);
  return tidyPath(`${mount.hostPath}${rest}`) === dir;
}

/** Where on the host a file lies that the container sees at `path`; null where no hostPath shows it. */
export function hostPathOf(m: Manifest, path: string): string | null {
  const mount = decisive(mountsOf(m), tidyPath(path));
  return mount === undefined || mount.hostPath === null
    ? null
    : `${mount.hostPath}${tidyPath(path).slice(mount.path.length)}`;
}

/** A host folder that the API server must see at its own path. */
export type Need = { readonly dir: string; readonly volume: string; readonly writable: boolean };

/** `covered`: nothing to add. A finding: it cannot be. */
function judge(need: Need, mounts: readonly Mount[]): 'covered' | 'missing' | Finding {
  const path = 'spec.volumes';
  const mount = decisive(mounts, need.dir);
  if (mount !== undefined && shows(mount, need.dir) && !(need.writable && mount.readOnly)) return 'covered';
  if (mount?.path !== need.dir) return 'missing';
  if (need.writable && shows(mount, need.dir))
    return refusal(
      'LogFolderReadOnly',
      `Volume ${mount.volume} is mounted read-only at ${need.dir}, where the API server must write its log.`,
      path,
    );
  return refusal(
    'FolderMountedElsewhere',
    `At ${need.dir} the container sees ${mount.hostPath === null ? `volume ${mount.volume}` : mount.hostPath}, not the host's ${need.dir}. Take that mount out, or choose another folder.`,
    path,
  );
}

const mountEntry = (need: Need): Json => ({
  mountPath: need.dir,
  name: need.volume,
  ...(need.writable ? {} : { readOnly: true }),
});
const volumeEntry = (need: Need): Json => ({
  hostPath: { path: need.dir, type: 'DirectoryOrCreate' },
  name: need.volume,
});

/**
 * A log folder becomes writable for the API server's container, all of it. What the renderer forbids is forbidden here
 * again (a bundle may have been tampered with), and with it the folders that only this node knows.
 */
function judgeLogFolder(path: string, manifestsDir: string, layout: HostLayout): readonly Finding[] {
  const dir = parentOf(path);
  const own = [manifestsDir, layout.revisionsDir, layout.stateDir].find((d) => isWithin(dir, d) || isWithin(d, dir));
  if (own !== undefined)
    return [
      refusal(
        'LogFolderForbidden',
        `The log's folder is mounted writable into the API server, and ${dir} holds or lies in ${own}. Use a folder of its own, such as /var/log/kube-audit.`,
      ),
    ];
  return checkLogPath(path).filter((f) => f.severity === 'error');
}

/** Rotation renames the log file; a file that is itself a mount point cannot be renamed. */
function judgeLogFile(file: string, mounts: readonly Mount[]): readonly Finding[] {
  const mount = mounts.find((x) => x.path === file);
  if (mount === undefined) return [];
  return [
    refusal(
      'LogFileMounted',
      `Volume ${mount.volume} mounts the log file ${file} itself. Rotation renames the file, and a mounted file cannot be renamed: take that mount out, or choose another path; the folder is mounted instead.`,
      'spec.volumes',
    ),
  ];
}

/** The API server can already write where the revision's log is; true without a log file. */
export function showsLogFolder(m: Manifest, revision: Revision): boolean {
  const log = logFileOf(revision);
  if (log === null) return true;
  const mounts = mountsOf(m);
  const need = { dir: log.dir, volume: LOG_VOLUME, writable: true };
  return judgeLogFile(log.path, mounts).length === 0 && judge(need, mounts) === 'covered';
}

/** What a revision needs beyond `mounts`, and what makes that impossible; `names` are those of the volumes there. */
export function missingMounts(
  there: { readonly mounts: readonly Mount[]; readonly names: readonly string[] },
  revision: Revision,
  layout: HostLayout,
  manifestsDir: string,
): { readonly missing: readonly Need[]; readonly findings: readonly Finding[] } {
  const { mounts, names } = there;
  const log = logFileOf(revision);
  const needs: readonly Need[] = [
    { dir: layout.revisionsDir, volume: REVISIONS_VOLUME, writable: false },
    ...(log === null ? [] : [{ dir: log.dir, volume: LOG_VOLUME, writable: true }]),
  ];
  const judged = needs.map((need) => ({ need, verdict: judge(need, mounts) }));
  const missing = judged.filter((j) => j.verdict === 'missing').map((j) => j.need);
  const taken = missing.filter((n) => names.includes(n.volume));
  return {
    missing,
    findings: [
      ...(log === null ? [] : [...judgeLogFolder(log.path, manifestsDir, layout), ...judgeLogFile(log.path, mounts)]),
      ...judged.flatMap((j) => (typeof j.verdict === 'string' ? [] : [j.verdict])),
      ...taken.map((n) =>
        refusal('VolumeNameTaken', `The pod has a volume named ${n.volume} that is not ours.`, 'spec.volumes'),
      ),
    ],
  };
}

export type MountPlan = { readonly ops: readonly ListOp[]; readonly findings: readonly Finding[] };

/** What to add to `volumeMounts` and `volumes` for a revision. Findings of error severity refuse the plan. */
export function mountOps(m: Manifest, revision: Revision, layout: HostLayout, manifestsDir: string): MountPlan {
  const names = volumeList(m).flatMap((v) => textOf(at(v, 'name')) ?? []);
  const there = { mounts: mountsOf(m), names };
  const { missing, findings } = missingMounts(there, revision, layout, manifestsDir);
  const insert = (list: 'volumeMounts' | 'volumes', entry: (n: Need) => Json): readonly ListOp[] =>
    missing.length === 0
      ? []
      : [
          {
            op: 'Insert',
            list,
            after: (list === 'volumes' ? volumeList(m) : mountList(m)).length - 1,
            values: missing.map(entry),
          },
        ];
  return { ops: [...insert('volumeMounts', mountEntry), ...insert('volumes', volumeEntry)], findings };
}

/** Takes our own volumes and mounts out, by name: for a manifest whose record is lost or no longer fits. */
export function ownMountRemovals(m: Manifest): readonly ListOp[] {
  const removals = (list: 'volumeMounts' | 'volumes', items: readonly Json[]): readonly ListOp[] =>
    items.flatMap((v, index): ListOp[] =>
      isRecord(v) && OWN_VOLUMES.includes(textOf(v['name']) ?? '') ? [{ op: 'Remove', list, index }] : [],
    );
  return [...removals('volumeMounts', mountList(m)), ...removals('volumes', volumeList(m))];
}

/** The volume that only we make: its name and its folder. A log volume alone proves nothing. */
export const hasOwnVolume = (m: Manifest, layout: HostLayout): boolean =>
  volumeList(m).some((v) => at(v, 'name') === REVISIONS_VOLUME && at(v, 'hostPath', 'path') === layout.revisionsDir);

/** The user that the API server runs as; root where the manifest does not say. */
export function readerOf(m: Manifest): { readonly uid: number; readonly gid: number } {
  const field = (key: string): number => {
    const own = at(containerOf(m), 'securityContext', key);
    const value = own ?? at(m.pod, 'spec', 'securityContext', key);
    return typeof value === 'number' && Number.isInteger(value) && value >= 0 ? value : 0;
  };
  return { uid: field('runAsUser'), gid: field('runAsGroup') };
}
