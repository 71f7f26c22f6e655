/**
 * What this process waited for, and what it was answered: each timer that sources set and that ran out, each HTTP exchange of
 * one user agent. How long a wait was asked to be does not depend on how busy the machine is, how long it took does; so a test
 * can say that nothing waited for a second between an API server's readyz and a reconcile, and stay green at any load.
 * Deadlines that nobody reached never ran out, and so are no waits.
 */
import { createHook } from 'node:async_hooks';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';

export type Wait = {
  /** As it was asked for. */
  readonly ms: number;
  /** Who waits: a file below src/ and its function, the one that called `delay` where that was used. */
  readonly by: string;
  /** `performance.now()` */
  readonly begun: number;
  readonly ended: number;
};
export type Answer = {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** undefined: none came. */
  readonly status: number | undefined;
  readonly at: number;
};
export type Recorded = { readonly waits: readonly Wait[]; readonly answers: readonly Answer[] };

type Armed = Omit<Wait, 'ended'>;
type Exchange = { readonly request: { method: string; path: string; headers: unknown } };

const WAIT = '/src/kube/wait.ts:';

/** Whose frame is the innermost that is neither Node's nor wait.ts's; undefined for a library, a test, a request's time limit. */
function whoWaits(stack: string): string | undefined {
  const frames = stack
    .split('\n')
    .filter((l) => l.includes('/') && !l.includes('node:') && !l.includes(import.meta.filename));
  const own = frames.filter((l) => l.includes(WAIT));
  const isLimit = own.length > 0 && !own.some((l) => l.includes(' delay '));
  const [, name = '', file] = /at (?:async )?(?:(\S+) )?\(?[^ ]*\/src\/([^:]+):/.exec(frames[own.length] ?? '') ?? [];
  return isLimit || file === undefined ? undefined : `${file} ${name}`;
}

/** Records from now until `end`. `agent`: the beginning of the user agent whose exchanges count. */
export function record(agent: string): { end(): Recorded } {
  const armed = new Map<number, Armed>();
  const waits: Wait[] = [];
  const answers: Answer[] = [];
  const hook = createHook({
    init(id, type, _trigger, resource) {
      if (type !== 'Timeout') return;
      const by = whoWaits(new Error().stack ?? '');
      const ms = '_idleTimeout' in resource ? Number(resource._idleTimeout) : NaN;
      if (by !== undefined) armed.set(id, { ms, by, begun: performance.now() });
    },
    before(id) {
      const wait = armed.get(id);
      if (wait !== undefined) waits.push({ ...wait, ended: performance.now() });
    },
    destroy(id) {
      armed.delete(id);
    },
  });
  const answered = (message: unknown, status: number | undefined): void => {
    const { method, path, headers } = (message as Exchange).request;
    if (JSON.stringify(headers).includes(`"${agent}`)) answers.push({ method, path, status, at: performance.now() });
  };
  const onHeaders = (m: unknown): void => answered(m, (m as { response: { statusCode: number } }).response.statusCode);
  const onError = (m: unknown): void => answered(m, undefined);
  subscribe('undici:request:headers', onHeaders);
  subscribe('undici:request:error', onError);
  const depth = Error.stackTraceLimit;
  Error.stackTraceLimit = 20;
  hook.enable();
  return {
    end: () => {
      hook.disable();
      Error.stackTraceLimit = depth;
      unsubscribe('undici:request:headers', onHeaders);
      unsubscribe('undici:request:error', onError);
      return { waits, answers };
    },
  };
}
