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
    plane = await startControlPlane({ version });
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
