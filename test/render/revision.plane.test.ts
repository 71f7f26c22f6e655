/**
 * Rendered revisions against real API servers: they start with the flags, the policy and the kubeconfig as rendered,
 * and record. And the other way: what a field that is refused would have done.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { LayerSpec } from '../../src/api/auditconfig.ts';
import type { Revision } from '../../src/render/types.ts';
import { credentialFiles } from '../../src/render/webhook/credentials.ts';
import { resolveFlags } from '../../src/targets/host-layout.ts';
import { kubeadmPki } from '../control-plane/pki.ts';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { PLANE_VERSIONS } from '../control-plane/versions.ts';
import type { PlaneVersion } from '../control-plane/versions.ts';
import { holding, render, revisionOf, text } from './inputs.ts';

const pki = kubeadmPki(['localhost']);
const b64 = (name: string): string => Buffer.from(pki.files.get(name) ?? '').toString('base64');
const kubeconfig = (cluster: object, user?: object): string =>
  stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: user === undefined ? '' : 'u' } }],
    'current-context': 'x',
    users: user === undefined ? [] : [{ name: 'u', user }],
  });
const webhook = { secretRef: { name: 'w' } };

/** A control plane whose API server runs with a revision; `{root}` is its node's root. */
function start(version: PlaneVersion, revision: Revision): Promise<ControlPlane> {
  const dir = `etc/kubernetes/auditconfig/revisions/${revision.digest.slice(0, 16)}`;
  const onHost = { ...revision, ...(revision.logDir === undefined ? {} : { logDir: `{root}${revision.logDir}` }) };
  const layout = {
    revisionsDir: '{root}/etc/kubernetes/auditconfig/revisions',
    stateDir: '{root}/var/lib/auditconfig',
  };
  return startControlPlane({
    version,
    flags: resolveFlags(onHost, layout).map((f) => `${f.name}=${f.value}`),
    files: {
      [`${dir}/policy.yaml`]: text(revision.policy),
      ...(revision.webhook === undefined ? {} : { [`${dir}/webhook.yaml`]: text(revision.webhook.reveal()) }),
      ...Object.fromEntries(
        credentialFiles(revision.credentials?.reveal() ?? {}).map((f) => [`${dir}/${f.name}`, text(f.bytes)]),
      ),
    },
  });
}

const cases: readonly (readonly [string, LayerSpec, string, (plane: ControlPlane) => string])[] = [
  [
    'a file, and a webhook with a client certificate',
    { policy: { preset: 'balanced' }, webhook },
    kubeconfig(
      {
        server: 'https://127.0.0.1:1/events',
        'certificate-authority-data': Buffer.from(pki.ca.cert).toString('base64'),
      },
      {
        'client-certificate-data': b64('apiserver-kubelet-client.crt'),
        'client-key-data': b64('apiserver-kubelet-client.key'),
      },
    ),
    (plane) => readFileSync(join(plane.root, 'var/log/kube-audit/audit.log'), 'utf8'),
  ],
  [
    'standard output in batches, and a webhook with a token that truncates',
    {
      log: { type: 'Stdout', mode: 'Batch', batch: { throttle: { state: 'Enabled', qps: 100 } } },
      webhook: { ...webhook, truncate: { state: 'Enabled', maxEventSize: '1Mi', maxBatchSize: '1Mi' } },
    },
    kubeconfig({ server: 'https://127.0.0.1:1' }, { token: 'a' }),
    (plane) => plane.logs(),
  ],
  [
    'a legacy file, compressed and strict, and a webhook without a user',
    {
      log: {
        mode: 'BlockingStrict',
        file: { format: 'Legacy' },
        retention: { compression: 'Gzip', maxAgeDays: 0, totalSize: '2Mi', maxSize: '1Mi' },
      },
      webhook,
    },
    kubeconfig({ server: 'http://127.0.0.1:1' }),
    (plane) => readFileSync(join(plane.root, 'var/log/kube-audit/audit.log'), 'utf8'),
  ],
];

describe.each(PLANE_VERSIONS.map((v) => [v] as const))('a kube-apiserver %s', (version) => {
  it.each(cases)('starts and records with %s', async (_name, spec, config, recorded) => {
    const revision = revisionOf(render(spec, { webhook: holding({ 'webhook.yaml': config }), versions: [version] }));
    await using plane = await start(version, revision);
    const id = `00000000-0000-4000-8000-${Date.now().toString().padStart(12, '0')}`;
    const made = await plane.request('POST', '/api/v1/namespaces', {
      body: { metadata: { name: 'probe' } },
      headers: { 'audit-id': id },
    });
    expect(made.status).toBe(201);
    const until = Date.now() + 10_000;
    while (!recorded(plane).includes(id) && Date.now() < until) await sleep(50);
    expect(recorded(plane)).toContain(id);
  });
});

it('a batch that is smaller than an event, which is refused here, would not start', async () => {
  const good = revisionOf(render({ log: { type: 'Stdout' } }));
  const flags = good.flags.map((f) => (f.name === '--audit-log-truncate-max-batch-size' ? { ...f, value: '1' } : f));
  await expect(start('1.36', { ...good, flags })).rejects.toThrow(/max batch size/);
});
