/**
 * Kamaji, played as far as flags are concerned, as its own builder of Deployments was seen to do it: where extraArgs is there
 * and another one than before, it begins anew; where none is, every argument that is in the Deployment and not its own (few
 * here) stays. So what leaves together with extraArgs stays behind.
 */
import { createHash } from 'node:crypto';
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
const ARGS = 'kube-apiserver.kamaji.clastix.io/args';
const OWN = ['--etcd-servers=https://etcd:2379', '--secure-port=6443'];
const hashOf = (args: readonly string[]): string => createHash('sha256').update(JSON.stringify(args)).digest('hex');
const flagOf = (arg: string): string => arg.split('=')[0] ?? '';

type Extra = Spec['controlPlane']['deployment']['extraArgs'];
function argsOf(made: Deployment | undefined, extraArgs: Extra): { hash: string | undefined; args: readonly string[] } {
  const extra = extraArgs?.apiServer ?? [];
  const given = new Set([...extra, ...OWN].map(flagOf));
  const before = made?.metadata.annotations?.[ARGS];
  const hash = extraArgs === undefined ? before : hashOf(extra);
  const left =
    hash === before ? (made?.spec.template.spec.containers.find((c) => c.name === 'kube-apiserver')?.args ?? []) : [];
  return { hash, args: [...[...left.filter((a) => !given.has(flagOf(a))), ...OWN].sort(), ...extra] };
}

export async function kamaji(plane: ControlPlane, live: OwnedObject, ready: boolean): Promise<void> {
  const { name, namespace, generation } = live.metadata;
  const base = `/apis/apps/v1/namespaces/${namespace}/deployments`;
  const there = await plane.request('GET', `${base}/${name}`);
  const made = there.status === 200 ? (there.body as Deployment) : undefined;
  const { replicas = 2, ...d } = (live.spec as Spec).controlPlane.deployment;
  if (made?.metadata.annotations?.[SEEN] !== String(generation)) {
    const { hash, args } = argsOf(made, d.extraArgs);
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
        annotations: { [SEEN]: String(generation), ...(hash === undefined ? {} : { [ARGS]: hash }) },
        ...(made === undefined ? {} : { resourceVersion: made.metadata.resourceVersion }),
      },
      spec: {
        replicas,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            // Its own come last.
            containers: [...(d.additionalContainers ?? []), { ...container, args, volumeMounts: mounts }],
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
