/**
 * One hosted AuditConfig, its workload, and the time: what is to be done? Pure, as decide.ts is for nodes; Kubernetes itself
 * does the rollout, and this follows it.
 *
 * 1. Nothing is patched before the finalizer is there and the revision is published.
 * 2. Only a workload whose last rollout is complete is changed, or one that is at a change of ours: a newer one pre-empts.
 * 3. Not available in time: back to the last revision that was, or, where none ever was, to what its owner had. That digest is
 *    not tried again until it or the owner's template is another one.
 * 4. Our edit gone is a revert: put in again once. A second one in ten minutes is a fight: stop, and name the manager.
 * 5. Another certificate or token of the webhook under the same kubeconfig changes a Secret and nothing else, at any time; and
 *    so it does for pods that run an older revision while a newer one waits, as far as it can be told to be for them (carried.ts).
 * 6. A webhook that keeps requests waiting is gone back from, whatever else is to be done, and stays so (fallback.ts).
 * 7. What cannot be read changes nothing, and absence removes nothing: flags leave by a patch of ours, or with their workload.
 */
import { credentialsDigest } from '../../render/webhook/credentials.ts';
import { rolloutOf } from '../../targets/hosted/rollout.ts';
import { isOwnerSpec, ownerFor, ownerOf } from '../../targets/managed.ts';
import type { RolloutState } from '../../targets/owners/types.ts';
import { accept, hostedViewOf, sentence } from '../accept.ts';
import type { Accepted } from '../accept.ts';
import { saidIn } from '../credentials-waiting.ts';
import type { WorkloadFact } from '../facts.ts';
import { laterIn, UNKNOWN_RETRY_MS } from '../pace.ts';
import { withCarried } from './carried.ts';
import { egressWishOf } from './egress-wish.ts';
import type { EgressWish } from './egress-facts.ts';
import { askFor, blindness, heldBack, unasked, withWayBack } from './fallback.ts';
import { nextLook, withFound } from './proof.ts';
import { planFor } from './plan.ts';
import { LOOK_AGAIN_MS, memoryOf, nameOf, rolled, short } from './scene.ts';
import type { HostedDecision, HostedFacts, RolledOut, Scene, Step } from './scene.ts';
import { statusOf } from './status.ts';
import { install, patchTo, remove } from './steps.ts';

const FORBIDDEN_MS = 10_000;
/** No watch tells of what an owner makes. */
const MADE_MS = 2_000;
/** Half a minute would be lost of every rollout, and each look is three requests. */
const SILENT_MS = 5_000;

const stateOf = ({ object, spec, made = {} }: WorkloadFact): RolloutState =>
  isOwnerSpec(spec) ? ownerOf(spec.kind).rollout(object, made) : rolloutOf(object, spec.kind);

/** What an owner leaves in what it makes is taken out there, and nothing is through before it is gone. */
function tidied(step: Step, { workload }: HostedFacts): Step {
  const leaves = ownerFor(workload.spec.kind)?.made?.leaves;
  if (leaves === undefined || workload.object === null || step.patch !== undefined) return step;
  const made = workload.made?.[leaves.in];
  const patchMade = leaves.stale(workload.object, made);
  const isGoing = step.settled === true && step.rolled.reason === 'Removed';
  if (patchMade.length === 0 && !(isGoing && leaves.hasOurs(made))) return step;
  return {
    ...step,
    patchMade,
    rolled: rolled('False', 'Progressing', `what is made of ${nameOf(workload)} gets rid of what is stale`),
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
  const { revision } = heldBack(accepted, facts);
  const normal = (): Step => {
    if (removing) return remove(scene);
    if (revision === undefined) return { rolled: notAccepted(facts), memory };
    return unasked(scene, revision) ?? install(scene, revision);
  };
  return watched(withWayBack(scene, accepted, { normal, put: (to, m) => patchTo(scene, to, m, true) }), facts);
}

/** Of what an owner makes nobody tells when it is through, and of some owners' objects neither. */
function watched(step: Step, { workload }: HostedFacts): Step {
  const isSilent = ownerFor(workload.spec.kind)?.made?.isSilent === true;
  if (!isSilent || step.rolled.reason !== 'Progressing') return step;
  return { ...step, requeueAfterMs: Math.min(SILENT_MS, step.requeueAfterMs ?? Infinity) };
}

/** Of a spec that counts for nothing: what runs stays, but for what keeps requests waiting. */
function stays(facts: HostedFacts, accepted: Accepted): Step {
  const { workload } = facts;
  const memory = memoryOf(facts);
  const nothing: Step = { rolled: notAccepted(facts), memory };
  const view = hostedViewOf(facts);
  if (view === undefined || !mine(facts)) return nothing;
  const scene: Scene = { facts, accepted, view, memory, state: stateOf(workload) };
  return withWayBack(scene, accepted, { normal: () => nothing, put: (to, m) => patchTo(scene, to, m, true) });
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

/** What is on its way needs no alarm. */
function unhurried(step: Step, { status, now }: HostedFacts): Step {
  if (step.doubt?.reason !== 'CredentialsWaiting') return step;
  const afterMs = saidIn(step.rolled, status, now);
  if (afterMs === 0) return step;
  const { doubt: _later, ...rest } = step;
  return { ...rest, requeueAfterMs: Math.min(afterMs, step.requeueAfterMs ?? afterMs) };
}

/** Which pods an owner makes of its object is not always known here. */
const knowsPods = ({ workload: { spec } }: HostedFacts): boolean =>
  !isOwnerSpec(spec) || ownerOf(spec.kind).made?.pods !== undefined;

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
  const wanted = heldBack(accepted, facts);
  const decided: Step = acts ? stepOf(facts, accepted) : stays(facts, accepted);
  const isThere = hostedViewOf(facts)?.digest === accepted.revision?.digest;
  const rotated = acts
    ? unhurried(withCarried(withCredentials(decided, wanted, facts), isThere ? accepted : wanted, facts), facts)
    : decided;
  const { found, kubeconfig } = facts.workload;
  const known = { ...rotated, memory: withFound(rotated.memory, found, kubeconfig) };
  const step = asking(acts ? tidied(known, facts) : known, accepted, facts);
  if (step.needs !== undefined) return { finalizer: 'Keep', needs: step.needs, settled: false };
  if (meta.deleting && step.settled === true)
    return knowsPods(facts)
      ? { finalizer: 'Remove', egress: { want: 'Nothing' }, settled: true }
      : { finalizer: 'Remove', settled: true };
  const later = laterIn(accepted, facts.now);
  if (acts && !meta.hasFinalizer)
    return {
      finalizer: 'Add',
      status: statusOf(facts, accepted, { ...step, memory: memoryOf(facts) }),
      settled: false,
    };
  return act(facts, accepted, step, later);
}

/** Where requests may wait for a webhook: who is to tell, and that nobody can. */
function asking(step: Step, accepted: Accepted, facts: HostedFacts): Step {
  const ask = askFor(accepted, facts);
  if (ask === 'Running') return { ...step, needs: step.needs ?? 'Running' };
  const doubt = step.doubt ?? blindness(facts);
  return { ...step, ...(ask === undefined ? {} : { ask }), ...(doubt === undefined ? {} : { doubt }) };
}

function act(facts: HostedFacts, accepted: Accepted, step: Step, later: number | undefined): HostedDecision {
  const status = statusOf(facts, accepted, step);
  const isSettled = mine(facts) && step.settled === true;
  const { look, at } = isSettled ? nextLook(facts, heldBack(accepted, facts), step.memory) : {};
  const times = [step.requeueAfterMs, later, at].filter((ms) => ms !== undefined);
  const { publish, rotate, carry, patch, patchMade, prune, deleteStuckPods, ask } = step;
  const keep =
    accepted.own === undefined || status.lastValid?.name === facts.status.lastValid?.name ? {} : { keep: accepted.own };
  return {
    finalizer: 'Keep',
    ...(publish === undefined ? {} : { publish }),
    ...(rotate === undefined ? {} : { rotate }),
    ...(carry === undefined ? {} : { carry }),
    ...(patch === undefined || patch.length === 0 ? {} : { patch }),
    ...(look === undefined ? {} : { look }),
    ...(ask === undefined ? {} : { ask }),
    ...(patchMade === undefined || patchMade.length === 0 ? {} : { patchMade }),
    ...(prune === true ? { prune } : {}),
    ...(deleteStuckPods === true ? { deleteStuckPods } : {}),
    ...keep,
    status,
    ...(mine(facts) && knowsPods(facts) ? { egress: egressOf(facts, accepted, step) } : {}),
    ...(times.length === 0 ? {} : { requeueAfterMs: Math.min(...times) }),
    settled: step.settled === true,
  };
}
