/**
 * What the DC/OS document does, done here: the audit policy lies in a secret, which the service account must be
 * permitted to read; the flags are its defaults 30, 10 and 100; and its sample policy decides what is logged. On real
 * API servers, whose own log and flags are read.
 */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { PLANE_VERSIONS } from '../control-plane/versions.ts';
import { ROOT, applyOrThrow, kustomized } from '../operator/install.ts';
import type { Manifest } from '../operator/install.ts';
import { NODE_NAME, Operator, conditionOf } from '../operator/operator.ts';
import { AuditedClient } from './audited.ts';
import type { Ask, Seen } from './audited.ts';

const NAMESPACE = 'auditconfig-system';
const LOG = 'var/log/kube-audit/audit.log';
const KEY = 'kubernetes-cluster-audit-policy.yaml';
const POLICY = readFileSync(`${import.meta.dirname}/fixtures/dcos.policy.yaml`, 'utf8');
/** Stands in the policy, and so in the Secret; nowhere else. */
const MARKER = 'system:word-of-a-confidential-policy';
const CONFIDENTIAL = POLICY.replace('users: ["system:kube-proxy"]', `users: ["system:kube-proxy", "${MARKER}"]`);

const secret = (policy: string): Manifest => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'audit-policy', namespace: NAMESPACE },
  stringData: { [KEY]: policy },
});
const config = (sensitiveBodies: 'Allow' | 'Redact'): Manifest => ({
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'AuditConfig',
  metadata: { name: 'kubernetes-cluster', namespace: NAMESPACE },
  spec: {
    target: { type: 'StaticPod' },
    policy: { secretRef: { name: 'audit-policy', key: KEY }, sensitiveBodies },
    rollout: { minReadySeconds: 0, timeoutSeconds: 60 },
  },
});

/** The controller's Role in its own namespace, as it ships. */
function shippedRole(): Manifest & { rules: { resources: string[] }[] } {
  const isIt = (o: Manifest): boolean => o.kind === 'Role' && o.metadata.namespace === NAMESPACE;
  const role = kustomized(join(ROOT, 'deploy')).find((o) => isIt(o) && o.metadata.name === 'auditconfig-controller');
  if (role === undefined) throw new Error('deploy/ has no Role for the controller');
  return role as Manifest & { rules: { resources: string[] }[] };
}
const withoutSecrets = (): Manifest => {
  const role = shippedRole();
  return { ...role, rules: role.rules.map((r) => ({ ...r, resources: r.resources.filter((n) => n !== 'secrets') })) };
};

const configMap = (namespace: string): Ask => ({
  method: 'POST',
  path: `/api/v1/namespaces/${namespace}/configmaps`,
  body: { metadata: { generateName: 'dcos-' }, data: { key: 'value' } },
});
const POD = { metadata: { name: 'dcos' }, spec: { containers: [{ name: 'c', image: 'example.org/c:1' }] } };
const NOTHING: Omit<Seen, 'stages'> = { level: 'None', bodies: '' };
const METADATA: Omit<Seen, 'stages'> = { level: 'Metadata', bodies: '' };
const REQUEST: Omit<Seen, 'stages'> = { level: 'Request', bodies: 'request' };

type Told = readonly [rule: string, ask: Ask & { readonly user?: string }, seen: Omit<Seen, 'stages'>];

/** One request or more for each rule of the sample policy, and what the document says of it. */
const TOLD: readonly Told[] = [
  [
    'pod changes at RequestResponse level',
    { method: 'POST', path: '/api/v1/namespaces/default/pods', body: POD },
    { level: 'RequestResponse', bodies: 'request+response' },
  ],
  ['pods/log at Metadata level', { method: 'GET', path: '/api/v1/namespaces/default/pods/dcos/log' }, METADATA],
  [
    'pods/status at Metadata level',
    { method: 'PATCH', path: '/api/v1/namespaces/default/pods/dcos/status', body: { status: { phase: 'Failed' } } },
    METADATA,
  ],
  [
    'nothing of a configmap called controller-leader',
    { method: 'GET', path: '/api/v1/namespaces/default/configmaps/controller-leader' },
    NOTHING,
  ],
  [
    'no watch of services by system:kube-proxy',
    { method: 'GET', path: '/api/v1/services?watch=1&timeoutSeconds=1', user: 'system:kube-proxy' },
    NOTHING,
  ],
  [
    'its list of services like those of others',
    { method: 'GET', path: '/api/v1/services', user: 'system:kube-proxy' },
    // A list has no body to log.
    { level: 'Request', bodies: '' },
  ],
  ['no authenticated request to /api*', { method: 'GET', path: '/apis' }, NOTHING],
  ['no authenticated request to /version', { method: 'GET', path: '/version' }, NOTHING],
  ['other paths by the catch-all', { method: 'GET', path: '/healthz' }, METADATA],
  ['bodies of configmap changes in kube-system', configMap('kube-system'), REQUEST],
  ['configmap changes in other namespaces at Metadata', configMap('default'), METADATA],
  [
    'secret changes at Metadata',
    {
      method: 'POST',
      path: '/api/v1/namespaces/kube-system/secrets',
      body: { metadata: { generateName: 'dcos-' }, stringData: { password: 'do-not-log-me' } },
    },
    METADATA,
  ],
  [
    'all other resources in core at Request',
    {
      method: 'POST',
      path: '/api/v1/namespaces/default/serviceaccounts',
      body: { metadata: { generateName: 'dcos-' } },
    },
    REQUEST,
  ],
  [
    'everything else at Metadata',
    {
      method: 'POST',
      path: '/apis/coordination.k8s.io/v1/namespaces/default/leases',
      body: { metadata: { generateName: 'dcos-' }, spec: { holderIdentity: 'x' } },
    },
    METADATA,
  ],
];

describe.each(PLANE_VERSIONS.map((v) => [v] as const))(
  'DC/OS: a policy in a secret, on kube-apiserver %s',
  (version) => {
    let plane: ControlPlane;
    let operator: Operator;
    let client: AuditedClient;
    const manifest = (): Promise<string> => readFile(plane.manifestPath, 'utf8');
    const accepted = (reason: string) => ({ type: 'Accepted', status: 'False', reason });

    beforeAll(async () => {
      plane = await startControlPlane({ version, run: 'manifest', users: { 'system:kube-proxy': ['nobody'] } });
      client = new AuditedClient(plane, join(plane.root, LOG));
      operator = await Operator.start({ plane });
      await applyOrThrow(plane, withoutSecrets());
      await operator.controller.end(10_000);
      operator.startController();
    });
    afterAll(async () => {
      await operator?.stop();
      await plane?.stop();
    });

    it('says which right the service account lacks where it may not read the secret, and heals once it has it', async () => {
      const before = await manifest();
      await operator.apply(secret(CONFIDENTIAL));
      await operator.apply(config('Allow'));
      const refused = await operator.until(config('Allow'), accepted('ReferenceForbidden'));
      const message = conditionOf(refused, 'Accepted')?.message ?? '';
      expect(message).toContain('Secret audit-policy');
      expect(message).toMatch(/permission to get secrets/);
      expect(await manifest()).toBe(before);

      await applyOrThrow(plane, shippedRole());
      const healed = await operator.until(config('Allow'), { type: 'Ready', status: 'True' });
      expect(healed.status?.nodes).toMatchObject({ summary: '1/1' });
    });

    it('sets the defaults 30, 10 and 100', async () => {
      const running = (await readFile(`/proc/${plane.apiserver.pid}/cmdline`, 'utf8')).split('\0');
      const set: unknown = Object.fromEntries(
        running.flatMap((a) => (a.startsWith('--audit-log-max') ? [a.split('=')] : [])),
      );
      expect(set).toEqual({ '--audit-log-maxage': '30', '--audit-log-maxbackup': '10', '--audit-log-maxsize': '100' });
    });

    it('logs each request as the rule of the sample policy says that is about it', async () => {
      const ids: string[] = [];
      for (const [, { user, ...ask }] of TOLD)
        ids.push(await client.send({ ...ask, token: user === undefined ? undefined : plane.tokens[user] }));
      const seen = await client.seen(ids);
      expect(TOLD.map(([rule], i) => [rule, seen[i]?.level, seen[i]?.bodies])).toEqual(
        TOLD.map(([rule, , { level, bodies }]) => [rule, level, bodies]),
      );
      expect(seen.flatMap((s) => s.stages)).not.toContain('RequestReceived');
    });

    it('caps the bodies of configmaps unless they are allowed, and nothing else', async () => {
      await operator.apply(config('Redact'));
      await operator.until(config('Redact'), { type: 'Ready', status: 'True' });
      const capped = await client.send(configMap('kube-system'));
      const account = await client.send({
        method: 'POST',
        path: '/api/v1/namespaces/default/serviceaccounts',
        body: { metadata: { generateName: 'dcos-' } },
      });
      const [first, second] = await client.seen([capped, account]);
      expect(first).toMatchObject(METADATA);
      expect(second).toMatchObject(REQUEST);
    });

    it('keeps what runs where the secret breaks or goes, says why, and heals when it is back', async () => {
      const running = await manifest();
      await operator.apply(secret(CONFIDENTIAL.replace('level: RequestResponse', `level: ${MARKER}`)));
      const broken = await operator.until(config('Redact'), accepted('InvalidPolicy'));
      expect(conditionOf(broken, 'Accepted')?.message).toMatch(/Secret audit-policy.*line 8, column 12/);

      await operator.delete(secret(''));
      const gone = await operator.until(config('Redact'), accepted('ReferenceNotFound'));
      expect(conditionOf(gone, 'Accepted')?.message).toContain('Secret audit-policy');
      expect(await manifest()).toBe(running);

      await operator.apply(secret(CONFIDENTIAL));
      await operator.until(config('Redact'), { type: 'Ready', status: 'True' });
      expect(await manifest()).toBe(running);
    });

    it('tells nobody what the secret holds', async () => {
      const get = async (path: string): Promise<string> => (await plane.request('GET', path)).text;
      const objects: Record<string, string> = {
        AuditConfig: await get(`/apis/auditconfig.dev/v1alpha1/namespaces/${NAMESPACE}/auditconfigs`),
        AuditNode: await get(`/apis/auditconfig.dev/v1alpha1/auditnodes/${NODE_NAME}`),
        Events: await get('/apis/events.k8s.io/v1/events'),
        ConfigMaps: await get('/api/v1/configmaps'),
        controller: operator.controller.lines.join('\n'),
        agent: operator.agent.lines.join('\n'),
        arguments: await readFile(`/proc/${plane.apiserver.pid}/cmdline`, 'utf8'),
        log: await readFile(join(plane.root, LOG), 'utf8'),
      };
      // Each of them was really read.
      expect(Object.entries(objects).filter(([, text]) => text.length < 100)).toEqual([]);
      expect(objects['Events']).toContain('InvalidPolicy');
      const telling = Object.entries(objects).filter(([, text]) => text.includes(MARKER));
      expect(telling.map(([name]) => name)).toEqual([]);
      // The search finds it where it may be: the rendered policy is a Secret too.
      const rendered = await get('/api/v1/namespaces/auditconfig-bundles/secrets');
      const { items } = JSON.parse(rendered) as { items: { data: Record<string, string> }[] };
      const texts = items.flatMap(({ data }) => Object.values(data).map((v) => Buffer.from(v, 'base64').toString()));
      expect(texts.some((t) => t.includes(MARKER))).toBe(true);
    });
  },
);
