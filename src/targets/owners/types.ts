/**
 * One interface for all owners' objects: custom resources whose own controllers make kube-apiservers of them. An owner says
 * which fields of its object are auditing's (slots), what a revision looks like there, and how far its rollout is. Planning,
 * giving back, drift and patching are the same for all (target.ts). Data and pure functions; called by target.ts and by
 * whoever follows the rollout.
 */
import type { Finding } from '../../api/findings.ts';
import type { PresetName } from '../../api/preset-names.ts';
import type { Revision } from '../../render/types.ts';
import type { PatchOp } from '../hosted/patch.ts';
import type { Json } from '../hosted/workload.ts';

export const OWNER_KINDS = [
  'KubeadmControlPlane',
  'TenantControlPlane',
  'KubermaticCluster',
  'Shoot',
  'HostedCluster',
] as const;
export type OwnerKind = (typeof OWNER_KINDS)[number];
export const isOwnerKind = (kind: string): kind is OwnerKind => OWNER_KINDS.some((k) => k === kind);

/** `version` is the API version that is spoken, one of the owner's. */
export type OwnerSpec = { readonly kind: OwnerKind; readonly version: string; readonly config: string };

/** An audit flag as kube-apiserver knows it: `--audit-log-path`, and its value. */
export type FlagText = readonly [name: string, value: string];

/**
 * A field that is written as a whole, since lists are atomic in server-side apply. `List`: items of ours stand behind the
 * owner's. `Map`: keys of ours among the owner's. `Whole`: all of it is auditing's, and says in words of its own what others
 * say with flags; what an API fills in inside of it is no difference.
 */
export type Slot =
  | {
      readonly as: 'List';
      readonly at: readonly string[];
      readonly isOurs: (item: Json) => boolean;
      readonly flag?: (item: Json) => FlagText | undefined;
      /** The field by which an item is known, once in the list: then their order says nothing, and another one is no edit. */
      readonly key?: string;
    }
  | {
      readonly as: 'Map';
      readonly at: readonly string[];
      readonly flag: (key: string, value: Json) => FlagText | undefined;
    }
  | {
      readonly as: 'Whole';
      readonly at: readonly string[];
      /** What is compared and shown, by the path of its field. */
      readonly settings: (value: Json) => readonly FlagText[];
    };
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
  /** `isUnseen`: whoever rolls out has not yet looked at it since it was changed last. */
  | { readonly state: 'Progressing'; readonly message: string; readonly isUnseen?: true }
  /** Its own deadline has passed, or it has given up. */
  | { readonly state: 'Failed'; readonly message: string }
  /** Nothing happens until somebody unpauses it, or until its owner's own time comes. Unset: spec.paused is set. */
  | { readonly state: 'Paused'; readonly message?: string };

/** A field of an AuditConfig that this owner's API has no place for. `path` is below spec, and stands for all beneath it. */
export type Inexpressible = {
  readonly path: string;
  readonly why: string;
  readonly isFine?: (value: unknown) => boolean;
};

export type OwnerObject = {
  readonly kind: 'ConfigMap' | 'Secret';
  readonly name: string;
  readonly data: Readonly<Record<string, Uint8Array>>;
};

/** An object that an owner makes of its own, and where it is. */
export type MadeObject = {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
};
/** What there is of them, by the names that Owner.made gives them; null where there is none. */
export type Made = Readonly<Record<string, unknown>>;
/** Where an owner's object is; of one without namespace, its home. */
export type OwnerPlace = { readonly namespace: string; readonly name: string };

/** Presets that an owner's API knows by a name of its own. */
export type OwnPresets = ReadonlyMap<PresetName, string>;

export interface Owner {
  readonly kind: OwnerKind;
  readonly api: {
    readonly group: string;
    /** Its name there; unset: as it is called here. */
    readonly kind?: string;
    readonly plural: string;
    /** Versions that are understood, the preferred one first. */
    readonly versions: readonly string[];
    /** Of an object without namespace: the namespace that is its own, where its AuditConfig and all that is published lie. */
    readonly home?: (name: string) => string;
  };
  slots(version: string): Slots;
  /** Why this object cannot be configured; undefined where it can. */
  refuse(object: unknown): Finding | undefined;
  /** `theirs` is what the owner has in the slots without us. */
  wanted(
    to: Revision,
    theirs: Values,
    of: { readonly version: string; readonly name: string; readonly object: unknown },
  ): Wanted;
  /** Of settings in effect (flags, or what the owner has instead): are they of a revision of ours? `recorded`: the object says so. */
  isIn(settings: ReadonlyMap<string, string>, recorded: boolean): boolean;
  /** What no field of its API can say of a revision; empty where it can say all. */
  readonly judge?: (to: Revision) => readonly Finding[];
  /** What its API reads beside the revision's own objects, in the same namespace. Immutable: names hold a digest. */
  readonly objects?: (to: Revision) => readonly OwnerObject[];
  /** The Kubernetes version that it runs, as it is written there. */
  kubernetes(object: unknown): string;
  readonly hostNetwork: boolean;
  rollout(object: unknown, made: Made): RolloutState;
  /** Of an owner whose own object does not tell enough. */
  readonly made?: {
    /** What is read to follow its rollout, by names of one's own. */
    objects(of: OwnerPlace): Readonly<Record<string, MadeObject>>;
    /** Which one has the API server's pods, where they are in the namespace of its object: a NetworkPolicy is made for them. */
    readonly pods?: string;
    /** No write of its object tells when they are through: they are looked at again while a rollout of ours goes on. */
    readonly isSilent?: true;
    /** For an owner that leaves in one of them what is gone from its object. */
    readonly leaves?: {
      /** Which one. */
      readonly in: string;
      /** What takes that out. */
      stale(object: unknown, made: unknown): readonly PatchOp[];
      /** Something of ours is still in it. */
      hasOurs(made: unknown): boolean;
    };
  };
  /** How long a rollout may take where nobody said so: machines take longer than pods. Seconds. */
  timeoutSeconds(object: unknown, set: number | undefined): number;
  /** Published files are read from Secrets only. */
  readonly secretsOnly: boolean;
  readonly cannot: readonly Inexpressible[];
}
