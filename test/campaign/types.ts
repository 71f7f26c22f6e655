/**
 * What a breakage is, as data: one way to stop an API server or to lose its audit log, and what must come of it. One file
 * for each kind has them in a list (policy-and-flags.ts and so on); runner.ts runs them in a lab and judges.
 */
import type { Lab } from './lab.ts';

export const KINDS = [
  'policy and flags',
  'files and disks',
  'crashes and reboots',
  'network and etcd',
  'concurrency',
] as const;
export type Kind = (typeof KINDS)[number];

/**
 * `refused`: said so, and nothing was touched: same manifests, same processes, no second without an API server.
 * `healed`: every API server is ready and audited again, and nobody did anything for it.
 * `inconclusive`: the agent found that something else is broken and blamed no revision; when that is whole, as `healed`.
 */
export type Outcome = 'refused' | 'healed' | 'inconclusive';

export type Breakage = {
  /** Short, unique, and what `--only` takes. */
  readonly id: string;
  readonly kind: Kind;
  readonly title: string;
  readonly nodes: 1 | 3;
  readonly expect: Outcome;
  /** Takes long, and most of it is waiting: other rows run meanwhile. */
  readonly waits?: true;
  /** Needs a lab that no other row has worn, or leaves one that none should use. */
  readonly fresh?: true;
  /** Breaks, and waits for what becomes of it. Throws where that does not come. */
  readonly run: (lab: Lab) => Promise<void>;
};
