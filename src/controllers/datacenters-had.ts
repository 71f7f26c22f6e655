/** Which datacenters' settings an AuditConfig had last, as its status tells: absence alone takes none of them away. */
import { auditConfigStatus } from '../api/auditconfig.ts';
import { isRecord } from '../kube/types.ts';
import type { KubeObject } from '../kube/types.ts';

type Had = readonly { readonly name: string; readonly digest: string }[];
/** Objects of a store are replaced, never changed; and a datacenter asks all of them again and again. */
const HAD = new WeakMap<KubeObject, Had>();

/** What an AuditConfig has of each datacenter, as its status says. */
export function hadBy(config: KubeObject): Had {
  const known = HAD.get(config);
  if (known !== undefined) return known;
  const status = isRecord(config['status']) ? config['status'] : {};
  const parsed = auditConfigStatus.shape.datacenters.safeParse(status['datacenters']);
  const had = parsed.success ? (parsed.data ?? []).map(({ name, digest }) => ({ name, digest })) : [];
  HAD.set(config, had);
  return had;
}
