/**
 * What is wanted and what is known where a hosted control plane's pods are to reach what their events are sent to. Types alone:
 * egress-wish.ts says what is wanted, src/controllers/hosted/egress.ts reads the rest, egress.ts decides.
 */
import type { LabelSelector, Labels } from '../../api/label-selector.ts';
import type { AllowedDestinations } from '../../config/destinations.ts';
import type { OtherPolicy } from '../../render/egress/policy.ts';
import type { ClusterRanges } from '../../render/egress/refused.ts';
import type { Destination } from '../../render/egress/types.ts';

export type DestinationRights = {
  /** What each datacenter allows that limits it. */
  readonly allowed: readonly AllowedDestinations[];
  /** A datacenter chose this very destination. */
  readonly enforced: boolean;
};

/** What the decision about the workload says that its pods must reach (hosted.ts). */
export type EgressWish =
  /** `said`: there is a webhook or a shipper, and why nothing is needed for it. */
  | { readonly want: 'Nothing'; readonly said?: string }
  /** Not known now: what is there stays, but for rule 1. */
  | { readonly want: 'Keep' }
  | {
      readonly want: 'Reach';
      readonly destinations: readonly Destination[];
      /** Another revision that pods may still run: its destinations join. */
      readonly also?: string;
      readonly rights: Readonly<Record<Destination['what'], DestinationRights>>;
      /** There is nothing to reach any more, but pods that still do: nothing is said of it. */
      readonly silent: boolean;
    };

export type PodsFact = {
  readonly labels: Labels;
  /** spec.selector of the workload; undefined: not understood. */
  readonly selector: LabelSelector | undefined;
  readonly dnsPolicy: string;
  readonly nameservers: readonly string[];
};

export type ServicePort = {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
  /** Of the pods; a name is one of their containers' ports. */
  readonly target: number | string;
};
export type ServiceFact =
  | {
      readonly is: 'Selector';
      readonly selector: Labels;
      readonly headless: boolean;
      readonly ports: readonly ServicePort[];
    }
  | { readonly is: 'ExternalName'; readonly name: string }
  | {
      readonly is: 'Endpoints';
      readonly headless: boolean;
      readonly ports: readonly ServicePort[];
      readonly endpoints: readonly {
        readonly addresses: readonly string[];
        readonly ports: readonly { readonly name: string; readonly port: number }[];
      }[];
    };

export type OwnPolicy = {
  readonly uid: string;
  readonly labels: Labels;
  readonly ownerReferences: unknown;
  readonly spec: unknown;
};

export type EgressFacts = {
  readonly namespace: string;
  readonly kind: string;
  readonly name: string;
  readonly wish: EgressWish;
  /** Null: there is no such workload. Undefined: it could not be read. */
  readonly pods: PodsFact | null | undefined;
  /** Of the namespace, without ours. Undefined: not known yet. */
  readonly others: readonly OtherPolicy[] | undefined;
  readonly existing: OwnPolicy | undefined;
  /** By `namespace/name`; null: there is none; not in it: not known yet. */
  readonly services: ReadonlyMap<string, ServiceFact | null>;
  /** Addresses by name; empty: it does not resolve; not in it: not known yet. */
  readonly names: ReadonlyMap<string, readonly string[]>;
  /** Undefined: not known yet. */
  readonly ranges: ClusterRanges | undefined;
};
