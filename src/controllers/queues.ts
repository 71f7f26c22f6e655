/**
 * Who is looked at, and by whom. AuditConfigs of nodes, datacenters and the Lease for restarts share one worker: whoever
 * decides must know what was told to every node of the control plane before. Hosted control planes have nothing to do with
 * each other, and several. Called by term.ts.
 */
import { createWorkQueue } from '../kube/queue.ts';
import type { WorkQueue } from '../kube/queue.ts';
import { keyOf } from '../kube/types.ts';
import type { KubeObject, ObjectKey } from '../kube/types.ts';
import type { KubeMetrics } from '../telemetry/kube-metrics.ts';
import type { Logger } from '../telemetry/logger.ts';
import { wire, wireDatacenters, wireHosted, wireRestarts } from './caches.ts';
import type { Caches } from './caches.ts';
import { datacenterKey, datacenterPause } from './datacenters.ts';
import { isAtRest } from './first.ts';
import { Echoes } from './hosted/echoes.ts';
import { isHosted } from './hosted/workloads.ts';
import { RESTART_KEY } from './restart-lease.ts';

export class Queues {
  readonly nodes: WorkQueue<string>;
  readonly hosted: WorkQueue<string>;
  readonly echoes = new Echoes();
  readonly #caches: Caches;

  constructor(caches: Caches, { log, metrics }: { readonly log: Logger; readonly metrics: KubeMetrics }) {
    this.#caches = caches;
    this.nodes = createWorkQueue({ name: 'auditconfigs', log, metrics });
    this.hosted = createWorkQueue({ name: 'hosted', log, metrics });
  }

  add(key: ObjectKey): void {
    const config = this.#config(key);
    // One that is gone may have been of either kind.
    if (config === undefined || isHosted(config)) this.hosted.add(key);
    if (config === undefined || !isHosted(config)) this.nodes.add(key);
  }

  addDatacenter(name: string): void {
    this.nodes.addAfter(datacenterKey(name), 0);
  }

  /** The rarer the more control planes there are: each of them may have been the reason. */
  addDatacenterLater(name: string): void {
    this.nodes.addAfter(datacenterKey(name), datacenterPause(this.#caches.configs.store.size));
  }

  addRestarts(): void {
    this.nodes.add(RESTART_KEY);
  }

  /** All that there is, at the beginning of a term; those that are at rest when nothing else is to do. */
  addAll(): void {
    const { datacenters, configs } = this.#caches;
    // Before the AuditConfigs: they ask whose turn it is.
    for (const { metadata } of datacenters.store.values()) this.nodes.add(datacenterKey(metadata.name));
    for (const config of configs.store.values()) this.#addAtFirst(config);
    // After them: what datacenters make of a pause is known then.
    this.addRestarts();
  }

  /** Adds what a change concerns, from now on. Returns the unhook. */
  wire(): () => void {
    const caches = this.#caches;
    const unhooks = [
      wire(caches, (key) => {
        const config = this.#config(key);
        if (config === undefined || !isHosted(config)) this.nodes.add(key);
      }),
      wireHosted(caches, (key, version) => {
        const config = this.#config(key);
        if (config === undefined) this.echoes.forget(key);
        if (config === undefined || !isHosted(config)) return;
        if (version === undefined || this.echoes.concerns(key, version)) this.hosted.add(key);
      }),
      wireRestarts(caches, () => this.addRestarts()),
      wireDatacenters(
        caches,
        (name, when) => (when === 'Now' ? this.addDatacenter(name) : this.addDatacenterLater(name)),
        (key) => this.add(key),
      ),
    ];
    return () => unhooks.forEach((unhook) => unhook());
  }

  #config(key: ObjectKey): KubeObject | undefined {
    return this.#caches.configs.store.get(key);
  }

  #addAtFirst(config: KubeObject): void {
    const of = isHosted(config) ? this.hosted : this.nodes;
    if (isAtRest(config)) of.addIdle(keyOf(config.metadata));
    else of.add(keyOf(config.metadata));
  }
}
