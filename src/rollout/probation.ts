/**
 * After its commit a revision is on probation: an API server that comes up and then runs out of memory, or falls over
 * again and again, was not seen by the probes of the first minute. Decided here from plain facts; the node room gathers
 * them every few seconds and acts (src/node/probation.ts). The agent goes on working meanwhile.
 */
export type ProbationFacts = {
  readonly hold: boolean;
  /** Our edit is still in the manifest; where someone took it out, there is nothing to go back from. */
  readonly ours: boolean;
  /** Ends of the API server's process since the commit, or since the node's last boot. */
  readonly crashes: number;
  /** The kernel killed for want of memory just when the API server's process ended. */
  readonly outOfMemory: boolean;
  /** By a clock that nobody sets. */
  readonly elapsedMs: number;
};

export type ProbationRules = { readonly lastsMs: number; readonly maxCrashes: number };

export const PROBATION: ProbationRules = { lastsMs: 15 * 60_000, maxCrashes: 3 };

export type ProbationStep =
  | { readonly do: 'Wait' }
  | { readonly do: 'End' }
  | { readonly do: 'RollBack'; readonly why: 'CrashLoop' | 'OutOfMemory' };

export function probationStep(f: ProbationFacts, rules: ProbationRules): ProbationStep {
  if (f.hold) return { do: 'Wait' };
  if (!f.ours) return { do: 'End' };
  if (f.outOfMemory) return { do: 'RollBack', why: 'OutOfMemory' };
  if (f.crashes >= rules.maxCrashes) return { do: 'RollBack', why: 'CrashLoop' };
  return { do: f.elapsedMs >= rules.lastsMs ? 'End' : 'Wait' };
}
