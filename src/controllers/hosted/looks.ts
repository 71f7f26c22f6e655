/**
 * Asks hosted API servers whether they audit, and whether their webhook takes events: once an hour, after a change, and
 * every five minutes while something is wrong (src/rollout/hosted/proof.ts says when). A look is a handful of requests to
 * that API server and one read of a Secret, or none; most of it is waiting for a batch to be sent, so many look at once.
 * Writes nothing: what was found is a fact of the next decision. Never told twice about one AuditConfig at a time.
 */
import { randomUUID } from 'node:crypto';
import { batchWaitMs, CounterReader, judgeDelivery, receiverOf, since } from '../../analysis/delivery.ts';
import type { Counters, Delivery } from '../../analysis/delivery.ts';
import { AuditCounterReader, HOSTED_PROBES, judgeCounted, PROBES } from '../../analysis/hosted-proof.ts';
import type { AuditCounters, Counted } from '../../analysis/hosted-proof.ts';
import { chooseProbe, nothingToObserve, WHO_AM_I, whoIn } from '../../analysis/proof.ts';
import type { Chosen } from '../../analysis/proof.ts';
import { canonicalJson, sha256 } from '../../config/canonical.ts';
import { createWorkQueue } from '../../kube/queue.ts';
import type { WorkQueue } from '../../kube/queue.ts';
import type { ObjectKey } from '../../kube/types.ts';
import { delay } from '../../kube/wait.ts';
import { compilePolicy } from '../../policy/evaluate.ts';
import { loadPolicy } from '../../policy/load.ts';
import { readReference } from '../../render/references.ts';
import type { Reference } from '../../render/references.ts';
import type { Found } from '../../rollout/facts.ts';
import { nameOfSecret } from '../../rollout/hosted/proof.ts';
import type { Look } from '../../rollout/hosted/proof.ts';
import { timestamp } from '../../rollout/turn.ts';
import type { KubeMetrics } from '../../telemetry/kube-metrics.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { hostedApi } from './api-server.ts';
import type { HostedApi } from './api-server.ts';

export const KUBECONFIG_KEYS = ['kubeconfig', 'value', 'admin.conf'] as const;

/** A batch that is complete is on its way at once. */
const SEND_MS = 2_000;
/** The API server gives an attempt 30 seconds (k8s.io/apiserver pkg/util/webhook). */
const ATTEMPT_MS = 35_000;
const POLL_MS = 5_000;
/** An event is counted after its request was answered. */
const COUNTED_MS = 500;
const MAX_MESSAGE = 1_000;
/** Nearly all of a look is waiting. */
const WORKERS = 64;

type Both = { readonly audit: AuditCounters; readonly hook: Counters | undefined };

export type LookOptions = {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly metrics: KubeMetrics;
  readonly userAgent: string;
};

async function counters(api: HostedApi, look: Look, signal: AbortSignal): Promise<Both | undefined> {
  const audit = new AuditCounterReader();
  const kubeconfig = look.revision.webhook?.reveal();
  const host = kubeconfig === undefined ? undefined : receiverOf(new TextDecoder().decode(kubeconfig));
  const hook = host === undefined ? undefined : new CounterReader({ host, flags: look.flags });
  const whole = await api.metrics((line) => {
    audit.line(line);
    hook?.line(line);
  }, signal);
  const found = audit.counters();
  return whole && found !== undefined ? { audit: found, hook: hook?.counters() } : undefined;
}

const NO_METRICS: Counted = {
  result: 'NoAnswer',
  message: 'its metrics could not be read: its user needs `get` on the path /metrics there',
};

/** The request that its policy records, or why there is none. */
async function choose(api: HostedApi, { revision }: Look, signal: AbortSignal): Promise<Chosen | Counted> {
  const answer = await api.ask(WHO_AM_I, randomUUID(), signal);
  if (!answer.ok) return { result: 'NoAnswer', message: answer.error.message };
  const who = whoIn(answer.value);
  if (who === undefined) return { result: 'NoAnswer', message: 'it does not tell whom it takes us for' };
  const [version = '1.26'] = revision.versions;
  const { policy } = loadPolicy(revision.policy, version);
  const chosen = policy === undefined ? undefined : chooseProbe(compilePolicy(policy).decide, who, HOSTED_PROBES);
  if (chosen !== undefined) return chosen;
  return { result: 'NothingToObserve', message: nothingToObserve('Policy').message };
}

async function prove(
  api: HostedApi,
  { before, look }: { readonly before: Both; readonly look: Look },
  signal: AbortSignal,
): Promise<Counted> {
  const chosen = await choose(api, look, signal);
  if ('result' in chosen) return chosen;
  for (let i = 0; i < PROBES; i++) {
    const answer = await api.ask(chosen.probe, randomUUID(), signal);
    if (!answer.ok) return { result: 'NoAnswer', message: answer.error.message };
  }
  let counted: Counted = NO_METRICS;
  for (let i = 0; i < 3 && counted.result !== 'EventCounted'; i++) {
    await delay(COUNTED_MS, signal);
    const after = await counters(api, look, signal);
    if (after === undefined) return NO_METRICS;
    counted = judgeCounted(chosen, before.audit, after.audit);
  }
  return counted;
}

async function deliver(
  api: HostedApi,
  at: { readonly first: Counters; readonly last: Counters | undefined; readonly look: Look },
  signal: AbortSignal,
): Promise<{ readonly delivery: Delivery; readonly counters: Counters | undefined }> {
  const wait = batchWaitMs('webhook', at.look.flags) + SEND_MS;
  const end = performance.now() + wait + ATTEMPT_MS;
  let { first } = at;
  await delay(wait, signal);
  for (;;) {
    const now = (await counters(api, at.look, signal))?.hook;
    if (now === undefined || now.startedAt !== first.startedAt)
      return { delivery: { result: 'NoAnswer', lost: 0, message: NO_METRICS.message }, counters: now };
    const isOver = performance.now() >= end || signal.aborted;
    const delivery = judgeDelivery({ first, now, last: at.last, isOver });
    if (delivery !== undefined) return { delivery, counters: now };
    // Some were taken, and some failed: whether it has just recovered is told by what comes from here on.
    if (since(first, now).taken > 0) first = now;
    await delay(POLL_MS, signal);
  }
}

export type Looked = {
  readonly found: Found;
  /** For the next look at this webhook. */
  readonly counters?: Counters | undefined;
};

/** One look, from its kubeconfig to what was found. */
export async function lookAt(
  o: LookOptions,
  q: { readonly look: Look; readonly reference: Reference | undefined; readonly last?: Counters | undefined },
  signal: AbortSignal,
): Promise<Looked> {
  const { look } = q;
  const { digest } = look.revision;
  const said = ({ result, message }: Counted): Found['proof'] => ({
    digest,
    result,
    time: timestamp(o.now()),
    message: message.slice(0, MAX_MESSAGE),
    kubeconfig: nameOfSecret(look.secret),
  });
  const path = 'spec.target.hosted.kubeconfigSecretRef';
  const { name, key } = look.secret;
  const keys = key === undefined ? KUBECONFIG_KEYS : [key];
  const read = readReference(q.reference, { kind: 'Secret', name, keys, path });
  if ('finding' in read) return { found: { proof: said({ result: 'Refused', message: read.finding.message }) } };
  const opened = hostedApi(read.bytes, { ...o, now: o.now() });
  const refusedFor = (why: string): Looked => ({
    found: { proof: said({ result: 'Refused', message: `${path}: the kubeconfig is refused: ${why}` }) },
  });
  if ('refused' in opened) return refusedFor(opened.refused);
  const { api } = opened;
  try {
    const before = await counters(api, look, signal);
    const refused = api.refused();
    if (refused !== undefined) return refusedFor(refused);
    if (before === undefined) return { found: { proof: said(NO_METRICS) } };
    const proof = said(await prove(api, { before, look }, signal));
    if (look.revision.webhook === undefined || before.hook === undefined) return { found: { proof } };
    const { delivery, counters: after } = await deliver(api, { first: before.hook, last: q.last, look }, signal);
    const using = look.credentials === undefined ? {} : { credentials: look.credentials };
    const message = delivery.message.slice(0, MAX_MESSAGE);
    const webhook = { digest, ...using, result: delivery.result, time: timestamp(o.now()), message };
    return { found: { proof, webhook }, counters: after };
  } finally {
    await api.close();
  }
}

export type HostedLooksOptions = LookOptions & {
  readonly log: Logger;
  readonly read: (secret: { namespace: string; name: string }, signal: AbortSignal) => Promise<Reference>;
  /** Something was found. */
  readonly done: (key: ObjectKey) => void;
};

/** Of what a Secret holds; says nothing about it. */
function fingerprintOf(reference: Reference): string {
  if (!reference.found) return reference.why;
  const entries = Object.entries(reference.data.reveal()).map(([key, bytes]) => [key, sha256(bytes)]);
  return sha256(canonicalJson(Object.fromEntries(entries) as Readonly<Record<string, string>>));
}

type Wanted = { readonly uid: string; readonly namespace: string; readonly look: Look };

export class HostedLooks {
  readonly #o: HostedLooksOptions;
  readonly #queue: WorkQueue<ObjectKey>;
  readonly #wanted = new Map<ObjectKey, Wanted>();
  readonly #found = new Map<string, Looked>();
  readonly #used = new Map<string, string>();

  constructor(options: HostedLooksOptions) {
    this.#o = options;
    this.#queue = createWorkQueue({ name: 'hosted-looks', log: options.log, metrics: options.metrics });
  }

  /** Ignored where one is on its way: what comes of that is judged first. */
  start(key: ObjectKey, wanted: Wanted): void {
    if (this.#wanted.has(key)) return;
    this.#wanted.set(key, wanted);
    this.#queue.add(key);
  }

  /** Of the AuditConfig with this uid, as far as anything was found in this term. */
  found(uid: string): Found | undefined {
    return this.#found.get(uid)?.found;
  }

  /** Is this another kubeconfig than the one that was used last, in this term? */
  isOther(uid: string, reference: Reference): boolean {
    const used = this.#used.get(uid);
    return used !== undefined && used !== fingerprintOf(reference);
  }

  forget(uid: string): void {
    this.#found.delete(uid);
    this.#used.delete(uid);
  }

  work(signal: AbortSignal): Promise<void> {
    return this.#queue.work({ workers: WORKERS, reconcile: (key, s) => this.#look(key, s), graceMs: 0 }, signal);
  }

  async #look(key: ObjectKey, signal: AbortSignal): Promise<{ readonly kind: 'Done' }> {
    const wanted = this.#wanted.get(key);
    if (wanted === undefined) return { kind: 'Done' };
    const { uid, namespace, look } = wanted;
    try {
      const reference = await this.#o.read({ namespace, name: look.secret.name }, signal);
      const looked = await lookAt(this.#o, { look, reference, last: this.#found.get(uid)?.counters }, signal);
      if (signal.aborted) return { kind: 'Done' };
      this.#found.set(uid, looked);
      this.#used.set(uid, fingerprintOf(reference));
      const { proof, webhook } = looked.found;
      this.#o.log.debug({ auditConfig: key, result: proof?.result, webhook: webhook?.result }, 'asked');
    } finally {
      this.#wanted.delete(key);
    }
    this.#o.done(key);
    return { kind: 'Done' };
  }
}
