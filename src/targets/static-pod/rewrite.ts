/**
 * Who changed a manifest, and how much of it: only audit flags and our own mounts, or more (a template that writes the
 * whole file anew, kubeadm's upgrade with another image). Read from the pods, so that comments and order of keys say
 * nothing. ../static-pod.ts asks.
 */
import type { HostLayout } from '../host-layout.ts';
import { readManifest, readManifestText } from './manifest.ts';
import { samePod } from './ops.ts';
import { serverView } from './server.ts';
import type { Changed } from '../types.ts';
import { isOurs, stripped } from './undo.ts';

/** `before` is a text that was in place earlier; null where none is known: then nobody can say that only ours changed. */
export function changeOf(before: string | null, now: Uint8Array, layout: HostLayout): Changed {
  const is = readManifest(now);
  const server = serverView(now);
  if ('refused' in is || server === null) return 'Unreadable';
  if (before === null) return 'Rewrite';
  const was = readManifestText(before);
  const old = serverView(new TextEncoder().encode(before));
  if ('refused' in was || old === null) return 'Rewrite';
  if (old.image !== server.image) return 'Upgrade';
  // A hand takes out a flag or two. All of it, and each mount with it, is gone where a generator has rendered the file
  // anew: `kubeadm upgrade` with the same image waits for a kubelet that has seen its manifest, and fails if it has not.
  if (isOurs(was.ok, layout) && !isOurs(is.ok, layout)) return 'Rewrite';
  return samePod(stripped(was.ok), stripped(is.ok)) ? 'Ours' : 'Rewrite';
}
