/**
 * Finds out whether the webhook of the node's own API server takes events, from what that counts (src/analysis/delivery.ts).
 * It looks in the rhythm of the proof, after a rollout or a rotation, and sooner again while something is wrong; a look
 * reads the metrics of that one API server twice, and a few times more where no answer has come yet. Sends no event
 * itself: the API server has its own, and its own proof. Called by watches.ts.
 */
import { batchWaitMs, CounterReader, judgeDelivery, receiverOf, since } from '../analysis/delivery.ts';
import type { Counters, Delivery, Wanted } from '../analysis/delivery.ts';
import { lookEveryMs } from '../analysis/proof-schedule.ts';
import type { AuditNodeStatus } from '../api/auditnode.ts';
import { delay } from '../kube/wait.ts';
import type { NodeHost } from '../node/host.ts';
import type { Place } from '../node/place.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { DeliveryMetrics } from '../telemetry/delivery-metrics.ts';
import { Looks } from './looks.ts';
import { proofPlace } from './proof-place.ts';
import type { ProofPlace } from './proof-place.ts';

/** Reads an API server's metrics line by line; false where they could not be read to the end. */
export type ReadMetrics = (
  address: ProofPlace['address'],
  onLine: (line: string) => void,
  signal: AbortSignal,
) => Promise<boolean>;

export type DeliveryOptions = {
  readonly host: NodeHost;
  readonly spec: Place;
  readonly read: ReadMetrics;
  /** Digest of the credentials that the node was told to use. */
  readonly credentials: () => string | undefined;
  readonly intervalMs: number;
  readonly report: (measured: Pick<AuditNodeStatus, 'webhook'>) => void;
  readonly metrics: DeliveryMetrics;
  readonly log: Logger;
};

/** A batch that is complete is on its way at once. */
const SEND_MS = 2_000;
/** The API server gives an attempt 30 seconds (k8s.io/apiserver pkg/util/webhook). */
const ATTEMPT_MS = 35_000;
const POLL_MS = 5_000;
/** Share of the interval after which it is looked again while something is wrong: 5 minutes of an hour. */
const AGAIN = 1 / 12;
const MAX_MESSAGE = 1_000;

type Last = {
  readonly digest: string;
  readonly credentials: string | undefined;
  readonly at: number;
  readonly result: Delivery['result'];
  readonly counters: Counters | undefined;
};

const CONFIG_FILE = '--audit-webhook-config-file';

export class DeliveryWatch {
  readonly #o: DeliveryOptions;
  #last: Last | undefined;
  readonly #looks = new Looks();

  constructor(options: DeliveryOptions) {
    this.#o = options;
  }

  /** Looks now instead of at the next turn: a node has settled. */
  wake(): void {
    this.#looks.wake();
  }

  /** Until the signal aborts. Never throws: nothing that is only looked at must stop an agent. */
  run(signal: AbortSignal): Promise<void> {
    const failed = (e: unknown): void =>
      this.#o.log.warn(
        { error: e instanceof Error ? e.name : 'unknown' },
        'whether the webhook delivers cannot be told',
      );
    return this.#looks.run(lookEveryMs(this.#o.intervalMs), (s) => this.#turn(s), failed, signal);
  }

  async #turn(signal: AbortSignal): Promise<void> {
    const { host, spec, metrics } = this.#o;
    const place = await proofPlace(host, spec);
    const path = place?.flags.get(CONFIG_FILE);
    if (place === null || path === undefined || path === '') {
      this.#last = undefined;
      metrics.silent();
      return;
    }
    if (!this.#isDue(place.digest)) return;
    const kubeconfig = await host.disk.read(path);
    const receiver = kubeconfig === null ? undefined : receiverOf(new TextDecoder().decode(kubeconfig));
    if (receiver === undefined) return;
    await this.#look(place, { host: receiver, flags: place.flags }, signal);
  }

  #isDue(digest: string): boolean {
    const { host, intervalMs, credentials } = this.#o;
    const last = this.#last;
    if (last === undefined || last.digest !== digest || last.credentials !== credentials()) return true;
    const isFine = last.result === 'Delivering' || last.result === 'NoTraffic';
    return host.ticks() - last.at >= intervalMs * (isFine ? 1 : AGAIN);
  }

  async #look(place: ProofPlace, wanted: Wanted, signal: AbortSignal): Promise<void> {
    const { host, spec, credentials } = this.#o;
    const using = credentials();
    const last = this.#last?.counters;
    const { delivery, counters } = await this.#watch(place, wanted, signal);
    // Unless the node was changed meanwhile: what was seen then belongs to neither.
    if (signal.aborted || (await proofPlace(host, spec))?.digest !== place.digest) return;
    const { digest } = place;
    this.#last = {
      digest,
      credentials: using,
      at: host.ticks(),
      result: delivery.result,
      counters: counters ?? last,
    };
    this.#tell(digest, delivery);
  }

  async #watch(
    place: ProofPlace,
    wanted: Wanted,
    signal: AbortSignal,
  ): Promise<{ readonly delivery: Delivery; readonly counters?: Counters }> {
    const { host } = this.#o;
    const noAnswer: Delivery = { result: 'NoAnswer', lost: 0, message: "the API server's metrics could not be read" };
    let first = await this.#counters(place, wanted, signal);
    if (first === undefined) return { delivery: noAnswer };
    const wait = batchWaitMs('webhook', place.flags) + SEND_MS;
    const end = host.ticks() + wait + ATTEMPT_MS;
    await delay(wait, signal);
    for (;;) {
      const now = await this.#counters(place, wanted, signal);
      if (now === undefined) return { delivery: noAnswer };
      const isOver = host.ticks() >= end || signal.aborted;
      const delivery = judgeDelivery({ first, now, last: this.#last?.counters, isOver });
      if (delivery !== undefined) return { delivery, counters: now };
      // Some were taken, and some failed: whether it has just recovered is told by what comes from here on.
      if (since(first, now).taken > 0) first = now;
      await delay(POLL_MS, signal);
    }
  }

  async #counters({ address }: ProofPlace, wanted: Wanted, signal: AbortSignal): Promise<Counters | undefined> {
    const reader = new CounterReader(wanted);
    const whole = await this.#o.read(address, (line) => reader.line(line), signal);
    return whole ? reader.counters() : undefined;
  }

  #tell(digest: string, { result, message, lost }: Delivery): void {
    const { host, log, metrics, report } = this.#o;
    metrics.looked(result, lost);
    log[result === 'Delivering' || result === 'NoTraffic' ? 'info' : 'warn']({ result, lost }, `webhook: ${message}`);
    const time = `${new Date(host.now()).toISOString().slice(0, 19)}Z`;
    report({ webhook: { digest, result, time, message: message.slice(0, MAX_MESSAGE) } });
  }
}
