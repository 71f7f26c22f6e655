/**
 * What `patch` and `diff` share: from an AuditConfig file and a place on a disk (node-place.ts) to a plan, without touching
 * anything. Refusals and findings come back as values, each with the file that it is about.
 */
import { isNodeTarget } from '../api/auditconfig-target.ts';
import { hasErrors } from '../api/findings.ts';
import type { Finding } from '../api/findings.ts';
import { NEWEST } from '../api/versions.ts';
import type { Minor } from '../api/versions.ts';
import { bytesOf } from '../node/apply.ts';
import { mismatch } from '../node/place.ts';
import type { Place } from '../node/place.ts';
import { readState } from '../node/state-file.ts';
import { readDocuments } from '../render/documents.ts';
import { renderFile } from '../render/file.ts';
import type { RenderedFile } from '../render/file.ts';
import { Secret } from '../render/types.ts';
import type { Revision } from '../render/types.ts';
import { unifiedDiff } from '../targets/diff.ts';
import { baseOf, isWithin } from '../targets/host-layout.ts';
import type { HostChange, HostObserved } from '../targets/types.ts';
import { untested, versionOfManifest } from './image-version.ts';
import { nodePlace } from './node-place.ts';
import type { NodePlace, PlaceFlags } from './node-place.ts';
import { isResult, readInput, unreadableInput, usage, versionOf } from './policy-input.ts';
import type { CommandResult, Io } from './types.ts';

export type PatchOptions = PlaceFlags & {
  readonly filename?: string;
  readonly remove: boolean;
  readonly kubernetesVersion?: string;
};

/** A finding and the file that it is about. */
export type Placed = { readonly file: string; readonly finding: Finding };

export type PatchPlan =
  | {
      readonly kind: 'Plan';
      readonly place: NodePlace;
      readonly seen: HostObserved;
      readonly changes: readonly HostChange[];
      readonly restarts: boolean;
      readonly findings: readonly Placed[];
    }
  | { readonly kind: 'Refused'; readonly findings: readonly Placed[] }
  | { readonly kind: 'NoInput'; readonly result: CommandResult };

const noInput = (result: CommandResult): PatchPlan => ({ kind: 'NoInput', result });

type Version = { readonly minor: Minor; readonly findings: readonly Finding[] };

const unknownVersion: Finding = {
  severity: 'warning',
  code: 'KubernetesVersionUnknown',
  message: `Nothing here tells which Kubernetes runs: policy and flags are judged as for ${NEWEST}. Say it with --kubernetes-version.`,
  path: '',
};

/** The version that was asked for, else that of a manifest's image, else the newest. */
async function wantedVersion(asked: string | undefined, { disk, at }: NodePlace): Promise<Version | CommandResult> {
  if (asked !== undefined) {
    const minor = versionOf(asked);
    return isResult(minor) ? minor : { minor, findings: untested(minor) };
  }
  if (at.kind !== 'StaticPod') return { minor: NEWEST, findings: [unknownVersion] };
  const minor = versionOfManifest(await disk.read(at.manifest)) ?? NEWEST;
  return { minor, findings: untested(minor) };
}

type Wanted = { readonly to: Revision | null; readonly findings: readonly Finding[] };

/** An AuditConfig for another kind of place; a unit that it does not name may be any. */
function wrongPlace({ config, locate }: RenderedFile, at: Place): readonly Finding[] {
  if (config === undefined) return [];
  const { type, systemd } = config.spec.target;
  const found = isNodeTarget(type) ? mismatch({ type, unit: systemd?.unit ?? baseOf(at.manifest) }, at) : undefined;
  const place = found && locate?.(found.path);
  return found === undefined ? [] : [{ ...found, ...(place === undefined ? {} : { at: place }) }];
}

async function wantedOf(options: PatchOptions, version: Minor, at: Place, io: Io): Promise<Wanted | CommandResult> {
  if (options.remove || options.filename === undefined) return { to: null, findings: [] };
  const input = await readInput(options.filename, io);
  if ('unreadable' in input) return unreadableInput(input.unreadable);
  // Without a revision and without errors the state is Disabled: that is a removal too.
  const rendered = renderFile(input.bytes, [version]);
  return { to: rendered.revision ?? null, findings: [...rendered.findings, ...wrongPlace(rendered, at)] };
}

const inFlight: Finding = {
  severity: 'error',
  code: 'ChangeInFlight',
  message: 'An agent is in the middle of a change of this node; let it end, or put a file HOLD into its state folder.',
  path: '',
};

/** A file that was named, and not a place that is searched for its unit or drop-in. */
const isGiven = ({ manifest, unit }: PatchOptions): boolean => manifest !== undefined || unit?.includes('/') === true;

/** Hardly what was meant: most likely the name is misspelled, and another file is still as it was. */
const notThere: Finding = {
  severity: 'error',
  code: 'ManifestMissing',
  message: 'There is no such file, and no record of one: there is nothing to take anything out of.',
  path: '',
};

/** Puts a line and a column to what is said about a field of a manifest; a unit's findings have theirs. */
async function locatorOf({ disk, at }: NodePlace): Promise<(f: Finding) => Finding> {
  const bytes = at.kind === 'StaticPod' ? await disk.read(at.manifest) : null;
  const [pod] = bytes === null ? [] : readDocuments(bytes).documents;
  return (f) =>
    pod === undefined || f.at !== undefined || !/^(spec|metadata)\b/.test(f.path)
      ? f
      : { ...f, at: pod.locate(f.path) };
}

export async function planPatch(options: PatchOptions, io: Io): Promise<PatchPlan> {
  if (options.remove === (options.filename !== undefined))
    return noInput(usage('give either -f FILE or --remove (see --help)'));
  const place = nodePlace(options);
  if (isResult(place)) return noInput(place);
  const { disk, at, shown } = place;
  const version = await wantedVersion(options.kubernetesVersion, place);
  if (isResult(version)) return noInput(version);
  const wanted = await wantedOf(options, version.minor, at, io);
  if (isResult(wanted)) return noInput(wanted);
  const { to } = wanted;
  const rendered = wanted.findings.map((finding): Placed => ({ file: options.filename ?? '', finding }));
  if (hasErrors(wanted.findings)) return { kind: 'Refused', findings: rendered };
  const locate = await locatorOf(place);
  /** Of the file that a finding names, else of the place itself. */
  const placed = (all: readonly Finding[]): readonly Placed[] =>
    all.map((f) => ({ file: shown(f.path.startsWith('/') ? f.path : at.manifest), finding: locate(f) }));
  const state = await readState(disk, at.layout.stateDir);
  if (state === null || state.journal !== null) return { kind: 'Refused', findings: placed([inFlight]) };
  const seen = await at.gather(disk, to);
  const plan = at.plan(to, seen);
  if ('refused' in plan) return { kind: 'Refused', findings: [...rendered, ...placed(plan.refused)] };
  if (to === null && plan.changes.length === 0 && (await disk.read(at.manifest)) === null && isGiven(options))
    return { kind: 'Refused', findings: placed([notThere]) };
  const findings = [...rendered, ...placed([...(to === null ? [] : version.findings), ...plan.findings])];
  // Only root gives files away; whoever works on a copy keeps them.
  const changes = plan.changes.filter((c) => c.do !== 'Give' || process.getuid?.() === 0);
  return { kind: 'Plan', place, seen, changes, restarts: plan.restarts, findings };
}

const text = (bytes: Uint8Array): string => new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);

/** One change as a unified diff; of Secrets only that they change. Our own bookkeeping is not shown. */
function showChange(change: HostChange, { place, seen }: Extract<PatchPlan, { kind: 'Plan' }>): string {
  const { at, shown } = place;
  if (change.do !== 'WriteFile' && change.do !== 'RemoveFile') return '';
  if (isWithin(change.path, at.layout.stateDir)) return '';
  const name = shown(change.path);
  const old = seen.files.get(change.path) ?? null;
  const from = { name: old === null ? '/dev/null' : name, text: old === null ? '' : text(old.bytes) };
  if (change.do === 'RemoveFile' && change.path === at.edited(seen))
    return unifiedDiff(from, { name: '/dev/null', text: '' });
  // Whether a file that goes came from a Secret is not known any more.
  if (change.do === 'RemoveFile') return `--- ${name}\n+++ /dev/null\n(it goes; its content is not shown)\n`;
  if (change.after instanceof Secret) return `--- ${name}\n+++ ${name}\n(its content is confidential and not shown)\n`;
  return unifiedDiff(from, { name, text: text(bytesOf(change.after)) });
}

export const showPlan = (plan: Extract<PatchPlan, { kind: 'Plan' }>): string =>
  plan.changes.map((c) => showChange(c, plan)).join('');
