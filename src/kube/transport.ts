/**
 * One HTTP exchange with the API server: time-outs, cancellation, credentials, and what came of it as a value. Knows
 * paths and bodies, not resources. It repeats a request only where that is safe and instantly useful: once after a 401
 * with credentials read anew, and a GET once when the kept-alive socket turned out to be dead. Everything slower is for
 * the caller, who has a queue with backoff. Called by client.ts, reflector.ts (streams) and health.ts (canary).
 */
import type { Dispatcher } from 'undici';
import type { KubeMetrics } from '../telemetry/kube-metrics.ts';
import type { Connections, Live } from './connections.ts';
import { errorOfStatus, errorOfThrown, fail, ok, parseRetryAfter } from './errors.ts';
import type { KubeError, Result } from './errors.ts';
import { scope, systemClock } from './wait.ts';
import type { Clock, Scope } from './wait.ts';

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export type ApiRequest = {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Absolute, already encoded: `/api/v1/nodes`. */
  readonly path: string;
  readonly query?: Query;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly accept?: string;
  /** Lower case; credentials go before them. */
  readonly headers?: Readonly<Record<string, string>>;
  /** For the whole exchange; default 30 s. Streams have none. */
  readonly timeoutMs?: number;
  readonly signal: AbortSignal;
  /** On the canary's connection, which it keeps open: small requests that go out all the time. */
  readonly onCanary?: boolean;
  /** Labels for metrics: bounded sets only. */
  readonly about: { readonly verb: string; readonly resource: string };
};

/** Per request, because not every proxy agent of undici passes its pool's options on. */
type Sent = ApiRequest & { readonly bodyTimeoutMs?: number };

export type ByteStream = {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Ends the exchange and its socket; safe to call again. */
  close(): void;
};

export interface Transport {
  /** The parsed JSON of a 2xx answer. Never throws. */
  request(request: ApiRequest): Promise<Result<unknown>>;
  /** The body of a 2xx answer as it arrives, from the pool for watches. Iterating throws when the connection breaks. */
  stream(request: ApiRequest): Promise<Result<ByteStream>>;
  /** GET on the canary connection: the HTTP status. */
  knock(path: string, signal: AbortSignal, timeoutMs: number): Promise<Result<number>>;
  /** Milliseconds since the canary's connection last brought an answer; Infinity: never. */
  sinceCanaryMs(): number;
  onCanaryClosed(run: () => void): void;
  /** Called for every failure to reach the server; health.ts listens. */
  onConnectionError(run: (error: KubeError) => void): void;
  close(): Promise<void>;
}

export type TransportOptions = {
  readonly connections: Connections;
  readonly metrics: KubeMetrics;
  /** `auditconfig/1.2.3 controller` */
  readonly userAgent: string;
  readonly clock?: Clock;
};

const DEFAULT_TIMEOUT_MS = 30_000;
/** etcd holds 1.5 MiB an object and a page has 500; a body beyond this is no Kubernetes answer. */
const MAX_BODY_BYTES = 512 * 1024 * 1024;

function fullPath(server: URL, request: Pick<ApiRequest, 'path' | 'query'>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(request.query ?? {}))
    if (value !== undefined) query.set(name, String(value));
  const search = query.size === 0 ? '' : `?${query.toString()}`;
  // The server's URL may have a path of its own, as behind Rancher.
  return server.pathname.replace(/\/$/, '') + request.path + search;
}

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.byteLength;
    if (size > MAX_BODY_BYTES) throw Object.assign(new Error('the answer is too large'), { code: 'HPE_TOO_LARGE' });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size).toString('utf8');
}

function parseJson(text: string): Result<unknown> {
  try {
    return ok(JSON.parse(text) as unknown);
  } catch {
    return fail('BadResponse', 'the answer is no JSON');
  }
}

class HttpTransport implements Transport {
  readonly #options: TransportOptions;
  readonly #clock: Clock;
  readonly #onError: ((error: KubeError) => void)[] = [];
  #canaryAt = -Infinity;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  async request(request: ApiRequest): Promise<Result<unknown>> {
    let result = await this.#once(request);
    const lost = !result.ok && result.error.code === 'ConnectionLost' && request.method === 'GET';
    const stale = !result.ok && result.error.code === 'Unauthorized';
    if (stale) this.#options.connections.invalidate();
    if ((lost || stale) && !request.signal.aborted) result = await this.#once(request);
    return result;
  }

  async #once(request: ApiRequest): Promise<Result<unknown>> {
    const life = scope([request.signal], request.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    const begun = this.#clock.monotonicMs();
    let result: Result<unknown>;
    let status: number | undefined;
    try {
      const live = await this.#options.connections.current();
      if (live.ok) {
        const pool = request.onCanary === true ? live.value.canary : live.value.requests;
        const answer = await this.#send(pool, live.value, request, life);
        status = answer.statusCode;
        const text = await readText(answer.body);
        if (request.onCanary === true) this.#canaryAt = this.#clock.monotonicMs();
        result = answer.statusCode < 300 ? parseJson(text) : { ok: false, error: this.#errorOf(answer, text) };
      } else result = live;
    } catch (thrown) {
      result = { ok: false, error: this.#failed(thrown, request.signal, life) };
    } finally {
      life.dispose();
    }
    this.#measure(request, result, begun, status);
    return result;
  }

  async stream(request: ApiRequest): Promise<Result<ByteStream>> {
    const life = scope([request.signal]);
    const begun = this.#clock.monotonicMs();
    let result: Result<ByteStream>;
    let status: number | undefined;
    try {
      const live = await this.#options.connections.current();
      if (live.ok) {
        const answer = await this.#send(live.value.watches, live.value, { ...request, bodyTimeoutMs: 0 }, life);
        status = answer.statusCode;
        if (answer.statusCode < 300) {
          const close = (): void => {
            life.abort('Closed');
            answer.body.on('error', () => undefined).destroy();
          };
          result = ok({ chunks: this.#told(answer.body, request.signal, life), close });
        } else result = { ok: false, error: this.#errorOf(answer, await readText(answer.body)) };
      } else result = live;
    } catch (thrown) {
      result = { ok: false, error: this.#failed(thrown, request.signal, life) };
    }
    if (!result.ok) {
      life.dispose();
      if (result.error.code === 'Unauthorized') this.#options.connections.invalidate();
    }
    this.#measure(request, result, begun, status);
    return result;
  }

  async knock(path: string, signal: AbortSignal, timeoutMs: number): Promise<Result<number>> {
    const life = scope([signal], timeoutMs);
    const begun = this.#clock.monotonicMs();
    const request: ApiRequest = { method: 'GET', path, signal, about: { verb: 'get', resource: path } };
    let result: Result<number>;
    try {
      const live = await this.#options.connections.current();
      if (live.ok) {
        const answer = await this.#send(live.value.canary, live.value, request, life);
        await readText(answer.body);
        this.#canaryAt = this.#clock.monotonicMs();
        result = ok(answer.statusCode);
      } else result = live;
    } catch (thrown) {
      result = { ok: false, error: this.#failed(thrown, signal, life) };
    } finally {
      life.dispose();
    }
    this.#measure(request, result, begun, result.ok ? result.value : undefined);
    return result;
  }

  sinceCanaryMs(): number {
    return this.#clock.monotonicMs() - this.#canaryAt;
  }

  onCanaryClosed(run: () => void): void {
    this.#options.connections.onCanaryClosed(run);
  }

  onConnectionError(run: (error: KubeError) => void): void {
    this.#onError.push(run);
  }

  close(): Promise<void> {
    return this.#options.connections.close();
  }

  #send(pool: Dispatcher, live: Live, request: Sent, life: Scope): Promise<Dispatcher.ResponseData> {
    if (life.signal.aborted) return Promise.reject(new Error('aborted'));
    const body = request.body === undefined ? {} : { body: JSON.stringify(request.body) };
    return pool.request({
      origin: live.identity.server.origin,
      path: fullPath(live.identity.server, request),
      method: request.method,
      headers: {
        accept: request.accept ?? 'application/json',
        'user-agent': this.#options.userAgent,
        ...(request.body === undefined ? {} : { 'content-type': request.contentType ?? 'application/json' }),
        ...request.headers,
        ...live.identity.headers,
      },
      signal: life.signal,
      ...(request.bodyTimeoutMs === undefined ? {} : { bodyTimeout: request.bodyTimeoutMs }),
      ...body,
    });
  }

  #errorOf(answer: Dispatcher.ResponseData, text: string): KubeError {
    const header = answer.headers['retry-after'];
    const after = parseRetryAfter(Array.isArray(header) ? header[0] : header, this.#clock.wallMs());
    const json = parseJson(text);
    // Not JSON: a proxy's page, or the plain text of a server that is about to start or end.
    return errorOfStatus(json.ok ? json.value : text.slice(0, 200), answer.statusCode, after);
  }

  /** A stream that breaks is a hint for health.ts like any other. */
  async *#told(body: AsyncIterable<Uint8Array>, asked: AbortSignal, life: Scope): AsyncGenerator<Uint8Array> {
    try {
      yield* body;
    } catch (thrown) {
      this.#failed(thrown, asked, life);
      throw thrown;
    } finally {
      life.dispose();
    }
  }

  #failed(thrown: unknown, asked: AbortSignal, life: Scope): KubeError {
    if (asked.aborted) return { code: 'Cancelled', message: 'cancelled', causes: [] };
    if (life.signal.aborted) return { code: 'Timeout', message: 'no complete answer in time', causes: [] };
    const error = errorOfThrown(thrown);
    if (error.code === 'TlsFailed') this.#options.connections.invalidate();
    for (const run of this.#onError) run(error);
    return error;
  }

  #measure(request: ApiRequest, result: Result<unknown>, begun: number, status: number | undefined): void {
    const code = status === undefined ? (result.ok ? '' : result.error.code) : String(status);
    this.#options.metrics.request({ ...request.about, code }, (this.#clock.monotonicMs() - begun) / 1000);
  }
}

export const createTransport = (options: TransportOptions): Transport => new HttpTransport(options);
