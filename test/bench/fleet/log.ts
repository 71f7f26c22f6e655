/**
 * What the API server itself says was asked of it, and when: its audit log, kept for the two clients that are compared.
 * Read from where the last reading ended; nothing is asked of the API server meanwhile.
 */
import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

export const CONTROLLER = 'system:serviceaccount:auditconfig-system:auditconfig-controller';
export const BARE_AGENT = 'auditconfig-bench-bare';

/** One stage a request; Watches have two, of which the first counts. */
export const AUDIT_POLICY = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, Panic]
rules:
- level: Metadata
  users: [${CONTROLLER}]
- level: None
`;

export type Entry = {
  readonly verb: string;
  /** `configmaps`, `auditconfigs/status`; of what is no resource, the path. */
  readonly what: string;
  readonly code: number;
  /** When it was answered; ms since the epoch. */
  readonly at: number;
  /** How long the API server took, in ms. */
  readonly took: number;
  readonly bare: boolean;
  readonly name: string;
};

type Line = {
  readonly stage: string;
  readonly verb: string;
  readonly requestURI: string;
  readonly userAgent?: string;
  readonly requestReceivedTimestamp: string;
  readonly stageTimestamp: string;
  readonly responseStatus?: { readonly code?: number };
  readonly objectRef?: { readonly resource?: string; readonly subresource?: string; readonly namespace?: string };
};

function entryOf(text: string): Entry {
  const line = JSON.parse(text) as Line;
  const { resource, subresource, namespace = '' } = line.objectRef ?? {};
  const what = resource === undefined ? (line.requestURI.split('?')[0] ?? '') : resource;
  return {
    verb: line.verb,
    what: subresource === undefined ? what : `${what}/${subresource}`,
    code: line.responseStatus?.code ?? 0,
    at: Date.parse(line.stageTimestamp),
    took: Date.parse(line.stageTimestamp) - Date.parse(line.requestReceivedTimestamp),
    bare: line.userAgent?.startsWith(BARE_AGENT) === true,
    name: namespace,
  };
}

export class AuditLog {
  readonly #path: string;
  #offset = 0;
  #rest = '';

  constructor(path: string) {
    this.#path = path;
  }

  /** What came since the last reading; watches that end are left out, since they began before. */
  async read(): Promise<readonly Entry[]> {
    const file = await open(this.#path, 'r');
    try {
      const { size } = await file.stat();
      const buffer = Buffer.alloc(Math.max(0, size - this.#offset));
      await file.read(buffer, 0, buffer.length, this.#offset);
      this.#offset += buffer.length;
      const lines = (this.#rest + buffer.toString('utf8')).split('\n');
      this.#rest = lines.pop() ?? '';
      // A server that was killed left half a line.
      return lines
        .filter((l) => l.startsWith('{') && l.endsWith('}'))
        .map(entryOf)
        .filter((e) => e.verb !== 'watch');
    } finally {
      await file.close();
    }
  }

  /**
   * Reads until `done` says of all that came that it is enough, or the time is over. Seldom: times are in the log itself, and
   * whoever reads takes the processors of those that are measured.
   */
  async until(done: (all: readonly Entry[]) => boolean, ms: number, signal: AbortSignal): Promise<readonly Entry[]> {
    const all: Entry[] = [];
    for (const end = Date.now() + ms; Date.now() < end && !signal.aborted; await sleep(500)) {
      all.push(...(await this.read()));
      if (done(all)) break;
    }
    return all;
  }
}

/** Requests that the API server was working on at a time, on average, between the first and the last of these. */
export function inFlight(entries: readonly Entry[]): number {
  const first = Math.min(...entries.map((e) => e.at - e.took));
  const last = Math.max(...entries.map((e) => e.at));
  return entries.reduce((sum, e) => sum + e.took, 0) / Math.max(1, last - first);
}

/** `patch deployments` and how often; only what was answered well, unless `bad`. */
export function counted(entries: readonly Entry[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const e of entries) {
    const key = `${e.verb} ${e.what}${e.code >= 300 ? ` (${e.code})` : ''}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));
}
