/** A small custom resource for the tests of src/kube against a real API server, and what they all need around it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { KubeClient } from '../../src/kube/client.ts';
import { connectKube } from '../../src/kube/connect.ts';
import type { Kube } from '../../src/kube/connect.ts';
import { kubeConfigCredentials } from '../../src/kube/credentials.ts';
import type { Result } from '../../src/kube/errors.ts';
import { isRecord } from '../../src/kube/types.ts';
import type { KubeObject, Resource } from '../../src/kube/types.ts';
import { noKubeMetrics } from '../../src/telemetry/kube-metrics.ts';
import type { KubeMetrics } from '../../src/telemetry/kube-metrics.ts';
import { silentLogger } from '../../src/telemetry/logger.ts';
import type { Logger } from '../../src/telemetry/logger.ts';

export const THINGS: Resource = { group: 'test.dev', version: 'v1', plural: 'things', kind: 'Thing', namespaced: true };
export const CRDS: Resource = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
};
export const CONFIGMAPS: Resource = {
  group: '',
  version: 'v1',
  plural: 'configmaps',
  kind: 'ConfigMap',
  namespaced: true,
};

const n = { type: 'object', properties: { n: { type: 'integer', minimum: 0 }, note: { type: 'string' } } };
const THINGS_CRD: KubeObject = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'things.test.dev' },
  spec: {
    group: 'test.dev',
    scope: 'Namespaced',
    names: { plural: 'things', singular: 'thing', kind: 'Thing', listKind: 'ThingList' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: { openAPIV3Schema: { type: 'object', properties: { spec: n, status: n } } },
      },
    ],
  },
};

export const thing = (name: string, count: number): KubeObject => ({
  apiVersion: 'test.dev/v1',
  kind: 'Thing',
  metadata: { namespace: 'default', name },
  spec: { n: count },
});

export const numberIn = (object: KubeObject | undefined, part: 'spec' | 'status'): number | undefined => {
  const inside = object?.[part];
  return isRecord(inside) && typeof inside['n'] === 'number' ? inside['n'] : undefined;
};

export const connectTo = (
  plane: { readonly kubeconfigPath: string },
  more: { metrics?: KubeMetrics; log?: Logger; userAgent?: string } = {},
): Kube =>
  connectKube({
    credentials: kubeConfigCredentials({ from: 'File', path: plane.kubeconfigPath }),
    log: more.log ?? silentLogger,
    metrics: more.metrics ?? noKubeMetrics,
    userAgent: more.userAgent ?? 'auditconfig-test',
  });

/** Repeats until it succeeds; throws the last refusal when `ms` have passed. */
export async function must<T>(what: () => Promise<Result<T>>, ms = 60_000): Promise<T> {
  const end = Date.now() + ms;
  for (;;) {
    const result = await what();
    if (result.ok) return result.value;
    if (Date.now() > end) throw new Error(`${result.error.code}: ${result.error.message}`);
    await sleep(20);
  }
}

export async function until(what: () => boolean | Promise<boolean>, ms = 20_000): Promise<void> {
  const end = Date.now() + ms;
  while (!(await what())) {
    if (Date.now() > end) throw new Error(`not in ${ms} ms: ${what}`);
    await sleep(5);
  }
}

/** Makes the CRD and waits until it is served. */
export async function installThings(client: KubeClient, signal: AbortSignal): Promise<void> {
  await must(() => client.create(CRDS, THINGS_CRD, { signal }));
  await must(() => client.list(THINGS, { signal }));
}
