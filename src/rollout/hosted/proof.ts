/**
 * What a hosted API server was found to count of its own events and its webhook, as conditions of its AuditConfig, and
 * when it is to be asked next. Only what was found of the revision that it runs counts, and only as long as it is fresh.
 * Pure; called by hosted.ts.
 */
import type { AuditConfigStatus } from '../../api/auditconfig.ts';
import { removeCondition } from '../../api/conditions.ts';
import type { Condition, Verdict } from '../../api/conditions.ts';
import type { EffectiveConfig } from '../../config/types.ts';
import type { Digest, Revision } from '../../render/types.ts';
import { credentialsDigest } from '../../render/webhook/credentials.ts';
import { resolveFlags } from '../../targets/host-layout.ts';
import { HOSTED_LAYOUT } from '../../targets/hosted/volumes.ts';
import { at } from '../../targets/hosted/workload.ts';
import { deliveryOf } from '../delivery.ts';
import type { Found, WorkloadFact } from '../facts.ts';
import { PROOF_STALE_MS } from '../proof.ts';

type Memory = NonNullable<AuditConfigStatus['workload']>;
/** What was accepted (accept.ts): the settings, and what is rendered from them. */
type Accepted = { readonly effective?: EffectiveConfig; readonly revision?: Revision };

/** What is to be asked, and with which kubeconfig. */
export type Look = {
  readonly revision: Revision;
  readonly credentials?: Digest;
  readonly flags: ReadonlyMap<string, string>;
  readonly secret: { readonly name: string; readonly key?: string | undefined };
};

export const LOOK_EVERY_MS = 3_600_000;
/** While something is wrong, or not known. */
const LOOK_AGAIN_MS = 300_000;

export function lookOf(revision: Revision, secret: Look['secret']): Look {
  const { credentials } = revision;
  return {
    revision,
    ...(credentials === undefined ? {} : { credentials: credentialsDigest(credentials.reveal()) }),
    flags: new Map(resolveFlags(revision, HOSTED_LAYOUT).map((f) => [f.name, f.value])),
    secret,
  };
}

/** Milliseconds; 0: now. */
export function lookDueIn({ proof, webhook }: Found, { revision, credentials }: Look, now: number): number {
  if (proof === undefined || proof.digest !== revision.digest) return 0;
  const hooked = revision.webhook !== undefined;
  // What is rotated is asked about anew; where the first question was not answered, there was no second.
  const isOther = webhook !== undefined && (webhook.digest !== revision.digest || webhook.credentials !== credentials);
  if (hooked && isOther) return 0;
  const isFine =
    (proof.result === 'EventCounted' || proof.result === 'NothingToObserve') &&
    (!hooked || webhook?.result === 'Delivering' || webhook?.result === 'NoTraffic');
  const age = now - Date.parse(proof.time);
  return Math.max(0, (isFine ? LOOK_EVERY_MS : LOOK_AGAIN_MS) - (age >= 0 ? age : 0));
}

/** By which kubeconfig it was asked, as status says it. */
export const nameOfSecret = ({ name, key }: Look['secret']): string => (key === undefined ? name : `${name}/${key}`);

/**
 * What stands in status, and what was found since; nothing where nobody is to ask any more, or by another kubeconfig. A
 * status that does not say by which is of a release in which that could not be changed.
 */
export function withFound(memory: Memory, found: Found | undefined, secret: Look['secret'] | undefined): Memory {
  const { proof: _p, webhook: _w, ...rest } = memory;
  if (secret === undefined) return rest;
  const isBySame = (f: Found): boolean => [undefined, nameOfSecret(secret)].includes(f.proof?.kubeconfig);
  const before: Memory = isBySame(memory) ? memory : rest;
  if (found?.proof === undefined || !isBySame(found)) return before;
  return Date.parse(found.proof.time) < Date.parse(before.proof?.time ?? '') ? before : { ...rest, ...found };
}

export type Proven = {
  readonly memory: Memory;
  /** Settled with this revision; undefined: not, or nothing is to be audited. */
  readonly digest: string | undefined;
  readonly asks: boolean;
  readonly now: number;
};

const NO_KUBECONFIG = 'target.hosted.kubeconfigSecretRef is not set, so that nobody asks the API server';
const UNASKED = 'the API server was not asked yet since it runs what is wanted';
const STALE = 'the API server was not asked for three hours';

/** Why what was found says nothing now. */
function notYet(found: { readonly digest: string; readonly time: string } | undefined, p: Proven): string | undefined {
  if (found === undefined || found.digest !== p.digest) return UNASKED;
  return p.now - Date.parse(found.time) < PROOF_STALE_MS ? undefined : STALE;
}

export function hostedVerified(p: Proven): Verdict<'Verified'> {
  const verified = (
    status: Verdict<'Verified'>['status'],
    reason: Verdict<'Verified'>['reason'],
    message: string,
  ): Verdict<'Verified'> => ({ type: 'Verified', status, reason, message });
  if (!p.asks) return verified('Unknown', 'NothingToObserve', NO_KUBECONFIG);
  const { proof } = p.memory;
  const why = notYet(proof, p);
  if (why !== undefined || proof === undefined) return verified('Unknown', 'Pending', why ?? UNASKED);
  switch (proof.result) {
    case 'EventCounted':
      return verified('True', 'EventCounted', proof.message);
    case 'EventMissing':
      return verified('False', 'EventMissing', proof.message);
    case 'NothingToObserve':
      return verified('Unknown', 'NothingToObserve', proof.message);
    case 'NoAnswer':
    case 'Refused':
      return verified('Unknown', 'Pending', proof.message);
  }
}

/** Only where there is a webhook. */
export function hostedDelivery(p: Proven): Verdict<'WebhookDelivering'> {
  const pending = (message: string): Verdict<'WebhookDelivering'> => ({
    type: 'WebhookDelivering',
    status: 'Unknown',
    reason: 'Pending',
    message,
  });
  if (!p.asks) return pending(NO_KUBECONFIG);
  const { webhook, proof } = p.memory;
  const why = notYet(webhook, p);
  if (why !== undefined || webhook === undefined)
    return pending(proof?.result === 'Refused' || proof?.result === 'NoAnswer' ? proof.message : (why ?? UNASKED));
  return { type: 'WebhookDelivering', ...deliveryOf(webhook.result), message: webhook.message };
}

/** Nobody measures how fast a log in a pod grows; and what is on an emptyDir goes with its pod. */
export function hostedRetention({ spec }: Pick<EffectiveConfig, 'spec'>): Verdict<'RetentionMet'> {
  const message =
    spec.log.type === 'File'
      ? 'the log lies in volumes of pods, where nobody measures it; on an emptyDir it goes with its pod'
      : 'no log file is kept';
  return { type: 'RetentionMet', status: 'Unknown', reason: 'NotMeasured', message };
}

/** With which all its pods were available, as far as nothing was taken back since; undefined where there is none. */
const running = ({ digest, lastKnownGood, refused }: Memory): string | undefined =>
  digest === lastKnownGood && refused === undefined ? digest : undefined;

/**
 * Its replicas in the place of nodes. They are counted as rollouts begin and end, not as pods come and go: status is not
 * written for those.
 */
export function replicasOf(
  workload: unknown,
  { revision }: Accepted,
  memory: Memory,
): Pick<AuditConfigStatus, 'nodes'> {
  if (revision === undefined || workload === null || workload === undefined) return {};
  const set = at(workload, 'spec', 'replicas');
  const desired = typeof set === 'number' && set >= 0 ? Math.min(set, 100_000) : 1;
  const updated = running(memory) === revision.digest ? desired : 0;
  const failed = [memory.refused?.digest, memory.fallback?.of].includes(revision.digest) ? desired : 0;
  return { nodes: { desired, updated, failed, summary: `${updated}/${desired}` } };
}

type Asked = { readonly now: number; readonly workload: Pick<WorkloadFact, 'kubeconfig' | 'askAgain'> };

/** What is known of its events and its log; of a spec that is not accepted, what was known before. */
export function observed(facts: Asked, { effective, revision }: Accepted, memory: Memory): readonly Verdict[] {
  // While pods are replaced that had it before, what was found still counts.
  if (effective !== undefined && revision === undefined)
    return [{ type: 'Verified', status: 'Unknown', reason: 'NothingToObserve', message: 'nothing is to be audited' }];
  const asks = facts.workload.kubeconfig !== undefined;
  const proven = { memory, digest: running(memory), asks, now: facts.now };
  return [
    hostedVerified(proven),
    ...(revision?.webhook === undefined ? [] : [hostedDelivery(proven)]),
    ...(effective === undefined || revision === undefined ? [] : [hostedRetention(effective)]),
  ];
}

/** Without conditions of what is not there. */
export function aboutSomething(list: readonly Condition[], { effective, revision }: Accepted): readonly Condition[] {
  if (effective === undefined) return list;
  const hooked = revision?.webhook === undefined ? removeCondition(list, 'WebhookDelivering') : list;
  return revision === undefined ? removeCondition(hooked, 'RetentionMet') : hooked;
}

/** Of what runs, whether its API server is to be asked now, or in how many milliseconds. */
export function nextLook(
  { now, workload }: Asked,
  { revision }: Accepted,
  memory: Memory,
): { readonly look?: Look; readonly at?: number } {
  const { kubeconfig } = workload;
  if (kubeconfig === undefined || revision === undefined || revision.digest !== memory.digest) return {};
  const look = lookOf(revision, kubeconfig);
  const due = workload.askAgain === true ? 0 : lookDueIn(memory, look, now);
  return due === 0 ? { look } : { at: due };
}
