/**
 * The guard's static pod (docs/decisions/0004): what stands by while a manifest is changed, since a kubelet whose API
 * server is away starts static pods and nothing else. It comes from the agent's own image, has no credentials and no more
 * of the host than it needs to put a manifest back. apply-revision.ts and probation.ts place it before a manifest's
 * rename, follow.ts takes it away when nothing is in flight any more; a file of that name that is not ours stays.
 */
import { stringify } from 'yaml';
import { installFile, removeFile } from '../host/install.ts';
import type { Disk } from '../host/types.ts';
import { parentOf, ROOT_OWNER } from '../targets/host-layout.ts';
import type { HostPath } from '../targets/types.ts';
import type { StaticPodSpec } from '../targets/static-pod.ts';

export type GuardPod = {
  /** The agent's own: it is on the node already. */
  readonly image: string;
  readonly namespace: string;
};

export const GUARD_NAME = 'auditconfig-guard';
const MARK = 'auditconfig.dev/guards';

export const guardPath = (manifest: HostPath): HostPath => `${parentOf(manifest)}/${GUARD_NAME}.yaml`;

/** Where the guard sees the host's files, as the agent's DaemonSet does. */
const ROOT = '/host';

type Place = { readonly name: string; readonly path: HostPath; readonly readOnly?: true; readonly type: string };

const placesOf = ({ manifest, layout }: StaticPodSpec): readonly Place[] => [
  { name: 'manifests', path: parentOf(manifest), type: 'Directory' },
  { name: 'state', path: layout.stateDir, type: 'Directory' },
  { name: 'revisions', path: parentOf(layout.revisionsDir), readOnly: true, type: 'DirectoryOrCreate' },
  { name: 'pod-logs', path: '/var/log/pods', readOnly: true, type: 'DirectoryOrCreate' },
];

/** `change` tells one change from the next, so that the kubelet never takes a new guard for one that is ending. */
export function guardManifest(pod: GuardPod, spec: StaticPodSpec, change: string): string {
  const places = placesOf(spec);
  return stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: GUARD_NAME,
      namespace: pod.namespace,
      labels: { 'app.kubernetes.io/name': 'auditconfig', 'app.kubernetes.io/component': 'guard' },
      annotations: { [MARK]: change },
    },
    spec: {
      // The API server is asked at the address in its manifest, and its process is looked at.
      hostNetwork: true,
      hostPID: true,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      // Both, as kubeadm writes them: nobody resolves a class without an API server.
      priorityClassName: 'system-node-critical',
      priority: 2_000_001_000,
      restartPolicy: 'OnFailure',
      terminationGracePeriodSeconds: 5,
      containers: [
        {
          name: 'guard',
          image: pod.image,
          imagePullPolicy: 'IfNotPresent',
          args: ['guard', `--root=${ROOT}`, `--manifest=${spec.manifest}`],
          resources: { requests: { cpu: '10m', memory: '48Mi' }, limits: { memory: '128Mi' } },
          securityContext: {
            runAsUser: 0,
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'], add: ['CHOWN', 'DAC_OVERRIDE', 'FOWNER'] },
            seccompProfile: { type: 'RuntimeDefault' },
          },
          volumeMounts: places.map((p) => ({
            name: p.name,
            mountPath: `${ROOT}${p.path}`,
            ...(p.readOnly === undefined ? {} : { readOnly: true }),
          })),
        },
      ],
      volumes: places.map((p) => ({ name: p.name, hostPath: { path: p.path, type: p.type } })),
    },
  });
}

const isOurs = (bytes: Uint8Array | null): boolean => bytes === null || new TextDecoder().decode(bytes).includes(MARK);

/** False where a file of that name is somebody else's. */
export async function placeGuard(disk: Disk, pod: GuardPod, spec: StaticPodSpec, change: string): Promise<boolean> {
  const bytes = new TextEncoder().encode(guardManifest(pod, spec, change));
  const write = { path: guardPath(spec.manifest), bytes, mode: 0o600, owner: ROOT_OWNER, guard: isOurs };
  return (await installFile(disk, write)) === 'Written';
}

export async function removeGuard(disk: Disk, manifest: HostPath): Promise<void> {
  const path = guardPath(manifest);
  if ((await disk.read(path)) !== null) await removeFile(disk, path, isOurs);
}
