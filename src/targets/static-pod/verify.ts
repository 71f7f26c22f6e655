/**
 * Is a revision in place? Compares what was read with what the revision means, and names each difference: the reasons in
 * a drift event. It says nothing about the running process: that is the node room's question.
 */
import type { Finding } from '../../api/findings.ts';
import type { Revision } from '../../render/types.ts';
import { inEffect } from '../audit-flags.ts';
import { fileDrift, flagDrift } from '../drift.ts';
import { parentOf } from '../host-layout.ts';
import type { HostLayout } from '../host-layout.ts';
import { isInPlace } from '../in-place.ts';
import { refusal } from '../refusal.ts';
import type { HostObserved, HostPath } from '../types.ts';
import { readFlags } from './flags.ts';
import { readManifest } from './manifest.ts';
import { mountOps } from './mounts.ts';
import { setUpOf } from './set-up.ts';
import { isOurs } from './undo.ts';

/** Differences from `to`; with null, what of ours is still there. */
export function drift(
  to: Revision | null,
  seen: HostObserved,
  manifest: HostPath,
  layout: HostLayout,
): readonly Finding[] {
  const file = seen.files.get(manifest) ?? null;
  if (file === null) return to === null ? [] : [refusal('ManifestMissing', `There is no manifest at ${manifest}.`)];
  const read = readManifest(file.bytes);
  if ('refused' in read) return read.refused;
  if (to === null)
    return isOurs(read.ok, layout) ? [refusal('NotRemoved', `${manifest} still holds our flags or mounts.`)] : [];
  const is = setUpOf(read.ok);
  if (!isOurs(read.ok, layout) && is !== null && isInPlace(is, { to, seen, layout })) return [];
  const flags = readFlags(read.ok);
  const mounts = mountOps(read.ok, to, layout, parentOf(manifest));
  return [
    ...('refused' in flags ? flags.refused : flagDrift(inEffect(flags.ok.found), to, layout)),
    ...mounts.ops.flatMap((op) =>
      op.op === 'Insert' && op.list === 'volumeMounts'
        ? [refusal('MountDrift', 'A mount that the API server needs is not there.', 'spec.volumes')]
        : [],
    ),
    ...mounts.findings.filter((f) => f.severity === 'error' && f.code !== 'VolumeNameTaken'),
    ...fileDrift(to, seen, layout),
  ];
}
