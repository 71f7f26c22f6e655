/**
 * A datacenter and an owner who wants to leave it, on a real kube-apiserver with the controller, agent, RBAC and admission
 * that ship: what is enforced reaches a control plane whatever its owner writes, and what the owner wrote comes back.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import type { PlaneVersion } from '../control-plane/versions.ts';
import { ROOT, apply } from './install.ts';
import type { Applied, Manifest } from './install.ts';
import { Operator, conditionOf } from './operator.ts';
import type { AuditConfigView } from './operator.ts';

/** Admission with parameters is the same in both; one of them is enough for so long a story. */
const VERSION: PlaneVersion = '1.36';
const NAMESPACE = 'auditconfig-system';
const API = 'auditconfig.dev/v1alpha1';
const LOG = 'var/log/kube-audit/audit.log';
const CRD = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/datacenterauditconfigs.auditconfig.dev';
const TENANT = { 'Impersonate-User': 'tenant' };

const config = (spec: Record<string, unknown> = {}, labels: Record<string, string> = {}): Manifest => ({
  apiVersion: API,
  kind: 'AuditConfig',
  metadata: { name: 'main', namespace: NAMESPACE, ...{ labels } },
  spec: { target: { type: 'StaticPod' }, rollout: { minReadySeconds: 0, timeoutSeconds: 60 }, ...spec },
});
const datacenter = (spec: Record<string, unknown>, name = 'eu'): Manifest => ({
  apiVersion: API,
  kind: 'DatacenterAuditConfig',
  metadata: { name },
  spec: { selector: { namespaceSelector: { matchLabels: { datacenter: 'eu' } } }, ...spec },
});
const cli = (...args: string[]) => promisify(execFile)(process.execPath, [join(ROOT, 'dist/auditconfig.js'), ...args]);
const MANDATORY = { level: 'Metadata', resources: [{ resources: ['secrets'] }] };
const enforcing = (maxAgeDays: number, more: object = {}): Manifest =>
  datacenter({
    enforced: { log: { retention: { maxAgeDays } } },
    mandatoryRules: [MANDATORY],
    ...more,
  });
const policyMap = (level: string, name = 'policy'): Manifest => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: NAMESPACE },
  data: { 'policy.yaml': `apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: ${level}\n` },
});

type Status = NonNullable<AuditConfigView['status']> & {
  effective?: {
    layers: string[];
    fields?: { path: string; set: string; overrode?: string[] }[];
    ignored?: { path: string; by: string }[];
  };
  datacenters?: { name: string; binding: boolean }[];
};

describe('a datacenter and an owner', () => {
  let plane: ControlPlane;
  let operator: Operator;
  const manifest = (): Promise<string> => readFile(plane.manifestPath, 'utf8');
  const main = config();
  /** Until the API server runs with this flag, and its status says what is true. */
  const untilFlag = async (flag: string, ms = 90_000): Promise<Status> => {
    const end = Date.now() + ms;
    for (;;) {
      const there = (await manifest()).includes(`${flag}\n`);
      const now = (await operator.get(main).catch(() => undefined)) as AuditConfigView | undefined;
      const rolled = conditionOf(now, 'RolledOut');
      if (there && rolled?.status === 'True' && now?.status?.observedGeneration === now?.metadata.generation)
        return now?.status as Status;
      if (Date.now() > end) throw new Error(`${flag}: ${JSON.stringify(now?.status)}\n${operator.words()}`);
      await sleep(200);
    }
  };
  const must = async (ask: Promise<Applied>): Promise<Applied> => {
    const done = await ask;
    expect([200, 201, 202], done.text).toContain(done.status);
    return done;
  };
  const asTenant = async (method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: unknown, headers = {}) => {
    for (let i = 0; ; i++) {
      const reply = await plane
        .request(method, path, { ...(body === undefined ? {} : { body }), headers: { ...TENANT, ...headers } })
        .catch(() => undefined);
      if (reply !== undefined && reply.status < 429) return reply;
      if (i > 100) throw new Error('the API server stays away');
      await sleep(100);
    }
  };
  const PATH = `/apis/${API}/namespaces/${NAMESPACE}/auditconfigs/main`;

  beforeAll(async () => {
    plane = await startControlPlane({ version: VERSION, run: 'manifest' });
    operator = await Operator.start({ plane });
    await must(
      plane.request('PATCH', `/api/v1/namespaces/${NAMESPACE}`, {
        body: { metadata: { labels: { datacenter: 'eu' } } },
      }),
    );
    // A tenant may do what an owner of a namespace and its AuditConfigs may, and label the namespace.
    const role = {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'tenant' },
      rules: [
        { apiGroups: ['auditconfig.dev'], resources: ['auditconfigs', 'auditconfigs/status'], verbs: ['*'] },
        { apiGroups: [''], resources: ['namespaces', 'namespaces/status'], verbs: ['get', 'patch', 'update'] },
      ],
    };
    const binding = {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: 'tenant' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'tenant' },
      subjects: [
        { kind: 'User', name: 'tenant', apiGroup: 'rbac.authorization.k8s.io' },
        {
          kind: 'User',
          name: 'system:serviceaccount:kube-system:namespace-controller',
          apiGroup: 'rbac.authorization.k8s.io',
        },
      ],
    };
    for (const object of [role, binding]) await must(apply(plane, object));
  });
  afterAll(async () => {
    await operator?.stop();
    await plane?.stop();
  });

  it('gives an existing control plane what it enforces, and says of each field who set it', async () => {
    await must(operator.apply(config({ log: { retention: { maxAgeDays: 7, maxBackups: 5 } } })));
    await untilFlag('--audit-log-maxage=7');
    await must(operator.apply(enforcing(90)));
    const status = await untilFlag('--audit-log-maxage=90');
    expect(await manifest()).toContain('--audit-log-maxbackup=5\n');
    expect(status.effective?.layers).toEqual(
      expect.arrayContaining(['AuditConfig', 'Datacenter/eu enforced', 'Datacenter/eu mandatoryRules']),
    );
    expect(status.effective?.fields).toEqual([
      { path: 'log.retention.maxAgeDays', set: 'Datacenter/eu enforced', overrode: ['AuditConfig'] },
    ]);
    expect(status.datacenters).toMatchObject([{ name: 'eu', binding: true }]);
    const shown = await cli('explain-config', 'main', '-n', NAMESPACE, '--kubeconfig', plane.kubeconfigPath);
    expect(shown.stdout).toMatch(/^log\.retention\.maxAgeDays +90 +Datacenter\/eu enforced +7 \(AuditConfig\)$/m);
    expect(shown.stderr).toBe('');
    const dc = datacenter({});
    const ready = await operator.until(dc, { type: 'Ready', status: 'True' });
    expect(ready.status).toMatchObject({
      controlPlanes: { selected: 1, updated: 1, ready: 1, failed: 0, summary: '1/1' },
    });
  });

  it('warns at kubectl apply of what is enforced, or refuses it where the datacenter says so', async () => {
    const change = (retention: object) => asTenant('PATCH', `${PATH}?dryRun=All`, { spec: { log: { retention } } });
    let warned = await change({ maxAgeDays: 8 });
    // An API server that has just started looks for the kinds of parameters every half minute.
    for (const end = Date.now() + 60_000; warned.warning === undefined && Date.now() < end; await sleep(200))
      warned = await change({ maxAgeDays: 8 });
    expect(warned.status, warned.text).toBe(200);
    expect(warned.warning).toContain('spec.log.retention.maxAgeDays is enforced by DatacenterAuditConfig');
    const other = await change({ maxAgeDays: 90, maxBackups: 6 });
    expect([other.status, other.warning]).toEqual([200, undefined]);
    await must(operator.apply(enforcing(90, { admission: 'Deny', forbid: ['Webhook'] })));
    // The API server's admission learns of it by a watch.
    let denied = await change({ maxAgeDays: 8 });
    for (let i = 0; i < 100 && denied.status === 200; i++) {
      await sleep(100);
      denied = await change({ maxAgeDays: 8 });
    }
    expect(denied.status).toBe(422);
    // What stood there before does not keep its owner from changing something else.
    expect((await change({ maxBackups: 6 })).status).toBe(200);
    const hook = await asTenant('PATCH', `${PATH}?dryRun=All`, { spec: { webhook: { secretRef: { name: 'mine' } } } });
    expect(hook.text).toContain('spec.webhook is forbidden');
    await must(operator.apply(enforcing(90)));
  });

  it('an owner cannot delete it; its namespace can, and so can who may delete the datacenter', async () => {
    const refused = await asTenant('DELETE', `${PATH}?dryRun=All`);
    expect([refused.status, refused.text]).toEqual([403, expect.stringContaining('bound by DatacenterAuditConfig eu')]);
    const cleaner = { 'Impersonate-User': 'system:serviceaccount:kube-system:namespace-controller' };
    expect((await asTenant('DELETE', `${PATH}?dryRun=All`, undefined, cleaner)).status).toBe(200);
    expect((await plane.request('DELETE', `${PATH}?dryRun=All`)).status).toBe(200);
    // Nor by saying in its status that nothing binds it.
    const forged = await asTenant('PATCH', `${PATH}/status`, { status: { datacenters: [] } });
    expect(forged.status).toBe(403);
  });

  it('an owner cannot have it deleted by the garbage collector, for an owner that is not there', async () => {
    const metadata = { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'nobody', uid: 'none' }] };
    const path = `${PATH}?dryRun=All`;
    const named = await asTenant('PATCH', path, { metadata });
    // Two policies refuse it, and the API server tells of either (its map of policies has no order).
    const refused = /(bound by DatacenterAuditConfig eu:|DatacenterAuditConfig \\"eu\\" binds).*would delete it/;
    expect([named.status, named.text]).toEqual([403, expect.stringMatching(refused)]);
    const other = { ...config(), metadata: { ...config().metadata, name: 'other', ...metadata } };
    const list = PATH.replace(/\/main$/, '?dryRun=All');
    expect((await asTenant('POST', list, other)).status).toBe(403);
    expect(
      (await asTenant('POST', list, { ...other, metadata: { ...other.metadata, ownerReferences: [] } })).status,
    ).toBe(201);
    // What the controller discovers goes with its workload, and whoever may delete the datacenter may do so.
    const controller = { 'Impersonate-User': 'system:serviceaccount:auditconfig-system:auditconfig-controller' };
    expect((await asTenant('PATCH', path, { metadata }, controller)).status).toBe(200);
    expect((await plane.request('PATCH', path, { body: { metadata } })).status).toBe(200);
  });

  it('an owner cannot leave by other labels of the namespace, and may change labels that select nothing', async () => {
    const label = (labels: object, sub = '') =>
      asTenant('PATCH', `/api/v1/namespaces/${NAMESPACE}${sub}?dryRun=All`, { metadata: { labels } });
    expect((await label({ datacenter: 'us' })).status).toBe(403);
    expect((await label({ datacenter: null })).status).toBe(403);
    expect((await label({ datacenter: null }, '/status')).status).toBe(403);
    expect((await label({ team: 'a' })).status).toBe(200);
  });

  it('what is enforced goes on over the last valid settings while the newest refer to nothing', async () => {
    await must(operator.apply(policyMap('Request')));
    await must(
      operator.apply(
        config({ log: { retention: { maxAgeDays: 7, maxBackups: 6 } }, policy: { configMapRef: { name: 'policy' } } }),
      ),
    );
    await untilFlag('--audit-log-maxbackup=6');
    await must(operator.delete(policyMap('')));
    await operator.until(main, { type: 'Accepted', status: 'False', reason: 'ReferenceNotFound' });
    await must(operator.apply(enforcing(91)));
    const status = await untilFlag('--audit-log-maxage=91');
    expect(status.conditions?.find((c) => c.type === 'Degraded')).toMatchObject({
      status: 'True',
      reason: 'LastValidKept',
    });
    expect(await manifest()).toContain('--audit-log-maxbackup=6\n');
    // A spec that does not even parse as a policy: the same.
    await must(operator.apply(policyMap('Nonsense')));
    await operator.until(main, { type: 'Accepted', status: 'False', reason: 'InvalidPolicy' });
    await must(operator.apply(enforcing(92)));
    await untilFlag('--audit-log-maxage=92');
    // And so it is for a controller that has just started.
    await operator.controller.end(10_000);
    operator.startController();
    await must(operator.apply(enforcing(93)));
    await untilFlag('--audit-log-maxage=93');
    expect(await manifest()).toContain('--audit-log-maxbackup=6\n');
  });

  it("an owner's pause holds back what the owner changes, and nothing that the datacenter does", async () => {
    const rollout = { minReadySeconds: 0, timeoutSeconds: 60, paused: true };
    await must(operator.apply(config({ log: { retention: { maxAgeDays: 7, maxBackups: 6 } } })));
    await operator.until(main, { type: 'Ready', status: 'True' });
    await must(operator.apply(config({ log: { retention: { maxAgeDays: 7, maxBackups: 8 } }, rollout })));
    await must(operator.apply(enforcing(94)));
    const status = await untilFlag('--audit-log-maxage=94');
    expect(await manifest()).toContain('--audit-log-maxbackup=6\n');
    expect(status.effective?.ignored ?? []).toEqual([]);
    // Nor for a controller that has just started and finds it paused.
    await operator.controller.end(10_000);
    operator.startController();
    await must(operator.apply(enforcing(95)));
    await untilFlag('--audit-log-maxage=95');
    expect(await manifest()).toContain('--audit-log-maxbackup=6\n');
  });

  it('mandatory rules record in all stages what an owner wants to omit', async () => {
    const policy = {
      preset: 'metadata',
      omitStages: ['RequestReceived', 'ResponseStarted', 'ResponseComplete', 'Panic'],
      rules: [{ level: 'None' }],
    };
    await must(
      operator.apply(config({ log: { retention: { maxAgeDays: 7, maxBackups: 9 } }, policy, state: 'Disabled' })),
    );
    await untilFlag('--audit-log-maxbackup=9');
    for (const what of ['secrets', 'configmaps'])
      await plane.request('GET', `/api/v1/namespaces/default/${what}/omitted`);
    const seen = async (): Promise<string[]> =>
      (await readFile(join(plane.root, LOG), 'utf8'))
        .split('\n')
        .filter((l) => l.includes('/omitted"'))
        .map((l) => {
          const { stage, requestURI } = JSON.parse(l) as { stage: string; requestURI: string };
          return `${stage} ${requestURI.split('/').at(-2) ?? ''}`;
        });
    for (let i = 0; i < 50 && (await seen()).length < 2; i++) await sleep(100);
    expect(await seen()).toEqual(['RequestReceived secrets', 'ResponseComplete secrets']);
  });

  it('an edit of what it refers to waits for its turn, as every change of it does', async () => {
    const referring = (rollout: object): Manifest =>
      enforcing(96, {
        enforced: {
          log: { retention: { maxAgeDays: 96 } },
          policy: { configMapRef: { name: 'theirs', namespace: NAMESPACE } },
        },
        rollout,
      });
    await must(operator.apply(policyMap('Metadata', 'theirs')));
    await must(operator.apply(referring({ paused: false })));
    await untilFlag('--audit-log-maxage=96');
    await must(operator.apply(referring({ paused: true })));
    await operator.until(datacenter({}), { type: 'Ready', status: 'True' });
    const before = await manifest();
    await must(operator.apply(policyMap('Request', 'theirs')));
    await operator.until(datacenter({}), { type: 'RolledOut', status: 'False', reason: 'Paused' });
    // Nor for a controller that has just started, nor where it is deleted.
    await operator.controller.end(10_000);
    operator.startController();
    await must(operator.delete(policyMap('', 'theirs')));
    await operator.until(datacenter({}), { type: 'Accepted', status: 'False', reason: 'ReferenceNotFound' });
    await sleep(2_000);
    expect(await manifest()).toBe(before);
    expect(conditionOf((await operator.get(main)) as AuditConfigView, 'Accepted')).toMatchObject({ status: 'True' });
    await must(operator.apply(policyMap('Request', 'theirs')));
    await must(operator.apply(referring({ paused: false })));
    for (let i = 0; i < 300 && (await manifest()) === before; i++) await sleep(200);
    expect(digestIn(await manifest())).not.toBe(digestIn(before));
    await operator.until(datacenter({}), { type: 'Ready', status: 'True' });
    const shown = await cli('explain-config', 'main', '-n', NAMESPACE, '--kubeconfig', plane.kubeconfigPath);
    expect(shown.stderr).toBe('');
    await must(operator.apply(enforcing(96)));
  });

  it('a deleted CRD of datacenters changes nothing', async () => {
    await must(operator.apply(config({ log: { retention: { maxAgeDays: 7, maxBackups: 9 } } })));
    await operator.until(main, { type: 'Ready', status: 'True' });
    const running = await manifest();
    const stored = (await plane.request('GET', CRD)).body as Manifest;
    await must(plane.request('DELETE', CRD));
    while ((await plane.request('GET', CRD)).status !== 404) await sleep(100);
    await operator.controller.end(10_000);
    operator.startController();
    const metadata = { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'nobody', uid: 'none' }] };
    expect((await asTenant('PATCH', `${PATH}?dryRun=All`, { metadata })).text).toContain(
      'bound by DatacenterAuditConfig eu',
    );
    // Something else changes: the datacenter's part stays, and the owner's goes on.
    await must(operator.apply(config({ log: { retention: { maxAgeDays: 7, maxBackups: 10 } } })));
    const status = await untilFlag('--audit-log-maxbackup=10');
    expect(await manifest()).toBe(
      running
        .replace('--audit-log-maxbackup=9\n', '--audit-log-maxbackup=10\n')
        .replaceAll(digestIn(running), digestIn(await manifest())),
    );
    expect(status.datacenters).toMatchObject([{ name: 'eu', binding: true }]);
    const { apiVersion, kind, spec } = stored as Manifest & { spec: unknown };
    await must(
      plane.request('POST', CRD.replace(/\/[^/]*$/, ''), {
        body: { apiVersion, kind, metadata: { name: stored.metadata.name }, spec },
      }),
    );
    while ((await operator.apply(enforcing(94))).status >= 400) await sleep(200);
    await operator.until(datacenter({}), { type: 'Ready', status: 'True' });
  });

  it('a datacenter that is deleted gives back what the owner had set, and is gone when all have it', async () => {
    await must(operator.delete(datacenter({})));
    await operator.untilGone(datacenter({}));
    const status = await untilFlag('--audit-log-maxage=7');
    expect(status.datacenters).toBeUndefined();
    expect((await asTenant('DELETE', PATH)).status).toBe(200);
    await operator.untilGone(main);
  });
});

/** Folders of revisions are named by digest. */
const digestIn = (text: string): string => /revisions\/([0-9a-f]+)/.exec(text)?.[1] ?? 'none';
