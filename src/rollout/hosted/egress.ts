/**
 * Does a hosted control plane need a NetworkPolicy to reach its webhook, and which? Pure. A policy for egress turns pods that
 * nothing restricts into ones that reach nothing else, etcd and DNS included, so:
 *
 * 1. Ours exists only while a policy of somebody else restricts the very pods that ours selects, and goes with the last of
 *    them, whatever else is unknown. Never for pods on the host's network.
 * 2. It permits exactly host and port of the webhook, and of a shipper in the pod: an address, a Service's pods at their own
 *    port, or what a name resolves to; and DNS where there is a name (egress-rules.ts).
 * 3. What refused.ts refuses is left out and said, wherever it comes from: a literal, a name, or endpoints of a Service.
 * 4. What is not known yet changes nothing, but for rule 1.
 *
 * No message holds a host or an address: they stand in a Secret. Called by src/controllers/hosted/egress.ts.
 */
import type { Reasons, Verdict } from '../../api/conditions.ts';
import { isSameJson } from '../../config/canonical.ts';
import { EGRESS_LABELS, egressName, egressPolicy, restrictingPolicy } from '../../render/egress/policy.ts';
import type { EgressPolicy, EgressRule, OtherPolicy } from '../../render/egress/policy.ts';
import type { EgressFacts, OwnPolicy } from './egress-facts.ts';
import { answerTo, dnsRules } from './egress-rules.ts';
import type { Trouble } from './egress-rules.ts';

export type EgressDecision = {
  /** Undefined: there is no such condition. `AsBefore`: it stays as it is. */
  readonly verdict: Verdict<'EgressPermitted'> | 'AsBefore' | undefined;
  readonly apply?: EgressPolicy;
  /** Only this very object. */
  readonly remove?: { readonly name: string; readonly uid: string };
};

const say = (
  status: 'True' | 'False' | 'Unknown',
  reason: Reasons['EgressPermitted'],
  message: string,
): Verdict<'EgressPermitted'> => ({ type: 'EgressPermitted', status, reason, message });

const PENDING = say('Unknown', 'Pending', 'what restricts the pods, or where events are sent to, is not known yet');

const isSame = (there: OwnPolicy, want: EgressPolicy): boolean =>
  isSameJson(there.spec, want.spec) &&
  isSameJson(there.ownerReferences ?? null, want.metadata.ownerReferences) &&
  Object.entries(EGRESS_LABELS).every(([key, value]) => there.labels[key] === value);

/** Without ours; where there is one, it goes. */
function without({ kind, name, existing }: EgressFacts, verdict: EgressDecision['verdict']): EgressDecision {
  if (existing === undefined) return { verdict };
  return { verdict, remove: { name: egressName(kind, name), uid: existing.uid } };
}

const RANK: readonly Trouble['reason'][] = ['DestinationRefused', 'DestinationUnknown', 'Pending'];

function verdictOf(troubles: readonly Trouble[], upon: OtherPolicy): Verdict<'EgressPermitted'> {
  const [worst] = [...troubles].sort((a, b) => RANK.indexOf(a.reason) - RANK.indexOf(b.reason));
  if (worst === undefined)
    return say(
      'True',
      'Permitted',
      `NetworkPolicy ${upon.name} restricts these pods; one of ours lets them reach what their events are sent to`,
    );
  return worst.reason === 'Pending'
    ? say('Unknown', 'Pending', worst.message)
    : say('False', worst.reason, worst.message);
}

/** Rules as they are, over whatever restricts the pods now. */
function kept(facts: EgressFacts, upon: OtherPolicy, verdict: EgressDecision['verdict']): EgressDecision {
  const rules = (facts.existing?.spec as { readonly egress?: readonly EgressRule[] } | undefined)?.egress ?? [];
  return withRules(facts, upon, { rules, verdict });
}

function withRules(
  facts: EgressFacts,
  upon: OtherPolicy,
  { rules, verdict }: { readonly rules: readonly EgressRule[]; readonly verdict: EgressDecision['verdict'] },
): EgressDecision {
  const { pods, namespace, kind, name, existing } = facts;
  const { podSelector } = upon;
  if (pods?.selector === undefined || podSelector === undefined || rules.length === 0) return without(facts, verdict);
  const on = { ...upon, podSelector };
  const want = egressPolicy({ namespace, name: egressName(kind, name), pods: pods.selector, upon: on, rules });
  return existing !== undefined && isSame(existing, want) ? { verdict } : { verdict, apply: want };
}

export function decideEgress(facts: EgressFacts): EgressDecision {
  const { wish, pods, others } = facts;
  if (wish.want === 'Nothing')
    return without(facts, wish.said === undefined ? undefined : say('True', 'NotRestricted', wish.said));
  if (pods === null) return without(facts, undefined);
  const isSaid = wish.want === 'Reach' && !wish.silent;
  const said = (verdict: Verdict<'EgressPermitted'>): EgressDecision['verdict'] =>
    isSaid ? verdict : wish.want === 'Keep' ? 'AsBefore' : undefined;
  if (pods === undefined || others === undefined) return { verdict: said(PENDING) };
  const upon = restrictingPolicy(others, pods.labels);
  if (upon === undefined)
    return without(facts, said(say('True', 'NotRestricted', 'no NetworkPolicy restricts what these pods reach')));
  if (wish.want === 'Keep') return kept(facts, upon, 'AsBefore');
  if (pods.selector === undefined)
    return without(facts, said(say('False', 'DestinationUnknown', 'the selector of the workload is not understood')));
  const answers = wish.destinations.map((d) => answerTo(d, wish, facts));
  const troubles = answers.flatMap((a) => a.trouble ?? []);
  const verdict = said(verdictOf(troubles, upon));
  if (troubles.some((t) => t.reason === 'Pending')) return kept(facts, upon, verdict);
  const rules = answers.flatMap((a) => a.rules);
  const dns = rules.length > 0 && answers.some((a) => a.named) ? dnsRules(facts) : [];
  return withRules(facts, upon, { rules: [...rules, ...dns], verdict });
}
