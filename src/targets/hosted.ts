/**
 * Hosted: kube-apiserver as the container of a Deployment or StatefulSet that Kubernetes rolls out by itself. One JSON
 * patch, guarded by what was read, puts our flags, volumes and mounts into its template, and one takes exactly them out and
 * gives back what its owner had set; every other field stays. What restarts is Kubernetes' business (src/rollout/hosted/hosted.ts
 * follows it). Refused, with a code: what is no kube-apiserver with flags of its own (hosted/workload.ts, hosted/words.ts),
 * and a log that nothing limits (hosted/volumes.ts).
 */
import { hasErrors } from '../api/findings.ts';
import type { Finding } from '../api/findings.ts';
import { canonicalJson, sha256 } from '../config/canonical.ts';
import type { Revision } from '../render/types.ts';
import { adoptionFindings, RECORD_MISSING } from './adoption.ts';
import { inEffect } from './audit-flags.ts';
import { flagDrift } from './drift.ts';
import { isWithin, resolveFlags } from './host-layout.ts';
import { entryOps, listOps } from './hosted/patch.ts';
import type { PatchOp } from './hosted/patch.ts';
import {
  encodeHostedRecord,
  hashOfLists,
  HOSTED_ANNOTATION,
  HOSTED_LABEL,
  parseHostedRecord,
  recordOf,
} from './hosted/record.ts';
import type { HostedRecord } from './hosted/record.ts';
import { isShipper, sidecarFindings, sidecarFor, sidecarOps } from './hosted/sidecar.ts';
import { HOSTED_LAYOUT, isOwn, unlessSame, volumesFor } from './hosted/volumes.ts';
import { adoptedFrom, append, giveBack, readFlags, withoutFlags } from './hosted/words.ts';
import type { Adopted, FlagWords } from './hosted/words.ts';
import { at, isJsonRecord, no, readWorkload } from './hosted/workload.ts';
import type { HostedSpec, Json, Lists, Read, Workload } from './hosted/workload.ts';
import { refusal } from './refusal.ts';
import type { Plan, Target } from './types.ts';

export type HostedRead = { readonly read: 'Workload' };
/** The object as the API server gave it; null where there is none. */
export type HostedObserved = { readonly workload: unknown };
/** `spec` changes the template: pods are replaced. */
export type HostedChange = { readonly do: 'PatchWorkload'; readonly patch: readonly PatchOp[] };
/** `config` is the name of the AuditConfig, for the record. */
export type HostedTargetSpec = HostedSpec & { readonly config: string };

type Seen = {
  readonly w: Workload;
  readonly flags: FlagWords;
  readonly record: HostedRecord | undefined;
  readonly isIn: boolean;
};

/** Ours are in where the policy is read from a folder of ours. */
const hasOurs = ({ found }: FlagWords): boolean =>
  isWithin(inEffect(found).get('--audit-policy-file') ?? '', HOSTED_LAYOUT.revisionsDir);

function see(seen: HostedObserved, spec: HostedSpec): Read<Seen> {
  if (seen.workload === null || seen.workload === undefined)
    return no('WorkloadNotFound', `There is no such ${spec.kind}.`, 'spec.target.hosted.name');
  const w = readWorkload(seen.workload, spec);
  if ('refused' in w) return w;
  const flags = readFlags(w.ok);
  if ('refused' in flags) return flags;
  const record = parseHostedRecord(w.ok.annotations?.[HOSTED_ANNOTATION]);
  return { ok: { w: w.ok, flags: flags.ok, record, isIn: hasOurs(flags.ok) } };
}

/** What the owner wrote: his words without audit flags, and the audit flags that were his. */
function ownersOf({ w, flags, record, isIn }: Seen): { readonly bare: Lists; readonly adopted: readonly Adopted[] } {
  const bare = withoutFlags(w.lists, flags.found);
  if (!isIn) return { bare, adopted: adoptedFrom(flags.found) };
  return { bare, adopted: record?.adopted ?? [] };
}

/** The owner's own lists, as they would be without us. */
function ownersLists(s: Seen): Lists {
  const { bare, adopted } = ownersOf(s);
  if (!s.isIn) return s.w.lists;
  return giveBack(bare, adopted, s.record !== undefined && s.record.words === hashOfLists(bare));
}

type Wanted = { readonly lists: Lists; readonly to: Revision | null; readonly record: HostedRecord | null };

function operations(s: Seen, wanted: Wanted): { patch: readonly PatchOp[]; restarts: boolean } {
  const { w } = s;
  const { volumes, mounts } = volumesFor(wanted.to, w);
  const pod = '/spec/template/spec';
  const container = `${pod}/containers/${w.container}`;
  const template = [
    ...(['command', 'args'] as const).flatMap((l) => listOps(`${container}/${l}`, w.lists[l], wanted.lists[l] ?? [])),
    ...listOps(`${container}/volumeMounts`, w.mounts, unlessSame(w.mounts, mounts)),
    ...listOps(`${pod}/volumes`, w.volumes, unlessSame(w.volumes, volumes)),
    // Last: taking ours out may move the others.
    ...sidecarOps(w, sidecarFor(wanted.to, w, mounts)),
  ];
  const { record } = wanted;
  const label = record === null ? null : w.containerName;
  const text = record === null ? null : encodeHostedRecord(record);
  const metadata = [
    ...entryOps('/metadata/labels', w.labels, HOSTED_LABEL, label),
    ...entryOps('/metadata/annotations', w.annotations, HOSTED_ANNOTATION, text),
  ];
  const named: PatchOp = { op: 'test', path: `${container}/name`, value: w.containerName };
  return { patch: [...(template.length > 0 ? [named] : []), ...template, ...metadata], restarts: template.length > 0 };
}

const result = (s: Seen, wanted: Wanted, findings: readonly Finding[]): Plan<HostedChange> => {
  const { patch, restarts } = operations(s, wanted);
  return { changes: patch.length === 0 ? [] : [{ do: 'PatchWorkload', patch }], findings, restarts };
};

function install(to: Revision, s: Seen, spec: HostedTargetSpec): Plan<HostedChange> {
  const findings = [...volumesFor(to, s.w).findings, ...sidecarFindings(to, s.w)];
  if (hasErrors(findings)) return { refused: findings.filter((f) => f.severity === 'error') };
  const { bare, adopted } = ownersOf(s);
  const flags = resolveFlags(to, HOSTED_LAYOUT);
  const words = flags.map((f) => `${f.name}=${f.value}`);
  const lists = isInEffect(to, s) ? s.w.lists : append(bare, s.flags.into, words);
  const record = { ...recordOf({ digest: to.digest, config: spec.config, adopted }, bare), ...adoptedAmong(s) };
  const theirs = s.isIn ? new Map<string, string>() : inEffect(s.flags.found);
  const told = adoptionFindings(theirs, new Map(flags.map((f) => [f.name, f.value])));
  return result(s, { lists, to, record }, [...findings, ...told]);
}

/**
 * The API server gets each flag of the revision, once, and no other audit flag: where they stand among an owner's own words is
 * his business. He may write his behind ours, or between them, sort all of them, or say ours in two words.
 */
const isInEffect = (to: Revision, { flags: { found } }: Seen): boolean =>
  found.length === to.flags.length && flagDrift(inEffect(found), to, HOSTED_LAYOUT).length === 0;

/** Among which words the adopted ones stood: among others, a place by number may be between a flag and its value. */
const adoptedAmong = ({ isIn, record }: Seen): Pick<HostedRecord, 'words'> | undefined =>
  isIn && record !== undefined ? { words: record.words } : undefined;

const hasLeftovers = ({ w }: Seen): boolean =>
  [...(w.volumes ?? []), ...(w.mounts ?? [])].some(isOwn) ||
  w.containers.some(isShipper) ||
  w.labels?.[HOSTED_LABEL] !== undefined ||
  w.annotations?.[HOSTED_ANNOTATION] !== undefined;

function podDrift(to: Revision, { w }: Seen): readonly Finding[] {
  const { volumes, mounts } = volumesFor(to, w);
  const same = unlessSame(w.volumes, volumes) === w.volumes && unlessSame(w.mounts, mounts) === w.mounts;
  if (!same)
    return [refusal('VolumeDrift', 'Volumes or mounts are not those of the revision.', 'spec.template.spec.volumes')];
  return sidecarOps(w, sidecarFor(to, w, mounts)).length === 0
    ? []
    : [refusal('SidecarDrift', 'The shipper is not that of the revision.', 'spec.template.spec.containers')];
}

export const hosted: Target<HostedTargetSpec, HostedChange, HostedRead, HostedObserved> = {
  observe: () => [{ read: 'Workload' }],

  plan: (to, seen, spec) => {
    const read = see(seen, spec);
    if ('refused' in read) {
      // Nothing can be taken out of what is not there; what cannot be read may have something of ours.
      const gone = to === null && (seen.workload === null || seen.workload === undefined);
      return gone ? { changes: [], findings: [], restarts: false } : read;
    }
    const s = read.ok;
    if (to !== null) return install(to, s, spec);
    const findings = s.isIn && s.record === undefined ? [RECORD_MISSING] : [];
    return result(s, { lists: ownersLists(s), to: null, record: null }, findings);
  },

  verify: (to, seen, spec) => {
    const read = see(seen, spec);
    if ('refused' in read) return to === null && (seen.workload ?? null) === null ? [] : read.refused;
    const s = read.ok;
    if (to !== null) return [...flagDrift(inEffect(s.flags.found), to, HOSTED_LAYOUT), ...podDrift(to, s)];
    return s.isIn || hasLeftovers(s)
      ? [refusal('FlagDrift', 'Flags or volumes of ours are still there.', '--audit-policy-file')]
      : [];
  },
};

export type HostedView = {
  readonly image: string;
  readonly hostNetwork: boolean;
  /** Audit flags in effect. */
  readonly auditFlags: ReadonlyMap<string, string>;
  /** The revision that was put in last, as far as the record says; undefined where ours are not in. */
  readonly digest: string | undefined;
  /** Which AuditConfig that was for. */
  readonly config: string | undefined;
  /** Of the template as it would be without us: another one is another try for a digest that failed. */
  readonly base: string;
};

/** The template as it would be without us, as a hash. */
function baseOf(workload: unknown, s: Seen): string {
  const { volumes, mounts } = volumesFor(null, s.w);
  const template = at(workload, 'spec', 'template') ?? null;
  const containers = at(template, 'spec', 'containers');
  const theirs = (Array.isArray(containers) ? (containers as readonly Json[]) : []).flatMap((c, i) =>
    i === s.w.container && isJsonRecord(c)
      ? [{ ...c, command: null, args: null, volumeMounts: mounts }]
      : isShipper(c)
        ? []
        : [c],
  );
  const pod = at(template, 'spec');
  const spec = { ...(isJsonRecord(pod) ? pod : {}), containers: theirs, volumes };
  return sha256(canonicalJson([at(template, 'metadata') ?? null, spec, hashOfLists(ownersLists(s))])).slice(0, 16);
}

/** What a workload says about its API server; the findings say why it is none. */
export function hostedView(seen: HostedObserved, spec: HostedSpec): Read<HostedView> {
  const read = see(seen, spec);
  if ('refused' in read) return read;
  const s = read.ok;
  const { w, record, isIn } = s;
  return {
    ok: {
      image: w.image,
      hostNetwork: w.hostNetwork,
      auditFlags: inEffect(s.flags.found),
      digest: isIn ? record?.digest : undefined,
      config: record?.config,
      // A hash of nearly all of it, which hardly anybody asks for.
      get base() {
        return baseOf(seen.workload, s);
      },
    },
  };
}
