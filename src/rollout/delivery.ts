/**
 * What the nodes say of their webhook, as the condition WebhookDelivering of their AuditConfig; the worst node wins. Only
 * what a node says of the revision that it runs counts, and only as long as it is fresh. Pure; called by decide.ts.
 */
import type { DeliveryResult } from '../api/auditnode.ts';
import type { Verdict } from '../api/conditions.ts';
import { PROOF_STALE_MS } from './proof.ts';
import type { ProofOf } from './proof.ts';

type Reason = Verdict<'WebhookDelivering'>['reason'];
type Stood = { readonly reason: Reason; readonly message: string };

const WORST_FIRST: readonly Reason[] = ['Failing', 'EventsLost', 'Pending', 'NoTraffic', 'Delivering'];
const STATUS: Readonly<Record<Reason, Verdict<'WebhookDelivering'>['status']>> = {
  Failing: 'False',
  EventsLost: 'False',
  Pending: 'Unknown',
  NoTraffic: 'Unknown',
  Delivering: 'True',
};
const REASON: Readonly<Record<DeliveryResult, Reason>> = {
  Delivering: 'Delivering',
  EventsLost: 'EventsLost',
  Failing: 'Failing',
  NoTraffic: 'NoTraffic',
  NoAnswer: 'Pending',
};

/** What a result stands for, wherever it was found. */
export const deliveryOf = (result: DeliveryResult): Pick<Verdict<'WebhookDelivering'>, 'reason' | 'status'> => ({
  reason: REASON[result],
  status: STATUS[REASON[result]],
});

const MAX_MESSAGE = 1_024;

function standingOf({ name, status, isThere }: ProofOf, now: number): Stood {
  const pending = (why: string): Stood => ({ reason: 'Pending', message: `node ${name}: ${why}` });
  const webhook = status?.webhook;
  if (webhook === undefined || webhook.digest !== status?.current) return pending('nobody looked yet');
  if (!(now - Date.parse(webhook.time) < PROOF_STALE_MS)) return pending('its agent has not looked for three hours');
  const reason = REASON[webhook.result];
  // What fails does so also where it is about to be replaced; what works says nothing of the next.
  if (!isThere && STATUS[reason] !== 'False') return pending('it does not run what is wanted yet');
  return { reason, message: `node ${name}: ${webhook.message ?? webhook.result}` };
}

/** `nodes` are those that are to be audited. */
export function deliveryVerdict(nodes: readonly ProofOf[], now: number): Verdict<'WebhookDelivering'> {
  const all = nodes.map((n) => standingOf(n, now));
  const reason = WORST_FIRST.find((r) => all.some((a) => a.reason === r)) ?? 'Pending';
  const those = all.filter((a) => a.reason === reason);
  const more = those.length > 1 ? ` (and ${those.length - 1} more)` : '';
  const told = those[0] === undefined ? 'there is no node yet' : `${those[0].message}${more}`;
  const message = reason === 'Delivering' ? `the receiver takes the events of all ${all.length} nodes` : told;
  return { type: 'WebhookDelivering', status: STATUS[reason], reason, message: message.slice(0, MAX_MESSAGE) };
}
