/**
 * Which datacenters count for an AuditConfig, and with which content. Memory only of what can be had again: the plans of
 * datacenters (who may take what is new) and published contents, which never change. A datacenter that is not there any
 * more counts with what the AuditConfig has of it: absence removes nothing. Called by gather.ts and datacenters.ts.
 */
import { z } from 'zod';
import { auditConfigStatus } from '../api/auditconfig.ts';
import type { LayerSpec } from '../api/auditconfig.ts';
import { rolloutSpec } from '../api/auditconfig.ts';
import { datacenterAuditConfigSpec, datacenterAuditConfigStatus } from '../api/datacenterauditconfig.ts';
import { contentDigest, contentOf, mergeDatacenters } from '../config/datacenter.ts';
import { governs } from '../config/selection.ts';
import type { Subject } from '../config/selection.ts';
import type { Datacenter, DatacenterContent } from '../config/types.ts';
import type { KubeClient } from '../kube/client.ts';
import { isRecord, keyOf } from '../kube/types.ts';
import type { KubeObject, ObjectKey } from '../kube/types.ts';
import type { Reference } from '../render/references.ts';
import { referenceKey } from '../rollout/facts.ts';
import type { Governed } from '../rollout/facts.ts';
import { contentName } from '../rollout/datacenter.ts';
import type { Caches } from './caches.ts';
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
};

export type ReadReference = (
  ref: { readonly kind: 'ConfigMap' | 'Secret'; readonly namespace: string; readonly name: string },
  signal: AbortSignal,
) => Promise<Reference>;

/** What an AuditConfig has of each datacenter, as its status says. */
export const hadBy = (config: KubeObject): readonly { readonly name: string; readonly digest: string }[] => {
  const status = isRecord(config['status']) ? config['status'] : {};
  const had = auditConfigStatus.shape.datacenters.safeParse(status['datacenters']);
  return had.success ? (had.data ?? []) : [];
};

export class GovernedView {
  readonly #o: GovernedOptions;
  readonly #admitted = new Map<string, ReadonlySet<ObjectKey>>();
  readonly #contents = new Map<string, DatacenterContent>();
  /** As they were when it was last decided about an AuditConfig. */
  readonly #last = new Map<ObjectKey, readonly Datacenter[]>();

  constructor(options: GovernedOptions) {
    this.#o = options;
  }

  /** Keys that came to be admitted. */
  plan(name: string, admit: readonly ObjectKey[]): readonly ObjectKey[] {
    const before = this.#admitted.get(name);
    this.#admitted.set(name, new Set(admit));
    return admit.filter((key) => before?.has(key) !== true);
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
    if (datacenters.store.size === 0 && had.length === 0) return undefined;
    const counting: Datacenter[] = [];
    const unreadable: string[] = [];
    for (const { name, digest } of this.#wanted(config, had)) {
      const content = await this.#content(name, digest, signal);
      if (content === undefined) unreadable.push(name);
      else counting.push({ name, content });
    }
    this.#last.set(keyOf(config.metadata), counting);
    return { datacenters: counting, unreadable, references: await this.references(counting, read, signal) };
  }

  /** Its rollout settings as they count, for what only wants to know those. */
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
      // Not there, or its cache is not: what it said counts on.
      if (object === undefined || !datacenters.synced) return has === undefined ? [] : [has];
      const digest = this.wants(object, config);
      if (digest === has?.digest) return has === undefined ? [] : [has];
      const admitted = this.#admitted.get(name)?.has(key) === true || (fresh && digest !== undefined);
      if (!admitted) return has === undefined ? [] : [has];
      return digest === undefined ? [] : [{ name, digest }];
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
    const spec = datacenterAuditConfigSpec.safeParse(datacenter['spec']);
    return spec.success && governs(spec.data, this.subjectOf(config), this.#o.now());
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
    const spec = datacenterAuditConfigSpec.safeParse(this.#o.caches.datacenters.store.get({ name })?.['spec']);
    const content = spec.success ? contentOf(spec.data) : undefined;
    if (content === undefined || contentDigest(content) !== digest) return undefined;
    this.#contents.set(digest, content);
    return content;
  }

  /** All objects that these refer to. */
  async references(
    datacenters: readonly Datacenter[],
    read: ReadReference,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, Reference>> {
    const found = new Map<string, Reference>();
    for (const { kind, namespace, name } of datacenters.flatMap((d) => referencesIn(d.content))) {
      const key = referenceKey(kind, namespace, name);
      if (!found.has(key)) found.set(key, await read({ kind, namespace, name }, signal));
    }
    return found;
  }
}

/** Nothing was ever rolled out for it. */
export const isFresh = (config: KubeObject): boolean => {
  const status = isRecord(config['status']) ? config['status'] : {};
  return status['revision'] === undefined;
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

type Ref = { readonly kind: 'ConfigMap' | 'Secret'; readonly namespace: string; readonly name: string };

export function referencesIn(content: DatacenterContent): readonly Ref[] {
  return [content.defaults, content.enforced].flatMap((layer): Ref[] => {
    const of = (kind: Ref['kind'], ref: { readonly namespace: string; readonly name: string } | undefined): Ref[] =>
      ref === undefined ? [] : [{ kind, namespace: ref.namespace, name: ref.name }];
    return [
      ...of('ConfigMap', layer?.policy?.configMapRef),
      ...of('Secret', layer?.policy?.secretRef),
      ...of('Secret', layer?.webhook?.secretRef),
    ];
  });
}
