/** One AuditConfig: gather, decide, act. The only place that turns an outcome into a requeue. */
import type { Minor } from '../api/versions.ts';
import type { KubeClient } from '../kube/client.ts';
import { handlingOf } from '../kube/errors.ts';
import type { KubeError } from '../kube/errors.ts';
import type { EventRecorder } from '../kube/events.ts';
import type { Outcome } from '../kube/queue.ts';
import type { StatusWriter } from '../kube/status.ts';
import type { KubeObject, ObjectKey } from '../kube/types.ts';
import { bundleName, credentialsName, credentialsPrefix, webhookName } from '../render/bundle/names.ts';
import { parseKept } from '../render/last-valid.ts';
import type { Digest } from '../render/types.ts';
import { blocked } from '../rollout/accepted-status.ts';
import { decide } from '../rollout/decide.ts';
import type { Decision } from '../rollout/decide.ts';
import type { Facts, Settings } from '../rollout/facts.ts';
import { namedByKubeadm } from '../rollout/kubeadm.ts';
import type { KubeadmWrite } from '../rollout/kubeadm.ts';
import type { Logger } from '../telemetry/logger.ts';
import { auditNodeSpec, auditNodeStatus } from '../api/auditnode.ts';
import { act, prune } from './act.ts';
import type { Actor } from './act.ts';
import type { Caches } from './caches.ts';
import { gather } from './gather.ts';
import type { KnownReferences } from './hosted/references.ts';
import type { GovernedView } from './governed.ts';
import { kubeadmFact } from './kubeadm.ts';
import { notesOf } from './notes.ts';
import { OlderWebhooks } from './older-webhooks.ts';
import { SECRETS } from './resources.ts';
import { Told } from './told.ts';

export type ReconcilerOptions = {
  readonly caches: Caches;
  readonly client: KubeClient;
  readonly status: StatusWriter;
  readonly events: EventRecorder;
  readonly settings: Settings;
  readonly governed: GovernedView;
  readonly references: KnownReferences;
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
  const told = new Told(() => performance.now());
  /** AuditConfigs whose finalizer is gone: the cache may still show them, and nothing may be told for them any more. */
  const released = new Set<string>();
  const kubeadmWrites: KubeadmWrite[] = [];
  const older = new OlderWebhooks(o.client, o.settings.bundlesNamespace);
  return async (key, signal) => {
    const gathered = await gather({ ...o, told }, key, signal);
    const config = o.caches.configs.store.get(key);
    if (gathered === undefined || config === undefined) return { kind: 'Done' };
    const facts: Facts = { ...gathered, kubeadmWrites, now: o.now() };
    if (released.has(facts.meta.uid)) return { kind: 'Done' };
    const decision = await decideWithAll({ ...o, older }, facts, signal);
    const done = await act(actor, config, decision, signal);
    if (!done.ok) {
      await sayBlocked(o, { config, facts, decision, error: done.error }, signal);
      return failed(o.log, key, done.error);
    }
    if (done.value.assigned !== undefined) told.remember(done.value.assigned);
    for (const name of decision.forget) told.forget(name);
    if (decision.finalizer === 'Remove') remember(released, facts.meta.uid);
    const { digest } = decision.kubeadm ?? {};
    // So many are never asked about (src/rollout/kubeadm.ts).
    if (digest !== undefined)
      kubeadmWrites.splice(0, kubeadmWrites.length, ...kubeadmWrites.slice(-15), { digest, at: facts.now });
    for (const note of notesOf(facts.status, decision)) {
      o.events.record({ regarding: config, ...note });
      o.log.info({ auditConfig: key, reason: note.reason }, note.note);
    }
    if (becameSettled(facts.status, decision)) await pruneUnused(o, actor, signal);
    return outcomeOf(decision);
  };
}

/** What a decision turns out to need is read then: it hardly ever is. */
async function decideWithAll(
  o: Pick<ReconcilerOptions, 'client' | 'settings'> & { readonly older: OlderWebhooks },
  facts: Facts,
  signal: AbortSignal,
): Promise<Decision> {
  const first = decide(facts);
  const whole = first.needsLastValid === true ? await withLastValid(o, facts, signal) : facts;
  const second = whole === facts ? first : decide(whole);
  if (second.needsOlder === undefined) return second;
  return decide({ ...whole, older: await o.older.read(second.needsOlder, signal) });
}

/** What cannot be read now is asked for again; what is not there is lost. */
export async function withLastValid(
  o: Pick<ReconcilerOptions, 'client' | 'settings'>,
  facts: Facts,
  signal: AbortSignal,
): Promise<Facts> {
  const name = facts.status.lastValid?.name ?? '';
  const { governed } = facts;
  if (governed === undefined) return facts;
  const read = await o.client.get(SECRETS, { namespace: o.settings.bundlesNamespace, name }, { signal });
  const lastValid = read.ok ? parseKept(facts.meta.uid, read.value) : undefined;
  if (!read.ok && read.error.code !== 'NotFound') return facts;
  return { ...facts, governed: { ...governed, lastValid: lastValid ?? 'Lost' } };
}

/** Uids never come back, so the oldest of many is forgotten without harm. */
function remember(released: Set<string>, uid: string): void {
  released.add(uid);
  if (released.size > 1_000) released.delete([...released][0] ?? '');
}

type Stopped = {
  readonly config: KubeObject;
  readonly facts: Facts;
  readonly decision: Decision;
  readonly error: KubeError;
};

/** What somebody else must mend stands in status; what mends itself (an API server that restarts) does not. */
async function sayBlocked(o: ReconcilerOptions, s: Stopped, signal: AbortSignal): Promise<void> {
  const { code, message } = s.error;
  if (code !== 'Forbidden' && code !== 'NotFound' && code !== 'Invalid') return;
  const status = blocked(s.facts, s.decision, message);
  if (status === undefined) return;
  const written = await o.status.apply({ metadata: s.config.metadata, status: s.config['status'] }, status, signal);
  if (!written.ok) o.log.warn({ code: written.error.code }, 'its status could not be written either');
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
  // It could not be read now.
  if (decision.needsLastValid === true) return { kind: 'Retry', afterMs: 1_000 };
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
  const newestOf = new Set<string>();
  const hold = (digest: string | undefined): void => {
    if (digest === undefined) return;
    keep.add(bundleName(digest as Digest)).add(webhookName(digest as Digest));
    newestOf.add(credentialsPrefix(digest as Digest));
  };
  for (const object of o.caches.auditNodes.store.values()) {
    const spec = auditNodeSpec.safeParse(object['spec']);
    const status = auditNodeStatus.safeParse(object['status'] ?? {});
    // What cannot be read may refer to anything.
    if (!spec.success || !status.success) return;
    const { revision } = spec.data.desired;
    hold(revision?.digest);
    if (revision?.credentials !== undefined)
      keep.add(credentialsName(revision.digest as Digest, revision.credentials as Digest));
    for (const digest of [status.data.current, status.data.lastKnownGood, status.data.target]) hold(digest);
  }
  const kubeadm = kubeadmFact(o.caches.kubeadm, '', []);
  // What cannot be read may refer to anything.
  if (kubeadm.state === 'Unknown') return;
  hold(namedByKubeadm(kubeadm));
  for (const config of o.caches.configs.store.values())
    hold((config['status'] as { revision?: { digest?: string } } | undefined)?.revision?.digest);
  const pruned = await prune(
    actor,
    { names: keep, newestOf: [...newestOf] },
    { now: o.now(), minAgeMs: PRUNE_MIN_AGE_MS },
    signal,
  );
  if (!pruned.ok) o.log.warn({ code: pruned.error.code }, `unused revisions stay: ${pruned.error.message}`);
  else if (pruned.value > 0) o.log.info({ count: pruned.value }, 'unused revisions deleted');
}
