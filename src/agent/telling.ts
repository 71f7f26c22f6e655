/**
 * What the worker says of its work: the node's status, and an event. What does not change is not said again (reporter.ts).
 * Called by worker.ts and fallback-work.ts.
 */
import type { AuditNodeStatus } from '../api/auditnode.ts';
import type { KubeObject } from '../kube/types.ts';
import type { NodeHost } from '../node/host.ts';
import type { ApplyOutcome } from '../node/outcome.ts';
import type { Place } from '../node/place.ts';
import { parseRecord, recordPath } from '../targets/record.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Reporter } from './reporter.ts';
import { statusOf } from './status.ts';
import type { Said } from './status.ts';
import { taskOf } from './task.ts';
import type { Task } from './task.ts';

export type TellingOptions = {
  readonly host: NodeHost;
  readonly spec: Place;
  /** The AuditNode as the cache has it. */
  readonly read: () => KubeObject | undefined;
  readonly reporter: Reporter;
  readonly log: Logger;
  readonly agentVersion: string;
  readonly note: (node: KubeObject, type: 'Normal' | 'Warning', reason: string, note: string) => void;
  /** Of the API server, as far as it is known. */
  readonly server: () => { readonly version?: string; readonly apiServer?: NonNullable<AuditNodeStatus['apiServer']> };
};

export class Telling {
  readonly #o: TellingOptions;
  #reports = 0;

  constructor(options: TellingOptions) {
    this.#o = options;
  }

  async say(task: Task, more: Pick<Said, 'file' | 'outcome' | 'refused' | 'drift'>): Promise<void> {
    const turn = ++this.#reports;
    const adopted = await this.#adopted();
    // A later report was quicker: this one is history.
    if (turn !== this.#reports) return;
    const digest = task.spec.desired.revision?.digest;
    const { adopted: _old, ...before } = taskOf(this.#o.read())?.before ?? task.before;
    this.#o.reporter.report(
      statusOf({
        ...more,
        ...(digest === undefined ? {} : { digest }),
        generation: task.generation,
        before: { ...before, ...(adopted === undefined ? {} : { adopted }) },
        ...this.#o.server(),
        agentVersion: this.#o.agentVersion,
        now: `${new Date(this.#o.host.now()).toISOString().slice(0, 19)}Z`,
      }),
    );
  }

  /** Audit flags that somebody had set by hand, from the record on disk. */
  async #adopted(): Promise<AuditNodeStatus['adopted']> {
    const { host, spec } = this.#o;
    const bytes = await host.disk.read(recordPath(spec.manifest, spec.layout)).catch(() => null);
    const record = bytes === null ? null : parseRecord(bytes);
    if (record === null || record.adopted.length === 0) return undefined;
    return { flags: record.adopted.slice(0, 64).map((f) => `${f.name}=${f.value}`.slice(0, 1024)) };
  }

  /** What became of it, as an event or a line of the log. */
  tell(task: Task, outcome: ApplyOutcome): void {
    const { note, log } = this.#o;
    const what = task.spec.desired.revision?.digest.slice(0, 16) ?? 'removal';
    switch (outcome.kind) {
      case 'Settled':
        if (outcome.restarted) note(task.object, 'Normal', 'Settled', `the API server runs with revision ${what}`);
        return;
      case 'RolledBack':
        note(task.object, 'Warning', 'RolledBack', `${what}: ${outcome.failure.reason}: ${outcome.failure.message}`);
        return;
      case 'Refused':
        note(task.object, 'Warning', 'Refused', `${what}: nothing was changed`);
        log.warn({ codes: outcome.findings.map((f) => f.code) }, 'refused; nothing was changed');
        return;
      case 'DiskFailed':
        note(task.object, 'Warning', 'DiskFailed', outcome.code);
        log.error({ code: outcome.code }, outcome.message);
        return;
      case 'Held':
      case 'NotItsTurn':
      case 'OnHold':
      case 'Interrupted':
      case 'Overtaken':
      case 'StateUnreadable':
        log.info({ outcome: outcome.kind }, 'nothing was changed');
        return;
    }
  }
}
