/**
 * Hosted control planes that nobody made an AuditConfig for: Deployments and StatefulSets whose labels a datacenter names
 * (spec.discovery). Each gets one AuditConfig, labelled with the datacenter and owned by its workload, not by the datacenter:
 * it goes with the workload, and stays when the datacenter goes. Its name follows from the workload's, so that it is made
 * once whoever makes it, and never written again. When whose turn comes is decided as for all (rollout/datacenter.ts).
 * Refuses a workload that runs no kube-apiserver, or that another controller's API is the place for. Called by datacenters.ts.
 */
import { API_VERSION } from '../../api/auditconfig.ts';
import type { DatacenterAuditConfigSpec } from '../../api/datacenterauditconfig.ts';
import { labelSelectorText } from '../../api/label-selector.ts';
import { sha256 } from '../../config/canonical.ts';
import type { Kube } from '../../kube/connect.ts';
import { ok } from '../../kube/errors.ts';
import type { Result } from '../../kube/errors.ts';
import type { Reflector } from '../../kube/reflector.ts';
import { isRecord } from '../../kube/types.ts';
import type { KubeObject, ObjectMeta } from '../../kube/types.ts';
import { scope } from '../../kube/wait.ts';
import type { Scope } from '../../kube/wait.ts';
import { FIELD_MANAGER } from '../../rollout/hosted/field-managers.ts';
import { hostedView } from '../../targets/hosted.ts';
import { DEFAULT_CONTAINER } from '../../targets/hosted/workload.ts';
import type { WorkloadKind } from '../../targets/hosted/workload.ts';
import { isOwnerKind } from '../../targets/owners/types.ts';
import { AUDIT_CONFIGS } from '../resources.ts';
import { DEPLOYMENTS, STATEFUL_SETS } from './workloads.ts';

/** Its value is the datacenter's name, as far as a label holds it. */
export const DISCOVERED_LABEL = 'auditconfig.dev/discovered-by';

type View = { readonly metadata: Pick<ObjectMeta, 'name' | 'namespace' | 'uid' | 'generation' | 'ownerReferences'> };
export type Candidate = {
  readonly kind: WorkloadKind;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  /** It was refused, and is tried again after so long; 0: it may be tried. */
  readonly leftMs: number;
  /** Name of the AuditConfig that it gets. */
  readonly config: string;
};

const keep = ({ metadata }: KubeObject): View => {
  const { name, namespace, uid, generation, ownerReferences } = metadata;
  return {
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(uid === undefined ? {} : { uid }),
      ...(generation === undefined ? {} : { generation }),
      ...(ownerReferences === undefined ? {} : { ownerReferences }),
    },
  };
};

const short = (text: string, max: number): string =>
  text.length <= max ? text : `${text.slice(0, max - 9).replace(/[-.]+$/, '')}-${sha256(text).slice(0, 8)}`;
/** `more` makes it another one, where somebody has taken that. */
export const discoveredName = (kind: WorkloadKind, name: string, more?: string): string =>
  short(`discovered-${kind.toLowerCase()}-${name}${more === undefined ? '' : `-${sha256(more).slice(0, 8)}`}`, 253);

type Watch = { readonly kind: WorkloadKind; readonly reflector: Reflector<View>; readonly run: Promise<void> };
type Watched = { readonly selector: string; readonly life: Scope; readonly watches: readonly Watch[] };

export type DiscoveryOptions = {
  readonly kube: Pick<Kube, 'client' | 'reflect'>;
  /** A workload of this datacenter came or went. */
  readonly changed: (datacenter: string) => void;
  /** Milliseconds since whenever; only differences count. */
  readonly now: () => number;
  readonly signal: AbortSignal;
};

/** What was forbidden is tried again when it has changed, or after so long, and more rarely the more often it was. */
const LATER_MS = 60_000;
const LATEST_MS = 10 * 60_000;

type Left = { readonly untilMs: number; readonly afterMs: number };

export class Discovery {
  readonly #o: DiscoveryOptions;
  readonly #watched = new Map<string, Watched>();
  readonly #runs = new Set<Promise<void>>();
  /** Of workloads that got none, by uid and generation: until when they are left alone. */
  readonly #not = new Map<string, Left>();

  constructor(options: DiscoveryOptions) {
    this.#o = options;
  }

  /** Workloads that a datacenter names; none before all are known. Its watches follow its selector. */
  candidates(datacenter: string, spec: DatacenterAuditConfigSpec | undefined): readonly Candidate[] {
    const wanted = spec?.discovery?.hosted?.workloadSelector;
    const selector = wanted === undefined ? undefined : labelSelectorText(wanted);
    const before = this.#watched.get(datacenter);
    if (before !== undefined && before.selector !== selector) {
      before.life.abort('Cancelled');
      this.#watched.delete(datacenter);
    }
    if (selector === undefined || this.#o.signal.aborted) return [];
    const { watches } = this.#watched.get(datacenter) ?? this.#watch(datacenter, selector);
    if (watches.some((w) => !w.reflector.synced)) return [];
    return watches.flatMap(({ kind, reflector }) =>
      [...reflector.store.values()].flatMap((v) => this.#candidate(kind, v)),
    );
  }

  #candidate(kind: WorkloadKind, { metadata }: View): readonly Candidate[] {
    const { name, namespace = '', uid = '', generation = 0, ownerReferences = [] } = metadata;
    const { untilMs = 0 } = this.#not.get(`${uid} ${generation}`) ?? {};
    // No kube-apiserver: for as long as it is that.
    if (untilMs === Infinity) return [];
    const leftMs = Math.max(0, untilMs - this.#o.now());
    if (ownerReferences.some((o) => isOwnerKind(o.kind))) return [];
    return [{ kind, namespace, name, uid, generation, leftMs, config: discoveredName(kind, name) }];
  }

  #watch(datacenter: string, selector: string): Watched {
    const life = scope([this.#o.signal]);
    const watches = (
      [
        ['Deployment', DEPLOYMENTS],
        ['StatefulSet', STATEFUL_SETS],
      ] as const
    ).map(([kind, discovered]): Watch => {
      const { kube } = this.#o;
      const reflector = kube.reflect({
        resource: discovered,
        project: keep,
        indexes: {},
        metadataOnly: true,
        ...(selector === '' ? {} : { labelSelector: selector }),
      });
      reflector.onChange(() => this.#o.changed(datacenter));
      const tell = reflector
        .whenSynced(life.signal)
        .then((synced) => (synced ? this.#o.changed(datacenter) : undefined));
      const run = Promise.all([reflector.run(life.signal), tell]).then(() => undefined);
      this.#runs.add(run);
      void run.finally(() => this.#runs.delete(run));
      return { kind, reflector, run };
    });
    const watched = { selector, life, watches };
    this.#watched.set(datacenter, watched);
    return watched;
  }

  /** Makes its AuditConfig; false where it gets none. One that is there already is as good. */
  async make(datacenter: string, candidate: Candidate, signal: AbortSignal): Promise<Result<boolean>> {
    const { kind, namespace, name, uid } = candidate;
    const { client } = this.#o.kube;
    const candidates = kind === 'Deployment' ? DEPLOYMENTS : STATEFUL_SETS;
    const read = await client.get(candidates, { namespace, name }, { signal });
    const container = read.ok && read.value.metadata.uid === uid ? containerOf(kind, read.value) : undefined;
    if (container === undefined) {
      this.#leave(candidate, read.ok);
      return read.ok || read.error.code === 'NotFound' ? ok(false) : read;
    }
    const hosted = { kind, name, ...(container === DEFAULT_CONTAINER ? {} : { container }) };
    const object: KubeObject = {
      apiVersion: API_VERSION,
      kind: 'AuditConfig',
      metadata: {
        name: candidate.config,
        namespace,
        labels: { [DISCOVERED_LABEL]: short(datacenter, 63) },
        ownerReferences: [{ apiVersion: 'apps/v1', kind, name, uid }],
      },
      spec: { target: { type: 'Hosted', hosted } },
    };
    const made = await client.create(AUDIT_CONFIGS, object, { signal, fieldManager: FIELD_MANAGER });
    if (made.ok || made.error.code === 'AlreadyExists') return ok(made.ok);
    this.#leave(candidate, false);
    return made;
  }

  #leave({ uid, generation }: Candidate, forGood: boolean): void {
    const key = `${uid} ${generation}`;
    const before = this.#not.get(key)?.afterMs;
    const afterMs = before === undefined ? LATER_MS : Math.min(LATEST_MS, before * 2);
    // The latest last, since the first of too many goes.
    this.#not.delete(key);
    this.#not.set(key, { untilMs: forGood ? Infinity : this.#o.now() + afterMs, afterMs });
    if (this.#not.size > 10_000) this.#not.delete([...this.#not.keys()][0] ?? '');
  }

  /** Resolves when all watches have ended. */
  async ended(): Promise<void> {
    await Promise.all(this.#runs);
  }
}

/** The container that runs a kube-apiserver with flags; undefined where none does. */
function containerOf(kind: WorkloadKind, workload: KubeObject): string | undefined {
  const spec = isRecord(workload['spec']) ? workload['spec'] : {};
  const template = isRecord(spec['template']) ? spec['template'] : {};
  const pod = isRecord(template['spec']) ? template['spec'] : {};
  const containers: readonly unknown[] = Array.isArray(pod['containers']) ? pod['containers'] : [];
  const names = containers.flatMap((c) => (isRecord(c) && typeof c['name'] === 'string' ? [c['name']] : []));
  return names.find((container) => 'ok' in hostedView({ workload }, { kind, container }));
}
