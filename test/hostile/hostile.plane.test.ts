/**
 * Some hundreds of the hostile AuditConfigs and Secrets against a real API server and the controller that ships: what the API
 * server lets in, the controller answers with a reason; it neither ends nor stops; and nothing of a Secret is in its log, in
 * events, in status, or in what it publishes for everybody to read.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { ServerProcess } from '../control-plane/process.ts';
import { OPERATOR_NAMESPACE, ROOT, apply, installOperator, kubeconfigOf, tokenOf } from '../operator/install.ts';
import { hostile, leaksIn } from './generate.ts';

const CASES = 300;
const CONFIGS = `/apis/auditconfig.dev/v1alpha1/namespaces/${OPERATOR_NAMESPACE}/auditconfigs`;
const SECRETS = `/api/v1/namespaces/${OPERATOR_NAMESPACE}/secrets`;

type Condition = { readonly type: string; readonly status: string; readonly reason: string; readonly message: string };
type Config = {
  readonly metadata: { readonly name: string; readonly generation: number };
  readonly status?: { readonly observedGeneration?: number; readonly conditions?: readonly Condition[] };
};
type Tree = Record<string, unknown>;

/** The case as somebody would send it: with a name of its own, and Secrets of its own. */
function named(seed: number): { readonly body: Tree; readonly secrets: Readonly<Record<string, Uint8Array>> } {
  const { object, secrets } = hostile(seed);
  const whole = (typeof object === 'object' && object !== null ? object : {}) as Tree;
  const text = JSON.stringify(whole['spec'] ?? null)
    .replaceAll('"name":"webhook"', `"name":"webhook-${seed}"`)
    .replaceAll('"name":"policy"', `"name":"policy-${seed}"`);
  const body = {
    ...whole,
    metadata: { name: `case-${seed}`, namespace: OPERATOR_NAMESPACE },
    spec: JSON.parse(text) as unknown,
  };
  return { body, secrets: { [`webhook-${seed}`]: secrets.webhook, [`policy-${seed}`]: secrets.policy } };
}

describe('hostile AuditConfigs and Secrets on a real API server', () => {
  let plane: ControlPlane;
  let controller: ServerProcess;
  const lines: string[] = [];

  beforeAll(async () => {
    plane = await startControlPlane({ version: '1.36' });
    await installOperator(plane);
    const kubeconfig = `${plane.kubeconfigPath}-controller`;
    await writeFile(kubeconfig, kubeconfigOf(plane, await tokenOf(plane, 'auditconfig-controller')), { mode: 0o600 });
    const args = ['controller', '--kubeconfig', kubeconfig, '--port', '0', '--log-level', 'debug'];
    controller = new ServerProcess({
      file: process.execPath,
      args: [join(ROOT, 'dist/auditconfig.js'), ...args],
      onLine: (_stream, line) => void lines.push(line),
    });
  });
  afterAll(async () => {
    if (controller?.pid !== undefined && controller.exit === undefined) process.kill(controller.pid, 'SIGKILL');
    await plane?.stop();
  });

  const itemsOf = async (path: string): Promise<readonly Tree[]> =>
    ((await plane.request('GET', path)).body as { items: readonly Tree[] }).items;
  const acceptedOf = ({ metadata, status }: Config): Condition | undefined =>
    status?.observedGeneration === metadata.generation
      ? status.conditions?.find((c) => c.type === 'Accepted')
      : undefined;

  it('every one has a reason, nothing is told, and the controller goes on', { timeout: 600_000 }, async () => {
    const answers = new Map<number, number>();
    for (let seed = 1; seed <= CASES; seed++) {
      const { body, secrets } = named(seed);
      for (const [name, bytes] of Object.entries(secrets)) {
        const key = name.startsWith('webhook') ? 'webhook.yaml' : 'policy.yaml';
        const data = { [key]: Buffer.from(bytes).toString('base64') };
        const made = await plane.request('POST', SECRETS, { body: { metadata: { name }, data } });
        expect(made.status).toBe(201);
      }
      const { status } = await plane.request('POST', CONFIGS, { body });
      answers.set(status, (answers.get(status) ?? 0) + 1);
    }
    // Refused by the schema (400 where it is no object at all, 422), or let in.
    expect([...answers.keys()].filter((s) => ![201, 400, 422].includes(s))).toEqual([]);
    expect([(answers.get(201) ?? 0) > 60, (answers.get(422) ?? 0) > 60]).toEqual([true, true]);

    let configs: readonly Config[] = [];
    for (const end = Date.now() + 300_000; Date.now() < end; await sleep(500)) {
      configs = (await itemsOf(CONFIGS)) as unknown as readonly Config[];
      if (configs.every((c) => acceptedOf(c) !== undefined)) break;
    }
    const without = configs.filter((c) => (acceptedOf(c)?.message ?? '') === '').map((c) => c.metadata.name);
    expect(without).toEqual([]);
    const reasons = new Set(configs.map((c) => acceptedOf(c)?.reason));
    for (const reason of ['InvalidPolicy', 'InvalidWebhook']) expect([...reasons]).toContain(reason);

    // Events are written in the background.
    await sleep(3_000);
    const events = await itemsOf('/apis/events.k8s.io/v1/events');
    const maps = await itemsOf('/api/v1/configmaps');
    expect(events.length).toBeGreaterThan(50);
    expect(leaksIn(JSON.stringify(events))).toEqual([]);
    expect(leaksIn(JSON.stringify(configs.map((c) => c.status)))).toEqual([]);
    expect(leaksIn(JSON.stringify(maps))).toEqual([]);
    expect(lines.length).toBeGreaterThan(50);
    expect(leaksIn(lines.join('\n'))).toEqual([]);

    // It is alive, and hears what comes next.
    expect(controller.exit).toBeUndefined();
    const metadata = { name: 'good', namespace: OPERATOR_NAMESPACE };
    const spec = { target: { type: 'StaticPod', staticPod: { nodeSelector: { nobody: 'has-this' } } } };
    const good = { apiVersion: 'auditconfig.dev/v1alpha1', kind: 'AuditConfig', metadata, spec };
    expect((await apply(plane, good)).status).toBe(201);
    let said: Condition | undefined;
    for (const end = Date.now() + 60_000; Date.now() < end && said === undefined; await sleep(200))
      said = acceptedOf((await plane.request('GET', `${CONFIGS}/good`)).body as Config);
    expect(said).toMatchObject({ status: 'True' });
  });
});
