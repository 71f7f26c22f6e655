/**
 * One harmless request with an audit ID of ours, by which it is found in the audit log: of the agent to its node's API
 * server, and of the controller to a hosted one. What is refused or not there was recorded like any other: the audit
 * handler comes after authentication, and before authorization.
 */
import { ok } from './errors.ts';
import type { KubeError, Result } from './errors.ts';
import type { Transport } from './transport.ts';

export type MarkedRequest = {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
};

const TIMEOUT_MS = 10_000;
const ANSWERS: ReadonlySet<KubeError['code']> = new Set<KubeError['code']>(['NotFound', 'Forbidden']);

/** The body of a 2xx; undefined for 403 and 404. `about`: who asks, in metrics. */
export async function sendMarked(
  transport: Pick<Transport, 'request'>,
  request: MarkedRequest,
  mark: { readonly auditID: string; readonly about: string },
  signal: AbortSignal,
): Promise<Result<unknown>> {
  const { method, path, query, body } = request;
  const answer = await transport.request({
    method,
    path,
    ...(query === undefined ? {} : { query }),
    ...(body === undefined ? {} : { body }),
    headers: { 'audit-id': mark.auditID },
    timeoutMs: TIMEOUT_MS,
    signal,
    about: { verb: 'proof', resource: mark.about },
  });
  return !answer.ok && ANSWERS.has(answer.error.code) ? ok(undefined) : answer;
}
