/**
 * A hosted kube-apiserver as platforms run it: a Deployment of three containers with some fifty flags, certificates from
 * Secrets, probes, affinity and its managers' fields, about 12 kB as the API server stores it.
 */
import type { Manifest } from '../../operator/install.ts';

export const WORKLOAD = 'kube-apiserver';
export const namespaceOf = (i: number): string => `cluster-${String(i).padStart(5, '0')}`;
export const DATACENTER_LABEL = { 'bench.example.org/datacenter': 'eu' } as const;

const PLUGINS =
  'NamespaceLifecycle,LimitRanger,ServiceAccount,TaintNodesByCondition,PodSecurity,Priority,DefaultTolerationSeconds,DefaultStorageClass,StorageObjectInUseProtection,PersistentVolumeClaimResize,RuntimeClass,CertificateApproval,CertificateSigning,ClusterTrustBundleAttest,CertificateSubjectRestriction,DefaultIngressClass,MutatingAdmissionWebhook,ValidatingAdmissionWebhook,ResourceQuota,NodeRestriction';
const SECRETS = [
  'pki',
  'etcd-client',
  'service-account',
  'front-proxy',
  'kubelet-client',
  'encryption',
  'oidc-ca',
] as const;

const flagsOf = (namespace: string): readonly string[] => [
  '--advertise-address=10.240.16.10',
  '--secure-port=6443',
  '--kubernetes-service-node-port=0',
  `--etcd-servers=${[0, 1, 2].map((i) => `https://etcd-${i}.etcd.${namespace}.svc.cluster.local:2379`).join(',')}`,
  '--etcd-cafile=/etc/kubernetes/etcd-client/ca.crt',
  '--etcd-certfile=/etc/kubernetes/etcd-client/tls.crt',
  '--etcd-keyfile=/etc/kubernetes/etcd-client/tls.key',
  '--storage-backend=etcd3',
  `--enable-admission-plugins=${PLUGINS}`,
  '--authorization-mode=Node,RBAC',
  `--external-hostname=${namespace}.eu.clusters.example.org`,
  '--token-auth-file=/etc/kubernetes/tokens/tokens.csv',
  '--enable-bootstrap-token-auth',
  '--service-account-key-file=/etc/kubernetes/service-account/sa.key',
  `--service-account-issuer=https://${namespace}.eu.clusters.example.org:6443`,
  '--service-account-signing-key-file=/etc/kubernetes/service-account/sa.key',
  `--api-audiences=https://${namespace}.eu.clusters.example.org:6443,konnectivity-server`,
  '--service-cluster-ip-range=10.240.16.0/20',
  '--service-node-port-range=30000-32767',
  '--allow-privileged=true',
  '--tls-cert-file=/etc/kubernetes/pki/apiserver.crt',
  '--tls-private-key-file=/etc/kubernetes/pki/apiserver.key',
  '--tls-cipher-suites=TLS_AES_128_GCM_SHA256,TLS_AES_256_GCM_SHA384,TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
  '--proxy-client-cert-file=/etc/kubernetes/front-proxy/tls.crt',
  '--proxy-client-key-file=/etc/kubernetes/front-proxy/tls.key',
  '--client-ca-file=/etc/kubernetes/pki/ca.crt',
  '--kubelet-client-certificate=/etc/kubernetes/kubelet-client/tls.crt',
  '--kubelet-client-key=/etc/kubernetes/kubelet-client/tls.key',
  '--kubelet-preferred-address-types=ExternalIP,InternalIP',
  '--encryption-provider-config=/etc/kubernetes/encryption/encryption-configuration.yaml',
  '--requestheader-client-ca-file=/etc/kubernetes/front-proxy/ca.crt',
  '--requestheader-allowed-names=apiserver-aggregator',
  '--requestheader-extra-headers-prefix=X-Remote-Extra-',
  '--requestheader-group-headers=X-Remote-Group',
  '--requestheader-username-headers=X-Remote-User',
  '--endpoint-reconciler-type=none',
  '--egress-selector-config-file=/etc/kubernetes/konnectivity/egress-selector-configuration.yaml',
  '--goaway-chance=0.001',
  '--profiling=false',
  '--event-ttl=1h',
  '--v=2',
];

const resources = (cpu: string, memory: string) => ({
  requests: { cpu, memory },
  limits: { cpu: '2', memory: '4Gi' },
});
const probe = (path: string, failureThreshold: number) => ({
  httpGet: { path, port: 6443, scheme: 'HTTPS' },
  initialDelaySeconds: 15,
  timeoutSeconds: 15,
  periodSeconds: 10,
  failureThreshold,
});
const mount = (name: string) => ({ name, mountPath: `/etc/kubernetes/${name}`, readOnly: true });

const containersOf = (namespace: string): readonly object[] => [
  {
    name: 'kube-apiserver',
    image: 'registry.k8s.io/kube-apiserver:v1.36.3',
    command: ['/usr/local/bin/kube-apiserver'],
    args: flagsOf(namespace),
    env: [{ name: 'SSL_CERT_FILE', value: '/etc/ssl/certs/ca-certificates.crt' }],
    ports: [{ containerPort: 6443, protocol: 'TCP' }],
    livenessProbe: probe('/livez', 8),
    readinessProbe: probe('/readyz', 3),
    resources: resources('100m', '256Mi'),
    volumeMounts: [...SECRETS, 'tokens', 'konnectivity'].map(mount),
  },
  {
    name: 'konnectivity-server',
    image: 'registry.k8s.io/kas-network-proxy/proxy-server:v0.33.0',
    command: ['/proxy-server'],
    args: [
      '--logtostderr=true',
      '--cluster-cert=/etc/kubernetes/pki/apiserver.crt',
      '--cluster-key=/etc/kubernetes/pki/apiserver.key',
      '--uds-name=/etc/kubernetes/konnectivity-server/konnectivity-server.socket',
      '--mode=grpc',
      '--server-port=0',
      '--agent-port=8132',
      '--admin-port=8133',
      '--agent-namespace=kube-system',
      '--agent-service-account=konnectivity-agent',
      '--authentication-audience=system:konnectivity-server',
    ],
    resources: resources('10m', '50Mi'),
    volumeMounts: ['pki', 'konnectivity'].map(mount),
  },
  {
    name: 'tunneler',
    image: 'registry.example.org/tunneler:v2.29.0',
    args: ['-kubeconfig', '/etc/kubernetes/kubelet-client/kubeconfig', '-listen-interval', '30s'],
    resources: resources('5m', '16Mi'),
    volumeMounts: [mount('kubelet-client')],
  },
];

export function workload(i: number): Manifest {
  const namespace = namespaceOf(i);
  const labels = { app: 'apiserver', cluster: namespace, 'app.kubernetes.io/managed-by': 'platform-operator' };
  const term = (topologyKey: string) => ({
    weight: 100,
    podAffinityTerm: { labelSelector: { matchLabels: labels }, topologyKey },
  });
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: {
      name: WORKLOAD,
      namespace,
      labels,
      annotations: { 'platform.example.org/last-applied-hash': 'b1946ac92492d2347c6235b4d2611184e1946ac92492d2347' },
    } as Manifest['metadata'],
    spec: {
      replicas: 2,
      revisionHistoryLimit: 10,
      selector: { matchLabels: { app: 'apiserver', cluster: namespace } },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template: {
        metadata: {
          labels,
          annotations: Object.fromEntries(
            SECRETS.map((s, n) => [`platform.example.org/${s}-secret-revision`, String(100 + n)]),
          ),
        },
        spec: {
          affinity: {
            podAntiAffinity: {
              preferredDuringSchedulingIgnoredDuringExecution: [
                'kubernetes.io/hostname',
                'topology.kubernetes.io/zone',
              ].map(term),
            },
          },
          automountServiceAccountToken: false,
          priorityClassName: '',
          securityContext: { seccompProfile: { type: 'RuntimeDefault' } },
          containers: containersOf(namespace),
          volumes: [
            ...SECRETS.map((name) => ({ name, secret: { secretName: name, defaultMode: 420 } })),
            { name: 'tokens', secret: { secretName: 'tokens' } },
            { name: 'konnectivity', configMap: { name: 'egress-selector-configuration' } },
          ],
        },
      },
    },
  };
}

export const auditConfig = (i: number): Manifest => ({
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'AuditConfig',
  metadata: { name: 'main', namespace: namespaceOf(i) },
  spec: {
    target: { type: 'Hosted', hosted: { kind: 'Deployment', name: WORKLOAD, container: 'kube-apiserver' } },
    rollout: { timeoutSeconds: 3600 },
  },
});

/** All control planes at once: waves off. */
export const datacenter = (preset: string): Manifest => ({
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'DatacenterAuditConfig',
  metadata: { name: 'eu' },
  spec: {
    selector: { namespaceSelector: { matchLabels: DATACENTER_LABEL } },
    enforced: { policy: { preset } },
    rollout: { maxUnavailable: '100%', maxFailures: 10_000 },
  },
});

/** As its controller writes it when all pods of the newest template are available. */
export const availableStatus = (generation: number) => ({
  status: {
    observedGeneration: generation,
    replicas: 2,
    updatedReplicas: 2,
    readyReplicas: 2,
    availableReplicas: 2,
    conditions: [
      {
        type: 'Available',
        status: 'True',
        reason: 'MinimumReplicasAvailable',
        message: 'Deployment has minimum availability.',
        lastTransitionTime: '2026-11-21T00:00:00Z',
      },
      {
        type: 'Progressing',
        status: 'True',
        reason: 'NewReplicaSetAvailable',
        message: 'ReplicaSet has successfully progressed.',
        lastTransitionTime: '2026-11-21T00:00:00Z',
      },
    ],
  },
});
