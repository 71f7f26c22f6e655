/** The agent's metrics of proof and of measured retention. Made once a process, handed to src/agent. */
import { counter, gauge } from './metrics.ts';
import type { Registry } from './metrics.ts';

export type ProofMetrics = {
  proven(result: string, bytesRead: number): void;
  /** Undefined where it cannot be told: the metric then says -1, so that an old number does not stand. */
  retention(m: {
    readonly days?: number;
    readonly bytesPerDay?: number;
    readonly oldestAt?: number;
    /** 0: age deletes nothing. */
    readonly requestedDays: number;
    /** The log's disk is etcd's too. */
    readonly shares: boolean | undefined;
  }): void;
};

/** Registers all of them in `registry`; throws when called twice for the same one. */
export function createProofMetrics(registry: Registry): ProofMetrics {
  const proofs = counter(registry, {
    name: 'proofs_total',
    help: 'Looks for an event that must be in the log, by result.',
    labels: ['result'],
  });
  const verified = gauge(registry, {
    name: 'event_found',
    help: '1 while the last proof found its event, 0 while it did not, -1 while that cannot be told.',
  });
  const read = counter(registry, { name: 'proof_read_bytes_total', help: 'Bytes of the log read for proof.' });
  const days = gauge(registry, {
    name: 'log_retention_days',
    help: 'Days for which the settings keep the log at its present rate; -1 while that cannot be told.',
  });
  const requested = gauge(registry, {
    name: 'log_retention_requested_days',
    help: 'Days for which the settings ask; 0: age deletes nothing; -1 while no log was looked at.',
  });
  const shares = gauge(registry, {
    name: 'log_shares_disk_with_etcd',
    help: '1 where the log is on the disk of etcd, 0 where it is not, -1 where that cannot be told.',
  });
  const rate = gauge(registry, {
    name: 'log_bytes_per_day',
    help: 'How fast the log grows, before compression; -1 while that cannot be told.',
  });
  const oldest = gauge(registry, {
    name: 'log_oldest_event_timestamp_seconds',
    help: 'When the oldest event on disk was recorded, in seconds since 1970; -1 while that cannot be told.',
  });
  for (const g of [verified, days, requested, shares, rate, oldest]) g.set(-1);
  const MISSING = ['EventMissing', 'WrongLevel', 'LogMissing'];
  return {
    proven: (result, bytesRead) => {
      proofs.inc({ result });
      read.inc(bytesRead);
      verified.set(result === 'EventFound' ? 1 : MISSING.includes(result) ? 0 : -1);
    },
    retention: (m) => {
      days.set(m.days ?? -1);
      requested.set(m.requestedDays);
      shares.set(m.shares === undefined ? -1 : m.shares ? 1 : 0);
      rate.set(m.bytesPerDay ?? -1);
      oldest.set(m.oldestAt === undefined ? -1 : m.oldestAt / 1000);
    },
  };
}
