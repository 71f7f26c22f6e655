/**
 * What a decision about egress needs of the cluster, watched only while some hosted AuditConfig needs it: policies of others
 * (all namespaces, once the first webhook asks), single Services by name with their EndpointSlices, names by their TTL. Ours
 * are always watched, by their label: they are few. A change wakes exactly those AuditConfigs that it concerns.
 * One for each term of a leader. Called by egress.ts.
 */
import type { Kube } from '../../kube/connect.ts';
import type { Reflector } from '../../kube/reflector.ts';
import { refOf } from '../../kube/types.ts';
import type { KubeObject, ObjectKey } from '../../kube/types.ts';
import { onAbort, scope } from '../../kube/wait.ts';
import type { Scope } from '../../kube/wait.ts';
import { EGRESS_LABELS } from '../../render/egress/policy.ts';
import type { OtherPolicy } from '../../render/egress/policy.ts';
import type { OwnPolicy, ServiceFact } from '../../rollout/hosted/egress-facts.ts';
import { ENDPOINT_SLICES, NETWORK_POLICIES, SERVICES } from '../resources.ts';
import { hasEndpointsOfItsOwn, keepOther, keepOwnPolicy, keepService, keepSlice, serviceFact } from './egress-views.ts';
import type { OwnView, ServiceView, SliceView } from './egress-views.ts';
import { Names } from './names.ts';
import type { Resolve } from './names.ts';

/** What is watched first is waited for so long; afterwards it wakes by itself. */
const FIRST_MS = 5_000;

export type Needs = {
  readonly namespace: string;
  readonly services: readonly string[];
  readonly names: readonly string[];
};

type Watched<T, I extends string = never> = {
  readonly cache: Reflector<T, I>;
  readonly life: Scope;
  readonly since: number;
  /** Somebody was told to come back when it is there. */
  isAwaited: boolean;
};
type WatchedService = {
  readonly service: Watched<ServiceView>;
  slices: Watched<SliceView> | undefined;
};
type OtherView = { readonly namespace: string; readonly policy: OtherPolicy | null };
type Syncing = Pick<Watched<unknown>, 'life' | 'since' | 'isAwaited'> & {
  readonly cache: { readonly synced: boolean; whenSynced(signal: AbortSignal): Promise<boolean> };
};

export type EgressWatchOptions = {
  readonly kube: Pick<Kube, 'reflect'>;
  readonly wake: (config: ObjectKey) => void;
  readonly resolve: Resolve;
};

const [LABEL, VALUE] = ['auditconfig.dev/part', EGRESS_LABELS['auditconfig.dev/part']];

export class EgressWatch {
  readonly #kube: Pick<Kube, 'reflect'>;
  readonly #wake: (config: ObjectKey) => void;
  readonly #signal: AbortSignal;
  readonly #names: Names;
  readonly #needs = new Map<ObjectKey, Needs>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #own: Watched<OwnView>;
  #others: Watched<OtherView, 'namespace'> | undefined;
  #broken: ((e: unknown) => void) | undefined;
  readonly #services = new Map<string, WatchedService>();
  /** Ours as they were answered, until the watch has another version than it had then. */
  readonly #written = new Map<ObjectKey, { readonly over: string | undefined; readonly policy: OwnView | undefined }>();

  constructor(o: EgressWatchOptions, signal: AbortSignal) {
    this.#kube = o.kube;
    this.#wake = o.wake;
    this.#signal = signal;
    const users = (name: string): void => this.#wakeIf((n) => n.names.includes(name));
    this.#names = new Names({ resolve: o.resolve, changed: users, now: Date.now, random: Math.random });
    this.#own = this.#watched(
      this.#kube.reflect({
        resource: NETWORK_POLICIES,
        project: keepOwnPolicy,
        indexes: {},
        labelSelector: `${LABEL}=${VALUE}`,
      }),
    );
    this.#own.cache.onChange(({ key }) => {
      const there = this.#own.cache.store.get(key);
      // What we wrote ourselves is no news.
      const written = this.#written.get(key);
      if (written !== undefined && written.policy?.resourceVersion === there?.resourceVersion) return;
      this.#wakeNamespace(key);
    });
  }

  /** Resolves when the signal has aborted and everything has ended; rejects for a bug. */
  async ended(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#broken = reject;
      onAbort(this.#signal, resolve);
    });
    await this.#names.only(new Set());
    await Promise.all([...this.#tasks]);
  }

  /**
   * What an AuditConfig is to be woken for, from now on; said before it is read, so that no change is missed. Undefined:
   * nothing. What nobody needs any more is not watched any more.
   */
  need(config: ObjectKey, needs: Needs | undefined): void {
    const before = this.#needs.get(config);
    if (needs === undefined) this.#needs.delete(config);
    else this.#needs.set(config, needs);
    const left = (of: 'services' | 'names'): boolean =>
      before?.[of].some((x) => needs?.[of].includes(x) !== true) === true;
    if (left('services') || left('names')) this.#release();
  }

  /** Undefined: not known yet. */
  async own(key: ObjectKey, signal: AbortSignal): Promise<{ readonly policy: OwnPolicy | undefined } | undefined> {
    if (!(await this.#ready(this.#own, signal))) return undefined;
    const cached = this.#own.cache.store.get(key);
    const written = this.#written.get(key);
    if (written === undefined) return { policy: cached };
    if (written.over === cached?.resourceVersion) return { policy: written.policy };
    this.#written.delete(key);
    return { policy: cached };
  }

  /** Null: it is deleted. */
  wrote(key: ObjectKey, policy: KubeObject | null): void {
    const over = this.#own.cache.store.get(key)?.resourceVersion;
    this.#written.set(key, { over, policy: policy === null ? undefined : keepOwnPolicy(policy) });
  }

  /** Those of others that are about egress; undefined: not known yet. */
  async others(namespace: string, signal: AbortSignal): Promise<readonly OtherPolicy[] | undefined> {
    this.#others ??= this.#watchOthers();
    if (!(await this.#ready(this.#others, signal))) return undefined;
    return this.#others.cache.store.by('namespace', namespace).flatMap(({ policy }) => policy ?? []);
  }

  /** By `namespace/name`. Null: there is none. Undefined: not known yet. */
  async service(key: string, signal: AbortSignal): Promise<ServiceFact | null | undefined> {
    const watched = this.#services.get(key) ?? this.#watchService(key);
    if (!(await this.#ready(watched.service, signal))) return undefined;
    const view = watched.service.cache.store.get(key);
    if (view === undefined) return null;
    if (!hasEndpointsOfItsOwn(view)) return serviceFact(view, []);
    const slices = (watched.slices ??= this.#watchSlices(key));
    if (!(await this.#ready(slices, signal))) return undefined;
    return serviceFact(view, [...slices.cache.store.values()]);
  }

  addressesOf(name: string, signal: AbortSignal): Promise<readonly string[] | undefined> {
    this.#names.follow(name, this.#signal);
    return this.#names.addressesOf(name, FIRST_MS, signal);
  }

  #watchOthers(): Watched<OtherView, 'namespace'> {
    const watched = this.#watched(
      this.#kube.reflect<OtherView, 'namespace'>({
        resource: NETWORK_POLICIES,
        project: (o) => ({ namespace: o.metadata.namespace ?? '', policy: keepOther(o) }),
        indexes: { namespace: ({ namespace, policy }) => (policy === null ? [] : [namespace]) },
      }),
    );
    watched.cache.onChange(({ key }) => this.#wakeNamespace(key));
    return watched;
  }

  #watchService(key: string): WatchedService {
    const { namespace = '', name } = refOf(key as ObjectKey);
    const service = this.#watched<ServiceView>(
      this.#kube.reflect({
        resource: SERVICES,
        project: keepService,
        indexes: {},
        namespace,
        fieldSelector: `metadata.name=${name}`,
      }),
    );
    service.cache.onChange(() => this.#wakeIf((n) => n.services.includes(key)));
    const watched: WatchedService = { service, slices: undefined };
    this.#services.set(key, watched);
    return watched;
  }

  #watchSlices(key: string): Watched<SliceView> {
    const { namespace = '', name } = refOf(key as ObjectKey);
    const slices = this.#watched<SliceView>(
      this.#kube.reflect({
        resource: ENDPOINT_SLICES,
        project: keepSlice,
        indexes: {},
        namespace,
        labelSelector: `kubernetes.io/service-name=${name}`,
      }),
    );
    slices.cache.onChange(() => this.#wakeIf((n) => n.services.includes(key)));
    return slices;
  }

  #watched<T, I extends string = never>(cache: Reflector<T, I>): Watched<T, I> {
    const life = scope([this.#signal]);
    this.#spawn(cache.run(life.signal).finally(() => life.dispose()));
    return { cache, life, since: performance.now(), isAwaited: false };
  }

  /** Waited for at first, so that nobody decides twice; where that takes long, whoever asked is woken when it is there. */
  async #ready(of: Syncing, signal: AbortSignal): Promise<boolean> {
    const { cache, life, since } = of;
    if (cache.synced) return true;
    const left = since + FIRST_MS - performance.now();
    const wait = scope([signal], Math.max(0, left));
    await cache.whenSynced(wait.signal);
    wait.dispose();
    if (cache.synced || signal.aborted || of.isAwaited) return cache.synced;
    of.isAwaited = true;
    this.#spawn(cache.whenSynced(life.signal).then((there) => (there ? this.#wakeIf(() => true) : undefined)));
    return false;
  }

  #release(): void {
    const services = new Set([...this.#needs.values()].flatMap((n) => n.services));
    for (const [key, { service, slices }] of this.#services) {
      if (services.has(key)) continue;
      this.#services.delete(key);
      service.life.abort('Unneeded');
      slices?.life.abort('Unneeded');
    }
    this.#spawn(this.#names.only(new Set([...this.#needs.values()].flatMap((n) => n.names))));
  }

  #wakeNamespace(key: ObjectKey): void {
    const { namespace } = refOf(key);
    this.#wakeIf((n) => n.namespace === namespace);
  }

  #wakeIf(concerns: (needs: Needs) => boolean): void {
    for (const [config, needs] of this.#needs) if (concerns(needs)) this.#wake(config);
  }

  #spawn(task: Promise<unknown>): void {
    const kept = task.then(
      () => undefined,
      (e: unknown) => this.#broken?.(e),
    );
    this.#tasks.add(kept);
    void kept.then(() => this.#tasks.delete(kept));
  }
}
