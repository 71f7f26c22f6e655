/**
 * What the API server of this node runs with, as far as proof needs it: read from the node's own disk, without the API.
 * Nothing is told while a change is in flight, or where the manifest is not one of ours: then there is nothing to prove.
 * Called by proof.ts.
 */
import { batchWaitMs } from '../analysis/delivery.ts';
import type { Minor } from '../api/versions.ts';
import type { ServerAddress } from '../kube/direct.ts';
import type { NodeHost } from '../node/host.ts';
import type { Place } from '../node/place.ts';
import { readState } from '../node/state-file.ts';
import { compilePolicy } from '../policy/evaluate.ts';
import type { CompiledPolicy } from '../policy/evaluate.ts';
import { loadPolicy } from '../policy/load.ts';
import { isWithin } from '../targets/host-layout.ts';

export type ProofPlace = {
  readonly digest: string;
  readonly address: ServerAddress;
  /** The audit flags of the manifest, by name. */
  readonly flags: ReadonlyMap<string, string>;
  /** Where events are to be found; a path as the host sees it. */
  readonly log: { readonly type: 'File'; readonly path: string } | { readonly type: 'Stdout' | 'None' };
};

function logOf(path: string | undefined): ProofPlace['log'] {
  if (path === undefined || path === '') return { type: 'None' };
  return path === '-' ? { type: 'Stdout' } : { type: 'File', path };
}

const POLICY_FILE = '--audit-policy-file';

export async function proofPlace(host: NodeHost, spec: Place): Promise<ProofPlace | null> {
  const file = await readState(host.disk, spec.layout.stateDir);
  if (file === null || file.journal !== null) return null;
  const { state } = file;
  if ((state.phase !== 'Settled' && state.phase !== 'Held') || state.current === null) return null;
  const server = await spec.now(host.disk);
  if (server === null) return null;
  // Somebody put in another policy: what it says is not what this revision promises.
  if (!isWithin(server.auditFlags.get(POLICY_FILE) ?? '/', spec.layout.revisionsDir)) return null;
  const { address, auditFlags } = server;
  return { digest: state.current, address, flags: auditFlags, log: logOf(auditFlags.get('--audit-log-path')) };
}

/** The policy that runs there; null where it cannot be read. */
export async function proofPolicy(host: NodeHost, place: ProofPlace, version: Minor): Promise<CompiledPolicy | null> {
  const bytes = await host.disk.read(place.flags.get(POLICY_FILE) ?? '/');
  const policy = bytes === null ? undefined : loadPolicy(bytes, version).policy;
  return policy === undefined ? null : compilePolicy(policy);
}

/** A blocking log has the event before the request is answered; a disk may be slow. */
const WRITE_MS = 5_000;

/** How long an event may take to the log, in ms. */
export const logDelayMs = (flags: ReadonlyMap<string, string>): number => WRITE_MS + batchWaitMs('log', flags);
