/**
 * Fields that the API has and this release cannot act upon. They are refused by name (Accepted=False/Unsupported),
 * never silently ignored. A release that learns one takes its row away. Called by the controller and without a cluster.
 */
import { isManagedTarget, isNodeTarget, MANAGED_TARGETS, NODE_TARGETS } from './auditconfig-target.ts';
import type { AuditConfigSpec } from './auditconfig.ts';
import type { Finding } from './findings.ts';

type Row = {
  readonly path: string;
  readonly used: (spec: AuditConfigSpec) => boolean;
  readonly why: string;
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

const ROWS: readonly Row[] = [
  {
    path: 'spec.target.type',
    used: (s) => !isNodeTarget(s.target.type) && !isManagedTarget(s.target.type),
    why: `this release configures targets of type ${[...NODE_TARGETS, ...MANAGED_TARGETS].join(', ')} only`,
  },
];

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
