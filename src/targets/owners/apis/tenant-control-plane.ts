/**
 * TenantControlPlane of Kamaji (v1alpha1): flags as extraArgs of its API server, the revision and the log as additional
 * volumes and mounts of its pods, the shipper as a container more. Kamaji makes a Deployment of it, and keeps there whatever
 * argument it does not know: with another extraArgs it begins anew (before 1.1 only where their number is another), without
 * any it does not. What stays names a file that is gone, and keeps new pods from starting. So what is stale there is taken
 * out there too (Owner.made). Refused: audit flags in two words.
 */
import type { Finding } from '../../../api/findings.ts';
import type { Revision } from '../../../render/types.ts';
import { inEffect, sameFlags } from '../../audit-flags.ts';
import { isWithin, resolveFlags } from '../../host-layout.ts';
import { listOps } from '../../hosted/patch.ts';
import type { PatchOp } from '../../hosted/patch.ts';
import { rolloutOf } from '../../hosted/rollout.ts';
import { isShipper, sidecarFindings, sidecarFor } from '../../hosted/sidecar.ts';
import { HOSTED_LAYOUT, isOwn, volumesFor } from '../../hosted/volumes.ts';
import { readFlags, withoutFlags } from '../../hosted/words.ts';
import { at, DEFAULT_CONTAINER, readWorkload, userOf } from '../../hosted/workload.ts';
import type { Json, Workload } from '../../hosted/workload.ts';
import { refusal } from '../../refusal.ts';
import { deployment } from '../made.ts';
import { flagsIn, valuesOf } from '../slots.ts';
import type { FlagText, Made, Owner, RolloutState, Slots, Values, Wanted } from '../types.ts';

const DEPLOYMENT = ['spec', 'controlPlane', 'deployment'];
const CONTAINERS = [...DEPLOYMENT, 'additionalContainers'];

function textOf(item: Json): FlagText | undefined {
  const [, name, value] = /^(--[^=]+)(?:=([\s\S]*))?$/.exec(typeof item === 'string' ? item : '') ?? [];
  return name === undefined ? undefined : [name.replaceAll('_', '-'), value ?? 'true'];
}

const SLOTS: Slots = {
  args: { as: 'List', at: [...DEPLOYMENT, 'extraArgs', 'apiServer'], isOurs: () => false, flag: textOf },
  volumes: { as: 'List', at: [...DEPLOYMENT, 'additionalVolumes'], isOurs: isOwn },
  containers: { as: 'List', at: CONTAINERS, isOurs: isShipper },
  mounts: { as: 'List', at: [...DEPLOYMENT, 'additionalVolumeMounts', 'apiServer'], isOurs: isOwn },
};

const itemsOf = (v: Json | undefined): readonly Json[] => (Array.isArray(v) ? (v as readonly Json[]) : []);

/** `--audit-log-path`, `/x`: the second word would stay behind. */
function twoWords(object: unknown): Finding | undefined {
  const words = itemsOf(at(object, ...(SLOTS['args']?.at ?? []))).map((w) => (typeof w === 'string' ? w : ''));
  const split = words.find((w, i) => /^--audit[-_][^=]+$/.test(w) && words[i + 1]?.startsWith('-') === false);
  return split === undefined
    ? undefined
    : refusal(
        'FlagInTwoWords',
        `${split} and its value are two items. Write them as one: ${split}=VALUE.`,
        (SLOTS['args']?.at ?? []).join('.'),
      );
}

/** Whom the API server runs as, as far as it is said there. */
const userIn = (object: unknown): { readonly [key: string]: Json } =>
  userOf(
    at(object, ...DEPLOYMENT, 'podSecurityContext'),
    at(object, ...DEPLOYMENT, 'containerSecurityContexts', 'apiServer'),
  );

function wanted(to: Revision, theirs: Values, { name, object }: { name: string; object: unknown }): Wanted {
  const [volumes, mounts] = [itemsOf(theirs['volumes']), itemsOf(theirs['mounts'])];
  const [containers, user] = [itemsOf(theirs['containers']), userIn(object)];
  // There may be many in one namespace.
  const cluster = { value: `${String(at(object, 'metadata', 'namespace') ?? '')}/${name}` };
  const made = volumesFor(to, { kind: 'TenantControlPlane', name, volumes, mounts, claims: [] });
  return {
    ours: {
      args: resolveFlags(to, HOSTED_LAYOUT).map((f) => `${f.name}=${f.value}`),
      volumes: made.volumes.filter(isOwn),
      mounts: made.mounts.filter(isOwn),
      containers: to.shipping === undefined ? [] : [sidecarFor(to, { user, cluster }, made.mounts)],
    },
    findings: [...made.findings, ...sidecarFindings(to, { containers, user }, CONTAINERS.join('.'))],
  };
}

/** The Deployment that Kamaji made, as far as auditing is concerned; undefined where there is none of that kind yet. */
function deploymentOf(made: unknown): Workload | undefined {
  const read = readWorkload(made, { kind: 'Deployment', container: DEFAULT_CONTAINER });
  return 'ok' in read ? read.ok : undefined;
}

const flagsOf = (object: unknown): ReadonlyMap<string, string> => flagsIn(valuesOf(object, SLOTS), SLOTS);

function rollout(object: unknown, { deployment: made }: Made): RolloutState {
  const w = deploymentOf(made);
  const found = w === undefined ? undefined : readFlags(w);
  const has = found !== undefined && 'ok' in found ? inEffect(found.ok.found) : undefined;
  if (has === undefined || !sameFlags(has, flagsOf(object)))
    return { state: 'Progressing', message: 'Kamaji has not brought it to its Deployment yet' };
  return rolloutOf(made, 'Deployment');
}

/** Takes audit flags out of the Deployment that its TenantControlPlane does not have. */
function stale(object: unknown, made: unknown): readonly PatchOp[] {
  const w = deploymentOf(made);
  const read = w === undefined ? undefined : readFlags(w);
  if (w === undefined || read === undefined || 'refused' in read) return [];
  const wants = flagsOf(object);
  const rest = withoutFlags(
    w.lists,
    read.ok.found.filter((f) => !wants.has(f.name)),
  );
  const container = `/spec/template/spec/containers/${w.container}`;
  const ops = (['command', 'args'] as const).flatMap((l) => listOps(`${container}/${l}`, w.lists[l], rest[l] ?? []));
  return ops.length === 0 ? [] : [{ op: 'test', path: `${container}/name`, value: w.containerName }, ...ops];
}

const hasOurs = (made: unknown): boolean => {
  const w = deploymentOf(made);
  return [...(w?.volumes ?? []), ...(w?.mounts ?? [])].some(isOwn) || (w?.containers ?? []).some(isShipper);
};

export const tenantControlPlane: Owner = {
  kind: 'TenantControlPlane',
  api: { group: 'kamaji.clastix.io', plural: 'tenantcontrolplanes', versions: ['v1alpha1'] },
  slots: () => SLOTS,
  refuse: twoWords,
  wanted,
  isIn: (settings) => isWithin(settings.get('--audit-policy-file') ?? '', HOSTED_LAYOUT.revisionsDir),
  kubernetes: (object) => String(at(object, 'spec', 'kubernetes', 'version') ?? ''),
  hostNetwork: false,
  rollout,
  made: {
    objects: (of) => ({ deployment: deployment(of) }),
    pods: 'deployment',
    leaves: { in: 'deployment', stale, hasOurs },
  },
  timeoutSeconds: (_object, set) => set ?? 300,
  secretsOnly: false,
  cannot: [],
};
