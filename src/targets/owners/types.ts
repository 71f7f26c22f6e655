/**
 * One interface for all owners' objects: custom resources whose own controllers make kube-apiservers of them. An owner says
 * which fields of its object are auditing's (slots), what a revision looks like there, and how far its rollout is. Planning,
 * giving back, drift and patching are the same for all (target.ts). Data and pure functions; called by target.ts and by
 * whoever follows the rollout.
 */
import type { Finding } from '../../api/findings.ts';
import type { Revision } from '../../render/types.ts';
import type { PatchOp } from '../hosted/patch.ts';
import type { Json } from '../hosted/workload.ts';

export const OWNER_KINDS = ['KubeadmControlPlane', 'TenantControlPlane'] as const;
export type OwnerKind = (typeof OWNER_KINDS)[number];
export const isOwnerKind = (kind: string): kind is OwnerKind => OWNER_KINDS.some((k) => k === kind);

/** `version` is the API version that is spoken, one of the owner's. */
export type OwnerSpec = { readonly kind: OwnerKind; readonly version: string; readonly config: string };

/** An audit flag as kube-apiserver knows it: `--audit-log-path`, and its value. */
export type FlagText = readonly [name: string, value: string];

/**
 * A field that is written as a whole, since lists are atomic in server-side apply. `List`: items of ours stand behind the
 * owner's. `Map`: keys of ours among the owner's. `Whole`: all of it is auditing's.
 */
export type Slot =
  | {
      readonly as: 'List';
      readonly at: readonly string[];
      readonly isOurs: (item: Json) => boolean;
      readonly flag?: (item: Json) => FlagText | undefined;
    }
  | {
      readonly as: 'Map';
      readonly at: readonly string[];
      readonly flag: (key: string, value: Json) => FlagText | undefined;
    }
  | { readonly as: 'Whole'; readonly at: readonly string[] };
export type Slots = Readonly<Record<string, Slot>>;

/** What stands in each slot, by its name; undefined where nothing does. */
export type Values = Readonly<Record<string, Json | undefined>>;

/** Of an owner's own setting: where it was. `index` in a list, `key` in a map, neither: all of the slot. */
export type Kept = {
  readonly slot: string;
  readonly index?: number | undefined;
  readonly key?: string | undefined;
  readonly value: Json;
};

export type Wanted = {
  /** What is ours in each slot: items of a list, entries of a map, or the whole value. */
  readonly ours: Readonly<Record<string, Json>>;
  readonly findings: readonly Finding[];
};

/** How far whoever rolls out is with an object, from its own status. */
export type RolloutState =
  /** Every replica has what is wanted, and is available. */
  | { readonly state: 'Complete' }
  | { readonly state: 'Progressing'; readonly message: string }
  /** Its own deadline has passed, or it has given up. */
  | { readonly state: 'Failed'; readonly message: string }
  /** Nothing happens until somebody unpauses it. */
  | { readonly state: 'Paused' };

/** A field of an AuditConfig that this owner's API has no place for. `path` is below spec, and stands for all beneath it. */
export type Inexpressible = {
  readonly path: string;
  readonly why: string;
  readonly isFine?: (value: unknown) => boolean;
};

export interface Owner {
  readonly kind: OwnerKind;
  /** Versions that are understood, the preferred one first. */
  readonly api: { readonly group: string; readonly plural: string; readonly versions: readonly string[] };
  slots(version: string): Slots;
  /** Why this object cannot be configured; undefined where it can. */
  refuse(object: unknown): Finding | undefined;
  /** `theirs` is what the owner has in the slots without us. */
  wanted(to: Revision, theirs: Values, of: { readonly version: string; readonly name: string }): Wanted;
  /** Of settings in effect (flags, or what the owner has instead): are they of a revision of ours? */
  isIn(settings: ReadonlyMap<string, string>): boolean;
  /** The Kubernetes version that it runs, as it is written there. */
  kubernetes(object: unknown): string;
  readonly hostNetwork: boolean;
  /** `made` is the Deployment of the same name, for an owner that has one; null where there is none. */
  rollout(object: unknown, made: unknown): RolloutState;
  /** Of an owner that makes a Deployment, and leaves in it what is gone from its object. */
  readonly made?: {
    /** What takes that out. */
    stale(object: unknown, made: unknown): readonly PatchOp[];
    /** Volumes of ours are still in it. */
    hasOurs(made: unknown): boolean;
  };
  /** How long a rollout may take where nobody said so: machines take longer than pods. Seconds. */
  timeoutSeconds(object: unknown, set: number | undefined): number;
  /** Published files are read from Secrets only. */
  readonly secretsOnly: boolean;
  readonly cannot: readonly Inexpressible[];
}
