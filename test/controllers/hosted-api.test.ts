/** A tenant's kubeconfig is judged before the controller speaks to anybody by it. */
import { describe, expect, it } from 'vitest';
import { Registry } from 'prom-client';
import { hostedApi } from '../../src/controllers/hosted/api-server.ts';
import { createKubeMetrics } from '../../src/telemetry/kube-metrics.ts';

const kubeconfig = (server: string, cluster = ''): Uint8Array =>
  new TextEncoder().encode(`apiVersion: v1
kind: Config
current-context: a
contexts: [{name: a, context: {cluster: a, user: a}}]
clusters: [{name: a, cluster: {server: "${server}"${cluster}}}]
users: [{name: a, user: {token: canary-token}}]
`);

const answer = (bytes: Uint8Array): string => {
  const options = { metrics: createKubeMetrics(new Registry()), userAgent: 'test', now: Date.now() };
  const made = hostedApi(bytes, options);
  return 'refused' in made ? made.refused : 'made';
};

describe('the kubeconfig of a hosted API server', () => {
  it.each(['https://cp.tenant.svc:6443', 'https://10.1.2.3:6443', 'https://[fd12::7]:6443'])('%s is asked', (server) =>
    expect(answer(kubeconfig(server))).toBe('made'),
  );

  it.each([
    'https://169.254.169.254',
    'https://[::ffff:169.254.169.254]:443',
    'https://[64:ff9b::a9fe:a9fe]',
    'https://2852039166/', // the same address, as a number
    'https://[fe80::1]:6443',
    'https://0.0.0.0:6443',
  ])('%s is not: what answers there is the node’s or its cloud’s', (server) => {
    expect(answer(kubeconfig(server))).toBe('server is an address of the host or of its cloud');
  });

  it.each([
    ['https', kubeconfig('http://10.1.2.3')],
    ['insecure-skip-tls-verify', kubeconfig('https://10.1.2.3', ', insecure-skip-tls-verify: true')],
    ['proxy-url', kubeconfig('https://10.1.2.3', ', proxy-url: "http://10.0.0.1:3128"')],
  ])('without %s being right it is refused, and no secret is said', (what, bytes) => {
    expect(answer(bytes)).toContain(what);
    expect(answer(bytes)).not.toContain('canary');
  });
});
