/**
 * What the controller knows about one AuditConfig when it decides, as plain data. Gathered by src/controllers/gather.ts
 * from caches; nothing here is read while deciding, so that a decision can be replayed in a test.
 */
import type { AuditConfigStatus } from '../api/auditconfig.ts';
import type { AuditNodeSpec, AuditNodeStatus } from '../api/auditnode.ts';
import type { Minor } from '../api/versions.ts';
import type { Datacenter } from '../config/types.ts';
import type { Own } from '../render/last-valid.ts';
import type { RenderPolicy } from '../render/policy-memo.ts';
import type { Reference, References } from '../render/references.ts';
import type { Revision, Secret } from '../render/types.ts';
import type { ManagedSpec } from '../targets/managed.ts';
import type { Made } from '../targets/owners/types.ts';
import type { KubeadmFact, KubeadmWrite } from './kubeadm.ts';
import type { NodeView, Waiting } from './next-node.ts';
import type { Readiness } from './restart-plan.ts';

export type ConfigMeta = {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  /** RFC 3339. */
  readonly creationTimestamp: string;
  readonly deleting: boolean;
  readonly hasFinalizer: boolean;
};

/** One control-plane node: its Node, if there is one, and its AuditNode, if there is one. */
export type NodeFact = {
  readonly name: string;
  /** uid of the Node object; absent when that is gone. */
  readonly nodeUid?: string;
  /** The selector of this AuditConfig matches it now. */
  readonly matches: boolean;
  readonly auditNode?: {
    readonly uid: string;
    readonly generation: number;
    readonly spec: AuditNodeSpec;
    readonly status: AuditNodeStatus;
  };
  /** Asked for only where allowDegraded is set and a change is in flight on it. */
  readonly readiness?: Readiness;
  /** The oldest AuditConfig whose selector matches this node, or that has it already. */
  readonly claimant: { readonly key: string; readonly uid: string };
};

export type Settings = {
  /** The only namespace whose AuditConfigs may have node targets. */
  readonly operatorNamespace: string;
  readonly bundlesNamespace: string;
  /** Of this installation: what makes digests of credentials that others may read of no use to them. */
  readonly credentialsKey?: Secret<Uint8Array>;
  /** Remembers policies that were rendered before (src/render/policy-memo.ts). */
  readonly renderPolicy?: RenderPolicy;
};

/** Of what is remembered of a workload, the part that is found rather than decided (hosted/proof.ts). */
export type Found = Pick<NonNullable<AuditConfigStatus['workload']>, 'proof' | 'webhook'>;

/**
 * What is known of requests to a hosted API server that has, or is to get, a webhook that they wait for. `Stuck`: for a minute none
 * was answered that this revision records. `Blind`: nobody could tell; `why` is a sentence.
 */
export type ServingFact = {
  readonly digest: string;
  readonly is: 'Serves' | 'Stuck' | 'Blind';
  readonly why: string;
};

/** The Deployment or StatefulSet of a hosted target, or the object of an owner's own API. */
export type WorkloadFact = {
  readonly name: string;
  readonly spec: ManagedSpec;
  /** As the API server has it; null where there is none. */
  readonly object: unknown;
  /** Why it could not be read, in the API server's words; nothing is known of it then. */
  readonly forbidden?: string;
  /** What an owner makes of its object, where that is looked at. */
  readonly made?: Made;
  /** Why there is no such API here; there is no object then. */
  readonly unserved?: string;
  /** The oldest AuditConfig that targets it. */
  readonly claimant: { readonly key: string; readonly uid: string };
  /** The revision to go back to; read only when it is needed. `Lost`: what was published is not there, or another one. */
  readonly lastGood?: Revision | 'Lost';
  /** The revision that its pods run while another one waits; read only when it is needed. */
  readonly running?: Revision | 'Lost';
  /** How its API server is asked whether it audits; unset: nobody asks. */
  readonly kubeconfig?: { readonly name: string; readonly key?: string | undefined };
  /** What was found when it was last asked, perhaps not in status yet. */
  readonly found?: Found;
  /** Its kubeconfig is another one than it was asked with last. */
  readonly askAgain?: boolean;
  /** Absent where nothing was found out yet, in this controller's term. */
  readonly serving?: ServingFact;
};

/** What datacenters have to say; there where any of them is known. */
export type Governed = {
  /** Those that count now: their turn has come, or what they said before still counts. */
  readonly datacenters: readonly Datacenter[];
  /** Their content counts, and cannot be read: nothing may change. */
  readonly unreadable: readonly string[];
  /** What they refer to, by `referenceKey`. */
  readonly references: ReadonlyMap<string, Reference>;
  /** Read only when it is needed: status names it. `Lost`: it is not there. */
  readonly lastValid?: Own | 'Lost';
};

export { referenceKey } from '../render/pins.ts';

export type Facts = {
  readonly meta: ConfigMeta;
  /** The whole object as it was read; parsed while deciding, since an older CRD may have let it in. */
  readonly object: unknown;
  readonly status: AuditConfigStatus;
  readonly references: References;
  readonly governed?: Governed;
  readonly nodes: readonly NodeFact[];
  /** Webhooks' kubeconfigs of older revisions, as far as they were needed; null: none is published. */
  readonly older?: ReadonlyMap<string, Secret<Uint8Array> | null>;
  /** There exactly for hosted targets. */
  readonly workload?: WorkloadFact;
  /** The DaemonSet of a node target's shipper, or null; absent where it cannot be told (a cache that is not there yet). */
  readonly shipper?: { readonly object: unknown; readonly clusterId: string };
  /** A node that another AuditConfig's change is in flight on: API servers of one control plane restart one at a time. */
  readonly busyNode?: string;
  /**
   * Only asked while deleting. `Leaving`: the CRD itself is being deleted, and with it every AuditConfig, which nobody
   * asked to take auditing away.
   */
  readonly definition?: 'Served' | 'Leaving' | 'Unknown';
  readonly kubeadm: KubeadmFact;
  /** Of kubeadm-config, by this controller since it leads. */
  readonly kubeadmWrites: readonly KubeadmWrite[];
  /** Of the API server that the controller speaks to; used while no agent has reported a version. */
  readonly serverVersion: Minor;
  readonly settings: Settings;
  /** Milliseconds since the epoch. */
  readonly now: number;
};

/** Which object holds a revision: an AuditNode that names another one was edited by somebody. */
export const placeOf = (r: NonNullable<AuditNodeSpec['desired']['revision']>): string =>
  `${r.kind}/${r.namespace}/${r.name}`;

const waitingOf = ({ waiting, message }: AuditNodeStatus): Waiting => ({
  reason: waiting?.reason ?? 'LeaseHeld',
  message: message ?? '',
  ...(waiting?.node === undefined ? {} : { node: waiting.node }),
});

const BAD_PROOFS: readonly (string | undefined)[] = ['EventMissing', 'WrongLevel', 'LogMissing', 'NoAnswer'];
const isUnhealthy = ({ proof, current }: AuditNodeStatus): boolean =>
  proof !== undefined && proof.digest === current && BAD_PROOFS.includes(proof.result);

/** An AuditNode as the question 'who is next?' sees it. */
export function viewOf(fact: NodeFact, configUid: string): NodeView {
  const node = fact.auditNode;
  if (node === undefined || node.spec.auditConfigRef.uid !== configUid)
    return { name: fact.name, assigned: null, observed: false, current: null };
  const { spec, status, generation } = node;
  const { revision } = spec.desired;
  const settledAt = status.settledTime === undefined ? Number.NaN : Date.parse(status.settledTime);
  return {
    name: fact.name,
    assigned:
      revision === undefined
        ? { type: 'Removed' }
        : {
            type: 'Revision',
            digest: revision.digest,
            at: placeOf(revision),
            ...(revision.credentials === undefined ? {} : { credentials: revision.credentials }),
          },
    observed: status.observedGeneration === generation,
    ...(status.phase === undefined ? {} : { phase: status.phase }),
    current: status.current ?? null,
    ...(status.phase === 'Waiting' ? { waiting: waitingOf(status) } : {}),
    ...(isUnhealthy(status) ? { isUnhealthy: true } : {}),
    ...(status.phase === 'Held' && status.lastFailure !== undefined ? { refused: status.lastFailure.digest } : {}),
    ...(Number.isNaN(settledAt) ? {} : { settledAt }),
  };
}
