/** Where the planes of this process get their binaries: asked once a version, since every test file asks. */
import { provide } from './provision.ts';
import type { Binaries } from './sources/types.ts';
import type { PlaneVersion } from './versions.ts';

const asked = new Map<PlaneVersion, Promise<Binaries>>();

export function binariesFor(version: PlaneVersion, signal: AbortSignal): Promise<Binaries> {
  const before = asked.get(version);
  if (before !== undefined) return before;
  const now = provide({ version, signal, env: process.env, progress: (line) => process.stderr.write(`${line}\n`) });
  asked.set(version, now);
  // An aborted wait must not fail the next test that asks.
  now.catch(() => asked.delete(version));
  return now;
}
