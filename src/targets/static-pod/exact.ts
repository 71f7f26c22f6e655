/**
 * The safety of every edit: done twice, to the text and to the plain data, and given only where both agree. So a fault in
 * the text edit, or a layout that it does not know, ends in a refusal and never in a wrong manifest.
 */
import { applyToText } from './edit.ts';
import { readManifestText } from './manifest.ts';
import type { Manifest } from './manifest.ts';
import { applyToPod, samePod } from './ops.ts';
import type { ListOp } from './ops.ts';

/** The text with all ops done; null where it is not exactly the pod that the ops mean. */
export function editText(m: Manifest, ops: readonly ListOp[]): string | null {
  const text = applyToText(m, ops);
  const edited = text === null ? null : readManifestText(text);
  return edited !== null && 'ok' in edited && samePod(edited.ok.pod, applyToPod(m, ops)) ? text : null;
}
