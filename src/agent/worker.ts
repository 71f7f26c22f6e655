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
import type { ApplyOutcome } from '../node/outcome.ts';
import { readState } from '../node/state-file.ts';
import type { Revision } from '../render/types.ts';
import { DEFAULT_RULES } from '../rollout/node-state.ts';
import type { Place } from '../node/place.ts';
import type { Logger } from '../telemetry/logger.ts';
import { fetchRevision } from './bundle.ts';
import { AWAY_RETRY_MS, outcomeOf } from './outcomes.ts';
import { againOf, keepOf, taskOf } from './task.ts';
import type { Task } from './task.ts';
import { ownServer, ownVersion, reachedAt } from './own-server.ts';
import type { AskVersion } from './own-server.ts';
import type { Before, DriftWork } from './drift-work.ts';
import { FallbackWork } from './fallback-work.ts';
import { ProbationWork } from './probation-work.ts';
import type { Reporter } from './reporter.ts';
import { Telling } from './telling.ts';
import { TurnWork } from './turn-work.ts';
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

export class Worker {
  readonly #o: WorkerOptions;
  readonly #telling: Telling;
  readonly #fallback: FallbackWork;
  readonly #turns: TurnWork;
  readonly #probation: ProbationWork;
  #version: string | undefined;
  #apiServer: AuditNodeStatus['apiServer'];
  /** What was fetched last: drift is put right with it, without the API. */
  #fetched: Revision | undefined;
  #asked: Scope | undefined;
  #tried: { readonly digest: string | undefined; readonly credentials: string | undefined } | undefined;
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
    const [telling, task] = [this.#telling, () => this.#task()];
    this.#turns = new TurnWork(options);
    this.#fallback = new FallbackWork({ ...options, telling });
    this.#probation = new ProbationWork({ ...options, task, telling, turns: this.#turns, fallback: this.#fallback });
  }

  /** The last work was not done because it was not this node's turn, or may just be finding that out. */
  get wantsTurn(): boolean {
    return this.#turns.isWanted;
  }

  /** What is asked of this node, as of now. */
  #task(): Task | undefined {
    return taskOf(this.#o.read());
  }

  async work(signal: AbortSignal): Promise<Outcome> {
    this.#turns.begin();
    const task = this.#task();
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
    const task = this.#task();
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
    this.#turns.announce(signal);
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

  /** Called while the Lease is this node's. */
  giveBackTurn(signal: AbortSignal): Promise<Outcome> {
    return this.#turns.giveBack((ask, s) => this.#asking(ask, s), signal);
  }

  /** A look at what was committed a while ago. */
  watchProbation(signal: AbortSignal): Promise<Outcome> {
    return this.#probation.look(signal);
  }

  /** Requests to our own API server have waited for its webhook for a minute (fallback.ts): it goes on with the Batch twin. */
  async fallBack(signal: AbortSignal): Promise<Outcome> {
    const { host, spec } = this.#o;
    const found = await ownServer(host, spec);
    const minor = parseMinor(this.#version ?? (await ownVersion(found, async () => undefined, signal)) ?? '');
    return minor === undefined ? { kind: 'Done' } : this.#fallback.go(this.#task(), minor, signal);
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
    const { host, spec, drift } = this.#o;
    const before = await drift?.before(to, againOf(task), {
      timeoutMs: task.spec.timeoutSeconds * 1000,
      turn: (s) => this.#turns.take(to, s),
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
    const outcome = await this.#install(task, to, before, signal);
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

  /** The node room does it, when it is this node's turn. */
  async #install(
    task: Task,
    to: Revision | null,
    before: Before | undefined,
    signal: AbortSignal,
  ): Promise<ApplyOutcome> {
    const { host, spec, log, drift, guard } = this.#o;
    return applyRevision({
      host,
      spec,
      to,
      version: parseMinor(this.#version ?? '') ?? null,
      keep: to === null ? keepOf(task) : await this.#fallback.keep(task),
      ...(guard === undefined ? {} : { guard }),
      rules: { ...DEFAULT_RULES, timeoutMs: task.spec.timeoutSeconds * 1000 },
      turn: async (s) => {
        const turn = await this.#turns.take(to, s);
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
  }
}
