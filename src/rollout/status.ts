/**
 * What an AuditConfig says of itself and of its nodes: one verdict a condition, and the summary of all. Pure; called by
 * decide.ts. hosted/status.ts is its like for workloads.
 */
import type { AuditConfigStatus } from '../api/auditconfig.ts';
import { removeCondition, setCondition, withSummary } from '../api/conditions.ts';
import type { Condition, Moment, Verdict } from '../api/conditions.ts';
import type { Accepted } from './accept.ts';
import { acceptedStatus, keptVerdict } from './accepted-status.ts';
import { saidIn } from './credentials-waiting.ts';
import { deliveryVerdict } from './delivery.ts';
import { viewOf } from './facts.ts';
import type { Facts } from './facts.ts';
import { isAt } from './next-node.ts';
import { countNodes, degradedVerdict, rolledOutVerdict } from './progress.ts';
import { proofsOf, retentionVerdict, verifiedVerdict } from './proof.ts';
import type { ProofOf } from './proof.ts';
import { timestamp } from './turn.ts';
import { viewsOf } from './work.ts';
import type { Work } from './work.ts';

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
export const proofs = (facts: Facts, { want, nodes }: Work): readonly ProofOf[] =>
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

function rolledOf(facts: Facts, work: Work): Verdict<'RolledOut'> {
  if (work.next === undefined || work.want === undefined) return notAccepted(facts);
  if (work.kubeadm.holds !== undefined) return held(work.kubeadm.holds);
  const count = countNodes(viewsOf(facts, work), work.nodes, work.want);
  return rolledOutVerdict(work.next, work.want, count, facts.now);
}

/** Of credentials that wait, when that is to be said. */
export function waitsFor(facts: Facts, work: Work): number | undefined {
  if (work.carried.verdict === undefined) return undefined;
  return saidIn(rolledOf(facts, work), facts.status, facts.now) || undefined;
}

export function statusOf(facts: Facts, accepted: Accepted, work: Work): AuditConfigStatus {
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
