/**
 * StaticPod: kube-apiserver runs from a manifest in the kubelet's folder (kubeadm and its kin). Turns a revision and the
 * bytes that were read into changes: the revision's files, a record of what was there before, and last the manifest,
 * of which only audit flags, two mounts and two volumes are edited. The text edit is checked against the pod that was
 * wanted, and refused where they differ. `patch`, `diff`, the node room and the agent use it.
 */
import { hasErrors } from '../api/findings.ts';
import type { Finding } from '../api/findings.ts';
import type { Revision } from '../render/types.ts';
import { adoptionFindings, RECORD_MISSING } from './adoption.ts';
import { inEffect } from './audit-flags.ts';
import { bookReads, cleanup, fileChange, recordChanges, recordFor } from './bookkeeping.ts';
import { baseOf, parentOf, resolveFlags, revisionChanges } from './host-layout.ts';
import type { HostLayout } from './host-layout.ts';
import { isInPlace, namedFiles } from './in-place.ts';
import { logAccessFindings, logChanges, logPlaceFindings, logTakenFindings } from './log-place.ts';
import { recordOf, textsOf } from './record.ts';
import type { Books } from './record.ts';
import { refusal } from './refusal.ts';
import { editText } from './static-pod/exact.ts';
import { flagOps, readFlags } from './static-pod/flags.ts';
import type { FlagWords } from './static-pod/flags.ts';
import { podIdentity, readManifest, readManifestText } from './static-pod/manifest.ts';
import type { Manifest, Read } from './static-pod/manifest.ts';
import { hostPathOf, mountOps, readerOf } from './static-pod/mounts.ts';
import { samePod } from './static-pod/ops.ts';
import { changeOf } from './static-pod/rewrite.ts';
import { serverView } from './static-pod/server.ts';
import { setUpOf } from './static-pod/set-up.ts';
import { isOurs, revertEdit, undo } from './static-pod/undo.ts';
import { drift } from './static-pod/verify.ts';
import type { HostChange, HostObserved, HostPath, HostRead, HostTarget, Plan } from './types.ts';

export type StaticPodSpec = {
  readonly manifest: HostPath;
  readonly layout: HostLayout;
  /** False for a folder that no kubelet watches (a working copy): a second definition there is only a warning. */
  readonly watched?: boolean;
  /** False: what was set by hand and looks right is edited all the same, since the process may run with another policy. */
  readonly adopts?: boolean;
};

/** Files that the manifest's audit flags name; set by hand they may be just what is wanted. */
export function namedBy(manifest: Uint8Array | null): readonly HostPath[] {
  const read = manifest === null ? null : readManifest(manifest);
  const is = read !== null && 'ok' in read ? setUpOf(read.ok) : null;
  return is === null ? [] : namedFiles(is);
}

const booksOf = ({ manifest, layout }: StaticPodSpec): Books => ({ of: manifest, layout });

function observe(to: Revision | null, seen: HostObserved, spec: StaticPodSpec): readonly HostRead[] {
  const { manifest } = spec;
  const folder = parentOf(manifest);
  // The kubelet reads every file here whose name does not begin with a dot; there is no filter on the extension.
  const others = (seen.dirs.get(folder) ?? []).filter((n) => !n.startsWith('.') && n !== baseOf(manifest));
  const file = (path: HostPath): HostRead => ({ read: 'File', path });
  return [
    { read: 'Stat', path: manifest },
    file(manifest),
    { read: 'Dir', path: folder },
    ...others.map((n) => file(`${folder}/${n}`)),
    ...namedBy(seen.files.get(manifest)?.bytes ?? null).map(file),
    ...bookReads(to, seen, booksOf(spec)),
  ];
}

/** Another file of the folder that defines the same pod: which one the kubelet runs is chance. */
function secondDefinitions(m: Manifest, seen: HostObserved, spec: StaticPodSpec): readonly Finding[] {
  const folder = parentOf(spec.manifest);
  return (seen.dirs.get(folder) ?? [])
    .filter((n) => !n.startsWith('.') && n !== baseOf(spec.manifest))
    .flatMap((n): Finding[] => {
      const other = seen.files.get(`${folder}/${n}`) ?? null;
      const pod = other === null ? null : podIdentity(other.bytes);
      if (pod === null || pod.name !== m.name || pod.namespace !== m.namespace) return [];
      const message = `${folder}/${n} defines the same pod ${m.namespace}/${m.name}; the kubelet reads every file of this folder, whatever its extension. Move it elsewhere.`;
      return [refusal('SecondDefinition', message)];
    });
}

type Seen = {
  readonly current: Manifest;
  /** The manifest as it would be without us. */
  readonly base: Manifest;
  readonly findings: readonly Finding[];
};

/** What stands there now, and what would without us. */
function read(seen: HostObserved, spec: StaticPodSpec): Read<Seen> {
  const refused = (code: string, message: string): Read<Seen> => ({ refused: [refusal(code, message)] });
  if (seen.stats.get(spec.manifest)?.kind === 'link')
    return refused(
      'ManifestIsLink',
      `${spec.manifest} is a symbolic link; renaming over it would cut the link. Name the file itself.`,
    );
  const file = seen.files.get(spec.manifest) ?? null;
  if (file === null) return refused('ManifestMissing', `There is no manifest at ${spec.manifest}.`);
  const current = readManifest(file.bytes);
  if ('refused' in current) return current;
  const twice = secondDefinitions(current.ok, seen, spec);
  if (twice.length > 0 && spec.watched !== false) return { refused: twice };
  const undone = undo(current.ok, textsOf(recordOf(seen, booksOf(spec))), spec.layout);
  if (undone.base === null)
    return refused(
      'EditNotExact',
      'Our earlier edit cannot be taken out of this manifest without touching more than it.',
    );
  const lost = undone.lost ? [RECORD_MISSING] : [];
  return {
    ok: {
      current: current.ok,
      base: undone.base,
      findings: [...lost, ...twice.map((f): Finding => ({ ...f, severity: 'warning' }))],
    },
  };
}

type Wanted = {
  readonly text: string;
  readonly findings: readonly Finding[];
  readonly flags: FlagWords;
  readonly done: boolean;
};

/** The manifest's text with the revision in it. */
function wantedText({ base, current }: Seen, to: Revision, seen: HostObserved, spec: StaticPodSpec): Read<Wanted> {
  const flags = readFlags(base);
  if ('refused' in flags) return flags;
  const wanted = resolveFlags(to, spec.layout);
  const mounts = mountOps(base, to, spec.layout, parentOf(spec.manifest));
  if (hasErrors(mounts.findings)) return { refused: mounts.findings };
  const is = spec.adopts === false || isOurs(current, spec.layout) ? null : setUpOf(base);
  const done = is !== null && isInPlace(is, { to, seen, layout: spec.layout });
  const text = done ? base.text : editText(base, [...flagOps(flags.ok, wanted), ...mounts.ops]);
  if (text === null)
    return {
      refused: [
        refusal(
          'EditNotExact',
          'This manifest is laid out so that the edit would touch more than it should. Write its lists in block style, an item a line.',
        ),
      ],
    };
  const names = new Map(wanted.map((f) => [f.name, f.value]));
  const findings = [...flags.ok.findings, ...mounts.findings, ...adoptionFindings(inEffect(flags.ok.found), names)];
  return { ok: { text, findings, flags: flags.ok, done } };
}

const restarts = (now: Seen, text: string): boolean => {
  const after = readManifestText(text);
  return !('ok' in after) || !samePod(after.ok.pod, now.current.pod);
};

/**
 * kubeadm renders our edit itself, in an order of its own, where kubeadm-config has it: another order is no reason to
 * restart an API server.
 */
const isRendered = (now: Seen, to: Revision, seen: HostObserved, { manifest, layout }: StaticPodSpec): boolean =>
  isOurs(now.current, layout) &&
  drift(to, seen, manifest, layout).every((f) => f.code === 'FileDrift' || f.code === 'CredentialsDrift');

/** Where on the host the API server logs with this manifest; null where it does not, or only inside its container. */
function logsTo(m: Manifest): HostPath | null {
  const flags = readFlags(m);
  const path = 'ok' in flags ? inEffect(flags.ok.found).get('--audit-log-path') : undefined;
  return path === undefined ? null : hostPathOf(m, path);
}

function install(to: Revision, seen: HostObserved, spec: StaticPodSpec): Plan<HostChange> {
  const now = read(seen, spec);
  if ('refused' in now) return now;
  const wanted = wantedText(now.ok, to, seen, spec);
  if ('refused' in wanted) return wanted;
  const [reader, books] = [readerOf(now.ok.base), booksOf(spec)];
  const place = [
    ...logPlaceFindings(to, seen),
    ...logTakenFindings(to, seen, { logsTo: logsTo(now.ok.current), books }),
  ];
  if (place.length > 0) return { refused: place };
  const { flags, done } = wanted.ok;
  const access = done ? [] : logAccessFindings(to, seen, reader, books);
  if (access.length > 0) return { refused: access };
  const text = isRendered(now.ok, to, seen, spec) ? now.ok.current.text : wanted.ok.text;
  const record = recordFor(
    to,
    { manifest: spec.manifest, adopted: inEffect(flags.found), before: now.ok.base.text, after: text },
    seen,
    books,
  );
  return {
    changes: [
      // What was set by hand and is right is adopted as it stands: no file of ours is needed.
      ...(done ? [] : revisionChanges(to, seen, spec.layout, reader)),
      ...(done ? [] : logChanges(to, seen, reader, books)),
      ...recordChanges(record, seen, books),
      ...fileChange(spec.manifest, text, seen),
    ],
    findings: [...now.ok.findings, ...wanted.ok.findings],
    restarts: restarts(now.ok, text),
  };
}

function remove(seen: HostObserved, spec: StaticPodSpec): Plan<HostChange> {
  // A node whose API server was taken away keeps none of our files either.
  if ((seen.files.get(spec.manifest) ?? null) === null && !seen.stats.get(spec.manifest))
    return { changes: cleanup(seen, booksOf(spec)), findings: [], restarts: false };
  const now = read(seen, spec);
  if ('refused' in now) return now;
  const { text } = now.ok.base;
  return {
    changes: [...fileChange(spec.manifest, text, seen), ...cleanup(seen, booksOf(spec))],
    findings: now.ok.findings,
    restarts: restarts(now.ok, text),
  };
}

export const staticPod: HostTarget<StaticPodSpec> = {
  observe,
  plan: (to, seen, spec) => (to === null ? remove(seen, spec) : install(to, seen, spec)),
  verify: (to, seen, spec) => drift(to, seen, spec.manifest, spec.layout),
  sources: (_seen, { manifest }) => [{ read: 'File', path: manifest }],
  named: (seen, { manifest }) => namedBy(seen.files.get(manifest)?.bytes ?? null),
  changed: (before, seen, { manifest, layout }) =>
    changeOf(before, seen.files.get(manifest)?.bytes ?? new Uint8Array(), layout),
  edited: (seen, { manifest }) => ((seen.files.get(manifest) ?? null) === null ? null : manifest),
  server: (seen, { manifest }) => serverView(seen.files.get(manifest)?.bytes ?? new Uint8Array()),
  revert: (current, { before, after }) =>
    before === null || after === null ? undefined : (revertEdit(current, { before, after }) ?? undefined),
};
