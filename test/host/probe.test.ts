/** Questions to the node's own API server, played by a real TLS server. */
import { createServer } from 'node:https';
import type { RequestListener } from 'node:http';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { isEnding, isOwnAddress, probeApiServer } from '../../src/host/probe.ts';
import type { ProbeAddress } from '../../src/host/probe.ts';
import { Authority } from '../control-plane/pki.ts';

const identity = new Authority('kubernetes').issue({ commonName: 'kube-apiserver', usages: ['server'] });
const inTime = (): AbortSignal => AbortSignal.timeout(15_000);

let server: Server | undefined;
function stop(): void {
  server?.close();
  server?.closeAllConnections();
}
afterEach(stop);

async function serve(answer: RequestListener): Promise<ProbeAddress> {
  const { cert, key } = identity;
  const started = createServer({ cert, key }, answer);
  server = started;
  await new Promise<void>((resolve) => started.listen(0, '127.0.0.1', resolve));
  return { host: '127.0.0.1', port: (started.address() as AddressInfo).port };
}

describe('the probe', () => {
  it.each([
    [200, 'Ready'],
    [500, 'NotReady'],
    [401, 'Forbidden'],
    [403, 'Forbidden'],
  ])('takes %i for %s', async (status, health) => {
    const address = await serve((req, res) => {
      expect(req.headers.authorization).toBeUndefined();
      res.writeHead(status).end();
    });
    expect(await probeApiServer(address, { signal: inTime() })).toBe(health);
    stop();
    expect(await probeApiServer(address, { signal: inTime() })).toBe('Down');
  });

  it('asks no other machine without checking its certificate', async () => {
    expect([
      isOwnAddress('127.0.0.1'),
      isOwnAddress('::1'),
      isOwnAddress('192.0.2.1'),
      isOwnAddress('example.org'),
    ]).toEqual([true, true, false, false]);
    expect(await probeApiServer({ host: '192.0.2.1', port: 1 }, { signal: AbortSignal.timeout(5_000) })).toBe('Down');
  });
});

/** As kube-apiserver 1.36 words a failing /readyz. */
const readyz = (...failed: string[]): string =>
  ['ping', 'log', 'etcd', 'etcd-readiness', 'informer-sync', 'shutdown']
    .map((name) => (failed.includes(name) ? `[-]${name} failed: reason withheld` : `[+]${name} ok`))
    .join('\n') + '\nreadyz check failed\n';

describe('an API server that is not ready', () => {
  it.each([
    ['was told to end', 500, readyz('shutdown'), true],
    ['has lost etcd', 500, readyz('etcd', 'etcd-readiness'), false],
    ['has something else wrong with it', 500, readyz('informer-sync', 'shutdown'), false],
    ['does not say why', 500, 'readyz check failed', false],
    ['is ready again', 200, 'ok', false],
    ['tells nobody', 403, readyz('shutdown'), false],
  ])('and %s: %i', async (_, status, text, ending) => {
    let asked = 0;
    const address = await serve((req, res) => {
      asked += req.url === '/readyz' ? 1 : 0;
      res.writeHead(status).end(text);
    });
    expect(await isEnding(address, inTime())).toBe(ending);
    expect(asked).toBe(1);
  });

  it('and does not listen any more has ended', async () => {
    const address = await serve(() => undefined);
    stop();
    expect(await isEnding(address, inTime())).toBe(true);
    expect(await isEnding(address, AbortSignal.abort())).toBe(false);
  });

  it('and lets everybody wait, as without etcd, is not ending', async () => {
    const address = await serve(() => undefined);
    expect(await isEnding(address, inTime())).toBe(false);
  });

  const LETS_GO = readyz('shutdown', 'etcd', 'etcd-readiness');

  it('and has let go of etcd is ending if it is gone soon after', async () => {
    const address = await serve((_req, res) => {
      server?.close();
      res.writeHead(500).end(LETS_GO);
    });
    expect(await isEnding(address, inTime())).toBe(true);
  });

  it.each([
    ['stays so', (): string => LETS_GO],
    ['then says nothing', (): string | null => null],
  ])('and has let go of etcd, and %s, had lost it before', async (_, then) => {
    let asked = 0;
    const address = await serve((_req, res) => {
      const text = asked++ === 0 ? LETS_GO : then();
      if (text !== null) res.writeHead(500).end(text);
    });
    expect(await isEnding(address, inTime())).toBe(false);
    expect(asked).toBe(2);
  });

  it('and has let go of etcd is not waited for where nobody asks any more', async () => {
    const stopped = new AbortController();
    const address = await serve((_req, res) => {
      res.writeHead(500).end(LETS_GO, () => setTimeout(() => stopped.abort(), 50));
    });
    const late = new Promise((resolve) => server?.once('request', () => setTimeout(resolve, 200, 'late')));
    expect(await Promise.race([isEnding(address, stopped.signal), late])).toBe(false);
  });
});
