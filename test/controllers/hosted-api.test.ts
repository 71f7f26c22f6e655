/** A tenant's kubeconfig is judged before the controller speaks to anybody by it. */
import { createServer } from 'node:https';
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Registry } from 'prom-client';
import { WHO_AM_I } from '../../src/analysis/proof.ts';
import { hostedApi } from '../../src/controllers/hosted/api-server.ts';
import type { HostedApi } from '../../src/controllers/hosted/api-server.ts';
import { createKubeMetrics } from '../../src/telemetry/kube-metrics.ts';
import { Authority } from '../control-plane/pki.ts';

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

describe('a name in the kubeconfig of a hosted API server', () => {
  const authority = new Authority('hosted-ca');
  const NAME = 'cp.tenant.example';
  const { cert, key } = authority.issue({ commonName: 'hosted', names: [NAME], usages: ['server'] });
  const served: string[] = [];
  let connections = 0;
  let respond: (r: ServerResponse) => void;
  const server = createServer({ cert, key }, (request, response) => {
    served.push(request.url ?? '');
    request.resume().on('end', () => respond(response));
  });
  const yes = (r: ServerResponse): unknown => r.setHeader('connection', 'close').end('{}');
  const never = new AbortController().signal;

  beforeAll(async () => {
    server.on('connection', () => (connections += 1)).on('tlsClientError', () => undefined);
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  });
  afterAll(() => new Promise<unknown>((done) => server.close(done).closeAllConnections()));

  type Opened = { readonly api: HostedApi; readonly resolved: string[]; readonly at: number };
  /** With a resolver that answers each question with the next of these, and the last of them from then on. */
  function open(...answers: readonly (readonly string[])[]): Opened {
    [respond, connections] = [yes, 0];
    const resolved: string[] = [];
    const resolve = (host: string) => {
      const texts = answers[Math.min(resolved.push(host), answers.length) - 1] ?? [];
      return Promise.resolve(texts.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })));
    };
    const ca = `, certificate-authority-data: ${Buffer.from(authority.cert).toString('base64')}`;
    const { port } = server.address() as AddressInfo;
    const options = { metrics: createKubeMetrics(new Registry()), userAgent: 'test', now: Date.now(), resolve };
    const made = hostedApi(kubeconfig(`https://${NAME}:${port}`, ca), options);
    if ('refused' in made) throw new Error(made.refused);
    return { api: made.api, resolved, at: served.length };
  }
  const ask = async ({ api }: Opened): Promise<boolean> => (await api.ask(WHO_AM_I, 'id', never)).ok;

  it('is asked at the address that it was judged by', async () => {
    const opened = open(['127.0.0.1']);
    expect([await ask(opened), opened.api.refused()]).toEqual([true, undefined]);
    expect(await opened.api.metrics(() => undefined, never)).toBe(true);
    expect([served.length - opened.at, new Set(opened.resolved)]).toEqual([2, new Set([NAME])]);
    await opened.api.close();
  });

  it.each([
    [['169.254.169.254']],
    [['::ffff:169.254.169.254']],
    [['64:ff9b::a9fe:a9fe']],
    [['fe80::1']],
    [['fe80::1%eth0']],
    [['0.0.0.0']],
    [['127.0.0.1', '169.254.169.254']],
    [['fd00:ec2::254', '127.0.0.1']],
  ])('that leads to %s is not: not a byte is sent anywhere', async (addresses) => {
    const opened = open(addresses);
    expect(await ask(opened)).toBe(false);
    expect(await opened.api.metrics(() => undefined, never)).toBe(false);
    expect(opened.api.refused()).toBe('server leads to an address of the host or of its cloud');
    expect([served.length - opened.at, connections]).toEqual([0, 0]);
    await opened.api.close();
  });

  it('that means something else at the next connection is judged anew', async () => {
    const opened = open(['127.0.0.1'], ['169.254.169.254']);
    expect([await ask(opened), await ask(opened)]).toEqual([true, false]);
    expect([opened.api.refused() === undefined, served.length - opened.at]).toEqual([false, 1]);
    await opened.api.close();
  });

  it('and an answer that points elsewhere is followed nowhere', async () => {
    const opened = open(['127.0.0.1']);
    const { port } = server.address() as AddressInfo;
    for (const location of ['https://169.254.169.254/', `https://elsewhere.example:${port}/`, '/latest/meta-data'])
      for (const status of [301, 302, 307, 308]) {
        respond = (r) => r.writeHead(status, { location, connection: 'close' }).end();
        expect(await ask(opened)).toBe(false);
      }
    expect(new Set(opened.resolved)).toEqual(new Set([NAME]));
    expect(new Set(served.slice(opened.at))).toEqual(new Set([WHO_AM_I.path]));
    await opened.api.close();
  });

  it('that nobody resolves is an answer like any other', async () => {
    const opened = open([]);
    expect([await ask(opened), opened.api.refused()]).toEqual([false, undefined]);
    await opened.api.close();
  });
});
