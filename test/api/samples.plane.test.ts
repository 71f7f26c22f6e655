/** The samples of deploy/ are true: a real API server takes every document of them. */
import { readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { PLANE_VERSIONS } from '../control-plane/versions.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const SAMPLES = join(ROOT, 'deploy/samples');
const NAMESPACE = 'auditconfig-system';
const PATHS: Readonly<Record<string, string>> = {
  AuditConfig: `/apis/auditconfig.dev/v1alpha1/namespaces/${NAMESPACE}/auditconfigs`,
  ConfigMap: `/api/v1/namespaces/${NAMESPACE}/configmaps`,
  Secret: `/api/v1/namespaces/${NAMESPACE}/secrets`,
};
const documents = (file: string): unknown[] =>
  parseAllDocuments(readFileSync(file, 'utf8')).map((d) => d.toJS() as unknown);

describe.each(PLANE_VERSIONS.map((v) => [v] as const))('on a kube-apiserver %s', (version) => {
  let plane: ControlPlane;
  beforeAll(async () => {
    plane = await startControlPlane({ version });
    const [crd] = documents(join(ROOT, 'crds/auditconfig.dev_auditconfigs.yaml'));
    await plane.request('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', { body: crd });
    await plane.request('POST', '/api/v1/namespaces', { body: { metadata: { name: NAMESPACE } } });
    while ((await plane.request('GET', PATHS['AuditConfig'] ?? '')).status !== 200) await sleep(50);
  });
  afterAll(async () => plane?.stop());

  it.each(readdirSync(SAMPLES).filter((f) => f.endsWith('.yaml')))('%s is accepted', async (sample) => {
    for (const body of documents(join(SAMPLES, sample))) {
      const { kind } = body as { kind: string };
      const r = await plane.request('POST', `${PATHS[kind] ?? kind}?dryRun=All&fieldValidation=Strict`, { body });
      expect(r.status, r.text).toBe(201);
    }
  });
});
