/**
 * The volumes of a hosted API server: its revision (policy, webhook's kubeconfig and credentials in one projected folder)
 * and, for a file log, an emptyDir whose size the retention gives. Never one without a limit: a full node's disk takes every
 * pod of that node along. A volume that its owner mounted at the log's folder is used where it has an end of its own.
 */
import type { Finding } from '../../api/findings.ts';
import { isSameJson } from '../../config/canonical.ts';
import { bundleName, hostedCredentialsName, webhookName } from '../../render/bundle/names.ts';
import type { Hosting } from '../../render/bundle/names.ts';
import { CONFIG_FILE } from '../../render/shipping/config.ts';
import { BUFFER_VOLUME, CONFIG_VOLUME, FILES_VOLUME, filesVolumes } from '../../render/shipping/container.ts';
import type { Revision } from '../../render/types.ts';
import { CREDENTIAL_FILES } from '../../render/webhook/credentials.ts';
import { logFileOf, isWithin, revisionDir, tidyPath } from '../host-layout.ts';
import type { HostLayout } from '../host-layout.ts';
import { refusal } from '../refusal.ts';
import { at, isJsonRecord } from './workload.ts';
import type { Json, Workload } from './workload.ts';

/** Folders inside the container. The first is nobody else's, so that no mount of an owner's is above it. */
export const HOSTED_LAYOUT: HostLayout = { revisionsDir: '/etc/auditconfig', stateDir: '/var/lib/auditconfig' };

export const REVISION_VOLUME = 'auditconfig-revision';
export const LOG_VOLUME = 'auditconfig-log';
/** deploy/hosted-reinjection has the same. */
export const OWN: readonly string[] = [REVISION_VOLUME, LOG_VOLUME, CONFIG_VOLUME, BUFFER_VOLUME, FILES_VOLUME];

export const isOwn = (v: Json): boolean => OWN.some((name) => at(v, 'name') === name);

/** As the API server would read a projected volume back: its own default mode, files for whichever user it runs as. */
const FILE_MODE = 0o644;
const files = (...keys: readonly string[]): Json => keys.map((key) => ({ key, path: key }));

function revisionVolume(to: Revision, w: Hosting): Json {
  const policy = { name: bundleName(to.digest), items: files('policy.yaml') };
  const credentials = to.credentials?.reveal() ?? {};
  const names = CREDENTIAL_FILES.filter((n) => credentials[n] !== undefined);
  return {
    name: REVISION_VOLUME,
    projected: {
      defaultMode: FILE_MODE,
      sources: [
        to.confidential ? { secret: policy } : { configMap: policy },
        ...(to.webhook === undefined
          ? []
          : [{ secret: { name: webhookName(to.digest), items: files('webhook.yaml') } }]),
        ...(names.length === 0 || to.webhook === undefined
          ? []
          : [{ secret: { name: hostedCredentialsName(to.webhook.reveal(), w), items: files(...names) } }]),
      ],
    },
  };
}

const MIB = 2 ** 20;
const numberOf = (to: Revision, flag: string): number => {
  const value = to.flags.find((f) => f.name === flag)?.value;
  return typeof value === 'string' ? Number(value) : 0;
};

/**
 * All that rotation may keep at once: the log, its backups, one more until the oldest is deleted (that is done later, beside
 * the writing), and one that is just being packed. A kubelet evicts a pod that has more.
 */
export const logBytes = (to: Revision): number =>
  (numberOf(to, '--audit-log-maxbackup') + 3) * numberOf(to, '--audit-log-maxsize') * MIB;

/** As the API server would write it: the largest unit that leaves no fraction. */
export function quantityOf(bytes: number): string {
  const units = ['', 'Ki', 'Mi', 'Gi', 'Ti'];
  let [n, unit] = [bytes, 0];
  while (n > 0 && n % 1024 === 0 && unit < units.length - 1) [n, unit] = [n / 1024, unit + 1];
  return `${n}${units[unit] ?? ''}`;
}

const logVolume = (to: Revision): Json => ({
  name: LOG_VOLUME,
  emptyDir: { sizeLimit: quantityOf(logBytes(to)) },
});

function shippingVolumes(to: Revision): readonly Json[] {
  if (to.shipping === undefined) return [];
  const config = { defaultMode: FILE_MODE, items: files(CONFIG_FILE) };
  const name = bundleName(to.digest);
  return [
    {
      name: CONFIG_VOLUME,
      ...(to.confidential ? { secret: { secretName: name, ...config } } : { configMap: { name, ...config } }),
    },
    { name: BUFFER_VOLUME, emptyDir: { sizeLimit: quantityOf(to.shipping.bufferBytes) } },
    ...filesVolumes(to.shipping),
  ];
}

const PATH = 'spec.template.spec.volumes';

type Mount = { readonly path: string; readonly volume: string; readonly readOnly: boolean };
const mountOf = (v: Json): Mount => ({
  path: tidyPath(String(at(v, 'mountPath') ?? '')),
  volume: String(at(v, 'name') ?? ''),
  readOnly: at(v, 'readOnly') === true,
});

const decisive = (mounts: readonly Mount[], dir: string): Mount | undefined =>
  mounts.filter((x) => isWithin(dir, x.path)).sort((a, b) => b.path.length - a.path.length)[0];

const READ_ONLY = ['configMap', 'secret', 'projected', 'downwardAPI', 'image'];

/** May files be written to it, and does it end somewhere? */
function kindOf(
  name: string,
  w: Pick<Workload, 'claims'>,
  volumes: readonly Json[],
): 'ReadOnly' | 'Endless' | 'Claim' | 'Sized' {
  if (w.claims.includes(name)) return 'Claim';
  const volume = volumes.find((v) => at(v, 'name') === name);
  if (READ_ONLY.some((k) => at(volume, k) !== undefined)) return 'ReadOnly';
  if (at(volume, 'persistentVolumeClaim') !== undefined) return 'Claim';
  if (at(volume, 'ephemeral') !== undefined) return 'Claim';
  if (at(volume, 'emptyDir', 'sizeLimit') !== undefined) return 'Sized';
  return 'Endless';
}

/** Where the log goes: our own volume, the owner's, or nowhere. */
function judgeLog(
  to: Revision,
  w: Pick<Workload, 'claims'>,
  theirs: { mounts: readonly Mount[]; volumes: readonly Json[] },
): 'Ours' | 'Theirs' | Finding {
  const log = logFileOf(to);
  if (log === null) return 'Theirs';
  const own = theirs.mounts.find((m) => m.path === log.path);
  if (own !== undefined)
    return refusal(
      'LogFileMounted',
      `Volume ${own.volume} mounts the log file ${log.path} itself. Rotation renames the file, and a mounted file cannot be renamed: take that mount out, or choose another path.`,
      PATH,
    );
  const mount = decisive(theirs.mounts, log.dir);
  if (mount === undefined) return 'Ours';
  const kind = kindOf(mount.volume, w, theirs.volumes);
  if (kind === 'ReadOnly' || mount.readOnly)
    return refusal(
      'LogFolderReadOnly',
      `Volume ${mount.volume} is mounted read-only at ${mount.path}, where the API server must write its log.`,
      PATH,
    );
  if (mount.path !== log.dir) return 'Ours';
  if (kind === 'Endless')
    return refusal(
      'LogVolumeUnlimited',
      `Volume ${mount.volume} at ${log.dir} has no limit, and a log that fills its node's disk ends every pod there. Give it a sizeLimit or a claim, or choose another log.file.path: that gets a volume of its own.`,
      PATH,
    );
  return 'Theirs';
}

/** Several pods would rotate one file under each other. */
function sharedClaim(to: Revision, volumes: readonly Json[], mounts: readonly Mount[]): readonly Finding[] {
  const log = logFileOf(to);
  const mount = log === null ? undefined : decisive(mounts, log.dir);
  const isClaim =
    mount !== undefined &&
    at(
      volumes.find((v) => at(v, 'name') === mount.volume),
      'persistentVolumeClaim',
    ) !== undefined;
  if (!isClaim) return [];
  return [
    {
      severity: 'warning',
      code: 'LogVolumeShared',
      message: `All pods write their log into one claim (volume ${mount.volume}); while two run, as in every rollout, they rotate one file under each other.`,
      path: PATH,
    },
  ];
}

export type Volumes = {
  readonly volumes: readonly Json[];
  readonly mounts: readonly Json[];
  readonly findings: readonly Finding[];
};

/** Those of the owner, with ours behind them, for a revision, or without one. `w` may be what an owner's object says. */
export function volumesFor(to: Revision | null, w: Hosting & Pick<Workload, 'volumes' | 'mounts' | 'claims'>): Volumes {
  const volumes = (w.volumes ?? []).filter((v) => !isOwn(v));
  const mounts = (w.mounts ?? []).filter((m) => !isOwn(m));
  if (to === null) return { volumes, mounts, findings: [] };
  const theirs = { volumes, mounts: mounts.map(mountOf) };
  const dir = revisionDir(to.digest, HOSTED_LAYOUT);
  const above = decisive(theirs.mounts, dir);
  const within = theirs.mounts.find((m) => m.path !== dir && isWithin(m.path, dir));
  const log = judgeLog(to, w, theirs);
  const findings = [
    ...(above === undefined
      ? []
      : [
          refusal(
            'FolderMountedElsewhere',
            `Volume ${above.volume} is mounted at ${above.path}, above or at ${dir}, where the revision must be mounted. Take that mount out.`,
            PATH,
          ),
        ]),
    ...(within === undefined
      ? []
      : [
          refusal(
            'FolderMountedElsewhere',
            `Volume ${within.volume} is mounted at ${within.path}, over a file of the revision in ${dir}: the API server would read that one. Take that mount out.`,
            PATH,
          ),
        ]),
    ...(typeof log === 'string' ? [] : [log]),
    ...sharedClaim(to, volumes, theirs.mounts),
  ];
  const logDir = logFileOf(to)?.dir;
  const withLog = log === 'Ours' && logDir !== undefined;
  return {
    volumes: [...volumes, revisionVolume(to, w), ...(withLog ? [logVolume(to)] : []), ...shippingVolumes(to)],
    mounts: [
      ...mounts,
      { name: REVISION_VOLUME, mountPath: dir, readOnly: true },
      ...(withLog ? [{ name: LOG_VOLUME, mountPath: logDir }] : []),
    ],
    findings,
  };
}

/** Of a mount and of a container: what nobody fills in by himself, and what makes ours something else. */
const DECISIVE = ['args', 'envFrom', 'lifecycle', 'subPath', 'subPathExpr'];
const isSaid = (v: Json | undefined): boolean =>
  v !== undefined && v !== null && v !== '' && !(Array.isArray(v) && v.length === 0);

/** Everything wanted is there; what an API server fills in besides is no difference. */
export function covers(is: Json | undefined, wanted: Json): boolean {
  if (Array.isArray(wanted))
    return (
      Array.isArray(is) &&
      is.length === wanted.length &&
      wanted.every((v, i) => covers((is as readonly Json[])[i], v as Json))
    );
  if (isJsonRecord(wanted))
    return (
      isJsonRecord(is) &&
      Object.keys(wanted).every((k) => covers(is[k], wanted[k] ?? null)) &&
      !DECISIVE.some((k) => wanted[k] === undefined && isSaid(is[k]))
    );
  return is !== undefined && isSameJson(is, wanted);
}

/**
 * The list as it is where it has what the wanted one has, and no more, in whatever order: that is no change. Others put their
 * volumes and mounts in front of ours too, as a strategic merge patch does.
 */
export function unlessSame(is: readonly Json[] | null, wanted: readonly Json[]): readonly Json[] {
  const same = is?.length === wanted.length && wanted.every((v) => is.some((x) => covers(x, v)));
  return is !== null && same ? is : wanted;
}
