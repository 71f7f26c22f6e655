/**
 * Proves that the node's API server really records what its policy says: sends a request that must be recorded, and
 * finds it in the log. Once an interval, and sooner where the log looks wrong; in between only `stat` is called, and the
 * API is left alone. A missing event is looked for twice before it is called missing: a log that rotates in that very
 * moment must not raise an alarm.
 */
import { randomUUID } from 'node:crypto';
import { WHO_AM_I, chooseProbe, eventIn, judgeProof, nothingToObserve, probesFor, whoIn } from '../analysis/proof.ts';
import type { Chosen, Judged, Observation, Who } from '../analysis/proof.ts';
import { dueNow, lookEveryMs } from '../analysis/proof-schedule.ts';
import type { LogLook, Proven, Why } from '../analysis/proof-schedule.ts';
import type { AuditNodeStatus, ProofResult } from '../api/auditnode.ts';
import type { Minor } from '../api/versions.ts';
import { LogFollower, statLog } from '../host/log-follow.ts';
import { delay } from '../kube/wait.ts';
import type { NodeHost } from '../node/host.ts';
import type { Place } from '../node/place.ts';
import { parentOf } from '../targets/host-layout.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { ProofMetrics } from '../telemetry/proof-metrics.ts';
import { Looks } from './looks.ts';
import { askWith } from './proof-ask.ts';
import type { Answer, AskOptions } from './proof-ask.ts';
import { logDelayMs, proofPlace, proofPolicy } from './proof-place.ts';
import type { ProofPlace } from './proof-place.ts';
import { measureLog, sharesDiskWithEtcd } from './retention.ts';

export type ProverOptions = {
  readonly host: NodeHost;
  readonly spec: Place;
  /** Where the host's file system is. */
  readonly root: string;
  /** Where the host's /proc is. */
  readonly proc: string;
  readonly node: string;
  readonly ask: AskOptions;
  /** Namespace of the bundle that the AuditNode names. */
  readonly bundles: () => string | undefined;
  /** Of the running API server, as far as it is known. */
  readonly version: () => Minor | undefined;
  readonly intervalMs: number;
  readonly report: (measured: Pick<AuditNodeStatus, 'proof' | 'retention'>) => void;
  /** Told of each proof. */
  readonly onProven: (result: ProofResult) => void;
  readonly metrics: ProofMetrics;
  readonly log: Logger;
};

/** Of the log, in one attempt. A log that grows by more within seconds is not read to the end. */
const MAX_READ = 64 * 1024 * 1024;
const POLL_MS = 200;
const MAX_MESSAGE = 1_000;

type Attempt = Judged & { readonly auditID?: string; readonly bytesRead: number };
type LogFile = Extract<ProofPlace['log'], { type: 'File' }>;

const errnoOf = (e: unknown): string => (e instanceof Error && 'code' in e ? String(e.code) : 'unknown');

export class Prover {
  readonly #o: ProverOptions;
  #who: Who | undefined;
  #last: Proven | undefined;
  readonly #looks = new Looks();

  constructor(options: ProverOptions) {
    this.#o = options;
  }

  /** Looks now instead of at the next turn: a node has settled. */
  wake(): void {
    this.#looks.wake();
  }

  /** Until the signal aborts. Never throws: proof must not stop an agent. */
  run(signal: AbortSignal): Promise<void> {
    const failed = (e: unknown): void =>
      this.#o.log.warn({ errno: errnoOf(e) }, 'the log or what belongs to it cannot be read; proof waits');
    return this.#looks.run(lookEveryMs(this.#o.intervalMs), (s) => this.#turn(s), failed, signal);
  }

  async #turn(signal: AbortSignal): Promise<void> {
    const { host, spec, intervalMs } = this.#o;
    const place = await proofPlace(host, spec);
    if (place === null) return;
    const why = dueNow({
      last: this.#last,
      digest: place.digest,
      look: await this.#look(place),
      now: host.ticks(),
      intervalMs,
    });
    if (why === undefined) return;
    const attempt = await this.#prove(place, signal);
    // Unless the node was changed meanwhile: what was seen then belongs to neither.
    if (attempt === undefined || signal.aborted || (await proofPlace(host, spec))?.digest !== place.digest) return;
    await this.#tell(place, why, attempt);
  }

  async #look({ log }: ProofPlace): Promise<LogLook> {
    return log.type === 'File' ? statLog(this.#o.root, log.path) : null;
  }

  async #tell(place: ProofPlace, why: Why, attempt: Attempt): Promise<void> {
    const { host, log, metrics, report } = this.#o;
    const { digest } = place;
    const { result, message, auditID, bytesRead } = attempt;
    metrics.proven(result, bytesRead);
    this.#o.onProven(result);
    log[result === 'EventFound' || result === 'NothingToObserve' ? 'info' : 'warn'](
      { result, why, bytesRead },
      message,
    );
    this.#last = { digest, result, at: host.ticks(), look: await this.#look(place) };
    const proof = {
      digest,
      result,
      time: `${new Date(host.now()).toISOString().slice(0, 19)}Z`,
      ...(auditID === undefined ? {} : { auditID }),
      message: message.slice(0, MAX_MESSAGE),
    };
    const isTurn = why === 'Settled' || why === 'Interval' || why === 'Rotated';
    report({ proof, ...(isTurn ? { retention: await this.#retention(place) } : {}) });
  }

  async #retention({ digest, flags, log }: ProofPlace): Promise<NonNullable<AuditNodeStatus['retention']>> {
    const { root, host, metrics } = this.#o;
    const measured = log.type === 'File' ? await measureLog(root, log.path, flags, host.now()) : {};
    const shares = log.type === 'File' ? await this.#sharesDisk(log.path) : undefined;
    metrics.retention({ ...measured, requestedDays: Number(flags.get('--audit-log-maxage') ?? '0'), shares });
    const { days, bytesPerDay, oldestAt } = measured;
    return {
      digest,
      ...(days === undefined ? {} : { measuredDays: days }),
      ...(bytesPerDay === undefined ? {} : { bytesPerDay }),
      ...(shares === undefined ? {} : { sharesDiskWithEtcd: shares }),
      ...(oldestAt === undefined ? {} : { oldestTime: `${new Date(oldestAt).toISOString().slice(0, 19)}Z` }),
    };
  }

  #sharesDisk(log: string): Promise<boolean | undefined> {
    const { host, spec, proc } = this.#o;
    return sharesDiskWithEtcd({ disk: host.disk, manifestsDir: parentOf(spec.manifest), proc }, log);
  }

  /** Undefined: what is needed to choose a request is not known yet. */
  async #prove(place: ProofPlace, signal: AbortSignal): Promise<Attempt | undefined> {
    if (place.log.type !== 'File')
      return { ...nothingToObserve(place.log.type === 'Stdout' ? 'Stdout' : 'NoLog'), bytesRead: 0 };
    const first = await this.#attempt(place, place.log, signal);
    if (first?.result !== 'EventMissing' || signal.aborted) return first;
    const second = await this.#attempt(place, place.log, signal);
    return second === undefined ? first : { ...second, bytesRead: first.bytesRead + second.bytesRead };
  }

  async #attempt(place: ProofPlace, log: LogFile, signal: AbortSignal): Promise<Attempt | undefined> {
    const version = this.#o.version();
    const policy = version === undefined ? null : await proofPolicy(this.#o.host, place, version);
    if (policy === null) return undefined;
    const follower = await LogFollower.at(this.#o.root, log.path, MAX_READ);
    try {
      const sent = await this.#send(place, policy.decide, signal);
      if (sent === 'Nothing') return { ...nothingToObserve('Policy'), bytesRead: 0 };
      const { chosen, auditID, answer } = sent;
      const seen: Observation = answer.answered
        ? await this.#watch(follower, auditID, logDelayMs(place.flags), signal)
        : { kind: 'NoAnswer', why: answer.why };
      return { ...judgeProof(chosen, seen, log.path), auditID, bytesRead: follower.bytesRead };
    } finally {
      await follower.close();
    }
  }

  /** The first request also tells who we are; where it is the best one to look for, it is the only one. */
  async #send(
    place: ProofPlace,
    decide: Parameters<typeof chooseProbe>[0],
    signal: AbortSignal,
  ): Promise<{ chosen: Chosen; auditID: string; answer: Answer } | 'Nothing'> {
    const ask = async (chosen: Chosen): Promise<{ chosen: Chosen; auditID: string; answer: Answer }> => {
      const auditID = randomUUID();
      return {
        chosen,
        auditID,
        answer: await askWith(this.#o.ask, place.address, { probe: chosen.probe, auditID }, signal),
      };
    };
    const introduced =
      this.#who === undefined ? await ask({ probe: WHO_AM_I, expected: { level: 'None', stages: [] } }) : undefined;
    if (introduced?.answer.answered === true) this.#who = whoIn(introduced.answer.value);
    if (this.#who === undefined) return introduced === undefined ? 'Nothing' : unknownTo(introduced);
    const chosen = chooseProbe(decide, this.#who, probesFor(this.#o.node, this.#o.bundles()));
    if (chosen === undefined) return 'Nothing';
    if (introduced !== undefined && chosen.probe === WHO_AM_I) return { ...introduced, chosen };
    return ask(chosen);
  }

  async #watch(follower: LogFollower, auditID: string, ms: number, signal: AbortSignal): Promise<Observation> {
    const end = this.#o.host.ticks() + ms;
    for (;;) {
      const { line, log } = await follower.poll(auditID, (l) => eventIn(l, auditID) !== undefined);
      const event = line === undefined ? undefined : eventIn(line, auditID);
      if (event !== undefined) return { kind: 'Seen', event };
      if (log === 'TooBusy' || this.#o.host.ticks() >= end || signal.aborted) return { kind: 'NotSeen', log };
      await delay(POLL_MS, signal);
    }
  }
}

/** The API server answered, and did not say who we are: its answer cannot be predicted then. */
const unknownTo = <T extends { readonly answer: Answer }>(introduced: T): T => ({
  ...introduced,
  answer: introduced.answer.answered
    ? { answered: false, why: 'the API server does not tell who the agent is (SelfSubjectReview)' }
    : introduced.answer,
});
