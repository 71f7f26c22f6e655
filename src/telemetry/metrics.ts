/**
 * Prometheus metrics. A registry is created by main and handed down; nothing is registered at import. Names follow
 * Prometheus' conventions (base units, `_total`, `_seconds`) and begin with `auditconfig_`. Labels are of bounded
 * number: never object names, never messages.
 */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

export type { Registry } from 'prom-client';

const PREFIX = 'auditconfig_';

export type MetricSpec = { readonly name: string; readonly help: string; readonly labels?: readonly string[] };

const configOf = (registry: Registry, spec: MetricSpec) => ({
  name: PREFIX + spec.name,
  help: spec.help,
  labelNames: [...(spec.labels ?? [])],
  registers: [registry],
});

/** `spec.name` comes without the prefix. Throws when the name is taken: two owners of one metric are a bug. */
export const counter = (registry: Registry, spec: MetricSpec): Counter => new Counter(configOf(registry, spec));
export const gauge = (registry: Registry, spec: MetricSpec): Gauge => new Gauge(configOf(registry, spec));
export const histogram = (registry: Registry, spec: MetricSpec & { readonly buckets: readonly number[] }): Histogram =>
  new Histogram({ ...configOf(registry, spec), buckets: [...spec.buckets] });

export type RegistryOptions = { readonly version: string; readonly processMetrics?: boolean };

/** A registry with `auditconfig_build_info`, and Node's process metrics (heap, event loop, file descriptors) if wanted. */
export function createRegistry(options: RegistryOptions): Registry {
  const registry = new Registry();
  if (options.processMetrics === true) collectDefaultMetrics({ register: registry, prefix: PREFIX });
  gauge(registry, { name: 'build_info', help: 'Version of this build; always 1.', labels: ['version', 'node'] }).set(
    { version: options.version, node: process.versions.node },
    1,
  );
  return registry;
}
