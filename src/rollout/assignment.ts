/** What an AuditNode is told: to have the revision that is wanted, to have none, or the newer credentials of what it runs. Pure. */
import type { AuditNodeSpec } from '../api/auditnode.ts';
import type { Accepted } from './accept.ts';
import { nodeTargetOf } from './claims.ts';
import type { Facts } from './facts.ts';
import { namedByKubeadm } from './kubeadm.ts';
import { paceOf } from './pace.ts';
import { namedBy } from './work.ts';
import type { Work } from './work.ts';

export type Assignment = { readonly node: string; readonly nodeUid?: string; readonly spec: AuditNodeSpec };

export function assignmentOf(facts: Facts, accepted: Accepted, work: Work): Assignment | undefined {
  if (work.next?.kind !== 'Assign' || work.want === undefined || work.kubeadm.holds !== undefined) return undefined;
  const name = work.next.node;
  const node = work.nodes.find((n) => n.name === name);
  if (node === undefined) throw new Error(`next node ${name} is none of the nodes`);
  const { revision } = accepted;
  const { namespace, name: config, uid } = facts.meta;
  const target = nodeTargetOf(facts.object);
  const desired: AuditNodeSpec['desired'] =
    work.want.type === 'Removed' || revision === undefined
      ? { type: 'Removed' }
      : { type: 'Revision', revision: namedBy(facts, revision) };
  const kept = desired.type === 'Revision' ? namedByKubeadm(facts.kubeadm) : undefined;
  return {
    node: name,
    ...(node.nodeUid === undefined ? {} : { nodeUid: node.nodeUid }),
    spec: {
      nodeName: name,
      auditConfigRef: { namespace, name: config, uid },
      ...(target === undefined ? {} : { target }),
      desired,
      ...(kept === undefined || kept === desired.revision?.digest ? {} : { keep: [kept] }),
      timeoutSeconds: paceOf(accepted).timeoutSeconds,
    },
  };
}

/** It changes nothing but a Secret's name, and that only while there is nothing more to do. */
export function carriedAssignment({ next, carried }: Work): Assignment | undefined {
  if (next?.kind === 'Assign' || carried.next === undefined) return undefined;
  const { node, spec } = carried.next;
  return { node: node.name, ...(node.nodeUid === undefined ? {} : { nodeUid: node.nodeUid }), spec };
}
