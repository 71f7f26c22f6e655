/**
 * Objects of owners' own APIs, whose CRDs may not be there: nothing is asked of an API that no AuditConfig targets, and
 * nothing is watched of one that has no edit of ours. Which version is served is asked at most once in half a minute for
 * all AuditConfigs of a kind, until it is known; it is asked anew when it was found gone. One watch for each kind, selected
 * by the label that the edit sets, as for workloads (workloads.ts).
 */
import type { Kube } from '../../kube/connect.ts';
import { fail, ok } from '../../kube/errors.ts';
import type { Result } from '../../kube/errors.ts';
import type { Reflector } from '../../kube/reflector.ts';
import { isRecord } from '../../kube/types.ts';
import type { ObjectKey } from '../../kube/types.ts';
import { scope } from '../../kube/wait.ts';
import type { Scope } from '../../kube/wait.ts';
import { HOSTED_LABEL } from '../../targets/hosted/record.ts';
import { ownerOf } from '../../targets/managed.ts';
import type { OwnerKind } from '../../targets/owners/types.ts';
import { isOwnerPlace, keepWorkload, ownedResource } from './workloads.ts';
import type { HostedPlace, KeptWorkload } from './workloads.ts';

const ASK_AGAIN_MS = 30_000;

export type OwnedOptions = {
  readonly kube: Pick<Kube, 'client' | 'reflect'>;
  /** Milliseconds since whenever; only differences count. */
  readonly now: () => number;
  readonly changed: (kind: OwnerKind, key: ObjectKey) => void;
  /** Ends all watches. */
  readonly signal: AbortSignal;
};

/** `version` undefined: this cluster serves none of the versions that the owner's file knows. */
type Answer = { readonly at: number; readonly version: string | undefined; readonly isDoubted?: boolean };
type Watch = {
  readonly version: string;
  readonly reflector: Reflector<KeptWorkload>;
  readonly life: Scope;
  readonly run: Promise<void>;
};

export class OwnedObjects {
  readonly #o: OwnedOptions;
  readonly #answers = new Map<OwnerKind, Answer>();
  readonly #asking = new Map<OwnerKind, Promise<Result<string | undefined>>>();
  readonly #watches = new Map<OwnerKind, Watch>();
  readonly #runs = new Set<Promise<void>>();

  constructor(options: OwnedOptions) {
    this.#o = options;
  }

  /** The place with the version that is served; `unserved` says in words that there is none. */
  async served(place: HostedPlace, signal: AbortSignal): Promise<Result<{ place: HostedPlace; unserved?: string }>> {
    const { spec } = place;
    if (!isOwnerPlace(spec)) return ok({ place });
    const version = await this.#version(spec.kind, signal);
    if (!version.ok) return version;
    if (version.value !== undefined) return ok({ place: { ...place, spec: { ...spec, version: version.value } } });
    const { group, versions } = ownerOf(spec.kind).api;
    const unserved = `this cluster serves no ${spec.kind} (${versions.map((v) => `${group}/${v}`).join(' or ')}); it is looked for every minute`;
    return ok({ place, unserved });
  }

  /** Those with our edit; undefined while nothing is watched. */
  store(kind: OwnerKind): Reflector<KeptWorkload>['store'] | undefined {
    return this.#watches.get(kind)?.reflector.store;
  }

  /** From the first edit on: until then there is nothing to see. */
  watch({ spec }: HostedPlace): void {
    if (!isOwnerPlace(spec) || this.#o.signal.aborted) return;
    const { kind, version } = spec;
    const before = this.#watches.get(kind);
    if (before?.version === version) return;
    before?.life.abort('Cancelled');
    const owned = ownedResource(kind, version);
    const reflector = this.#o.kube.reflect({
      resource: owned,
      project: keepWorkload,
      indexes: {},
      labelSelector: HOSTED_LABEL,
    });
    reflector.onChange(({ key }) => this.#o.changed(kind, key));
    const life = scope([this.#o.signal]);
    const run = reflector.run(life.signal).finally(() => {
      life.dispose();
      this.#runs.delete(run);
    });
    this.#runs.add(run);
    this.#watches.set(kind, { version, reflector, life, run });
  }

  /** Resolves when all watches have ended. */
  async ended(): Promise<void> {
    await Promise.all(this.#runs);
  }

  async #version(kind: OwnerKind, signal: AbortSignal): Promise<Result<string | undefined>> {
    const known = this.#answers.get(kind);
    const isFresh = known !== undefined && this.#o.now() - known.at < ASK_AGAIN_MS;
    if (known !== undefined && (isFresh || (known.version !== undefined && known.isDoubted !== true)))
      return ok(known.version);
    const asking = this.#asking.get(kind) ?? this.#ask(kind, signal).finally(() => this.#asking.delete(kind));
    this.#asking.set(kind, asking);
    return asking;
  }

  async #ask(kind: OwnerKind, signal: AbortSignal): Promise<Result<string | undefined>> {
    const { group, versions, plural } = ownerOf(kind).api;
    for (const version of versions) {
      const read = await this.#o.kube.client.raw(`/apis/${group}/${version}`, { signal });
      if (!read.ok && read.error.code === 'NotFound') continue;
      if (!read.ok) return read;
      const listed: unknown = isRecord(read.value) ? read.value['resources'] : undefined;
      if (!Array.isArray(listed)) return fail('BadResponse', `/apis/${group}/${version} is no list of resources`);
      if (!(listed as unknown[]).some((r) => isRecord(r) && r['name'] === plural)) continue;
      this.#answers.set(kind, { at: this.#o.now(), version });
      return ok(version);
    }
    this.#answers.set(kind, { at: this.#o.now(), version: undefined });
    return ok(undefined);
  }

  /** An object was not found: perhaps its API is not served any more, or not in that version. */
  doubt({ spec }: HostedPlace): void {
    const known = isOwnerPlace(spec) ? this.#answers.get(spec.kind) : undefined;
    if (isOwnerPlace(spec) && known !== undefined) this.#answers.set(spec.kind, { ...known, isDoubted: true });
  }
}
