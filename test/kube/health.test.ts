/** When the API server is asked whether it is ready, and when not: it is asked by every process, for as long as it runs. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ok } from '../../src/kube/errors.ts';
import { createHealth } from '../../src/kube/health.ts';
import { noKubeMetrics } from '../../src/telemetry/kube-metrics.ts';
import { silentLogger } from '../../src/telemetry/logger.ts';
import { FakeApi, connectFake, json } from './fake-api.ts';
import { until } from './things.ts';

describe('a server that answers', () => {
  let stop: AbortController;
  beforeEach(() => {
    vi.useFakeTimers();
    stop = new AbortController();
  });
  afterEach(() => {
    stop.abort();
    vi.useRealTimers();
  });

  function start() {
    let canaryAt = -Infinity;
    let suspect = (): void => undefined;
    const asked: number[] = [];
    const status = { value: 200 };
    const health = createHealth({
      transport: {
        knock: () => {
          asked.push(Math.round(performance.now()));
          canaryAt = performance.now();
          return Promise.resolve(ok(status.value));
        },
        sinceCanaryMs: () => performance.now() - canaryAt,
        onCanaryClosed: () => undefined,
        onConnectionError: (run) => (suspect = () => run({ code: 'ConnectionLost', message: '', causes: [] })),
      },
      log: silentLogger,
      metrics: noKubeMetrics,
      random: () => 0,
    });
    const ended = health.start(stop.signal);
    return { health, asked, status, ended, used: () => (canaryAt = performance.now()), suspect: () => suspect() };
  }

  it('is asked twice a minute where nothing else is', async () => {
    const h = start();
    await vi.advanceTimersByTimeAsync(125_000);
    expect(h.asked.length).toBe(5);
  });

  it('is asked once, at the beginning, where a lease goes over the same connection all the time', async () => {
    const h = start();
    for (let i = 0; i < 300; i++) {
      await vi.advanceTimersByTimeAsync(2_000);
      h.used();
    }
    expect(h.asked.length).toBe(1);
    // The lease ends: within the time in which the server would close the connection it is asked again.
    await vi.advanceTimersByTimeAsync(31_000);
    expect(h.asked.length).toBe(2);
  });

  it('is asked at once when a request failed, however fresh the last answer is', async () => {
    const h = start();
    await vi.advanceTimersByTimeAsync(1_000);
    h.used();
    h.suspect();
    await vi.advanceTimersByTimeAsync(0);
    expect(h.asked.length).toBe(2);
    h.status.value = 500;
    h.suspect();
    await vi.advanceTimersByTimeAsync(200);
    expect(h.health.up).toBe(false);
    // Answers over that connection do not count then: only readyz does.
    h.used();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(h.health.up).toBe(false);
    h.status.value = 200;
    await vi.advanceTimersByTimeAsync(400);
    expect(h.health.up).toBe(true);
  });

  it('leaves no timer when it ends', async () => {
    const h = start();
    await vi.advanceTimersByTimeAsync(10_000);
    stop.abort();
    await h.ended;
    expect(vi.getTimerCount()).toBe(0);
  });
});

it('requests on the canary go over its one connection, and are its answers', async () => {
  const api = await new FakeApi().listen();
  api.handler = (_asked, response) => json(response, 200, { kind: 'Lease', metadata: { name: 'l' } });
  const kube = connectFake(api.url);
  const stop = new AbortController();
  const lease = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases', kind: 'Lease', namespaced: true };
  const get = (onCanary: boolean) =>
    kube.client.get(lease, { namespace: 'n', name: 'l' }, { signal: stop.signal, onCanary });
  expect(kube.transport.sinceCanaryMs()).toBe(Infinity);
  expect((await get(false)).ok).toBe(true);
  expect(kube.transport.sinceCanaryMs()).toBe(Infinity);
  expect((await get(true)).ok).toBe(true);
  expect(kube.transport.sinceCanaryMs()).toBeLessThan(60_000);
  await kube.transport.knock('/readyz', stop.signal, 5_000);
  expect((await get(true)).ok).toBe(true);
  expect(api.connections).toBe(2);
  await kube.close();
  await until(() => api.connections === 0);
  await api.close();
});
