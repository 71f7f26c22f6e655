/**
 * Requests that can be found again in a real audit log: each carries an Audit-ID of its own, which the API server takes
 * over. Used by the acceptance tests; nothing of an event is interpreted here.
 */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Method, RequestOptions } from '../control-plane/client.ts';
import type { ControlPlane } from '../control-plane/plane.ts';

export type LoggedEvent = {
  readonly auditID: string;
  readonly stage: string;
  readonly level: string;
  readonly verb: string;
  readonly requestURI: string;
  readonly requestObject?: unknown;
  readonly responseObject?: unknown;
  readonly responseStatus?: { readonly code?: number };
};

/** Whole lines only: the API server may be writing the last one. */
export async function readEvents(log: string): Promise<readonly LoggedEvent[]> {
  const text = await readFile(log, 'utf8').catch(() => '');
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as LoggedEvent);
}

/** What was logged of one request: its level and which bodies, or `None`. */
export type Seen = { readonly level: string; readonly bodies: string; readonly stages: readonly string[] };

export type Ask = {
  readonly method: Method;
  readonly path: string;
  readonly body?: unknown;
  readonly token?: string | undefined;
  /** A watch: it ends by itself. */
  readonly headers?: Readonly<Record<string, string>>;
};

const READ_A_SECRET: Ask = { method: 'GET', path: '/api/v1/namespaces/default/secrets/the-last-request' };

export class AuditedClient {
  readonly #plane: ControlPlane;
  readonly #log: string;
  readonly #logged: Ask;

  /** `logged`: a request that every policy of the test logs in ResponseComplete. */
  constructor(plane: ControlPlane, log: string, logged: Ask = READ_A_SECRET) {
    this.#plane = plane;
    this.#log = log;
    this.#logged = logged;
  }

  /** Sends it, whatever the answer is, and returns the Audit-ID. */
  async send({ method, path, body, token, headers }: Ask): Promise<string> {
    const id = randomUUID();
    const options: RequestOptions = {
      headers: { ...headers, 'Audit-ID': id },
      ...(body === undefined ? {} : { body }),
      ...(token === undefined ? {} : { token }),
    };
    await this.#plane.request(method, path, options);
    return id;
  }

  /** The events of these requests, in order; a request that follows them is logged by then, so that None is known. */
  async seen(ids: readonly string[]): Promise<readonly Seen[]> {
    const last = await this.send(this.#logged);
    const end = Date.now() + 20_000;
    let events = await readEvents(this.#log);
    while (!events.some((e) => e.auditID === last && e.stage === 'ResponseComplete')) {
      if (Date.now() > end) throw new Error('the last request did not come into the log');
      await sleep(50);
      events = await readEvents(this.#log);
    }
    return ids.map((id) => seenOf(events.filter((e) => e.auditID === id)));
  }
}

function seenOf(events: readonly LoggedEvent[]): Seen {
  const last = events.at(-1);
  if (last === undefined) return { level: 'None', bodies: '', stages: [] };
  const bodies = [
    ...(events.some((e) => e.requestObject !== undefined) ? ['request'] : []),
    ...(events.some((e) => e.responseObject !== undefined) ? ['response'] : []),
  ];
  return { level: last.level, bodies: bodies.join('+'), stages: events.map((e) => e.stage) };
}
