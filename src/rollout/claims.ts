/**
 * Whose node is it? Two AuditConfigs may match one node; the older one has it, and keeps it until its removal is done.
 * Deterministic, from creation times and names alone: every controller gives the same answer.
 */
import { auditConfig } from '../api/auditconfig.ts';

export type Claimant = {
  readonly key: string;
  readonly uid: string;
  /** RFC 3339. */
  readonly creationTimestamp: string;
  readonly nodeSelector: Readonly<Record<string, string>>;
};

export const DEFAULT_NODE_SELECTOR: Readonly<Record<string, string>> = { 'node-role.kubernetes.io/control-plane': '' };

/** The node selector of an AuditConfig object with a static-pod target; undefined for every other object. */
export function nodeSelectorOf(object: unknown): Readonly<Record<string, string>> | undefined {
  const target = auditConfig.shape.spec.shape.target.safeParse(
    (object as { spec?: { target?: unknown } } | undefined)?.spec?.target,
  );
  if (!target.success || target.data.type !== 'StaticPod') return undefined;
  return target.data.staticPod?.nodeSelector ?? DEFAULT_NODE_SELECTOR;
}

export const selects = (
  selector: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>> | undefined,
): boolean => Object.entries(selector).every(([key, value]) => labels?.[key] === value);

/** Older first; of the same second, by key. */
export const byAge = (a: Claimant, b: Claimant): number =>
  Date.parse(a.creationTimestamp) - Date.parse(b.creationTimestamp) || (a.key < b.key ? -1 : 1);

/** `owner` is the uid in the node's AuditNode; an owner that still exists keeps its node whatever its selector says. */
export function claimantOf(
  labels: Readonly<Record<string, string>> | undefined,
  owner: string | undefined,
  all: readonly Claimant[],
): Claimant | undefined {
  const wanting = all.filter((c) => c.uid === owner || selects(c.nodeSelector, labels));
  return [...wanting].sort(byAge)[0];
}
