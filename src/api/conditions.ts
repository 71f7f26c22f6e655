/**
 * Conditions of an AuditConfig and of a DatacenterAuditConfig: types and reasons as closed unions, how one is set, and how Ready follows from the
 * others. Pure: the time of a transition is an argument. Reasons are a contract (alerts and scripts match them): they
 * are never renamed. Called by the controller in one place only, and by `status`.
 *
 * kstatus (kubectl wait, Flux, Argo CD) reads `Ready`, and `Reconciling` and `Stalled`, which are there only while
 * they are true: Reconciling says "work goes on", Stalled says "nothing will happen until somebody does something".
 */

/** Reasons by condition type. */
export type Reasons = {
  /** Can this spec be acted upon? A False one changes no node: what ran keeps running. */
  Accepted:
    | 'Valid'
    /** A field breaks a rule of the API. */
    | 'InvalidSpec'
    /** A field that this release cannot act upon. */
    | 'Unsupported'
    /** The policy does not load on a version that runs; the message has line and column. */
    | 'InvalidPolicy'
    /** The webhook's kubeconfig would not load. */
    | 'InvalidWebhook'
    /** Flags that a kube-apiserver would refuse or that would do nothing. */
    | 'InvalidSettings'
    /** A ConfigMap, Secret or key that is not there. */
    | 'ReferenceNotFound'
    /** The controller may not read a referenced object. */
    | 'ReferenceForbidden'
    /** A reference could not be read now; it is tried again. */
    | 'ReferenceUnreadable'
    /** An older AuditConfig has this target. */
    | 'TargetConflict'
    /** A datacenter counts whose content cannot be read. */
    | 'DatacenterUnreadable'
    /** A node target outside the operator's namespace. */
    | 'NamespaceNotAllowed'
    /** What only a datacenter can permit, and none does. */
    | 'NotPermitted'
    /** Nothing was judged yet. */
    | 'Pending';
  /** Do all nodes run what is wanted? */
  RolledOut:
    | 'Complete'
    /** state is Disabled, and all that was added is gone. */
    | 'Removed'
    | 'Progressing'
    | 'Paused'
    /** It is the next node's turn as soon as the others' API servers are ready, or another restart has ended. */
    | 'Waiting'
    /** No window is open; the message says when the next one opens. */
    | 'OutsideWindow'
    /** A node went back or refused: the rest waits for somebody. */
    | 'NodeHeld'
    /** No agent answers on the node whose turn it is. */
    | 'AgentSilent'
    /** No node matches the target. */
    | 'NoNodes'
    /** There is no such Deployment or StatefulSet. */
    | 'WorkloadNotFound'
    /** It is no kube-apiserver that can be configured; the message has the finding's code. */
    | 'WorkloadRefused'
    /** Somebody writes the workload back again and again. */
    | 'FieldFight'
    /** The API server refused a step of the rollout (a right, a namespace, a CRD is missing); it is tried again. */
    | 'Blocked'
    /** Of a datacenter: as many control planes as rollout.maxFailures failed with what it says. */
    | 'ControlPlaneFailed'
    /** Of a datacenter: the canaries have not been ready for long enough. */
    | 'Soaking'
    /** Of a datacenter: it selects no AuditConfig. */
    | 'NoControlPlanes'
    /** The spec is not accepted: nodes keep what they have. */
    | 'NotAccepted'
    | 'Pending';
  /** Was an event that must be there found where it must be? */
  Verified:
    | 'EventFound'
    /** Of a hosted API server: it counted the events that must be there, and its log was not looked into. */
    | 'EventCounted'
    | 'EventMissing'
    | 'NothingToObserve'
    | 'Pending';
  /** Does the webhook take events? Only there with a webhook. */
  WebhookDelivering:
    | 'Delivering'
    /** No request is answered with success. */
    | 'Failing'
    /** It takes events, and some were given up since the last look. */
    | 'EventsLost'
    | 'NoTraffic'
    | 'Pending';
  /** Do NetworkPolicies let a hosted control plane reach its webhook? Only there with a webhook and networkPolicy: Auto. */
  EgressPermitted:
    /** One of ours lets it. */
    | 'Permitted'
    /** None restricts its pods. */
    | 'NotRestricted'
    /** Part of what the webhook's host stands for is not to be reached. */
    | 'DestinationRefused'
    /** The host is a name that does not resolve, or a Service or a port that is not there. */
    | 'DestinationUnknown'
    /** The API server refused to let it be written. */
    | 'Forbidden'
    | 'Pending';
  /** Is the log kept as long as asked? */
  RetentionMet: 'Met' | 'TooShort' | 'NotMeasured';
  /** Does kubeadm render what runs? Only there with kubeadmConfig: Sync. */
  KubeadmConfigSynced:
    | 'Synced'
    /** It is written when every node runs the revision. */
    | 'Waiting'
    /** There is no such ConfigMap: no cluster of kubeadm's. */
    | 'NoKubeadmConfig'
    /** The controller may not read it, or has not yet. */
    | 'NotReadable'
    /** It follows another AuditConfig. */
    | 'OtherOwner'
    /** A ClusterConfiguration of a version that is not understood. */
    | 'UnknownVersion'
    /** No ClusterConfiguration that kubeadm would read. */
    | 'Unreadable'
    /** What stands there does not go together with what is wanted. */
    | 'Refused'
    /** Somebody else writes it again and again. */
    | 'Fight';
  /** Does the shipper run on all nodes? Only there with spec.shipping, and not for hosted control planes. */
  Shipping:
    | 'Running'
    /** Its DaemonSet takes a change to the nodes. */
    | 'Progressing'
    /** Pods do not run, or find no node. */
    | 'Unavailable';
  /** Of a datacenter: does another one enforce something else for the same control planes? True is bad. */
  Conflicting: 'FieldsDiffer' | 'NoConflict';
  /** Is something wrong that does not stop the rest? True is bad. */
  Degraded:
    | 'AsExpected'
    | 'NodeHeld'
    | 'DriftFight'
    | 'Rescued'
    /** A webhook that blocks requests kept an API server from serving: it is in mode Batch there. */
    | 'WebhookFallback'
    /** Unknown: a webhook that blocks requests runs, and nobody can tell whether they wait. */
    | 'FallbackBlind'
    /** Unknown: what runs keeps a webhook's credentials of before, since the newest ones may be another's. */
    | 'CredentialsWaiting'
    | 'FieldFight'
    | 'LastValidKept'
    | 'Inconclusive';
  Ready:
    | 'Ready'
    | 'Disabled'
    | Reasons['Accepted']
    | Reasons['RolledOut']
    | Reasons['Degraded']
    | Reasons['Verified']
    | Reasons['WebhookDelivering']
    | Reasons['EgressPermitted']
    | Reasons['KubeadmConfigSynced'];
  Reconciling: 'Progressing';
  Stalled: Reasons['Ready'];
};
export type ConditionType = keyof Reasons;
export const CONDITION_TYPES = [
  'Ready',
  'Accepted',
  'RolledOut',
  'Verified',
  'WebhookDelivering',
  'EgressPermitted',
  'RetentionMet',
  'KubeadmConfigSynced',
  'Shipping',
  'Conflicting',
  'Degraded',
  'Reconciling',
  'Stalled',
] as const satisfies readonly ConditionType[];

export type ConditionStatus = 'True' | 'False' | 'Unknown';

/** As metav1.Condition; the time is RFC 3339 with seconds. */
export type Condition = {
  readonly type: string;
  readonly status: ConditionStatus;
  readonly reason: string;
  readonly message: string;
  readonly lastTransitionTime: string;
  readonly observedGeneration?: number | undefined;
};

/** A condition before it is stored. */
export type Verdict<T extends ConditionType = ConditionType> = {
  [K in T]: {
    readonly type: K;
    readonly status: ConditionStatus;
    readonly reason: Reasons[K];
    readonly message: string;
  };
}[T];

/** When and for which generation of spec a condition is set. `now` is RFC 3339. */
export type Moment = { readonly now: string; readonly generation: number };

/** What metav1.Condition allows. */
const MAX_MESSAGE = 32_768;

/**
 * The list with this condition. The transition time changes only with the status; where nothing changes the very same
 * list comes back, so that callers can skip a write. Conditions of other writers stay.
 */
export function setCondition(list: readonly Condition[], verdict: Verdict, moment: Moment): readonly Condition[] {
  const before = list.find((c) => c.type === verdict.type);
  const message = verdict.message.slice(0, MAX_MESSAGE);
  const same =
    before !== undefined &&
    before.status === verdict.status &&
    before.reason === verdict.reason &&
    before.message === message &&
    before.observedGeneration === moment.generation;
  if (same) return list;
  const after: Condition = {
    type: verdict.type,
    status: verdict.status,
    reason: verdict.reason,
    message,
    lastTransitionTime: before?.status === verdict.status ? before.lastTransitionTime : moment.now,
    observedGeneration: moment.generation,
  };
  return before === undefined ? [...list, after] : list.map((c) => (c === before ? after : c));
}

export const removeCondition = (list: readonly Condition[], type: ConditionType): readonly Condition[] =>
  list.some((c) => c.type === type) ? list.filter((c) => c.type !== type) : list;

type Summary = {
  readonly ready: Verdict<'Ready'>;
  /** What kstatus is told besides. */
  readonly work: 'Reconciling' | 'Stalled' | 'None';
};

/** RolledOut=False with these reasons needs somebody; with others it goes on by itself. */
const NEEDS_SOMEBODY: ReadonlySet<string> = new Set<Reasons['RolledOut']>([
  'Paused',
  'NodeHeld',
  'WorkloadRefused',
  'FieldFight',
  'NoNodes',
  'ControlPlaneFailed',
]);
/** Accepted=False with these reasons is tried again by itself. */
const RETRIED: ReadonlySet<string> = new Set<Reasons['Accepted']>(['ReferenceUnreadable']);

const ready = (status: ConditionStatus, from: Pick<Condition, 'reason' | 'message'>): Verdict<'Ready'> => ({
  type: 'Ready',
  status,
  // The union of Ready's reasons holds those of every condition that it is derived from.
  reason: from.reason as Reasons['Ready'],
  message: from.message,
});

/**
 * Ready, in this order: a spec that is not accepted; something degraded; nodes that do not run what is wanted; events
 * that are proven missing, or cannot get through; a kubeadm-config that cannot be kept in step. Unknown proofs (Verified, WebhookDelivering) do not hold Ready back, and neither does a
 * retention that is too short: it has a condition of its own.
 */
export function summarize(list: readonly Condition[], generation: number): Summary {
  const of = (type: ConditionType): Condition | undefined =>
    list.find((c) => c.type === type && c.observedGeneration === generation);
  const pending = { reason: 'Pending', message: 'nothing is known about this generation yet' };
  const [accepted, degraded, rolledOut] = [of('Accepted'), of('Degraded'), of('RolledOut')];
  if (accepted === undefined || accepted.status === 'Unknown')
    return { ready: ready('Unknown', accepted ?? pending), work: 'Reconciling' };
  if (accepted.status === 'False')
    return { ready: ready('False', accepted), work: RETRIED.has(accepted.reason) ? 'Reconciling' : 'Stalled' };
  if (degraded?.status === 'True') return { ready: ready('False', degraded), work: 'Stalled' };
  if (rolledOut === undefined || rolledOut.status === 'Unknown')
    return { ready: ready('Unknown', rolledOut ?? pending), work: 'Reconciling' };
  if (rolledOut.status === 'False')
    return { ready: ready('False', rolledOut), work: NEEDS_SOMEBODY.has(rolledOut.reason) ? 'Stalled' : 'Reconciling' };
  const missing = [of('Verified'), of('WebhookDelivering'), of('EgressPermitted'), of('KubeadmConfigSynced')].find(
    (c) => c?.status === 'False',
  );
  if (missing !== undefined) return { ready: ready('False', missing), work: 'None' };
  const reason = rolledOut.reason === 'Removed' ? 'Disabled' : 'Ready';
  return { ready: ready('True', { reason, message: rolledOut.message }), work: 'None' };
}

/** The list with Ready, Reconciling and Stalled as they follow from the rest of it. */
export function withSummary(list: readonly Condition[], moment: Moment): readonly Condition[] {
  const { ready: verdict, work } = summarize(list, moment.generation);
  const withReady = setCondition(list, verdict, moment);
  const rest = { status: 'True', message: verdict.message } as const;
  switch (work) {
    case 'Reconciling':
      return setCondition(
        removeCondition(withReady, 'Stalled'),
        { ...rest, type: 'Reconciling', reason: 'Progressing' },
        moment,
      );
    case 'Stalled':
      return setCondition(
        removeCondition(withReady, 'Reconciling'),
        { ...rest, type: 'Stalled', reason: verdict.reason },
        moment,
      );
    case 'None':
      return removeCondition(removeCondition(withReady, 'Reconciling'), 'Stalled');
  }
}
