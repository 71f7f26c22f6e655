/**
 * Is a revision in place? Compares what was read with what the revision means, and names each difference: the reasons in
 * a drift event. It says nothing about the running process: that is the node room's question.
 */
import type { Finding } from '../../api/findings.ts';
import type { Revision } from '../../render/types.ts';
import { parentOf, resolveFlags, revisionDir, sha256 } from '../host-layout.ts';
import type { HostLayout } from '../host-layout.ts';
import type { HostObserved, HostPath } from '../types.ts';
import { inEffect, readFlags, sameValue } from './flags.ts';
import { isInPlace } from './in-place.ts';
import { readManifest, refusal } from './manifest.ts';
import type { Manifest } from './manifest.ts';
import { mountOps } from './mounts.ts';
import { isOurs } from './undo.ts';

function flagDrift(m: Manifest, to: Revision, layout: HostLayout): readonly Finding[] {
  const flags = readFlags(m);
  if ('refused' in flags) return flags.refused;
  const now = inEffect(flags.ok.found);
  const want = new Map(resolveFlags(to, layout).map((f) => [f.name, f.value]));
  const differing = [...want].flatMap(([name, value]): Finding[] => {
    const is = now.get(name);
    if (is !== undefined && sameValue(name, is, value)) return [];
    return [refusal('FlagDrift', `${name} is ${is ?? 'not set'}; the revision has ${value}.`, name)];
  });
  const extra = [...now.keys()].filter((n) => !want.has(n));
  return [...differing, ...extra.map((n) => refusal('FlagDrift', `${n} is set; the revision does not have it.`, n))];
}

function fileDrift(to: Revision, seen: HostObserved, layout: HostLayout): readonly Finding[] {
  const dir = revisionDir(to.digest, layout);
  const files: readonly (readonly [string, Uint8Array])[] = [
    [`${dir}/policy.yaml`, to.policy],
    ...(to.webhook === undefined ? [] : [[`${dir}/webhook.yaml`, to.webhook.reveal()] as const]),
  ];
  return files.flatMap(([path, bytes]): Finding[] => {
    const file = seen.files.get(path) ?? null;
    if (file !== null && sha256(file.bytes) === sha256(bytes)) return [];
    return [refusal('FileDrift', `${path} is ${file === null ? 'not there' : 'not what the revision holds'}.`, path)];
  });
}

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
  if (!isOurs(read.ok, layout) && isInPlace(read.ok, { to, seen, layout })) return [];
  const mounts = mountOps(read.ok, to, layout, parentOf(manifest));
  return [
    ...flagDrift(read.ok, to, layout),
    ...mounts.ops.flatMap((op) =>
      op.op === 'Insert' && op.list === 'volumeMounts'
        ? [refusal('MountDrift', 'A mount that the API server needs is not there.', 'spec.volumes')]
        : [],
    ),
    ...mounts.findings.filter((f) => f.severity === 'error' && f.code !== 'VolumeNameTaken'),
    ...fileDrift(to, seen, layout),
  ];
}
