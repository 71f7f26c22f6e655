/**
 * Asks hosted API servers with a webhook that requests wait for, every five seconds, whether they do: pods stay Ready meanwhile, so
 * nothing else tells. What is found out is a fact of the next decision (src/rollout/hosted/fallback.ts); nothing is decided or
 * written here. Each look has connections of its own, so that a Service gives it any of the pods: all have the same receiver, and
 * one that is answered by whichever of them ends the count. Nothing is asked of API servers with other webhooks, or without.
 */
import { introduction, isHeldUp, servingRequests } from '../../analysis/serving.ts';
import type { Decision, RequestAttributes } from '../../api/audit.ts';
import { whoIn } from '../../analysis/proof.ts';
import type { Who } from '../../analysis/proof.ts';
import { sha256 } from '../../config/canonical.ts';
import { createWorkQueue } from '../../kube/queue.ts';
import type { Outcome, WorkQueue } from '../../kube/queue.ts';
import type { ObjectKey } from '../../kube/types.ts';
import { compilePolicy } from '../../policy/evaluate.ts';
import { loadPolicy } from '../../policy/load.ts';
import { readReference } from '../../render/references.ts';
import type { Reference } from '../../render/references.ts';
import type { ServingFact } from '../../rollout/facts.ts';
import type { AskServing } from '../../rollout/hosted/scene.ts';
import type { KubeMetrics } from '../../telemetry/kube-metrics.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { hostedApi } from './api-server.ts';
import type { HostedApi } from './api-server.ts';
import { KUBECONFIG_KEYS } from './looks.ts';

const EVERY_MS = 5_000;
const STUCK_MS = 60_000;
/** A minute in which two of them happened to be slow is none in which nothing was answered. */
const STUCK_LOOKS = 3;
/** Restarts and rollouts take less. */
const BLIND_MS = 5 * 60_000;
/** Nearly all of a look is waiting, and all of them wait where a receiver of many died. */
const WORKERS = 256;

export type ServingOptions = {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Milliseconds of a clock that nobody sets. */
  readonly ticks: () => number;
  readonly metrics: KubeMetrics;
  readonly userAgent: string;
  readonly log: Logger;
  readonly read: (secret: { namespace: string; name: string }, signal: AbortSignal) => Promise<Reference>;
  /** Unset: a real one. */
  readonly open?: typeof hostedApi;
  /** What is told is another thing than before. */
  readonly changed: (key: ObjectKey) => void;
};

export type Wanted = { readonly uid: string; readonly namespace: string; readonly ask: AskServing };

/** `Held`: its recording keeps a request waiting. `Away`: whether it does cannot be told now. */
type Found = { readonly is: 'Serves' | 'Held' | 'Away' } | { readonly is: 'Blind'; readonly why: string };

type State = {
  readonly wanted: Wanted;
  /** By its policy. */
  readonly decide: (r: RequestAttributes) => Decision;
  /** As whom it is asked, and with which kubeconfig. */
  who?: { readonly as: Who; readonly with: string };
  /** In ticks: since when requests are held up, and when it could last be told whether they are. */
  heldSince?: number | undefined;
  toldAt: number;
  looks: number;
  fact?: ServingFact | undefined;
};

const POLICY = 'its policy records no request that may be sent without harm';
const SILENT = 'its API server could not be asked for five minutes';

const isSame = (a: Wanted, b: Wanted): boolean =>
  a.uid === b.uid &&
  a.ask.revision.digest === b.ask.revision.digest &&
  a.ask.isRunning === b.ask.isRunning &&
  a.ask.secret.name === b.ask.secret.name &&
  a.ask.secret.key === b.ask.secret.key;

const NOTHING: Decision = { level: 'None', rule: null, omitStages: [], omitManagedFields: false };

function decideBy({ revision }: AskServing): State['decide'] {
  const [version = '1.26'] = revision.versions;
  const { policy } = loadPolicy(revision.policy, version);
  return policy === undefined ? () => NOTHING : compilePolicy(policy).decide;
}

/** What is to be told after one more look, and the count of them. */
function judge(state: State, found: Found, { begun, now }: { readonly begun: number; readonly now: number }): void {
  const { digest } = state.wanted.ask.revision;
  const tell = (is: ServingFact['is'], why = ''): void => void (state.fact = { digest, is, why });
  if (found.is !== 'Held') [state.heldSince, state.looks] = [undefined, 0];
  if (found.is === 'Serves' || found.is === 'Held') state.toldAt = now;
  switch (found.is) {
    case 'Serves':
      return tell('Serves');
    case 'Blind':
      return tell('Blind', found.why);
    case 'Held':
      state.heldSince ??= begun;
      state.looks += 1;
      if (now - state.heldSince >= STUCK_MS && state.looks >= STUCK_LOOKS) tell('Stuck');
      return;
    case 'Away':
      if (now - state.toldAt >= BLIND_MS) return tell('Blind', SILENT);
      // Who is about to rely on it must have seen it.
      if (state.fact?.is !== 'Serves' || !state.wanted.ask.isRunning) state.fact = undefined;
  }
}

export class ServingWatch {
  readonly #o: ServingOptions;
  readonly #queue: WorkQueue<ObjectKey>;
  readonly #states = new Map<ObjectKey, State>();

  constructor(options: ServingOptions) {
    this.#o = options;
    this.#queue = createWorkQueue({ name: 'hosted-serving', log: options.log, metrics: options.metrics });
  }

  /** From now on; undefined: no more. The same again goes on counting. */
  ask(key: ObjectKey, wanted: Wanted | undefined): void {
    const before = this.#states.get(key);
    if (wanted === undefined) this.#states.delete(key);
    else if (before === undefined || !isSame(before.wanted, wanted)) {
      this.#states.set(key, { wanted, decide: decideBy(wanted.ask), toldAt: this.#o.ticks(), looks: 0 });
      this.#queue.add(key);
    }
  }

  /** A part of the facts about an AuditConfig. */
  told(key: ObjectKey): { readonly serving?: ServingFact } {
    const fact = this.#states.get(key)?.fact;
    return fact === undefined ? {} : { serving: fact };
  }

  work(signal: AbortSignal): Promise<void> {
    return this.#queue.work({ workers: WORKERS, reconcile: (key, s) => this.look(key, s), graceMs: 0 }, signal);
  }

  async look(key: ObjectKey, signal: AbortSignal): Promise<Outcome> {
    const state = this.#states.get(key);
    if (state === undefined) return { kind: 'Done' };
    const begun = this.#o.ticks();
    const found = await this.#ask(state, signal);
    // Another one was added meanwhile, and has its own turn.
    if (signal.aborted || this.#states.get(key) !== state) return { kind: 'Done' };
    const before = state.fact;
    judge(state, found, { begun, now: this.#o.ticks() });
    if (found.is === 'Held')
      this.#o.log.warn(
        { auditConfig: key, looks: state.looks },
        'requests to a hosted API server wait for its webhook',
      );
    if (before?.is !== state.fact?.is || before?.why !== state.fact?.why) this.#o.changed(key);
    return { kind: 'Again', afterMs: EVERY_MS };
  }

  async #ask(state: State, signal: AbortSignal): Promise<Found> {
    const { namespace, ask } = state.wanted;
    const { name, key } = ask.secret;
    const path = 'spec.target.hosted.kubeconfigSecretRef';
    const reference = await this.#o.read({ namespace, name }, signal);
    const keys = key === undefined ? KUBECONFIG_KEYS : [key];
    const read = readReference(reference, { kind: 'Secret', name, keys, path });
    if ('finding' in read) return { is: 'Blind', why: read.finding.message };
    const { metrics, userAgent, now, open = hostedApi } = this.#o;
    const opened = open(read.bytes, { metrics, userAgent, now: now() });
    const refused = (why: string): Found => ({ is: 'Blind', why: `${path}: the kubeconfig is refused: ${why}` });
    if ('refused' in opened) return refused(opened.refused);
    const { api } = opened;
    const used = sha256(read.bytes);
    if (state.who?.with !== used) delete state.who;
    try {
      const found = await askAs(api, state, { used, signal });
      const why = api.refused();
      return why === undefined ? found : refused(why);
    } finally {
      await api.close();
    }
  }
}

/** One look. The first one learns as whom it asks, and asks again. */
async function askAs(
  api: HostedApi,
  state: State,
  { used, signal }: { readonly used: string; readonly signal: AbortSignal },
): Promise<Found> {
  const { decide, who } = state;
  const { strict, isRunning } = state.wanted.ask;
  const requests = who === undefined ? introduction(decide) : servingRequests(decide, who.as);
  if (requests === undefined) return { is: 'Blind', why: POLICY };
  const answer = await api.serves(requests.probe, signal);
  if (answer.is === 'Serves') {
    if (who !== undefined) return { is: 'Serves' };
    state.who = { as: whoIn(answer.value) ?? { user: '', groups: [] }, with: used };
    return askAs(api, state, { used, signal });
  }
  if (!isRunning || !isHeldUp(answer, strict, 'None')) return { is: 'Away' };
  const { control } = requests;
  const compared = control === undefined ? 'None' : (await api.answers(control, signal)) ? 'Answered' : 'Silent';
  return { is: isHeldUp(answer, strict, compared) ? 'Held' : 'Away' };
}
