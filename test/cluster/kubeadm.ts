/** Has the real kubeadm write what it writes on a control-plane node: certificates, kubeconfigs, static-pod manifests. */
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BRIDGE } from './lab.ts';
import { succeeded } from './node.ts';
import type { ClusterNode } from './node.ts';

export const API_PORT = 6443;
export const ETCD_URL = `http://${BRIDGE.address}:2379`;
export const CONFIG = '/etc/kubernetes/kubeadm.yaml';

/** What all control-plane nodes have in common. */
export const SHARED = ['ca', 'sa', 'front-proxy-ca'].flatMap((n) => [`${n}.key`, n === 'sa' ? 'sa.pub' : `${n}.crt`]);

function kubeadmConfig(node: ClusterNode, kubernetes: string): string {
  const init = {
    apiVersion: 'kubeadm.k8s.io/v1beta4',
    kind: 'InitConfiguration',
    localAPIEndpoint: { advertiseAddress: node.ip, bindPort: API_PORT },
    nodeRegistration: { name: node.name, criSocket: 'unix:///run/containerd/containerd.sock' },
  };
  const cluster = {
    apiVersion: 'kubeadm.k8s.io/v1beta4',
    kind: 'ClusterConfiguration',
    kubernetesVersion: kubernetes,
    imageRepository: 'localhost',
    controlPlaneEndpoint: `${BRIDGE.address}:${API_PORT}`,
    networking: { serviceSubnet: '10.96.0.0/16' },
    etcd: { external: { endpoints: [ETCD_URL] } },
    apiServer: { certSANs: ['localhost', '127.0.0.1', BRIDGE.address] },
  };
  return `${JSON.stringify(init)}\n---\n${JSON.stringify(cluster)}\n`;
}

export async function kubeadm(node: ClusterNode, args: readonly string[]): Promise<string> {
  const ran = await node.exec('kubeadm', args, { timeoutMs: 120_000 });
  succeeded(`kubeadm ${args.join(' ')} on ${node.name}`, ran);
  return ran.stdout;
}

const phase = (node: ClusterNode, ...what: readonly string[]): Promise<string> =>
  kubeadm(node, ['init', 'phase', ...what, '--config', CONFIG]);

/** All files of a node before its kubelet starts; those that nodes share come from `first`, if that is another. */
export async function writeKubeadmFiles(
  node: ClusterNode,
  options: { readonly first: ClusterNode; readonly kubernetes: string },
): Promise<void> {
  await writeFile(node.file(CONFIG), kubeadmConfig(node, options.kubernetes), { mode: 0o600 });
  if (options.first !== node)
    for (const name of SHARED) {
      const path = `/etc/kubernetes/pki/${name}`;
      await mkdir(dirname(node.file(path)), { recursive: true });
      await copyFile(options.first.file(path), node.file(path));
    }
  await phase(node, 'certs', 'all');
  await phase(node, 'kubeconfig', 'all');
  const proxy = await kubeadm(node, ['kubeconfig', 'user', '--client-name=system:kube-proxy', '--config', CONFIG]);
  await writeFile(node.file('/etc/kubernetes/kube-proxy.conf'), proxy, { mode: 0o600 });
  await phase(node, 'control-plane', 'all');
}

/** Labels and taints the Node. */
export const markControlPlane = (node: ClusterNode): Promise<string> => phase(node, 'mark-control-plane');
/** The ConfigMap that `kubeadm upgrade` and `join` read. */
export const uploadConfig = (node: ClusterNode): Promise<string> => phase(node, 'upload-config', 'kubeadm');
