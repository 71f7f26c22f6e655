/** How fast an AuditConfig is rolled out, and when it is looked at again: of nodes and of hosted workloads alike. Pure. */
import { BUILT_IN } from '../config/defaults.ts';
import type { Accepted } from './accept.ts';

/** What is not accepted may still have to be taken away. */
export const paceOf = ({ effective }: Accepted): typeof BUILT_IN.rollout => effective?.spec.rollout ?? BUILT_IN.rollout;

/** Whether its CRD is on its way out is not known now. */
export const UNKNOWN_RETRY_MS = 10_000;

/** A timer holds no more than 24 days, and a clock may be set. */
const MAX_LATER_MS = 24 * 3_600_000;
export const laterIn = ({ changesAt }: Accepted, now: number): number | undefined =>
  changesAt === undefined ? undefined : Math.min(MAX_LATER_MS, Math.max(1_000, changesAt - now));
