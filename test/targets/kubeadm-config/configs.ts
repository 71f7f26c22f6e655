/** ClusterConfigurations as kubeadm uploads them, with a comment that somebody left, and plans about them. */
import type { Revision } from '../../../src/render/types.ts';
import { DEFAULT_LAYOUT } from '../../../src/targets/host-layout.ts';
import { planKubeadmConfig } from '../../../src/targets/kubeadm-config.ts';
import type { KubeadmConfig, KubeadmOwner, KubeadmPlan } from '../../../src/targets/kubeadm-config.ts';

export const V4 = `apiServer:
  certSANs:
  - localhost
  extraArgs:
  - name: authorization-mode
    value: Node,RBAC
  # asked for by support
  - name: v
    value: "2"
apiVersion: kubeadm.k8s.io/v1beta4
caCertificateValidityPeriod: 87600h0m0s
certificatesDir: /etc/kubernetes/pki
clusterName: kubernetes
controllerManager: {}
dns: {}
etcd:
  local:
    dataDir: /var/lib/etcd
kind: ClusterConfiguration
kubernetesVersion: v1.36.3
networking:
  dnsDomain: cluster.local
  serviceSubnet: 10.96.0.0/12
proxy: {}
scheduler: {}
`;

export const V3 = `apiServer:
  certSANs:
  - localhost
  extraArgs:
    authorization-mode: Node,RBAC # as ever
apiVersion: kubeadm.k8s.io/v1beta3
kind: ClusterConfiguration
kubernetesVersion: v1.30.1
`;

export type ClusterConfigurationView = {
  readonly apiServer?: {
    readonly extraArgs?: unknown;
    readonly extraVolumes?: readonly { readonly name: string }[];
  };
};

export const OWNER: KubeadmOwner = { namespace: 'auditconfig-system', name: 'main', uid: 'u1' };

export const config = (text: string): KubeadmConfig => ({ text, annotation: undefined });
export const annotated = (text: string, annotation: string | null): KubeadmConfig => ({
  text,
  annotation: annotation ?? undefined,
});

export const plan = (to: Revision | null, now: KubeadmConfig, owner: KubeadmOwner = OWNER): KubeadmPlan =>
  planKubeadmConfig(to, { now, owner, layout: DEFAULT_LAYOUT });

export function written(p: KubeadmPlan): Extract<KubeadmPlan, { kind: 'Write' }> {
  if (p.kind !== 'Write') throw new Error(JSON.stringify(p));
  return p;
}
