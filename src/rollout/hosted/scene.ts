/** What the decision about one hosted AuditConfig looks at, and the words that its parts share. Used in this folder. */
import type { AuditConfigStatus } from '../../api/auditconfig.ts';
import type { Reasons, Verdict } from '../../api/conditions.ts';
import type { Own } from '../../render/last-valid.ts';
import type { Revision } from '../../render/types.ts';
import type { HostedView } from '../../targets/hosted.ts';
import type { PatchOp } from '../../targets/hosted/patch.ts';
import type { RolloutState } from '../../targets/owners/types.ts';
import type { Accepted } from '../accept.ts';
import type { Facts, WorkloadFact } from '../facts.ts';
import type { EgressWish } from './egress-facts.ts';
import type { Look } from './proof.ts';

export type HostedFacts = Facts & { readonly workload: WorkloadFact };
export type Memory = NonNullable<AuditConfigStatus['workload']>;
export type RolledOut = Verdict<'RolledOut'>;

/** How it is told whether requests wait: of a revision that runs, or that nobody puts in before its API server answers. */
export type AskServing = {
  readonly revision: Revision;
  readonly isRunning: boolean;
  /** The mode in which a request is refused that could not be recorded. */
  readonly strict: boolean;
  readonly secret: NonNullable<WorkloadFact['kubeconfig']>;
};

export type HostedDecision = {
  readonly finalizer: 'Keep' | 'Add' | 'Remove';
  readonly publish?: Revision;
  /** Of this revision, the webhook's credentials are others: they alone are published anew. */
  readonly rotate?: Revision;
  /** What runs, with the newest credentials: they alone are published anew. */
  readonly carry?: Revision;
  readonly patch?: readonly PatchOp[];
  /** Its API server is to be asked now; what comes of it is a fact of the next decision. */
  readonly look?: Look;
  /** Its API server is to be asked all the time whether requests wait. */
  readonly ask?: AskServing;
  /** Of the Deployment that an owner makes. */
  readonly patchMade?: readonly PatchOp[];
  /** Revisions that nothing needs any more are to be deleted. */
  readonly prune?: boolean;
  /** Pods that the failed revision left behind: a StatefulSet does not replace them by itself. */
  readonly deleteStuckPods?: boolean;
  readonly keep?: Own;
  readonly status?: AuditConfigStatus;
  readonly requeueAfterMs?: number;
  /** Decided without: they are to be read, and it is to be decided again. */
  readonly needs?: 'LastValid' | 'LastGood' | 'Running';
  /** What the pods must reach; absent where it is not for this AuditConfig to say. egress.ts and the controller do the rest. */
  readonly egress?: EgressWish;
  readonly settled: boolean;
};

/**
 * It begins a rollout that Kubernetes carries out: what comes of that is told by the workload's controller, or by the end of
 * its time, and the decision's own writing coming back tells nothing. Of no other decision: many are one step of several.
 */
export const isFollowed = (d: HostedDecision): boolean =>
  d.finalizer === 'Keep' &&
  d.patch !== undefined &&
  d.publish !== undefined &&
  d.ask === undefined &&
  d.requeueAfterMs !== undefined &&
  d.requeueAfterMs > 0;

/** What is to happen to the workload, and what is said of it. */
export type Step = Pick<
  HostedDecision,
  | 'publish'
  | 'patchMade'
  | 'rotate'
  | 'carry'
  | 'patch'
  | 'prune'
  | 'deleteStuckPods'
  | 'requeueAfterMs'
  | 'needs'
  | 'ask'
> & {
  readonly rolled: RolledOut;
  readonly degraded?: Verdict<'Degraded'>;
  /** Said where nothing is known to be wrong. */
  readonly doubt?: Verdict<'Degraded'>;
  readonly memory: Memory;
  readonly settled?: boolean;
};

/** No watch tells of a workload that is not labelled yet. */
export const LOOK_AGAIN_MS = 60_000;

export const rolled = (status: RolledOut['status'], reason: Reasons['RolledOut'], message: string): RolledOut => ({
  type: 'RolledOut',
  status,
  reason,
  message,
});
export const degraded = (reason: Reasons['Degraded'], message: string): Verdict<'Degraded'> => ({
  type: 'Degraded',
  status: 'True',
  reason,
  message: message.slice(0, 4096),
});

/** The same at every look, so that pods that come and go write no status. */
export const progressing = (what: string, { workload }: HostedFacts): RolledOut =>
  rolled('False', 'Progressing', `${what} is rolled out in ${nameOf(workload)}`);

export const short = (digest: string): string => digest.slice(0, 16);
export const nameOf = ({ spec, name }: WorkloadFact): string => `${spec.kind} ${name}`;
export const memoryOf = ({ status }: Facts): Memory => status.workload ?? {};
export const opsOf = (plan: {
  readonly changes: readonly { readonly patch: readonly PatchOp[] }[];
}): readonly PatchOp[] => plan.changes.flatMap((c) => c.patch);

/** Everything that the steps below look at. */
export type Scene = {
  readonly facts: HostedFacts;
  readonly accepted: Accepted;
  readonly view: HostedView;
  readonly state: RolloutState;
  readonly memory: Memory;
};
