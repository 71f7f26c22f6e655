/**
 * Takes our edit out of a manifest. If nobody touched it since, the recorded text comes back byte for byte. If someone
 * did (another flag, an image, an upgrade), their edit stays: a three-way merge by lines, accepted only if the result is
 * the pod they wrote with the audit flags of before; else our flags and mounts are taken out one by one.
 */
import { merge3 } from '../merge.ts';
import { isWithin } from '../host-layout.ts';
import type { HostLayout } from '../host-layout.ts';
import { editText } from './exact.ts';
import { insertWords, readFlags, removeWords } from './flags.ts';
import { readManifestText } from './manifest.ts';
import type { Json, Manifest } from './manifest.ts';
import { hasOwnVolume, ownMountRemovals } from './mounts.ts';
import { applyToPod, samePod } from './ops.ts';
import type { ListOp } from './ops.ts';
import type { Texts } from '../record.ts';

/** Our edit, or a part of it, is in this manifest. */
export function isOurs(m: Manifest, layout: HostLayout): boolean {
  const flags = readFlags(m);
  const found = 'ok' in flags ? flags.ok.found : [];
  return hasOwnVolume(m, layout) || found.some((f) => isWithin(f.value, layout.revisionsDir));
}

/** The audit flags as words, in order. */
const auditWords = (m: Manifest): readonly string[] => {
  const flags = readFlags(m);
  return 'ok' in flags ? flags.ok.found.flatMap((f) => f.words.map((w) => w.text)) : [];
};

/** The ops that take all audit flags and our mounts out, and put `before` in. */
function stripOps(m: Manifest, before: readonly string[] = []): readonly ListOp[] {
  const flags = readFlags(m);
  if ('refused' in flags) return ownMountRemovals(m);
  const gone = flags.ok.found.flatMap((f) => f.words);
  return [...removeWords(gone), ...insertWords(flags.ok, before, gone), ...ownMountRemovals(m)];
}

/** The pod without anything of ours and without audit flags: what both sides of a merge must agree on. */
export const stripped = (m: Manifest): Json => applyToPod(m, stripOps(m));

function merged(current: Manifest, record: Texts, layout: HostLayout): Manifest | null {
  const text = merge3(record.after, current.text, record.before);
  const read = text === null ? null : readManifestText(text);
  const was = readManifestText(record.before);
  if (read === null || 'refused' in read || 'refused' in was) return null;
  const sameFlags = auditWords(read.ok).join('\0') === auditWords(was.ok).join('\0');
  return sameFlags && !isOurs(read.ok, layout) && samePod(stripped(read.ok), stripped(current)) ? read.ok : null;
}

/** One by one: our flags and mounts out, what was there before back in at the end of the flags. */
function piecewise(current: Manifest, before: readonly string[]): Manifest | null {
  const ops = stripOps(current, before);
  const text = editText(current, ops);
  const read = text === null ? null : readManifestText(text);
  return read !== null && 'ok' in read ? read.ok : null;
}

export type Undone =
  /** `lost` when the record was needed and is not there: what was set by hand before cannot be given back. */
  { readonly base: Manifest; readonly lost: boolean } | { readonly base: null };

/** The manifest as it would be without us. `null` where the layout leaves no safe place for the edit. */
export function undo(current: Manifest, record: Texts | null, layout: HostLayout): Undone {
  if (record !== null && current.text === record.after) {
    const read = readManifestText(record.before);
    if ('ok' in read) return { base: read.ok, lost: false };
  }
  if (!isOurs(current, layout)) return { base: current, lost: false };
  if (record === null) {
    const base = piecewise(current, []);
    return base === null ? { base } : { base, lost: true };
  }
  const was = readManifestText(record.before);
  const base = merged(current, record, layout) ?? piecewise(current, 'ok' in was ? auditWords(was.ok) : []);
  return base === null ? { base } : { base, lost: false };
}

/**
 * One edit taken back, from a manifest that someone changed since: `before` and `after` are the texts around that edit.
 * What they changed stays; the audit flags become those of `before`. null where that is not safe.
 */
export function revertEdit(current: string, image: { readonly before: string; readonly after: string }): string | null {
  const [now, was] = [readManifestText(current), readManifestText(image.before)];
  if ('refused' in now || 'refused' in was) return null;
  const text = merge3(image.after, current, image.before);
  const read = text === null ? null : readManifestText(text);
  const words = auditWords(was.ok);
  if (read !== null && 'ok' in read && auditWords(read.ok).join('\0') === words.join('\0'))
    if (samePod(stripped(read.ok), stripped(now.ok))) return text;
  // Mounts that were there before our edit are needed by its flags.
  const mounts = ownMountRemovals(was.ok).length > 0 ? [] : ownMountRemovals(now.ok);
  const flags = readFlags(now.ok);
  if ('refused' in flags) return null;
  const gone = flags.ok.found.flatMap((f) => f.words);
  return editText(now.ok, [...removeWords(gone), ...insertWords(flags.ok, words, gone), ...mounts]);
}
