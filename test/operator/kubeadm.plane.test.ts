/**
 * kubeadmConfig: Sync on a real kube-apiserver with the rights that ship: kube-system/kubeadm-config follows, is left
 * alone when nothing is to be said, is put right, and is given back. What kubeadm makes of it: test/cluster.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { V4 } from '../targets/kubeadm-config/configs.ts';
import { OPERATOR_NAMESPACE } from './install.ts';
import type { Manifest } from './install.ts';
import { Operator } from './operator.ts';

const TYPE = 'KubeadmConfigSynced';
const PATH = '/api/v1/namespaces/kube-system/configmaps/kubeadm-config';
const ANNOTATION = 'auditconfig.dev/kubeadm-config';
const main = (spec: Record<string, unknown> = {}): Manifest => ({
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'AuditConfig',
  metadata: { name: 'main', namespace: OPERATOR_NAMESPACE },
  spec: {
    target: { type: 'StaticPod' },
    rollout: { minReadySeconds: 0, timeoutSeconds: 60 },
    kubeadmConfig: 'Sync',
    ...spec,
  },
});
type ConfigMap = {
  readonly metadata: { readonly resourceVersion: string; readonly annotations?: Readonly<Record<string, string>> };
  readonly data: Readonly<Record<string, string>>;
};

describe('kubeadm-config on a real API server', () => {
  let plane: ControlPlane;
  let operator: Operator;
  const configMap = async (): Promise<ConfigMap> =>
    (await operator.get({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'kubeadm-config', namespace: 'kube-system' },
    })) as ConfigMap;
  const textNow = async (): Promise<string | undefined> => (await configMap()).data['ClusterConfiguration'];
  const edit = async (change: (text: string) => string): Promise<void> => {
    const data = { ClusterConfiguration: change((await textNow()) ?? '') };
    expect((await plane.request('PATCH', PATH, { body: { data } })).status).toBe(200);
  };
  const untilText = async (holds: (text: string) => boolean): Promise<string> => {
    for (const end = Date.now() + 60_000; Date.now() < end; await sleep(100)) {
      const text = (await textNow()) ?? '';
      if (holds(text)) return text;
    }
    throw new Error(`${await textNow()}\n${operator.words()}`);
  };

  beforeAll(async () => {
    plane = await startControlPlane({ version: '1.36', run: 'manifest' });
    operator = await Operator.start({ plane });
    const body = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'kubeadm-config', namespace: 'kube-system' },
      data: { ClusterConfiguration: V4, Other: 'stays' },
    };
    expect((await plane.request('POST', '/api/v1/namespaces/kube-system/configmaps', { body })).status).toBe(201);
  });
  afterAll(async () => {
    await operator?.stop();
    await plane?.stop();
  });

  it('it names the revision once the node runs it, and keeps what else is there', async () => {
    await operator.apply(main());
    const done = await operator.until(main(), { type: TYPE, status: 'True', reason: 'Synced' });
    const { data, metadata } = await configMap();
    expect(data['ClusterConfiguration']).toContain(
      `revisions/${done.status?.revision?.digest.slice(0, 16)}/policy.yaml`,
    );
    expect(data['ClusterConfiguration']).toContain('# asked for by support');
    expect(data['Other']).toBe('stays');
    expect(JSON.parse(metadata.annotations?.[ANNOTATION] ?? '')).toMatchObject({ owner: { name: 'main' }, before: V4 });
    await operator.until(main(), { type: 'Ready', status: 'True' });
  });

  it('nothing is written while nothing changed, also after somebody wrote something else into it', async () => {
    await edit((t) => t.replace('clusterName: kubernetes', 'clusterName: other'));
    const { resourceVersion } = (await configMap()).metadata;
    await sleep(3_000);
    expect((await configMap()).metadata.resourceVersion).toBe(resourceVersion);
    await edit((t) => t.replace('clusterName: other', 'clusterName: kubernetes'));
  });

  it('what somebody does to our flags is put right', async () => {
    const before = await textNow();
    await edit((t) => t.replace('value: "30"', 'value: "3"'));
    expect(await untilText((t) => t.includes('value: "30"'))).toBe(before);
  });

  it('a version that is not understood is left alone and said; when it is understood again, all goes on', async () => {
    const ours = (await textNow()) ?? '';
    await edit(() => V4.replace('v1beta4', 'v1beta5'));
    const said = await operator.until(main(), { type: TYPE, status: 'False', reason: 'UnknownVersion' });
    expect(said.status?.conditions?.find((c) => c.type === 'Ready')).toMatchObject({ status: 'False' });
    expect(await textNow()).toBe(V4.replace('v1beta4', 'v1beta5'));
    await edit(() => V4);
    await operator.until(main(), { type: TYPE, status: 'True' });
    expect(await textNow()).toBe(ours);
  });

  it('with Ignore our flags are taken out, the node keeps running', async () => {
    const started = plane.apiserver.startedAt;
    await operator.apply(main({ kubeadmConfig: 'Ignore' }));
    await untilText((t) => t === V4);
    expect((await configMap()).metadata.annotations?.[ANNOTATION]).toBeUndefined();
    await operator.until(main(), { type: 'Ready', status: 'True' });
    expect(plane.apiserver.startedAt).toBe(started);
  });

  it('a deleted AuditConfig gives back the very bytes', async () => {
    await operator.apply(main());
    await operator.until(main(), { type: TYPE, status: 'True' });
    expect(await textNow()).not.toBe(V4);
    await operator.delete(main());
    await operator.untilGone(main());
    expect(await textNow()).toBe(V4);
    expect((await configMap()).metadata.annotations?.[ANNOTATION]).toBeUndefined();
  });
});
