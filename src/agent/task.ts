/** What is asked of this node: its AuditNode, read. */
import { auditNodeSpec, auditNodeStatus } from '../api/auditnode.ts';
import type { AuditNodeSpec, AuditNodeStatus } from '../api/auditnode.ts';
import type { KubeObject } from '../kube/types.ts';

export type Task = {
  readonly object: KubeObject;
  readonly spec: AuditNodeSpec;
  readonly generation: number;
  readonly before: AuditNodeStatus;
};

export function taskOf(object: KubeObject | undefined): Task | undefined {
  if (object === undefined) return undefined;
  const spec = auditNodeSpec.safeParse(object['spec']);
  if (!spec.success) return undefined;
  const status = auditNodeStatus.safeParse(object['status'] ?? {});
  return {
    object,
    spec: spec.data,
    generation: object.metadata.generation ?? 0,
    before: status.success ? status.data : {},
  };
}

/** While it is not known what kubeadm-config names, all revisions stay. */
export const keepOf = (task: Task | undefined): readonly string[] | 'All' =>
  task === undefined ? 'All' : (task.spec.keep ?? []);

/** A person's word on this node: each new value counts once. */
const AGAIN = 'auditconfig.dev/again';
export const againOf = ({ object }: Pick<Task, 'object'>): string | undefined => object.metadata.annotations?.[AGAIN];
