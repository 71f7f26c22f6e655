/**
 * The shipper of control-plane nodes: is it what is wanted, what is to be done, and what is said of it? Pure, as decide.ts,
 * which calls it. It has nothing to do with API servers: no Lease, no window, no order of nodes, and a pause does not hold it
 * back. A spec that is not accepted changes nothing, and what cannot be read neither.
 */
import type { Verdict } from '../api/conditions.ts';
import { splitLogPath } from '../render/log-path.ts';
import { shipperDaemonSet, shipperName } from '../render/shipping/daemonset.ts';
import { covers } from '../targets/hosted/volumes.ts';
import { at } from '../targets/hosted/workload.ts';
import type { Json } from '../targets/hosted/workload.ts';
import type { Accepted } from './accept.ts';
import { nodeSelectorOf } from './claims.ts';
import type { Facts } from './facts.ts';

export type ShipperStep = {
  readonly apply?: ReturnType<typeof shipperDaemonSet>;
  /** Its name: it is there, and is not to be. */
  readonly remove?: string;
  /** `None`: nothing is shipped. */
  readonly verdict: Verdict<'Shipping'> | 'None';
};

const verdict = (
  status: Verdict<'Shipping'>['status'],
  reason: Verdict<'Shipping'>['reason'],
  message: string,
): Verdict<'Shipping'> => ({ type: 'Shipping', status, reason, message });

/** What is wanted; `Keep` where that is not known, null where there is to be none. */
function wantedFor(facts: Facts, accepted: Accepted): ReturnType<typeof shipperDaemonSet> | 'Keep' | null {
  const { meta, object, shipper } = facts;
  if (meta.deleting) return null;
  const { effective, shipping } = accepted;
  if (effective === undefined) return 'Keep';
  const nodeSelector = nodeSelectorOf(object);
  if (shipping === undefined || effective.spec.state === 'Disabled' || nodeSelector === undefined) return null;
  const { file } = effective.spec.log;
  return shipperDaemonSet({
    owner: meta,
    shipping,
    logDir: splitLogPath(file.path).dir,
    readerGroup: file.readerGroup,
    nodeSelector,
    clusterId: shipper?.clusterId ?? '',
  });
}

const numberAt = (object: unknown, ...keys: readonly string[]): number => {
  const found = at(object, ...keys);
  return typeof found === 'number' ? found : 0;
};

/** The same at every look of a rollout, so that pods that come and go write no status. */
function said(object: unknown): Verdict<'Shipping'> {
  const of = (field: string): number => numberAt(object, 'status', field);
  const seen = numberAt(object, 'status', 'observedGeneration') >= numberAt(object, 'metadata', 'generation');
  const name = String(at(object, 'metadata', 'name') ?? '');
  if (!seen || of('updatedNumberScheduled') < of('desiredNumberScheduled'))
    return verdict('False', 'Progressing', `DaemonSet ${name} takes a change to its nodes`);
  if (of('desiredNumberScheduled') === 0) return verdict('False', 'Unavailable', `DaemonSet ${name} finds no node`);
  return of('numberAvailable') < of('desiredNumberScheduled')
    ? verdict('False', 'Unavailable', `pods of DaemonSet ${name} do not run; kubectl describe says why`)
    : verdict('True', 'Running', `DaemonSet ${name} runs on all its nodes`);
}

/** Only for targets on nodes; what was not read is not decided about. */
export function shipperStep(facts: Facts, accepted: Accepted): ShipperStep {
  const { shipper, meta } = facts;
  if (shipper === undefined) return { verdict: 'None' };
  const wanted = wantedFor(facts, accepted);
  if (wanted === 'Keep') return { verdict: shipper.object === null ? 'None' : said(shipper.object) };
  if (wanted === null) return { ...(shipper.object === null ? {} : { remove: shipperName(meta) }), verdict: 'None' };
  const same = shipper.object !== null && covers(shipper.object as Json, wanted as unknown as Json);
  if (same) return { verdict: said(shipper.object) };
  return {
    apply: wanted,
    verdict: verdict('False', 'Progressing', `DaemonSet ${wanted.metadata.name} takes a change to its nodes`),
  };
}
