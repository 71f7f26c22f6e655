/**
 * The controller's metrics of datacenters, of all of them together: names of objects are no labels. Only who leads decides,
 * so only who leads counts; when a term ends the gauges say nothing any more. Made once a process, handed to src/controllers.
 */
import { counter, gauge } from './metrics.ts';
import type { Registry } from './metrics.ts';

const STATES = ['Selected', 'Updated', 'Ready', 'Failed', 'Exempt'] as const;
export type ControlPlaneCounts = Readonly<Record<(typeof STATES)[number], number>>;

export type DatacenterMetrics = {
  /** What a datacenter's status says now: its control planes, and the reason of its RolledOut. */
  seen(name: string, control: ControlPlaneCounts, rollout: string): void;
  gone(name: string): void;
  /** So many control planes may take what is new from now on. */
  wave(size: number): void;
  /** The term is over. */
  clear(): void;
};

/** Registers all of them in `registry`; throws when called twice for the same one. */
export function createDatacenterMetrics(registry: Registry): DatacenterMetrics {
  const planes = gauge(registry, {
    name: 'datacenter_control_planes',
    help: 'Control planes of all datacenters by what is so of them; one that several select counts for each.',
    labels: ['state'],
  });
  const rollouts = gauge(registry, {
    name: 'datacenter_rollouts',
    help: 'Datacenters by the reason of their condition RolledOut.',
    labels: ['reason'],
  });
  const waves = counter(registry, {
    name: 'datacenter_waves_total',
    help: 'Times that control planes were let go on to what is new.',
  });
  const admitted = counter(registry, {
    name: 'datacenter_admitted_total',
    help: 'Control planes that were let go on to what is new.',
  });
  const known = new Map<string, { readonly control: ControlPlaneCounts; readonly rollout: string }>();
  const show = (): void => {
    planes.reset();
    rollouts.reset();
    if (known.size === 0) return;
    for (const { control, rollout } of known.values()) {
      for (const state of STATES) planes.inc({ state }, control[state]);
      rollouts.inc({ reason: rollout });
    }
  };
  return {
    seen: (name, control, rollout) => {
      known.set(name, { control, rollout });
      show();
    },
    gone: (name) => {
      if (known.delete(name)) show();
    },
    wave: (size) => {
      if (size === 0) return;
      waves.inc();
      admitted.inc(size);
    },
    clear: () => {
      known.clear();
      show();
    },
  };
}
