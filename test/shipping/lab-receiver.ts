/**
 * A receiver of records in a cluster's own network, as a process that can be taken down and brought up again at the same
 * address, as a collector that restarts. For kubelet.node.test.ts; receiver.mjs is what runs there.
 */
import { join } from 'node:path';
import { BRIDGE, until } from '../cluster/lab.ts';
import type { Lab } from '../cluster/lab.ts';
import { ServerProcess } from '../control-plane/process.ts';

export type Shipped = {
  /** That it was sent to. */
  readonly path: string;
  readonly auditID: string;
  readonly stage: string;
  readonly requestURI: string;
  readonly cluster_id: string;
  readonly node: string;
};
export type Tls = { readonly cert: string; readonly key: string };

export class LabReceiver {
  readonly host = BRIDGE.address;
  readonly port: number;
  /** All that ever came, in order. */
  readonly records: Shipped[] = [];
  readonly #lab: Lab;
  readonly #tls: Tls | undefined;
  #process: ServerProcess | undefined;

  constructor(lab: Lab, port: number, tls?: Tls) {
    this.#lab = lab;
    this.port = port;
    this.#tls = tls;
  }

  async up(): Promise<void> {
    const script = join(import.meta.dirname, 'receiver.mjs');
    const what = JSON.stringify({ host: this.host, port: this.port, tls: this.#tls });
    let ready = false;
    const server = new ServerProcess({
      file: 'nsenter',
      args: [...this.#lab.enter, process.execPath, script, what],
      onLine: (stream, line) => {
        if (stream !== 'stdout') return;
        if (line === 'ready') ready = true;
        // The last one may be cut off, where it was taken down.
        else if (line.endsWith('}')) this.records.push(JSON.parse(line) as Shipped);
      },
    });
    this.#process = server;
    await until('the receiver listens', () => Promise.resolve(ready || undefined), { ms: 30_000 }).catch(() => {
      throw new Error(`the receiver did not start:\n${server.lines.slice(-5).join('\n')}`);
    });
  }

  /** At once, with every connection. nsenter is the parent of what listens. */
  async down(): Promise<void> {
    const { pid, exit, exited } = this.#process ?? {};
    if (pid === undefined || exit !== undefined) return;
    process.kill(-pid, 'SIGKILL');
    await exited;
  }

  at(path: string): readonly Shipped[] {
    return this.records.filter((r) => r.path === path);
  }
}
