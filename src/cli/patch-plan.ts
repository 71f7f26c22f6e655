/**
 * What `patch` and `diff` share: from an AuditConfig file and a manifest's path to a plan, without touching anything.
 * `--root` goes before every host path; `--manifest` is taken as given. Refusals and findings come back as values.
 */
import { basename, dirname, relative, resolve, sep } from 'node:path';
import { hasErrors } from '../api/findings.ts';
import type { Finding } from '../api/findings.ts';
import { NEWEST } from '../api/versions.ts';
import type { Minor } from '../api/versions.ts';
import { realDisk } from '../host/disk.ts';
import type { Disk } from '../host/types.ts';
import { bytesOf } from '../node/apply.ts';
import { gather } from '../node/gather.ts';
import { readState } from '../node/state-file.ts';
import { renderFile } from '../render/file.ts';
import { Secret } from '../render/types.ts';
import type { Revision } from '../render/types.ts';
import { unifiedDiff } from '../targets/diff.ts';
import { DEFAULT_LAYOUT, isWithin, parentOf } from '../targets/host-layout.ts';
import { staticPod } from '../targets/static-pod.ts';
import type { StaticPodSpec } from '../targets/static-pod.ts';
import type { HostChange, HostObserved, HostPath } from '../targets/types.ts';
import { untested, versionOfManifest } from './image-version.ts';
import { isResult, readInput, unreadableInput, usage, versionOf } from './policy-input.ts';
import type { CommandResult, Io } from './types.ts';

export type PatchOptions = {
  readonly manifest: string;
  readonly filename?: string;
  readonly remove: boolean;
  readonly root: string;
  readonly kubernetesVersion?: string;
};

/** The disk below `root`, and the manifest's own folder where it is given outside of it. */
export type Place = { readonly disk: Disk; readonly spec: StaticPodSpec; readonly shown: (path: HostPath) => string };

export function placeOf({ manifest, root }: Pick<PatchOptions, 'manifest' | 'root'>): Place {
  const [given, base] = [resolve(manifest), resolve(root)];
  const below = relative(base, given);
  const inside = below !== '' && !below.startsWith(`..${sep}`) && below !== '..';
  const path = inside ? `/${below.split(sep).join('/')}` : given;
  const spec: StaticPodSpec = {
    manifest: path,
    layout: DEFAULT_LAYOUT,
    watched: basename(dirname(given)) === 'manifests',
  };
  const folder = parentOf(path);
  const isManifests = (p: HostPath): boolean => !inside && (p === folder || parentOf(p) === folder);
  const [rooted, plain] = [realDisk(base), realDisk('/')];
  const at = (p: HostPath): Disk => (isManifests(p) ? plain : rooted);
  const disk: Disk = {
    stat: (p) => at(p).stat(p),
    read: (p) => at(p).read(p),
    readEnd: (p, bytes) => at(p).readEnd(p, bytes),
    list: (p) => at(p).list(p),
    makeDir: (p, mode, owner) => at(p).makeDir(p, mode, owner),
    create: (p, bytes, as) => at(p).create(p, bytes, as),
    link: (from, to) => at(to).link(from, to),
    rename: (from, to) => at(to).rename(from, to),
    remove: (p) => at(p).remove(p),
    removeDir: (p) => at(p).removeDir(p),
    syncDir: (p) => at(p).syncDir(p),
    freeBytes: (p) => at(p).freeBytes(p),
  };
  const shown = (p: HostPath): string => (p === path ? manifest : isManifests(p) || base === '/' ? p : `${base}${p}`);
  return { disk, spec, shown };
}

/** A finding and the file that it is about. */
export type Placed = { readonly file: string; readonly finding: Finding };

export type PatchPlan =
  | {
      readonly kind: 'Plan';
      readonly place: Place;
      readonly seen: HostObserved;
      readonly changes: readonly HostChange[];
      readonly restarts: boolean;
      readonly findings: readonly Placed[];
    }
  | { readonly kind: 'Refused'; readonly findings: readonly Placed[] }
  | { readonly kind: 'NoInput'; readonly result: CommandResult };

const noInput = (result: CommandResult): PatchPlan => ({ kind: 'NoInput', result });

/** The version that was asked for, else that of the manifest's image, else the newest. */
const wantedVersion = (asked: string | undefined, manifest: Uint8Array | null): Minor | CommandResult =>
  asked === undefined ? (versionOfManifest(manifest) ?? NEWEST) : versionOf(asked);

type Wanted = { readonly to: Revision | null; readonly findings: readonly Finding[] };

async function wantedOf(options: PatchOptions, version: Minor, io: Io): Promise<Wanted | CommandResult> {
  if (options.remove || options.filename === undefined) return { to: null, findings: [] };
  const input = await readInput(options.filename, io);
  if ('unreadable' in input) return unreadableInput(input.unreadable);
  // Without a revision and without errors the state is Disabled: that is a removal too.
  const { revision, findings } = renderFile(input.bytes, [version]);
  return { to: revision ?? null, findings };
}

const inFlight: Finding = {
  severity: 'error',
  code: 'ChangeInFlight',
  message: 'An agent is in the middle of a change of this node; let it end, or put a file HOLD into its state folder.',
  path: '',
};

export async function planPatch(options: PatchOptions, io: Io): Promise<PatchPlan> {
  if (options.remove === (options.filename !== undefined)) return noInput(usage('give -f FILE, or --remove'));
  const place = placeOf(options);
  const { disk, spec, shown } = place;
  const version = wantedVersion(options.kubernetesVersion, await disk.read(spec.manifest));
  if (isResult(version)) return noInput(version);
  const wanted = await wantedOf(options, version, io);
  if (isResult(wanted)) return noInput(wanted);
  const rendered = wanted.findings.map((finding): Placed => ({ file: options.filename ?? '', finding }));
  if (hasErrors(wanted.findings)) return { kind: 'Refused', findings: rendered };
  const inManifest = (all: readonly Finding[]): readonly Placed[] =>
    all.map((finding) => ({ file: shown(spec.manifest), finding }));
  const state = await readState(disk, spec.layout.stateDir);
  if (state === null || state.journal !== null) return { kind: 'Refused', findings: inManifest([inFlight]) };
  const seen = await gather(disk, staticPod, wanted.to, spec);
  const plan = staticPod.plan(wanted.to, seen, spec);
  if ('refused' in plan) return { kind: 'Refused', findings: [...rendered, ...inManifest(plan.refused)] };
  const findings = [...rendered, ...inManifest([...(wanted.to === null ? [] : untested(version)), ...plan.findings])];
  return { kind: 'Plan', place, seen, changes: plan.changes, restarts: plan.restarts, findings };
}

const text = (bytes: Uint8Array): string => new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);

/** One change as a unified diff; of Secrets only that they change. Our own bookkeeping is not shown. */
function showChange(change: HostChange, plan: Extract<PatchPlan, { kind: 'Plan' }>): string {
  const { spec, shown } = plan.place;
  if (change.do !== 'WriteFile' && change.do !== 'RemoveFile') return '';
  if (isWithin(change.path, spec.layout.stateDir)) return '';
  const name = shown(change.path);
  const old = plan.seen.files.get(change.path) ?? null;
  // Whether a file that goes came from a Secret is not known any more.
  if (change.do === 'RemoveFile') return `--- ${name}\n+++ /dev/null\n(it goes; its content is not shown)\n`;
  if (change.after instanceof Secret) return `--- ${name}\n+++ ${name}\n(its content is confidential and not shown)\n`;
  const from = { name: old === null ? '/dev/null' : name, text: old === null ? '' : text(old.bytes) };
  return unifiedDiff(from, { name, text: text(bytesOf(change.after)) });
}

export const showPlan = (plan: Extract<PatchPlan, { kind: 'Plan' }>): string =>
  plan.changes.map((c) => showChange(c, plan)).join('');
