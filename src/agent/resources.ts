/** The resources that the agent reads and writes: its own AuditNode, and the bundles that it is told of by name. */
import type { Resource } from '../kube/types.ts';

const core = (plural: string, kind: string): Resource => ({ group: '', version: 'v1', plural, kind, namespaced: true });

export const AUDIT_NODES: Resource = {
  group: 'auditconfig.dev',
  version: 'v1alpha1',
  plural: 'auditnodes',
  kind: 'AuditNode',
  namespaced: false,
};
export const CONFIG_MAPS = core('configmaps', 'ConfigMap');
export const SECRETS = core('secrets', 'Secret');
