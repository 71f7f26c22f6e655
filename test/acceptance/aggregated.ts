/**
 * An aggregated API of the worst kind: it answers a watch, and then its connection breaks in the middle of the body.
 * The kube-apiserver's proxy has sent headers by then, so it can only panic (http.ErrAbortHandler), which is how an
 * event of stage Panic comes about in real clusters (kubernetes/kubernetes#110112). Used by the acceptance tests.
 */
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Authority } from '../control-plane/pki.ts';
import type { ControlPlane } from '../control-plane/plane.ts';

const GROUP = 'breaking.example.org';
export const BROKEN_WATCH = `/apis/${GROUP}/v1/namespaces/default/things?watch=1`;

/** The server side of the API; `close` ends it and all of its connections. */
async function startBreaking(): Promise<{ readonly port: number; readonly close: () => void }> {
  const { cert, key } = new Authority('breaking').issue({
    commonName: 'localhost',
    names: ['localhost', '127.0.0.1'],
    usages: ['server'],
  });
  const server = createServer({ cert, key }, (request, response) => {
    response.setHeader('content-type', 'application/json');
    if (!(request.url ?? '').includes('watch=')) {
      response.end(
        JSON.stringify({ kind: 'APIResourceList', apiVersion: 'v1', groupVersion: `${GROUP}/v1`, resources: [] }),
      );
      return;
    }
    const event = { type: 'ADDED', object: { apiVersion: `${GROUP}/v1`, kind: 'Thing', metadata: { name: 'a' } } };
    response.write(`${JSON.stringify(event)}\n`, () => setTimeout(() => request.socket.destroy(), 200));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function create(plane: ControlPlane, path: string, body: unknown): Promise<void> {
  const { status, text } = await plane.request('POST', path, { body });
  if (status !== 201) throw new Error(`${path}: ${status} ${text}`);
}

/** Registers the API in the plane and waits until it is served. Ends with the returned function. */
export async function serveBreakingApi(plane: ControlPlane): Promise<() => void> {
  const { port, close } = await startBreaking();
  await create(plane, '/api/v1/namespaces/default/services', {
    metadata: { name: 'breaking' },
    // Without a kube-proxy no ClusterIP leads anywhere; this the aggregator resolves by itself.
    spec: { type: 'ExternalName', externalName: 'localhost', ports: [{ port }] },
  });
  await create(plane, '/apis/apiregistration.k8s.io/v1/apiservices', {
    metadata: { name: `v1.${GROUP}` },
    spec: {
      group: GROUP,
      version: 'v1',
      groupPriorityMinimum: 100,
      versionPriority: 100,
      insecureSkipTLSVerify: true,
      service: { namespace: 'default', name: 'breaking', port },
    },
  });
  const end = Date.now() + 30_000;
  while ((await plane.request('GET', `/apis/${GROUP}/v1`)).status !== 200) {
    if (Date.now() > end) throw new Error('the aggregated API is not served');
    await sleep(100);
  }
  return close;
}
