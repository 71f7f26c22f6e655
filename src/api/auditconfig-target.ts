/**
 * spec.target of an AuditConfig: the place where the kube-apiserver's flags live. A union: `type` names the member.
 * Targets that this release cannot act upon are in the schema already and are refused by name
 * (auditconfig-unsupported.ts), never ignored.
 */
import { z } from 'zod';
import { checked, dataKey, immutable, objectName, strings, text } from './crd-schema.ts';

const nodes = z.strictObject({
  nodeSelector: strings(16, 63)
    .optional()
    .describe("Labels of the nodes. Unset: node-role.kubernetes.io/control-plane: '' (K3s, RKE2: 'true')."),
});

/** As systemd names units; no template's instance. */
export const unitName = text(256).regex(/^[A-Za-z0-9:_.\\-]+\.service$/, 'a unit is named NAME.service');

/** Member of the union by type. */
export const TARGET_MEMBERS = {
  StaticPod: 'staticPod',
  Systemd: 'systemd',
  K3s: 'k3s',
  RKE2: 'rke2',
  Hosted: 'hosted',
  KubeadmControlPlane: 'kubeadmControlPlane',
  TenantControlPlane: 'tenantControlPlane',
  KubermaticCluster: 'kubermaticCluster',
  Shoot: 'shoot',
  HostedCluster: 'hostedCluster',
  K0smotronControlPlane: 'k0smotronControlPlane',
} as const;
export const TARGET_TYPES = Object.keys(TARGET_MEMBERS) as readonly TargetType[];
export type TargetType = keyof typeof TARGET_MEMBERS;

/** Those whose flags lie in files of the API server's own node: an agent there configures them. */
export const NODE_TARGETS = ['StaticPod', 'Systemd', 'K3s', 'RKE2'] as const;
export type NodeTargetType = (typeof NODE_TARGETS)[number];
export const isNodeTarget = (type: TargetType): type is NodeTargetType => NODE_TARGETS.some((t) => t === type);

/** Those that somebody else rolls out: workloads of Kubernetes, and objects of owners' own APIs. */
export const MANAGED_TARGETS = [
  'Hosted',
  'KubeadmControlPlane',
  'TenantControlPlane',
  'KubermaticCluster',
  'Shoot',
  'HostedCluster',
] as const;
export type ManagedTargetType = (typeof MANAGED_TARGETS)[number];
export const isManagedTarget = (type: TargetType): type is ManagedTargetType => MANAGED_TARGETS.some((t) => t === type);

/** A shipper is a container of the API server's own pod there. */
export const shipsInPod = (type: TargetType): boolean => type === 'Hosted' || type === 'TenantControlPlane';

/** Those that are known, and refused with the reason (auditconfig-unsupported.ts). */
export const REFUSED_TARGETS = ['K0smotronControlPlane'] as const;
export type RefusedTargetType = (typeof REFUSED_TARGETS)[number];
export const isRefusedTarget = (type: TargetType): type is RefusedTargetType => REFUSED_TARGETS.some((t) => t === type);

export const DEFAULT_UNIT = 'kube-apiserver.service';

/** Members that a target of that type cannot do without. */
const NEEDED: readonly TargetType[] = MANAGED_TARGETS;

const members = z.strictObject({
  type: z.enum([...NODE_TARGETS, ...MANAGED_TARGETS, ...REFUSED_TARGETS]),
  staticPod: nodes.optional().describe('kube-apiserver as a static pod, as kubeadm makes it.'),
  systemd: nodes
    .extend({ unit: unitName.optional().describe('Name of the unit. Unset: kube-apiserver.service.') })
    .optional()
    .describe('kube-apiserver as a unit of systemd; its nodes run the agent as a service.'),
  k3s: nodes.optional().describe('K3s servers; they run the agent as a service.'),
  rke2: nodes.optional().describe('RKE2 servers; they run the agent as a service.'),
  hosted: z
    .strictObject({
      kind: z.enum(['Deployment', 'StatefulSet']),
      name: objectName,
      container: text(63).optional().describe('Unset: kube-apiserver.'),
      kubeconfigSecretRef: z
        .strictObject({
          name: objectName,
          key: dataKey.optional().describe('Unset: kubeconfig, value or admin.conf, whichever is there first.'),
        })
        .optional()
        .describe('How to ask the hosted API server whether it audits. Unset: nobody asks it.'),
    })
    .optional()
    .describe('kube-apiserver as a workload of this namespace.'),
  kubeadmControlPlane: z
    .strictObject({ name: objectName })
    .optional()
    .describe('A KubeadmControlPlane of Cluster API in this namespace: its machines are replaced.'),
  tenantControlPlane: z
    .strictObject({ name: objectName })
    .optional()
    .describe('A TenantControlPlane of Kamaji in this namespace.'),
  kubermaticCluster: z
    .strictObject({ name: objectName })
    .optional()
    .describe('A Cluster of Kubermatic KKP, whose namespace this is.'),
  shoot: z.strictObject({ name: objectName }).optional().describe('A Shoot of Gardener in this namespace.'),
  hostedCluster: z
    .strictObject({ name: objectName })
    .optional()
    .describe('A HostedCluster of HyperShift in this namespace.'),
  k0smotronControlPlane: z
    .strictObject({ name: objectName })
    .optional()
    .describe('A K0smotronControlPlane, or a Cluster of k0smotron, in this namespace. This release refuses it.'),
});

const matching = TARGET_TYPES.map((type) => {
  const member = TARGET_MEMBERS[type];
  return {
    rule: `!has(self.${member}) || self.type == '${type}'`,
    message: `${member} belongs to type ${type}`,
    holds: (t: z.infer<typeof members>) => t[member] === undefined || t.type === type,
  };
});
const needed = NEEDED.map((type) => {
  const member = TARGET_MEMBERS[type];
  return {
    rule: `self.type != '${type}' || has(self.${member})`,
    message: `type ${type} needs ${member}`,
    holds: (t: z.infer<typeof members>) => t.type !== type || t[member] !== undefined,
  };
});

/** How a target is asked is no part of which one it is. */
export const CHANGEABLE = ['hosted.kubeconfigSecretRef'] as const;

const whole = checked(members, [...matching, ...needed]);
export const targetSpec = immutable(
  whole,
  CHANGEABLE,
  'target cannot be changed: delete this AuditConfig (which takes its flags away) and make another',
);
export type TargetSpec = z.infer<typeof targetSpec>;
