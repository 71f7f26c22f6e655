/** What a revision would change of a workload, or why it takes none of it. Called by accept.ts and in this folder. */
import type { Revision } from '../../render/types.ts';
import { managed } from '../../targets/managed.ts';
import type { WorkloadFact } from '../facts.ts';

type Planned = ReturnType<typeof managed.plan>;
/** A decision asks several times, and a plan compares all of a workload's words and volumes. Facts are never changed. */
const PLANS = new WeakMap<WorkloadFact, { readonly to: Revision | null; readonly plan: Planned }>();

export function planFor(to: Revision | null, workload: WorkloadFact): Planned {
  const known = PLANS.get(workload);
  if (known !== undefined && known.to === to) return known.plan;
  const plan = managed.plan(to, { workload: workload.object }, workload.spec);
  PLANS.set(workload, { to, plan });
  return plan;
}
