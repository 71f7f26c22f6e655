/**
 * Fields that the API has and this release cannot act upon. They are refused by name (Accepted=False/Unsupported),
 * never silently ignored. A release that learns one takes its row away. Called by the controller and without a cluster.
 */
import { isRefusedTarget } from './auditconfig-target.ts';
import type { RefusedTargetType } from './auditconfig-target.ts';
import type { AuditConfigSpec } from './auditconfig.ts';
import type { Finding } from './findings.ts';

type Row = {
  readonly path: string;
  readonly used: (spec: AuditConfigSpec) => boolean;
  readonly why: string;
};

/** Why, and what somebody can do who has one. */
const REFUSED: Readonly<Record<RefusedTargetType, string>> = {
  K0smotronControlPlane:
    'its pods read flags from k0sConfig at any restart, and files from mounts only when they are made anew, and they count as ready by `k0s status` whether or not their API server answers: a rollout that breaks it would be called complete. Set k0sConfig.spec.api.extraArgs and mounts by hand, from `auditconfig render`, and look at one replica first',
};

const isBlocking = (mode: string | undefined): boolean => mode !== undefined && mode !== 'Batch';

/** What a controller takes with a datacenter's permission (src/rollout/blocking-mode.ts), and nobody else. */
const BY_HAND: readonly Row[] = [
  {
    path: 'spec.webhook.mode',
    used: (s) => isBlocking(s.webhook?.mode),
    why: "a blocking webhook hangs the API when its receiver dies; only a cluster's controller takes it, where a datacenter permits it and an agent holds the way back to Batch",
  },
];

const ROWS: readonly Row[] = Object.entries(REFUSED).map(([type, why]) => ({
  path: 'spec.target.type',
  used: (s) => isRefusedTarget(s.target.type) && s.target.type === type,
  why: `${type}: ${why}`,
}));

/** One error with code Unsupported for each field that asks for what this release cannot do. */
export const unsupportedFields = (spec: AuditConfigSpec): readonly Finding[] => told(ROWS, spec);

/** Without a cluster, too, what only a cluster can permit. */
export const unsupportedByHand = (spec: AuditConfigSpec): readonly Finding[] => told([...ROWS, ...BY_HAND], spec);

const told = (rows: readonly Row[], spec: AuditConfigSpec): readonly Finding[] =>
  rows
    .filter((row) => row.used(spec))
    .map(({ path, why }) => ({
      severity: 'error',
      code: 'Unsupported',
      path,
      message: `${path} is not supported yet: ${why}`,
    }));
