/**
 * The API server as it really runs, whoever starts it: its process, how often it was started, its last words. For a pod
 * that is /proc and the kubelet's log files, for a unit it is systemd and its journal. Called by facts.ts, follow.ts and
 * probation.ts.
 */
import type { ApiServerProcess, ProcessView } from '../host/processes.ts';
import type { UnitState } from '../host/systemd.ts';
import { auditFlagsOf, portOf, runsWith } from '../targets/audit-flags.ts';
import type { ServerView } from '../targets/server.ts';
import type { NodeHost } from './host.ts';

export type Running = {
  /** The processes that may be it; null where they cannot be seen from here. */
  readonly view: ProcessView | null;
  /** Of a unit; null where systemd does not answer, and for pods. */
  readonly unit: UnitState | null;
};

export async function lookAt(host: NodeHost, { runs }: ServerView, signal: AbortSignal): Promise<Running> {
  const view = await host.processes();
  if (runs.in === 'Pod') return { view, unit: null };
  const unit = (await host.units?.show(runs.unit, signal)) ?? null;
  if (view === null || unit === null) return { view: null, unit };
  return { view: { ...view, apiServers: unit.process === null ? [] : [unit.process] }, unit };
}

/** Of these processes, those that are this server's: on its port, where they show it. */
export const processesOf = (view: ProcessView, server: ServerView): readonly ApiServerProcess[] =>
  server.runs.in === 'Unit' ? view.apiServers : view.apiServers.filter((p) => portOf(p.args) === server.address.port);

/** With the flags that are wanted, as far as its arguments tell. */
export const hasFlags = (p: ApiServerProcess, { runs, auditFlags }: ServerView): boolean =>
  (runs.in === 'Unit' && !runs.showsFlags) || runsWith(auditFlagsOf(p.args), auditFlags);

/** Starts since the change began; null where they cannot be counted. */
export async function startsOf(
  host: NodeHost,
  server: ServerView,
  knownLogs: readonly string[],
  signal: AbortSignal,
): Promise<number | null> {
  const { runs } = server;
  if (runs.in === 'Pod') return host.starts(runs, new Set(knownLogs));
  const unit = (await host.units?.show(runs.unit, signal)) ?? null;
  return unit === null ? null : unit.restarts + 1;
}

export const startsIn = async (
  host: NodeHost,
  server: ServerView,
  knownLogs: readonly string[],
  { unit }: Running,
): Promise<number> =>
  server.runs.in === 'Pod'
    ? ((await host.starts(server.runs, new Set(knownLogs))) ?? 0)
    : unit === null
      ? 0
      : unit.restarts + 1;

/** What is there already of its logs: only what comes behind it tells about the change. */
export async function logMarks(host: NodeHost, { runs }: ServerView, signal: AbortSignal): Promise<readonly string[]> {
  if (runs.in === 'Pod') return host.logFolders(runs);
  const cursor = await host.units?.cursor(runs.unit, signal);
  return cursor === undefined || cursor === null ? [] : [cursor];
}

export async function wordsOf(
  host: NodeHost,
  { runs }: ServerView,
  knownLogs: readonly string[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (runs.in === 'Pod') return (await host.lastWords(runs, new Set(knownLogs)))?.lines ?? [];
  return (await host.units?.lastWords(runs.unit, knownLogs[0] ?? null, signal)) ?? [];
}

/** Nobody starts it any more, or a person has stopped it. */
const hasStopped = ({ active }: UnitState): boolean => active === 'failed' || active === 'inactive';

/** Of a unit; the kubelet never stops to start a pod. */
export async function isStopped(host: NodeHost, { runs }: ServerView, signal: AbortSignal): Promise<boolean> {
  if (runs.in === 'Pod') return false;
  const unit = (await host.units?.show(runs.unit, signal)) ?? null;
  return unit !== null && hasStopped(unit);
}

/**
 * Has one ended by itself (or by an edit in between) since `since` was seen to serve? Of a pod: more starts than processes
 * that run now. Of a unit, what systemd counts: it forgets its count when a person restarts the unit.
 */
export async function hasEnded(
  host: NodeHost,
  server: ServerView,
  known: { readonly since: number | null; readonly logs: ReadonlySet<string> },
  signal: AbortSignal,
): Promise<boolean> {
  const { view, unit } = await lookAt(host, server, signal);
  const others = view?.apiServers.filter((p) => p.startedAt !== known.since) ?? [];
  if (server.runs.in === 'Pod') return ((await host.starts(server.runs, known.logs)) ?? 0) > others.length;
  if (unit === null || hasStopped(unit)) return true;
  return unit.restarts > 0 && (unit.process === null || others.length > 0);
}
