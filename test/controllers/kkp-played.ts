/**
 * KKP, played as far as auditing is concerned: of a Cluster it makes the Deployment `apiserver` in the namespace
 * `cluster-NAME`, whole, with flags in two words, and tells in the Cluster's status how that is.
 */
import type { ControlPlane } from '../control-plane/plane.ts';
import type { OwnedObject } from './owner-played.ts';

type Audit = {
  readonly enabled?: boolean;
  readonly policyPreset?: string;
  readonly webhookBackend?: { readonly auditWebhookConfig: { readonly name: string } };
};
type Deployment = { metadata: { generation: number; annotations?: Record<string, string> }; status?: Status };
type Status = { observedGeneration?: number; availableReplicas?: number };
const SEEN = 'kkp/generation';
const FIXED = ['--audit-log-path', '/var/log/kubernetes/audit/audit.log', '--audit-log-maxage', '30'];
const POLICY = ['--audit-policy-file', '/etc/kubernetes/audit/policy.yaml'];
const HOOK = ['--audit-webhook-config-file', '/etc/kubernetes/audit/webhook/webhook.yaml'];

function deploymentOf({ enabled = false, webhookBackend }: Audit, generation: number, version: string): object {
  const secretName = webhookBackend?.auditWebhookConfig.name;
  const hook = secretName === undefined ? [] : HOOK;
  const args = [...FIXED, ...(enabled || hook.length > 0 ? POLICY : []), ...hook];
  const image = 'registry.k8s.io/kube-apiserver:v1.33.4';
  const labels = { app: 'apiserver' };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'apiserver', annotations: { [SEEN]: String(generation) } },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels: { ...labels, 'audit-config-configmap-revision': version } },
        spec: {
          containers: [{ name: 'apiserver', image, command: ['/usr/local/bin/kube-apiserver'], args }],
          volumes: secretName === undefined ? [] : [{ name: 'audit-webhook-backend', secret: { secretName } }],
        },
      },
    },
  };
}

/** Its version; written where a preset is named, or where there is none yet. */
async function policyOf(plane: ControlPlane, namespace: string, { enabled, policyPreset }: Audit): Promise<string> {
  const base = `/api/v1/namespaces/${namespace}/configmaps`;
  const there = await plane.request('GET', `${base}/audit-config`);
  const data = { 'policy.yaml': `# policyPreset: ${policyPreset ?? 'metadata'}\napiVersion: audit.k8s.io/v1\n` };
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'audit-config' }, data };
  const isPreset = enabled === true && policyPreset !== undefined;
  const write = async (): Promise<typeof there> =>
    there.status === 200
      ? plane.request('PUT', `${base}/audit-config`, { body })
      : plane.request('POST', base, { body });
  const reply = there.status === 200 && !isPreset ? there : await write();
  if (reply.status > 201) throw new Error(reply.text);
  return (reply.body as { metadata: { resourceVersion: string } }).metadata.resourceVersion;
}

export async function kkp(plane: ControlPlane, live: OwnedObject, ready: boolean): Promise<void> {
  const { name, generation } = live.metadata;
  const base = `/apis/apps/v1/namespaces/cluster-${name}/deployments`;
  const there = await plane.request('GET', `${base}/apiserver`);
  const made = there.status === 200 ? (there.body as Deployment) : undefined;
  if (made?.metadata.annotations?.[SEEN] !== String(generation)) {
    const audit = (live.spec['auditLogging'] ?? {}) as Audit;
    const body = deploymentOf(audit, generation, await policyOf(plane, `cluster-${name}`, audit));
    const [method, path] = made === undefined ? (['POST', base] as const) : (['PUT', `${base}/apiserver`] as const);
    const reply = await plane.request(method, path, { body });
    if (reply.status > 201) throw new Error(reply.text);
  }
  const now = (await plane.request('GET', `${base}/apiserver`)).body as Deployment;
  const available = ready ? 1 : 0;
  if (now.status?.observedGeneration === now.metadata.generation && now.status.availableReplicas === available) return;
  const counts = { replicas: 1, updatedReplicas: 1, readyReplicas: available, availableReplicas: available };
  const patch = { contentType: 'application/merge-patch+json' } as const;
  await plane.request('PATCH', `${base}/apiserver/status`, {
    body: { status: { observedGeneration: now.metadata.generation, ...counts } },
    ...patch,
  });
  // Whoever watches Clusters hears of it by this.
  await plane.request('PATCH', `/apis/kubermatic.k8c.io/v1/clusters/${name}/status`, {
    body: {
      status: { extendedHealth: { apiserver: ready ? 'HealthStatusUp' : 'HealthStatusDown' }, seen: generation },
    },
    ...patch,
  });
}
