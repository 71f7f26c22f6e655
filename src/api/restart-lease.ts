/**
 * The one Lease under which API servers restart (docs/decisions/0005-restart-lease.md): its name, and what the controller
 * writes on it for every agent to read: which API servers there are, where each is asked whether it is ready, and when a
 * node's may be restarted. The holder is the node whose API server restarts.
 */
import { z } from 'zod';
import { rolloutWindow } from './auditconfig.ts';
import { integer, objectName, text } from './crd-schema.ts';

export const RESTART_LEASE = 'auditconfig-restart';
export const INSTANCES_ANNOTATION = 'auditconfig.dev/instances';

const instance = z.object({
  node: objectName,
  /** Where the other nodes reach it; absent: nobody knows yet. */
  host: text(253).optional(),
  /** Absent: that of whoever asks, since the API servers of one control plane share it. */
  port: integer(1, 65_535).optional(),
  /** Of the AuditConfig that has this node. */
  paused: z.literal(true).optional(),
  allowDegraded: z.literal(true).optional(),
  windows: z.array(rolloutWindow).max(32).optional(),
});
/** One API server of the control plane. */
export type Instance = Readonly<z.infer<typeof instance>>;

const instances = z.array(instance).max(1_000);

/** undefined where there is none that this version understands: nobody may restart anything then. */
export function parseInstances(text: string | undefined): readonly Instance[] | undefined {
  try {
    const parsed = instances.safeParse(JSON.parse(text ?? ''));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

/** By name, so that the same instances always give the same text. */
export const printInstances = (all: readonly Instance[]): string =>
  JSON.stringify([...all].sort((a, b) => (a.node < b.node ? -1 : 1)));

/** The holder's name in the Lease: the node, and which Node object it was, since a node may be made anew. */
export const holderOf = (node: string, uid: string): string => `${node}/${uid}`;
export const nodeOfHolder = (holder: string): string => holder.split('/')[0] ?? '';
export const uidOfHolder = (holder: string): string => holder.slice(nodeOfHolder(holder).length + 1);
