/**
 * A node that was told of a revision and still runs another, because it waits for its turn or went back, gets what is rotated
 * meanwhile all the same: the newest credentials of its webhook lie beside the kubeconfig that runs, as far as they are for the
 * same server and user (src/render/webhook/carry.ts). Restarts nothing, adds no file, and touches nothing on a node on hold.
 * Called by src/agent/worker.ts.
 */
import { Secret } from '../render/types.ts';
import type { Revision } from '../render/types.ts';
import { carryOver } from '../render/webhook/carry.ts';
import { credentialFiles } from '../render/webhook/credentials.ts';
import { revisionDir, sha256 } from '../targets/host-layout.ts';
import type { HostChange } from '../targets/types.ts';
import { applyAll } from './apply.ts';
import { guarded } from './apply-revision.ts';
import type { NodeHost } from './host.ts';
import type { ApplyOutcome } from './outcome.ts';
import type { Place } from './place.ts';
import { holdPath, readState } from './state-file.ts';

export type CarryInput = {
  readonly host: Pick<NodeHost, 'disk'>;
  readonly spec: Pick<Place, 'layout'>;
  /** The revision that is wanted, with its credentials. */
  readonly to: Revision;
  readonly signal: AbortSignal;
};

/** True where files were changed. */
export const carryCredentials = (input: CarryInput): Promise<boolean | ApplyOutcome> =>
  guarded<boolean>(input.signal, async () => {
    const { host, spec, to } = input;
    const { disk } = host;
    const changes = await changesFor(input);
    if (changes.length === 0 || to.credentials === undefined) return false;
    if ((await disk.stat(holdPath(spec.layout.stateDir))) !== null) return false;
    return (await applyAll(disk, changes)) === null;
  });

async function changesFor({ host: { disk }, spec: { layout }, to }: CarryInput): Promise<readonly HostChange[]> {
  const found = await readState(disk, layout.stateDir);
  const state = found?.journal === null ? found.state : undefined;
  const current = state?.phase === 'Settled' || state?.phase === 'Held' ? state.current : null;
  if (current === null || current === to.digest) return [];
  const dir = revisionDir(current, layout);
  const kubeconfig = await disk.read(`${dir}/webhook.yaml`);
  const carried = kubeconfig === null ? undefined : carryOver(kubeconfig, to);
  if (carried?.is !== 'Theirs') return [];
  const changes: HostChange[] = [];
  for (const { name, bytes } of credentialFiles(carried.files)) {
    const path = `${dir}/${name}`;
    const there = await disk.read(path);
    // Whoever took it away did not mean that it should come back in this way.
    if (there === null) return [];
    const before = sha256(there);
    // One that is there keeps its mode and owner.
    if (before !== sha256(bytes))
      changes.push({ do: 'WriteFile', path, before, after: new Secret(bytes), mode: 0o600 });
  }
  return changes;
}
