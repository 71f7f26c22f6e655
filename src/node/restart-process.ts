/**
 * Has the kubelet start the API server's process again, from the same manifest: where its files were wrong when it
 * started, and are right now. Nothing else is changed, so there is nothing to roll back. Whoever calls this holds the
 * control plane's one lease.
 */
import type { ProcessId } from '../host/processes.ts';
import type { StaticPodSpec } from '../targets/static-pod.ts';
import { serverView } from '../targets/static-pod/server.ts';
import { runningAs } from './drift.ts';
import type { NodeHost } from './host.ts';

export type RestartInput = {
  readonly host: NodeHost;
  readonly spec: StaticPodSpec;
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
  const { host, process, timeoutMs, signal } = i;
  if (host.endProcess === undefined || !(await host.endProcess(process))) return 'NotPermitted';
  const end = host.ticks() + timeoutMs;
  for (let ready = 0; ready < READY_TIMES;) {
    if (host.ticks() >= end) return 'NotReady';
    await host.sleep(POLL_MS, signal);
    ready = (await isNewAndReady(i)) ? ready + 1 : 0;
  }
  return 'Restarted';
}

async function isNewAndReady({ host, spec, process, signal }: RestartInput): Promise<boolean> {
  const bytes = await host.disk.read(spec.manifest);
  const server = bytes === null ? null : serverView(bytes);
  const view = await host.processes();
  if (server === null || view === null) return false;
  const running = runningAs(view, server);
  const isNew = running !== null && (view.bootId !== process.boot || running.startedAt > process.start);
  return isNew && (await host.probe(server.address, signal)) === 'Ready';
}
