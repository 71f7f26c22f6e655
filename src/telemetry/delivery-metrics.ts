/** The agent's metrics of what the webhook takes. Made once a process, handed to src/agent. */
import { counter, gauge } from './metrics.ts';
import type { Registry } from './metrics.ts';

export type DeliveryMetrics = {
  /** `lost`: events, since the look before. */
  looked(result: string, lost: number): void;
  /** There is no webhook. */
  silent(): void;
};

/** Registers all of them in `registry`; throws when called twice for the same one. */
export function createDeliveryMetrics(registry: Registry): DeliveryMetrics {
  const looks = counter(registry, {
    name: 'webhook_looks_total',
    help: 'Looks at what the API server counts of its webhook, by result.',
    labels: ['result'],
  });
  const delivering = gauge(registry, {
    name: 'webhook_delivering',
    help: '1 while the webhook takes events, 0 while it does not or events are lost, -1 while that cannot be told.',
  });
  const lostEvents = counter(registry, {
    name: 'webhook_lost_events_total',
    help: 'Events that the API server gave up on their way to the webhook, as far as looks have seen.',
  });
  delivering.set(-1);
  return {
    looked: (result, lost) => {
      looks.inc({ result });
      lostEvents.inc(lost);
      delivering.set(result === 'Delivering' ? 1 : result === 'Failing' || result === 'EventsLost' ? 0 : -1);
    },
    silent: () => delivering.set(-1),
  };
}
