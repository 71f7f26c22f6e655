/**
 * The API servers of a cluster, as a test asks them: through the socket files of relay.mjs, with the certificate of
 * kubeadm's super-admin.conf. One server, or whichever answers.
 */
import { readFile } from 'node:fs/promises';
import { Agent, buildConnector, request } from 'undici';
import { parse } from 'yaml';
import type { Method, Reply, RequestOptions } from '../control-plane/client.ts';
import { withDeadline } from '../control-plane/deadline.ts';

export type Credentials = { readonly ca: string; readonly cert: string; readonly key: string };

/** From a kubeconfig with everything inside, as kubeadm writes them. */
export async function credentialsIn(kubeconfig: string): Promise<Credentials> {
  const config = parse(await readFile(kubeconfig, 'utf8')) as {
    readonly clusters: readonly [{ readonly cluster: Record<string, string> }];
    readonly users: readonly [{ readonly user: Record<string, string> }];
  };
  const decode = (text: string | undefined): string => Buffer.from(text ?? '', 'base64').toString('utf8');
  const { cluster } = config.clusters[0];
  const { user } = config.users[0];
  return {
    ca: decode(cluster['certificate-authority-data']),
    cert: decode(user['client-certificate-data']),
    key: decode(user['client-key-data']),
  };
}

/** One API server. Throws where no answer came; any status is an answer. */
export class NodeApi {
  readonly #agent: Agent;

  constructor(socketPath: string, credentials: Credentials) {
    const connector = buildConnector({ ...credentials, socketPath, servername: 'localhost' });
    this.#agent = new Agent({ connect: connector, connections: 8, keepAliveTimeout: 1_000 });
  }

  request(method: Method, path: string, options: RequestOptions = {}): Promise<Reply> {
    const type = options.contentType ?? (method === 'PATCH' ? 'application/merge-patch+json' : 'application/json');
    return withDeadline(options.timeoutMs ?? 30_000, options.signal, async (signal) => {
      const response = await request(`https://localhost${path}`, {
        method,
        dispatcher: this.#agent,
        headers: {
          accept: 'application/json',
          ...(options.body === undefined ? {} : { 'content-type': type }),
          ...options.headers,
        },
        signal,
        ...(options.body === undefined
          ? {}
          : { body: typeof options.body === 'string' ? options.body : JSON.stringify(options.body) }),
      });
      const text = await response.body.text();
      return { status: response.statusCode, body: decodeJson(text), text };
    });
  }

  /** Whether /readyz says ok, within two seconds or what is given. */
  async isReady(timeoutMs = 2_000): Promise<boolean> {
    const reply = await this.request('GET', '/readyz', { timeoutMs }).catch(() => undefined);
    return reply?.status === 200;
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

function decodeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
