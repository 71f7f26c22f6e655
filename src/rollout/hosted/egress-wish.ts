/**
 * What a hosted control plane's pods must reach, as the decision about its workload sees it: the webhook and the shipper of the revision that
 * is wanted, and of the one that pods may still run. Pure; egress.ts makes a NetworkPolicy of it. Called by hosted.ts.
 */
import type { AuditConfigStatus } from '../../api/auditconfig.ts';
import { isEnforced } from '../../config/merge.ts';
import type { Datacenter, Provenance } from '../../config/types.ts';
import { destinationsOf } from '../../render/egress/destination.ts';
import type { HostedView } from '../../targets/hosted.ts';
import type { Accepted } from '../accept.ts';
import type { DestinationRights, EgressWish } from './egress-facts.ts';
import type { WorkloadFact } from '../facts.ts';

export type WishInput = {
  readonly accepted: Accepted;
  readonly workload: WorkloadFact;
  /** Undefined: it is no workload that can be read. */
  readonly view: HostedView | undefined;
  /** As it is after this step. */
  readonly memory: NonNullable<AuditConfigStatus['workload']>;
  /** Flags are to be gone; `Done`: they are. */
  readonly removing: 'No' | 'Begun' | 'Done';
  /** Those that count for it. */
  readonly datacenters: readonly Datacenter[];
};

export function egressWishOf(input: WishInput): EgressWish {
  const { accepted, workload, view, memory, removing } = input;
  if (removing === 'Done' || (workload.object === null && workload.forbidden === undefined)) return { want: 'Nothing' };
  const { effective, revision } = accepted;
  const hook = effective?.spec.webhook;
  // A shipper alone has nobody who says otherwise.
  const auto = hook?.networkPolicy === 'Auto' || (hook === undefined && revision?.shipping !== undefined);
  if (hook !== undefined && !auto) return { want: 'Nothing' };
  if (view?.hostNetwork === true)
    return {
      want: 'Nothing',
      ...(auto ? { said: "these pods are on their node's network, where no NetworkPolicy counts" } : {}),
    };
  if (removing === 'Begun' || view === undefined || effective === undefined || revision === undefined)
    return { want: 'Keep' };
  // Pods of the revision before send until they are gone, or for good where the new one failed.
  const before = memory.lastKnownGood === revision.digest ? undefined : memory.lastKnownGood;
  if (!auto && before === undefined) return { want: 'Nothing' };
  return {
    want: 'Reach',
    destinations: destinationsOf(revision),
    ...(before === undefined ? {} : { also: before }),
    rights: {
      'the webhook': {
        allowed: hook?.allowedDestinations ?? [],
        enforced: isEnforced(effective.provenance['webhook.secretRef']?.set),
      },
      'the shipper': shipperRights(effective.provenance, input.datacenters),
    },
    silent: !auto,
  };
}

/** What a datacenter enforces is its own word, as with the webhook. */
function shipperRights(provenance: Provenance, datacenters: readonly Datacenter[]): DestinationRights {
  const enforced = isEnforced(provenance['shipping.fluentBit.outputs']?.set);
  const lists = datacenters.flatMap(({ content: { limits } }) => {
    const list = limits?.shipping?.destinations;
    return list === undefined ? [] : [list];
  });
  return { allowed: enforced ? [] : lists, enforced };
}
