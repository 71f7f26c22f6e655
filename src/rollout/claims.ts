/**
 * Whose node is it? Two AuditConfigs may match one node; the older one has it, and keeps it until its removal is done.
 * Deterministic, from creation times and names alone: every controller gives the same answer.
 */
import { NODE_TARGETS, isNodeTarget } from '../api/auditconfig-target.ts';
import type { TargetSpec } from '../api/auditconfig-target.ts';
import { auditConfig } from '../api/auditconfig.ts';
import type { AuditNodeSpec } from '../api/auditnode.ts';

export type Claimant = {
  readonly key: string;
  readonly uid: string;
  /** RFC 3339. */
  readonly creationTimestamp: string;
  readonly nodeSelector: Readonly<Record<string, string>>;
};

export const DEFAULT_NODE_SELECTOR: Readonly<Record<string, string>> = { 'node-role.kubernetes.io/control-plane': '' };

/** K3s and RKE2 write `true` where kubeadm writes nothing. */
const RANCHER_NODE_SELECTOR: Readonly<Record<string, string>> = { 'node-role.kubernetes.io/control-plane': 'true' };

const targetIn = (object: unknown): TargetSpec | undefined =>
  auditConfig.shape.spec.shape.target.safeParse((object as { spec?: { target?: unknown } } | undefined)?.spec?.target)
    .data;

/** The node selector of an AuditConfig object whose target is nodes; undefined for every other object. */
export function nodeSelectorOf(object: unknown): Readonly<Record<string, string>> | undefined {
  // Asked of all AuditConfigs again and again, most of which may be hosted.
  const type = (object as { spec?: { target?: { type?: unknown } } } | undefined)?.spec?.target?.type;
  if (!NODE_TARGETS.some((t) => t === type)) return undefined;
  const target = targetIn(object);
  if (target === undefined || !isNodeTarget(target.type)) return undefined;
  switch (target.type) {
    case 'StaticPod':
      return target.staticPod?.nodeSelector ?? DEFAULT_NODE_SELECTOR;
    case 'Systemd':
      return target.systemd?.nodeSelector ?? DEFAULT_NODE_SELECTOR;
    case 'K3s':
      return target.k3s?.nodeSelector ?? RANCHER_NODE_SELECTOR;
    case 'RKE2':
      return target.rke2?.nodeSelector ?? RANCHER_NODE_SELECTOR;
  }
}

/** A node that bears the label of control planes, whoever wrote it. */
export const isControlPlane = (labels: Readonly<Record<string, string>> | undefined): boolean =>
  [DEFAULT_NODE_SELECTOR, RANCHER_NODE_SELECTOR].some((s) => selects(s, labels));

/** What an AuditNode says of its place; a static pod's is not written, as ever. */
export function nodeTargetOf(object: unknown): AuditNodeSpec['target'] {
  const target = targetIn(object);
  if (target === undefined || !isNodeTarget(target.type) || target.type === 'StaticPod') return undefined;
  const unit = target.systemd?.unit;
  return { type: target.type, ...(unit === undefined ? {} : { unit }) };
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
