/**
 * What a node remembers of drift between two lives of the agent, beside the journal and apart from it: a change in flight
 * must never wait for this file, nor lose it. A file that cannot be read is forgotten: the worst of it is one correction
 * more.
 */
import { z } from 'zod';
import { installFile, makeFolder } from '../host/install.ts';
import type { Disk } from '../host/types.ts';
import { STOP_REASONS } from '../rollout/drift.ts';
import { ROOT_OWNER, sha256 } from '../targets/host-layout.ts';
import type { HostPath } from '../targets/types.ts';

const file = z.object({
  version: z.literal(1),
  /** When corrections began, in ms since 1970; the latest ones. */
  corrections: z.array(z.number()),
  stopped: z.object({ why: z.enum(STOP_REASONS), digest: z.string(), time: z.number() }).nullable(),
  /** The person's word (an annotation's value) that was heard last. */
  again: z.string().nullable(),
  /** The process that is known to have started with the right files. */
  loaded: z.object({ boot: z.string(), start: z.number() }).nullable(),
});

export type DriftMemory = Readonly<Omit<z.infer<typeof file>, 'version'>>;

export const NO_DRIFT: DriftMemory = { corrections: [], stopped: null, again: null, loaded: null };

/** More say nothing: three decide. */
const KEPT = 10;

export const driftPath = (stateDir: HostPath): HostPath => `${stateDir}/drift.json`;

export async function readDrift(disk: Disk, stateDir: HostPath): Promise<DriftMemory> {
  const bytes = await disk.read(driftPath(stateDir));
  if (bytes === null) return NO_DRIFT;
  try {
    const { version: _, ...known } = file.parse(JSON.parse(new TextDecoder().decode(bytes)));
    return known;
  } catch {
    return NO_DRIFT;
  }
}

export async function writeDrift(disk: Disk, stateDir: HostPath, memory: DriftMemory): Promise<void> {
  const kept: DriftMemory = { ...memory, corrections: memory.corrections.slice(-KEPT) };
  const bytes = new TextEncoder().encode(`${JSON.stringify({ version: 1, ...kept }, null, 2)}\n`);
  const path = driftPath(stateDir);
  const old = await disk.read(path);
  if (old !== null && sha256(old) === sha256(bytes)) return;
  await makeFolder(disk, stateDir, 0o700, ROOT_OWNER);
  await installFile(disk, { path, bytes, mode: 0o600, owner: ROOT_OWNER, guard: () => true });
}

/** After a removal nothing is left to drift. */
export async function forgetDrift(disk: Disk, stateDir: HostPath): Promise<void> {
  if ((await disk.read(driftPath(stateDir))) === null) return;
  await disk.remove(driftPath(stateDir));
  await disk.syncDir(stateDir);
}
