/**
 * Several speak of one node: the worker of what it does, the prover and the watch over the webhook of what they found, the
 * keeper of gaps. AuditNode.status is written whole, so they are joined here, before the reporter. What was found of another
 * revision is not repeated; gaps are the node's own.
 */
import type { AuditNodeStatus } from '../api/auditnode.ts';
import type { Reporter } from './reporter.ts';

export type Measurements = Pick<AuditNodeStatus, 'proof' | 'retention' | 'webhook' | 'gaps'>;
export type JoinedReporter = Reporter & { measured(m: Measurements): void };

/** The measurements that are about what the node runs now. */
export function measurementsOf(m: Measurements, current: string | undefined): Measurements {
  const { proof, retention, webhook, gaps } = m;
  return {
    ...(gaps === undefined || gaps.length === 0 ? {} : { gaps }),
    ...(proof === undefined || proof.digest !== current ? {} : { proof }),
    ...(retention === undefined || retention.digest !== current ? {} : { retention }),
    ...(webhook === undefined || webhook.digest !== current ? {} : { webhook }),
  };
}

/** `before` is what the API has: the words of the agent's former life, until there are new ones. */
export function joinReports(
  reporter: Reporter,
  before: () => AuditNodeStatus,
  onSaid: (phase: AuditNodeStatus['phase']) => void,
): JoinedReporter {
  let said: AuditNodeStatus | undefined;
  let mine: Measurements = {};
  const send = (status: AuditNodeStatus): void => {
    reporter.report({ ...status, ...measurementsOf({ ...before(), ...mine }, status.current) });
  };
  return {
    ...reporter,
    report: (status) => {
      said = status;
      send(status);
      onSaid(status.phase);
    },
    measured: (m) => {
      mine = { ...mine, ...m };
      if (said !== undefined) send(said);
    },
  };
}
