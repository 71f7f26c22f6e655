/** Real API servers install the CRDs, refuse wrong resources with a message that helps, and accept right ones. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { PLANE_VERSIONS } from '../control-plane/versions.ts';
import { casesOf } from './resources.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const CONFIGS = '/apis/auditconfig.dev/v1alpha1/namespaces/default/auditconfigs';
const DATACENTERS = '/apis/auditconfig.dev/v1alpha1/datacenterauditconfigs';
const NODES = '/apis/auditconfig.dev/v1alpha1/auditnodes';
const crd = (file: string): { metadata: { name: string } } =>
  parse(readFileSync(join(ROOT, 'crds', file), 'utf8')) as { metadata: { name: string } };

type Condition = { type: string; status: string; message: string };

async function install(plane: ControlPlane, file: string): Promise<void> {
  const manifest = crd(file);
  const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
  const created = await plane.request('POST', path, { body: manifest });
  expect(created.status, created.text).toBe(201);
  for (;;) {
    const { body } = await plane.request('GET', `${path}/${manifest.metadata.name}`);
    const conditions = (body as { status?: { conditions?: Condition[] } }).status?.conditions ?? [];
    const bad = conditions.find((c) => c.type === 'NonStructuralSchema' && c.status === 'True');
    if (bad !== undefined) throw new Error(bad.message);
    if (conditions.some((c) => c.type === 'Established' && c.status === 'True')) return;
    await sleep(50);
  }
}

const node = (spec: object): object => ({
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'AuditNode',
  metadata: { name: 'cp-1' },
  spec: {
    nodeName: 'cp-1',
    auditConfigRef: { namespace: 'default', name: 'a', uid: 'u' },
    desired: { type: 'Removed' },
    timeoutSeconds: 300,
    ...spec,
  },
});

describe.each(PLANE_VERSIONS.map((v) => [v] as const))('on a kube-apiserver %s', (version) => {
  let plane: ControlPlane;
  beforeAll(async () => {
    plane = await startControlPlane({ version });
    await install(plane, 'auditconfig.dev_auditconfigs.yaml');
    await install(plane, 'auditconfig.dev_auditnodes.yaml');
    await install(plane, 'auditconfig.dev_datacenterauditconfigs.yaml');
    // Established is said a moment before requests are served.
    while ((await plane.request('GET', CONFIGS)).status !== 200) await sleep(50);
    while ((await plane.request('GET', NODES)).status !== 200) await sleep(50);
    while ((await plane.request('GET', DATACENTERS)).status !== 200) await sleep(50);
  });
  afterAll(async () => plane?.stop());

  const dryRun = '?dryRun=All&fieldValidation=Strict';

  it.each(casesOf('accepted').map((c) => [c.name, c] as const))('accepts %s', async (_name, c) => {
    const r = await plane.request('POST', `${CONFIGS}${dryRun}`, { body: c.object });
    expect(r.status, r.text).toBe(201);
    const stored = (r.body as { spec: unknown }).spec;
    expect(stored).toEqual(c.object['spec']);
  });

  it.each(casesOf('refused').map((c) => [c.name, c] as const))('refuses %s', async (_name, c) => {
    const r = await plane.request('POST', `${CONFIGS}${dryRun}`, { body: c.object });
    expect([400, 422], r.text).toContain(r.status);
    expect((r.body as { message: string }).message).toContain(c.expect);
  });

  it.each(casesOf('datacenter-accepted').map((c) => [c.name, c] as const))(
    'accepts a DatacenterAuditConfig: %s',
    async (_name, c) => {
      const r = await plane.request('POST', `${DATACENTERS}${dryRun}`, { body: c.object });
      expect(r.status, r.text).toBe(201);
      expect((r.body as { spec: unknown }).spec).toEqual(c.object['spec']);
    },
  );

  it.each(casesOf('datacenter-refused').map((c) => [c.name, c] as const))(
    'refuses a DatacenterAuditConfig: %s',
    async (_name, c) => {
      const r = await plane.request('POST', `${DATACENTERS}${dryRun}`, { body: c.object });
      expect([400, 422], r.text).toContain(r.status);
      expect((r.body as { message: string }).message).toContain(c.expect);
    },
  );

  it('refuses another target for an AuditConfig that is there', async () => {
    const [least] = casesOf('accepted').filter((c) => c.name === 'least');
    expect((await plane.request('POST', CONFIGS, { body: least?.object })).status).toBe(201);
    const path = `${CONFIGS}/least`;
    const r = await plane.request('PATCH', path, { body: { spec: { target: { type: 'K3s' } } } });
    expect(r.status).toBe(422);
    expect(r.text).toContain('target cannot be changed');
    expect((await plane.request('PATCH', path, { body: { spec: { state: 'Disabled' } } })).status).toBe(200);
  });

  it('takes another way to ask a hosted API server, and no other workload or container', async () => {
    const [hosted] = casesOf('accepted').filter((c) => c.name === 'target-hosted');
    const object = { ...hosted?.object, metadata: { name: 'asked' } };
    expect((await plane.request('POST', CONFIGS, { body: object })).status).toBe(201);
    const patched = async (fields: object): Promise<number> => {
      const body = { spec: { target: { hosted: fields } } };
      const r = await plane.request('PATCH', `${CONFIGS}/asked`, { body });
      if (r.status !== 200) expect(r.text).toContain('target cannot be changed');
      return r.status;
    };
    for (const kubeconfigSecretRef of [null, { name: 'one' }, { name: 'two', key: 'admin.conf' }, { key: null }, null])
      expect(await patched({ kubeconfigSecretRef })).toBe(200);
    for (const other of [{ name: 'other' }, { kind: 'StatefulSet' }, { container: 'other' }, { container: null }])
      expect(await patched({ ...other, kubeconfigSecretRef: { name: 'one' } })).toBe(422);
    const { status, text } = await plane.request('PATCH', `${CONFIGS}/asked`, {
      body: { spec: { target: { type: 'StaticPod', hosted: null } } },
    });
    expect([status, text]).toEqual([422, expect.stringContaining('target cannot be changed')]);
    // A member that may be absent is no way out either.
    const nodes = { staticPod: { nodeSelector: { a: 'b' } } };
    expect((await plane.request('PATCH', `${CONFIGS}/least`, { body: { spec: { target: nodes } } })).status).toBe(422);
  });

  it('prints what a person asks first', async () => {
    const accept = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' };
    const table = (await plane.request('GET', CONFIGS, { headers: accept })).body as {
      columnDefinitions: { name: string }[];
    };
    expect(table.columnDefinitions.map((c) => c.name).slice(0, 7)).toEqual([
      'Name', 'Ready', 'Reason', 'Preset', 'Nodes', 'Revision', 'Age',
    ]); // prettier-ignore
  });

  it('has short names, and one category for all', async () => {
    type Served = { name: string; shortNames?: string[]; categories?: string[]; namespaced: boolean };
    const served = async (): Promise<Served[]> => {
      const { body } = await plane.request('GET', '/apis/auditconfig.dev/v1alpha1');
      const { resources = [] } = (body ?? {}) as { resources?: Served[] };
      return resources.filter((r) => !r.name.includes('/')).sort((a, b) => (a.name < b.name ? -1 : 1));
    };
    // Discovery learns of the second CRD a moment after it is served.
    let kinds = await served();
    for (let i = 0; i < 100 && kinds.length < 3; i++) {
      await sleep(100);
      kinds = await served();
    }
    expect(kinds.map((r) => [r.name, r.shortNames, r.categories, r.namespaced])).toEqual([
      ['auditconfigs', ['ac'], ['audit'], true],
      ['auditnodes', ['an'], ['audit'], false],
      ['datacenterauditconfigs', ['dac'], ['audit'], false],
    ]);
  });

  it('keeps status apart from spec', async () => {
    const r = await plane.request('PATCH', `${CONFIGS}/least`, { body: { status: { observedGeneration: 7 } } });
    expect((r.body as { status?: unknown }).status).toBeUndefined();
    const s = await plane.request('PATCH', `${CONFIGS}/least/status`, { body: { status: { observedGeneration: 7 } } });
    expect((s.body as { status?: unknown }).status).toEqual({ observedGeneration: 7 });
  });

  it('takes AuditNodes that are named as their node and whose union is whole', async () => {
    const digest = 'a'.repeat(64);
    const revision = { kind: 'ConfigMap', namespace: 'n', name: 'r', digest };
    const post = async (spec: object): Promise<string> =>
      (await plane.request('POST', `${NODES}${dryRun}`, { body: node(spec) })).text;
    expect(await post({})).toContain('"kind":"AuditNode"');
    expect(await post({ desired: { type: 'Revision', revision } })).toContain('"kind":"AuditNode"');
    expect(await post({ nodeName: 'cp-2' })).toContain('an AuditNode is named as its node');
    expect(await post({ desired: { type: 'Revision' } })).toContain('revision belongs to type Revision');
    expect(await post({ desired: { type: 'Removed', revision } })).toContain('revision belongs to type Revision');
    expect(await post({ desired: { type: 'Revision', revision: { ...revision, digest: 'x' } } })).toContain('digest');
  });
});
