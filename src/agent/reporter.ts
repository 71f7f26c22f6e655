/**
 * Says what the node does, in the status of its AuditNode, whenever the API can be reached. It holds the newest report
 * only: an API server that is away (we may just be restarting it) delays a report and loses none that still matters.
 */
import type { AuditNodeStatus } from '../api/auditnode.ts';
import type { ApiHealth } from '../kube/health.ts';
import type { StatusTarget, StatusWriter } from '../kube/status.ts';
import { Backoff, delay, onAbort } from '../kube/wait.ts';
import type { Logger } from '../telemetry/logger.ts';

export type ReporterOptions = {
  readonly status: StatusWriter;
  /** The AuditNode as the cache has it; undefined when there is none to report to. */
  readonly target: () => StatusTarget | undefined;
  readonly health: ApiHealth;
  readonly log: Logger;
};

export interface Reporter {
  /** Returns at once. */
  report(status: AuditNodeStatus): void;
  /** The object changed: if its status is not what was reported last, somebody else wrote it, and it is said again. */
  remind(): void;
  /** Sends until the signal aborts. Call once. */
  run(signal: AbortSignal): Promise<void>;
}

const BACKOFF = { firstMs: 200, maxMs: 10_000, factor: 2 };

export function createReporter(o: ReporterOptions): Reporter {
  let latest: AuditNodeStatus | undefined;
  let dirty = false;
  let wake: (() => void) | undefined;
  const touch = (): void => {
    dirty = true;
    wake?.();
  };
  const untilDirty = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      if (dirty || signal.aborted) return resolve();
      const unhook = onAbort(signal, resolve);
      wake = () => {
        unhook();
        resolve();
      };
    });
  return {
    report: (status) => {
      latest = status;
      touch();
    },
    remind: () => {
      if (latest !== undefined) touch();
    },
    run: async (signal) => {
      const backoff = new Backoff(BACKOFF);
      while (!signal.aborted) {
        await untilDirty(signal);
        await o.health.whenUp(60_000, signal);
        if (signal.aborted) return;
        dirty = false;
        const target = o.target();
        if (latest === undefined || target === undefined) continue;
        const written = await o.status.apply(target, latest, signal);
        if (written.ok || written.error.code === 'NotFound') {
          backoff.reset();
          continue;
        }
        o.log.warn({ code: written.error.code }, `the report waits: ${written.error.message}`);
        dirty = true;
        await delay(backoff.nextMs(), signal);
      }
    },
  };
}
