/**
 * After its commit a revision is on probation: an API server that comes up and then runs out of memory, or falls over
 * again and again, was not seen by the probes of the first minute. Decided here from plain facts; the node room gathers
 * them every few seconds and acts (src/node/probation.ts). The agent goes on working meanwhile.
 *
 * A manifest that somebody else has touched since restarts the API server too, and may be what stops it: that is drift,
 * or a rescue (drift.ts), and says nothing about the revision. Nothing is counted until an API server with our edit has
 * run for a minute without being touched again; then counting begins anew.
 */
export type ProbationFacts = {
  readonly hold: boolean;
  /**
   * `AsLeft`: nobody has touched it since counting began. `Touched`: somebody has, and our edit is in it. `NotOurs`: our
   * edit is not in it, or nothing is there: there is nothing to go back from now.
   */
  readonly manifest: 'AsLeft' | 'Touched' | 'NotOurs';
  /** How long a process with our edit has run, with the manifest as it is now; 0 where none is seen. */
  readonly upMs: number;
  /** Ends of the API server's process since the commit, or since counting began anew. */
  readonly crashes: number;
  /** The kernel killed for want of memory just when the API server's process ended. */
  readonly outOfMemory: boolean;
  /** By a clock that nobody sets. */
  readonly elapsedMs: number;
};

export type ProbationRules = { readonly lastsMs: number; readonly maxCrashes: number; readonly provenMs: number };

export const PROBATION: ProbationRules = { lastsMs: 15 * 60_000, maxCrashes: 3, provenMs: 60_000 };

export type ProbationStep =
  | { readonly do: 'Wait' }
  | { readonly do: 'End' }
  /** What was counted until now is forgotten, and the manifest is taken as it is. */
  | { readonly do: 'CountAnew' }
  | { readonly do: 'RollBack'; readonly why: 'CrashLoop' | 'OutOfMemory' };

export function probationStep(f: ProbationFacts, rules: ProbationRules): ProbationStep {
  if (f.hold) return { do: 'Wait' };
  const over: ProbationStep = { do: f.elapsedMs >= rules.lastsMs ? 'End' : 'Wait' };
  if (f.manifest === 'NotOurs') return over;
  if (f.manifest === 'Touched') return f.upMs >= rules.provenMs && over.do === 'Wait' ? { do: 'CountAnew' } : over;
  if (f.outOfMemory) return { do: 'RollBack', why: 'OutOfMemory' };
  if (f.crashes >= rules.maxCrashes) return { do: 'RollBack', why: 'CrashLoop' };
  return over;
}
