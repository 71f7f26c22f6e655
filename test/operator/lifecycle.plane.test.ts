/**
 * The operator's whole life on a real kube-apiserver, whose manifest is run as a kubelet would run it: from `kubectl
 * apply` to events in the log, through changes, refusals, hand-made settings, kills, to removal. One control plane for
 * all of it, as in life; each test leaves the node without anything of ours.
 */
import { execFile } from 'node:child_process';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { PLANE_VERSIONS } from '../control-plane/versions.ts';
import { ROOT, apply } from './install.ts';
import type { Manifest } from './install.ts';
import { NODE_NAME, Operator, conditionOf } from './operator.ts';

const NAMESPACE = 'auditconfig-system';
const AUDIT_CONFIGS = `/apis/auditconfig.dev/v1alpha1/namespaces/${NAMESPACE}/auditconfigs`;
const LOG = 'var/log/kube-audit/audit.log';

const config = (name: string, spec: Record<string, unknown> = {}): Manifest => ({
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'AuditConfig',
  metadata: { name, namespace: NAMESPACE },
  spec: { target: { type: 'StaticPod' }, rollout: { minReadySeconds: 0, timeoutSeconds: 60 }, ...spec },
});
const inNamespace = (kind: 'ConfigMap' | 'Secret', name: string, data: Record<string, string>): Manifest => ({
  apiVersion: 'v1',
  kind,
  metadata: { name, namespace: NAMESPACE },
  ...(kind === 'Secret' ? { stringData: data } : { data }),
});
const cli = (...args: string[]) => promisify(execFile)(process.execPath, [join(ROOT, 'dist/auditconfig.js'), ...args]);
const READY = { type: 'Ready', status: 'True' };
const policy = (level: string): string => `apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: ${level}\n`;

describe.each(PLANE_VERSIONS.map((v) => [v] as const))('the operator on kube-apiserver %s', (version) => {
  let plane: ControlPlane;
  let operator: Operator;
  let original: string;
  const manifest = (): Promise<string> => readFile(plane.manifestPath, 'utf8');
  const auditNode = { apiVersion: 'auditconfig.dev/v1alpha1', kind: 'AuditNode', metadata: { name: NODE_NAME } };
  const nodeStatus = async (): Promise<Record<string, unknown>> =>
    ((await operator.get(auditNode)) as { status?: Record<string, unknown> } | undefined)?.status ?? {};
  const events = async (): Promise<{ verb: string; level: string; requestURI: string }[]> =>
    (await readFile(join(plane.root, LOG), 'utf8'))
      .split('\n')
      .filter((l) => l !== '')
      .map((l) => JSON.parse(l) as { verb: string; level: string; requestURI: string });
  const remove = async (object: Manifest): Promise<void> => {
    await operator.delete(object);
    await operator.untilGone(object);
  };

  beforeAll(async () => {
    plane = await startControlPlane({ version, run: 'manifest' });
    original = await manifest();
    operator = await Operator.start({ plane });
  });
  afterAll(async () => {
    await operator?.stop();
    await plane?.stop();
  });
  afterEach(async () => {
    // What a failed test left behind must not fail the next one.
    for (const { metadata } of await operator.list(AUDIT_CONFIGS)) await remove({ ...config(metadata.name), metadata });
    expect(await manifest()).toBe(original);
  });

  it('turns an AuditConfig into audit events, says so, and takes everything away again', async () => {
    const main = config('main');
    await operator.apply(main);
    const done = await operator.until(main, READY);
    expect(done.status?.nodes).toMatchObject({ summary: '1/1', failed: 0 });
    expect(await nodeStatus()).toMatchObject({ phase: 'Settled', current: done.status?.revision?.digest });

    const shown = await cli('status', '--kubeconfig', plane.kubeconfigPath);
    expect(shown.stdout).toMatch(new RegExp(`main +True +Ready +${done.status?.revision?.digest.slice(0, 16)} +1/1`));
    expect(shown.stdout).toMatch(/cp-1 .* Settled /);

    await plane.request('GET', '/api/v1/namespaces/default/secrets/nobody');
    await sleep(200);
    const seen = (await events()).filter((e) => e.requestURI.endsWith('/secrets/nobody'));
    expect(seen.map((e) => [e.verb, e.level])).toContainEqual(['get', 'Metadata']);

    await remove(main);
    expect(await readdir(join(plane.root, 'etc/kubernetes'))).not.toContain('auditconfig');
  });

  it('restarts for a change of the policy alone, and not for a change that renders the same', async () => {
    const main = config('main', { policy: { preset: 'metadata' } });
    await operator.apply(main);
    const first = await operator.until(main, READY);
    const started = plane.apiserver.startedAt;

    await operator.apply(config('main', { policy: { preset: 'metadata', sensitiveBodies: 'Redact' } }));
    const same = await operator.until(main, READY);
    expect(same.status?.revision).toEqual(first.status?.revision);
    expect(plane.apiserver.startedAt).toBe(started);

    await operator.apply(config('main', { policy: { preset: 'minimal' } }));
    const second = await operator.until(main, READY);
    expect(second.status?.revision).not.toEqual(first.status?.revision);
    expect(plane.apiserver.startedAt).toBeGreaterThan(started);
    await remove(main);
  });

  it('follows a referenced ConfigMap, refuses what does not load with line and column, and keeps the last good', async () => {
    const main = config('main', { policy: { configMapRef: { name: 'policy' } } });
    await operator.apply(main);
    await operator.until(main, { type: 'Accepted', status: 'False', reason: 'ReferenceNotFound' });
    expect(await manifest()).toBe(original);

    await operator.apply(inNamespace('ConfigMap', 'policy', { 'policy.yaml': policy('Request') }));
    const good = await operator.until(main, READY);
    const running = await manifest();

    await operator.apply(inNamespace('ConfigMap', 'policy', { 'policy.yaml': policy('Requst') }));
    const bad = await operator.until(main, { type: 'Accepted', status: 'False', reason: 'InvalidPolicy' });
    expect(conditionOf(bad, 'Accepted')?.message).toMatch(/line 4, column 10.*Request/s);
    expect(await manifest()).toBe(running);
    expect(bad.status?.revision).toEqual(good.status?.revision);
    await remove(main);
  });

  it('adopts flags that somebody set by hand, and gives them back', async () => {
    const byHand = original.replace(
      '    - kube-apiserver\n',
      '    - kube-apiserver\n    - --audit-log-maxage=7 # ours, since 2019\n',
    );
    const since = Date.now();
    await writeFile(plane.manifestPath, byHand);
    await plane.ready(undefined, since);
    const main = config('main');
    await operator.apply(main);
    await operator.until(main, READY);
    expect(await nodeStatus()).toMatchObject({ adopted: { flags: ['--audit-log-maxage=7'] } });
    expect(await manifest()).toContain('--audit-log-maxage=30');
    await remove(main);
    expect(await manifest()).toBe(byHand);
    const again = Date.now();
    await writeFile(plane.manifestPath, original);
    await plane.ready(undefined, again);
  });

  it('two for one node: the older has it, the younger is told', async () => {
    const older = config('older');
    const younger = config('younger', { policy: { preset: 'minimal' } });
    await operator.apply(older);
    await operator.until(older, READY);
    await sleep(1_000); // creation times have whole seconds
    await operator.apply(younger);
    const refused = await operator.until(younger, { type: 'Accepted', status: 'False', reason: 'TargetConflict' });
    expect(conditionOf(refused, 'Accepted')?.message).toContain(`${NAMESPACE}/older`);
    await remove(older);
    await operator.until(younger, READY);
    await remove(younger);
  });

  it('state Disabled takes away exactly what was added', async () => {
    const main = config('main');
    await operator.apply(main);
    await operator.until(main, READY);
    await operator.apply(config('main', { state: 'Disabled' }));
    await operator.until(main, { ...READY, reason: 'Disabled' });
    expect(await manifest()).toBe(original);
    await remove(main);
  });

  it('goes on where controller and agent were killed', async () => {
    const main = config('main', { policy: { preset: 'balanced' } });
    await operator.apply(main);
    const end = Date.now() + 60_000;
    while ((await manifest()) === original && Date.now() < end) await sleep(20);
    operator.agent.signal('SIGKILL');
    operator.controller.signal('SIGKILL');
    await Promise.all([operator.agent.exited, operator.controller.exited]);
    operator.startController();
    operator.startAgent();
    await operator.until(main, READY);
    await remove(main);
  });

  it('a deleted AuditNode or an agent’s token for another node changes nothing', async () => {
    const main = config('main');
    await operator.apply(main);
    await operator.until(main, READY);
    const running = await manifest();
    await operator.delete(auditNode as Manifest);
    await operator.until(main, READY);
    expect(await manifest()).toBe(running);
    await remove(main);
  });

  it('bad spec is refused by the API server, with a message that helps', async () => {
    const { status, text } = await apply(plane, config('main', { policy: { preset: 'metdata' } }));
    expect(status).toBe(422);
    expect(text).toContain('"metadata"');
  });
});
