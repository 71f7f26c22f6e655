/**
 * ConfigMaps and Secrets that AuditConfigs and datacenters refer to outside of the operator's namespace: one watch for each
 * object, by its name, from the first time that it was asked for until nobody refers to it any more. So a change or a
 * deletion is told at once, nothing is asked for twice, and no other object of that namespace crosses the wire.
 * Refuses to hold more connections than `max`: what is beyond is looked at every ten minutes. Used by gather.ts; lives as
 * long as a leader's term.
 */
import type { Kube } from '../../kube/connect.ts';
import type { Reflector } from '../../kube/reflector.ts';
import { keyOf } from '../../kube/types.ts';
import type { ObjectKey } from '../../kube/types.ts';
import { delay } from '../../kube/wait.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { CONFIG_MAPS, SECRETS, keepData } from '../resources.ts';
import type { DataView } from '../resources.ts';

export type ReferenceKind = 'ConfigMap' | 'Secret';
export type ReferenceTo = { readonly kind: ReferenceKind; readonly namespace: string; readonly name: string };

/** What gather.ts needs of it. */
export interface KnownReferences {
  /** What is there; null: nothing is; undefined: it is not known, and must be asked for. */
  known(to: ReferenceTo): DataView | null | undefined;
  /** It was asked for, and may be read: from now on it is watched. */
  follow(to: ReferenceTo, seen: 'There' | 'Absent'): void;
}

export type ReferenceWatchesOptions = {
  readonly kube: Pick<Kube, 'reflect'>;
  /** Does anybody still refer to it? */
  readonly isWanted: (to: ReferenceTo) => boolean;
  readonly changed: (kind: ReferenceKind, key: ObjectKey) => void;
  readonly log: Logger;
  /** Each is a connection of its own. */
  readonly max?: number;
};

const MAX_WATCHES = 256;
const LOOK_AGAIN_MS = 10 * 60_000;

type Watched = {
  readonly to: ReferenceTo;
  readonly reflector: Reflector<DataView>;
  readonly stop: AbortController;
};

const idOf = ({ kind, namespace, name }: ReferenceTo): string => `${kind}/${namespace}/${name}`;

export class ReferenceWatches implements KnownReferences {
  readonly #o: ReferenceWatchesOptions;
  readonly #watched = new Map<string, Watched>();
  readonly #beyond = new Map<string, ReferenceTo>();
  readonly #running = new Set<Promise<void>>();
  #ended = false;

  constructor(options: ReferenceWatchesOptions) {
    this.#o = options;
  }

  known(to: ReferenceTo): DataView | null | undefined {
    const watched = this.#watched.get(idOf(to));
    return watched?.reflector.synced === true ? (watched.reflector.store.get(to) ?? null) : undefined;
  }

  follow(to: ReferenceTo, seen: 'There' | 'Absent'): void {
    if (this.#ended || this.#watched.has(idOf(to))) return;
    const { max = MAX_WATCHES, log } = this.#o;
    if (this.#watched.size >= max) this.#sweep();
    if (this.#watched.size < max) {
      this.#beyond.delete(idOf(to));
      this.#watch(to, seen);
      return;
    }
    if (this.#beyond.size === 0)
      log.warn({ max }, 'too many ConfigMaps and Secrets to watch: the others are looked at every ten minutes');
    this.#beyond.set(idOf(to), to);
  }

  #watch(to: ReferenceTo, seen: 'There' | 'Absent'): void {
    const referenced = to.kind === 'Secret' ? SECRETS : CONFIG_MAPS;
    const { namespace, name } = to;
    const reflector = this.#o.kube.reflect({
      resource: referenced,
      project: keepData,
      indexes: {},
      namespace,
      fieldSelector: `metadata.name=${name}`,
    });
    const watched: Watched = { to, reflector, stop: new AbortController() };
    this.#watched.set(idOf(to), watched);
    const tell = (): void => {
      if (this.#o.isWanted(to)) this.#o.changed(to.kind, keyOf({ namespace, name }));
      else this.#drop(watched);
    };
    reflector.onChange(tell);
    const { signal } = watched.stop;
    // Gone between the answer and the watch: no event tells.
    const vanished = reflector.whenSynced(signal).then((synced) => {
      if (synced && seen === 'There' && reflector.store.get(to) === undefined) tell();
    });
    const running = Promise.all([reflector.run(signal), vanished]).then(() => undefined);
    this.#running.add(running);
    void running.finally(() => this.#running.delete(running));
  }

  #drop({ to, stop }: Watched): void {
    this.#watched.delete(idOf(to));
    stop.abort();
  }

  /** Those that nobody refers to any more. */
  #sweep(): void {
    for (const watched of [...this.#watched.values()]) if (!this.#o.isWanted(watched.to)) this.#drop(watched);
    for (const [id, to] of [...this.#beyond]) if (!this.#o.isWanted(to)) this.#beyond.delete(id);
  }

  /** Until the signal aborts; then all watches have ended. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await delay(LOOK_AGAIN_MS, signal);
      if (signal.aborted) break;
      this.#sweep();
      for (const { kind, namespace, name } of this.#beyond.values()) this.#o.changed(kind, keyOf({ namespace, name }));
    }
    this.#ended = true;
    for (const watched of [...this.#watched.values()]) this.#drop(watched);
    await Promise.all(this.#running);
  }
}
