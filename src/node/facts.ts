/**
 * Gathers the facts that src/rollout/node-state.ts decides on: the manifest against the journal, the API server's health,
 * the process that runs. Keeps what only time shows (ready in a row, went down, crashes) for one phase.
 */
import type { NodeFacts } from '../rollout/node-state.ts';
import type { NodeState } from '../rollout/node-state.ts';
import type { PodName } from '../host/pod-logs.ts';
import type { ApiServerProcess, ProcessView } from '../host/processes.ts';
import { auditFlagsOf, portOf, sameFlags } from '../targets/audit-flags.ts';
import { serverView } from '../targets/static-pod/server.ts';
import type { ServerView } from '../targets/static-pod/server.ts';
import type { NodeHost } from './host.ts';
import { holdPath } from './state-file.ts';
import type { Journal } from './state-file.ts';
import { isBorrowed, podInTheWay } from './stuck-pod.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The manifest now, against the two texts of the journal: someone else's edit around ours is still ours inside. */
export function compareManifest(now: Uint8Array | null, journal: Journal): NodeFacts['manifest'] {
  const text = now === null ? '' : new TextDecoder('utf-8', { ignoreBOM: true }).decode(now);
  if (text === journal.before) return 'Before';
  if (text === journal.after) return 'After';
  if (isBorrowed(text, journal)) return 'Borrowed';
  const [is, after] = [now === null ? null : serverView(now), serverView(bytes(journal.after))];
  return is !== null && after !== null && sameFlags(is.auditFlags, after.auditFlags) ? 'After' : 'Other';
}

/** The server of that phase: what the manifest that should be there says. */
export const wantedServer = (state: NodeState, journal: Journal): ServerView | null =>
  serverView(bytes(state.phase === 'RollingBack' ? journal.before : journal.after));

/** Between two looks there is a poll and a probe that may time out; more than that was not spent watching. */
const MAX_GAP_MS = 10_000;

/**
 * This host's processes before a change. null also where an API server answers that has no process: then these are the
 * processes of a pod (`hostPID: false`), in which none would ever be seen to start, or to stand in the way.
 */
export async function processesBefore(
  host: NodeHost,
  { address }: ServerView,
  signal: AbortSignal,
): Promise<ProcessView | null> {
  const view = await host.processes();
  const seen = view?.apiServers.some((p) => portOf(p.args) === address.port) ?? false;
  return seen || (await host.probe(address, signal)) === 'Down' ? view : null;
}

/** What one phase has seen so far. */
export class Watch {
  #readyInARow = 0;
  #readySince: number | null = null;
  #wentDown = false;
  #watchedMs = 0;
  #lookedAt: number | null = null;
  #server: ServerView | null = null;
  #blockedSince: number | null = null;
  /** Boot time of the first look, and whether a process with the wanted flags has started since. */
  #firstSeen: number | null = null;
  #started = false;
  /** Start times of processes with the wanted flags. */
  readonly #starts = new Set<number>();

  /** `null` facts: the manifest that should run cannot be read; nothing can be decided. */
  async look(host: NodeHost, at: Place, signal: AbortSignal): Promise<NodeFacts | null> {
    const { state, journal } = at;
    const server = (this.#server ??= wantedServer(state, journal));
    if (server === null) return null;
    const [health, view, manifest, hold] = await Promise.all([
      host.probe(server.address, signal),
      host.processes(),
      host.disk.read(journal.manifest),
      host.disk.stat(holdPath(at.stateDir)),
    ]);
    const process = this.#judge(view, server, journal);
    const now = host.ticks();
    this.#watchedMs += Math.min(now - (this.#lookedAt ?? now), MAX_GAP_MS);
    this.#lookedAt = now;
    this.#count(health === 'Ready' && process !== 'Old', health, now);
    const pod = { namespace: server.namespace, name: server.pod, container: server.container };
    const logged = await host.starts(pod, new Set(journal.knownLogs));
    return {
      hold: hold !== null,
      manifest: compareManifest(manifest, journal),
      health,
      process,
      wentDown: this.#wentDown,
      crashes: this.#crashes(process, logged ?? 0),
      readyInARow: this.#readyInARow,
      readyMs: this.#readySince === null ? 0 : now - this.#readySince,
      blockedMs:
        state.phase === 'RollingBack' && (process === 'None' || process === 'Old')
          ? await this.#blocked(host, pod, at)
          : 0,
      watchedMs: this.#watchedMs,
    };
  }

  #count(ready: boolean, health: NodeFacts['health'], now: number): void {
    if (health === 'Down') this.#wentDown = true;
    this.#readyInARow = ready ? this.#readyInARow + 1 : 0;
    if (!ready) this.#readySince = null;
    else this.#readySince ??= now;
  }

  /** A start beyond the first means that the one before it ended; with nothing running, the last one ended too. */
  #crashes(process: NodeFacts['process'], logged: number): number {
    const starts = Math.max(this.#starts.size, logged);
    return Math.max(0, starts - (process === 'New' || process === 'Hidden' ? 1 : 0));
  }

  /**
   * Nothing of the restored manifest has started meanwhile or runs, and another pod of its name stands. One that the
   * kubelet of before left to end counts for nothing once it has ended.
   */
  async #blocked(host: NodeHost, pod: PodName, { journal }: Place): Promise<number> {
    const now = host.ticks();
    if (this.#started || (await podInTheWay(host, pod, journal)) === null) this.#blockedSince = null;
    else this.#blockedSince ??= now;
    return this.#blockedSince === null ? 0 : now - this.#blockedSince;
  }

  #judge(view: ProcessView | null, server: ServerView, journal: Journal): NodeFacts['process'] {
    if (view === null || journal.boot === null) return 'Hidden';
    const mine = view.apiServers.filter((p) => portOf(p.args) === server.address.port);
    const since = journal.boot.id === view.bootId ? journal.boot.at : 0;
    const isNew = (p: ApiServerProcess): boolean =>
      p.startedAt >= since && sameFlags(auditFlagsOf(p.args), server.auditFlags);
    this.#firstSeen ??= view.now;
    for (const p of mine.filter(isNew)) {
      this.#starts.add(p.startedAt);
      if (p.startedAt > this.#firstSeen) this.#started = true;
    }
    if (mine.some((p) => !isNew(p))) return 'Old';
    return mine.length > 0 ? 'New' : 'None';
  }
}

export type Place = { readonly state: NodeState; readonly journal: Journal; readonly stateDir: string };
