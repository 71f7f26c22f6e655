/**
 * The steps of one hosted workload: put a revision in, follow it, put it in again, go back, take ours out. Rules 2 to 4 of
 * hosted.ts, which calls them.
 */
import type { Revision } from '../../render/types.ts';
import { credentialsDigest } from '../../render/webhook/credentials.ts';
import { isOwnerSpec, managed, ownerFor } from '../../targets/managed.ts';
import { sentence } from '../accept.ts';
import { paceOf } from '../pace.ts';
import { timestamp } from '../turn.ts';
import { opensAt } from '../windows.ts';
import { managerOf } from './field-managers.ts';
import { planFor } from './plan.ts';
import { LOOK_AGAIN_MS, degraded, nameOf, opsOf, progressing, rolled, short } from './scene.ts';
import type { Memory, Scene, Step } from './scene.ts';

const FIGHT_MS = 10 * 60_000;
const BUSY_MS = 10_000;
/** Looking for what may be deleted takes four lists, and what is left lying until then is small. */
const PRUNE_AFTER = 5;

const whyNot = (state: Exclude<Scene['state'], { readonly state: 'Complete' }>): string =>
  state.state === 'Paused' ? (state.message ?? 'spec.paused is set') : state.message;

/** Why nothing may begin now; undefined where it may. */
function holdBack({
  facts,
  accepted,
  state,
  memory,
  view,
}: Scene): Pick<Step, 'rolled' | 'requeueAfterMs'> | undefined {
  const rollout = paceOf(accepted);
  const what = nameOf(facts.workload);
  if (rollout.paused && !facts.meta.deleting)
    return { rolled: rolled('False', 'Paused', `rollout.paused holds back ${what}`) };
  const opens = opensAt(rollout.windows, facts.now);
  if (opens !== undefined)
    return {
      rolled: rolled('False', 'OutsideWindow', `${what} follows when the next window opens at ${timestamp(opens)}`),
      requeueAfterMs: Math.max(1_000, opens - facts.now),
    };
  // A change of ours on its way is pre-empted, and so is that of whoever took ours out.
  const ours = view.digest === undefined ? memory.digest !== undefined : view.digest !== memory.lastKnownGood;
  if (state.state === 'Complete' || rollout.allowDegraded || facts.meta.deleting || ours) return undefined;
  const why = whyNot(state);
  return {
    rolled: rolled('False', 'Waiting', `${what} is not through with what it has: ${why}`),
    ...(view.digest === undefined ? { requeueAfterMs: BUSY_MS } : {}),
  };
}

/** Puts a revision in, or takes ours out. `isUndoing`: what runs does harm, so that nothing holds it back. */
export function patchTo(scene: Scene, to: Revision | null, memory: Memory, isUndoing = false): Step {
  const { facts, memory: before } = scene;
  const plan = planFor(to, facts.workload);
  if ('refused' in plan)
    return {
      rolled: rolled('False', 'WorkloadRefused', sentence(plan.refused)),
      memory: before,
      requeueAfterMs: LOOK_AGAIN_MS,
    };
  const held = plan.restarts && !isUndoing ? holdBack(scene) : undefined;
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
  const { timeoutSeconds } = paceOf(accepted);
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

/**
 * It was through, and somebody changed something beside: an annotation is a new generation of a Deployment. Its pods of
 * before and after have our revision, and what becomes of them its controller tells next.
 */
const isAsBefore = ({ state, memory }: Scene, { digest }: Revision): boolean =>
  state.state === 'Progressing' &&
  state.isUnseen === true &&
  memory.startedTime === undefined &&
  memory.digest === digest &&
  memory.lastKnownGood === digest;

/**
 * It was through, and pods of it are not available. Perhaps they cannot start, since somebody deleted what was published, or it
 * went with the workload that was there before under that name: pods wait for such an object for ever.
 */
function publishedAgain({ facts, state, memory }: Scene, to: Revision): Pick<Step, 'needs' | 'publish'> {
  const { running, spec } = facts.workload;
  const isRolling = memory.startedTime !== undefined && memory.digest === to.digest;
  const isUnseen = state.state === 'Progressing' && state.isUnseen === true;
  if (isOwnerSpec(spec) || isRolling || isUnseen || state.state === 'Paused') return {};
  if (running === undefined) return { needs: 'Running' };
  return running === 'Lost' ? { publish: to } : {};
}

/** It has what is wanted: is it through? */
function follow(scene: Scene, to: Revision): Step {
  const { facts, state, memory: before } = scene;
  const { fight: _over, ...memory } = withoutFallback(before, to);
  const what = `revision ${short(to.digest)}`;
  if (state.state === 'Complete' || isAsBefore(scene, to)) {
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
  // Its time begins when it may go on.
  const { startedTime: _until, ...halted } = memory;
  const isHalted = state.state === 'Paused';
  // From what hangs there is no way but this one.
  const isTwin = memory.fallback?.twin === to.digest;
  const failed = !isTwin && (state.state === 'Failed' || (left <= 0 && !isHalted));
  const why = whyNot(state);
  if (failed && !proven) return goBack(scene, to, why);
  const again = publishedAgain(scene, to);
  if (again.needs !== undefined) return { rolled: progressing(what, facts), memory: before, needs: again.needs };
  return {
    rolled: isHalted
      ? rolled('False', 'Waiting', `${what} in ${nameOf(facts.workload)}: ${why}`)
      : progressing(what, facts),
    memory: isHalted
      ? { ...halted, digest: to.digest }
      : { ...memory, digest: to.digest, ...(proven ? {} : { startedTime: began }) },
    ...again,
    // No watch tells that time has passed.
    ...(proven || isTwin || isHalted ? {} : { requeueAfterMs: Math.max(1_000, left) }),
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

export function remove(scene: Scene): Step {
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

export function install(scene: Scene, to: Revision): Step {
  const { facts, memory, view } = scene;
  const { refused } = memory;
  if (refused?.digest === to.digest && refused.base === view.base && view.digest !== to.digest)
    return refusedStep(scene);
  const plan = planFor(to, facts.workload);
  const inPlace = 'changes' in plan && plan.changes.length === 0;
  if (inPlace && view.digest === to.digest) return follow(scene, to);
  // What is remembered of it is not what it should be, and its template is: nothing restarts.
  if ('changes' in plan && !plan.restarts && view.digest === to.digest)
    return { ...follow(scene, to), patch: opsOf(plan) };
  // Where files stay as they were made, other credentials are another rollout, and nobody's revert.
  if (view.digest === to.digest && memory.digest === to.digest && memory.credentials !== credentialsOf(to))
    return patchTo(scene, to, forget(memory, to));
  const gone = view.digest === undefined || view.digest === to.digest;
  return memory.digest !== undefined && gone ? reverted(scene, to) : patchTo(scene, to, forget(memory, to));
}

const credentialsOf = ({ credentials }: Revision): string | undefined =>
  credentials === undefined ? undefined : credentialsDigest(credentials.reveal());

/** What was said of another digest. */
const forget = ({ refused: _refused, reverts: _reverts, fight: _fight, ...rest }: Memory, to: Revision): Memory =>
  withoutFallback(rest, to);

/** That it went back counts as long as the twin is what is wanted. */
function withoutFallback(memory: Memory, to: Revision): Memory {
  const { fallback, ...rest } = memory;
  return fallback === undefined || fallback.twin === to.digest ? memory : rest;
}
