/**
 * Which API server `patch` and `diff` are about, and on which disk: `--manifest`, `--unit` or `--target` say it, always by
 * name, so that nothing on this machine is taken for a node by mistake. `--root` goes before every host path; a manifest
 * or a unit's file is taken as given, outside of the root too. Wrong usage comes back as a value.
 */
import { realpathSync, statSync } from 'node:fs';
import { basename, dirname, relative, resolve, sep } from 'node:path';
import type { Command } from 'commander';
import { DEFAULT_UNIT, isNodeTarget, NODE_TARGETS, TARGET_TYPES, unitName } from '../api/auditconfig-target.ts';
import type { NodeTargetType } from '../api/auditconfig-target.ts';
import { realDisk } from '../host/disk.ts';
import type { Disk } from '../host/types.ts';
import { MANIFEST, rancherPlace, staticPodPlace, systemdPlace } from '../node/place.ts';
import type { Place } from '../node/place.ts';
import { DEFAULT_LAYOUT, parentOf } from '../targets/host-layout.ts';
import { UNIT_DIRS } from '../targets/systemd/unit.ts';
import type { HostPath } from '../targets/types.ts';
import { usage } from './policy-input.ts';
import type { CommandResult } from './types.ts';

export type PlaceFlags = {
  readonly manifest?: string;
  readonly unit?: string;
  readonly target?: string;
  readonly root: string;
};

export const withPlaceFlags = (program: Command): Command =>
  program
    .option('--manifest <file>', 'the manifest of a static pod, taken as given')
    .option('--unit <name>', 'the unit that starts kube-apiserver, or (with a slash) its file, taken as given')
    .option('--target <type>', `where the flags lie: ${NODE_TARGETS.join(', ')}; needed for K3s and RKE2`)
    .option('--root <dir>', 'goes before every host path, for a mounted disk', '/');

/** The disk below `root` (and a given file's own folder outside of it), the place there, and paths as a person sees them. */
export type NodePlace = { readonly disk: Disk; readonly at: Place; readonly shown: (path: HostPath) => string };

function kindOf({ manifest, unit, target }: PlaceFlags): NodeTargetType | CommandResult {
  const named = TARGET_TYPES.find((t) => t.toLowerCase() === target?.toLowerCase());
  if (target !== undefined && (named === undefined || !isNodeTarget(named)))
    return usage(`--target must be one of ${NODE_TARGETS.join(', ')}, not '${target}'`);
  const said = new Set<NodeTargetType>([
    ...(named !== undefined && isNodeTarget(named) ? [named] : []),
    ...(manifest === undefined ? [] : ['StaticPod' as const]),
    ...(unit === undefined ? [] : ['Systemd' as const]),
  ]);
  const [kind, other] = [...said];
  if (kind === undefined) return usage('say where: --manifest FILE, --unit NAME, or --target K3s or RKE2');
  if (other !== undefined) return usage('--manifest is for StaticPod, --unit for Systemd: give one of them');
  return kind;
}

/** A file that was given by its path here, as a path of the host. */
type Given = { readonly as: string; readonly path: HostPath; readonly inside: boolean };

/** What a path is called below the root, by whichever links the root itself is reached; undefined outside of it. */
function belowRoot(path: string, root: string): string | undefined {
  const base = real(root);
  for (let above = path; dirname(above) !== above; above = dirname(above))
    if (dirname(above) === root || real(dirname(above)) === base) return relative(dirname(above), path);
  return undefined;
}

/** Without its links; what is not there is taken as it is written. */
function real(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function given(file: string, root: string): Given {
  const is = resolve(file);
  const below = belowRoot(is, resolve(root));
  return below === undefined
    ? { as: file, path: is, inside: false }
    : { as: file, path: `/${below.split(sep).join('/')}`, inside: true };
}

/** Reads and writes the folder of a file outside of the root, and its drop-ins, where they are; all else below the root. */
function diskOf(root: string, file: Given | null): Pick<NodePlace, 'disk' | 'shown'> {
  const base = resolve(root);
  const folder = file === null || file.inside ? null : parentOf(file.path);
  const isBeside = (p: HostPath): boolean => p === folder || parentOf(p) === folder;
  const isOutside = (p: HostPath): boolean =>
    folder !== null && (isBeside(p) || (parentOf(p).endsWith('.d') && isBeside(parentOf(p))));
  const [rooted, plain] = [realDisk(base), realDisk('/')];
  const on = (p: HostPath): Disk => (isOutside(p) ? plain : rooted);
  const disk: Disk = {
    stat: (p) => on(p).stat(p),
    read: (p) => on(p).read(p),
    readEnd: (p, bytes) => on(p).readEnd(p, bytes),
    list: (p) => on(p).list(p),
    makeDir: (p, mode, owner) => on(p).makeDir(p, mode, owner),
    create: (p, bytes, as) => on(p).create(p, bytes, as),
    give: (p, owner) => on(p).give(p, owner),
    link: (from, to) => on(to).link(from, to),
    rename: (from, to) => on(to).rename(from, to),
    remove: (p) => on(p).remove(p),
    removeDir: (p) => on(p).removeDir(p),
    syncDir: (p) => on(p).syncDir(p),
    freeBytes: (p) => on(p).freeBytes(p),
  };
  const shown = (p: HostPath): string =>
    p === file?.path ? file.as : isOutside(p) || base === '/' ? p : `${base}${p}`;
  return { disk, shown };
}

function staticPodAt({ manifest, root }: PlaceFlags): NodePlace {
  if (manifest === undefined)
    return { ...diskOf(root, null), at: staticPodPlace({ manifest: MANIFEST, layout: DEFAULT_LAYOUT }) };
  const file = given(manifest, root);
  const watched = basename(dirname(resolve(manifest))) === 'manifests';
  return { ...diskOf(root, file), at: staticPodPlace({ manifest: file.path, layout: DEFAULT_LAYOUT, watched }) };
}

function unitAt({ unit = DEFAULT_UNIT, root }: PlaceFlags): NodePlace | CommandResult {
  const name = basename(unit);
  if (!unitName.safeParse(name).success) return usage('--unit must be the name or the file of a service: NAME.service');
  if (!unit.includes('/')) return { ...diskOf(root, null), at: systemdPlace(name, DEFAULT_LAYOUT) };
  const file = given(unit, root);
  const dir = parentOf(file.path);
  const isSystemds = file.inside && UNIT_DIRS.includes(dir);
  return { ...diskOf(root, file), at: systemdPlace(name, DEFAULT_LAYOUT, isSystemds ? undefined : dir) };
}

/** A root that is misspelled would get a policy that the API server, whose manifest is named by itself, never finds. */
export const noRoot = (root: string): CommandResult | undefined =>
  statSync(root, { throwIfNoEntry: false })?.isDirectory() === true
    ? undefined
    : { code: 1, stderr: `error: --root: there is no folder ${root}\n` };

export function nodePlace(flags: PlaceFlags): NodePlace | CommandResult {
  const missing = noRoot(flags.root);
  if (missing !== undefined) return missing;
  const kind = kindOf(flags);
  switch (kind) {
    case 'StaticPod':
      return staticPodAt(flags);
    case 'Systemd':
      return unitAt(flags);
    case 'K3s':
    case 'RKE2':
      return { ...diskOf(flags.root, null), at: rancherPlace(kind, DEFAULT_LAYOUT) };
    default:
      return kind;
  }
}
