/**
 * Gathers the facts that src/rollout/node-state.ts decides on: the manifest against the journal, the API server's health,
 * the process that runs. Keeps what only time shows (ready in a row, went down, crashes) for one phase.
 */
import type { NodeFacts } from '../rollout/node-state.ts';
import type { NodeState } from '../rollout/node-state.ts';
import type { ApiServerProcess, ProcessView } from '../host/processes.ts';
import type { UnitState } from '../host/systemd.ts';
import type { Disk } from '../host/types.ts';
import { sameFlags } from '../targets/audit-flags.ts';
import { sha256 } from '../targets/host-layout.ts';
import type { ServerView } from '../targets/server.ts';
import type { HostPath } from '../targets/types.ts';
import type { NodeHost } from './host.ts';
import type { Place, View } from './place.ts';
import { hasFlags, lookAt, processesOf, startsIn } from './running.ts';
import { holdPath } from './state-file.ts';
import type { Journal } from './state-file.ts';
import { isBorrowed, podInTheWay } from './stuck-pod.ts';

const textOf = (bytes: Uint8Array | null): string | null =>
  bytes === null ? null : new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);

/** The edited file now, against the two texts of the journal: someone else's edit around ours is still ours inside. */
export function compareManifest(now: Uint8Array | null, journal: Journal, view: View): NodeFacts['manifest'] {
  const text = textOf(now);
  if (text === journal.before) return 'Before';
  if (text === journal.after) return 'After';
  if (text !== null && isBorrowed(text, journal)) return 'Borrowed';
  const [is, after] = [text === null ? null : view(text), view(journal.after)];
  return is !== null && after !== null && sameFlags(is.auditFlags, after.auditFlags) ? 'After' : 'Other';
}

/**
 * Equal ones: nobody has written, moved or touched the edited file, or one that its flags name, in between. null where it
 * is not there.
 */
export async function stampOf(disk: Disk, spec: Place, path: HostPath): Promise<string | null> {
  if ((await disk.read(path)) === null) return null;
  const { named } = await spec.sources(disk);
  const all = await Promise.all([path, ...named].map((file) => stampOfFile(disk, file)));
  return all.join('\n');
}

async function stampOfFile(disk: Disk, path: HostPath): Promise<string> {
  const [is, stat] = [await disk.read(path), await disk.stat(path)];
  return is === null ? '' : `${sha256(is)} ${stat?.changedAt ?? ''}`;
}

/** The server of that phase: what the file that should be there says. */
export const wantedServer = (state: NodeState, journal: Journal, view: View): ServerView | null =>
  view(state.phase === 'RollingBack' ? journal.before : journal.after);

/** A unit that is just being restarted may be so for a moment. */
const FAILED_MS = 1_000;

/** Between two looks there is a poll and a probe that may time out; more than that was not spent watching. */
const MAX_GAP_MS = 10_000;

/**
 * This host's processes before a change. null also where an API server answers that has no process: then these are the
 * processes of a pod (`hostPID: false`), in which none would ever be seen to start, or to stand in the way.
 */
export async function processesBefore(
  host: NodeHost,
  server: ServerView,
  signal: AbortSignal,
): Promise<ProcessView | null> {
  const { view } = await lookAt(host, server, signal);
  const seen = view !== null && processesOf(view, server).length > 0;
  return seen || (await host.probe(server.address, signal)) === 'Down' ? view : null;
}

/**
 * The kubelet goes on counting over reboots. Where nobody saw more, one start was before it. Undefined where there is
 * nothing to remember, or boots cannot be told apart.
 */
function countedIn(view: ProcessView | null, starts: number, { boot, counted }: Journal): Journal['counted'] {
  if (view === null || boot === null) return undefined;
  const was = counted ?? { boot: boot.id, before: 0, seen: 1 };
  const before = was.boot === view.bootId ? was.before : Math.min(was.seen, starts);
  const seen = Math.max(was.seen, starts);
  return counted === undefined && was.boot === view.bootId && seen === was.seen
    ? undefined
    : { boot: view.bootId, before, seen };
}

/** What one phase has seen so far. */
export class Watch {
  #readyInARow = 0;
  #readySince: number | null = null;
  #wentDown = false;
  #watchedMs = 0;
  #lookedAt: number | null = null;
  #view: View | null = null;
  #otherSince: number | null = null;
  /** Crashes that were counted while the manifest was one of ours: its end by another one is none. */
  #crashed: number | null = null;
  #server: ServerView | null = null;
  #blockedSince: number | null = null;
  #failedSince: number | null = null;
  /** Boot time of the first look, and whether a process with the wanted flags has started since. */
  #firstSeen: number | null = null;
  #started = false;
  #counted: Journal['counted'];
  /** Start times of processes with the wanted flags. */
  readonly #starts = new Set<number>();

  /** `null` facts: the manifest that should run cannot be read; nothing can be decided. */
  async look(host: NodeHost, at: Watched, signal: AbortSignal): Promise<NodeFacts | null> {
    const { state, journal } = at;
    const view = (this.#view ??= await at.spec.view(host.disk, journal.manifest));
    const server = (this.#server ??= wantedServer(state, journal, view));
    if (server === null) return null;
    // All at once: a probe may take seconds, in which the kubelet acts on what somebody wrote.
    const [health, { running, started }, manifest, hold] = await Promise.all([
      host.probe(server.address, signal),
      lookAt(host, server, signal).then(async (seen) => ({
        running: seen,
        started: await startsIn(host, server, journal.knownLogs, seen),
      })),
      host.disk.read(journal.manifest),
      host.disk.stat(holdPath(at.spec.layout.stateDir)),
    ]);
    const process = this.#judge(running.view, server, journal);
    const now = host.ticks();
    this.#watchedMs += Math.min(now - (this.#lookedAt ?? now), MAX_GAP_MS);
    this.#lookedAt = now;
    this.#count(health === 'Ready' && process !== 'Old', health, now);
    this.#counted = server.runs.in === 'Pod' ? countedIn(running.view, started, journal) : undefined;
    // What still runs from before is none of the starts that systemd counts.
    const starts =
      process !== 'Old' || server.runs.in === 'Pod' ? Math.max(0, started - (this.#counted?.before ?? 0)) : 0;
    const crashes = journal.restart === 'Due' ? 0 : this.#crashes(process, starts) + this.#givenUp(running.unit, now);
    const compared = compareManifest(manifest, journal, view);
    if (compared !== 'Other') [this.#otherSince, this.#crashed] = [null, crashes];
    this.#crashed ??= crashes;
    // One that is away was written by nobody yet: who restarts an API server by moving its manifest brings it back.
    if (compared === 'Other' && manifest !== null) this.#otherSince ??= now;
    return {
      hold: hold !== null,
      manifest: compared,
      otherMs: this.#otherSince === null ? 0 : now - this.#otherSince,
      health,
      process,
      wentDown: this.#wentDown,
      crashes: this.#crashed,
      readyInARow: this.#readyInARow,
      readyMs: this.#readySince === null ? 0 : now - this.#readySince,
      blockedMs:
        state.phase === 'RollingBack' && (process === 'None' || process === 'Old')
          ? await this.#blocked(host, server, journal)
          : 0,
      watchedMs: this.#watchedMs,
    };
  }

  /** What the last look counted, where that is news to the journal: the next life cannot tell starts of before a reboot. */
  news(journal: Journal): Journal['counted'] {
    const [is, was] = [this.#counted, journal.counted];
    return is?.boot === was?.boot && is?.seen === was?.seen ? undefined : is;
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

  /** A unit that has failed is started by nobody: as a crash more, so that nobody waits for the next one. */
  #givenUp(unit: UnitState | null, now: number): number {
    if (unit?.active !== 'failed') this.#failedSince = null;
    else this.#failedSince ??= now;
    return this.#failedSince !== null && now - this.#failedSince >= FAILED_MS ? 1 : 0;
  }

  /**
   * Nothing of the restored manifest has started meanwhile or runs, and another pod of its name stands. One that the
   * kubelet of before left to end counts for nothing once it has ended.
   */
  async #blocked(host: NodeHost, { runs, restart }: ServerView, journal: Journal): Promise<number> {
    const now = host.ticks();
    // What restarts by a unit waits for no kubelet.
    const pod = runs.in === 'Pod' && restart === null ? runs : null;
    if (this.#started || pod === null || (await podInTheWay(host, pod, journal)) === null) this.#blockedSince = null;
    else this.#blockedSince ??= now;
    return this.#blockedSince === null ? 0 : now - this.#blockedSince;
  }

  #judge(view: ProcessView | null, server: ServerView, journal: Journal): NodeFacts['process'] {
    if (view === null || journal.boot === null) return 'Hidden';
    const mine = processesOf(view, server);
    const since = journal.boot.id === view.bootId ? journal.boot.at : 0;
    const isNew = (p: ApiServerProcess): boolean => p.startedAt >= since && hasFlags(p, server);
    this.#firstSeen ??= view.now;
    for (const p of mine.filter(isNew)) {
      this.#starts.add(p.startedAt);
      if (p.startedAt > this.#firstSeen) this.#started = true;
    }
    if (mine.some((p) => !isNew(p))) return 'Old';
    return mine.length > 0 ? 'New' : 'None';
  }
}

export type Watched = { readonly state: NodeState; readonly journal: Journal; readonly spec: Place };
