/**
 * Hands that should not be there, on a real kube-apiserver with the rights that ship: bundles deleted or replaced,
 * AuditNodes edited, rights taken away, CRDs deleted. The node keeps what it runs, and all is put right by itself.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuditNodeSpec, AuditNodeStatus } from '../../src/api/auditnode.ts';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { BUNDLES_NAMESPACE, OPERATOR_NAMESPACE, ROOT, applyOrThrow, kustomized, removeAndWait } from './install.ts';
import type { Manifest } from './install.ts';
import { NODE_NAME, Operator, conditionOf } from './operator.ts';

const READY = { type: 'Ready', status: 'True' };
const DEPLOY = kustomized(join(ROOT, 'deploy'));
const AUDIT_NODE = `/apis/auditconfig.dev/v1alpha1/auditnodes/${NODE_NAME}`;
const BUNDLES = `/api/v1/namespaces/${BUNDLES_NAMESPACE}/configmaps`;
const main = (preset: string): Manifest => ({
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'AuditConfig',
  metadata: { name: 'main', namespace: OPERATOR_NAMESPACE },
  spec: { target: { type: 'StaticPod' }, policy: { preset }, rollout: { minReadySeconds: 0, timeoutSeconds: 60 } },
});
type Node = { metadata: { generation: number }; spec: AuditNodeSpec; status?: AuditNodeStatus };

describe('hands that should not be there', () => {
  let plane: ControlPlane;
  let operator: Operator;
  let running: string;
  let started: number | undefined;
  const node = async (): Promise<Node> => (await plane.request('GET', AUDIT_NODE)).body as Node;
  const untilNode = async (holds: (n: Node) => boolean): Promise<Node> => {
    for (const end = Date.now() + 60_000; Date.now() < end; await sleep(50)) {
      const now = await node();
      if (holds(now)) return now;
    }
    throw new Error(`${JSON.stringify(await node())}\n${operator.words()}`);
  };
  /** Not one restart, not one byte. */
  const untouched = async (): Promise<void> => {
    expect(await readFile(plane.manifestPath, 'utf8')).toBe(running);
    expect(plane.apiserver.startedAt).toBe(started);
  };
  const restartAgent = async (): Promise<void> => {
    operator.agent.signal('SIGKILL');
    await operator.agent.exited;
    operator.startAgent();
  };

  beforeAll(async () => {
    plane = await startControlPlane({ version: '1.36', run: 'manifest' });
    operator = await Operator.start({ plane });
    await operator.apply(main('metadata'));
    await operator.until(main('metadata'), READY);
    running = await readFile(plane.manifestPath, 'utf8');
    started = plane.apiserver.startedAt;
  });
  afterAll(async () => {
    await operator?.stop();
    await plane?.stop();
  });

  it('a published revision that somebody replaced is refused by the agent and published again', async () => {
    const { name = '' } = (await node()).spec.desired.revision ?? {};
    const old = (await plane.request('GET', `${BUNDLES}/${name}`)).body as Manifest & { data: Record<string, string> };
    await plane.request('DELETE', `${BUNDLES}/${name}`);
    const data = { ...old.data, 'policy.yaml': 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n' };
    const forged = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data };
    expect((await plane.request('POST', BUNDLES, { body: forged })).status).toBe(201);
    await restartAgent();
    await untilNode((n) => n.status?.lastFailure?.reason === 'BundleDigest');
    await untilNode((n) => n.status?.phase === 'Settled');
    expect(((await plane.request('GET', `${BUNDLES}/${name}`)).body as typeof old).data).toEqual(old.data);
    await untouched();
  });

  it.each([
    ['digest', { desired: { revision: { digest: 'a'.repeat(64) } } }],
    ['namespace, which the agent may not read', { desired: { revision: { namespace: 'kube-system' } } }],
    ['AuditConfig', { auditConfigRef: { uid: 'nobody' } }],
  ])('an AuditNode that was given another %s is put right', async (_name, spec) => {
    const good = (await node()).spec;
    const contentType = 'application/merge-patch+json';
    expect((await plane.request('PATCH', AUDIT_NODE, { body: { spec }, contentType })).status).toBe(200);
    const settled = (n: Node): boolean =>
      n.status?.phase === 'Settled' && n.status.observedGeneration === n.metadata.generation;
    const again = await untilNode((n) => JSON.stringify(n.spec) === JSON.stringify(good) && settled(n));
    expect(again.status?.lastFailure).toBeUndefined();
    await untouched();
  });

  it('a deleted CRD takes auditing from no node, hangs on no finalizer, and coming back restarts nothing', async () => {
    const crd = DEPLOY.find(
      (o) => o.kind === 'CustomResourceDefinition' && o.metadata.name.startsWith('auditconfigs.'),
    );
    if (crd === undefined) throw new Error('deploy/ has no such CRD');
    await removeAndWait(plane, crd);
    expect((await node()).spec.desired.type).toBe('Revision');
    await untouched();
    await applyOrThrow(plane, crd);
    while ((await plane.request('GET', '/apis/auditconfig.dev/v1alpha1/auditconfigs')).status !== 200) await sleep(50);
    await operator.apply(main('metadata'));
    await operator.until(main('metadata'), READY);
    await untouched();
  });

  it('a right that is missing is said with the API server’s words, and goes on when it is given back', async () => {
    const role = DEPLOY.find((o) => o.kind === 'Role' && o.metadata.namespace === BUNDLES_NAMESPACE);
    if (role === undefined) throw new Error('deploy/ has no such Role');
    const path = `/apis/rbac.authorization.k8s.io/v1/namespaces/${BUNDLES_NAMESPACE}/roles/auditconfig-controller`;
    await plane.request('DELETE', path);
    await operator.apply(main('minimal'));
    const said = await operator.until(main('minimal'), { type: 'RolledOut', status: 'False', reason: 'Blocked' });
    expect(conditionOf(said, 'RolledOut')?.message).toContain('cannot create resource "configmaps"');
    await untouched();
    for (const o of DEPLOY) if (o.kind === 'Role') await applyOrThrow(plane, o);
    await operator.until(main('minimal'), READY);
  });

  it('a deletion waits for an agent that is away, says so, and ends with its Node', async () => {
    const now = await readFile(plane.manifestPath, 'utf8');
    operator.agent.signal('SIGKILL');
    await operator.agent.exited;
    await operator.delete(main('minimal'));
    await operator.until(main('minimal'), { type: 'RolledOut', status: 'False', reason: 'Progressing' });
    const waiting = await operator.until(main('minimal'), { type: 'Ready', status: 'False' });
    expect(conditionOf(waiting, 'RolledOut')?.message).toContain(NODE_NAME);
    await plane.request('DELETE', `/api/v1/nodes/${NODE_NAME}`);
    await operator.untilGone(main('minimal'));
    expect((await plane.request('GET', AUDIT_NODE)).status).toBe(404);
    expect(await readFile(plane.manifestPath, 'utf8')).toBe(now);
  });
});
