import { afterEach, describe, expect, it } from 'vitest';
import { createDatacenterMetrics } from '../../src/telemetry/datacenter-metrics.ts';
import { createKubeMetrics } from '../../src/telemetry/kube-metrics.ts';
import { createLogger, silentLogger } from '../../src/telemetry/logger.ts';
import { counter, createRegistry } from '../../src/telemetry/metrics.ts';
import { startTelemetryServer } from '../../src/telemetry/server.ts';
import type { TelemetryServer } from '../../src/telemetry/server.ts';

describe('the logger', () => {
  const logged = (fields: object): string => {
    let text = '';
    const log = createLogger({
      level: 'info',
      name: 'agent',
      destination: { write: (line: string) => void (text += line) },
    });
    log.child({ node: 'n1' }).info(fields, 'hello');
    log.debug({}, 'not at this level');
    return text;
  };

  it('writes one JSON object a line, with level and time in words', () => {
    const line = logged({ count: 3 });
    expect(line.trimEnd().split('\n')).toHaveLength(1);
    expect(JSON.parse(line)).toMatchObject({ level: 'info', name: 'agent', node: 'n1', count: 3, msg: 'hello' });
    expect((JSON.parse(line) as { time: string }).time).toMatch(/^\d{4}-\d\d-\d\dT/);
  });

  it.each([
    { token: 's3cr3t' },
    { authorization: 's3cr3t' },
    { headers: { authorization: 's3cr3t' } },
    { secret: { data: { x: 's3cr3t' } } },
    { a: { b: { password: 's3cr3t' } } },
    { env: { WEBHOOK: 's3cr3t' } },
  ])('censors %j', (fields) => {
    expect(logged(fields)).not.toContain('s3cr3t');
  });

  it('writes errors with code and cause', () => {
    const err = Object.assign(new Error('outer', { cause: new Error('inner') }), { code: 'E1' });
    expect(JSON.parse(logged({ err }))).toMatchObject({
      err: { message: expect.stringContaining('outer') as unknown, code: 'E1' },
    });
  });
});

describe('metrics', () => {
  it('follow the conventions of Prometheus', async () => {
    const registry = createRegistry({ version: '1.2.3', processMetrics: true });
    createKubeMetrics(registry);
    const all = await registry.getMetricsAsJSON();
    expect(all.length).toBeGreaterThan(20);
    const own = all.filter((m) => !/^auditconfig_(nodejs|process)_/.test(m.name));
    for (const m of own) {
      expect(m.name).toMatch(/^auditconfig_[a-z][a-z0-9_]*$/);
      // prom-client gives its types as words at run time.
      if (String(m.type) === 'counter') expect(m.name).toMatch(/_total$/);
      if (String(m.type) === 'histogram') expect(m.name).toMatch(/_(seconds|bytes)$/);
      expect(m.help).not.toBe('');
    }
  });

  it('have one owner each', () => {
    const registry = createRegistry({ version: '1' });
    counter(registry, { name: 'x_total', help: 'x' });
    expect(() => counter(registry, { name: 'x_total', help: 'x' })).toThrow();
  });

  it('count what they are told', async () => {
    const registry = createRegistry({ version: '1' });
    const m = createKubeMetrics(registry);
    m.watchStarted('things');
    m.watchStarted('things');
    m.watchEnded('things', 'Ended');
    // Two caches of one resource.
    m.stored('things', 3);
    m.stored('things', 2);
    m.stored('things', -1);
    m.request({ verb: 'get', resource: 'things', code: '200' }, 0.2);
    const text = await registry.metrics();
    expect(text).toContain('auditconfig_kube_watches{resource="things"} 1');
    expect(text).toContain('auditconfig_kube_cached_objects{resource="things"} 4');
    expect(text).toContain('auditconfig_kube_requests_total{verb="get",resource="things",code="200"} 1');
  });
});

describe('the telemetry server', () => {
  let server: TelemetryServer | undefined;
  afterEach(() => server?.close());
  const get = (path: string, method = 'GET'): Promise<Response> =>
    fetch(`http://127.0.0.1:${server?.port}${path}`, { method });

  it('serves health, readiness and metrics, and nothing else', async () => {
    let synced = false;
    const registry = createRegistry({ version: '1' });
    server = await startTelemetryServer({
      port: 0,
      host: '127.0.0.1',
      registry,
      log: silentLogger,
      healthz: { loop: () => true },
      readyz: { 'caches-synced': () => synced, other: () => true },
    });
    expect((await get('/healthz')).status).toBe(200);
    const notReady = await get('/readyz');
    expect(notReady.status).toBe(503);
    expect(await notReady.text()).toBe('[-]caches-synced failed\n');
    synced = true;
    expect((await get('/readyz?verbose')).status).toBe(200);
    expect(await (await get('/metrics')).text()).toContain('auditconfig_build_info');
    expect((await get('/debug')).status).toBe(404);
    expect((await get('/healthz', 'POST')).status).toBe(405);
  });

  it('survives a check that throws, and says when its port is taken', async () => {
    const options = { host: '127.0.0.1', registry: createRegistry({ version: '1' }), log: silentLogger };
    const bad = (): boolean => {
      throw new Error('a bug');
    };
    server = await startTelemetryServer({ ...options, port: 0, healthz: { bad } });
    await expect(get('/healthz')).rejects.toBeDefined();
    expect((await get('/readyz')).status).toBe(200);
    await expect(startTelemetryServer({ ...options, port: server.port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});

describe('the metrics of datacenters', () => {
  it('add up over all of them, follow each, and are gone with the term', async () => {
    const registry = createRegistry({ version: '0' });
    const m = createDatacenterMetrics(registry);
    const values = async (): Promise<Record<string, number>> => {
      const all = await registry.getMetricsAsJSON();
      const of = all.filter((x) => x.name.startsWith('auditconfig_datacenter')).flatMap((x) => x.values);
      return Object.fromEntries(of.map((v) => [Object.values(v.labels).join() || 'total', v.value]));
    };
    const counts = { Selected: 5, Updated: 4, Ready: 3, Failed: 1, Exempt: 2 };
    m.seen('a', counts, 'Progressing');
    m.seen('b', counts, 'Complete');
    m.seen('a', { ...counts, Ready: 4 }, 'Complete');
    expect(await values()).toMatchObject({ Selected: 10, Ready: 7, Failed: 2, Complete: 2 });
    expect(await values()).not.toHaveProperty('Progressing');
    m.gone('b');
    expect(await values()).toMatchObject({ Selected: 5, Complete: 1 });
    m.clear();
    expect(await values()).not.toHaveProperty('Selected');
    m.wave(3);
    m.wave(0);
    m.wave(2);
    const text = await registry.metrics();
    expect(text).toContain('auditconfig_datacenter_waves_total 2');
    expect(text).toContain('auditconfig_datacenter_admitted_total 5');
  });
});
