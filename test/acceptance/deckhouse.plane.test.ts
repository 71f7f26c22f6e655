/**
 * What the Deckhouse document does, done here: the built-in policy on and off, alone and together with a custom policy
 * from the Secret `audit-policy` with the key `audit-policy.yaml`; 1000 MB and 30 days; file and standard output. And its
 * recovery procedure (take the flags out of the manifest, stop the container, mend the Secret), which nobody needs: the
 * same broken policy is refused, and forced past every check it heals by itself. On real API servers.
 */
import { readFileSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { applyRevision } from '../../src/node/apply-revision.ts';
import { realHost } from '../../src/node/host.ts';
import { staticPodPlace } from '../../src/node/place.ts';
import { DEFAULT_LAYOUT } from '../../src/targets/host-layout.ts';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { PLANE_VERSIONS } from '../control-plane/versions.ts';
import type { Manifest } from '../operator/install.ts';
import { Operator, conditionOf } from '../operator/operator.ts';
import { revision } from '../targets/revisions.ts';
import { AuditedClient } from './audited.ts';
import type { Ask } from './audited.ts';

const NAMESPACE = 'auditconfig-system';
const LOG = 'var/log/kube-audit/audit.log';
/** The document's own example of a custom policy. */
const MINIMAL = readFileSync(`${import.meta.dirname}/fixtures/deckhouse-minimal.policy.yaml`, 'utf8');
const SECRETS_TOO = `apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: Metadata
  resources: [{group: "", resources: [secrets]}]
`;
/** "Unsupported options or typos in the configuration file may cause the API server to fail to start." */
const BROKEN = MINIMAL.replace('level: Metadata', 'level: Metadat');

const secret = (policy: string): Manifest => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'audit-policy', namespace: NAMESPACE },
  data: { 'audit-policy.yaml': Buffer.from(policy).toString('base64') },
});

type Settings = { readonly builtIn: boolean; readonly custom: boolean; readonly output?: 'File' | 'Stdout' };

const config = ({ builtIn, custom, output = 'File' }: Settings): Manifest => ({
  apiVersion: 'auditconfig.dev/v1alpha1',
  kind: 'AuditConfig',
  metadata: { name: 'control-plane-manager', namespace: NAMESPACE },
  spec: {
    target: { type: 'StaticPod' },
    policy: {
      ...(builtIn ? { preset: 'basic' } : {}),
      ...(custom ? { secretRef: { name: 'audit-policy' } } : {}),
    },
    log: { type: output, ...(output === 'File' ? { retention: { maxAgeDays: 30, maxSize: '1000Mi' } } : {}) },
    rollout: { minReadySeconds: 0, timeoutSeconds: 60 },
  },
});

const create = (path: string, body: Record<string, unknown>): Ask => ({ method: 'POST', path, body });
const named = { metadata: { generateName: 'deckhouse-' } };
const pods = '/api/v1/namespaces/default/pods';

/** The document's lists, a request for each line that an API server without its CRDs can be asked. */
const TOLD: readonly (readonly [told: string, ask: Ask, level: string])[] = [
  ['nodes made', create('/api/v1/nodes', named), 'RequestResponse'],
  ['changes in system namespaces', create('/api/v1/namespaces/kube-system/configmaps', named), 'Metadata'],
  ['lists of all resources', { method: 'GET', path: '/api/v1/namespaces/default/services' }, 'Metadata'],
  ['unauthenticated requests', { method: 'GET', path: '/api/v1/namespaces/default/secrets/x', token: '' }, 'Metadata'],
  [
    'pods made, with their images',
    create(pods, { ...named, spec: { containers: [{ name: 'c', image: 'example.org/c:1' }] } }),
    'Request',
  ],
  ['service accounts made', create('/api/v1/namespaces/default/serviceaccounts', named), 'Metadata'],
  ['roles', create('/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles', named), 'Request'],
  ['cluster roles', create('/apis/rbac.authorization.k8s.io/v1/clusterroles', named), 'Request'],
  [
    'cluster role bindings',
    create('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      ...named,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
    }),
    'Request',
  ],
  ['exec into pods', { method: 'GET', path: `${pods}/nobody/exec?command=id` }, 'Request'],
  ['attach to pods', { method: 'GET', path: `${pods}/nobody/attach` }, 'Request'],
  [
    'ephemeral containers',
    { method: 'PATCH', path: `${pods}/nobody/ephemeralcontainers`, body: { spec: { ephemeralContainers: [] } } },
    'Request',
  ],
  ['no endpoints', create('/api/v1/namespaces/kube-system/endpoints', named), 'None'],
  [
    'no leases',
    create('/apis/coordination.k8s.io/v1/namespaces/kube-system/leases', { ...named, spec: { holderIdentity: 'x' } }),
    'None',
  ],
  [
    'no config maps of leader election',
    {
      method: 'PUT',
      path: '/api/v1/namespaces/kube-system/configmaps/cert-manager-controller',
      body: { metadata: {} },
    },
    'None',
  ],
  ['nothing in the namespace of the probe', create('/api/v1/namespaces/d8-upmeter/configmaps', named), 'None'],
  ['nothing else', create('/api/v1/namespaces/default/configmaps', named), 'None'],
];

describe.each(PLANE_VERSIONS.map((v) => [v] as const))('Deckhouse, on kube-apiserver %s', (version) => {
  let plane: ControlPlane;
  let operator: Operator;
  let client: AuditedClient;
  let original: string;
  const manifest = (): Promise<string> => readFile(plane.manifestPath, 'utf8');

  beforeAll(async () => {
    plane = await startControlPlane({ version, run: 'manifest' });
    original = await manifest();
    // Every policy here logs lists.
    client = new AuditedClient(plane, join(plane.root, LOG), { method: 'GET', path: '/api/v1/namespaces' });
    operator = await Operator.start({ plane });
  });
  afterAll(async () => {
    await operator?.stop();
    await plane?.stop();
  });

  const ready = async (settings: Settings): Promise<void> => {
    await operator.apply(config(settings));
    await operator.until(config(settings), { type: 'Ready', status: 'True' });
  };
  const levels = async (): Promise<unknown> => {
    const ids: string[] = [];
    for (const [, ask] of TOLD) ids.push(await client.send(ask));
    return (await client.seen(ids)).map(({ level }, i) => [TOLD[i]?.[0], level]);
  };
  const getSecret: Ask = { method: 'GET', path: '/api/v1/namespaces/default/secrets/x' };
  const flags = async (): Promise<Record<string, string>> => {
    const args = (await readFile(`/proc/${plane.apiserver.pid}/cmdline`, 'utf8')).split('\0');
    const audit = args.filter((a) => a.startsWith('--audit-log-'));
    return Object.fromEntries(audit.map((a) => [a.slice(0, a.indexOf('=')), a.slice(a.indexOf('=') + 1)]));
  };

  it('logs with the built-in policy what the document lists', async () => {
    await ready({ builtIn: true, custom: false });
    expect(await levels()).toEqual(TOLD.map(([told, , level]) => [told, level]));
    const [read] = await client.seen([await client.send(getSecret)]);
    expect(read?.level).toBe('None');
  });

  it('rotates at 1000 MB and keeps 30 days', async () => {
    expect(await flags()).toMatchObject({ '--audit-log-maxsize': '1000', '--audit-log-maxage': '30' });
    expect((await flags())['--audit-log-path']).toBe(join(plane.root, LOG));
  });

  it('adds a custom policy to the built-in one', async () => {
    await operator.apply(secret(SECRETS_TOO));
    await ready({ builtIn: true, custom: true });
    expect(await levels()).toEqual(TOLD.map(([told, , level]) => [told, level]));
    const [read] = await client.seen([await client.send(getSecret)]);
    expect(read?.level).toBe('Metadata');
  });

  it('logs by the custom policy alone with the built-in one off', async () => {
    await operator.apply(secret(MINIMAL));
    await ready({ builtIn: false, custom: true });
    expect(await levels()).toEqual(TOLD.map(([told]) => [told, 'Metadata']));
  });

  it('refuses a typo in the Secret, and the API server runs on as it was', async () => {
    const [before, pid] = [await manifest(), plane.apiserver.pid];
    await operator.apply(secret(BROKEN));
    const want = { type: 'Accepted', status: 'False', reason: 'InvalidPolicy' };
    const refused = await operator.until(config({ builtIn: false, custom: true }), want);
    expect(conditionOf(refused, 'Accepted')?.message).toMatch(/Secret audit-policy.*line 4, column 10/);
    expect([await manifest(), plane.apiserver.pid]).toEqual([before, pid]);
    await operator.apply(secret(MINIMAL));
    await operator.until(config({ builtIn: false, custom: true }), { type: 'Ready', status: 'True' });
  });

  it('goes back by itself from the same typo where it is forced past every check', async () => {
    const before = await manifest();
    await operator.agent.end(10_000);
    const outcome = await applyRevision({
      host: realHost({ root: plane.root, proc: join(plane.root, 'proc') }),
      spec: staticPodPlace({ manifest: '/etc/kubernetes/manifests/kube-apiserver.yaml', layout: DEFAULT_LAYOUT }),
      to: revision({ policy: BROKEN }),
      version,
      checks: [],
      signal: AbortSignal.timeout(100_000),
    });
    expect(outcome).toMatchObject({
      kind: 'RolledBack',
      failure: { reason: 'CrashLoop', message: expect.stringContaining('Metadat') as unknown },
    });
    expect(await manifest()).toBe(before);
    operator.startAgent();
    await operator.until(config({ builtIn: false, custom: true }), { type: 'Ready', status: 'True' });
    expect(await levels()).toEqual(TOLD.map(([told]) => [told, 'Metadata']));
  });

  it('writes to standard output instead of the file', async () => {
    await ready({ builtIn: true, custom: true, output: 'Stdout' });
    expect(await flags()).toMatchObject({ '--audit-log-path': '-' });
    const id = await client.send({ method: 'GET', path: '/api/v1/namespaces' });
    // In the container's log, where a collector of the cluster finds it.
    await expect.poll(async () => await containerLog(plane), { timeout: 20_000 }).toContain(id);
    await sleep(200);
    expect(await readFile(join(plane.root, LOG), 'utf8')).not.toContain(id);
  });

  it('gives the manifest back, byte for byte', async () => {
    await operator.delete(config({ builtIn: true, custom: true }));
    await operator.untilGone(config({ builtIn: true, custom: true }));
    expect(await manifest()).toBe(original);
  });
});

/** What the kubelet has kept of the API server's own words. */
async function containerLog(plane: ControlPlane): Promise<string> {
  const pods = join(plane.root, 'var/log/pods');
  const files = (await readdir(pods, { recursive: true })).filter((f) => /kube-apiserver.*\.log$/.test(f));
  const texts = await Promise.all(files.map((f) => readFile(join(pods, f), 'utf8').catch(() => '')));
  return texts.join('\n');
}
