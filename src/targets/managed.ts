/**
 * Everything whose pods or machines somebody else rolls out, behind one face: a Deployment or StatefulSet, and owners' own
 * objects. A new owner is a file in owners/apis and a row here. Called by the hosted decision and its reconciler.
 */
import { shipsInPod } from '../api/auditconfig-target.ts';
import type { Finding } from '../api/findings.ts';
import type { Revision } from '../render/types.ts';
import { hosted, hostedView } from './hosted.ts';
import type { HostedChange, HostedObserved, HostedTargetSpec, HostedView } from './hosted.ts';
import type { Read } from './hosted/workload.ts';
import { hostedCluster } from './owners/apis/hosted-cluster.ts';
import { kubeadmControlPlane } from './owners/apis/kubeadm-control-plane.ts';
import { kubermaticCluster } from './owners/apis/kubermatic-cluster.ts';
import { shoot } from './owners/apis/shoot.ts';
import { planOwner, verifyOwner, viewOwner } from './owners/target.ts';
import { isOwnerKind } from './owners/types.ts';
import type { Owner, OwnerKind, OwnerSpec } from './owners/types.ts';
import { tenantControlPlane } from './owners/apis/tenant-control-plane.ts';
import type { Plan } from './types.ts';

export type ManagedSpec = HostedTargetSpec | OwnerSpec;
export type ManagedKind = ManagedSpec['kind'];

const OWNERS: Readonly<Record<OwnerKind, Owner>> = {
  KubeadmControlPlane: kubeadmControlPlane,
  TenantControlPlane: tenantControlPlane,
  KubermaticCluster: kubermaticCluster,
  Shoot: shoot,
  HostedCluster: hostedCluster,
};

export const isOwnerSpec = (spec: ManagedSpec): spec is OwnerSpec => isOwnerKind(spec.kind);
export const ownerOf = (kind: OwnerKind): Owner => OWNERS[kind];
/** Undefined for a workload of Kubernetes itself. */
export const ownerFor = (kind: ManagedKind): Owner | undefined => (isOwnerKind(kind) ? OWNERS[kind] : undefined);

/** A shipper is a container of the API server's pod there, and so a part of the revision. */
export const shipsInPodOf = (spec: ManagedSpec): boolean => shipsInPod(isOwnerSpec(spec) ? spec.kind : 'Hosted');

export const managed = {
  plan: (to: Revision | null, seen: HostedObserved, spec: ManagedSpec): Plan<HostedChange> =>
    isOwnerSpec(spec) ? planOwner(ownerOf(spec.kind), to, seen, spec) : hosted.plan(to, seen, spec),
  verify: (to: Revision | null, seen: HostedObserved, spec: ManagedSpec): readonly Finding[] =>
    isOwnerSpec(spec) ? verifyOwner(ownerOf(spec.kind), to, seen, spec) : hosted.verify(to, seen, spec),
};

export const managedView = (seen: HostedObserved, spec: ManagedSpec): Read<HostedView> =>
  isOwnerSpec(spec) ? viewOwner(ownerOf(spec.kind), seen, spec) : hostedView(seen, spec);
