/**
 * Has the API server's process started again, from the same files: where some were wrong when it started, and are right
 * now. A pod's process is ended, and the kubelet starts it; a unit is restarted. Nothing else is changed, so there is nothing to roll back. Whoever calls this holds the
 * control plane's one lease.
 */
import type { ProcessId } from '../host/processes.ts';
import { runningAs } from './drift.ts';
import type { NodeHost } from './host.ts';
import type { Place } from './place.ts';
import { lookAt } from './running.ts';

export type RestartInput = {
  readonly host: NodeHost;
  readonly spec: Place;
  readonly process: ProcessId;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
};

/** `NotReady`: the new process was not ready in time. */
export type Restarted = 'Restarted' | 'NotPermitted' | 'NotReady';

const POLL_MS = 250;
const READY_TIMES = 3;

/** Rejects with the signal's reason when aborted. A process that is gone already is only waited for. */
export async function restartProcess(i: RestartInput): Promise<Restarted> {
  const { host, timeoutMs, signal } = i;
  if (!(await isTold(i))) return 'NotPermitted';
  const end = host.ticks() + timeoutMs;
  for (let ready = 0; ready < READY_TIMES;) {
    if (host.ticks() >= end) return 'NotReady';
    await host.sleep(POLL_MS, signal);
    ready = (await isNewAndReady(i)) ? ready + 1 : 0;
  }
  return 'Restarted';
}

async function isTold({ host, spec, process, signal }: RestartInput): Promise<boolean> {
  const server = await spec.now(host.disk);
  if (server?.runs.in !== 'Unit') return (await host.endProcess?.(process)) ?? false;
  return (await host.units?.restart(server.runs.unit, { reload: server.restart?.reload ?? false }, signal)) === null;
}

async function isNewAndReady({ host, spec, process, signal }: RestartInput): Promise<boolean> {
  const server = await spec.now(host.disk);
  const view = server === null ? null : (await lookAt(host, server, signal)).view;
  if (server === null || view === null) return false;
  const running = runningAs(view, server);
  const isNew = running !== null && (view.bootId !== process.boot || running.startedAt > process.start);
  return isNew && (await host.probe(server.address, signal)) === 'Ready';
}
