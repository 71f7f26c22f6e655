/**
 * Which addresses are this cluster's own: those of its nodes and their pods, and the ranges of its Services. Read only when an
 * address is to be judged, and again after ten minutes at the earliest: nodes come and go, and nobody watches thousands of
 * them for this. Undefined where any of it cannot be read: then nothing is permitted anew. Called by egress.ts.
 */
import type { KubeClient } from '../../kube/client.ts';
import { isRecord } from '../../kube/types.ts';
import type { KubeObject } from '../../kube/types.ts';
import { rangesOf } from '../../render/egress/refused.ts';
import type { ClusterRanges } from '../../render/egress/refused.ts';
import { NODES, SERVICES, SERVICE_CIDRS } from '../resources.ts';

const GOOD_MS = 10 * 60_000;
const FAILED_MS = 30_000;

const textsIn = (v: unknown): readonly string[] =>
  Array.isArray(v) ? v.filter((x): x is string => typeof x === 'string') : [];

function nodeRanges(node: KubeObject): readonly string[] {
  const status = isRecord(node['status']) ? node['status'] : {};
  const spec = isRecord(node['spec']) ? node['spec'] : {};
  const addresses = Array.isArray(status['addresses']) ? (status['addresses'] as readonly unknown[]) : [];
  return [
    ...addresses.flatMap((a) => (isRecord(a) && typeof a['address'] === 'string' ? [a['address']] : [])),
    ...textsIn(spec['podCIDRs']),
  ];
}

export class ClusterRangesReader {
  readonly #client: KubeClient;
  readonly #now: () => number;
  #known: { readonly ranges: ClusterRanges | undefined; readonly until: number } | undefined;
  #reading: Promise<ClusterRanges | undefined> | undefined;

  /** `now` in monotonic ms. */
  constructor(client: KubeClient, now: () => number) {
    this.#client = client;
    this.#now = now;
  }

  async ranges(signal: AbortSignal): Promise<ClusterRanges | undefined> {
    if (this.#known !== undefined && this.#now() < this.#known.until) return this.#known.ranges;
    this.#reading ??= this.#read(signal).finally(() => (this.#reading = undefined));
    const fresh = await this.#reading;
    // What was known stays better than nothing.
    const ranges = fresh ?? this.#known?.ranges;
    this.#known = { ranges, until: this.#now() + (fresh === undefined ? FAILED_MS : GOOD_MS) };
    return ranges;
  }

  async #read(signal: AbortSignal): Promise<ClusterRanges | undefined> {
    const nodes: string[] = [];
    let next: string | undefined;
    do {
      // In pages, of which only addresses are kept: whole Nodes are large.
      const page = await this.#client.page(NODES, { signal, pageSize: 200 }, next);
      if (!page.ok) return undefined;
      nodes.push(...page.value.items.flatMap(nodeRanges));
      next = page.value.next;
    } while (next !== undefined);
    const services = await this.#services(signal);
    return services === undefined ? undefined : { nodes: rangesOf(nodes), services: rangesOf(services) };
  }

  /** Before 1.33 ranges of Services are told nowhere: their addresses stand for them. */
  async #services(signal: AbortSignal): Promise<readonly string[] | undefined> {
    const cidrs = await this.#client.list(SERVICE_CIDRS, { signal });
    if (cidrs.ok) return cidrs.value.flatMap((c) => textsIn(isRecord(c['spec']) ? c['spec']['cidrs'] : undefined));
    if (cidrs.error.code !== 'NotFound') return undefined;
    const services = await this.#client.list(SERVICES, { signal });
    if (!services.ok) return undefined;
    return services.value.flatMap((s) => textsIn(isRecord(s['spec']) ? s['spec']['clusterIPs'] : undefined));
  }
}
