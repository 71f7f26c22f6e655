/**
 * What `kubectl apply -k deploy/` sends, judged by real API servers: every object as server-side dry run with strict
 * fields, Deployment and DaemonSet included; and the admission policy that lets an agent report for its own node only.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Reply } from '../control-plane/client.ts';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { PLANE_VERSIONS } from '../control-plane/versions.ts';
import {
  BUNDLES_NAMESPACE,
  OPERATOR_NAMESPACE,
  ROOT,
  apply,
  applyOrThrow,
  createNode,
  installOperator,
  kustomized,
  pathOf,
  tokenOf,
} from '../operator/install.ts';
import type { Manifest } from '../operator/install.ts';

const OBJECTS = kustomized(join(ROOT, 'deploy'));
const AUDIT_NODES = '/apis/auditconfig.dev/v1alpha1/auditnodes';
const labelOf = (o: Manifest): string => `${o.kind} ${o.metadata.namespace ?? ''}/${o.metadata.name}`;

describe('the bundle that the image holds', () => {
  it('is of the version in package.json, as the images in deploy/ are', () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    const bundle = join(ROOT, 'dist/auditconfig.js');
    // As in the image, where no npm sets its variables.
    const said = execFileSync(process.execPath, [bundle, '--version'], { encoding: 'utf8', env: {} });
    expect(said.trim()).toBe(version);
  });
});

describe.each(PLANE_VERSIONS.map((v) => [v] as const))('deploy/ on kube-apiserver %s', (version) => {
  let plane: ControlPlane;
  beforeAll(async () => {
    // An administrator by RBAC, as kubeadm's admin.conf; `admin` is system:masters.
    plane = await startControlPlane({ version, users: { somebody: ['admins'] } });
  });
  afterAll(() => plane?.stop());

  it('is accepted whole in a dry run, which leaves nothing behind', async () => {
    // What is in a namespace is only judged when the namespace is there; kubectl needs it first, too.
    for (const o of OBJECTS.filter(({ kind }) => kind === 'Namespace')) await applyOrThrow(plane, o);
    const said: string[] = [];
    for (const o of OBJECTS) {
      const { status, text } = await apply(plane, o, '&dryRun=All');
      if (status !== 200 && status !== 201) said.push(`${labelOf(o)}: ${status} ${text}`);
    }
    expect(said).toEqual([]);
    for (const o of OBJECTS.filter(({ kind }) => kind !== 'Namespace'))
      expect((await plane.request('GET', pathOf(o))).status, labelOf(o)).toBe(404);
  });

  it('refuses a field that does not exist, so that the test above means something', async () => {
    const daemonSet = OBJECTS.find(({ kind }) => kind === 'DaemonSet');
    if (daemonSet === undefined) throw new Error('deploy/ has no DaemonSet');
    const misspelled = { ...daemonSet, spec: { ...(daemonSet['spec'] as object), updateStrateggy: {} } };
    const { status, text } = await apply(plane, misspelled, '&dryRun=All');
    expect([status, text]).toEqual([expect.toSatisfy((s: number) => s >= 400), expect.stringContaining('Strateggy')]);
  });

  describe('what a node is to run', () => {
    let n = 100;
    const write = (token: string | undefined, timeoutSeconds: number): Promise<Reply> =>
      plane.request('PATCH', `${AUDIT_NODES}/spec-1`, {
        ...(token === undefined ? {} : { token }),
        body: { spec: { timeoutSeconds } },
      });
    const object = (name: string): Manifest => ({
      apiVersion: 'auditconfig.dev/v1alpha1',
      kind: 'AuditNode',
      metadata: { name },
      spec: {
        nodeName: name,
        auditConfigRef: { namespace: OPERATOR_NAMESPACE, name: 'main', uid: 'uid' },
        desired: { type: 'Removed' },
        timeoutSeconds: 60,
      },
    });
    let controller: string;

    beforeAll(async () => {
      await installOperator(plane);
      await applyOrThrow(plane, {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRoleBinding',
        metadata: { name: 'somebody' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
        subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'admins' }],
      });
      controller = await tokenOf(plane, 'auditconfig-controller');
      await applyOrThrow(plane, object('spec-1'));
      // RBAC and the policy count about a second after they were made.
      const end = Date.now() + 20_000;
      while (!(await write(plane.tokens['somebody'], n++)).text.includes('only the controller') && Date.now() < end)
        await sleep(100);
    });

    it('is not for a cluster-admin to say, who may still label and delete', async () => {
      const token = plane.tokens['somebody'] ?? '';
      expect((await write(token, n++)).text).toContain('only the controller of auditconfig may');
      const made = await plane.request('POST', AUDIT_NODES, { token, body: object('spec-2') });
      expect(made.text).toContain('only the controller of auditconfig may');
      const labels = { metadata: { labels: { seen: 'yes' } } };
      expect((await plane.request('PATCH', `${AUDIT_NODES}/spec-1`, { token, body: labels })).status).toBe(200);
    });

    it('is for the controller to say, and for system:masters in an emergency', async () => {
      expect((await write(controller, n++)).status).toBe(200);
      expect((await write(undefined, n++)).status).toBe(200);
      const token = plane.tokens['somebody'] ?? '';
      expect((await plane.request('DELETE', `${AUDIT_NODES}/spec-1`, { token })).status).toBe(200);
    });
  });

  describe('an agent', () => {
    let own: string;
    let unbound: string;
    const report = (node: string, token: string): Promise<Reply> =>
      plane.request('PATCH', `${AUDIT_NODES}/${node}/status`, { token, body: { status: { message: node } } });

    beforeAll(async () => {
      await installOperator(plane);
      const node = await createNode(plane, 'cp-1');
      await createNode(plane, 'cp-2');
      own = await tokenOf(plane, 'auditconfig-agent', node);
      unbound = await tokenOf(plane, 'auditconfig-agent');
      const spec = {
        nodeName: 'cp-1',
        auditConfigRef: { namespace: OPERATOR_NAMESPACE, name: 'main', uid: 'uid' },
        desired: { type: 'Removed' },
        timeoutSeconds: 60,
      };
      for (const name of ['cp-1', 'cp-2'])
        await applyOrThrow(plane, {
          apiVersion: 'auditconfig.dev/v1alpha1',
          kind: 'AuditNode',
          metadata: { name },
          spec: { ...spec, nodeName: name },
        });
      // An admission policy counts about a second after it was made.
      const end = Date.now() + 20_000;
      while ((await report('cp-2', own)).status === 200 && Date.now() < end) await sleep(100);
    });

    it('writes the status of its own node', async () => {
      const { status, text, body } = await report('cp-1', own);
      expect(status, text).toBe(200);
      expect(body).toMatchObject({ status: { message: 'cp-1' } });
    });

    it.each([
      ['of another node, by a token bound to its own', 'cp-2', () => own],
      ['of any node, by a token that is bound to none', 'cp-1', () => unbound],
    ])('does not write the status %s', async (_, node, token) => {
      const before = (await plane.request('GET', `${AUDIT_NODES}/${node}`)).text;
      const { status, text } = await report(node, token());
      expect([403, 422]).toContain(status);
      expect(text).toContain('may report for its own AuditNode only');
      expect(text).toContain(`not for \\"${node}\\"`);
      expect((await plane.request('GET', `${AUDIT_NODES}/${node}`)).text).toBe(before);
    });

    describe('and the Lease for restarts', () => {
      const path = `/apis/coordination.k8s.io/v1/namespaces/${BUNDLES_NAMESPACE}/leases/auditconfig-restart`;
      const patch = (body: object, token: string = own): Promise<Reply> => plane.request('PATCH', path, { token, body });
      const hold = (holderIdentity: string, token: string = own): Promise<Reply> =>
        patch({ spec: { holderIdentity } }, token);
      const said = ({ status, body }: Reply): unknown[] => [
        status < 300 ? 'taken' : 'refused',
        (body as { spec?: { holderIdentity?: string } }).spec?.holderIdentity ?? '',
      ];

      beforeAll(async () => {
        const metadata = { name: 'auditconfig-restart', namespace: BUNDLES_NAMESPACE };
        const annotations = { 'auditconfig.dev/instances': '[]' };
        await plane.request('POST', path.slice(0, path.lastIndexOf('/')), {
          body: { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { ...metadata, annotations }, spec: {} },
        });
      });

      it('takes it for its own node, again, and gives it back', async () => {
        expect(said(await hold('cp-1/uid'))).toEqual(['taken', 'cp-1/uid']);
        expect(said(await hold('cp-1/uid'))).toEqual(['taken', 'cp-1/uid']);
        expect(said(await hold(''))).toEqual(['taken', '']);
      });

      it('takes it neither for another node, nor from one, nor without being bound to a node', async () => {
        expect((await hold('cp-2/uid')).text).toContain('may take this Lease for its own node');
        expect((await hold('cp-10/uid')).status).toBeGreaterThan(400);
        expect((await hold('cp-1/uid', unbound)).text).toContain('may take this Lease for its own node');
        await hold('cp-2/uid', plane.tokens['admin']);
        expect((await hold('cp-1/uid')).text).toContain('held by \\"cp-2/uid\\"');
        expect((await hold('')).status).toBeGreaterThan(400);
        await hold('', plane.tokens['admin']);
      });

      it('changes nothing that the controller wrote there, and neither deletes it nor makes another', async () => {
        const annotations = { 'auditconfig.dev/instances': '[{"node":"cp-1"}]' };
        expect((await patch({ metadata: { annotations } })).text).toContain('may not change what the controller wrote');
        expect((await plane.request('DELETE', path, { token: own })).status).toBe(403);
        const body = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: 'x' }, spec: {} };
        const made = await plane.request('POST', path.slice(0, path.lastIndexOf('/')), { token: own, body });
        expect(made.status).toBe(403);
        expect((await plane.request('GET', '/readyz', { token: own })).status).toBe(200);
      });
    });

    it('may neither make AuditNodes nor read Secrets that it was not told of', async () => {
      const ask = async (method: 'GET' | 'DELETE', path: string): Promise<number> =>
        (await plane.request(method, path, { token: own })).status;
      expect({
        'delete its AuditNode': await ask('DELETE', `${AUDIT_NODES}/cp-1`),
        "list the operator's Secrets": await ask('GET', `/api/v1/namespaces/${OPERATOR_NAMESPACE}/secrets`),
        'read one of them': await ask('GET', `/api/v1/namespaces/${OPERATOR_NAMESPACE}/secrets/policy`),
        'list bundles': await ask('GET', `/api/v1/namespaces/${BUNDLES_NAMESPACE}/secrets`),
        'read the bundle of a name': await ask('GET', `/api/v1/namespaces/${BUNDLES_NAMESPACE}/secrets/by-digest`),
        'list all Secrets': await ask('GET', '/api/v1/secrets'),
        'list Nodes': await ask('GET', '/api/v1/nodes'),
      }).toEqual({
        'delete its AuditNode': 403,
        "list the operator's Secrets": 403,
        'read one of them': 403,
        'list bundles': 403,
        'read the bundle of a name': 404,
        'list all Secrets': 403,
        'list Nodes': 403,
      });
    });
  });
});
