/**
 * The management cluster of the bench: a real API server, N hosted control planes in it, and the controller that ships as a
 * process of its own. What the Deployments' controller would write as status is written by hand, here and nowhere else.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startControlPlane } from '../../control-plane/plane.ts';
import type { ControlPlane } from '../../control-plane/plane.ts';
import { ServerProcess } from '../../control-plane/process.ts';
import {
  OPERATOR_NAMESPACE,
  ROOT,
  applyOrThrow,
  installOperator,
  kubeconfigOf,
  pathOf,
  tokenOf,
} from '../../operator/install.ts';
import type { Manifest } from '../../operator/install.ts';
import { AUDIT_POLICY, AuditLog } from './log.ts';
import { DATACENTER_LABEL, auditConfig, availableStatus, datacenter, namespaceOf, workload } from './workload.ts';

/** Calls `work` with 0 to count-1, `width` at a time. */
export async function each(count: number, width: number, work: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  const one = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) await work(i);
  };
  await Promise.all(Array.from({ length: width }, one));
}

/** Node and its options, as the controller's Deployment starts it; without the bundle. */
function entrypoint(): readonly string[] {
  const text = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');
  const words = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(text)?.[1] ?? '[]') as string[];
  const [node, ...more] = words.slice(0, -1);
  const deployment = readFileSync(join(ROOT, 'deploy/controller/deployment.yaml'), 'utf8');
  const options = /- name: NODE_OPTIONS\n +value: (\S+)$/m.exec(deployment)?.[1];
  if (node === undefined || options === undefined) throw new Error('the controller is started otherwise');
  return [node, options, ...more];
}

export type Memory = {
  readonly rss: number;
  readonly heap: number;
  readonly reserved: number;
  readonly external: number;
};

export class Fleet {
  readonly plane: ControlPlane;
  readonly count: number;
  readonly log: AuditLog;
  readonly token: string;
  readonly #kubeconfig: string;
  readonly #signal: AbortSignal;
  /** Where the controller leaves a profile of its processor time when it ends; undefined: nowhere. */
  profile: string | undefined;
  controller: ServerProcess | undefined;
  /** Where the controller that was started last says how it is. */
  #port = 0;

  private constructor(
    plane: ControlPlane,
    { count, token, signal }: { count: number; token: string; signal: AbortSignal },
  ) {
    this.plane = plane;
    this.count = count;
    this.#signal = signal;
    this.token = token;
    this.log = new AuditLog(join(plane.root, 'bench/audit.log'));
    this.#kubeconfig = `${plane.kubeconfigPath}-controller`;
    writeFileSync(this.#kubeconfig, kubeconfigOf(plane, token), { mode: 0o600 });
  }

  static async start(count: number, signal: AbortSignal): Promise<Fleet> {
    const plane = await startControlPlane({
      version: '1.36',
      signal,
      files: { 'bench/policy.yaml': AUDIT_POLICY },
      flags: ['--audit-policy-file={root}/bench/policy.yaml', '--audit-log-path={root}/bench/audit.log'],
    });
    await installOperator(plane);
    await applyOrThrow(plane, {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: 'bench-hosted' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'auditconfig-hosted' },
      subjects: [{ kind: 'ServiceAccount', name: 'auditconfig-controller', namespace: OPERATOR_NAMESPACE }],
    });
    const fleet = new Fleet(plane, { count, token: await tokenOf(plane, 'auditconfig-controller'), signal });
    await each(count, 8, (i) => fleet.#create(i));
    await fleet.settle();
    return fleet;
  }

  async #create(i: number): Promise<void> {
    const namespace = {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespaceOf(i), labels: DATACENTER_LABEL },
    };
    for (const object of [namespace, workload(i), auditConfig(i)] as readonly Manifest[]) {
      const collection = pathOf(object).replace(/\/[^/]+$/, '');
      await this.must('POST', `${collection}?fieldManager=platform-operator`, object);
    }
  }

  /** Again while the server says that it has no time; throws at any other refusal, and when the bench is told to end. */
  async must(method: 'GET' | 'POST' | 'PATCH', path: string, body?: unknown, contentType?: string): Promise<unknown> {
    for (;;) {
      this.#signal.throwIfAborted();
      const reply = await this.plane
        .request(method, path, {
          ...(body === undefined ? {} : { body }),
          ...(contentType === undefined ? {} : { contentType }),
        })
        .catch(() => undefined);
      if (reply !== undefined && reply.status < 300) return reply.body;
      if (reply !== undefined && reply.status !== 429 && reply.status < 500)
        throw new Error(`${method} ${path}: ${reply.status} ${reply.text}`);
      await sleep(20);
    }
  }

  apply(object: Manifest): Promise<unknown> {
    const path = `${pathOf(object)}?fieldManager=kubectl&force=true`;
    return this.must('PATCH', path, object, 'application/apply-patch+yaml');
  }
  preset(preset: string): Promise<unknown> {
    return this.apply(datacenter(preset));
  }

  /** All pods of every control plane become available. */
  async settle(): Promise<void> {
    await each(this.count, 8, async (i) => {
      const path = pathOf(workload(i));
      const live = (await this.must('GET', path)) as { metadata: { generation: number } };
      const body = availableStatus(live.metadata.generation);
      await this.must('PATCH', `${path}/status?fieldManager=kube-controller-manager`, body);
    });
  }

  /** Measured is the one that was started last. */
  startController(identity = 'controller-0'): ServerProcess {
    const [, ...options] = entrypoint();
    const profiled = this.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${this.profile}`];
    const nodeArgs = [...options, ...profiled];
    const bundle = join(ROOT, 'dist/auditconfig.js');
    const args = ['controller', '--kubeconfig', this.#kubeconfig, '--port', '0', '--identity', identity];
    // Said once, before thousands of other lines.
    const onLine = (_stream: string, line: string): void => {
      if (line.includes('controller started')) this.#port = Number(/"port":(\d+)/.exec(line)?.[1]);
    };
    const command = { file: process.execPath, args: [...nodeArgs, bundle, ...args], onLine };
    return (this.controller = new ServerProcess(command));
  }

  async stopController(): Promise<void> {
    const { controller } = this;
    if (controller?.pid === undefined) return;
    process.kill(controller.pid, 'SIGTERM');
    await controller.exited;
  }

  /** Of the controller, in MB: resident memory as the kernel counts it; its heap in use and reserved, as it says itself. */
  async memory(): Promise<Memory> {
    const status = readFileSync(`/proc/${this.controller?.pid ?? 0}/status`, 'utf8');
    const rss = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? Number.NaN) * 1024;
    const text = await (await fetch(`http://127.0.0.1:${this.#port}/metrics`)).text();
    const gauge = (name: string): number =>
      Number(new RegExp(`^auditconfig_nodejs_${name}_bytes (\\S+)`, 'm').exec(text)?.[1] ?? Number.NaN) / 1e6;
    return {
      rss: rss / 1e6,
      heap: gauge('heap_size_used'),
      reserved: gauge('heap_size_total'),
      external: gauge('external_memory'),
    };
  }

  /** How many control planes the controller has looked at since it started. */
  async looks(): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${this.#port}/metrics`)).text();
    const counts = text.matchAll(/^auditconfig_workqueue_work_duration_seconds_count\{queue="hosted".*\} (\d+)$/gm);
    return [...counts].reduce((sum, [, n]) => sum + Number(n), 0);
  }

  /** Until nothing but the lease has been asked for a while. */
  async quiet(ms: number, signal: AbortSignal): Promise<void> {
    for (let calm = Date.now(); Date.now() - calm < ms && !signal.aborted; await sleep(100))
      if ((await this.log.read()).some((e) => e.what !== 'leases')) calm = Date.now();
  }

  async stop(): Promise<void> {
    await this.stopController();
    await this.plane.stop();
  }
}
