/**
 * The restart of a unit, which a changed file needs where no kubelet watches it. It is written down as due with the change,
 * and as done when systemd has taken it: so whoever comes after a kill between rename and restart asks for it, and one
 * that was asked for is only asked for again where nothing new runs. Called by follow.ts.
 */
import type { NodeFacts, NodeState } from '../rollout/node-state.ts';
import type { ServerView } from '../targets/server.ts';
import type { NodeHost } from './host.ts';
import type { Journal } from './state-file.ts';

/** The file is what this phase wants, and what runs is not yet known to have read it. */
export function dueRestart(
  { state, journal }: { readonly state: NodeState; readonly journal: Journal },
  facts: NodeFacts,
): boolean {
  if (journal.restart !== 'Due') return false;
  return state.phase === 'Probing' || (state.phase === 'RollingBack' && facts.manifest !== 'After');
}

/** False where systemd did not take it. */
export async function askRestart(host: NodeHost, server: ServerView | null, signal: AbortSignal): Promise<boolean> {
  if (server?.restart === undefined || server.restart === null) return true;
  if (host.units === undefined) return false;
  return (await host.units.restart(server.restart.unit, server.restart, signal)) === null;
}
