/**
 * The way back of a hosted API server from a webhook that keeps requests waiting: to the same revision in mode Batch, its twin.
 * Whether they wait is a fact (src/controllers/hosted/serving.ts asks); here is decided what follows. Pure; called by hosted.ts.
 *
 * 1. Such a webhook is not put in before its API server has answered somebody who could tell.
 * 2. What is about to be done is in status before it is done: whoever is killed in between ends it in the next life. From then on
 *    the twin is what is wanted, so that every step of every other rollout holds for it too.
 * 3. It waits for no window, pause or other rollout of somebody's, and is not taken back where its pods are slow to come. But it
 *    begins only where no rollout of ours is on its way, which has an end of its own, and a revision that may be put in now goes first.
 * 4. It stays so until another revision is wanted, `auditconfig.dev/again` of the AuditConfig has another value, or the webhook
 *    has got other credentials and the API server counts that its receiver takes events: one that comes and goes is no reason.
 */
import type { Verdict } from '../../api/conditions.ts';
import { sha256 } from '../../config/canonical.ts';
import { batchTwin } from '../../render/batch-twin.ts';
import type { Revision } from '../../render/types.ts';
import type { HostedView } from '../../targets/hosted.ts';
import { at } from '../../targets/hosted/workload.ts';
import { isOwnerSpec } from '../../targets/managed.ts';
import { hostedViewOf } from '../accept.ts';
import type { Accepted } from '../accept.ts';
import { timestamp } from '../turn.ts';
import { degraded, memoryOf, nameOf, rolled, short } from './scene.ts';
import type { AskServing, HostedFacts, Memory, Scene, Step } from './scene.ts';

const MODE = '--audit-webhook-mode';
const ANNOTATION = 'auditconfig.dev/again';

const isBlocking = (mode: unknown): boolean => mode !== undefined && mode !== 'batch';
const modeOf = ({ flags }: Revision): unknown => flags.find((f) => f.name === MODE)?.value;

/** What it runs now, where requests wait for that. */
const blockingDigest = (view: HostedView | undefined): string | undefined =>
  isBlocking(view?.auditFlags.get(MODE)) ? view?.digest : undefined;

/** Of the annotation's value, which may be long. */
function againOf({ object }: HostedFacts): string | undefined {
  const value = at(object, 'metadata', 'annotations', ANNOTATION);
  return typeof value === 'string' ? sha256(value).slice(0, 16) : undefined;
}

/** Other credentials than when it went back, with which the receiver takes what it is sent. */
function isMended({ credentials, webhook, fallback }: Memory): boolean {
  const isOther = credentials !== undefined && credentials !== fallback?.credentials;
  return isOther && webhook?.result === 'Delivering' && webhook.credentials === credentials;
}

const isMeant = ({ fallback }: Memory, facts: HostedFacts): boolean => fallback?.again === againOf(facts);

/** What is accepted, with the twin in the place of a revision that was gone back from: rule 4. */
export function heldBack(accepted: Accepted, facts: HostedFacts): Accepted {
  const memory = memoryOf(facts);
  const { revision } = accepted;
  if (revision === undefined || memory.fallback?.of !== revision.digest) return accepted;
  const twin = batchTwin(revision);
  return twin === undefined || !isMeant(memory, facts) || isMended(memory) ? accepted : { ...accepted, revision: twin };
}

/** The revision that runs, from what is wanted or from what was published. */
function runningOf(digest: string, { revision }: Accepted, { workload }: HostedFacts): Revision | 'Lost' | undefined {
  if (revision?.digest === digest) return revision;
  const { running } = workload;
  return running === undefined || running === 'Lost' || running.digest === digest ? running : undefined;
}

/** Whether, and of what, its API server is to be asked all the time. `Running`: what it runs is to be read first. */
export function askFor(accepted: Accepted, facts: HostedFacts): AskServing | 'Running' | undefined {
  const { workload, meta } = facts;
  const { kubeconfig } = workload;
  const isOurs = workload.claimant.uid === meta.uid && !isOwnerSpec(workload.spec);
  if (kubeconfig === undefined || !isOurs || workload.object === null) return undefined;
  const digest = blockingDigest(hostedViewOf(facts));
  if (digest !== undefined) {
    const revision = runningOf(digest, accepted, facts);
    if (revision === undefined) return 'Running';
    return revision === 'Lost'
      ? undefined
      : { revision, isRunning: true, secret: kubeconfig, strict: isStrict(revision) };
  }
  const { revision } = heldBack(accepted, facts);
  if (revision === undefined || !isBlocking(modeOf(revision))) return undefined;
  return { revision, isRunning: false, secret: kubeconfig, strict: isStrict(revision) };
}

const isStrict = (revision: Revision): boolean => modeOf(revision) === 'blocking-strict';

/** Rule 1: why a revision is not put in yet. */
export function unasked({ facts, view, memory }: Scene, to: Revision): Step | undefined {
  const { serving } = facts.workload;
  if (!isBlocking(modeOf(to)) || view.digest === to.digest || serving?.is === 'Serves') return undefined;
  const why = serving?.is === 'Blind' ? serving.why : 'it has not answered yet';
  return {
    rolled: rolled(
      'False',
      'Waiting',
      `a webhook that requests wait for is put into ${nameOf(facts.workload)} when its API server has answered whoever is to tell whether they wait: ${why}`,
    ),
    memory,
  };
}

/** Requests wait, or did when it was decided to go back: the digest of what they wait in. */
function hanging({ facts, view, memory }: Scene): { readonly digest: string; readonly begun: boolean } | undefined {
  const digest = blockingDigest(view);
  if (digest === undefined || isOwnerSpec(facts.workload.spec)) return undefined;
  if (memory.fallback?.of === digest && isMeant(memory, facts) && !isMended(memory)) return { digest, begun: true };
  const { serving } = facts.workload;
  const isThrough = memory.startedTime === undefined && memory.lastKnownGood === digest;
  return serving?.is === 'Stuck' && serving.digest === digest && isThrough ? { digest, begun: false } : undefined;
}

const inBatch = ({ workload }: HostedFacts): string =>
  `the webhook's receiver kept requests to the API server of ${nameOf(workload)} waiting for a minute: its webhook is in mode Batch until another revision is wanted, ${ANNOTATION} of this AuditConfig has another value, or its webhook has other credentials that the receiver takes`;

const saidOf = (facts: HostedFacts, of: string): Pick<Step, 'rolled' | 'degraded'> => ({
  rolled: rolled(
    'False',
    'NodeHeld',
    `${nameOf(facts.workload)} went back from revision ${short(of)} to the same in mode Batch`,
  ),
  degraded: degraded('WebhookFallback', inBatch(facts)),
});

type Steps = {
  /** What would be done if requests did not wait. */
  readonly normal: () => Step;
  /** Puts a revision in, whatever holds others back. */
  readonly put: (to: Revision, memory: Memory) => Step;
};

/** The step to be taken, with what is said of it. `accepted`: without a twin in it. */
export function withWayBack(scene: Scene, accepted: Accepted, { normal, put }: Steps): Step {
  const { facts, memory } = scene;
  const step = normal();
  const stuck = hanging(scene);
  if (stuck === undefined) return afterwards(scene, step);
  const said = saidOf(facts, stuck.digest);
  // What changes pods now goes first, whatever it is.
  if (step.patch !== undefined) return step.memory.fallback === undefined ? step : { ...step, ...said };
  const running = runningOf(stuck.digest, accepted, facts);
  if (running === undefined) return { ...step, needs: 'Running' };
  const twin = running === 'Lost' ? undefined : batchTwin(running);
  if (twin === undefined) return { ...step, degraded: degraded('WebhookFallback', nothingLeft(facts, stuck.digest)) };
  if (stuck.begun) return { ...put(twin, memory), ...said };
  const again = againOf(facts);
  const { credentials } = memory;
  const fallback = {
    of: stuck.digest,
    twin: twin.digest,
    time: timestamp(facts.now),
    ...(again === undefined ? {} : { again }),
    ...(credentials === undefined ? {} : { credentials }),
  };
  // Written, and then done: it is decided again at once.
  return { ...said, memory: { ...memory, fallback }, requeueAfterMs: 0 };
}

const nothingLeft = ({ workload }: HostedFacts, of: string): string =>
  `requests to the API server of ${nameOf(workload)} wait for its webhook, and what was published of revision ${short(of)} is gone, so that nothing can be made of it: set webhook.mode Batch`;

/** A twin that is there, or on its way. */
function afterwards({ facts, view, state, memory }: Scene, step: Step): Step {
  const { fallback } = memory;
  if (fallback === undefined || step.memory.fallback === undefined || view.digest !== fallback.twin) return step;
  const { rolled: _as, requeueAfterMs, ...rest } = step;
  const said = saidOf(facts, fallback.of);
  const isNewer = step.rolled.status === 'False' && step.rolled.reason !== 'Progressing';
  const stuck = facts.workload.spec.kind === 'StatefulSet' && state.state !== 'Complete';
  return {
    ...rest,
    ...said,
    ...(isNewer ? { rolled: step.rolled } : {}),
    ...(stuck ? { deleteStuckPods: true } : {}),
    ...(requeueAfterMs === undefined ? {} : { requeueAfterMs }),
  };
}

/** Where it runs with nobody who could tell whether requests wait. */
export function blindness(facts: HostedFacts): Verdict<'Degraded'> | undefined {
  const digest = blockingDigest(hostedViewOf(facts));
  const { kubeconfig, serving, claimant, spec } = facts.workload;
  if (digest === undefined || claimant.uid !== facts.meta.uid || isOwnerSpec(spec)) return undefined;
  const isBlind = kubeconfig === undefined || (serving?.is === 'Blind' && serving.digest === digest);
  if (!isBlind) return undefined;
  const why = kubeconfig === undefined ? 'target.hosted.kubeconfigSecretRef is not set' : (serving?.why ?? '');
  return {
    type: 'Degraded',
    status: 'Unknown',
    reason: 'FallbackBlind',
    message: `requests to the API server of ${nameOf(facts.workload)} wait for its webhook, and nobody can tell when to go back to mode Batch: ${why}`,
  };
}
