/**
 * Which datacenters count for an AuditConfig, and with which content. Memory only of what can be had again: the plans of
 * datacenters (who may take what is new) and published contents, which never change. A datacenter that is not there any
 * more counts with what the AuditConfig has of it: absence removes nothing. Called by gather.ts and datacenters.ts.
 */
import { z } from 'zod';
import type { LayerSpec } from '../api/auditconfig.ts';
import { rolloutSpec } from '../api/auditconfig.ts';
import { datacenterAuditConfigSpec, datacenterAuditConfigStatus } from '../api/datacenterauditconfig.ts';
import type { DatacenterAuditConfigSpec } from '../api/datacenterauditconfig.ts';
import { byStrength, contentDigest, contentOf, mergeDatacenters } from '../config/datacenter.ts';
import { governs } from '../config/selection.ts';
import type { Subject } from '../config/selection.ts';
import type { Datacenter, DatacenterContent } from '../config/types.ts';
import type { KubeClient } from '../kube/client.ts';
import { isRecord, keyOf } from '../kube/types.ts';
import type { KubeObject, ObjectKey } from '../kube/types.ts';
import { changedSince, referredIn } from '../render/pins.ts';
import type { Reference } from '../render/references.ts';
import { referenceKey } from '../rollout/facts.ts';
import type { Governed } from '../rollout/facts.ts';
import { contentName } from '../rollout/datacenter.ts';
import type { Caches } from './caches.ts';
import { hadBy } from './datacenters-had.ts';
import { isHosted } from './hosted/workloads.ts';
import { PinnedReferences } from './pinned.ts';
import { CONFIG_MAPS } from './resources.ts';

export const CONTENT_KEY = 'content.json';

/** As it is stored: what a newer controller added must not be lost, so nothing unknown is taken away. */
const storedContent = z.looseObject({ priority: z.int().optional() });

export type GovernedOptions = {
  readonly caches: Caches;
  readonly client: KubeClient;
  readonly bundlesNamespace: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** When and whether API servers may restart came to be something else. */
  readonly rolloutChanged: () => void;
};

export type ReadReference = (
  ref: { readonly kind: 'ConfigMap' | 'Secret'; readonly namespace: string; readonly name: string },
  signal: AbortSignal,
) => Promise<Reference>;

export class GovernedView {
  readonly #o: GovernedOptions;
  readonly #admitted = new Map<string, ReadonlyMap<ObjectKey, string | null>>();
  /** Objects of a store are replaced, never changed. */
  readonly #specs = new WeakMap<KubeObject, { readonly spec?: DatacenterAuditConfigSpec }>();
  readonly #contents = new Map<string, DatacenterContent>();
  /** As they were when it was last decided about an AuditConfig whose target is nodes. */
  readonly #last = new Map<ObjectKey, readonly Datacenter[]>();

  /** Objects that datacenters refer to, as they were published. */
  readonly pinned: PinnedReferences;

  constructor(options: GovernedOptions) {
    this.#o = options;
    this.pinned = new PinnedReferences(options.client, options.bundlesNamespace);
  }

  /** Who may take what of a datacenter (null: nothing any more). Gives the keys for which that is new. */
  plan(name: string, takes: ReadonlyMap<ObjectKey, string | null>): readonly ObjectKey[] {
    const before = this.#admitted.get(name);
    this.#admitted.set(name, takes);
    return [...takes].filter(([key, digest]) => before?.get(key) !== digest).map(([key]) => key);
  }

  specOf(datacenter: KubeObject): DatacenterAuditConfigSpec | undefined {
    const known = this.#specs.get(datacenter);
    if (known !== undefined) return known.spec;
    const parsed = datacenterAuditConfigSpec.safeParse(datacenter['spec']);
    this.#specs.set(datacenter, parsed.success ? { spec: parsed.data } : {});
    return parsed.data;
  }

  /** Before its Namespace is known nobody can say who selects it. */
  isPlaced({ metadata: { namespace = '' } }: KubeObject): boolean {
    return this.#o.caches.namespaces.store.get({ name: namespace }) !== undefined;
  }

  subjectOf({ metadata }: KubeObject): Subject {
    const { name, namespace = '', labels = {} } = metadata;
    const namespaceLabels = this.#o.caches.namespaces.store.get({ name: namespace })?.metadata.labels ?? {};
    return { name, namespace, labels, namespaceLabels };
  }

  /** undefined where no datacenter has ever had a say. */
  async of(config: KubeObject, read: ReadReference, signal: AbortSignal): Promise<Governed | undefined> {
    const { datacenters } = this.#o.caches;
    const had = hadBy(config);
    if (datacenters.store.size === 0 && had.length === 0) {
      if (this.#last.delete(keyOf(config.metadata))) this.#o.rolloutChanged();
      return undefined;
    }
    const counting: Datacenter[] = [];
    const unreadable: string[] = [];
    for (const { name, digest } of this.#wanted(config, had)) {
      const content = await this.#content(name, digest, signal);
      if (content === undefined) unreadable.push(name);
      else counting.push({ name, content });
    }
    if (!isHosted(config)) this.#remember(config, counting);
    const { references, lost } = await this.#asPublished(counting, read, signal);
    return { datacenters: counting, unreadable: [...unreadable, ...lost], references };
  }

  /** API servers that are hosted restart without a Lease of ours. */
  #remember(config: KubeObject, counting: readonly Datacenter[]): void {
    const before = JSON.stringify(this.rolloutOf(config));
    this.#last.set(keyOf(config.metadata), counting);
    if (JSON.stringify(this.rolloutOf(config)) !== before) this.#o.rolloutChanged();
  }

  /** The rollout settings of one whose target is nodes, as they count, for what only wants to know those. */
  rolloutOf(config: KubeObject): unknown {
    const spec = isRecord(config['spec']) ? config['spec'] : {};
    const counting = this.#last.get(keyOf(config.metadata)) ?? [];
    if (counting.length === 0) return spec['rollout'];
    const own = rolloutSpec.safeParse(spec['rollout'] ?? {});
    const layer: LayerSpec = own.success ? { rollout: own.data } : {};
    return mergeDatacenters(layer, counting).spec.rollout;
  }

  /** Which of them, and in which version: what is new where its turn has come, what it has elsewhere. */
  #wanted(
    config: KubeObject,
    had: readonly { readonly name: string; readonly digest: string }[],
  ): readonly { readonly name: string; readonly digest: string }[] {
    const { datacenters } = this.#o.caches;
    const key = keyOf(config.metadata);
    const fresh = isFresh(config);
    const names = new Set([...[...datacenters.store.values()].map((d) => d.metadata.name), ...had.map((h) => h.name)]);
    return [...names].sort().flatMap((name) => {
      const has = had.find((h) => h.name === name);
      const object = datacenters.store.get({ name });
      const keeps = has === undefined ? [] : [has];
      // Not there, or its cache is not: what it said counts on.
      if (object === undefined || !datacenters.synced || !this.isPlaced(config)) return keeps;
      const told = this.#admitted.get(name)?.get(key);
      if (told !== undefined) return told === null ? [] : [{ name, digest: told }];
      const digest = fresh ? this.wants(object, config) : undefined;
      return digest === undefined ? keeps : [{ name, digest }];
    });
  }

  /** Digest of what this datacenter has for this AuditConfig; undefined: nothing. */
  wants(datacenter: KubeObject, config: KubeObject): string | undefined {
    if (datacenter.metadata.deletionTimestamp !== undefined) return undefined;
    const status = datacenterAuditConfigStatus.safeParse(datacenter['status'] ?? {});
    const digest = status.success ? status.data.content?.digest : undefined;
    return digest !== undefined && this.governs(datacenter, config) ? digest : undefined;
  }

  governs(datacenter: KubeObject, config: KubeObject): boolean {
    const spec = this.specOf(datacenter);
    return spec !== undefined && governs(spec, this.subjectOf(config), this.#o.now());
  }

  async #content(name: string, digest: string, signal: AbortSignal): Promise<DatacenterContent | undefined> {
    const known = this.#contents.get(digest) ?? this.#contentInSpec(name, digest);
    if (known !== undefined) return known;
    const ref = { namespace: this.#o.bundlesNamespace, name: contentName(digest) };
    const read = await this.#o.client.get(CONFIG_MAPS, ref, { signal });
    const data = read.ok && isRecord(read.value['data']) ? read.value['data'] : {};
    const content = contentIn(data[CONTENT_KEY]);
    if (content === undefined || contentDigest(content) !== digest) return undefined;
    this.#contents.set(digest, content);
    return content;
  }

  #contentInSpec(name: string, digest: string): DatacenterContent | undefined {
    const object = this.#o.caches.datacenters.store.get({ name });
    const spec = object === undefined ? undefined : this.specOf(object);
    const content = spec === undefined ? undefined : contentOf(spec);
    if (content === undefined || contentDigest(content) !== digest) return undefined;
    this.#contents.set(digest, content);
    return content;
  }

  /**
   * What those that count refer to: as it is, or as it was published where something else is there by now. What was not kept
   * either changes nothing, as a content that is lost. Of an object that two refer to the stronger one's counts.
   */
  async #asPublished(
    counting: readonly Datacenter[],
    read: ReadReference,
    signal: AbortSignal,
  ): Promise<{ readonly references: ReadonlyMap<string, Reference>; readonly lost: readonly string[] }> {
    const references = new Map<string, Reference>();
    const lost: string[] = [];
    for (const { name, content } of byStrength(counting)) {
      for (const [key, now] of await this.references([{ name, content }], read, signal)) references.set(key, now);
      const changed = changedSince(content, references);
      if (changed.length === 0) continue;
      const before = await this.pinned.of(contentDigest(content), content, signal);
      for (const key of changed) {
        const kept = before.get(key);
        if (kept !== undefined) references.set(key, kept);
        else if (!lost.includes(name)) lost.push(name);
      }
    }
    return { references, lost };
  }

  /** All objects that these refer to, as they are. */
  async references(
    datacenters: readonly Datacenter[],
    read: ReadReference,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, Reference>> {
    const found = new Map<string, Reference>();
    for (const { kind, namespace, name } of datacenters.flatMap((d) => referredIn(d.content))) {
      const key = referenceKey(kind, namespace, name);
      if (!found.has(key)) found.set(key, await read({ kind, namespace, name }, signal));
    }
    return found;
  }
}

/** It is new: nothing runs there that a change could harm. One that was switched off from the beginning is not new. */
export const isFresh = (config: KubeObject): boolean => {
  const status = isRecord(config['status']) ? config['status'] : {};
  const conditions: readonly unknown[] = Array.isArray(status['conditions']) ? status['conditions'] : [];
  const done = conditions.some((c) => isRecord(c) && c['type'] === 'RolledOut' && c['status'] === 'True');
  return status['revision'] === undefined && !done;
};

function contentIn(text: unknown): DatacenterContent | undefined {
  if (typeof text !== 'string') return undefined;
  try {
    const parsed = storedContent.safeParse(JSON.parse(text));
    // Its digest is checked by whoever asks: it is exactly what was published.
    return parsed.success ? (parsed.data as DatacenterContent) : undefined;
  } catch {
    return undefined;
  }
}
