/** The smallest client that tests need: one JSON request to a plane as one of its users. The product's client is src/kube. */
import { Agent, request } from 'undici';
import { withDeadline } from './deadline.ts';

export type Reply = {
  readonly status: number;
  readonly body: unknown;
  readonly text: string;
  /** What kubectl would print as `Warning:`. */
  readonly warning?: string;
};

export type RequestOptions = {
  readonly token?: string;
  readonly body?: unknown;
  /** Default: application/json; for PATCH application/merge-patch+json. */
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
};

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export class ApiClient {
  readonly #agent: Agent;
  readonly #url: string;
  readonly #token: string;

  constructor(url: string, ca: string, token: string) {
    this.#url = url;
    this.#token = token;
    this.#agent = new Agent({ connect: { ca }, connections: 8, keepAliveTimeout: 1_000 });
  }

  /** Throws where no answer came; any status is an answer. */
  async request(method: Method, path: string, options: RequestOptions = {}): Promise<Reply> {
    const type = options.contentType ?? (method === 'PATCH' ? 'application/merge-patch+json' : 'application/json');
    return withDeadline(options.timeoutMs ?? 30_000, options.signal, async (signal) => {
      const response = await request(`${this.#url}${path}`, {
        method,
        dispatcher: this.#agent,
        headers: {
          authorization: `Bearer ${options.token ?? this.#token}`,
          accept: 'application/json',
          ...(options.body === undefined ? {} : { 'content-type': type }),
          ...options.headers,
        },
        signal,
        ...(options.body === undefined ? {} : { body: encode(options.body) }),
      });
      const text = await response.body.text();
      const { warning } = response.headers;
      const warned = warning === undefined ? {} : { warning: String(warning) };
      return { status: response.statusCode, body: decode(text), text, ...warned };
    });
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

const encode = (body: unknown): string => (typeof body === 'string' ? body : JSON.stringify(body));

function decode(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
