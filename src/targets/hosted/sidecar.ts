/**
 * The shipper beside a hosted API server: a container named `audit-logs` in its pod, with the log's volume, read-only, and a
 * buffer of its own. It runs as whom the API server runs as, since the log is its alone. Refused, with a code: a container
 * of that name that is not ours, and a user that cannot be told. Called by the hosted target, and by owners' whose API takes containers.
 */
import type { Finding } from '../../api/findings.ts';
import { BUFFER_VOLUME, SHIPPER, shipperContainer } from '../../render/shipping/container.ts';
import type { Revision } from '../../render/types.ts';
import { logFileOf, tidyPath } from '../host-layout.ts';
import { refusal } from '../refusal.ts';
import type { PatchOp } from './patch.ts';
import { unlessSame } from './volumes.ts';
import { at } from './workload.ts';
import type { Json, Workload } from './workload.ts';

const PATH = 'spec.template.spec.containers';
const listAt = (v: Json, key: string): readonly Json[] => {
  const found = at(v, key);
  return Array.isArray(found) ? (found as readonly Json[]) : [];
};

/** By its buffer: nobody else has a volume of that name. */
export const isShipper = (container: Json): boolean =>
  at(container, 'name') === SHIPPER && listAt(container, 'volumeMounts').some((m) => at(m, 'name') === BUFFER_VOLUME);

/** The mount that the API server writes its log to, as another container would mount it. */
function logMount(to: Revision, mounts: readonly Json[]): { readonly [key: string]: Json } {
  const dir = logFileOf(to)?.dir;
  const mount = mounts.find((m) => tidyPath(String(at(m, 'mountPath') ?? '')) === dir) ?? null;
  const [name, subPath, subPathExpr] = ['name', 'subPath', 'subPathExpr'].map((k) => at(mount, k));
  return {
    name: name ?? '',
    ...(subPath === undefined ? {} : { subPath }),
    ...(subPathExpr === undefined ? {} : { subPathExpr }),
  };
}

/** A hosted control plane has a namespace of its own. */
const BY_NAMESPACE = { valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } } };

export type Beside = Pick<Workload, 'user'> & {
  /** What says which cluster it is; unset: the pod's namespace. */
  readonly cluster?: { readonly [key: string]: Json };
};

/** `mounts`: of the API server, as they are to be. null where there is to be no shipper. */
export function sidecarFor(to: Revision | null, { user, cluster }: Beside, mounts: readonly Json[]): Json {
  if (to?.shipping === undefined) return null;
  const log = logMount(to, mounts);
  return shipperContainer(to.shipping, { log, cluster: cluster ?? BY_NAMESPACE, user, hidesToken: true });
}

export function sidecarFindings(
  to: Revision,
  { containers, user }: Pick<Workload, 'containers' | 'user'>,
  path = PATH,
): readonly Finding[] {
  if (to.shipping === undefined) return [];
  const theirs = containers.findIndex((c) => at(c, 'name') === SHIPPER && !isShipper(c));
  // Its image alone says who it runs as, and the shipper's says another.
  if (user['runAsNonRoot'] === true && user['runAsUser'] === undefined)
    return [
      refusal(
        'ShipperUserUnknown',
        'The API server runs as a user that only its image names (runAsNonRoot without runAsUser), so that the shipper cannot run as the same one, which the log belongs to. Set runAsUser.',
        'spec.template.spec.securityContext.runAsUser',
      ),
    ];
  if (theirs < 0) return [];
  return [
    refusal(
      'ContainerNameTaken',
      `There is a container named ${SHIPPER} already, and it is not ours. Take it out, or ship without spec.shipping.`,
      `${path}[${theirs}]`,
    ),
  ];
}

/** Ours to what is wanted, every other container left where it is: each step behind a test of what was read. */
export function sidecarOps(w: Workload, wanted: Json): readonly PatchOp[] {
  const pod = '/spec/template/spec/containers';
  const index = w.containers.findIndex(isShipper);
  const is = w.containers[index] ?? null;
  if (is === null) return wanted === null ? [] : [{ op: 'add', path: `${pod}/-`, value: wanted }];
  const path = `${pod}/${index}`;
  if (wanted === null)
    return [
      { op: 'test', path, value: is },
      { op: 'remove', path },
    ];
  const same = unlessSame([is], [wanted]);
  return same[0] === is
    ? []
    : [
        { op: 'test', path, value: is },
        { op: 'replace', path, value: wanted },
      ];
}
