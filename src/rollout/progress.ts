/**
 * How far the nodes are, as conditions, counts and the worst ten: the one place where node states become what people
 * read. Called by decide.ts.
 */
import type { AuditConfigStatus } from '../api/auditconfig.ts';
import type { Verdict } from '../api/conditions.ts';
import type { NodeFact } from './facts.ts';
import type { Desired, NextNode, NodeView } from './next-node.ts';
import { isAt } from './next-node.ts';
import { timestamp } from './turn.ts';

const MAX_WORST = 10;
const MAX_MESSAGE = 512;

const isFailed = (n: NodeView): boolean => n.phase === 'Held';

/** Failed ones first, then those that are on their way, then those that nobody has asked yet. */
const badness = (n: NodeView): number => (isFailed(n) ? 0 : n.assigned !== null ? 1 : 2);

export function countNodes(
  views: readonly NodeView[],
  facts: readonly NodeFact[],
  want: Desired | undefined,
): NonNullable<AuditConfigStatus['nodes']> {
  const there = (n: NodeView): boolean => want !== undefined && isAt(n, want);
  const updated = views.filter(there).length;
  const worst = views
    .filter((n) => !there(n))
    .sort((a, b) => badness(a) - badness(b) || (a.name < b.name ? -1 : 1))
    .slice(0, MAX_WORST)
    .map((n) => {
      const status = facts.find((f) => f.name === n.name)?.auditNode?.status;
      const message = n.phase === 'Held' ? (status?.lastFailure?.message ?? status?.message) : status?.message;
      return {
        name: n.name,
        phase: n.phase ?? (n.assigned === null ? 'Waiting' : 'AgentSilent'),
        ...(message === undefined ? {} : { message: message.slice(0, MAX_MESSAGE) }),
      };
    });
  return {
    desired: views.length,
    updated,
    failed: views.filter(isFailed).length,
    summary: `${updated}/${views.length}`,
    ...(worst.length === 0 ? {} : { worst }),
  };
}

type RolledOut = Verdict<'RolledOut'>;
const rolledOut = (status: RolledOut['status'], reason: RolledOut['reason'], message: string): RolledOut => ({
  type: 'RolledOut',
  status,
  reason,
  message,
});

const whatIs = (want: Desired): string =>
  want.type === 'Revision' ? `revision ${want.digest.slice(0, 16)}` : 'removal';

export function rolledOutVerdict(
  next: NextNode,
  want: Desired,
  count: { updated: number; desired: number },
  now: number,
): RolledOut {
  const progress = `${count.updated} of ${count.desired} nodes`;
  const what = whatIs(want);
  switch (next.kind) {
    case 'Done':
      return want.type === 'Removed'
        ? rolledOut('True', 'Removed', `auditing by auditconfig is removed from ${count.desired} nodes`)
        : rolledOut('True', 'Complete', `all ${count.desired} nodes run ${what}`);
    case 'Assign':
      return rolledOut('False', 'Progressing', `${what}: ${progress}; node ${next.node} is next`);
    case 'Wait':
      return waitingVerdict(next, `${what}: ${progress}`, now);
    case 'Stopped':
      return stoppedVerdict(next, `${what}: ${progress}`, want);
  }
}

/** What an agent waits for, where that has a reason of its own. */
const OWN_REASON: Readonly<Record<string, RolledOut['reason']>> = { Paused: 'Paused', OutsideWindow: 'OutsideWindow' };

function waitingVerdict(next: Extract<NextNode, { kind: 'Wait' }>, progress: string, now: number): RolledOut {
  const say = (reason: RolledOut['reason'], message: string): RolledOut =>
    rolledOut('False', reason, `${progress}; ${message}`);
  const { node } = next;
  switch (next.why) {
    case 'AgentSilent':
      return say('AgentSilent', `the agent on node ${node} has not reported yet: is its DaemonSet pod running?`);
    case 'MinReady':
      return say('Progressing', `node ${node} follows when its predecessor was ready long enough`);
    case 'Unanswered':
      return say('Progressing', `node ${node} was told, and its agent has not answered: is it running?`);
    case 'InFlight':
      return say('Progressing', `node ${node} is being changed`);
    case 'Dead':
      return say('Waiting', `node ${node} is dead: mend it, or delete its Node`);
    case 'OutsideWindow':
      return say(
        'OutsideWindow',
        `node ${node} follows when the next window opens at ${timestamp(now + next.afterMs)}`,
      );
    case 'NotItsTurn': {
      const { reason, message } = next.waiting;
      return say(OWN_REASON[reason] ?? 'Waiting', `node ${node} waits: ${message} (${reason})`);
    }
  }
}

function stoppedVerdict(next: Extract<NextNode, { kind: 'Stopped' }>, progress: string, want: Desired): RolledOut {
  switch (next.why) {
    case 'Paused':
      return rolledOut('False', 'Paused', `${progress}; rollout.paused holds back node ${next.node}`);
    case 'NodeHeld':
      return rolledOut(
        'False',
        'NodeHeld',
        `${progress}; node ${next.node} went back and is not tried again until something changes`,
      );
    case 'NoNodes':
      return want.type === 'Removed'
        ? rolledOut('True', 'Removed', 'there is no node to remove anything from')
        : rolledOut('False', 'NoNodes', 'no Node matches target.staticPod.nodeSelector');
  }
}

/** Of drift that is not put right, and of what nobody is blamed for, the reason is said as it is. */
const STOPPED_BY = ['DriftFight', 'Rescued', 'WebhookFallback', 'Inconclusive'] as const;

/** A node that went back is degradation even while its predecessor revision serves. */
export function degradedVerdict(facts: readonly NodeFact[], views: readonly NodeView[]): Verdict<'Degraded'> {
  const held = views.find(isFailed);
  if (held === undefined) return { type: 'Degraded', status: 'False', reason: 'AsExpected', message: 'no node failed' };
  const status = facts.find((f) => f.name === held.name)?.auditNode?.status;
  const failure = status?.lastFailure;
  const why =
    failure === undefined ? (status?.message ?? 'it gave no reason') : `${failure.reason}: ${failure.message}`;
  return {
    type: 'Degraded',
    status: 'True',
    reason: STOPPED_BY.find((r) => r === failure?.reason) ?? 'NodeHeld',
    message: `node ${held.name} does not run what is wanted: ${why}`.slice(0, 4096),
  };
}
