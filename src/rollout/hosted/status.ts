/** What an AuditConfig with a hosted target says of itself. Called by hosted.ts and by the controller. */
import type { AuditConfigStatus } from '../../api/auditconfig.ts';
import { removeCondition, setCondition, withSummary } from '../../api/conditions.ts';
import type { Condition, Moment, Verdict } from '../../api/conditions.ts';
import type { Accepted } from '../accept.ts';
import { acceptedStatus, keptVerdict } from '../accepted-status.ts';
import { timestamp } from '../turn.ts';
import { aboutSomething, observed, replicasOf } from './proof.ts';
import type { HostedFacts, Step } from './scene.ts';

/** The status with what came of it. */
export function withEgress(
  status: AuditConfigStatus,
  verdict: Verdict<'EgressPermitted'> | 'AsBefore' | undefined,
  { now, meta }: Pick<HostedFacts, 'now' | 'meta'>,
): AuditConfigStatus {
  const moment: Moment = { now: timestamp(now), generation: meta.generation };
  const list: readonly Condition[] = status.conditions ?? [];
  if (verdict === 'AsBefore') return status;
  const conditions =
    verdict === undefined ? removeCondition(list, 'EgressPermitted') : setCondition(list, verdict, moment);
  return { ...status, conditions: [...withSummary(conditions, moment)] };
}

const FINE: Verdict<'Degraded'> = {
  type: 'Degraded',
  status: 'False',
  reason: 'AsExpected',
  message: 'nothing failed',
};

export function statusOf(facts: HostedFacts, accepted: Accepted, step: Step): AuditConfigStatus {
  const moment: Moment = { now: timestamp(facts.now), generation: facts.meta.generation };
  const verdicts: readonly Verdict[] = [
    accepted.verdict,
    step.rolled,
    step.degraded ?? keptVerdict(accepted) ?? step.doubt ?? FINE,
    ...observed(facts, accepted, step.memory),
  ];
  const old: readonly Condition[] = facts.status.conditions ?? [];
  return {
    ...acceptedStatus(facts, accepted),
    ...replicasOf(facts.workload.object, accepted, step.memory),
    ...(Object.keys(step.memory).length === 0 ? {} : { workload: step.memory }),
    conditions: [
      ...withSummary(
        verdicts.reduce((list, v) => setCondition(list, v, moment), aboutSomething(old, accepted)),
        moment,
      ),
    ],
  };
}
