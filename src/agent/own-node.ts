/**
 * What the API says of the node that this agent runs on: its AuditNode, and whether it holds the Lease under which API servers
 * restart. As the caches have it; while the API is away that is the last that was heard. Called by agent.ts and watches.ts.
 */
import { auditNodeSpec, auditNodeStatus } from '../api/auditnode.ts';
import type { AuditNodeSpec, AuditNodeStatus } from '../api/auditnode.ts';
import { RESTART_LEASE, nodeOfHolder } from '../api/restart-lease.ts';
import { parseMinor } from '../api/versions.ts';
import type { Minor } from '../api/versions.ts';
import type { Kube } from '../kube/connect.ts';
import { LEASES } from '../kube/lease.ts';
import type { Reflector } from '../kube/reflector.ts';
import type { KubeObject } from '../kube/types.ts';
import type { AgentOptions } from './options.ts';
import { AUDIT_NODES } from './resources.ts';
import { againOf } from './task.ts';
import { leaseView } from './turn.ts';

export class OwnNode {
  readonly name: string;
  readonly #node: Reflector<KubeObject>;
  readonly #lease: Reflector<ReturnType<typeof leaseView>>;
  readonly #leaseRef: { readonly namespace: string; readonly name: string };

  constructor(kube: Kube, { nodeName, bundlesNamespace }: Pick<AgentOptions, 'nodeName' | 'bundlesNamespace'>) {
    this.name = nodeName;
    this.#leaseRef = { namespace: bundlesNamespace, name: RESTART_LEASE };
    this.#node = kube.reflect({
      resource: AUDIT_NODES,
      project: (object: KubeObject) => object,
      indexes: {},
      fieldSelector: `metadata.name=${nodeName}`,
    });
    this.#lease = kube.reflect({
      resource: LEASES,
      project: leaseView,
      indexes: {},
      namespace: bundlesNamespace,
      fieldSelector: `metadata.name=${RESTART_LEASE}`,
    });
  }

  get synced(): boolean {
    return this.#node.synced;
  }

  /** The AuditNode; undefined where there is none, or none was heard of yet. */
  read(): KubeObject | undefined {
    return this.#node.store.get({ name: this.name });
  }

  /** What was last told of it; empty where that cannot be read. */
  told(): AuditNodeStatus {
    const parsed = auditNodeStatus.safeParse(this.read()?.['status'] ?? {});
    return parsed.success ? parsed.data : {};
  }

  /** The revision that it is asked to run. */
  asked(): AuditNodeSpec['desired']['revision'] {
    return auditNodeSpec.safeParse(this.read()?.['spec']).data?.desired.revision;
  }

  /** Of its API server, as last told. */
  version(): Minor | undefined {
    return parseMinor(this.told().kubernetesVersion ?? '');
  }

  /** Of the Node that owns it; empty where that is not known. */
  nodeUid(): string {
    return this.read()?.metadata.ownerReferences?.find((r) => r.kind === 'Node')?.uid ?? '';
  }

  /** Whether it is this node's turn to restart, as far as was heard. */
  hasTurn(): boolean {
    return nodeOfHolder(this.#lease.store.get(this.#leaseRef)?.holder ?? '') === this.name;
  }

  /** Calls `work` where something else is asked of the node, and `same` where only words about it changed: mostly our own. */
  onChange(tell: { readonly work: () => void; readonly same: () => void }): void {
    let before = '';
    this.#node.onChange(() => {
      const object = this.read();
      // Our own reports change the object, but not its generation; one that was made anew counts from 1 again.
      const now =
        object === undefined ? '' : `${object.metadata.uid}/${object.metadata.generation}/${againOf({ object }) ?? ''}`;
      if (now === before) tell.same();
      else if (object !== undefined) tell.work();
      before = now;
    });
  }

  onTurn(look: () => void): void {
    this.#lease.onChange(look);
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#node.run(signal), this.#lease.run(signal)]);
  }
}
