/**
 * HyperShift, played as far as auditing is concerned: of a HostedCluster it makes a HostedControlPlane in a namespace of its own, of
 * that a ConfigMap with the profile and the Deployment `kube-apiserver`, and copies one key of the webhook's Secret there. A
 * webhook that is gone from the HostedCluster stays in the HostedControlPlane. The HostedCluster hears of nothing.
 */
import { canonicalJson, sha256 } from '../../src/config/canonical.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { OPERATOR_NAMESPACE, applyOrThrow } from '../operator/install.ts';
import type { OwnedObject } from './owner-played.ts';

type Spec = {
  readonly auditWebhook?: { readonly name: string };
  readonly configuration?: { readonly apiServer?: { readonly audit?: { readonly profile?: string } } };
};
type There = { metadata: { generation: number; resourceVersion: string }; spec: Spec; status?: Record<string, number> };
const patch = { contentType: 'application/merge-patch+json' } as const;

/** As it is, or as it was just made; PUT where it is to be another one. */
async function brought(
  plane: ControlPlane,
  { base, name }: { readonly base: string; readonly name: string },
  body: (there: There | undefined) => object,
): Promise<There> {
  const got = await plane.request('GET', `${base}/${name}`);
  const there = got.status === 200 ? (got.body as There) : undefined;
  const [method, path] = there === undefined ? (['POST', base] as const) : (['PUT', `${base}/${name}`] as const);
  const reply = await plane.request(method, path, { body: body(there) });
  if (reply.status > 201) throw new Error(reply.text);
  return reply.body as There;
}

async function namespaceOf(plane: ControlPlane, namespace: string): Promise<void> {
  await applyOrThrow(plane, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  await applyOrThrow(plane, {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: 'auditconfig-made', namespace },
    roleRef: {
      apiGroup: 'rbac.authorization.k8s.io',
      kind: 'ClusterRole',
      name: 'auditconfig-made-hostedclusters',
    },
    subjects: [{ kind: 'ServiceAccount', name: 'auditconfig-controller', namespace: OPERATOR_NAMESPACE }],
  });
}

async function copied(plane: ControlPlane, from: string, to: string, name: string): Promise<void> {
  const there = await plane.request('GET', `/api/v1/namespaces/${from}/secrets/${name}`);
  const data = (there.body as { data?: Record<string, string> }).data ?? {};
  if (data['webhook-kubeconfig'] === undefined) throw new Error(`Secret ${name} has no key webhook-kubeconfig`);
  await applyOrThrow(plane, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: to },
    data: { 'webhook-kubeconfig': data['webhook-kubeconfig'] },
  });
}

function deploymentOf({ configuration, auditWebhook }: Spec): object {
  const labels = { app: 'kube-apiserver' };
  const secretName = auditWebhook?.name ?? '';
  const volumes = secretName === '' ? [] : [{ name: 'kas-audit-webhook', secret: { secretName } }];
  const hash = sha256(canonicalJson((configuration ?? {}) as never));
  const container = {
    name: 'kube-apiserver',
    image: 'hyperkube',
    command: ['hyperkube'],
    args: ['kube-apiserver', '--openshift-config=/etc/kubernetes/config/config.json'],
  };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'kube-apiserver' },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels, annotations: { 'component.hypershift.openshift.io/config-hash': hash } },
        spec: { containers: [container], volumes },
      },
    },
  };
}

export async function hypershift(plane: ControlPlane, live: OwnedObject, ready: boolean): Promise<void> {
  const { name, namespace = '' } = live.metadata;
  const there = `${namespace}-${name}`;
  const wanted = live.spec as Spec;
  await namespaceOf(plane, there);
  if (wanted.auditWebhook !== undefined) await copied(plane, namespace, there, wanted.auditWebhook.name);
  const group = `/apis/hypershift.openshift.io/v1beta1/namespaces/${there}/hostedcontrolplanes`;
  const { spec } = await brought(plane, { base: group, name }, (before) => ({
    apiVersion: 'hypershift.openshift.io/v1beta1',
    kind: 'HostedControlPlane',
    metadata: before?.metadata ?? { name },
    spec: {
      ...(wanted.configuration === undefined ? {} : { configuration: wanted.configuration }),
      ...((wanted.auditWebhook ?? before?.spec.auditWebhook) === undefined
        ? {}
        : { auditWebhook: wanted.auditWebhook ?? before?.spec.auditWebhook }),
    },
  }));
  const profile = spec.configuration?.apiServer?.audit?.profile ?? 'Default';
  await brought(plane, { base: `/api/v1/namespaces/${there}/configmaps`, name: 'kas-audit-config' }, () => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'kas-audit-config' },
    data: { profile, 'policy.yaml': `# ${profile}\n` },
  }));
  const base = `/apis/apps/v1/namespaces/${there}/deployments`;
  const now = await brought(plane, { base, name: 'kube-apiserver' }, () => deploymentOf(spec));
  const available = ready ? 1 : 0;
  const status = { observedGeneration: now.metadata.generation, availableReplicas: available };
  if (Object.entries(status).every(([k, v]) => (now.status?.[k] ?? 0) === v)) return;
  const counts = { replicas: 1, updatedReplicas: 1, readyReplicas: available };
  await plane.request('PATCH', `${base}/kube-apiserver/status`, {
    body: { status: { ...status, ...counts } },
    ...patch,
  });
}
