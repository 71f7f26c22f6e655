/**
 * A real `kubeadm join --control-plane`: the test plays the machine's init system, which would start the kubelet when
 * kubeadm asks for it, and hands over the shared certificates, as `--upload-certs` does.
 */
import { copyFile, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Ran } from '../control-plane/sources/run.ts';
import type { Cluster } from './cluster.ts';
import { API_PORT, CONFIG, SHARED, kubeadm } from './kubeadm.ts';
import { BRIDGE, until } from './lab.ts';
import { kubeletConfig } from './node-files.ts';
import type { ClusterNode } from './node.ts';

const TOKEN = 'abcdef.0123456789abcdef';
const JOIN = '/etc/kubernetes/join.yaml';
const PROXY = '/etc/kubernetes/kube-proxy.conf';
const BOOTSTRAP = '/etc/kubernetes/bootstrap-kubelet.conf';
/** The last thing that kubeadm writes before it asks for the kubelet. */
const KUBELET_ENV = '/var/lib/kubelet/kubeadm-flags.env';

/** What `kubeadm init` leaves in the cluster for those that join: token, cluster-info, rights, the kubelet's settings. */
export async function allowJoins(first: ClusterNode): Promise<void> {
  const [init = '', cluster = ''] = (await readFile(first.file(CONFIG), 'utf8')).split('---\n');
  const tokens = [
    {
      token: TOKEN,
      ttl: '1h0m0s',
      usages: ['signing', 'authentication'],
      groups: ['system:bootstrappers:kubeadm:default-node-token'],
    },
  ];
  const withToken = JSON.stringify({ ...(JSON.parse(init) as object), bootstrapTokens: tokens });
  // As kubeadm has it; else a kubelet waits for its certificate before it starts the API server that would give it one.
  const kubelet = { ...(JSON.parse(kubeletConfig()) as object), rotateCertificates: true };
  const file = '/etc/kubernetes/kubeadm-joins.yaml';
  await writeFile(first.file(file), `${withToken}\n---\n${cluster}---\n${JSON.stringify(kubelet)}\n`, { mode: 0o600 });
  await kubeadm(first, ['init', 'phase', 'upload-config', 'kubelet', '--config', file]);
  await kubeadm(first, ['init', 'phase', 'bootstrap-token', '--config', file]);
}

const joinConfiguration = (node: ClusterNode, tlsBootstrap: string): string =>
  JSON.stringify({
    apiVersion: 'kubeadm.k8s.io/v1beta4',
    kind: 'JoinConfiguration',
    controlPlane: { localAPIEndpoint: { advertiseAddress: node.ip, bindPort: API_PORT } },
    discovery: {
      bootstrapToken: {
        apiServerEndpoint: `${BRIDGE.address}:${API_PORT}`,
        token: TOKEN,
        unsafeSkipCAVerification: true,
      },
    },
    nodeRegistration: {
      name: node.name,
      criSocket: 'unix:///run/containerd/containerd.sock',
      ignorePreflightErrors: ['all'],
      imagePullPolicy: 'Never',
    },
    timeouts: { kubeletHealthCheck: '1m0s', tlsBootstrap, controlPlaneComponentHealthCheck: '2m0s' },
  });

/** Runs kubeadm to its end; any exit code is an answer. `patience`: how long it waits for the API server on the node. */
export async function join(cluster: Cluster, node: ClusterNode, patience: string): Promise<Ran> {
  const first = cluster.nodes[0];
  if (first === undefined) throw new Error('a cluster has nodes');
  for (const path of [...SHARED.map((n) => `/etc/kubernetes/pki/${n}`), PROXY]) {
    await mkdir(dirname(node.file(path)), { recursive: true });
    await copyFile(first.file(path), node.file(path));
  }
  await writeFile(node.file(JOIN), joinConfiguration(node, patience), { mode: 0o600 });
  await rm(node.file(KUBELET_ENV), { force: true });
  const joining = node.exec('kubeadm', ['join', '--config', JOIN], { timeoutMs: 300_000 });
  const asked = async (): Promise<true | undefined> =>
    (await stat(node.file(KUBELET_ENV)).catch(() => undefined)) === undefined ? undefined : true;
  const started = until('kubeadm asks for the kubelet', asked, { ms: 120_000 }).then(async () => {
    await node.killKubelet();
    node.startKubelet([`--bootstrap-kubeconfig=${BOOTSTRAP}`]);
  });
  const ran = await joining;
  if (ran.code === 0) {
    await started;
    node.startProxy();
  } else await started.catch(() => undefined);
  return ran;
}
