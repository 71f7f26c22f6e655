/**
 * The edges of kubeadmConfig: Sync: what is known of kube-system/kubeadm-config, from a watch of that one object, and the
 * one request that changes it. What is to be written is decided in src/rollout/kubeadm.ts.
 */
import type { KubeClient } from '../kube/client.ts';
import type { JsonPatch } from '../kube/client.ts';
import type { Kube } from '../kube/connect.ts';
import { fail } from '../kube/errors.ts';
import type { Result } from '../kube/errors.ts';
import type { Reflector } from '../kube/reflector.ts';
import type { KubeObject } from '../kube/types.ts';
import type { KubeadmFact, KubeadmPatch } from '../rollout/kubeadm.ts';
import { KUBEADM_ANNOTATION, KUBEADM_CONFIG, KUBEADM_CONFIG_KEY, kubeadmRecord } from '../targets/kubeadm-config.ts';
import { KUBEADM_CONFIGS, keepKubeadm } from './resources.ts';
import type { KubeadmView } from './resources.ts';

export const reflectKubeadm = (kube: Pick<Kube, 'reflect'>): Reflector<KubeadmView> =>
  kube.reflect({
    resource: KUBEADM_CONFIGS,
    project: keepKubeadm,
    indexes: {},
    namespace: KUBEADM_CONFIG.namespace,
    fieldSelector: `metadata.name=${KUBEADM_CONFIG.name}`,
  });

/** `configs` are all AuditConfigs: an owner that is gone, or is this one, takes it from nobody. */
export function kubeadmFact(cache: Reflector<KubeadmView>, uid: string, configs: Iterable<KubeObject>): KubeadmFact {
  if (!cache.synced) return { state: 'Unknown' };
  const view = cache.store.get(KUBEADM_CONFIG);
  if (view === undefined) return { state: 'Absent' };
  const record = kubeadmRecord(view.annotation);
  if (typeof record === 'string' || record.owner.uid === uid) return { state: 'There', ...view };
  const owner = [...configs].find((c) => c.metadata.uid === record.owner.uid);
  return {
    state: 'There',
    ...view,
    ...(owner === undefined ? {} : { taken: `${record.owner.namespace}/${record.owner.name}` }),
  };
}

const pointer = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1');

function operations(p: KubeadmPatch): JsonPatch {
  const path = `/metadata/annotations/${pointer(KUBEADM_ANNOTATION)}`;
  const note: JsonPatch =
    p.annotation === null
      ? [{ op: 'remove', path }]
      : p.hasAnnotations
        ? [{ op: 'add', path, value: p.annotation }]
        : [{ op: 'add', path: '/metadata/annotations', value: { [KUBEADM_ANNOTATION]: p.annotation } }];
  return [
    { op: 'test', path: '/metadata/resourceVersion', value: p.resourceVersion },
    ...(p.text === undefined ? [] : [{ op: 'replace', path: `/data/${KUBEADM_CONFIG_KEY}`, value: p.text } as const]),
    ...note,
  ];
}

/** Conflict where somebody wrote since it was read: the next reconcile looks again. */
export async function patchKubeadm(
  client: KubeClient,
  patch: KubeadmPatch,
  call: { readonly signal: AbortSignal; readonly fieldManager: string },
): Promise<Result<unknown>> {
  const done = await client.jsonPatch(KUBEADM_CONFIGS, KUBEADM_CONFIG, operations(patch), call);
  // A failed test says Invalid, and so would nothing else of these operations.
  if (!done.ok && done.error.code === 'Invalid') return fail('Conflict', 'kubeadm-config was changed meanwhile');
  return done;
}
