/**
 * Takes revision folders away that nothing on this node can come back to. Kept: what runs, the last known good, what is
 * in flight or on probation, whatever the manifest or the record of another place names, and what the controller asks to
 * keep (kubeadm-config's). Called by follow.ts when a change has come to its end.
 */
import { removeFolder } from '../host/install.ts';
import { isOfOthers } from '../targets/bookkeeping.ts';
import { REVISION_FILES, revisionDir } from '../targets/host-layout.ts';
import type { NodeHost } from './host.ts';
import type { Place } from './place.ts';
import type { StateFile } from './state-file.ts';

/** Digests that the node's memory names. */
function named({ state, probation }: StateFile): readonly (string | null)[] {
  const known = [state.lastGood, probation?.from ?? null, probation?.lastGood ?? null];
  switch (state.phase) {
    case 'Settled':
    case 'Held':
      return [...known, state.current];
    case 'Installing':
    case 'Probing':
      return [...known, state.to, state.from];
    case 'RollingBack':
      return [...known, state.bad, state.to];
  }
}

export async function pruneRevisions(
  host: NodeHost,
  spec: Place,
  file: StateFile,
  others: readonly string[],
): Promise<void> {
  const { disk } = host;
  const { revisionsDir } = spec.layout;
  const keep = new Set([...named(file), ...others].flatMap((d) => (d === null ? [] : [revisionDir(d, spec.layout)])));
  const folders = ((await disk.list(revisionsDir)) ?? []).filter((n) => /^[0-9a-f]{16}$/.test(n));
  const old = folders.map((n) => `${revisionsDir}/${n}`).filter((d) => !keep.has(d));
  if (old.length === 0) return;
  const seen = await spec.gather(disk, null);
  const edited = spec.edited(seen);
  const there = edited === null ? null : (seen.files.get(edited) ?? null);
  // Without a manifest nobody can say what it names.
  if (edited === null || (there === null && spec.kind === 'StaticPod')) return;
  const text = there === null ? '' : new TextDecoder().decode(there.bytes);
  const isTheirs = isOfOthers(seen, { of: spec.manifest, layout: spec.layout });
  for (const dir of old.filter((d) => !text.includes(d) && !isTheirs(d))) {
    for (const name of REVISION_FILES) await disk.remove(`${dir}/${name}`);
    await disk.syncDir(dir);
    await removeFolder(disk, dir);
  }
}
