/**
 * Kamaji, played as far as flags are concerned: it makes a Deployment of a TenantControlPlane, and keeps every argument that is
 * in the Deployment and not in extraArgs (its own are few here), so that what leaves extraArgs stays.
 */
import type { ControlPlane } from '../control-plane/plane.ts';
import type { OwnedObject } from './owner-played.ts';

type Spec = {
  readonly controlPlane: {
    readonly deployment: {
      readonly replicas?: number;
      readonly extraArgs?: { readonly apiServer?: readonly string[] };
      readonly additionalContainers?: readonly object[];
      readonly additionalVolumes?: readonly object[];
      readonly additionalVolumeMounts?: { readonly apiServer?: readonly object[] };
    };
  };
};
type Deployment = {
  metadata: { generation: number; resourceVersion: string; annotations?: Record<string, string> };
  spec: { template: { spec: { containers: { name: string; args?: string[] }[] } } };
  status?: { observedGeneration?: number };
};
const SEEN = 'kamaji/generation';
const OWN = ['--etcd-servers=https://etcd:2379', '--secure-port=6443'];
const flagOf = (arg: string): string => arg.split('=')[0] ?? '';

export async function kamaji(plane: ControlPlane, live: OwnedObject, ready: boolean): Promise<void> {
  const { name, namespace, generation } = live.metadata;
  const base = `/apis/apps/v1/namespaces/${namespace}/deployments`;
  const there = await plane.request('GET', `${base}/${name}`);
  const made = there.status === 200 ? (there.body as Deployment) : undefined;
  const { replicas = 2, ...d } = (live.spec as Spec).controlPlane.deployment;
  if (made?.metadata.annotations?.[SEEN] !== String(generation)) {
    const extra = d.extraArgs?.apiServer ?? [];
    const apiServer = made?.spec.template.spec.containers.find((c) => c.name === 'kube-apiserver');
    const given = new Set([...extra, ...OWN].map(flagOf));
    const kept = (apiServer?.args ?? []).filter((a) => !given.has(flagOf(a)));
    const labels = { app: name };
    const container = {
      name: 'kube-apiserver',
      image: 'registry.k8s.io/kube-apiserver:v1.33.4',
      command: ['kube-apiserver'],
    };
    const mounts = d.additionalVolumeMounts?.apiServer ?? [];
    const body = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: {
        name,
        annotations: { [SEEN]: String(generation) },
        ...(made === undefined ? {} : { resourceVersion: made.metadata.resourceVersion }),
      },
      spec: {
        replicas,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            // Its own come last.
            containers: [
              ...(d.additionalContainers ?? []),
              { ...container, args: [...kept, ...OWN, ...extra], volumeMounts: mounts },
            ],
            volumes: d.additionalVolumes ?? [],
          },
        },
      },
    };
    const reply = await plane.request(
      made === undefined ? 'POST' : 'PUT',
      made === undefined ? base : `${base}/${name}`,
      { body },
    );
    if (reply.status > 201) throw new Error(reply.text);
  }
  const now = (await plane.request('GET', `${base}/${name}`)).body as Deployment;
  if (now.status?.observedGeneration === now.metadata.generation) return;
  const available = ready ? replicas : 0;
  const status = {
    observedGeneration: now.metadata.generation,
    replicas,
    updatedReplicas: replicas,
    readyReplicas: available,
    availableReplicas: available,
  };
  await plane.request('PATCH', `${base}/${name}/status`, {
    body: { status },
    contentType: 'application/merge-patch+json',
  });
  // It tells of its Deployment in its own status, by which others hear of it.
  const told = { status: { kubernetesResources: { deployment: status } } };
  await plane.request(
    'PATCH',
    `/apis/kamaji.clastix.io/v1alpha1/namespaces/${namespace}/tenantcontrolplanes/${name}/status`,
    { body: told, contentType: 'application/merge-patch+json' },
  );
}
