/** The metrics of src/kube. One object, made once a process and handed to transport, reflectors, queues and lease. */
import { counter, gauge, histogram } from './metrics.ts';
import type { Registry } from './metrics.ts';

const LATENCY = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export type KubeMetrics = {
  request(labels: { verb: string; resource: string; code: string }, seconds: number): void;
  apiServerUp(up: boolean): void;
  watchStarted(resource: string): void;
  watchEnded(resource: string, reason: string): void;
  watchEvent(resource: string): void;
  listed(resource: string, reason: string): void;
  /** So many more, or fewer: several caches may hold objects of one resource. */
  stored(resource: string, more: number): void;
  handlerFailed(resource: string): void;
  queueDepth(queue: string, depth: number): void;
  queueAdded(queue: string): void;
  queueRetried(queue: string): void;
  queueWaited(queue: string, seconds: number): void;
  queueWorked(queue: string, outcome: string, seconds: number): void;
  queueInFlight(queue: string, count: number): void;
  leading(lease: string, leading: boolean): void;
  leaseLost(lease: string): void;
  eventSent(outcome: 'created' | 'updated' | 'dropped' | 'failed'): void;
  statusWrite(outcome: 'written' | 'unchanged' | 'failed'): void;
};

/** Registers all of them in `registry`; throws when called twice for the same one. */
export function createKubeMetrics(registry: Registry): KubeMetrics {
  const requests = counter(registry, {
    name: 'kube_requests_total',
    help: 'Requests to the API server by verb, resource and HTTP status or error code.',
    labels: ['verb', 'resource', 'code'],
  });
  const requestSeconds = histogram(registry, {
    name: 'kube_request_duration_seconds',
    help: 'Duration of requests to the API server; for watches until the response begins.',
    labels: ['verb'],
    buckets: LATENCY,
  });
  const up = gauge(registry, { name: 'kube_api_server_up', help: '1 while the API server answers and is ready.' });
  const active = gauge(registry, { name: 'kube_watches', help: 'Open watches.', labels: ['resource'] });
  const ended = counter(registry, {
    name: 'kube_watch_ends_total',
    help: 'Watches that ended, by reason.',
    labels: ['resource', 'reason'],
  });
  const events = counter(registry, {
    name: 'kube_watch_events_total',
    help: 'Events received in watches, bookmarks included.',
    labels: ['resource'],
  });
  const lists = counter(registry, {
    name: 'kube_lists_total',
    help: 'Complete (re)lists of a reflector, by reason.',
    labels: ['resource', 'reason'],
  });
  const objects = gauge(registry, {
    name: 'kube_cached_objects',
    help: 'Objects held, in all caches.',
    labels: ['resource'],
  });
  const handlerErrors = counter(registry, {
    name: 'kube_handler_errors_total',
    help: 'Change handlers that threw: bugs.',
    labels: ['resource'],
  });
  const depth = gauge(registry, { name: 'workqueue_depth', help: 'Keys waiting.', labels: ['queue'] });
  const adds = counter(registry, { name: 'workqueue_adds_total', help: 'Keys added.', labels: ['queue'] });
  const retries = counter(registry, {
    name: 'workqueue_retries_total',
    help: 'Keys added again with backoff.',
    labels: ['queue'],
  });
  const waitSeconds = histogram(registry, {
    name: 'workqueue_queue_duration_seconds',
    help: 'How long a key waited for a worker.',
    labels: ['queue'],
    buckets: LATENCY,
  });
  const workSeconds = histogram(registry, {
    name: 'workqueue_work_duration_seconds',
    help: 'How long a key was worked on, by outcome.',
    labels: ['queue', 'outcome'],
    buckets: LATENCY,
  });
  const inFlight = gauge(registry, { name: 'workqueue_in_flight', help: 'Keys being worked on.', labels: ['queue'] });
  const leader = gauge(registry, { name: 'leader', help: '1 while this process leads.', labels: ['lease'] });
  const lost = counter(registry, {
    name: 'leader_losses_total',
    help: 'Leadership lost against our will.',
    labels: ['lease'],
  });
  const kubeEvents = counter(registry, {
    name: 'kube_events_total',
    help: 'Kubernetes events by what became of them.',
    labels: ['outcome'],
  });
  const statuses = counter(registry, {
    name: 'kube_status_writes_total',
    help: 'Status writes by outcome.',
    labels: ['outcome'],
  });
  return {
    request: ({ verb, resource, code }, seconds) => {
      requests.inc({ verb, resource, code });
      requestSeconds.observe({ verb }, seconds);
    },
    apiServerUp: (is) => up.set(is ? 1 : 0),
    watchStarted: (resource) => active.inc({ resource }),
    watchEnded: (resource, reason) => {
      active.dec({ resource });
      ended.inc({ resource, reason });
    },
    watchEvent: (resource) => events.inc({ resource }),
    listed: (resource, reason) => lists.inc({ resource, reason }),
    stored: (resource, more) => objects.inc({ resource }, more),
    handlerFailed: (resource) => handlerErrors.inc({ resource }),
    queueDepth: (queue, n) => depth.set({ queue }, n),
    queueAdded: (queue) => adds.inc({ queue }),
    queueRetried: (queue) => retries.inc({ queue }),
    queueWaited: (queue, seconds) => waitSeconds.observe({ queue }, seconds),
    queueWorked: (queue, outcome, seconds) => workSeconds.observe({ queue, outcome }, seconds),
    queueInFlight: (queue, n) => inFlight.set({ queue }, n),
    leading: (lease, is) => leader.set({ lease }, is ? 1 : 0),
    leaseLost: (lease) => lost.inc({ lease }),
    eventSent: (outcome) => kubeEvents.inc({ outcome }),
    statusWrite: (outcome) => statuses.inc({ outcome }),
  };
}

const nothing = (): void => undefined;

/** For commands that serve no metrics, and for tests. */
export const noKubeMetrics: KubeMetrics = {
  request: nothing,
  apiServerUp: nothing,
  watchStarted: nothing,
  watchEnded: nothing,
  watchEvent: nothing,
  listed: nothing,
  stored: nothing,
  handlerFailed: nothing,
  queueDepth: nothing,
  queueAdded: nothing,
  queueRetried: nothing,
  queueWaited: nothing,
  queueWorked: nothing,
  queueInFlight: nothing,
  leading: nothing,
  leaseLost: nothing,
  eventSent: nothing,
  statusWrite: nothing,
};
