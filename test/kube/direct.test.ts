/** Past the load balancer to one API server: it is believed only with a certificate for the name that we trust. */
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { createConnections } from '../../src/kube/connections.ts';
import type { Credentials, TlsOptions } from '../../src/kube/credentials.ts';
import { credentialsAt } from '../../src/kube/direct.ts';
import { fail, ok } from '../../src/kube/errors.ts';
import { createTransport } from '../../src/kube/transport.ts';
import { noKubeMetrics } from '../../src/telemetry/kube-metrics.ts';
import { Authority } from '../control-plane/pki.ts';

const ca = new Authority('ca');
const seen: string[] = [];
let server: Server | undefined;

/** An API server of this node, with a certificate for `names`. */
async function serve(names: readonly string[]): Promise<number> {
  const started = createServer(
    { ...ca.issue({ commonName: 'x', names: [...names], usages: ['server'] }) },
    (req, res) => {
      seen.push(`${req.headers['audit-id'] ?? ''} ${req.headers.authorization ?? ''}`);
      res.end('{}');
    },
  );
  server = started;
  await new Promise<void>((resolve) => started.listen(0, '127.0.0.1', resolve));
  return (started.address() as AddressInfo).port;
}
afterEach(() => {
  server?.close();
  seen.length = 0;
});

const credentials = (url: string, tls: TlsOptions = {}): Credentials => ({
  current: () =>
    Promise.resolve(
      ok({
        server: new URL(url),
        headers: { authorization: 'Bearer t' },
        tls: { ca: ca.cert, ...tls },
        proxyUrl: 'http://127.0.0.1:1',
        fingerprint: 'f',
      }),
    ),
  invalidate: () => undefined,
  namespace: () => undefined,
});

async function ask(of: Credentials, port: number): Promise<string> {
  const connections = createConnections(credentialsAt(of, { host: '127.0.0.1', port }));
  const transport = createTransport({ connections, metrics: noKubeMetrics, userAgent: 'test' });
  const result = await transport.request({
    method: 'GET',
    path: '/version',
    headers: { 'audit-id': 'id', authorization: 'stolen' },
    signal: AbortSignal.timeout(5_000),
    about: { verb: 'get', resource: 'x' },
  });
  await transport.close();
  return result.ok ? 'ok' : result.error.code;
}

describe('credentials at one address', () => {
  it.each([
    ['the address of the kubeconfig, as kubeadm certifies it', ['10.96.0.1'], 'https://10.96.0.1:443', {}, 'ok'],
    ['the name of the kubeconfig', ['lb.example'], 'https://lb.example:6443', {}, 'ok'],
    ['the server name of the kubeconfig', ['api.example'], 'https://10.0.0.1', { servername: 'api.example' }, 'ok'],
    ['another name: a stranger on this port', ['other.example'], 'https://lb.example:6443', {}, 'TlsFailed'],
    ['the address that is connected to, and no more', ['127.0.0.1'], 'https://10.96.0.1:443', {}, 'TlsFailed'],
  ])('%s', async (...[, names, url, tls, want]) => {
    const port = await serve(names);
    expect(await ask(credentials(url, tls), port)).toBe(want);
    // No token went to a stranger, and no header displaced it.
    expect(seen).toEqual(want === 'ok' ? ['id Bearer t'] : []);
  });

  it('are refused where the API is reached without TLS', async () => {
    const port = await serve(['127.0.0.1']);
    expect(await ask(credentials('http://127.0.0.1:8001'), port)).toBe('CredentialsFailed');
    expect(seen).toEqual([]);
  });

  it('fail as those that they come from', async () => {
    const none: Credentials = {
      ...credentials('https://x'),
      current: () => Promise.resolve(fail('CredentialsFailed', 'no')),
    };
    expect(await credentialsAt(none, { host: '::1', port: 1 }).current()).toMatchObject({ ok: false });
    const six = await credentialsAt(credentials('https://x'), { host: '::1', port: 6443 }).current();
    expect(six.ok && six.value.server.href).toBe('https://[::1]:6443/');
  });
});
