/**
 * One AuditConfig, everything known about it, and the time: what is to be done? Pure. The controller carries out what
 * comes back, in the order of the fields, and every step may be repeated: a controller that dies between two of them
 * decides the same again.
 *
 * 1. Nothing is assigned before the finalizer is there: what was added must be taken away again.
 * 2. A spec that is not accepted changes no node. Absence changes no node either: flags leave only by `Removed`.
 * 3. A revision is published before a node is told of it, and one node is told at a time (next-node.ts).
 * 4. kubeadm-config follows the nodes when all are there, and is set back before the first removal (kubeadm.ts).
 * 5. The finalizer goes when every node that ever had ours says that it is gone, or its Node is. It also goes, with
 *    nothing taken away, when the CRD itself is being deleted.
 */
import type { AuditConfigStatus } from '../api/auditconfig.ts';
import type { Own } from '../render/last-valid.ts';
import type { Digest, Revision } from '../render/types.ts';
import { accept } from './accept.ts';
import type { Accepted } from './accept.ts';
import { assignmentOf, carriedAssignment } from './assignment.ts';
import type { Assignment } from './assignment.ts';
import type { Rotation } from './carried.ts';
import { viewOf } from './facts.ts';
import type { Facts } from './facts.ts';
import type { KubeadmPatch } from './kubeadm.ts';
import { isAt } from './next-node.ts';
import type { NextNode } from './next-node.ts';
import { laterIn, UNKNOWN_RETRY_MS } from './pace.ts';
import { proofEndsIn } from './proof.ts';
import type { ShipperStep } from './shipping.ts';
import { proofs, statusOf, waitsFor } from './status.ts';
import { workOf } from './work.ts';
import type { Work } from './work.ts';

export type Decision = {
  readonly finalizer: 'Keep' | 'Add' | 'Remove';
  readonly publish?: Revision;
  /** Nothing is decided before the owner's last valid settings are read. */
  readonly needsLastValid?: true;
  /** Nothing is decided before the webhooks' kubeconfigs of these revisions are read. */
  readonly needsOlder?: readonly Digest[];
  /** The owner's valid settings, to be kept before status names them. */
  readonly keep?: Own;
  readonly kubeadm?: KubeadmPatch;
  readonly assign?: Assignment;
  /** Newer credentials of the webhook of an older revision, to be published before `assign` names them. */
  readonly rotate?: Rotation;
  /** AuditNodes that have said that nothing of ours is left. */
  readonly forget: readonly string[];
  /** The DaemonSet that ships the logs of these nodes. */
  readonly shipper?: Omit<ShipperStep, 'verdict'>;
  /** Absent while deleting is done: there is nothing left to write it on. */
  readonly status?: AuditConfigStatus;
  readonly requeueAfterMs?: number;
  /** Everything runs what is wanted: bundles that nobody refers to may go. */
  readonly settled: boolean;
};

const DEAD_LOOK_MS = 60_000;

/** kubeadm-config is set back in the same step, before the first node is told; where that is impossible, nobody is. */
const kubeadmPatch = ({ kubeadm }: Work): { kubeadm?: KubeadmPatch } =>
  kubeadm.patch === undefined ? {} : { kubeadm: kubeadm.patch };

const shipperOf = ({ shipper: { verdict: _said, ...step } }: Work): Pick<Decision, 'shipper'> =>
  Object.keys(step).length === 0 ? {} : { shipper: step };

export function decide(facts: Facts): Decision {
  const accepted = accept(facts);
  if (accepted.needsLastValid === true && !facts.meta.deleting)
    return { finalizer: 'Keep', forget: [], settled: false, needsLastValid: true };
  const work = workOf(facts, accepted);
  if (facts.meta.deleting) return decideDeletion(facts, accepted, work);
  if (work.carried.needs.length > 0)
    return { finalizer: 'Keep', forget: [], settled: false, needsOlder: work.carried.needs };
  const status = statusOf(facts, accepted, work);
  const later = laterIn(accepted, facts.now);
  if (accepted.verdict.status !== 'True' && accepted.keeps === undefined)
    return { finalizer: 'Keep', forget: gone(facts), status, ...requeueOf(work, later), settled: false };
  if (!facts.meta.hasFinalizer) return { finalizer: 'Add', forget: [], status, settled: false };
  const assign = assignmentOf(facts, accepted, work) ?? carriedAssignment(work);
  const rotate = assign === undefined || work.next?.kind === 'Assign' ? undefined : work.carried.next?.rotation;
  const { revision } = accepted;
  // As long as a node is not there, its bundle must be: somebody may have deleted or replaced it.
  const needed = revision !== undefined && (facts.status.revision?.digest !== revision.digest || !isDone(work.next));
  return {
    finalizer: 'Keep',
    ...(needed ? { publish: revision } : {}),
    ...(accepted.own === undefined || status.lastValid?.name === facts.status.lastValid?.name
      ? {}
      : { keep: accepted.own }),
    ...kubeadmPatch(work),
    ...shipperOf(work),
    ...(assign === undefined ? {} : { assign }),
    ...(rotate === undefined ? {} : { rotate }),
    forget: gone(facts),
    status,
    ...requeueOf(
      work,
      proofEndsIn(proofs(facts, work), facts.now),
      work.kubeadm.requeueAfterMs,
      later,
      waitsFor(facts, work),
    ),
    settled: isDone(work.next),
  };
}

const isDone = (next: NextNode | undefined): boolean => next?.kind === 'Done';

/** AuditNodes of ours whose Node is gone: where no garbage collector runs, they would stay for ever. */
const gone = (facts: Facts): readonly string[] =>
  facts.nodes
    .filter((n) => n.nodeUid === undefined && n.auditNode?.spec.auditConfigRef.uid === facts.meta.uid)
    .map((n) => n.name);

function decideDeletion(facts: Facts, accepted: Accepted, work: Work): Decision {
  if (!facts.meta.hasFinalizer) return { finalizer: 'Keep', forget: [], settled: false };
  // A CRD that is deleted deletes every AuditConfig. Nobody asked for that: nodes keep what they run, their AuditNodes too.
  if (facts.definition === 'Leaving') return { finalizer: 'Remove', forget: [], settled: false };
  if (facts.definition === 'Unknown')
    return { finalizer: 'Keep', forget: [], settled: false, requeueAfterMs: UNKNOWN_RETRY_MS };
  const removed = work.nodes.filter((n) => isAt(viewOf(n, facts.meta.uid), { type: 'Removed' })).map((n) => n.name);
  const forget = [...gone(facts), ...removed];
  if (removed.length === work.nodes.length && work.kubeadm.holds === undefined)
    return { finalizer: 'Remove', forget, settled: true, ...kubeadmPatch(work), ...shipperOf(work) };
  const assign = assignmentOf(facts, accepted, work);
  return {
    finalizer: 'Keep',
    ...kubeadmPatch(work),
    ...shipperOf(work),
    ...(assign === undefined ? {} : { assign }),
    // Those that are done stay until all are: their settling time paces the rest.
    forget: gone(facts),
    status: statusOf(facts, accepted, work),
    ...requeueOf(work),
    settled: false,
  };
}

/** `others`: when a proof is too old to count, and the like: nobody else tells. */
function requeueOf({ next, nodes }: Work, ...others: readonly (number | undefined)[]): { requeueAfterMs?: number } {
  const waits = next?.kind === 'Wait' && 'afterMs' in next ? next.afterMs : undefined;
  // No watch tells when a Node has been away for long enough.
  const look = nodes.some((n) => n.readiness !== undefined) ? DEAD_LOOK_MS : undefined;
  const all = [waits, look, ...others].filter((ms) => ms !== undefined);
  return all.length === 0 ? {} : { requeueAfterMs: Math.min(...all) };
}
