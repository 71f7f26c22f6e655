/**
 * What is to become of an AuditConfig's nodes: what is wanted there, which nodes that is about, which of them is next, and
 * what goes with it, the shipper, kubeadm-config and newer credentials. Pure. decide.ts makes a decision of it, status.ts a
 * status.
 */
import type { AuditNodeSpec } from '../api/auditnode.ts';
import { bundleName } from '../render/bundle/names.ts';
import type { Revision } from '../render/types.ts';
import { credentialsDigest } from '../render/webhook/credentials.ts';
import type { Accepted } from './accept.ts';
import { carriedStep } from './carried.ts';
import type { CarriedStep } from './carried.ts';
import { placeOf, viewOf } from './facts.ts';
import type { Facts, NodeFact } from './facts.ts';
import { kubeadmStep } from './kubeadm.ts';
import type { KubeadmStep } from './kubeadm.ts';
import { nextNode } from './next-node.ts';
import type { Desired, NextNode, NodeView } from './next-node.ts';
import { paceOf } from './pace.ts';
import { isDead } from './restart-plan.ts';
import { shipperStep } from './shipping.ts';
import type { ShipperStep } from './shipping.ts';
import { opensAt } from './windows.ts';

export type Work = {
  readonly want: Desired | undefined;
  readonly nodes: readonly NodeFact[];
  readonly next: NextNode | undefined;
  readonly kubeadm: KubeadmStep;
  readonly shipper: ShipperStep;
  readonly carried: CarriedStep;
};

type OfNodes = Omit<Work, 'kubeadm' | 'shipper' | 'carried'>;

function kubeadmOf(facts: Facts, accepted: Accepted, { want, next }: OfNodes): KubeadmStep {
  const { namespace, name, uid } = facts.meta;
  const sync = accepted.effective?.spec.kubeadmConfig === 'Sync';
  const isKnown = facts.meta.deleting || accepted.effective !== undefined;
  const revision = want?.type === 'Revision' && sync ? (accepted.revision ?? null) : null;
  const step = kubeadmStep({
    owner: { namespace, name, uid },
    fact: facts.kubeadm,
    want: isKnown ? revision : 'Keep',
    done: next?.kind === 'Done',
    saidBefore: facts.status.conditions?.some((c) => c.type === 'KubeadmConfigSynced') ?? false,
    writes: facts.kubeadmWrites,
    now: facts.now,
  });
  // Only a removal takes files away that kubeadm-config may name.
  const { holds: _harmless, ...rest } = step;
  return want?.type === 'Removed' ? step : rest;
}

/** Nodes that the question is about: those that match, and those that have ours already. */
function nodesFor(facts: Facts, want: Desired | undefined): readonly NodeFact[] {
  const ours = (n: NodeFact): boolean => n.auditNode?.spec.auditConfigRef.uid === facts.meta.uid;
  // An AuditNode that somebody deleted is no proof that nothing of ours is on its node.
  const wasOurs = (n: NodeFact): boolean =>
    facts.status.revision !== undefined && n.matches && n.claimant.uid === facts.meta.uid;
  if (want?.type === 'Removed') return facts.nodes.filter((n) => n.nodeUid !== undefined && (ours(n) || wasOurs(n)));
  return facts.nodes.filter(
    (n) => n.nodeUid !== undefined && n.claimant.uid === facts.meta.uid && (n.matches || ours(n)),
  );
}

export function workOf(facts: Facts, accepted: Accepted): Work {
  const removing = facts.meta.deleting || accepted.effective?.spec.state === 'Disabled';
  const want: Desired | undefined = removing
    ? { type: 'Removed' }
    : accepted.revision === undefined
      ? undefined
      : wantedOf(namedBy(facts, accepted.revision));
  const nodes = nodesFor(facts, want);
  const shipper = shipperStep(facts, accepted);
  const withRest = (work: OfNodes): Work => ({
    ...work,
    shipper,
    kubeadm: kubeadmOf(facts, accepted, work),
    carried: carriedStep(facts, nodes, want?.type === 'Revision' ? accepted.revision : undefined),
  });
  if (want === undefined) return withRest({ want, nodes, next: undefined });
  const pace = paceOf(accepted);
  const opens = opensAt(pace.windows, facts.now);
  const rules = {
    // Whoever deletes wants it gone; a pause of the spec that is being deleted does not hold that back.
    paused: pace.paused && !facts.meta.deleting,
    minReadyMs: pace.minReadySeconds * 1000,
    maxFailures: pace.maxFailures,
    ...(opens === undefined ? {} : { opensAt: opens }),
    ...(facts.busyNode === undefined ? {} : { busy: facts.busyNode }),
  };
  const views = nodes.map((n) => ({ ...viewOf(n, facts.meta.uid), isDead: isLongDead(n, facts.now) }));
  const next = nextNode(views, want, rules, facts.now);
  return withRest({ want, nodes, next });
}

const wantedOf = (named: NonNullable<AuditNodeSpec['desired']['revision']>): Desired => ({
  type: 'Revision',
  digest: named.digest,
  at: placeOf(named),
  ...(named.credentials === undefined ? {} : { credentials: named.credentials }),
});

/** How an AuditNode names a revision. */
export const namedBy = (facts: Facts, revision: Revision): NonNullable<AuditNodeSpec['desired']['revision']> => ({
  kind: revision.confidential ? 'Secret' : 'ConfigMap',
  namespace: facts.settings.bundlesNamespace,
  name: bundleName(revision.digest),
  digest: revision.digest,
  ...(revision.credentials === undefined ? {} : { credentials: credentialsDigest(revision.credentials.reveal()) }),
});

const isLongDead = ({ readiness, auditNode }: NodeFact, now: number): boolean =>
  readiness !== undefined && auditNode !== undefined && isDead(readiness, auditNode.spec.timeoutSeconds, now);

export const viewsOf = (facts: Facts, { nodes }: Pick<Work, 'nodes'>): readonly NodeView[] =>
  nodes.map((n) => viewOf(n, facts.meta.uid));
