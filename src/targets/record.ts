/**
 * What a node remembers of the file that it edits (a manifest, a unit, a drop-in) while our edit is in it: the text without
 * the edit, the text with it, and what was set by hand before. Removal gives that back byte for byte. The record is written
 * before that file is changed.
 */
import { z } from 'zod';
import { baseOf, sha256 } from './host-layout.ts';
import type { HostLayout } from './host-layout.ts';
import type { HostObserved, HostPath } from './types.ts';

const schema = z.object({
  version: z.literal(1),
  /** The edited file. */
  manifest: z.string(),
  digest: z.string(),
  /** Audit flags as they were before, the last of several included; shown in status as what was adopted. */
  adopted: z.array(z.object({ name: z.string(), value: z.string() })),
  /** Folders that this target made and takes away again when they are empty. */
  made: z.array(z.string()),
  /** null: there was, or is, no such file. */
  before: z.string().nullable(),
  after: z.string().nullable(),
});

export type AdoptionRecord = Readonly<z.infer<typeof schema>>;

/** Both texts of a file that was there, and is. */
export type Texts = { readonly before: string; readonly after: string };

export function textsOf(record: AdoptionRecord | null): Texts | null {
  if (record === null || record.before === null || record.after === null) return null;
  return { before: record.before, after: record.after };
}

const hash = (text: string): string => sha256(new TextEncoder().encode(text));

/** Names of our files about one manifest begin so: a person recognises it, and two manifests never share one. */
const stem = (manifest: HostPath): string => `${baseOf(manifest)}-${hash(manifest).slice(0, 8)}`;

export const recordPath = (manifest: HostPath, layout: HostLayout): HostPath =>
  `${layout.stateDir}/adopted/${stem(manifest)}.json`;

export const backupsDir = (layout: HostLayout): HostPath => `${layout.stateDir}/backups`;

/** A plain copy of the manifest as it was, for people. Never in the manifests folder, which the kubelet reads whole. */
export const backupPath = (manifest: HostPath, before: string, layout: HostLayout): HostPath =>
  `${backupsDir(layout)}/${stem(manifest)}-${hash(before).slice(0, 16)}`;

/** Of the names in the folder of backups, those of this manifest. */
export const ownBackups = (manifest: HostPath, names: readonly string[]): readonly string[] =>
  names.filter((n) => n.startsWith(`${stem(manifest)}-`));

export const encodeRecord = (r: AdoptionRecord): Uint8Array =>
  new TextEncoder().encode(`${JSON.stringify(r, null, 2)}\n`);

/** null for bytes that are no record of this program. */
export function parseRecord(bytes: Uint8Array): AdoptionRecord | null {
  try {
    return schema.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)));
  } catch {
    return null;
  }
}

/** Whose books: `of` names the place for as long as it exists, also where the edited file becomes another one. */
export type Books = { readonly of: HostPath; readonly layout: HostLayout };

export function recordOf(seen: HostObserved, { of, layout }: Books): AdoptionRecord | null {
  const file = seen.files.get(recordPath(of, layout)) ?? null;
  return file === null ? null : parseRecord(file.bytes);
}
