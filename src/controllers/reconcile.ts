/** One AuditConfig: gather, decide, act. The only place that turns an outcome into a requeue. */
import type { Minor } from '../api/versions.ts';
import type { KubeClient } from '../kube/client.ts';
import { handlingOf } from '../kube/errors.ts';
import type { KubeError } from '../kube/errors.ts';
import type { EventRecorder } from '../kube/events.ts';
import type { Outcome } from '../kube/queue.ts';
import type { StatusWriter } from '../kube/status.ts';
import type { ObjectKey } from '../kube/types.ts';
import { bundleName, webhookName } from '../render/bundle.ts';
import type { Digest } from '../render/types.ts';
import { decide } from '../rollout/decide.ts';
import type { Decision } from '../rollout/decide.ts';
import type { Settings } from '../rollout/facts.ts';
import type { Logger } from '../telemetry/logger.ts';
import { auditNodeSpec, auditNodeStatus } from '../api/auditnode.ts';
import { act, prune } from './act.ts';
import type { Actor } from './act.ts';
import type { Caches } from './caches.ts';
import { gather } from './gather.ts';
import { notesOf } from './notes.ts';

export type ReconcilerOptions = {
  readonly caches: Caches;
  readonly client: KubeClient;
  readonly status: StatusWriter;
  readonly events: EventRecorder;
  readonly settings: Settings;
  readonly serverVersion: () => Minor;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
};

/** A reference that could not be read is looked at again, since no watch may tell. */
const REFERENCE_RETRY_MS = 30_000;
/** Something or somebody else must change first. */
const WAIT_MS = 10_000;
const PRUNE_MIN_AGE_MS = 10 * 60_000;

export function createReconciler(o: ReconcilerOptions): (key: ObjectKey, signal: AbortSignal) => Promise<Outcome> {
  const actor: Actor = { client: o.client, status: o.status, bundlesNamespace: o.settings.bundlesNamespace };
  return async (key, signal) => {
    const gathered = await gather(o, key, signal);
    const config = o.caches.configs.store.get(key);
    if (gathered === undefined || config === undefined) return { kind: 'Done' };
    const facts = { ...gathered, now: o.now() };
    const decision = decide(facts);
    const done = await act(actor, config, decision, signal);
    if (!done.ok) return failed(o.log, key, done.error);
    for (const note of notesOf(facts.status, decision)) {
      o.events.record({ regarding: config, ...note });
      o.log.info({ auditConfig: key, reason: note.reason }, note.note);
    }
    if (becameSettled(facts.status, decision)) await pruneUnused(o, actor, signal);
    return outcomeOf(decision);
  };
}

function failed(log: Logger, key: ObjectKey, error: KubeError): Outcome {
  log.warn({ auditConfig: key, code: error.code, status: error.status }, error.message);
  switch (handlingOf(error)) {
    case 'Retry':
      return error.retryAfterMs === undefined ? { kind: 'Retry' } : { kind: 'Retry', afterMs: error.retryAfterMs };
    case 'Wait':
      return { kind: 'Retry', afterMs: error.code === 'ConnectionRefused' ? 100 : WAIT_MS };
    case 'Stop':
      // The same request will never succeed; a change of the object, or the next resync of a bug fix, may.
      return error.code === 'Cancelled' ? { kind: 'Done' } : { kind: 'Retry', afterMs: 60_000 };
  }
}

function outcomeOf(decision: Decision): Outcome {
  const accepted = decision.status?.conditions?.find((c) => c.type === 'Accepted');
  if (accepted?.reason === 'ReferenceUnreadable' || accepted?.reason === 'ReferenceForbidden')
    return { kind: 'Again', afterMs: REFERENCE_RETRY_MS };
  return decision.requeueAfterMs === undefined ? { kind: 'Done' } : { kind: 'Again', afterMs: decision.requeueAfterMs };
}

const becameSettled = (
  before: { conditions?: readonly { type: string; status: string }[] | undefined },
  d: Decision,
): boolean => d.settled && before.conditions?.find((c) => c.type === 'RolledOut')?.status !== 'True';

async function pruneUnused(o: ReconcilerOptions, actor: Actor, signal: AbortSignal): Promise<void> {
  const keep = new Set<string>();
  const hold = (digest: string | undefined): void => {
    if (digest === undefined) return;
    keep.add(bundleName(digest as Digest)).add(webhookName(digest as Digest));
  };
  for (const object of o.caches.auditNodes.store.values()) {
    const spec = auditNodeSpec.safeParse(object['spec']);
    const status = auditNodeStatus.safeParse(object['status'] ?? {});
    // What cannot be read may refer to anything.
    if (!spec.success || !status.success) return;
    hold(spec.data.desired.revision?.digest);
    for (const digest of [status.data.current, status.data.lastKnownGood, status.data.target]) hold(digest);
  }
  for (const config of o.caches.configs.store.values())
    hold((config['status'] as { revision?: { digest?: string } } | undefined)?.revision?.digest);
  const pruned = await prune(actor, keep, { now: o.now(), minAgeMs: PRUNE_MIN_AGE_MS }, signal);
  if (!pruned.ok) o.log.warn({ code: pruned.error.code }, `unused revisions stay: ${pruned.error.message}`);
  else if (pruned.value > 0) o.log.info({ count: pruned.value }, 'unused revisions deleted');
}
