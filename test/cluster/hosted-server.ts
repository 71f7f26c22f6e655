/**
 * Hosted control planes of a test's cluster: real kube-apiservers in pods of a Deployment or StatefulSet, as a platform
 * would make them, each with a part of the cluster's etcd. Used by hosted.node.test.ts, which asks them through the
 * management API server and reads what they write from the node's disk.
 */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Reply } from '../control-plane/client.ts';
import { kubeadmPki } from '../control-plane/pki.ts';
import { PINNED } from '../control-plane/versions.ts';
import { OPERATOR_NAMESPACE, applyOrThrow, pathOf } from '../operator/install.ts';
import type { Manifest } from '../operator/install.ts';
import type { Cluster } from './cluster.ts';
import { ETCD_URL } from './kubeadm.ts';
import { until } from './lab.ts';
import type { ClusterNode } from './node.ts';

export type Kind = 'Deployment' | 'StatefulSet';

export type Pod = {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly deletionTimestamp?: string;
    readonly ownerReferences?: readonly { readonly name: string }[];
  };
  readonly status: {
    readonly phase?: string;
    readonly containerStatuses?: readonly {
      readonly ready: boolean;
      readonly restartCount: number;
      readonly state: unknown;
    }[];
  };
};

export type Event = { readonly requestURI: string; readonly verb: string; readonly level: string };

const LABELS = { app: 'apiserver' };
const CONTAINER = 'kube-apiserver';
/** Not root: a folder of root's is one that it cannot write to. */
const USER = 65_532;
/** Mounted by the owner from the outset; nobody can write there, which only the API server itself finds out. */
export const CLAIM = '/var/log/claimed';
const KEYS = '/etc/kubernetes/keys';

const args = (name: string): readonly string[] => [
  `--etcd-servers=${ETCD_URL}`,
  `--etcd-prefix=/${name}`,
  '--authorization-mode=RBAC',
  '--endpoint-reconciler-type=none',
  '--service-cluster-ip-range=10.97.0.0/16',
  '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
  `--service-account-key-file=${KEYS}/sa.pub`,
  `--service-account-signing-key-file=${KEYS}/sa.key`,
  `--tls-cert-file=${KEYS}/apiserver.crt`,
  `--tls-private-key-file=${KEYS}/apiserver.key`,
  `--client-ca-file=${KEYS}/ca.crt`,
  '--shutdown-delay-duration=0s',
];

const template = (name: string): unknown => ({
  metadata: { labels: LABELS },
  spec: {
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 2,
    tolerations: [{ key: 'node-role.kubernetes.io/control-plane', operator: 'Exists', effect: 'NoSchedule' }],
    securityContext: { runAsUser: USER, runAsGroup: USER, runAsNonRoot: true },
    containers: [
      {
        name: CONTAINER,
        image: `localhost/kube-apiserver:${PINNED['1.36'].kubernetes}`,
        imagePullPolicy: 'Never',
        command: ['kube-apiserver'],
        args: args(name),
        readinessProbe: {
          httpGet: { path: '/readyz', port: 6443, scheme: 'HTTPS' },
          periodSeconds: 1,
          timeoutSeconds: 5,
        },
        volumeMounts: [
          { name: 'keys', mountPath: KEYS, readOnly: true },
          { name: 'claimed', mountPath: CLAIM },
        ],
      },
    ],
    volumes: [
      { name: 'keys', secret: { secretName: 'keys' } },
      { name: 'claimed', persistentVolumeClaim: { claimName: 'claimed' } },
    ],
  },
});

const workload = (kind: Kind, name: string): Manifest => ({
  apiVersion: 'apps/v1',
  kind,
  metadata: { name: 'apiserver', namespace: name },
  spec: {
    replicas: 1,
    selector: { matchLabels: LABELS },
    template: template(name),
    ...(kind === 'Deployment'
      ? { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } }
      : { serviceName: 'apiserver' }),
  },
});

/** A claim that is bound to a folder of the node in which only root may write. */
async function claim(node: ClusterNode, name: string): Promise<readonly Manifest[]> {
  const folder = `/var/lib/claimed-${name}`;
  await mkdir(node.file(folder));
  await chmod(node.file(folder), 0o555);
  const size = { storage: '1Gi' };
  const common = { accessModes: ['ReadWriteOnce'], storageClassName: '' };
  return [
    {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: `claimed-${name}` },
      spec: { ...common, capacity: size, hostPath: { path: folder }, persistentVolumeReclaimPolicy: 'Retain' },
    },
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'claimed', namespace: name },
      spec: { ...common, volumeName: `claimed-${name}`, resources: { requests: size } },
    },
  ];
}

function keys(name: string): Manifest {
  const { files } = kubeadmPki(['localhost', '127.0.0.1']);
  const names = ['ca.crt', 'apiserver.crt', 'apiserver.key', 'sa.key', 'sa.pub'];
  const data = Object.fromEntries(names.map((n) => [n, Buffer.from(files.get(n) ?? '').toString('base64')]));
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'keys', namespace: name }, data };
}

export class HostedServer {
  readonly kind: Kind;
  /** Also its namespace. */
  readonly name: string;
  readonly #cluster: Cluster;
  readonly #node: ClusterNode;

  private constructor(cluster: Cluster, node: ClusterNode, of: { readonly kind: Kind; readonly name: string }) {
    this.#cluster = cluster;
    this.#node = node;
    this.kind = of.kind;
    this.name = of.name;
  }

  /** Applied, and not waited for. */
  static async create(cluster: Cluster, kind: Kind): Promise<HostedServer> {
    const [node] = cluster.nodes;
    if (node === undefined) throw new Error('no node');
    const name = `cluster-${kind.toLowerCase()}`;
    const role = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'auditconfig-hosted' };
    const objects: readonly Manifest[] = [
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name } },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'RoleBinding',
        metadata: { name: 'auditconfig-hosted', namespace: name },
        roleRef: role,
        subjects: [{ kind: 'ServiceAccount', name: 'auditconfig-controller', namespace: OPERATOR_NAMESPACE }],
      },
      keys(name),
      ...(await claim(node, name)),
    ];
    for (const object of objects) await applyOrThrow(cluster, object);
    await untilServiceAccount(cluster, name);
    await applyOrThrow(cluster, workload(kind, name));
    return new HostedServer(cluster, node, { kind, name });
  }

  config(spec: Record<string, unknown> = {}): Manifest {
    return {
      apiVersion: 'auditconfig.dev/v1alpha1',
      kind: 'AuditConfig',
      metadata: { name: 'main', namespace: this.name },
      spec: {
        target: { type: 'Hosted', hosted: { kind: this.kind, name: 'apiserver', container: CONTAINER } },
        webhook: { secretRef: { name: 'receiver' } },
        rollout: { timeoutSeconds: 180 },
        ...spec,
      },
    };
  }

  /** Of a Secret or ConfigMap of its namespace, or the workload itself. */
  async read(kind: 'Secret' | 'ConfigMap' | Kind, name: string): Promise<Record<string, unknown>> {
    const apiVersion = kind === 'Secret' || kind === 'ConfigMap' ? 'v1' : 'apps/v1';
    const path = pathOf({ apiVersion, kind, metadata: { name, namespace: this.name } });
    return (await this.#cluster.request('GET', path)).body as Record<string, unknown>;
  }

  /** The words that its pods are to be started with. */
  async words(): Promise<readonly string[]> {
    const object = (await this.read(this.kind, 'apiserver')) as {
      spec: { template: { spec: { containers: { command?: string[]; args: string[] }[] } } };
    };
    return object.spec.template.spec.containers.flatMap((c) => c.args);
  }

  async pods(): Promise<readonly Pod[]> {
    const { body } = await this.#cluster.request('GET', `/api/v1/namespaces/${this.name}/pods`);
    return (body as { items: readonly Pod[] }).items;
  }

  /** The one pod that there is, once it is ready. */
  pod(ms = 180_000): Promise<Pod> {
    let last: readonly Pod[] = [];
    const ask = async (): Promise<Pod | undefined> => {
      last = await this.pods();
      const [only] = last;
      return last.length === 1 && only?.status.containerStatuses?.every((c) => c.ready) === true ? only : undefined;
    };
    return until(`one pod of ${this.name} is ready`, ask, { ms }).catch(async (error: unknown) => {
      const said = await Promise.all(last.map((p) => this.log(p)));
      const tail = said.map((s) => s.slice(-2_000)).join('\n');
      throw new Error(`${String(error)}: ${JSON.stringify(last.map((p) => p.status))}\n${tail}`);
    });
  }

  /** Asks a pod's API server, as somebody whom it does not know; the management API server forwards it. */
  ask(pod: Pod, path: string): Promise<Reply> {
    const proxy = `/api/v1/namespaces/${this.name}/pods/https:${pod.metadata.name}:6443/proxy`;
    return this.#cluster.api(this.#node).request('GET', `${proxy}${path}`);
  }

  /** What its API server printed, from the node's disk; all starts of it. */
  async log(pod: Pod): Promise<string> {
    const folder = this.#node.file(`var/log/pods/${this.name}_${pod.metadata.name}_${pod.metadata.uid}/${CONTAINER}`);
    const files = (await readdir(folder).catch(() => [])).sort();
    return (await Promise.all(files.map((f) => readFile(join(folder, f), 'utf8').catch(() => '')))).join('\n');
  }

  /** A file of one of its pod's volumes, as the node sees it; undefined where there is none. */
  async file(pod: Pod, volume: string): Promise<string | undefined> {
    const path = `/var/lib/kubelet/pods/${pod.metadata.uid}/volumes/${volume}`;
    // Projected volumes are mounts, which are seen on the node only.
    const { code, stdout } = await this.#node.exec('cat', [path]);
    return code === 0 ? stdout : undefined;
  }

  /** The credentials of the webhook that a pod has. */
  token(pod: Pod): Promise<string | undefined> {
    return this.file(pod, 'kubernetes.io~projected/auditconfig-revision/token');
  }

  /** The Secret that `config` names: a receiver that nobody can reach, which stops no API server. */
  receiver(token: string): Manifest {
    const kubeconfig = {
      clusters: [{ name: 'c', cluster: { server: 'https://192.0.2.1' } }],
      users: [{ name: 'u', user: { token } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    };
    const stringData = { 'webhook.yaml': JSON.stringify(kubeconfig) };
    return { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'receiver', namespace: this.name }, stringData };
  }

  /** Asks for what nobody has, until the event of it is there. */
  async event(pod: Pod, source: 'Stdout' | 'File'): Promise<Event> {
    const path = `/api/v1/namespaces/default/secrets/${randomBytes(6).toString('hex')}`;
    await this.ask(pod, path);
    const seen = async (): Promise<Event | undefined> => {
      const text =
        source === 'Stdout'
          ? await this.log(pod)
          : ((await this.file(pod, 'kubernetes.io~empty-dir/auditconfig-log/audit.log')) ?? '');
      const line = text.split('\n').find((l) => l.includes(path) && l.includes('"kind":"Event"'));
      return line === undefined ? undefined : (JSON.parse(line.slice(line.indexOf('{'))) as Event);
    };
    return until(`the event of ${path}`, seen, { ms: 30_000 });
  }
}

/** A pod without one is refused; the controller-manager makes it. */
async function untilServiceAccount(cluster: Cluster, namespace: string): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/default`;
  const ask = async (): Promise<true | undefined> =>
    (await cluster.request('GET', path)).status === 200 ? true : undefined;
  await until(`the service account of ${namespace}`, ask, { ms: 60_000 });
}
