/**
 * Hosted control planes of a test: their workloads, the role that an administrator binds in their namespace, a stand-in for
 * the controllers of Deployments and StatefulSets (it writes status and nothing else: no pod runs), and an owner.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlPlane } from '../control-plane/plane.ts';
import { OPERATOR_NAMESPACE, applyOrThrow } from '../operator/install.ts';
import { sample } from '../targets/contract/hosted.ts';
import type { SampleWorkload } from '../targets/contract/hosted.ts';

export type Kind = 'Deployment' | 'StatefulSet';
export type Live = SampleWorkload & {
  metadata: { name: string; namespace: string; generation: number; resourceVersion: string; uid: string };
};

/** A namespace in which the controller may do what hosted control planes need. */
export async function hostedNamespace(plane: ControlPlane, namespace: string): Promise<void> {
  await applyOrThrow(plane, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  await applyOrThrow(plane, {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: 'auditconfig-hosted', namespace },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'auditconfig-hosted' },
    subjects: [{ kind: 'ServiceAccount', name: 'auditconfig-controller', namespace: OPERATOR_NAMESPACE }],
  });
}

export class Workload {
  readonly plane: ControlPlane;
  readonly path: string;
  readonly kind: Kind;
  /** What its owner writes, again and again: the whole object, without us. */
  readonly owned: object;
  /** Replicas that become available with the newest template; null: all of them. */
  available: number | null = null;

  private constructor(plane: ControlPlane, kind: Kind, at: { path: string; owned: object }) {
    this.plane = plane;
    this.kind = kind;
    this.path = at.path;
    this.owned = at.owned;
  }

  static async create(plane: ControlPlane, kind: Kind, namespace: string): Promise<Workload> {
    const made = sample(kind === 'Deployment' ? 'deployment' : 'statefulset') as SampleWorkload & {
      metadata: Record<string, unknown>;
    };
    const owned = { ...made, metadata: { ...made.metadata, namespace, generation: undefined } };
    const plural = kind === 'Deployment' ? 'deployments' : 'statefulsets';
    const base = `/apis/apps/v1/namespaces/${namespace}/${plural}`;
    const reply = await plane.request('POST', `${base}?fieldManager=platform-operator`, { body: owned });
    if (reply.status !== 201) throw new Error(reply.text);
    return new Workload(plane, kind, { path: `${base}/${String(made.metadata['name'])}`, owned });
  }

  async get(): Promise<Live> {
    return (await this.plane.request('GET', this.path)).body as Live;
  }

  /** The owner writes his whole object, as one who knows nothing of others' fields. */
  async writeBack(change = (text: string): string => text): Promise<Live> {
    const body: unknown = JSON.parse(change(JSON.stringify(this.owned)));
    const reply = await this.plane.request('PUT', `${this.path}?fieldManager=platform-operator`, { body });
    if (reply.status !== 200) throw new Error(reply.text);
    return reply.body as Live;
  }

  async words(): Promise<readonly string[]> {
    const containers = (await this.get()).spec.template.spec.containers;
    // The shipper has no arguments.
    return containers.flatMap((c) => [...(c.command ?? []), ...((c as { args?: string[] }).args ?? [])]);
  }

  async flags(): Promise<readonly string[]> {
    return (await this.words()).filter((w) => w.startsWith('--audit-'));
  }

  /** Status as the controller of such workloads writes it when `available` pods of the newest template are. */
  async settle(): Promise<void> {
    const live = await this.get();
    const replicas = live.spec.replicas ?? 1;
    const available = this.available ?? replicas;
    const status = {
      observedGeneration: live.metadata.generation,
      replicas,
      updatedReplicas: available < replicas ? Math.max(1, available) : replicas,
      readyReplicas: available,
      availableReplicas: available,
      ...(this.kind === 'StatefulSet' ? { currentRevision: 'r', updateRevision: `g${live.metadata.generation}` } : {}),
    };
    await this.plane.request('PATCH', `${this.path}/status`, {
      body: { status },
      contentType: 'application/merge-patch+json',
    });
  }

  /** Plays the workload's controller until the signal aborts. */
  async play(signal: AbortSignal): Promise<void> {
    let done = '';
    while (!signal.aborted) {
      const live = await this.get().catch(() => undefined);
      const now = `${live?.metadata?.generation} ${this.available}`;
      if (live?.metadata !== undefined && now !== done) {
        await this.settle().catch(() => undefined);
        done = now;
      }
      await sleep(100, undefined, { signal }).catch(() => undefined);
    }
  }
}
