/**
 * The operator as `kubectl apply -k deploy/` leaves it in a cluster: Deployment and DaemonSet as real pods, from the
 * image that the cluster's nodes have. And what tests ask of its objects.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { ROOT, apply, applyOrThrow, kustomized, pathOf } from '../operator/install.ts';
import type { Applied, Manifest } from '../operator/install.ts';
import { conditionOf } from '../operator/operator.ts';
import type { AuditConfigView } from '../operator/operator.ts';
import type { Cluster } from './cluster.ts';
import { until } from './lab.ts';
import type { ClusterNode } from './node.ts';

export const NAMESPACE = 'auditconfig-system';

export const auditConfig = (spec: Record<string, unknown> = {}): Manifest => ({
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'AuditConfig',
  metadata: { name: 'main', namespace: NAMESPACE },
  spec: { target: { type: 'StaticPod' }, rollout: { minReadySeconds: 0, timeoutSeconds: 180 }, ...spec },
});

export type Want = { readonly type: string; readonly status: string; readonly reason?: string };

type Pods = {
  readonly items: readonly {
    readonly metadata: { readonly name: string };
    readonly status: {
      readonly phase?: string;
      readonly containerStatuses?: readonly { readonly ready: boolean; readonly state: unknown }[];
    };
  }[];
};

export class InstalledOperator {
  readonly #cluster: Cluster;

  private constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** Waits until a controller and the agent of every node are ready. */
  static async install(cluster: Cluster): Promise<InstalledOperator> {
    const objects = kustomized(join(ROOT, 'deploy'));
    const first = ['CustomResourceDefinition', 'Namespace'];
    for (const o of objects.filter(({ kind }) => first.includes(kind))) await applyOrThrow(cluster, o);
    for (const plural of ['auditconfigs', 'auditnodes', 'datacenterauditconfigs'])
      while ((await cluster.request('GET', `/apis/auditconfig.dev/v1alpha1/${plural}`)).status !== 200)
        await sleep(100);
    for (const o of objects.filter(({ kind }) => !first.includes(kind))) await applyOrThrow(cluster, o);
    const operator = new InstalledOperator(cluster);
    const ready = async (): Promise<true | undefined> => {
      const agents = await operator.#readyPods('agent');
      return agents === cluster.nodes.length && (await operator.#readyPods('controller')) > 0 ? true : undefined;
    };
    await until('controller and agents are ready', ready, { ms: 120_000, everyMs: 500 }).catch(
      async (error: unknown) => {
        throw new Error(
          `${error instanceof Error ? error.message : ''}\n${await operator.words()}\n${cluster.words()}`,
        );
      },
    );
    return operator;
  }

  async #pods(component: string): Promise<Pods['items']> {
    const query = `labelSelector=app.kubernetes.io/component=${component}`;
    const { body } = await this.#cluster.request('GET', `/api/v1/namespaces/${NAMESPACE}/pods?${query}`);
    return (body as Pods).items ?? [];
  }

  async #readyPods(component: string): Promise<number> {
    const pods = await this.#pods(component);
    return pods.filter((p) => p.status.containerStatuses?.every((c) => c.ready) === true).length;
  }

  /** Applies, and throws where it is refused. */
  async apply(object: Manifest): Promise<void> {
    await applyOrThrow(this.#cluster, object);
  }

  tryApply(object: Manifest): Promise<Applied> {
    return apply(this.#cluster, object);
  }

  async get(object: Pick<Manifest, 'apiVersion' | 'kind' | 'metadata'>): Promise<unknown> {
    const reply = await this.#cluster.request('GET', pathOf(object));
    return reply.status === 404 ? undefined : reply.body;
  }

  async auditNode(node: ClusterNode): Promise<Readonly<Record<string, unknown>>> {
    const object = await this.get({
      apiVersion: 'auditconfig.dev/v1alpha1',
      kind: 'AuditNode',
      metadata: { name: node.name },
    });
    return (object as { status?: Record<string, unknown> } | undefined)?.status ?? {};
  }

  /** Waits until a condition of the AuditConfig says this about its newest generation, and gives the object. */
  async until(object: Manifest, want: Want, ms = 240_000): Promise<AuditConfigView> {
    let last: AuditConfigView | undefined;
    const ask = async (): Promise<AuditConfigView | undefined> => {
      last = (await this.get(object)) as AuditConfigView | undefined;
      const c = conditionOf(last, want.type);
      const current = last?.status?.observedGeneration === last?.metadata.generation;
      return current && c?.status === want.status && (want.reason ?? c.reason) === c.reason ? last : undefined;
    };
    return until(JSON.stringify(want), ask, { ms }).catch(async (error: unknown) => {
      const said = error instanceof Error ? error.message : String(error);
      throw new Error(`${said}: ${JSON.stringify(last?.status)}\n${await this.words()}`);
    });
  }

  /** Deletes, and waits until its finalizer has let it go. */
  async remove(object: Manifest, ms = 240_000): Promise<void> {
    await this.#cluster.request('DELETE', pathOf(object));
    const gone = async (): Promise<true | undefined> => ((await this.get(object)) === undefined ? true : undefined);
    await until(`${object.kind} ${object.metadata.name} is gone`, gone, { ms }).catch(async (error: unknown) => {
      throw new Error(`${error instanceof Error ? error.message : ''}\n${await this.words()}`);
    });
  }

  /** What the pods are at, and said last, from the nodes' own log files. */
  async words(): Promise<string> {
    const states = [...(await this.#pods('controller')), ...(await this.#pods('agent'))].map(
      (p) => `${p.metadata.name}: ${p.status.phase} ${JSON.stringify(p.status.containerStatuses?.map((c) => c.state))}`,
    );
    const script = `for f in /var/log/pods/${NAMESPACE}_*/*/*.log; do echo "$f"; tail -n 15 "$f"; done`;
    const logs = await Promise.all(this.#cluster.nodes.map((n) => n.exec('sh', ['-c', script])));
    return [...states, ...logs.map((l) => l.stdout)].join('\n');
  }
}
