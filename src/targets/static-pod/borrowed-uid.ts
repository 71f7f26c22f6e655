/**
 * A static pod's UID is the hash of its manifest, unless the manifest names one. A kubelet that is given the UID of a pod
 * that it already runs changes that pod in place instead of waiting for it to be deleted: the way out for a restored
 * manifest that a kubelet without an API never gets to start (docs/decisions/0004). Called by src/node/stuck-pod.ts.
 */
import { parseDocument, Scalar } from 'yaml';
import { at, readManifestText, textOf } from './manifest.ts';
import { samePod } from './ops.ts';

/** UIDs of static pods are hashes; a UUID is what a person would write. */
const UID = /^[0-9a-f-]{32,36}$/;

/** The UID that a manifest itself names. */
export function ownUid(text: string): string | null {
  const read = readManifestText(text);
  return 'refused' in read ? null : (textOf(at(read.ok.pod, 'metadata', 'uid')) ?? null);
}

const quoted = (text: string): Scalar => {
  const scalar = new Scalar(text);
  scalar.type = 'QUOTE_DOUBLE';
  return scalar;
};

/** A text with this UID, or without one. What begins like JSON has to stay JSON: the kubelet reads it as such. */
function rewritten(text: string, uid: string | null): string {
  const doc = parseDocument(text);
  if (uid === null) doc.deleteIn(['metadata', 'uid']);
  else doc.setIn(['metadata', 'uid'], quoted(uid));
  return /^\s*\{/.test(text) ? JSON.stringify(doc.toJS()) : doc.toString({ lineWidth: 0 });
}

/** The same pod under this UID; layout and comments may change. null where it has a UID of its own, or cannot be read. */
export function withUid(text: string, uid: string): string | null {
  const was = readManifestText(text);
  if ('refused' in was || !UID.test(uid) || at(was.ok.pod, 'metadata', 'uid') !== undefined) return null;
  const lent = rewritten(text, uid);
  const without = readManifestText(rewritten(lent, null));
  return ownUid(lent) === uid && 'ok' in without && samePod(without.ok.pod, was.ok.pod) ? lent : null;
}

/** The same pod without a UID of its own. */
export const withoutUid = (text: string): string | null =>
  'refused' in readManifestText(text) ? null : rewritten(text, null);
