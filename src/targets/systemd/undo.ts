/**
 * Takes our edit out of a unit's file. If nobody touched it since, the recorded text comes back byte for byte. If someone
 * did, their edit stays: a three-way merge by lines, accepted only if the result is their command with the audit flags of
 * before; else our flags are taken out word by word. As static-pod/undo.ts does for manifests.
 */
import type { HostLayout } from '../host-layout.ts';
import { merge3 } from '../merge.ts';
import type { Texts } from '../record.ts';
import { editCommand } from './edit.ts';
import { auditWords, isOurs, otherWords, replaceOps } from './flags.ts';
import type { Command } from './unit.ts';

/** The command as it would be read if its file had this text; null where it could not be. */
export type ReadAs = (text: string) => Command | null;

const same = (a: readonly string[], b: readonly string[]): boolean => a.join('\0') === b.join('\0');

/** One edit taken back: `before` and `after` are the texts around it. null where that is not safe. */
export function revertEdit(current: Command, image: Texts, readAs: ReadAs): string | null {
  if (current.text === image.after) return image.before;
  const was = readAs(image.before);
  if (was === null) return null;
  const text = merge3(image.after, current.text, image.before);
  const merged = text === null ? null : readAs(text);
  if (merged !== null && same(auditWords(merged), auditWords(was)) && same(otherWords(merged), otherWords(current)))
    return text;
  return editCommand(current, replaceOps(current, auditWords(was)));
}

export type Undone = { readonly text: string; readonly lost: boolean } | null;

/** The text as it would be without us. `lost` when the record was needed and is not there. */
export function undo(current: Command, record: Texts | null, layout: HostLayout, readAs: ReadAs): Undone {
  if (record !== null && current.text === record.after) return { text: record.before, lost: false };
  if (!isOurs(current, layout)) return { text: current.text, lost: false };
  const text = record === null ? editCommand(current, replaceOps(current, [])) : revertEdit(current, record, readAs);
  return text === null ? null : { text, lost: record === null };
}
