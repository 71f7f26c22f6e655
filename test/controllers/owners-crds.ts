/**
 * Minimal CRDs of owners' APIs, written for these tests: the fields that auditing touches are typed as the owners type them
 * (lists that are atomic or keyed, what may not be empty, what must be unique); all else is kept as it comes.
 */
import type { Manifest } from '../operator/install.ts';

type Schema = Record<string, unknown>;
const text: Schema = { type: 'string' };
const open: Schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
const object = (properties: Schema, more: Schema = {}): Schema => ({ type: 'object', properties, ...more });
const list = (items: Schema, more: Schema = {}): Schema => ({
  type: 'array',
  items,
  'x-kubernetes-list-type': 'atomic',
  ...more,
});

export type Crd = {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly spec: Schema;
  readonly scope?: 'Cluster';
};

export const crd = ({ group, version, kind, plural, spec, scope }: Crd): Manifest => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${plural}.${group}` },
  spec: {
    group,
    scope: scope ?? 'Namespaced',
    names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
    versions: [
      {
        name: version,
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: { openAPIV3Schema: object({ spec, status: open }) },
      },
    ],
  },
});

const file = object(
  {
    path: text,
    owner: text,
    permissions: text,
    append: { type: 'boolean' },
    content: { ...text, minLength: 1, maxLength: 10_240 },
    contentFrom: object({ secret: object({ name: text, key: text }, { required: ['name', 'key'] }) }),
  },
  { required: ['path'] },
);
const hostPathMount = object(
  { name: text, hostPath: text, mountPath: text, readOnly: { type: 'boolean' }, pathType: text },
  { required: ['name', 'hostPath', 'mountPath'] },
);

const kcpSpec = (apiServer: Schema, lists: Schema): Schema =>
  object({
    replicas: { type: 'integer' },
    version: text,
    machineTemplate: open,
    kubeadmConfigSpec: object({
      clusterConfiguration: object({ apiServer, controllerManager: open }),
      files: list(file, lists),
    }),
  });

const notEmpty: Schema = { minItems: 1, maxItems: 100 };
const unique = {
  rule: 'self.all(x, self.exists_one(y, x.name == y.name))',
  message: 'extraArgs name must be unique',
};
const ARGS: Schema = list(
  object({ name: { ...text, maxLength: 256 }, value: { ...text, maxLength: 1024 } }, { required: ['name', 'value'] }),
  {
    ...notEmpty,
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['name', 'value'],
    'x-kubernetes-validations': [unique],
  },
);

const kcp = (version: string, spec: Schema): Manifest =>
  crd({
    group: 'controlplane.cluster.x-k8s.io',
    version,
    kind: 'KubeadmControlPlane',
    plural: 'kubeadmcontrolplanes',
    spec,
  });

const TCP_SPEC = object({
  controlPlane: object({
    deployment: object({
      replicas: { type: 'integer' },
      extraArgs: object({
        apiServer: { type: 'array', items: text },
        controllerManager: { type: 'array', items: text },
      }),
      additionalVolumes: { type: 'array', items: open },
      additionalContainers: { type: 'array', items: open },
      podSecurityContext: open,
      containerSecurityContexts: object({ apiServer: open }),
      additionalVolumeMounts: object({ apiServer: { type: 'array', items: open } }),
    }),
    service: open,
  }),
  kubernetes: open,
  networkProfile: open,
});
export const TENANT_CONTROL_PLANE = crd({
  group: 'kamaji.clastix.io',
  version: 'v1alpha1',
  kind: 'TenantControlPlane',
  plural: 'tenantcontrolplanes',
  spec: TCP_SPEC,
});

const SIDECAR = object({
  resources: open,
  config: object({
    service: { type: 'object', additionalProperties: text },
    filters: { type: 'array', items: { type: 'object', additionalProperties: text } },
    outputs: { type: 'array', items: { type: 'object', additionalProperties: text } },
  }),
  extraEnvs: { type: 'array', items: open },
});
export const KUBERMATIC_CLUSTER = crd({
  group: 'kubermatic.k8c.io',
  version: 'v1',
  kind: 'Cluster',
  plural: 'clusters',
  scope: 'Cluster',
  spec: object({
    humanReadableName: text,
    version: text,
    pause: { type: 'boolean' },
    exposeStrategy: text,
    usePodNodeSelectorAdmissionPlugin: { type: 'boolean' },
    auditLogging: object({
      enabled: { type: 'boolean' },
      policyPreset: { ...text, enum: ['', 'metadata', 'recommended', 'minimal'] },
      sidecar: SIDECAR,
      webhookBackend: object(
        {
          auditWebhookConfig: object({ name: text, namespace: text }),
          auditWebhookInitialBackoff: { ...text, default: '10s' },
        },
        { required: ['auditWebhookConfig'] },
      ),
    }),
  }),
});

const AUDIT_POLICY = object({
  configMapRef: object({ name: text, namespace: text, resourceVersion: text, kind: text, apiVersion: text, uid: text }),
});
export const SHOOT = crd({
  group: 'core.gardener.cloud',
  version: 'v1beta1',
  kind: 'Shoot',
  plural: 'shoots',
  spec: object({
    cloudProfile: open,
    kubernetes: object({
      version: text,
      enableStaticTokenKubeconfig: { type: 'boolean' },
      kubeAPIServer: object({ requests: open, auditConfig: object({ auditPolicy: AUDIT_POLICY }) }),
    }),
  }),
});

const PROFILE = { ...text, enum: ['Default', 'WriteRequestBodies', 'AllRequestBodies', 'None'] };
const AUDIT = object(
  {
    profile: { ...PROFILE, default: 'Default' },
    customRules: {
      type: 'array',
      items: object({ group: { ...text, minLength: 1 }, profile: PROFILE }, { required: ['group', 'profile'] }),
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['group'],
    },
  },
  { default: { profile: 'Default' } },
);
/** Of a HostedCluster, and of the HostedControlPlane that HyperShift makes of it. */
const OPENSHIFT = object({
  release: open,
  fips: { type: 'boolean' },
  clusterID: text,
  platform: open,
  pausedUntil: { ...text, minLength: 4, maxLength: 35 },
  auditWebhook: object({ name: { ...text, default: '' } }, { 'x-kubernetes-map-type': 'atomic' }),
  configuration: object({ apiServer: object({ audit: AUDIT, tlsSecurityProfile: open }), oauth: open }),
});
const hypershift = (kind: string): Manifest =>
  crd({
    group: 'hypershift.openshift.io',
    version: 'v1beta1',
    kind,
    plural: `${kind.toLowerCase()}s`,
    spec: OPENSHIFT,
  });
export const HOSTED_CLUSTER = hypershift('HostedCluster');
export const HOSTED_CONTROL_PLANE = hypershift('HostedControlPlane');

export const KUBEADM_CONTROL_PLANE = {
  v1beta1: kcp(
    'v1beta1',
    kcpSpec(
      object({
        certSANs: list(text),
        extraArgs: { type: 'object', additionalProperties: text },
        extraVolumes: list(hostPathMount),
      }),
      {},
    ),
  ),
  v1beta2: kcp(
    'v1beta2',
    kcpSpec(
      object(
        { certSANs: list(text, notEmpty), extraArgs: ARGS, extraVolumes: list(hostPathMount, notEmpty) },
        { minProperties: 1 },
      ),
      { minItems: 1, maxItems: 200 },
    ),
  ),
};
