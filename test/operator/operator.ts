/**
 * The operator as it runs in a cluster, for tests and demo: one `auditconfig controller` and one `auditconfig agent`,
 * each a process of the bundle with the credentials of its own service account, on a control plane in `manifest` mode.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlPlane } from '../control-plane/plane.ts';
import { ServerProcess } from '../control-plane/process.ts';
import { ROOT, apply, createNode, installOperator, kubeconfigOf, pathOf, tokenOf } from './install.ts';
import type { Applied, Manifest } from './install.ts';

export const NODE_NAME = 'cp-1';

export type ConditionView = { readonly status: string; readonly reason: string; readonly message: string };
export type AuditConfigView = {
  readonly metadata: { readonly generation: number };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly revision?: { readonly name: string; readonly digest: string };
    readonly nodes?: { readonly summary?: string; readonly updated: number; readonly failed: number };
    readonly conditions?: readonly ({ readonly type: string } & ConditionView)[];
  };
};

export type OperatorOptions = {
  readonly plane: ControlPlane;
  readonly agentArgs?: readonly string[];
  readonly controllerArgs?: readonly string[];
};

export class Operator {
  readonly plane: ControlPlane;
  readonly #folder: string;
  readonly #options: OperatorOptions;
  controller: ServerProcess;
  agent: ServerProcess;

  private constructor(options: OperatorOptions, folder: string) {
    this.plane = options.plane;
    this.#folder = folder;
    this.#options = options;
    this.controller = this.startController();
    this.agent = this.startAgent();
  }

  static async start(options: OperatorOptions): Promise<Operator> {
    const { plane } = options;
    await installOperator(plane);
    const node = await createNode(plane, NODE_NAME);
    // Beside the node's root, not in it: no host has these.
    const folder = `${plane.root}-operator`;
    await mkdir(folder, { mode: 0o700, recursive: true });
    const write = async (name: string, token: string): Promise<void> =>
      writeFile(join(folder, name), kubeconfigOf(plane, token), { mode: 0o600 });
    await write('controller.kubeconfig', await tokenOf(plane, 'auditconfig-controller'));
    await write('agent.kubeconfig', await tokenOf(plane, 'auditconfig-agent', node));
    return new Operator(options, folder);
  }

  startController(): ServerProcess {
    const kubeconfig = join(this.#folder, 'controller.kubeconfig');
    const args = ['controller', '--kubeconfig', kubeconfig, '--port', '0', '--identity', 'controller-0'];
    return (this.controller = this.#process([...args, ...(this.#options.controllerArgs ?? [])]));
  }

  startAgent(): ServerProcess {
    const kubeconfig = join(this.#folder, 'agent.kubeconfig');
    const { root } = this.plane;
    const args = [
      'agent',
      '--kubeconfig',
      kubeconfig,
      '--node-name',
      NODE_NAME,
      '--root',
      root,
      '--proc',
      join(root, 'proc'),
      '--port',
      '0',
    ];
    return (this.agent = this.#process([...args, ...(this.#options.agentArgs ?? [])]));
  }

  #process(args: readonly string[]): ServerProcess {
    return new ServerProcess({ file: process.execPath, args: [join(ROOT, 'dist/auditconfig.js'), ...args] });
  }

  apply(object: Manifest): Promise<Applied> {
    return retryAway(() => apply(this.plane, object));
  }
  delete(object: Manifest): Promise<Applied> {
    return retryAway(() => this.plane.request('DELETE', pathOf(object)));
  }
  /** The objects at a collection's path. Right after readyz, custom resources are not served yet: it is asked again. */
  async list(path: string): Promise<readonly Manifest[]> {
    const reply = await retryAway(() => this.plane.request('GET', path));
    return (reply.body as { items: readonly Manifest[] }).items;
  }
  async get(object: Pick<Manifest, 'apiVersion' | 'kind' | 'metadata'>): Promise<unknown> {
    const reply = await retryAway(() => this.plane.request('GET', pathOf(object)));
    return reply.status === 404 ? undefined : reply.body;
  }

  /** Waits until a condition of an AuditConfig says this about its newest generation, and gives the object. */
  async until(
    object: Manifest,
    want: { type: string; status: string; reason?: string },
    ms = 120_000,
  ): Promise<AuditConfigView> {
    const end = Date.now() + ms;
    let last: AuditConfigView | undefined;
    while (Date.now() < end) {
      last = (await this.get(object).catch(() => undefined)) as AuditConfigView | undefined;
      const c = conditionOf(last, want.type);
      const current = last?.status?.observedGeneration === last?.metadata?.generation;
      if (last !== undefined && current && c?.status === want.status && (want.reason ?? c.reason) === c.reason)
        return last;
      await sleep(100);
    }
    throw new Error(`${JSON.stringify(want)} did not come true: ${JSON.stringify(last?.status)}\n${this.words()}`);
  }

  async untilGone(object: Manifest, ms = 120_000): Promise<void> {
    const end = Date.now() + ms;
    while (Date.now() < end) {
      const there = await this.get(object).catch(() => 'unknown');
      if (there === undefined) return;
      await sleep(100);
    }
    throw new Error(`${object.kind} ${object.metadata.name} is still there\n${this.words()}`);
  }

  /** What both processes said last. */
  words(): string {
    return [...this.controller.lines.slice(-15), ...this.agent.lines.slice(-15)].join('\n');
  }

  async stop(): Promise<void> {
    await Promise.all([this.controller.end(10_000), this.agent.end(10_000)]);
  }
}

export const conditionOf = (o: AuditConfigView | undefined, type: string): ConditionView | undefined =>
  o?.status?.conditions?.find((c) => c.type === type);

/** The API server restarts under these tests: a refused connection, 429 and 5xx are asked again. */
async function retryAway(ask: () => Promise<Applied>): Promise<Applied> {
  const end = Date.now() + 60_000;
  for (;;) {
    const reply = await ask().catch(() => undefined);
    if (reply !== undefined && reply.status < 429 && reply.status !== 401 && reply.status !== 403) return reply;
    if (Date.now() > end) return reply ?? { status: 0, body: undefined, text: 'no answer' };
    await sleep(100);
  }
}
