/**
 * What the nodes proved and measured, as the conditions Verified and RetentionMet of their AuditConfig; the worst node
 * wins. Only what a node says of the revision that it runs counts, and only as long as it is fresh: an agent that went
 * silent proves nothing. Pure; called by decide.ts.
 */
import type { AuditNodeStatus, ProofResult } from '../api/auditnode.ts';
import type { Verdict } from '../api/conditions.ts';
import type { NodeFact } from './facts.ts';

export type ProofOf = {
  readonly name: string;
  readonly status: AuditNodeStatus | undefined;
  /** It runs what is wanted. */
  readonly isThere: boolean;
};

/** What nodes say of themselves; one that speaks for another AuditConfig says nothing of this one. */
export const proofsOf = (
  nodes: readonly NodeFact[],
  uid: string,
  isThere: (node: NodeFact) => boolean,
): readonly ProofOf[] =>
  nodes.map((n) => ({
    name: n.name,
    status: n.auditNode?.spec.auditConfigRef.uid === uid ? n.auditNode.status : undefined,
    isThere: isThere(n),
  }));

/** Agents look at least once an hour; two misses and a restart later it is old. */
export const PROOF_STALE_MS = 3 * 3_600_000;

const MAX_MESSAGE = 1_024;

type Standing = 'Missing' | 'Pending' | 'Nothing' | 'Found';
const WORST_FIRST: readonly Standing[] = ['Missing', 'Pending', 'Nothing', 'Found'];

const STANDING: Readonly<Record<ProofResult, Standing>> = {
  EventFound: 'Found',
  EventMissing: 'Missing',
  WrongLevel: 'Missing',
  LogMissing: 'Missing',
  NothingToObserve: 'Nothing',
  NoAnswer: 'Pending',
  TooBusy: 'Pending',
};

type Stood = { readonly standing: Standing; readonly message: string };

function standingOf({ name, status, isThere }: ProofOf, now: number): Stood {
  const pending = (why: string): Stood => ({ standing: 'Pending', message: `node ${name}: ${why}` });
  const proof = status?.proof;
  if (proof === undefined || proof.digest !== status?.current) return pending('nobody looked yet');
  if (!(now - Date.parse(proof.time) < PROOF_STALE_MS)) return pending('its agent has not looked for three hours');
  const standing = STANDING[proof.result];
  // What is missing is missing, also from a revision that is about to be replaced; what was found says nothing of the next.
  if (!isThere && standing !== 'Missing') return pending('it does not run what is wanted yet');
  return { standing, message: `node ${name}: ${proof.message ?? proof.result}` };
}

const verified = (status: Verdict<'Verified'>['status'], reason: Verdict<'Verified'>['reason'], message: string) =>
  ({ type: 'Verified', status, reason, message: message.slice(0, MAX_MESSAGE) }) as const;

/** `nodes` are those that are to be audited; none of them: nothing to observe. */
export function verifiedVerdict(nodes: readonly ProofOf[], now: number): Verdict<'Verified'> {
  const all = nodes.map((n) => standingOf(n, now));
  const worst = WORST_FIRST.find((s) => all.some((a) => a.standing === s));
  const those = all.filter((a) => a.standing === worst);
  const more = those.length > 1 ? ` (and ${those.length - 1} more)` : '';
  const message = `${those[0]?.message ?? ''}${more}`;
  switch (worst) {
    case undefined:
      return verified('Unknown', 'NothingToObserve', 'there is no node that is to be audited');
    case 'Missing':
      return verified('False', 'EventMissing', message);
    case 'Pending':
      return verified('Unknown', 'Pending', message);
    case 'Nothing':
      return verified('Unknown', 'NothingToObserve', message);
    case 'Found':
      return verified(
        'True',
        'EventFound',
        `a request that must be recorded was found in the log of all ${all.length} nodes`,
      );
  }
}

/** Milliseconds until a proof, or a look at a webhook, that is fresh now is not any more; undefined where none is. */
export function proofEndsIn(nodes: readonly ProofOf[], now: number): number | undefined {
  const left = nodes.flatMap(({ status }) =>
    [status?.proof, status?.webhook].flatMap((p) => {
      const ms = p === undefined ? Number.NaN : Date.parse(p.time) + PROOF_STALE_MS - now;
      return ms > 0 ? [ms] : [];
    }),
  );
  return left.length === 0 ? undefined : Math.min(...left);
}

export type RetentionVerdict = {
  readonly verdict: Verdict<'RetentionMet'>;
  /** Of the worst node. */
  readonly measuredDays?: number;
};

/** `requestedDays` 0: age deletes nothing, and nothing was promised. `noLog`: the settings keep no file on the nodes. */
export function retentionVerdict(
  nodes: readonly ProofOf[],
  asked: { readonly requestedDays: number; readonly noLog: boolean },
): RetentionVerdict {
  const sharing = nodes.filter(({ status }) => status?.retention?.sharesDiskWithEtcd === true).map((n) => n.name);
  const warning =
    sharing.length === 0
      ? ''
      : `; warning: on ${sharing.slice(0, 5).join(', ')} the log shares a disk with etcd, and a full disk stops both`;
  const met = (
    status: Verdict<'RetentionMet'>['status'],
    reason: Verdict<'RetentionMet'>['reason'],
    message: string,
  ): Verdict<'RetentionMet'> => ({ type: 'RetentionMet', status, reason, message: `${message}${warning}` });
  if (asked.noLog) return { verdict: met('Unknown', 'NotMeasured', 'no log file is kept on the nodes') };
  const measured = nodes.flatMap(({ name, status }) => {
    const r = status?.retention;
    const days = r !== undefined && r.digest === status?.current ? r.measuredDays : undefined;
    return days === undefined ? [] : [{ name, days }];
  });
  const worst = [...measured].sort((a, b) => a.days - b.days)[0];
  const days = worst === undefined ? {} : { measuredDays: worst.days };
  if (worst !== undefined && worst.days < asked.requestedDays)
    return {
      ...days,
      verdict: met(
        'False',
        'TooShort',
        `node ${worst.name} keeps its log for ${worst.days} days at its present rate, and ${asked.requestedDays} are asked for: raise maxBackups or maxSize, or record less`,
      ),
    };
  const young = nodes.find((n) => !measured.some((m) => m.name === n.name));
  if (worst === undefined || young !== undefined)
    return {
      ...days,
      verdict: met(
        'Unknown',
        'NotMeasured',
        `node ${young?.name ?? 'none'}: its log is too young to tell, or nobody looked yet`,
      ),
    };
  return {
    ...days,
    verdict: met('True', 'Met', `all ${nodes.length} nodes keep their logs for ${worst.days} days or more`),
  };
}
