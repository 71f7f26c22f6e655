/**
 * Is this node's own API server healthy, with nothing in flight? Ready several times in a row at the address of its
 * manifest, as a change is proven. Called before the control plane's one Lease is given back.
 */
import { DEFAULT_RULES } from '../rollout/node-state.ts';
import type { NodeHost } from './host.ts';
import type { Place } from './place.ts';

const POLL_MS = 250;

export async function isHealthy(host: NodeHost, spec: Place, signal: AbortSignal): Promise<boolean> {
  const server = await spec.now(host.disk).catch(() => null);
  if (server === null) return false;
  for (let i = 0; i < DEFAULT_RULES.readyTimes; i++) {
    if (i > 0) await host.sleep(POLL_MS, signal).catch(() => undefined);
    if (signal.aborted || (await host.probe(server.address, signal)) !== 'Ready') return false;
  }
  return true;
}

/** Nobody listens there, or who does says nothing. False where the files say no address. */
export async function isDown(host: NodeHost, spec: Place, signal: AbortSignal): Promise<boolean> {
  const server = await spec.now(host.disk).catch(() => null);
  return server !== null && (await host.probe(server.address, signal)) === 'Down';
}
