/** The root folder of a node before it boots: Debian's programs come by mount (node-init.sh), everything else is its own. */
import { randomBytes } from 'node:crypto';
import { chmod, copyFile, cp, lstat, mkdir, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CNI_FOLDER } from './machine.ts';

export type NodeAddress = {
  readonly name: string;
  readonly ip: string;
  /** The /24 of its pods that do not have the node's network. */
  readonly podSubnet: string;
};

const FOLDERS = [
  'proc sys dev run root home mnt srv usr opt/kube opt/cni/bin var/tmp var/log var/cache',
  'var/lib/containerd var/lib/kubelet etc/kubernetes/manifests etc/cni/net.d etc/containerd etc/ssl/certs',
]
  .join(' ')
  .split(' ');
/** Of the machine; one that is not there is not needed. */
const COPIED = 'passwd group nsswitch.conf protocols services ld.so.cache ld.so.conf alternatives'.split(' ');
const MERGED = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'];

export const PAUSE_IMAGE = 'localhost/pause:1';

const containerdConfig = (snapshotter: string): string => `version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  # Without CAP_SYS_RESOURCE runc cannot lower a score.
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "${snapshotter}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${CNI_FOLDER}"
    conf_dir = "/etc/cni/net.d"
`;

const cniConfig = (subnet: string): string =>
  JSON.stringify({
    cniVersion: '0.4.0',
    name: 'pods',
    plugins: [
      {
        type: 'bridge',
        bridge: 'cni0',
        isGateway: true,
        ipMasq: true,
        hairpinMode: true,
        ipam: { type: 'host-local', ranges: [[{ subnet }]], routes: [{ dst: '0.0.0.0/0' }] },
      },
    ],
  });

/** As kubeadm's kubelet has it, less what a machine within a machine cannot do. */
export const kubeletConfig = (): string =>
  JSON.stringify({
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    staticPodPath: '/etc/kubernetes/manifests',
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    cgroupDriver: 'cgroupfs',
    failCgroupV1: false,
    failSwapOn: false,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: '/etc/kubernetes/pki/ca.crt' },
    },
    authorization: { mode: 'Webhook' },
    clusterDNS: ['10.96.0.10'],
    clusterDomain: 'cluster.local',
    rotateCertificates: false,
    resolvConf: '/etc/resolv.conf',
    // The disk is the machine's, and how full that is says nothing about the test.
    evictionHard: { 'nodefs.available': '0%', 'imagefs.available': '0%', 'memory.available': '0%' },
    imageGCHighThresholdPercent: 100,
    localStorageCapacityIsolation: false,
  });

const proxyConfig = (name: string): string =>
  JSON.stringify({
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    clientConnection: { kubeconfig: '/etc/kubernetes/kube-proxy.conf' },
    mode: 'iptables',
    hostnameOverride: name,
    // These would be limits of the whole machine.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
  });

async function copyFromMachine(root: string): Promise<void> {
  for (const name of MERGED) {
    const found = await lstat(`/${name}`).catch(() => undefined);
    if (found?.isSymbolicLink() === true) await symlink(await readlink(`/${name}`), join(root, name));
    else if (found !== undefined) await mkdir(join(root, name));
  }
  for (const name of COPIED) {
    const found = await stat(`/etc/${name}`).catch(() => undefined);
    const to = join(root, 'etc', name);
    if (found?.isDirectory() === true) await cp(`/etc/${name}`, to, { recursive: true, verbatimSymlinks: true });
    else if (found !== undefined) await copyFile(`/etc/${name}`, to);
  }
}

/** Makes all of it; the folder must not be there yet. */
export async function makeNodeRoot(
  root: string,
  node: NodeAddress,
  options: { readonly hosts: string; readonly snapshotter: string },
): Promise<void> {
  await mkdir(root, { mode: 0o755 });
  await chmod(root, 0o755);
  for (const folder of FOLDERS) await mkdir(join(root, folder), { recursive: true });
  await mkdir(join(root, 'tmp'));
  await chmod(join(root, 'tmp'), 0o1777);
  await symlink('/run', join(root, 'var/run'));
  await symlink('../usr/lib/os-release', join(root, 'etc/os-release'));
  await copyFromMachine(root);
  const files: Record<string, string> = {
    'etc/hostname': `${node.name}\n`,
    'etc/hosts': `127.0.0.1 localhost\n${options.hosts}`,
    'etc/resolv.conf': 'nameserver 127.0.0.1\n',
    'etc/machine-id': `${randomBytes(16).toString('hex')}\n`,
    'etc/containerd/config.toml': containerdConfig(options.snapshotter),
    'etc/cni/net.d/10-pods.conflist': cniConfig(node.podSubnet),
    'var/lib/kubelet/config.yaml': kubeletConfig(),
    'var/lib/kube-proxy.yaml': proxyConfig(node.name),
  };
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
}
