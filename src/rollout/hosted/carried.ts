/**
 * The newest credentials of a webhook, for pods that run an older revision while the newest one waits, or was taken back: they
 * are in a Secret that goes by their own kubeconfig. Done once for each pair of them, and remembered in status, since it takes
 * reading what runs. Where they may be meant for somebody else they stay with the newest, and that is said. Called by hosted.ts.
 */
import { Secret } from '../../render/types.ts';
import type { Revision } from '../../render/types.ts';
import { carryOver } from '../../render/webhook/carry.ts';
import { credentialsDigest } from '../../render/webhook/credentials.ts';
import { hostedViewOf } from '../accept.ts';
import type { Accepted } from '../accept.ts';
import { credentialsWaiting, saltedFor } from '../carried.ts';
import { nameOf } from './scene.ts';
import type { HostedFacts, Memory, Step } from './scene.ts';

type Carried = NonNullable<Memory['carried']>;
type Done = { readonly result: Carried['result']; readonly carry?: Revision };

const digestOf = ({ credentials }: Revision): string | undefined =>
  credentials === undefined ? undefined : credentialsDigest(credentials.reveal());

function carriedTo(running: Revision | 'Lost', newest: Revision, { settings }: HostedFacts): Done {
  if (running === 'Lost') return { result: 'Unknown' };
  const { webhook } = running;
  const carried = webhook === undefined ? undefined : carryOver(webhook.reveal(), newest);
  if (webhook === undefined || carried === undefined || carried.is === 'None') return { result: 'None' };
  const credentials = saltedFor(carried.files, webhook, settings);
  if (credentialsDigest(credentials) === digestOf(running)) return { result: 'None' };
  if (carried.is === 'Unknown') return { result: 'Unknown' };
  return { result: 'Carried', carry: { ...running, credentials: new Secret(credentials) } };
}

export function withCarried(step: Step, { revision }: Accepted, facts: HostedFacts): Step {
  const { carried: before, ...rest } = step.memory;
  const from = hostedViewOf(facts)?.digest;
  const isOver = from === undefined || from === revision?.digest || step.patch !== undefined || facts.meta.deleting;
  if (revision?.webhook === undefined || isOver) return { ...step, memory: rest };
  if (step.needs !== undefined) return step;
  const credentials = digestOf(revision);
  const isDone = before?.from === from && before.credentials === credentials;
  const { running } = facts.workload;
  if (!isDone && running === undefined) return { ...step, needs: 'Running' };
  const { result, carry }: Done =
    isDone || running === undefined ? { result: before?.result ?? 'None' } : carriedTo(running, revision, facts);
  const carried: Carried = { from, ...(credentials === undefined ? {} : { credentials }), result };
  return {
    ...step,
    ...(carry === undefined ? {} : { carry }),
    ...(result === 'Unknown' ? { doubt: credentialsWaiting(nameOf(facts.workload), revision.digest) } : {}),
    memory: { ...rest, carried },
  };
}
