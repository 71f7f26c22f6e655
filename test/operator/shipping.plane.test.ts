/**
 * Shipping of control-plane nodes on a real API server, with the controller, rights and admission that ship: the DaemonSet is
 * accepted, follows changes without a needless write, goes when shipping goes, and is all that the controller can make.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { applyPatiently, createNode, OPERATOR_NAMESPACE, pathOf, removeAndWait, tokenOf } from './install.ts';
import { startController } from '../controllers/running.ts';
import type { Manifest } from './install.ts';

type DaemonSet = Manifest & {
  readonly metadata: { readonly generation: number; readonly resourceVersion: string };
  readonly spec: {
    readonly template: {
      readonly metadata: Manifest['metadata'] & { annotations: Record<string, string> };
      readonly spec: PodSpec;
    };
  };
};
type PodSpec = Record<string, unknown> & {
  readonly containers: readonly (Record<string, unknown> & {
    readonly env: readonly { name: string; value?: string }[];
  })[];
  readonly volumes: readonly Record<string, unknown>[];
};

const FORWARD = { Name: 'forward', Match: '*', Host: 'collector', Port: 24224 };
const config = (fluentBit: object | undefined): Manifest => ({
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'AuditConfig',
  metadata: { name: 'control-plane', namespace: OPERATOR_NAMESPACE },
  spec: {
    target: { type: 'StaticPod' },
    ...(fluentBit === undefined ? {} : { shipping: { type: 'FluentBit', fluentBit } }),
  },
});
const NOTED = { ...config(undefined).metadata, annotations: { note: 'nothing of spec' } };
const DAEMON_SETS = `/apis/apps/v1/namespaces/${OPERATOR_NAMESPACE}/daemonsets`;

describe('shipping of control-plane nodes', () => {
  let plane: ControlPlane;
  let controller: Promise<void>;
  let token: string;
  const stop = new AbortController();

  beforeAll(async () => {
    plane = await startControlPlane({ version: '1.36' });
    controller = (await startController(plane, stop.signal)).ended;
    await createNode(plane, 'cp-1');
    token = await tokenOf(plane, 'auditconfig-controller');
  });
  afterAll(async () => {
    stop.abort();
    await controller;
    await plane?.stop();
  });

  const put = (object: Manifest): Promise<void> => applyPatiently(plane, object);
  const shipper = async (): Promise<DaemonSet | undefined> => {
    const list = await plane.request('GET', `${DAEMON_SETS}?labelSelector=auditconfig.dev/shipper-of`);
    return (list.body as { items: DaemonSet[] }).items[0];
  };
  const until = async (holds: (d: DaemonSet | undefined) => boolean): Promise<DaemonSet | undefined> => {
    const end = Date.now() + 120_000;
    for (;;) {
      const now = await shipper();
      if (holds(now)) return now;
      if (Date.now() > end) {
        const { body } = await plane.request('GET', pathOf(config(undefined)));
        throw new Error(JSON.stringify([now, (body as { status: unknown }).status], null, 1));
      }
      await sleep(100);
    }
  };
  const text = (d: DaemonSet | undefined): string =>
    d?.spec.template.metadata.annotations['auditconfig.dev/fluent-bit'] ?? '';

  /** PATCH requests for DaemonSets that were answered, by anybody. */
  const patches = async (): Promise<number> => {
    const { text: metrics } = await plane.request('GET', '/metrics');
    const lines = metrics.split('\n').filter((l) => l.startsWith('apiserver_request_total{'));
    const of = lines.filter((l) => l.includes('resource="daemonsets"') && /verb="(APPLY|PATCH)"/.test(l));
    return of.reduce((sum, l) => sum + Number(l.split(' ').at(-1)), 0);
  };

  it('a DaemonSet comes, follows what is changed, is written no more than that, and goes', async () => {
    const resources = { requests: {}, limits: { cpu: '1000m', memory: '0.5Gi' } };
    const env = [
      { name: 'EMPTY', value: '' },
      { name: 'TOKEN', secretKeyRef: { name: 's', key: 'k' } },
    ];
    const files = [{ name: 'ca.crt', secretKeyRef: { name: 's', key: 'ca' } }];
    await put(config({ resources, env, files, outputs: [{ ...FORWARD, 'tls.ca_file': 'ca.crt' }] }));
    const first = await until((d) => d !== undefined);
    if (first === undefined) throw new Error('no DaemonSet');
    expect(first.spec.template.spec.volumes.map((v) => v['name'])).toContain('auditconfig-shipping-files');
    const cluster = (await plane.request('GET', '/api/v1/namespaces/kube-system')).body as {
      metadata: { uid: string };
    };
    expect(first.spec.template.spec.containers[0]?.env[0]?.value).toBe(cluster.metadata.uid);
    expect(text(first)).toContain('"host": "collector"');

    // Its pods are ones that the API server takes.
    await put({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'default', namespace: OPERATOR_NAMESPACE },
    });
    const { metadata, spec } = first.spec.template;
    const pod = await plane.request('POST', `/api/v1/namespaces/${OPERATOR_NAMESPACE}/pods`, {
      body: { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, name: 'made' }, spec },
    });
    expect([pod.status, pod.status === 201 ? '' : pod.text]).toEqual([201, '']);
    expect(JSON.stringify(pod.body)).not.toContain('kube-api-access');

    await put(
      config({
        resources: { requests: {}, limits: { memory: '512Mi', cpu: '1' } },
        env,
        files,
        outputs: [{ ...FORWARD, Port: '24224', 'TLS.ca_file': 'ca.crt' }],
      }),
    );
    const again = { ...FORWARD, PORT: '24224', Port: undefined, 'tls.ca_file': 'ca.crt' };
    await put(config({ resources, env, files, outputs: [again] }));
    // Whatever was to be written has been by the time that the next change is there.
    await put(config({ resources, env, outputs: [{ ...FORWARD, Host: 'elsewhere' }] }));
    const second = await until((d) => text(d).includes('"host": "elsewhere"'));
    expect(second?.metadata.generation).toBe(first.metadata.generation + 1);
    await sleep(1_500);
    expect((await shipper())?.metadata.resourceVersion).toBe(second?.metadata.resourceVersion);

    // It is decided again, and nothing is asked for: not even what an API server would find to be no change.
    const asked = await patches();
    await put({ ...config({ resources, env, outputs: [{ ...FORWARD, Host: 'elsewhere' }] }), metadata: NOTED });
    await sleep(1_500);
    expect([await patches(), asked > 0]).toEqual([asked, true]);

    // Somebody changes it: put right.
    const edit = [{ op: 'replace', path: '/spec/template/spec/containers/0/image', value: 'other:1' }];
    await plane.request('PATCH', `${DAEMON_SETS}/${first.metadata.name}`, {
      body: edit,
      contentType: 'application/json-patch+json',
    });
    await until((d) => String(d?.spec.template.spec.containers[0]?.['image']).startsWith('fluent/fluent-bit:'));

    await put(config(undefined));
    await until((d) => d === undefined);
  });

  it('with the AuditConfig it goes too', async () => {
    await put(config({ outputs: [FORWARD] }));
    await until((d) => d !== undefined);
    await plane.request('DELETE', '/api/v1/nodes/cp-1');
    // The DaemonSet goes first, the finalizer after it: until then there is nothing that the next test could apply to.
    await removeAndWait(plane, config(undefined));
    expect(await shipper()).toBeUndefined();
  });

  it('what is applied while a deletion waits goes with it, and the same applied after it is shipped', async () => {
    const object = config({ outputs: [FORWARD] });
    await put(object);
    await until((d) => d !== undefined);
    const hold = [{ op: 'add', path: '/metadata/finalizers/-', value: 'test.auditconfig.dev/hold' }];
    const contentType = 'application/json-patch+json';
    expect((await plane.request('PATCH', pathOf(object), { body: hold, contentType })).status).toBe(200);
    await plane.request('DELETE', pathOf(object));
    await until((d) => d === undefined);
    await expect(put(object)).rejects.toThrow(/while its deletion waits for .*test\.auditconfig\.dev\/hold/);
    const body = { metadata: { finalizers: null } };
    await plane.request('PATCH', pathOf(object), { body, contentType: 'application/merge-patch+json' });
    await removeAndWait(plane, object);
    expect(await shipper()).toBeUndefined();
    await put(object);
    await until((d) => d !== undefined);
    await removeAndWait(plane, object);
  });

  it('no other DaemonSet can be made, changed or deleted with the controller’s rights', async () => {
    await createNode(plane, 'cp-2');
    await put(config({ outputs: [FORWARD] }));
    const own = await until((d) => d !== undefined);
    if (own === undefined) throw new Error('no DaemonSet');
    const pod = own.spec.template.spec;
    const [container] = pod.containers;
    const made = (change: (name: string) => { name?: string; spec?: object; container?: object }): object => {
      const c = change(own.metadata.name);
      const { apiVersion, kind } = own;
      const template = {
        ...own.spec.template,
        spec: { ...pod, containers: [{ ...container, ...c.container }], ...c.spec },
      };
      return {
        apiVersion,
        kind,
        metadata: { name: c.name ?? 'auditconfig-shipping-x' },
        spec: { ...own.spec, template },
      };
    };
    const create = async (body: object): Promise<string> => {
      const reply = await plane.request('POST', `${DAEMON_SETS}?dryRun=All`, { body, token });
      return reply.status === 201 ? 'made' : `${reply.status}`;
    };
    const hostPath = (path: string): object[] =>
      [...pod.volumes, { name: 'auditconfig-log', hostPath: { path } }].filter(
        (v, i, all) => all.findLastIndex((x) => (x as { name: string }).name === (v as { name: string }).name) === i,
      );
    // A policy counts when the API server has read it.
    while ((await create(made(() => ({ name: 'agent' })))) === 'made') await sleep(100);
    expect(await create(made(() => ({})))).toBe('made');
    const FILES = 'auditconfig-shipping-files';
    const files = (...sources: readonly object[]): object[] => [
      ...pod.volumes,
      { name: FILES, projected: { sources: [{ secret: { name: 's' } }, { configMap: { name: 'c' } }, ...sources] } },
    ];
    expect(await create(made(() => ({ spec: { volumes: files() } })))).toBe('made');
    const refused: Record<string, ReturnType<Parameters<typeof made>[0]>> = {
      'another name': { name: 'auditconfig-agent' },
      privileged: { container: { securityContext: { privileged: true } } },
      'with a capability': { container: { securityContext: { ...(container?.['securityContext'] as object), capabilities: { drop: ['ALL'], add: ['SYS_ADMIN'] } } } },
      'without a securityContext': { container: { securityContext: null } },
      'with more containers': { spec: { containers: [container, { ...container, name: 'b' }] } },
      'on the network of its node': { spec: { hostNetwork: true } },
      'among the processes of its node': { spec: { hostPID: true } },
      'with an account': { spec: { serviceAccountName: 'auditconfig-agent' } },
      'with a token': { spec: { automountServiceAccountToken: true } },
      'with a Secret': { spec: { volumes: [...pod.volumes, { name: 's', secret: { secretName: 's' } }] } },
      'with a token among its files': { spec: { volumes: files({ serviceAccountToken: { path: 't' } }) } },
      'with the node among its files': { spec: { volumes: [...pod.volumes, { name: FILES, hostPath: { path: '/etc' } }] } },
      'with the whole node': { spec: { volumes: hostPath('/') } },
      'with /etc': { spec: { volumes: hostPath('/etc/kubernetes') } },
      'with a way out of its folder': { spec: { volumes: hostPath('/var/log/x/../../../etc') } },
      'with /var/lib': { spec: { volumes: hostPath('/var/lib/etcd') } },
      'with a writable log': { container: { volumeMounts: [{ name: 'auditconfig-log', mountPath: '/l' }] } },
    }; // prettier-ignore
    for (const [what, change] of Object.entries(refused))
      expect([what, await create(made(() => change))]).toEqual([what, '422']);

    const agent = { ...made(() => ({ name: 'auditconfig-agent' })), metadata: { name: 'auditconfig-agent' } };
    expect((await plane.request('POST', DAEMON_SETS, { body: agent })).status).toBe(201);
    expect((await plane.request('DELETE', `${DAEMON_SETS}/auditconfig-agent`, { token })).status).toBe(422);
    const patch = { spec: { template: { metadata: { annotations: { a: 'b' } } } } };
    const changed = await plane.request('PATCH', `${DAEMON_SETS}/auditconfig-agent`, {
      body: patch, contentType: 'application/merge-patch+json', token,
    }); // prettier-ignore
    expect(changed.status).toBe(422);
  });
});
