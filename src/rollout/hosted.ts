/**
 * One hosted AuditConfig, its workload, and the time: what is to be done? Pure, as decide.ts is for nodes; Kubernetes itself
 * does the rollout, and this follows it.
 *
 * 1. Nothing is patched before the finalizer is there and the revision is published.
 * 2. Only a workload whose last rollout is complete is changed, or one that is at a change of ours: a newer one pre-empts.
 * 3. Not available in time: back to the last revision that was, or, where none ever was, to what its owner had. That digest is
 *    not tried again until it or the owner's template is another one.
 * 4. Our edit gone is a revert: put in again once. A second one in ten minutes is a fight: stop, and name the manager.
 * 5. Another certificate or token of the webhook under the same kubeconfig changes a Secret and nothing else, at any time.
 * 6. What cannot be read changes nothing, and absence removes nothing: flags leave by a patch of ours, or with their workload.
 */
import type { AuditConfigStatus } from '../api/auditconfig.ts';
import { removeCondition, setCondition, withSummary } from '../api/conditions.ts';
import type { Condition, Moment, Reasons, Verdict } from '../api/conditions.ts';
import type { Own } from '../render/last-valid.ts';
import type { Revision } from '../render/types.ts';
import { credentialsDigest } from '../render/webhook/credentials.ts';
import type { HostedView } from '../targets/hosted.ts';
import type { PatchOp } from '../targets/hosted/patch.ts';
import { isOwnerSpec, managed, ownerFor, ownerOf } from '../targets/managed.ts';
import { accept, hostedViewOf, sentence } from './accept.ts';
import type { Accepted } from './accept.ts';
import { acceptedStatus, keptVerdict } from './accepted-status.ts';
import { DEFAULT_ROLLOUT, laterIn, opensAt, UNKNOWN_RETRY_MS } from './decide.ts';
import type { EgressWish } from './egress.ts';
import { egressWishOf } from './egress-wish.ts';
import type { Facts, WorkloadFact } from './facts.ts';
import { aboutSomething, nextLook, observed, replicasOf, withFound } from './hosted-proof.ts';
import type { Look } from './hosted-proof.ts';
import { managerOf } from './field-managers.ts';
import { timestamp } from './turn.ts';
import { rolloutOf } from '../targets/hosted/rollout.ts';
import type { RolloutState } from '../targets/owners/types.ts';

export type HostedFacts = Facts & { readonly workload: WorkloadFact };
type Memory = NonNullable<AuditConfigStatus['workload']>;
type RolledOut = Verdict<'RolledOut'>;

export type HostedDecision = {
  readonly finalizer: 'Keep' | 'Add' | 'Remove';
  readonly publish?: Revision;
  /** Of this revision, the webhook's credentials are others: they alone are published anew. */
  readonly rotate?: Revision;
  readonly patch?: readonly PatchOp[];
  /** Its API server is to be asked now; what comes of it is a fact of the next decision. */
  readonly look?: Look;
  /** Of the Deployment that an owner makes. */
  readonly patchMade?: readonly PatchOp[];
  /** Revisions that nothing needs any more are to be deleted. */
  readonly prune?: boolean;
  /** Pods that the failed revision left behind: a StatefulSet does not replace them by itself. */
  readonly deleteStuckPods?: boolean;
  readonly keep?: Own;
  readonly status?: AuditConfigStatus;
  readonly requeueAfterMs?: number;
  /** Decided without: they are to be read, and it is to be decided again. */
  readonly needs?: 'LastValid' | 'LastGood';
  /** What the pods must reach; absent where it is not for this AuditConfig to say. egress.ts and the controller do the rest. */
  readonly egress?: EgressWish;
  readonly settled: boolean;
};

/** What is to happen to the workload, and what is said of it. */
type Step = Pick<
  HostedDecision,
  'publish' | 'patchMade' | 'rotate' | 'patch' | 'prune' | 'deleteStuckPods' | 'requeueAfterMs' | 'needs'
> & {
  readonly rolled: RolledOut;
  readonly degraded?: Verdict<'Degraded'>;
  readonly memory: Memory;
  readonly settled?: boolean;
};

const FIGHT_MS = 10 * 60_000;
/** No watch tells of a workload that is not labelled yet. */
const LOOK_AGAIN_MS = 60_000;
const FORBIDDEN_MS = 10_000;
const BUSY_MS = 10_000;
/** No watch tells of what an owner makes. */
const MADE_MS = 2_000;
/** Looking for what may be deleted takes four lists, and what is left lying until then is small. */
const PRUNE_AFTER = 5;

const rolled = (status: RolledOut['status'], reason: Reasons['RolledOut'], message: string): RolledOut => ({
  type: 'RolledOut',
  status,
  reason,
  message,
});
const degraded = (reason: Reasons['Degraded'], message: string): Verdict<'Degraded'> => ({
  type: 'Degraded',
  status: 'True',
  reason,
  message: message.slice(0, 4096),
});

/** The same at every look, so that pods that come and go write no status. */
const progressing = (what: string, { workload }: HostedFacts): RolledOut =>
  rolled('False', 'Progressing', `${what} is rolled out in ${nameOf(workload)}`);

const short = (digest: string): string => digest.slice(0, 16);
const nameOf = ({ spec, name }: WorkloadFact): string => `${spec.kind} ${name}`;
const memoryOf = ({ status }: Facts): Memory => status.workload ?? {};
const planFor = (to: Revision | null, { object, spec }: WorkloadFact) => managed.plan(to, { workload: object }, spec);
const opsOf = (plan: { readonly changes: readonly { readonly patch: readonly PatchOp[] }[] }): readonly PatchOp[] =>
  plan.changes.flatMap((c) => c.patch);

/** Everything that the steps below look at. */
type Scene = {
  readonly facts: HostedFacts;
  readonly accepted: Accepted;
  readonly view: HostedView;
  readonly state: RolloutState;
  readonly memory: Memory;
};

/** Why nothing may begin now; undefined where it may. */
function holdBack({
  facts,
  accepted,
  state,
  memory,
  view,
}: Scene): Pick<Step, 'rolled' | 'requeueAfterMs'> | undefined {
  const rollout = accepted.effective?.spec.rollout ?? DEFAULT_ROLLOUT;
  const what = nameOf(facts.workload);
  if (rollout.paused && !facts.meta.deleting)
    return { rolled: rolled('False', 'Paused', `rollout.paused holds back ${what}`) };
  const { opensAt: opens } = opensAt(rollout.windows, facts.now);
  if (opens !== undefined)
    return {
      rolled: rolled('False', 'OutsideWindow', `${what} follows when the next window opens at ${timestamp(opens)}`),
      requeueAfterMs: Math.max(1_000, opens - facts.now),
    };
  // A change of ours on its way is pre-empted, and so is that of whoever took ours out.
  const ours = view.digest === undefined ? memory.digest !== undefined : view.digest !== memory.lastKnownGood;
  if (state.state === 'Complete' || rollout.allowDegraded || facts.meta.deleting || ours) return undefined;
  const why = state.state === 'Paused' ? 'spec.paused is set' : state.message;
  return {
    rolled: rolled('False', 'Waiting', `${what} is not through with what it has: ${why}`),
    ...(view.digest === undefined ? { requeueAfterMs: BUSY_MS } : {}),
  };
}

/** Puts a revision in, or takes ours out. */
function patchTo(scene: Scene, to: Revision | null, memory: Memory): Step {
  const { facts, memory: before } = scene;
  const plan = planFor(to, facts.workload);
  if ('refused' in plan)
    return {
      rolled: rolled('False', 'WorkloadRefused', sentence(plan.refused)),
      memory: before,
      requeueAfterMs: LOOK_AGAIN_MS,
    };
  const held = plan.restarts ? holdBack(scene) : undefined;
  if (held !== undefined) return { ...held, memory: before };
  const what = to === null ? 'removal' : `revision ${short(to.digest)}`;
  const published = Math.min((memory.published ?? 0) + 1, 1_000);
  const after: Memory = {
    ...memory,
    startedTime: timestamp(facts.now),
    ...(to === null ? {} : { digest: to.digest, published }),
  };
  return {
    ...(to === null ? {} : { publish: to }),
    patch: opsOf(plan),
    rolled: progressing(what, facts),
    memory: after,
    requeueAfterMs: timeoutOf(scene),
  };
}

/** Machines take longer than pods: an owner's own patience counts where nobody set one. */
function timeoutOf({ accepted, facts: { workload } }: Pick<Scene, 'accepted' | 'facts'>): number {
  const { timeoutSeconds } = accepted.effective?.spec.rollout ?? DEFAULT_ROLLOUT;
  const origin = accepted.effective?.provenance['rollout.timeoutSeconds'];
  const set = origin === undefined || origin.set.from === 'BuiltIn' ? undefined : timeoutSeconds;
  return (ownerFor(workload.spec.kind)?.timeoutSeconds(workload.object, set) ?? timeoutSeconds) * 1000;
}

const recent = (reverts: readonly string[] | undefined, now: number): readonly string[] =>
  (reverts ?? []).filter((t) => now - Date.parse(t) < FIGHT_MS);

/** Somebody took our edit out: once more, or no more. */
function reverted(scene: Scene, to: Revision): Step {
  const { facts, memory } = scene;
  if (memory.fight?.generation === facts.meta.generation) return fighting(scene, memory.fight.manager);
  const reverts = [...recent(memory.reverts, facts.now), timestamp(facts.now)];
  if (reverts.length >= 2) return fighting(scene, managerOf(facts.workload.object));
  const { fight: _over, ...rest } = memory;
  return patchTo(scene, to, { ...rest, reverts });
}

function fighting({ facts, memory }: Scene, manager: string): Step {
  const said = `${manager} wrote ${nameOf(facts.workload)} back twice within ten minutes: nothing is put in any more until spec changes. Let its owner leave arguments and volumes alone, or set auditing where it takes them from`;
  const { reverts: _counted, ...rest } = memory;
  return {
    rolled: rolled('False', 'FieldFight', said),
    degraded: degraded('FieldFight', said),
    memory: { ...rest, fight: { manager: manager.slice(0, 256), generation: facts.meta.generation } },
  };
}

/** It has what is wanted: is it through? */
function follow(scene: Scene, to: Revision): Step {
  const { facts, state, memory: before } = scene;
  const { fight: _over, ...memory } = before;
  const what = `revision ${short(to.digest)}`;
  if (state.state === 'Complete') {
    const { startedTime: _done, refused: _old, published = 0, ...rest } = memory;
    const prune = published >= PRUNE_AFTER;
    return {
      rolled: rolled('True', 'Complete', `all pods of ${nameOf(facts.workload)} run ${what}`),
      memory: {
        ...rest,
        digest: to.digest,
        lastKnownGood: to.digest,
        ...(prune || published === 0 ? {} : { published }),
      },
      ...(prune ? { prune } : {}),
      settled: true,
    };
  }
  // Written by the patch itself: a controller that died right after it has not said when it began.
  const began =
    memory.digest === to.digest && memory.startedTime !== undefined ? memory.startedTime : timestamp(facts.now);
  const left = Date.parse(began) + timeoutOf(scene) - facts.now;
  const proven = memory.lastKnownGood === to.digest;
  const failed = state.state === 'Failed' || (left <= 0 && state.state !== 'Paused');
  const why = state.state === 'Paused' ? 'spec.paused is set' : state.message;
  if (failed && !proven) return goBack(scene, to, why);
  return {
    rolled:
      state.state === 'Paused'
        ? rolled('False', 'Waiting', `${what} in ${nameOf(facts.workload)}: ${why}`)
        : progressing(what, facts),
    memory: { ...memory, digest: to.digest, ...(proven ? {} : { startedTime: began }) },
    // No watch tells that time has passed.
    ...(proven || state.state === 'Paused' ? {} : { requeueAfterMs: Math.max(1_000, left) }),
  };
}

/** Not available in time. */
function goBack(scene: Scene, bad: Revision, why: string): Step {
  const { facts, memory, view } = scene;
  const { lastGood } = facts.workload;
  if (memory.lastKnownGood !== undefined && lastGood === undefined)
    return { rolled: rolled('False', 'Progressing', why), memory, needs: 'LastGood' };
  if (lastGood === 'Lost')
    return {
      rolled: rolled('False', 'NodeHeld', `what was published of the last good revision is gone; ${why}`),
      degraded: degraded('NodeHeld', `revision ${short(bad.digest)} failed (${why}), and the last good one is gone`),
      memory,
    };
  const plan = planFor(lastGood ?? null, facts.workload);
  const message = `revision ${short(bad.digest)} was not available in time: ${why}`.slice(0, 2048);
  const { digest: _bad, ...rest } = memory;
  const after: Memory = {
    ...rest,
    startedTime: timestamp(facts.now),
    refused: { digest: bad.digest, base: view.base, message },
    ...(lastGood === undefined ? {} : { digest: lastGood.digest }),
  };
  return { ...refusedStep(scene, after), ...('refused' in plan ? {} : { patch: opsOf(plan) }) };
}

/** It went back, and stays there until the digest or the owner's template is another one. */
function refusedStep(
  { facts, state, memory }: Pick<Scene, 'facts' | 'state' | 'memory'>,
  after: Memory = memory,
): Step {
  const said = after.refused?.message ?? '';
  const to = after.lastKnownGood === undefined ? 'what its owner had' : `revision ${short(after.lastKnownGood)}`;
  const seen = after === memory && state.state !== 'Complete';
  return {
    rolled: rolled(
      'False',
      'NodeHeld',
      `${nameOf(facts.workload)} went back to ${to}, and this revision is not tried again until something changes`,
    ),
    degraded: degraded('NodeHeld', `${nameOf(facts.workload)} does not run what is wanted: ${said}`),
    memory: after,
    ...(facts.workload.spec.kind === 'StatefulSet' && seen ? { deleteStuckPods: true } : {}),
  };
}

function remove(scene: Scene): Step {
  const { facts, state } = scene;
  const left = managed.verify(null, { workload: facts.workload.object }, facts.workload.spec);
  if (left.length > 0) return patchTo(scene, null, {});
  const what = nameOf(facts.workload);
  return state.state === 'Complete' || facts.meta.deleting
    ? {
        rolled: rolled('True', 'Removed', `auditing by auditconfig is removed from ${what}`),
        memory: {},
        settled: true,
      }
    : { rolled: rolled('False', 'Progressing', `${what} gets rid of it`), memory: {} };
}

function install(scene: Scene, to: Revision): Step {
  const { facts, memory, view } = scene;
  const { refused } = memory;
  if (refused?.digest === to.digest && refused.base === view.base && view.digest !== to.digest)
    return refusedStep(scene);
  const plan = planFor(to, facts.workload);
  const inPlace = 'changes' in plan && plan.changes.length === 0;
  if (inPlace && view.digest === to.digest) return follow(scene, to);
  // Where files stay as they were made, other credentials are another rollout, and nobody's revert.
  if (view.digest === to.digest && memory.digest === to.digest && memory.credentials !== credentialsOf(to))
    return patchTo(scene, to, forget(memory));
  const gone = view.digest === undefined || view.digest === to.digest;
  return memory.digest !== undefined && gone ? reverted(scene, to) : patchTo(scene, to, forget(memory));
}

const credentialsOf = ({ credentials }: Revision): string | undefined =>
  credentials === undefined ? undefined : credentialsDigest(credentials.reveal());

/** What was said of another digest. */
const forget = ({ refused: _refused, reverts: _reverts, fight: _fight, ...rest }: Memory): Memory => rest;

const stateOf = ({ object, spec, made }: WorkloadFact): RolloutState =>
  isOwnerSpec(spec) ? ownerOf(spec.kind).rollout(object, made) : rolloutOf(object, spec.kind);

/** What an owner leaves in the Deployment that it makes is taken out there, and nothing is through before it is gone. */
function tidied(step: Step, { workload }: HostedFacts): Step {
  const { made } = ownerFor(workload.spec.kind) ?? {};
  if (made === undefined || workload.object === null || step.patch !== undefined) return step;
  const patchMade = made.stale(workload.object, workload.made);
  const isGoing = step.settled === true && step.rolled.reason === 'Removed';
  if (patchMade.length === 0 && !(isGoing && made.hasOurs(workload.made))) return step;
  return {
    ...step,
    patchMade,
    rolled: rolled('False', 'Progressing', `the Deployment of ${nameOf(workload)} gets rid of what is stale`),
    settled: false,
    requeueAfterMs: MADE_MS,
  };
}

function stepOf(facts: HostedFacts, accepted: Accepted): Step {
  const { workload, meta } = facts;
  const memory = memoryOf(facts);
  const removing = meta.deleting || accepted.effective?.spec.state === 'Disabled';
  if (workload.forbidden !== undefined)
    return {
      rolled: rolled('False', 'Blocked', `${workload.forbidden}; it is tried again`),
      memory,
      requeueAfterMs: FORBIDDEN_MS,
    };
  if (workload.object === null)
    return {
      rolled: removing
        ? rolled('True', 'Removed', `there is no ${nameOf(workload)} to remove anything from`)
        : rolled(
            'False',
            'WorkloadNotFound',
            workload.unserved ?? `there is no ${nameOf(workload)} in namespace ${meta.namespace}`,
          ),
      memory,
      requeueAfterMs: LOOK_AGAIN_MS,
      settled: removing,
    };
  const view = hostedViewOf(facts);
  if (view === undefined) {
    const plan = planFor(null, workload);
    const why = 'refused' in plan ? sentence(plan.refused) : '';
    return { rolled: rolled('False', 'WorkloadRefused', why), memory, requeueAfterMs: LOOK_AGAIN_MS };
  }
  const scene: Scene = { facts, accepted, view, memory, state: stateOf(workload) };
  if (removing) return remove(scene);
  if (accepted.revision === undefined) return { rolled: notAccepted(facts), memory };
  return install(scene, accepted.revision);
}

const notAccepted = ({ status, workload }: HostedFacts): RolledOut =>
  rolled(
    'False',
    'NotAccepted',
    status.revision === undefined
      ? `${nameOf(workload)} was not touched`
      : `${nameOf(workload)} was not touched; revision ${short(status.revision.digest)} stays where it is`,
  );

/** Certificates and tokens are no part of a revision; those that its pods shall read come after it, and beside it. */
function withCredentials(step: Step, { revision }: Accepted, { workload }: HostedFacts): Step {
  const { memory } = step;
  const credentials = revision?.credentials;
  if (revision === undefined || memory.digest === undefined || workload.object === null) return step;
  if (credentials === undefined) {
    const { credentials: _none, ...rest } = memory;
    return { ...step, memory: rest };
  }
  const digest = credentialsDigest(credentials.reveal());
  if (memory.credentials === digest) return step;
  const rotate = step.publish === undefined ? { rotate: revision } : {};
  return { ...step, ...rotate, memory: { ...memory, credentials: digest } };
}

const mine = ({ workload, meta }: HostedFacts): boolean => workload.claimant.uid === meta.uid;

function egressOf(facts: HostedFacts, accepted: Accepted, { memory, settled }: Step): EgressWish {
  const removed = facts.meta.deleting || accepted.effective?.spec.state === 'Disabled';
  const removing = removed ? (settled === true ? 'Done' : 'Begun') : 'No';
  return egressWishOf({
    accepted,
    workload: facts.workload,
    view: hostedViewOf(facts),
    memory,
    removing,
    datacenters: facts.governed?.datacenters ?? [],
  });
}

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

export function decideHosted(facts: HostedFacts): HostedDecision {
  const accepted = accept(facts);
  const { meta } = facts;
  if (accepted.needsLastValid === true && !meta.deleting)
    return { finalizer: 'Keep', needs: 'LastValid', settled: false };
  if (meta.deleting && !meta.hasFinalizer) return { finalizer: 'Keep', settled: false };
  if (meta.deleting && facts.definition === 'Leaving') return { finalizer: 'Remove', settled: false };
  if (meta.deleting && facts.definition === 'Unknown')
    return { finalizer: 'Keep', settled: false, requeueAfterMs: UNKNOWN_RETRY_MS };
  if (meta.deleting && !mine(facts)) return { finalizer: 'Remove', settled: false };
  const acts = meta.deleting || accepted.verdict.status === 'True' || accepted.keeps !== undefined;
  const decided: Step = acts ? stepOf(facts, accepted) : { rolled: notAccepted(facts), memory: memoryOf(facts) };
  const rotated = acts ? withCredentials(decided, accepted, facts) : decided;
  const { found, kubeconfig } = facts.workload;
  const known = { ...rotated, memory: withFound(rotated.memory, found, kubeconfig !== undefined) };
  const step = acts ? tidied(known, facts) : known;
  if (step.needs !== undefined) return { finalizer: 'Keep', needs: step.needs, settled: false };
  if (meta.deleting && step.settled === true)
    return isOwnerSpec(facts.workload.spec)
      ? { finalizer: 'Remove', settled: true }
      : { finalizer: 'Remove', egress: { want: 'Nothing' }, settled: true };
  const later = laterIn(accepted, facts.now);
  if (acts && !meta.hasFinalizer)
    return {
      finalizer: 'Add',
      status: statusOf(facts, accepted, { ...step, memory: memoryOf(facts) }),
      settled: false,
    };
  return act(facts, accepted, step, later);
}

function act(facts: HostedFacts, accepted: Accepted, step: Step, later: number | undefined): HostedDecision {
  const status = statusOf(facts, accepted, step);
  const { look, at } = mine(facts) && step.settled === true ? nextLook(facts, accepted, step.memory) : {};
  const times = [step.requeueAfterMs, later, at].filter((ms) => ms !== undefined);
  const { publish, rotate, patch, patchMade, prune, deleteStuckPods } = step;
  const keep =
    accepted.own === undefined || status.lastValid?.name === facts.status.lastValid?.name ? {} : { keep: accepted.own };
  return {
    finalizer: 'Keep',
    ...(publish === undefined ? {} : { publish }),
    ...(rotate === undefined ? {} : { rotate }),
    ...(patch === undefined || patch.length === 0 ? {} : { patch }),
    ...(look === undefined ? {} : { look }),
    ...(patchMade === undefined || patchMade.length === 0 ? {} : { patchMade }),
    ...(prune === true ? { prune } : {}),
    ...(deleteStuckPods === true ? { deleteStuckPods } : {}),
    ...keep,
    status,
    // Which pods an owner makes of its object is not known here.
    ...(mine(facts) && !isOwnerSpec(facts.workload.spec) ? { egress: egressOf(facts, accepted, step) } : {}),
    ...(times.length === 0 ? {} : { requeueAfterMs: Math.min(...times) }),
    settled: step.settled === true,
  };
}

const FINE: Verdict<'Degraded'> = {
  type: 'Degraded',
  status: 'False',
  reason: 'AsExpected',
  message: 'nothing failed',
};

function statusOf(facts: HostedFacts, accepted: Accepted, step: Step): AuditConfigStatus {
  const moment: Moment = { now: timestamp(facts.now), generation: facts.meta.generation };
  const verdicts: readonly Verdict[] = [
    accepted.verdict,
    step.rolled,
    step.degraded ?? keptVerdict(accepted) ?? FINE,
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
