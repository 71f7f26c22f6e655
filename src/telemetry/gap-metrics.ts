/** The agent's metrics of intervals without audit. Made once a process, handed to src/agent. */
import { counter, gauge } from './metrics.ts';
import type { Registry } from './metrics.ts';

export type GapMetrics = {
  ended(reason: string, seconds: number): void;
  open(is: boolean): void;
};

/** Registers all of them in `registry`; throws when called twice for the same one. */
export function createGapMetrics(registry: Registry): GapMetrics {
  const seconds = counter(registry, {
    name: 'audit_gap_seconds_total',
    help: 'Length of intervals in which the API server served and did not record what it should, by reason; counted when they end.',
    labels: ['reason'],
  });
  const open = gauge(registry, {
    name: 'audit_gap_open',
    help: '1 while this node serves and does not record what it should.',
  });
  return {
    ended: (reason, length) => seconds.inc({ reason }, length),
    open: (is) => open.set(is ? 1 : 0),
  };
}
