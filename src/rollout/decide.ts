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
import type { AuditNodeSpec } from '../api/auditnode.ts';
import type { Condition, Moment, Verdict } from '../api/conditions.ts';
import { removeCondition, setCondition, withSummary } from '../api/conditions.ts';
import { BUILT_IN } from '../config/defaults.ts';
import { bundleName } from '../render/bundle/names.ts';
import type { Digest, Revision } from '../render/types.ts';
import { credentialsDigest } from '../render/webhook/credentials.ts';
import { accept } from './accept.ts';
import type { Accepted } from './accept.ts';
import { acceptedStatus, keptVerdict } from './accepted-status.ts';
import { carriedStep } from './carried.ts';
import type { CarriedStep, Rotation } from './carried.ts';
import { nodeTargetOf } from './claims.ts';
import { saidIn } from './credentials-waiting.ts';
import { deliveryVerdict } from './delivery.ts';
import type { Facts, NodeFact } from './facts.ts';
import type { Own } from '../render/last-valid.ts';
import { placeOf, viewOf } from './facts.ts';
import { kubeadmStep, namedByKubeadm } from './kubeadm.ts';
import type { KubeadmPatch, KubeadmStep } from './kubeadm.ts';
import { isAt, nextNode } from './next-node.ts';
import type { Desired, NextNode, NodeView } from './next-node.ts';
import { proofEndsIn, proofsOf, retentionVerdict, verifiedVerdict } from './proof.ts';
import type { ProofOf } from './proof.ts';
import { isDead } from './restart-plan.ts';
import { shipperStep } from './shipping.ts';
import type { ShipperStep } from './shipping.ts';
import { timestamp } from './turn.ts';
import { windowed } from './windows.ts';
import { countNodes, degradedVerdict, rolledOutVerdict } from './progress.ts';

export type Assignment = { readonly node: string; readonly nodeUid?: string; readonly spec: AuditNodeSpec };

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

export const UNKNOWN_RETRY_MS = 10_000;
const DEAD_LOOK_MS = 60_000;
export const DEFAULT_ROLLOUT = BUILT_IN.rollout;

type Work = {
  readonly want: Desired | undefined;
  readonly nodes: readonly NodeFact[];
  readonly next: NextNode | undefined;
  readonly kubeadm: KubeadmStep;
  readonly shipper: ShipperStep;
  readonly carried: CarriedStep;
};

type Nodes = Omit<Work, 'kubeadm' | 'shipper' | 'carried'>;

function kubeadmOf(facts: Facts, accepted: Accepted, { want, next }: Nodes): KubeadmStep {
  const { namespace, name, uid } = facts.meta;
  const sync = accepted.effective?.spec.kubeadmConfig === 'Sync';
  const isKnown = facts.meta.deleting || accepted.effective !== undefined;
  const revision = want?.type === 'Revision' && sync ? (accepted.revision ?? null) : null;
  const step = kubeadmStep({
    owner: { namespace, name, uid },
    fact: facts.kubeadm,
    want: isKnown ? revision : 'Keep',
    done: next?.kind === 'Done',
    saidBefore: facts.status.conditions?.some((c) => c.type === 'KubeadmConfigSynced') ?? false,
    writes: facts.kubeadmWrites,
    now: facts.now,
  });
  // Only a removal takes files away that kubeadm-config may name.
  const { holds: _harmless, ...rest } = step;
  return want?.type === 'Removed' ? step : rest;
}

/** Nodes that the question is about: those that match, and those that have ours already. */
function nodesFor(facts: Facts, want: Desired | undefined): readonly NodeFact[] {
  const ours = (n: NodeFact): boolean => n.auditNode?.spec.auditConfigRef.uid === facts.meta.uid;
  // An AuditNode that somebody deleted is no proof that nothing of ours is on its node.
  const wasOurs = (n: NodeFact): boolean =>
    facts.status.revision !== undefined && n.matches && n.claimant.uid === facts.meta.uid;
  if (want?.type === 'Removed') return facts.nodes.filter((n) => n.nodeUid !== undefined && (ours(n) || wasOurs(n)));
  return facts.nodes.filter(
    (n) => n.nodeUid !== undefined && n.claimant.uid === facts.meta.uid && (n.matches || ours(n)),
  );
}

function workOf(facts: Facts, accepted: Accepted): Work {
  const removing = facts.meta.deleting || accepted.effective?.spec.state === 'Disabled';
  const want: Desired | undefined = removing
    ? { type: 'Removed' }
    : accepted.revision === undefined
      ? undefined
      : wantedOf(namedBy(facts, accepted.revision));
  const nodes = nodesFor(facts, want);
  const shipper = shipperStep(facts, accepted);
  const withRest = (work: Nodes): Work => ({
    ...work,
    shipper,
    kubeadm: kubeadmOf(facts, accepted, work),
    carried: carriedStep(facts, nodes, want?.type === 'Revision' ? accepted.revision : undefined),
  });
  if (want === undefined) return withRest({ want, nodes, next: undefined });
  const rollout = accepted.effective?.spec.rollout ?? DEFAULT_ROLLOUT;
  const rules = {
    // Whoever deletes wants it gone; a pause of the spec that is being deleted does not hold that back.
    paused: rollout.paused && !facts.meta.deleting,
    minReadyMs: rollout.minReadySeconds * 1000,
    maxFailures: rollout.maxFailures,
    ...opensAt(rollout.windows, facts.now),
    ...(facts.busyNode === undefined ? {} : { busy: facts.busyNode }),
  };
  const views = nodes.map((n) => ({ ...viewOf(n, facts.meta.uid), isDead: isLongDead(n, facts.now) }));
  const next = nextNode(views, want, rules, facts.now);
  return withRest({ want, nodes, next });
}

export function opensAt(windows: Parameters<typeof windowed>[0], now: number): { opensAt?: number } {
  const w = windowed(windows, now);
  return w.open ? {} : { opensAt: w.opensAt };
}

const isLongDead = ({ readiness, auditNode }: NodeFact, now: number): boolean =>
  readiness !== undefined && auditNode !== undefined && isDead(readiness, auditNode.spec.timeoutSeconds, now);

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

/** A timer holds no more than 24 days, and a clock may be set. */
const MAX_LATER_MS = 24 * 3_600_000;
export const laterIn = ({ changesAt }: Accepted, now: number): number | undefined =>
  changesAt === undefined ? undefined : Math.min(MAX_LATER_MS, Math.max(1_000, changesAt - now));

/** `others`: when a proof is too old to count, and the like: nobody else tells. */
function requeueOf({ next, nodes }: Work, ...others: readonly (number | undefined)[]): { requeueAfterMs?: number } {
  const waits = next?.kind === 'Wait' && 'afterMs' in next ? next.afterMs : undefined;
  // No watch tells when a Node has been away for long enough.
  const look = nodes.some((n) => n.readiness !== undefined) ? DEAD_LOOK_MS : undefined;
  const all = [waits, look, ...others].filter((ms) => ms !== undefined);
  return all.length === 0 ? {} : { requeueAfterMs: Math.min(...all) };
}

const wantedOf = (named: NonNullable<AuditNodeSpec['desired']['revision']>): Desired => ({
  type: 'Revision',
  digest: named.digest,
  at: placeOf(named),
  ...(named.credentials === undefined ? {} : { credentials: named.credentials }),
});

/** How an AuditNode names a revision. */
const namedBy = (facts: Facts, revision: Revision): NonNullable<AuditNodeSpec['desired']['revision']> => ({
  kind: revision.confidential ? 'Secret' : 'ConfigMap',
  namespace: facts.settings.bundlesNamespace,
  name: bundleName(revision.digest),
  digest: revision.digest,
  ...(revision.credentials === undefined ? {} : { credentials: credentialsDigest(revision.credentials.reveal()) }),
});

function assignmentOf(facts: Facts, accepted: Accepted, work: Work): Assignment | undefined {
  if (work.next?.kind !== 'Assign' || work.want === undefined || work.kubeadm.holds !== undefined) return undefined;
  const name = work.next.node;
  const node = work.nodes.find((n) => n.name === name);
  if (node === undefined) throw new Error(`next node ${name} is none of the nodes`);
  const { revision } = accepted;
  const rollout = accepted.effective?.spec.rollout ?? DEFAULT_ROLLOUT;
  const { namespace, name: config, uid } = facts.meta;
  const target = nodeTargetOf(facts.object);
  const desired: AuditNodeSpec['desired'] =
    work.want.type === 'Removed' || revision === undefined
      ? { type: 'Removed' }
      : {
          type: 'Revision',
          revision: namedBy(facts, revision),
        };
  const kept = desired.type === 'Revision' ? namedByKubeadm(facts.kubeadm) : undefined;
  return {
    node: name,
    ...(node.nodeUid === undefined ? {} : { nodeUid: node.nodeUid }),
    spec: {
      nodeName: name,
      auditConfigRef: { namespace, name: config, uid },
      ...(target === undefined ? {} : { target }),
      desired,
      ...(kept === undefined || kept === desired.revision?.digest ? {} : { keep: [kept] }),
      timeoutSeconds: rollout.timeoutSeconds,
    },
  };
}

/** It changes nothing but a Secret's name, and that only while there is nothing more to do. */
function carriedAssignment({ next, carried }: Work): Assignment | undefined {
  if (next?.kind === 'Assign' || carried.next === undefined) return undefined;
  const { node, spec } = carried.next;
  return { node: node.name, ...(node.nodeUid === undefined ? {} : { nodeUid: node.nodeUid }), spec };
}

const held = (why: string): Verdict<'RolledOut'> => ({
  type: 'RolledOut',
  status: 'False',
  reason: 'Blocked',
  message: `nothing is removed from any node: ${why}`,
});

const notAccepted = (facts: Facts): Verdict<'RolledOut'> => ({
  type: 'RolledOut',
  status: 'False',
  reason: 'NotAccepted',
  message:
    facts.status.revision === undefined
      ? 'no node was touched'
      : `no node was touched; revision ${facts.status.revision.digest.slice(0, 16)} stays where it is`,
});

/** What the nodes that are to be audited prove; those of which nothing new is wanted are where they should be. */
const proofs = (facts: Facts, { want, nodes }: Work): readonly ProofOf[] =>
  want?.type === 'Removed'
    ? []
    : proofsOf(nodes, facts.meta.uid, (n) => want === undefined || isAt(viewOf(n, facts.meta.uid), want));

/** How long the log is kept, of what was asked; nothing is said of a spec that is not accepted. */
function retentionOf(facts: Facts, accepted: Accepted, work: Work) {
  if (accepted.effective === undefined) return undefined;
  const { log } = accepted.effective.spec;
  const requestedDays = log.retention.maxAgeDays;
  const noLog = log.type !== 'File' || work.want?.type !== 'Revision';
  return { requestedDays, ...retentionVerdict(proofs(facts, work), { requestedDays, noLog }) };
}

/** Only where there is a webhook; of a spec that is not accepted, as it was before. */
function deliveryOf(facts: Facts, accepted: Accepted, work: Work): Verdict | undefined {
  const has =
    accepted.effective === undefined
      ? facts.status.conditions?.some((c) => c.type === 'WebhookDelivering')
      : accepted.effective.spec.webhook !== undefined && work.want?.type === 'Revision';
  return has === true ? deliveryVerdict(proofs(facts, work), facts.now) : undefined;
}

/** What is known to be wrong comes before what is not known. */
function degradedOf(facts: Facts, work: Work, rolled: Verdict<'RolledOut'>): Verdict<'Degraded'> {
  const degraded = degradedVerdict(work.nodes, viewsOf(facts, work));
  const { verdict } = work.carried;
  return verdict === undefined || degraded.status === 'True' || saidIn(rolled, facts.status, facts.now) > 0
    ? degraded
    : verdict;
}

const viewsOf = (facts: Facts, { nodes }: Work): readonly NodeView[] => nodes.map((n) => viewOf(n, facts.meta.uid));

function rolledOf(facts: Facts, work: Work): Verdict<'RolledOut'> {
  if (work.next === undefined || work.want === undefined) return notAccepted(facts);
  if (work.kubeadm.holds !== undefined) return held(work.kubeadm.holds);
  const count = countNodes(viewsOf(facts, work), work.nodes, work.want);
  return rolledOutVerdict(work.next, work.want, count, facts.now);
}

/** Of credentials that wait, when that is to be said. */
function waitsFor(facts: Facts, work: Work): number | undefined {
  if (work.carried.verdict === undefined) return undefined;
  return saidIn(rolledOf(facts, work), facts.status, facts.now) || undefined;
}

function statusOf(facts: Facts, accepted: Accepted, work: Work): AuditConfigStatus {
  const nodes = countNodes(viewsOf(facts, work), work.nodes, work.want);
  const moment: Moment = { now: timestamp(facts.now), generation: facts.meta.generation };
  const rolled = rolledOf(facts, work);
  const kept = retentionOf(facts, accepted, work);
  const delivery = deliveryOf(facts, accepted, work);
  const verdicts: readonly Verdict[] = [
    accepted.verdict,
    rolled,
    keptVerdict(accepted) ?? degradedOf(facts, work, rolled),
    verifiedVerdict(proofs(facts, work), facts.now),
    ...(delivery === undefined ? [] : [delivery]),
    ...(kept === undefined ? [] : [kept.verdict]),
    ...(typeof work.kubeadm.verdict === 'string' ? [] : [work.kubeadm.verdict]),
    ...(work.shipper.verdict === 'None' ? [] : [work.shipper.verdict]),
  ];
  const old: readonly Condition[] = facts.status.conditions ?? [];
  const hooked = delivery === undefined ? removeCondition(old, 'WebhookDelivering') : old;
  const synced = work.kubeadm.verdict === 'None' ? removeCondition(hooked, 'KubeadmConfigSynced') : hooked;
  const before = work.shipper.verdict === 'None' ? removeCondition(synced, 'Shipping') : synced;
  const set = verdicts.reduce((list, verdict) => setCondition(list, verdict, moment), before);
  const { revision } = accepted;
  return {
    ...acceptedStatus(facts, accepted),
    nodes,
    ...(kept === undefined || revision === undefined ? {} : { retention: storedRetention(kept) }),
    conditions: [...withSummary(set, moment)],
  };
}

const storedRetention = (kept: {
  requestedDays: number;
  measuredDays?: number;
}): NonNullable<AuditConfigStatus['retention']> => ({
  requestedDays: kept.requestedDays,
  ...(kept.measuredDays === undefined ? {} : { measuredDays: kept.measuredDays }),
});
