/** The etcd of a test control plane: TLS as kubeadm has it, on loopback, without fsync. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { readFile } from 'node:fs/promises';
import { ServerProcess } from './process.ts';

export type EtcdOptions = {
  readonly file: string;
  readonly root: string;
  readonly port: number;
  readonly peerPort: number;
  readonly signal: AbortSignal;
};

/** An etcd that tests may take away and give back: same folder, same ports. */
export interface Etcd {
  readonly lines: readonly string[];
  readonly running: boolean;
  readonly pid: number | undefined;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** After kill(); resolves when it answers. */
  start(signal: AbortSignal): Promise<void>;
  /** Answers nothing, and keeps its connections. */
  pause(): void;
  resume(): void;
  /** Forgets all versions but the newest. */
  compact(): Promise<void>;
  end(graceMs: number): Promise<void>;
}

class OwnEtcd implements Etcd {
  #process: ServerProcess;
  readonly #options: EtcdOptions;

  constructor(options: EtcdOptions, process: ServerProcess) {
    this.#options = options;
    this.#process = process;
  }

  get lines(): readonly string[] {
    return this.#process.lines;
  }
  get running(): boolean {
    return this.#process.exit === undefined;
  }
  get pid(): number | undefined {
    return this.#process.pid;
  }
  async kill(): Promise<void> {
    this.#process.signal('SIGKILL');
    await this.#process.exited;
  }
  async start(signal: AbortSignal): Promise<void> {
    if (this.running) throw new Error('etcd runs already');
    this.#process = await startProcess({ ...this.#options, signal });
  }
  pause(): void {
    this.#process.signal('SIGSTOP');
  }
  resume(): void {
    this.#process.signal('SIGCONT');
  }
  async compact(): Promise<void> {
    const { root, port } = this.#options;
    const dispatcher = await agentOf(root);
    const ask = async (path: string, body: object): Promise<{ header?: { revision?: string } }> => {
      const url = `https://127.0.0.1:${port}/v3/kv/${path}`;
      const reply = await request(url, { dispatcher, method: 'POST', body: JSON.stringify(body) });
      const text = await reply.body.text();
      if (reply.statusCode !== 200) throw new Error(`etcd: ${reply.statusCode} ${text}`);
      return JSON.parse(text) as { header?: { revision?: string } };
    };
    try {
      const { header } = await ask('range', { key: 'AA==', limit: '1' });
      await ask('compaction', { revision: header?.revision, physical: true });
    } finally {
      await dispatcher.destroy();
    }
  }
  async end(graceMs: number): Promise<void> {
    this.resume();
    await this.#process.end(graceMs);
  }
}

/** Started and answering, or an error with its last words. */
export async function startEtcd(options: EtcdOptions): Promise<Etcd> {
  return new OwnEtcd(options, await startProcess(options));
}

async function startProcess(options: EtcdOptions): Promise<ServerProcess> {
  const pki = join(options.root, 'etc/kubernetes/pki');
  const url = `https://127.0.0.1:${options.port}`;
  const peer = `http://127.0.0.1:${options.peerPort}`;
  const process = new ServerProcess({
    file: options.file,
    args: [
      `--data-dir=${join(options.root, 'var/lib/etcd')}`,
      '--unsafe-no-fsync',
      `--listen-client-urls=${url}`,
      `--advertise-client-urls=${url}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
      `--trusted-ca-file=${join(pki, 'etcd/ca.crt')}`,
      `--cert-file=${join(pki, 'etcd/server.crt')}`,
      `--key-file=${join(pki, 'etcd/server.key')}`,
      '--client-cert-auth',
      '--logger=zap',
      '--log-level=warn',
    ],
  });
  const agent = await agentOf(options.root);
  try {
    while (!(await isHealthy(url, agent))) {
      options.signal.throwIfAborted();
      if (process.exit !== undefined) throw new Error(`etcd ended: ${process.lines.slice(-5).join('\n')}`);
      await sleep(50, undefined, { signal: options.signal });
    }
  } catch (error) {
    await process.end(0);
    throw error;
  } finally {
    await agent.destroy();
  }
  return process;
}

/** As the API server speaks to it. */
async function agentOf(root: string): Promise<Agent> {
  const file = (name: string): Promise<Buffer> => readFile(join(root, 'etc/kubernetes/pki', name));
  return new Agent({
    connect: {
      ca: await file('etcd/ca.crt'),
      cert: await file('apiserver-etcd-client.crt'),
      key: await file('apiserver-etcd-client.key'),
    },
  });
}

async function isHealthy(url: string, dispatcher: Agent): Promise<boolean> {
  try {
    const { statusCode, body } = await request(`${url}/health`, { dispatcher, headersTimeout: 1_000 });
    await body.dump();
    return statusCode === 200;
  } catch {
    return false;
  }
}
