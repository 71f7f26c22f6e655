/**
 * Works on the one AuditNode of this node: read what is asked, fetch the bundle, have the node room run it, say what
 * became of it. Absence of the AuditNode, of its CRD or of the API means that nothing is asked, and nothing is done.
 */
import type { AuditNodeSpec, AuditNodeStatus } from '../api/auditnode.ts';
import type { Finding } from '../api/findings.ts';
import { parseMinor } from '../api/versions.ts';
import type { KubeClient } from '../kube/client.ts';
import { handlingOf } from '../kube/errors.ts';
import type { KubeError } from '../kube/errors.ts';
import type { Outcome } from '../kube/queue.ts';
import { isRecord } from '../kube/types.ts';
import type { KubeObject } from '../kube/types.ts';
import { scope } from '../kube/wait.ts';
import type { Scope } from '../kube/wait.ts';
import { applyRevision, resume } from '../node/apply-revision.ts';
import { carryCredentials } from '../node/carry.ts';
import { forgetFallback, prepareFallback } from '../node/fallback.ts';
import type { GuardPod } from '../node/guard-pod.ts';
import type { NodeHost } from '../node/host.ts';
import { ProbationWatch } from '../node/probation.ts';
import { isDown, isHealthy } from '../node/healthy.ts';
import { readState } from '../node/state-file.ts';
import type { StateFile } from '../node/state-file.ts';
import type { Revision } from '../render/types.ts';
import { DEFAULT_RULES } from '../rollout/node-state.ts';
import type { Turn } from '../rollout/turn.ts';
import type { Place } from '../node/place.ts';
import type { Logger } from '../telemetry/logger.ts';
import { fetchRevision } from './bundle.ts';
import { AWAY_RETRY_MS, outcomeOf } from './outcomes.ts';
import { againOf, keepOf, taskOf } from './task.ts';
import type { Task } from './task.ts';
import { ownServer, ownVersion, reachedAt } from './own-server.ts';
import type { AskVersion } from './own-server.ts';
import type { DriftWork } from './drift-work.ts';
import { FallbackWork } from './fallback-work.ts';
import type { Reporter } from './reporter.ts';
import { Telling } from './telling.ts';
import type { RestartTurn } from './turn.ts';

export type WorkerOptions = {
  readonly host: NodeHost;
  readonly spec: Place;
  readonly client: KubeClient;
  /** The AuditNode as the cache has it. */
  readonly read: () => KubeObject | undefined;
  readonly reporter: Reporter;
  readonly log: Logger;
  readonly agentVersion: string;
  readonly guard?: GuardPod;
  /** gitVersion of the API server at an address of this node. */
  readonly askVersion: AskVersion;
  /** The control plane's one Lease: nothing restarts the API server without it. */
  readonly turn: RestartTurn;
  /** Holds a revision in place; absent where nobody watches. */
  readonly drift?: DriftWork;
  /** Why this agent cannot do what an AuditNode of that target asks; absent: every target is its own. */
  readonly mismatch?: (target: AuditNodeSpec['target']) => Finding | undefined;
  /** Has this node worked on again, after so many ms. */
  readonly again: (afterMs: number) => void;
  readonly note: (node: KubeObject, type: 'Normal' | 'Warning', reason: string, note: string) => void;
};

/** The controller publishes again what it hears is missing or changed. */
const BUNDLE_RETRY_MS = 15_000;
const REPAIR_RETRY_MS = 5_000;
/** Between two looks at our own API server, while the Lease is ours. */
const HEALTH_MS = 5_000;
/** Between two looks at what is on probation. */
const PROBATION_MS = 5_000;
const AGAIN_MS = 1_000;
/** An API server that restarts by itself answers sooner. */
const LOST_MS = 10_000;
const LOST: Turn = { granted: true };

export class Worker {
  readonly #o: WorkerOptions;
  readonly #telling: Telling;
  readonly #fallback: FallbackWork;
  #version: string | undefined;
  #apiServer: AuditNodeStatus['apiServer'];
  /** What was fetched last: drift is put right with it, without the API. */
  #fetched: Revision | undefined;
  #asked: Scope | undefined;
  readonly #probation = new ProbationWatch();
  #wantsTurn = false;
  #tried: { readonly digest: string | undefined; readonly credentials: string | undefined } | undefined;
  /** Since when neither the API nor the node's own API server answers, as far as turns were asked for; in ticks. */
  #lostSince: number | undefined;
  /** The last revision was refused for what stands on this node: a file that changes may be the cure. */
  #wasRefused = false;

  constructor(options: WorkerOptions) {
    this.#o = options;
    this.#telling = new Telling({
      ...options,
      server: () => ({
        ...(this.#version === undefined ? {} : { version: this.#version }),
        ...(this.#apiServer === undefined ? {} : { apiServer: this.#apiServer }),
      }),
    });
    this.#fallback = new FallbackWork({ ...options, telling: this.#telling });
  }

  /** The last work was not done because it was not this node's turn, or may just be finding that out. */
  get wantsTurn(): boolean {
    return this.#wantsTurn;
  }

  async work(signal: AbortSignal): Promise<Outcome> {
    this.#wantsTurn = false;
    const task = taskOf(this.#o.read());
    const stopped = (await this.#resume(task, signal)) ?? (await this.#fallback.end(task, signal));
    if (stopped !== undefined) return stopped;
    if (task === undefined) return { kind: 'Done' };
    const wrong = this.#o.mismatch?.(task.spec.target);
    if (wrong !== undefined) return this.#refused(task, [wrong]);
    await this.#asking((s) => this.#askVersion(s), signal);
    const named = task.spec.desired.revision;
    if (named === undefined) return this.#run(task, null, signal);
    const minor = parseMinor(this.#version ?? '');
    if (minor === undefined) return { kind: 'Retry', afterMs: AWAY_RETRY_MS };
    const fetched = await this.#asking((s) => fetchRevision(this.#o.client, named, [minor], s), signal);
    if (!fetched.ok) return this.#away(fetched.error);
    const { revision, findings } = fetched.value;
    if (revision === undefined) return this.#refused(task, findings);
    this.#fetched = revision;
    await this.#carry(revision, signal);
    return this.#run(task, revision, signal);
  }

  /** What runs may be another revision for a while yet, and its webhook's credentials must not grow old with it. */
  async #carry(to: Revision, signal: AbortSignal): Promise<void> {
    const { host, spec, log } = this.#o;
    const carried = await carryCredentials({ host, spec, to, signal });
    if (carried === true) log.info({}, 'the webhook of the revision that runs has the newest credentials');
    else if (carried !== false && carried.kind === 'DiskFailed')
      log.warn({ code: carried.code }, "the webhook's newest credentials could not be written beside what runs");
  }

  /** What asks the API and changes nothing is ended: there is something to do that needs no answer. */
  hurry(): void {
    this.#asked?.abort('hurry');
  }

  async #asking<T>(ask: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    const asked = scope([signal]);
    this.#asked = asked;
    try {
      return await ask(asked.signal);
    } finally {
      this.#asked = undefined;
      asked.dispose();
    }
  }

  /** A file of this node was changed, or it is time to look: without a request, unless something has to be done. */
  async watchDrift(signal: AbortSignal): Promise<Outcome> {
    const task = taskOf(this.#o.read());
    const to = this.#fetched;
    const { drift } = this.#o;
    if (drift === undefined || task === undefined || to?.digest !== task.spec.desired.revision?.digest)
      return { kind: 'Done' };
    if (to === undefined) return { kind: 'Done' };
    if (!this.#wasRefused && !(await drift.concerns(to, againOf(task), signal))) return { kind: 'Done' };
    return this.#run(task, to, signal);
  }

  /**
   * What is in flight comes first, and needs no API: it may be away because of it. Undefined when nothing is in flight
   * any more.
   */
  async #resume(task: Task | undefined, signal: AbortSignal): Promise<Outcome | undefined> {
    const { host, spec, log } = this.#o;
    const found = await readState(host.disk, spec.layout.stateDir);
    if (found?.journal === undefined || found.journal === null) return undefined;
    // The Lease may have been taken from a node that was dead; what is in flight goes on, and nobody else should begin.
    void this.#o.turn.announce(signal);
    const outcome = await resume({ host, spec, keep: await this.#fallback.keep(task), signal });
    log.info({ outcome: outcome.kind }, 'a change was in flight');
    switch (outcome.kind) {
      case 'OnHold':
      case 'DiskFailed':
        if (task !== undefined) {
          await this.#telling.say(task, { file: await readState(host.disk, spec.layout.stateDir), outcome });
          this.#telling.tell(task, outcome);
        }
        return outcomeOf(outcome);
      case 'Interrupted':
        return outcomeOf(outcome);
      case 'Settled':
      case 'Refused':
      case 'NotItsTurn':
      case 'RolledBack':
      case 'Held':
      case 'Overtaken':
      case 'StateUnreadable':
        return undefined;
    }
  }

  /**
   * Called while the Lease is this node's: it is given back as soon as nothing is in flight and the API server is proven
   * healthy. After an inconclusive rollback, too, that is only when it is ready again.
   */
  async giveBackTurn(signal: AbortSignal): Promise<Outcome> {
    const { host, spec, turn, log } = this.#o;
    const file = await readState(host.disk, spec.layout.stateDir);
    const rests = file !== null && file.journal === null && (await isHealthy(host, spec, signal));
    if (signal.aborted) return { kind: 'Done' };
    if (!rests) return { kind: 'Again', afterMs: HEALTH_MS };
    const given = await this.#asking((s) => turn.giveBack(s), signal);
    if (given) log.info({}, 'the turn is over: the API server is healthy');
    return given ? { kind: 'Done' } : { kind: 'Retry', afterMs: AWAY_RETRY_MS };
  }

  get #guard(): { readonly guard?: GuardPod } {
    return this.#o.guard === undefined ? {} : { guard: this.#o.guard };
  }

  /** A look at what was committed a while ago; back to the last known good where it does not hold. */
  async watchProbation(signal: AbortSignal): Promise<Outcome> {
    const { host, spec, log } = this.#o;
    // Undoing waits for nobody; but nobody else should begin meanwhile.
    const onState = (next: StateFile): void => {
      if (next.state.phase === 'RollingBack') void this.#o.turn.announce(signal);
    };
    const looked = await this.#probation.look({
      host,
      spec,
      keep: await this.#fallback.keep(taskOf(this.#o.read())),
      signal,
      onState,
      ...this.#guard,
    });
    switch (looked.kind) {
      case 'Watching':
        return { kind: 'Again', afterMs: PROBATION_MS };
      case 'None':
      case 'Interrupted':
        return { kind: 'Done' };
      case 'Passed':
        log.info({}, 'the probation is over');
        return { kind: 'Done' };
      case 'OnHold':
      case 'NotItsTurn':
      case 'Overtaken':
      case 'StateUnreadable':
      case 'DiskFailed':
        // A rollback may be in flight; what is asked of this node is looked at after it, and so is the probation.
        log.warn({ outcome: looked.kind }, 'the watch over the probation was stopped');
        this.#o.again(AGAIN_MS);
        return { kind: 'Done' };
      case 'Settled':
      case 'Refused':
      case 'RolledBack':
      case 'Held': {
        log.warn({ outcome: looked.kind }, 'the API server did not hold on its probation');
        const task = taskOf(this.#o.read());
        if (task === undefined) return { kind: 'Done' };
        await this.#telling.say(task, { file: await readState(host.disk, spec.layout.stateDir), outcome: looked });
        this.#telling.tell(task, looked);
        // Of what nobody is blamed for, there is another try.
        const next = outcomeOf(looked);
        if (next.kind === 'Retry') this.#o.again(next.afterMs ?? AGAIN_MS);
        return { kind: 'Done' };
      }
    }
  }

  /** Requests to our own API server have waited for its webhook for a minute (fallback.ts): it goes on with the Batch twin. */
  async fallBack(signal: AbortSignal): Promise<Outcome> {
    const { host, spec } = this.#o;
    const found = await ownServer(host, spec);
    const minor = parseMinor(this.#version ?? (await ownVersion(found, async () => undefined, signal)) ?? '');
    return minor === undefined ? { kind: 'Done' } : this.#fallback.go(taskOf(this.#o.read()), minor, signal);
  }

  /** Only where the node itself does not tell, that of whichever API server answers. */
  async #askVersion(signal: AbortSignal): Promise<void> {
    const { host, spec, client, askVersion } = this.#o;
    const server = await ownServer(host, spec);
    if (server !== undefined) this.#apiServer = reachedAt(server);
    const own = await ownVersion(server, askVersion, signal);
    if (own !== undefined) {
      this.#version = own;
      return;
    }
    const answer = await client.raw('/version', { signal });
    const git = answer.ok && isRecord(answer.value) ? answer.value['gitVersion'] : undefined;
    if (typeof git === 'string' && git.length <= 64) this.#version = git;
  }

  #away(error: KubeError): Outcome {
    this.#o.log.warn({ code: error.code }, `the revision cannot be fetched: ${error.message}`);
    return { kind: 'Retry', afterMs: handlingOf(error) === 'Retry' ? (error.retryAfterMs ?? 0) : AWAY_RETRY_MS };
  }

  async #refused(task: Task, refused: readonly Finding[]): Promise<Outcome> {
    this.#o.log.warn({ codes: refused.map((f) => f.code) }, 'the revision is refused; nothing was changed');
    const file = await readState(this.#o.host.disk, this.#o.spec.layout.stateDir);
    await this.#telling.say(task, { file, refused });
    return { kind: 'Again', afterMs: BUNDLE_RETRY_MS };
  }

  /** The webhook's certificate or token is no part of a digest, and may be what an API server did not start with. */
  #isRotated(task: Task, to: Revision | null): boolean {
    const { digest, credentials } = { digest: to?.digest, credentials: task.spec.desired.revision?.credentials };
    const last = this.#tried;
    this.#tried = { digest, credentials };
    return last !== undefined && last.digest === digest && last.credentials !== credentials;
  }

  async #run(task: Task, to: Revision | null, signal: AbortSignal): Promise<Outcome> {
    const { host, spec, log, drift } = this.#o;
    const { timeoutSeconds } = task.spec;
    const before = await drift?.before(to, againOf(task), {
      timeoutMs: timeoutSeconds * 1000,
      turn: (s) => this.#turn(to, s),
      signal,
    });
    if (before?.kind === 'Leave') {
      if (before.note !== undefined) this.#o.note(task.object, 'Warning', before.note.reason, before.note.text);
      await this.#telling.say(task, { file: await readState(host.disk, spec.layout.stateDir), drift: before.said });
      return before.outcome;
    }
    // A way back from a webhook that blocks is at hand before it is installed.
    const unprepared = to === null ? undefined : await prepareFallback({ host, spec, to, signal });
    if (unprepared !== undefined) {
      if (unprepared.kind !== 'Interrupted')
        await this.#telling.say(task, { file: await readState(host.disk, spec.layout.stateDir), outcome: unprepared });
      return outcomeOf(unprepared);
    }
    const outcome = await applyRevision({
      host,
      spec,
      to,
      version: parseMinor(this.#version ?? '') ?? null,
      keep: to === null ? keepOf(task) : await this.#fallback.keep(task),
      ...this.#guard,
      rules: { ...DEFAULT_RULES, timeoutMs: timeoutSeconds * 1000 },
      turn: async (s) => {
        const turn = await this.#turn(to, s);
        if (turn.granted && before?.kind === 'Repair') await drift?.correcting();
        return turn;
      },
      ...((before?.kind === 'Go' && before.again) || this.#isRotated(task, to) ? { again: true } : {}),
      onState: (next) => {
        log.info({ phase: next.state.phase, digest: to?.digest ?? 'none' }, 'node state');
        if (next.journal !== null) void this.#telling.say(task, { file: next });
      },
      signal,
    });
    this.#wasRefused = outcome.kind === 'Refused';
    if (outcome.kind === 'Settled') {
      await drift?.after(to, outcome.restarted, signal);
      if (to === null) await forgetFallback(host.disk, spec.layout.stateDir, null);
      // The first one ever has made the folders.
      else await prepareFallback({ host, spec, to, signal });
    }
    const file = await readState(host.disk, spec.layout.stateDir);
    if (outcome.kind !== 'Interrupted') await this.#telling.say(task, { file, outcome });
    this.#telling.tell(task, outcome);
    if (outcome.kind === 'Settled' && before?.kind === 'Repair')
      this.#o.note(task.object, 'Warning', 'DriftRepaired', before.diff);
    // It may just be starting, and not to be probed yet.
    if (outcome.kind === 'Refused' && before?.kind === 'Repair') return { kind: 'Again', afterMs: REPAIR_RETRY_MS };
    return outcomeOf(outcome);
  }

  async #turn(to: Revision | null, signal: AbortSignal): Promise<Turn> {
    // Before it is asked: what changes from now on is worth another try.
    this.#wantsTurn = true;
    const asked = await this.#o.turn.take(signal);
    const turn = (await this.#isLost(asked, to, signal)) ? LOST : asked;
    this.#wantsTurn = !turn.granted;
    return turn;
  }

  /**
   * The API is away, and has been for a while, and so is this node's own API server: nobody can be asked, and a restart
   * takes nothing away. On a control plane of one, an edit that stops the API server could be put right by nobody else.
   * Only for what this node ran already.
   */
  async #isLost(turn: Turn, to: Revision | null, signal: AbortSignal): Promise<boolean> {
    const { host, spec, log } = this.#o;
    const state = (await readState(host.disk, spec.layout.stateDir))?.state;
    const ran = to !== null && state?.phase === 'Settled' && state.current === to.digest;
    const away = !turn.granted && turn.reason === 'LeaseUnreadable' && ran && (await isDown(host, spec, signal));
    const now = host.ticks();
    this.#lostSince = away ? (this.#lostSince ?? now) : undefined;
    const lost = this.#lostSince !== undefined && now - this.#lostSince >= LOST_MS;
    if (lost) log.warn({}, 'neither the API nor this node’s own API server answers: it goes on without the Lease');
    return lost;
  }
}
