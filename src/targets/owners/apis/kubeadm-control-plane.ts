/**
 * KubeadmControlPlane of Cluster API (v1beta1, v1beta2): the policy and the webhook's files come to each machine from
 * Secrets (files with contentFrom), the flags as extraArgs of its API server, folders as extraVolumes. Machines do not
 * change: KCP replaces them one after the other, so that every change here costs a new machine each. Refused: one that a
 * ClusterClass makes, whose template is the place for it.
 *
 * v1beta1 has extraArgs as a map, v1beta2 as a list of name and value, and refuses empty lists and objects. Whoever writes
 * v1beta1 where v1beta2 is stored gets that list sorted by name, and other order is another machine to KCP: so ours are
 * sorted in where the owner's are. Inline content ends at 10 KiB there, so that nothing is inline.
 */
import { bundleName, hostedCredentialsName, webhookName } from '../../../render/bundle/names.ts';
import type { Revision } from '../../../render/types.ts';
import { CREDENTIAL_FILES, credentialsDigest } from '../../../render/webhook/credentials.ts';
import { logFileOf, DEFAULT_LAYOUT, isWithin, resolveFlags, revisionDir, tidyPath } from '../../host-layout.ts';
import { LOG_VOLUME, REVISION_VOLUME } from '../../hosted/volumes.ts';
import { at, isJsonRecord } from '../../hosted/workload.ts';
import type { Json } from '../../hosted/workload.ts';
import { refusal } from '../../refusal.ts';
import type { FlagText, Owner, RolloutState, Slots, Values, Wanted } from '../types.ts';

const CONFIG = ['spec', 'kubeadmConfigSpec'];
const API_SERVER = [...CONFIG, 'clusterConfiguration', 'apiServer'];
const TOPOLOGY_OWNED = 'topology.cluster.x-k8s.io/owned';
const PAUSED = 'cluster.x-k8s.io/paused';

/** Without dashes there. */
const textOf = (name: unknown, value: unknown): FlagText | undefined =>
  typeof name === 'string' ? [`--${name}`, typeof value === 'string' ? value : ''] : undefined;

const isOurVolume = (v: Json): boolean => [REVISION_VOLUME, LOG_VOLUME].some((n) => at(v, 'name') === n);
const isOurFile = (v: Json): boolean => isWithin(String(at(v, 'path') ?? ''), DEFAULT_LAYOUT.revisionsDir);
const never = (): boolean => false;

const slots = (version: string): Slots => ({
  args:
    version === 'v1beta1'
      ? { as: 'Map', at: [...API_SERVER, 'extraArgs'], flag: textOf }
      : {
          as: 'List',
          at: [...API_SERVER, 'extraArgs'],
          key: 'name',
          isOurs: never,
          flag: (v) => textOf(at(v, 'name'), at(v, 'value')),
        },
  volumes: { as: 'List', at: [...API_SERVER, 'extraVolumes'], key: 'name', isOurs: isOurVolume },
  files: { as: 'List', at: [...CONFIG, 'files'], key: 'path', isOurs: isOurFile },
});

const file = (path: string, from: Json): Json => ({
  path,
  owner: 'root:root',
  permissions: '0600',
  ...(from as object),
});
const secret = (name: string, key: string): Json => ({ contentFrom: { secret: { name, key } } });

function filesOf(to: Revision, name: string): readonly Json[] {
  const dir = revisionDir(to.digest, DEFAULT_LAYOUT);
  const credentials = to.credentials?.reveal();
  const names = CREDENTIAL_FILES.filter((n) => credentials?.[n] !== undefined);
  const from = (key: string, of: string): Json => file(`${dir}/${key}`, secret(of, key));
  const hosting = { kind: 'KubeadmControlPlane', name };
  const kubeconfig = to.webhook?.reveal();
  return [
    from('policy.yaml', bundleName(to.digest)),
    ...(kubeconfig === undefined ? [] : [from('webhook.yaml', webhookName(to.digest))]),
    ...(kubeconfig === undefined ? [] : names.map((n) => from(n, hostedCredentialsName(kubeconfig, hosting)))),
    // Machines keep the files they were made with: other credentials must be another object to KCP.
    ...(credentials === undefined
      ? []
      : [file(`${dir}/credentials`, { content: credentialsDigest(credentials).slice(0, 16) })]),
  ];
}

type Mount = { readonly name: string; readonly path: string; readonly host: string; readonly readOnly: boolean };
const mountsOf = (theirs: Values): readonly Mount[] => {
  const list = theirs['volumes'];
  return (Array.isArray(list) ? (list as readonly Json[]) : []).map((v) => ({
    name: String(at(v, 'name') ?? ''),
    path: tidyPath(String(at(v, 'mountPath') ?? '')),
    host: tidyPath(String(at(v, 'hostPath') ?? '')),
    readOnly: at(v, 'readOnly') === true,
  }));
};

/** The mount that decides what a folder is: the deepest one above it. */
const over = (mounts: readonly Mount[], dir: string): Mount | undefined =>
  mounts.filter((m) => isWithin(dir, m.path)).sort((a, b) => b.path.length - a.path.length)[0];

const PATH = 'spec.kubeadmConfigSpec.clusterConfiguration.apiServer.extraVolumes';

function wanted(to: Revision, theirs: Values, { version, name: of }: { version: string; name: string }): Wanted {
  const dir = revisionDir(to.digest, DEFAULT_LAYOUT);
  const log = logFileOf(to);
  const mounts = mountsOf(theirs);
  const flags = resolveFlags(to, DEFAULT_LAYOUT).map((f) => [f.name.slice(2), f.value] as const);
  const above = over(mounts, dir);
  const logMount = log === null ? undefined : over(mounts, log.dir);
  const isTheirs = logMount !== undefined && logMount.path === log?.dir;
  const volume = (name: string, path: string, more: object): Json => ({
    name,
    hostPath: path,
    mountPath: path,
    ...more,
  });
  return {
    ours: {
      args: version === 'v1beta1' ? Object.fromEntries(flags) : flags.map(([name, value]) => ({ name, value })),
      volumes: [
        volume(REVISION_VOLUME, dir, { readOnly: true, pathType: 'Directory' }),
        ...(log === null || isTheirs ? [] : [volume(LOG_VOLUME, log.dir, { pathType: 'DirectoryOrCreate' })]),
      ],
      files: filesOf(to, of),
    },
    findings: [
      ...(above === undefined
        ? []
        : [
            refusal(
              'FolderMountedElsewhere',
              `extraVolumes: ${above.name} is mounted at ${above.path}, above or at ${dir}, where the revision must be mounted. Take that mount out.`,
              PATH,
            ),
          ]),
      ...(logMount?.readOnly === true
        ? [
            refusal(
              'LogFolderReadOnly',
              `extraVolumes: ${logMount.name} is mounted read-only at ${logMount.path}, where the API server must write its log.`,
              PATH,
            ),
          ]
        : []),
    ],
  };
}

const numberAt = (object: unknown, ...keys: readonly string[]): number => {
  const value = at(object, ...keys);
  return typeof value === 'number' ? value : 0;
};
const replicasOf = (object: unknown): number =>
  at(object, 'spec', 'replicas') === undefined ? 1 : numberAt(object, 'spec', 'replicas');

/** Of the object, or of its Cluster: that is said by a condition only, in v1beta1 at a place of its own. */
function pausedBy(object: unknown): string | undefined {
  if (at(object, 'metadata', 'annotations', PAUSED) !== undefined) return `the annotation ${PAUSED} is set`;
  const lists = [at(object, 'status', 'conditions'), at(object, 'status', 'v1beta2', 'conditions')];
  const said = lists
    .flatMap((l) => (Array.isArray(l) ? (l as readonly Json[]) : []))
    .find((c) => at(c, 'type') === 'Paused' && at(c, 'status') === 'True');
  return said === undefined ? undefined : `Cluster API says that it is paused: ${String(at(said, 'message') ?? '')}`;
}

function rollout(object: unknown): RolloutState {
  const status = (key: string): number => numberAt(object, 'status', key);
  const paused = pausedBy(object);
  if (paused !== undefined) return { state: 'Paused', message: paused.slice(0, 512) };
  const failure =
    at(object, 'status', 'failureMessage') ?? at(object, 'status', 'deprecated', 'v1beta1', 'failureMessage');
  if (typeof failure === 'string') return { state: 'Failed', message: failure };
  if (status('observedGeneration') < numberAt(object, 'metadata', 'generation'))
    return { state: 'Progressing', message: 'Cluster API has not seen the change yet' };
  const replicas = replicasOf(object);
  // upToDateReplicas is its name from v1beta2 on.
  const updated =
    at(object, 'status', 'upToDateReplicas') === undefined ? status('updatedReplicas') : status('upToDateReplicas');
  const [all, ready] = [status('replicas'), status('readyReplicas')];
  return all === replicas && updated >= replicas && ready >= replicas && status('unavailableReplicas') === 0
    ? { state: 'Complete' }
    : { state: 'Progressing', message: `${updated} of ${replicas} machines have it, ${ready} of ${all} are ready` };
}

/** Of one machine: made, booted, joined. */
const MACHINE_SECONDS = 1_200;

export const kubeadmControlPlane: Owner = {
  kind: 'KubeadmControlPlane',
  api: {
    group: 'controlplane.cluster.x-k8s.io',
    plural: 'kubeadmcontrolplanes',
    versions: ['v1beta2', 'v1beta1'],
  },
  slots,
  refuse: (object) => {
    const labels = at(object, 'metadata', 'labels');
    return isJsonRecord(labels) && Object.hasOwn(labels, TOPOLOGY_OWNED)
      ? refusal(
          'OwnedByTopology',
          'A ClusterClass makes this KubeadmControlPlane and writes it again and again. Set auditing in its template or a patch of the ClusterClass.',
          'metadata.labels',
        )
      : undefined;
  },
  wanted,
  isIn: (settings) => isWithin(settings.get('--audit-policy-file') ?? '', DEFAULT_LAYOUT.revisionsDir),
  kubernetes: (object) => String(at(object, 'spec', 'version') ?? ''),
  hostNetwork: true,
  rollout,
  timeoutSeconds: (object, set) => (set ?? MACHINE_SECONDS) * Math.max(1, replicasOf(object)),
  secretsOnly: true,
  cannot: [
    {
      path: 'shipping',
      why: 'its machines are nodes of another cluster, where this controller makes no DaemonSet: let a collector there read the log file',
    },
    {
      path: 'log.file.readerGroup',
      why: 'nothing sets the group of the log file on machines that Cluster API makes',
      isFine: (v) => v === 0,
    },
    { path: 'kubeadmConfig', why: 'Cluster API keeps kubeadm-config in step itself', isFine: (v) => v === 'Ignore' },
  ],
};
