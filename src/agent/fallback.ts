/**
 * Watches, only while this node runs with a webhook that blocks requests, whether its own API server serves them; a minute
 * in which it does not is told to the worker, which falls back to mode Batch (src/node/fallback.ts). Decides nothing else,
 * and asks nobody else: the API may be away because of this very webhook. Called by node-work.ts.
 */
import { WHO_AM_I, chooseProbe, probesFor, whoIn } from '../analysis/proof.ts';
import type { Probe, Who } from '../analysis/proof.ts';
import type { Minor } from '../api/versions.ts';
import { fallbackPath } from '../node/fallback.ts';
import type { NodeHost } from '../node/host.ts';
import type { Place } from '../node/place.ts';
import type { Serving } from '../kube/serving.ts';
import type { Logger } from '../telemetry/logger.ts';
import { Looks } from './looks.ts';
import { proofPlace, proofPolicy } from './proof-place.ts';
import type { ProofPlace } from './proof-place.ts';
import type { AskServing } from './serving.ts';

export type FallbackOptions = {
  readonly host: NodeHost;
  readonly spec: Place;
  readonly ask: AskServing;
  readonly node: string;
  /** Namespace of the bundle that the AuditNode names. */
  readonly bundles: () => string | undefined;
  /** Of the running API server, as far as it is known. */
  readonly version: () => Minor | undefined;
  /** It has not served for so long. */
  readonly due: () => void;
  readonly log: Logger;
};

/** Between the end of one look and the next; one stat of a file where no webhook blocks. */
const EVERY_MS = 5_000;
export const UNREADY_MS = 60_000;

/** The request to look with: one that the policy records, as long as that is known. */
type Chosen = { readonly digest: string; readonly probe: Probe | undefined };

export class FallbackWatch {
  readonly #o: FallbackOptions;
  readonly #looks = new Looks();
  #who: Who | undefined;
  #chosen: Chosen | undefined;
  /** Since when requests wait, and with which revision; in ticks. */
  #since: { readonly digest: string; readonly at: number } | undefined;

  constructor(options: FallbackOptions) {
    this.#o = options;
  }

  /** Until the signal aborts. Never throws. */
  run(signal: AbortSignal): Promise<void> {
    const failed = (e: unknown): void =>
      this.#o.log.warn({ error: e instanceof Error ? e.name : 'unknown' }, 'whether requests wait cannot be told');
    return this.#looks.run(EVERY_MS, (s) => this.look(s), failed, signal);
  }

  async look(signal: AbortSignal): Promise<void> {
    const { host, spec, log } = this.#o;
    const isPrepared = (await host.disk.stat(fallbackPath(spec.layout.stateDir))) !== null;
    const place = isPrepared ? await proofPlace(host, spec) : null;
    const mode = place?.flags.get('--audit-webhook-mode') ?? 'batch';
    if (place === null || mode === 'batch') {
      this.#since = undefined;
      return;
    }
    const at = host.ticks();
    const serving = await this.#ask(place, signal);
    if (signal.aborted) return;
    // Without a place to record an event, the strict mode refuses the request.
    const isStuck = serving.is === 'Waits' || (serving.is === 'Fails' && mode === 'blocking-strict');
    if (!isStuck) {
      this.#since = undefined;
      return;
    }
    if (this.#since?.digest !== place.digest) this.#since = { digest: place.digest, at };
    const ms = host.ticks() - this.#since.at;
    log.warn({ ms, why: serving.why }, 'requests to the API server wait, and its webhook is one that they wait for');
    if (ms >= UNREADY_MS) this.#o.due();
  }

  async #ask(place: ProofPlace, signal: AbortSignal): Promise<Serving> {
    if (this.#who === undefined) {
      const introduced = await this.#o.ask(place.address, WHO_AM_I, signal);
      if (introduced.is === 'Serves') this.#who = whoIn(introduced.value);
      return introduced;
    }
    return this.#o.ask(place.address, await this.#probe(place, this.#who), signal);
  }

  async #probe(place: ProofPlace, who: Who): Promise<Probe | undefined> {
    const { host, node, bundles, version } = this.#o;
    if (this.#chosen?.digest === place.digest) return this.#chosen.probe;
    const minor = version();
    const policy = minor === undefined ? null : await proofPolicy(host, place, minor);
    if (policy === null) return WHO_AM_I;
    this.#chosen = { digest: place.digest, probe: chooseProbe(policy.decide, who, probesFor(node, bundles()))?.probe };
    return this.#chosen.probe;
  }
}
