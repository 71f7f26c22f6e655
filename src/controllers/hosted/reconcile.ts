/**
 * One AuditConfig with a hosted target: gather, decide (src/rollout/hosted/hosted.ts), act. A queue of its own with several
 * workers: hosted control planes have nothing to do with each other, and there are thousands of them.
 */
import { handlingOf, ok } from '../../kube/errors.ts';
import type { KubeError, Result } from '../../kube/errors.ts';
import type { Outcome } from '../../kube/queue.ts';
import { isRecord, keyOf } from '../../kube/types.ts';
import type { KubeObject, ObjectKey } from '../../kube/types.ts';
import type { Digest, Revision } from '../../render/types.ts';
import { ownerFor } from '../../targets/managed.ts';
import { hostedViewOf } from '../../rollout/accept.ts';
import { blocked } from '../../rollout/accepted-status.ts';
import { decideHosted } from '../../rollout/hosted/hosted.ts';
import { isFollowed } from '../../rollout/hosted/scene.ts';
import { withEgress } from '../../rollout/hosted/status.ts';
import type { HostedDecision, HostedFacts } from '../../rollout/hosted/scene.ts';
import { forgetKeptSteps, keepSteps } from '../act.ts';
import { gather } from '../gather.ts';
import { notesOf } from '../notes.ts';
import { withLastValid } from '../reconcile.ts';
import { Told } from '../told.ts';
import { actHosted, readRevision } from './act.ts';
import type { HostedActor, HostedTask } from './act.ts';
import type { Echoes } from './echoes.ts';
import { permitEgress } from './egress.ts';
import type { EgressWorld } from './egress.ts';
import { gatherHosted } from './gather.ts';
import type { HostedGatherOptions } from './gather.ts';
import { pruneHosted } from './prune.ts';
import { hostedPlaceOf, isOwnerPlace, readWorkloadFresh } from './workloads.ts';
import type { HostedPlace } from './workloads.ts';

export type HostedReconcilerOptions = HostedGatherOptions & {
  readonly egress: EgressWorld;
  readonly echoes: Echoes;
  /** Looks at it again. */
  readonly again: (key: ObjectKey) => void;
};

export function createHostedReconciler(
  o: HostedReconcilerOptions,
): (key: ObjectKey, signal: AbortSignal) => Promise<Outcome> {
  const nothingTold = new Told(() => performance.now());
  const released = new Set<string>();
  const one = async (key: ObjectKey, signal: AbortSignal): Promise<Looked> => {
    const config = o.caches.configs.store.get(key);
    const named = config === undefined ? undefined : hostedPlaceOf(config);
    const gathered = named === undefined ? undefined : await gather({ ...o, told: nothingTold }, key, signal);
    if (config === undefined || named === undefined || gathered === undefined) {
      o.egress.watch.need(key, undefined);
      o.serving.ask(key, undefined);
      return { outcome: { kind: 'Done' } };
    }
    const { uid = '' } = config.metadata;
    if (released.has(uid)) return { outcome: { kind: 'Done' } };
    const known = await gatherHosted(o, { config, named, gathered }, signal);
    if (!known.ok) return { outcome: failed(o, key, known.error) };
    const { facts, place, object } = known.value;
    const decided = await decideWithAll(o, { facts, place }, signal);
    const permitted = await withNetwork(o, { facts, place, decision: decided }, signal);
    if (!permitted.ok) return { outcome: failed(o, key, permitted.error) };
    const decision = permitted.value;
    const task: HostedTask = { config, place, workload: object, decision };
    const done = await run(o, task, signal);
    if (!done.ok) {
      await sayBlocked(o, task, { facts, error: done.error }, signal);
      return { outcome: failed(o, key, done.error) };
    }
    if (done.value !== undefined) o.patched.remember(place.spec.kind, done.value);
    const { ask } = decision;
    o.serving.ask(key, ask === undefined ? undefined : { uid, namespace: place.namespace, ask });
    if (decision.look !== undefined) o.looks.start(key, { uid, namespace: place.namespace, look: decision.look });
    await pruneOld(o, task, signal);
    if (decision.finalizer === 'Remove') {
      o.status.forget(uid);
      released.add(uid);
      o.looks.forget(uid);
      o.serving.ask(key, undefined);
    }
    say(o, config, facts, decision);
    return { outcome: outcomeOf(decision), made: madeBy(o, task, done.value) };
  };
  return async (key, signal) => {
    o.echoes.begin(key);
    let looked: Looked | undefined;
    try {
      looked = await one(key, signal);
      return looked.outcome;
    } finally {
      if (o.echoes.end(key, looked?.made ?? [])) o.again(key);
    }
  };
}

type Looked = {
  readonly outcome: Outcome;
  /** Versions whose coming back is no news. */
  readonly made?: readonly string[];
};

/**
 * Only where the workload is another one: if somebody took the patch out of the request, nothing else would tell. And not of
 * owners' objects, which are watched from the look on that finds our edit in one.
 */
function madeBy(
  { status }: HostedReconcilerOptions,
  { config, place, workload, decision }: HostedTask,
  patched: KubeObject | undefined,
): readonly string[] {
  const { generation, resourceVersion } = patched?.metadata ?? {};
  if (isOwnerPlace(place.spec) || !isFollowed(decision)) return [];
  if (patched === undefined || generation === workload?.metadata.generation) return [];
  const written = status.made(config.metadata.uid ?? '');
  return [`${patched.kind}/${resourceVersion}`, ...(written === undefined ? [] : [`${config.kind}/${written}`])];
}

/** What a decision turns out to need is read then: it hardly ever is. */
async function decideWithAll(
  o: HostedReconcilerOptions,
  { facts, place }: { facts: HostedFacts; place: HostedPlace },
  signal: AbortSignal,
): Promise<HostedDecision> {
  let known = facts;
  let decided = decideHosted(known);
  // One after the other: at most one of each.
  for (let i = 0; i < NEEDS && decided.needs !== undefined; i++) {
    const read = await readNeeded(o, { facts: known, place, needs: decided.needs }, signal);
    if (read === undefined) return decided;
    known = { ...known, ...read };
    decided = decideHosted(known);
  }
  const fighting = decided.status?.workload?.fight !== undefined && facts.status.workload?.fight === undefined;
  if (!fighting) return decided;
  // Caches hold no managedFields.
  const fresh = await readWorkloadFresh(o.client, place, signal);
  return fresh.ok && fresh.value !== null
    ? decideHosted({ ...known, workload: { ...known.workload, object: fresh.value } })
    : decided;
}

type Needs = NonNullable<HostedDecision['needs']>;
const NEEDS = ['LastValid', 'LastGood', 'Running'].length;

/** Undefined where it could not be read now. */
async function readNeeded(
  o: HostedReconcilerOptions,
  { facts, place, needs }: { readonly facts: HostedFacts; readonly place: HostedPlace; readonly needs: Needs },
  signal: AbortSignal,
): Promise<Partial<HostedFacts> | undefined> {
  if (needs === 'LastValid') return withLastValid(o, facts, signal);
  const digest = needs === 'Running' ? hostedViewOf(facts)?.digest : facts.status.workload?.lastKnownGood;
  if (digest === undefined) return undefined;
  const of = { place, digest: digest as Digest, versions: [facts.serverVersion] };
  const read = await readRevision({ client: o.client }, of, signal);
  if (!read.ok) return undefined;
  const found: Revision | 'Lost' = read.value ?? 'Lost';
  return { workload: { ...facts.workload, ...(needs === 'Running' ? { running: found } : { lastGood: found }) } };
}

/** What could not be written is tried again. */
const EGRESS_RETRY_MS = 30_000;

/** What has the API server's pods: the workload itself, or what an owner makes of it. */
function podsOf({ spec, object, made = {} }: HostedFacts['workload']): KubeObject | null {
  const pods = ownerFor(spec.kind)?.made?.pods;
  return (pods === undefined ? object : (made[pods] ?? null)) as KubeObject | null;
}

/** Before the workload is touched: its pods must reach the webhook when they start. */
async function withNetwork(
  o: HostedReconcilerOptions,
  { facts, place, decision }: { facts: HostedFacts; place: HostedPlace; decision: HostedDecision },
  signal: AbortSignal,
): Promise<Result<HostedDecision>> {
  const { egress, status } = decision;
  if (egress === undefined) return ok(decision);
  const { forbidden } = facts.workload;
  const done = await permitEgress(
    o.egress,
    {
      config: `${facts.meta.namespace}/${facts.meta.name}`,
      place,
      wish: egress,
      workload: forbidden === undefined ? podsOf(facts.workload) : undefined,
      revision: (digest) =>
        readRevision(
          { client: o.client },
          { place, digest: digest as Digest, versions: [facts.serverVersion] },
          signal,
        ),
    },
    signal,
  );
  if (!done.ok) return done;
  const { verdict, again } = done.value;
  const soon = again ? { requeueAfterMs: Math.min(EGRESS_RETRY_MS, decision.requeueAfterMs ?? Infinity) } : {};
  return ok({ ...decision, ...soon, ...(status === undefined ? {} : { status: withEgress(status, verdict, facts) }) });
}

async function run(
  o: HostedReconcilerOptions,
  task: HostedTask,
  signal: AbortSignal,
): Promise<Result<KubeObject | undefined>> {
  const actor: HostedActor = { client: o.client, status: o.status };
  const keeper = { client: o.client, bundlesNamespace: o.settings.bundlesNamespace };
  for (const step of keepSteps(keeper, task.config, task.decision, signal)) {
    const kept = await step();
    if (!kept.ok) return kept;
  }
  const done = await actHosted(actor, task, signal);
  if (!done.ok) return done;
  for (const step of forgetKeptSteps(keeper, task.config, task.decision, signal)) {
    const forgotten = await step();
    if (!forgotten.ok) return forgotten;
  }
  return done;
}

/** What stays although nothing needs it is no harm: a later rollout tries again. */
async function pruneOld(
  o: HostedReconcilerOptions,
  { config, place, workload, decision }: HostedTask,
  signal: AbortSignal,
): Promise<void> {
  if (decision.prune !== true || workload === null) return;
  const { revision, workload: memory } = decision.status ?? {};
  const digests = [revision?.digest, memory?.digest, memory?.lastKnownGood].filter((d) => d !== undefined);
  const pruned = await pruneHosted(o.client, { place, workload, digests: digests as Digest[] }, signal);
  const auditConfig = keyOf(config.metadata);
  if (!pruned.ok) o.log.warn({ auditConfig, code: pruned.error.code }, `old revisions stay: ${pruned.error.message}`);
  else if (pruned.value > 0) o.log.info({ auditConfig, count: pruned.value }, 'old revisions deleted');
}

async function sayBlocked(
  o: HostedReconcilerOptions,
  { config, decision }: HostedTask,
  { facts, error }: { facts: HostedFacts; error: KubeError },
  signal: AbortSignal,
): Promise<void> {
  if (!['Forbidden', 'NotFound', 'Invalid'].includes(error.code) || decision.status === undefined) return;
  const { workload: _notDone, ...status } = blocked(facts, decision, error.message) ?? decision.status;
  const memory = facts.status.workload;
  const next = { ...status, ...(memory === undefined ? {} : { workload: memory }) };
  const wrote = await o.status.apply({ metadata: config.metadata, status: config['status'] }, next, signal);
  if (!wrote.ok) o.log.warn({ code: wrote.error.code }, 'its status could not be written either');
}

function failed(o: HostedReconcilerOptions, key: ObjectKey, error: KubeError): Outcome {
  o.log.warn({ auditConfig: key, code: error.code, status: error.status }, error.message);
  const afterMs = error.retryAfterMs === undefined ? {} : { afterMs: error.retryAfterMs };
  switch (handlingOf(error)) {
    case 'Retry':
      return { kind: 'Retry', ...afterMs };
    case 'Wait':
      return { kind: 'Retry', afterMs: error.code === 'ConnectionRefused' ? 100 : 10_000 };
    case 'Stop':
      return error.code === 'Cancelled' ? { kind: 'Done' } : { kind: 'Retry', afterMs: 60_000 };
  }
}

function say(o: HostedReconcilerOptions, config: KubeObject, facts: HostedFacts, decision: HostedDecision): void {
  const regarding = config;
  for (const note of notesOf(facts.status, decision.status === undefined ? {} : { status: decision.status })) {
    o.events.record({ regarding, ...note });
    o.log.info({ auditConfig: keyOf(config.metadata), reason: note.reason }, note.note);
  }
}

function outcomeOf(decision: HostedDecision): Outcome {
  if (decision.needs !== undefined) return { kind: 'Retry', afterMs: 1_000 };
  const accepted = decision.status?.conditions?.find((c) => c.type === 'Accepted');
  // What is not there is watched, and so is what is; no watch tells that it may be read now.
  if (isRecord(accepted) && ['ReferenceUnreadable', 'ReferenceForbidden'].includes(String(accepted['reason'])))
    return { kind: 'Again', afterMs: 30_000 };
  return decision.requeueAfterMs === undefined ? { kind: 'Done' } : { kind: 'Again', afterMs: decision.requeueAfterMs };
}
