/**
 * An owner's object as a target: one guarded JSON patch puts a revision into its slots, one takes exactly that out and gives
 * back what its owner had set. The owner's own controller rolls it out. Refused, with a code: what that owner says
 * (Owner.refuse), and an object that is not there. Called by src/targets/managed.ts.
 */
import { hasErrors } from '../../api/findings.ts';
import type { Finding } from '../../api/findings.ts';
import { canonicalJson, sha256 } from '../../config/canonical.ts';
import type { Revision } from '../../render/types.ts';
import { adoptionFindings, RECORD_MISSING } from '../adoption.ts';
import { sameValue } from '../audit-flags.ts';
import type { HostedObserved, HostedView } from '../hosted.ts';
import { entryOps } from '../hosted/patch.ts';
import type { PatchOp } from '../hosted/patch.ts';
import { HOSTED_ANNOTATION, HOSTED_LABEL } from '../hosted/record.ts';
import { at, isJsonRecord, no } from '../hosted/workload.ts';
import type { Json, Read } from '../hosted/workload.ts';
import { refusal } from '../refusal.ts';
import type { Plan } from '../types.ts';
import { encodeOwnerRecord, hashOf, parseOwnerRecord } from './record.ts';
import type { OwnerRecord } from './record.ts';
import {
  bareOf,
  depthsOf,
  difference,
  flagsIn,
  giveBack,
  keptFrom,
  unordered,
  valuesOf,
  withOurs,
  withValues,
} from './slots.ts';
import type { Kept, Owner, OwnerSpec, Slots, Values } from './types.ts';

type Seen = {
  readonly object: { readonly [key: string]: Json };
  readonly slots: Slots;
  readonly values: Values;
  readonly settings: ReadonlyMap<string, string>;
  readonly record: OwnerRecord | undefined;
  readonly isIn: boolean;
};
type Texts = Readonly<Record<string, string>> | null;

const textsAt = (object: unknown, key: string): Texts => {
  const found = at(object, 'metadata', key);
  return isJsonRecord(found) ? (found as Texts) : null;
};

const settingsOf = (values: Values, slots: Slots): ReadonlyMap<string, string> => flagsIn(values, slots);

function see(owner: Owner, { workload }: HostedObserved, spec: OwnerSpec): Read<Seen> {
  if (!isJsonRecord(workload))
    return no('WorkloadNotFound', `There is no such ${spec.kind}.`, `spec.target.${memberOf(spec)}.name`);
  const refused = owner.refuse(workload);
  if (refused !== undefined) return { refused: [refused] };
  const slots = owner.slots(spec.version);
  const values = valuesOf(workload, slots);
  const settings = settingsOf(values, slots);
  const record = parseOwnerRecord(textsAt(workload, 'annotations')?.[HOSTED_ANNOTATION]);
  const isIn = owner.isIn(settings, record !== undefined);
  return { ok: { object: workload, slots, values, settings, record, isIn } };
}

const memberOf = ({ kind }: OwnerSpec): string => `${kind.charAt(0).toLowerCase()}${kind.slice(1)}`;

/** What the owner has without us. */
function theirsOf({ values, slots, isIn, record }: Seen): { readonly bare: Values; readonly kept: readonly Kept[] } {
  const bare = bareOf(values, slots);
  return { bare, kept: isIn ? (record?.kept ?? []) : keptFrom(values, slots) };
}

function withoutUs(s: Seen): Values {
  const { bare, kept } = theirsOf(s);
  if (!s.isIn) return giveBack(bare, kept, true);
  return giveBack(bare, kept, s.record !== undefined && s.record.bare === hashOf(unordered(bare, s.slots)));
}

const objectWithoutUs = (s: Seen): Json => withValues(s.object, s.slots, withoutUs(s), s.record?.made ?? {});

type To = { readonly values: Values; readonly record: OwnerRecord | null; readonly label: string | null };

function result(s: Seen, to: To, findings: readonly Finding[]): Plan<Change> {
  const after = withValues(s.object, s.slots, to.values, to.record?.made ?? s.record?.made ?? {});
  const template = difference(s.object, after, s.slots);
  const text = to.record === null ? null : encodeOwnerRecord(to.record);
  const metadata = [
    ...entryOps('/metadata/labels', textsAt(s.object, 'labels'), HOSTED_LABEL, to.label),
    ...entryOps('/metadata/annotations', textsAt(s.object, 'annotations'), HOSTED_ANNOTATION, text),
  ];
  const patch = [...template, ...metadata];
  const restarts = template.length > 0;
  return { changes: patch.length === 0 ? [] : [{ do: 'PatchWorkload', patch }], findings, restarts };
}
type Change = { readonly do: 'PatchWorkload'; readonly patch: readonly PatchOp[] };

/** The values that a revision gives, over what the owner has. */
function valuesFor(
  owner: Owner,
  to: Revision,
  s: Seen,
  spec: OwnerSpec,
): { values: Values; findings: readonly Finding[] } {
  const { bare } = theirsOf(s);
  const { ours, findings } = owner.wanted(to, bare, {
    version: spec.version,
    name: String(at(s.object, 'metadata', 'name') ?? ''),
    object: s.object,
  });
  return { values: withOurs(bare, ours, s.slots), findings: [...(owner.judge?.(to) ?? []), ...findings] };
}

function install(owner: Owner, to: Revision, s: Seen, spec: OwnerSpec): Plan<Change> {
  const { values, findings } = valuesFor(owner, to, s, spec);
  if (hasErrors(findings)) return { refused: findings.filter((f) => f.severity === 'error') };
  const { bare, kept } = theirsOf(s);
  const record: OwnerRecord = {
    version: 2,
    digest: to.digest,
    config: spec.config,
    kept,
    made: s.isIn && s.record !== undefined ? s.record.made : depthsOf(s.object, s.slots),
    bare: hashOf(unordered(bare, s.slots)),
  };
  const theirs = s.isIn ? new Map<string, string>() : s.settings;
  const told = adoptionFindings(theirs, settingsOf(values, s.slots));
  return result(s, { values, record, label: spec.kind }, [...findings, ...told]);
}

export function planOwner(owner: Owner, to: Revision | null, seen: HostedObserved, spec: OwnerSpec): Plan<Change> {
  const read = see(owner, seen, spec);
  if ('refused' in read) {
    const gone = to === null && (seen.workload ?? null) === null;
    return gone ? { changes: [], findings: [], restarts: false } : read;
  }
  const s = read.ok;
  if (to !== null) return install(owner, to, s, spec);
  const findings = s.isIn && s.record === undefined ? [RECORD_MISSING] : [];
  return result(s, { values: withoutUs(s), record: null, label: null }, findings);
}

const hasLeftovers = ({ object, values, slots }: Seen): boolean =>
  textsAt(object, 'labels')?.[HOSTED_LABEL] !== undefined ||
  textsAt(object, 'annotations')?.[HOSTED_ANNOTATION] !== undefined ||
  Object.entries(slots).some(([name, slot]) => {
    const value = values[name];
    return slot.as === 'List' && Array.isArray(value) && (value as readonly Json[]).some((i) => slot.isOurs(i));
  });

export function verifyOwner(
  owner: Owner,
  to: Revision | null,
  seen: HostedObserved,
  spec: OwnerSpec,
): readonly Finding[] {
  const read = see(owner, seen, spec);
  if ('refused' in read) return to === null && (seen.workload ?? null) === null ? [] : read.refused;
  const s = read.ok;
  if (to === null)
    return s.isIn || hasLeftovers(s) ? [refusal('FlagDrift', 'Something of ours is still there.', 'metadata')] : [];
  const { values } = valuesFor(owner, to, s, spec);
  const want = settingsOf(values, s.slots);
  const names = [...new Set([...want.keys(), ...s.settings.keys()])];
  const flags = names.flatMap((name): Finding[] => {
    const [is, wanted] = [s.settings.get(name), want.get(name)];
    if (is !== undefined && wanted !== undefined && sameValue(name, is, wanted)) return [];
    return [refusal('FlagDrift', `${name} is ${is ?? 'not set'}; the revision has ${wanted ?? 'none'}.`, name)];
  });
  const same = difference(s.object, withValues(s.object, s.slots, values), s.slots).length === 0;
  return flags.length > 0 || same
    ? flags
    : [refusal('VolumeDrift', 'Files, volumes or mounts are not those of the revision.', 'spec')];
}

/** Everything of spec that is the owner's own; how many replicas there are is no other try for a revision that failed. */
function baseOf(s: Seen): string {
  const spec = at(objectWithoutUs(s), 'spec');
  const { replicas: _replicas, ...rest } = isJsonRecord(spec) ? spec : {};
  return sha256(canonicalJson(rest)).slice(0, 16);
}

export function viewOwner(owner: Owner, seen: HostedObserved, spec: OwnerSpec): Read<HostedView> {
  const read = see(owner, seen, spec);
  if ('refused' in read) return read;
  const s = read.ok;
  return {
    ok: {
      image: `kube-apiserver:${owner.kubernetes(s.object)}`,
      hostNetwork: owner.hostNetwork,
      auditFlags: s.settings,
      digest: s.isIn ? s.record?.digest : undefined,
      config: s.record?.config,
      base: baseOf(s),
    },
  };
}
