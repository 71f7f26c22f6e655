import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Credentials } from '../../src/kube/credentials.ts';
import { ok } from '../../src/kube/errors.ts';
import { FakeApi, connectFake, json, staticCredentials, statusBody } from './fake-api.ts';
import type { Connected } from './fake-api.ts';
import { CONFIGMAPS, THINGS, thing, until } from './things.ts';

let api: FakeApi;
let kube: Connected;
let stop: AbortController;
let call: { signal: AbortSignal };

beforeEach(async () => {
  api = await new FakeApi().listen();
  kube = connectFake(api.url);
  stop = new AbortController();
  call = { signal: stop.signal };
});
afterEach(async () => {
  stop.abort();
  await kube.close();
  await api.close();
});

const at = { namespace: 'default', name: 'a' };

describe('requests', () => {
  it('go to the right paths with the right bodies', async () => {
    api.handler = (_asked, response) => json(response, 200, thing('a', 1));
    await kube.client.get(THINGS, at, call);
    await kube.client.create(THINGS, thing('a', 1), { ...call, fieldManager: 'm' });
    await kube.client.apply(
      THINGS,
      { ...thing('a', 1), metadata: { ...at, managedFields: [{}] } },
      { ...call, fieldManager: 'm', force: true, subresource: 'status' },
    );
    await kube.client.mergePatch(THINGS, at, { spec: null }, call);
    await kube.client.jsonPatch(THINGS, at, [{ op: 'test', path: '/spec', value: 1 }], { ...call, dryRun: true });
    await kube.client.delete(THINGS, at, { ...call, uid: 'u' });
    await kube.client.get({ ...CONFIGMAPS, namespaced: false }, { name: 'x/y' }, call);
    const seen = api.asked.map((a) => `${a.method} ${a.path}?${a.query} ${a.headers['content-type'] ?? '-'}`);
    expect(seen).toEqual([
      'GET /apis/test.dev/v1/namespaces/default/things/a? -',
      'POST /apis/test.dev/v1/namespaces/default/things?fieldManager=m application/json',
      'PATCH /apis/test.dev/v1/namespaces/default/things/a/status?fieldManager=m&force=true application/apply-patch+yaml',
      'PATCH /apis/test.dev/v1/namespaces/default/things/a? application/merge-patch+json',
      'PATCH /apis/test.dev/v1/namespaces/default/things/a?dryRun=All application/json-patch+json',
      'DELETE /apis/test.dev/v1/namespaces/default/things/a? application/json',
      'GET /api/v1/configmaps/x%2Fy? -',
    ]);
    expect(api.asked[2]?.body).not.toHaveProperty('metadata.managedFields');
    expect(api.asked[5]?.body).toMatchObject({ preconditions: { uid: 'u' } });
    expect(api.asked[0]?.headers).toMatchObject({ authorization: 'Bearer t', 'user-agent': 'test' });
  });

  it('share a few connections', async () => {
    api.handler = (_asked, response) => json(response, 200, thing('a', 1));
    for (let i = 0; i < 50; i++) await kube.client.get(THINGS, at, call);
    expect(api.connections).toBeLessThanOrEqual(2);
    await Promise.all(Array.from({ length: 100 }, () => kube.client.get(THINGS, at, call)));
    expect(api.connections).toBeLessThanOrEqual(16);
  });

  it('keep a path that the server has before its own', async () => {
    const behind = connectFake(`${api.url}/k8s/clusters/c`);
    api.handler = (_asked, response) => json(response, 200, thing('a', 1));
    await behind.client.get(THINGS, at, call);
    await behind.close();
    expect(api.asked[0]?.path).toBe('/k8s/clusters/c/apis/test.dev/v1/namespaces/default/things/a');
  });

  it('list page by page, and fill in what items of built-in lists lack', async () => {
    api.handler = ({ query }, response) => {
      const second = query.get('continue') === 'c1';
      const metadata = second ? { resourceVersion: '9' } : { resourceVersion: '9', continue: 'c1' };
      json(response, 200, { metadata, items: [{ metadata: { name: second ? 'b' : 'a', namespace: 'd' } }] });
    };
    const all = await kube.client.list(CONFIGMAPS, { ...call, pageSize: 1 });
    expect(all).toMatchObject({
      ok: true,
      value: [{ kind: 'ConfigMap', apiVersion: 'v1' }, { metadata: { name: 'b' } }],
    });
    expect(api.asked.map((a) => a.query.get('limit'))).toEqual(['1', '1']);
  });

  it('give what the server says as values: causes, waits, absence', async () => {
    const causes = [{ field: 'spec.n', reason: 'FieldValueInvalid', message: 'no' }];
    api.handler = (_asked, response) => json(response, 422, statusBody(422, 'Invalid', 'bad', { causes }));
    expect(await kube.client.get(THINGS, at, call)).toMatchObject({ ok: false, error: { code: 'Invalid', causes } });
    api.handler = (_asked, response) => json(response, 429, statusBody(429, 'TooManyRequests'), { 'retry-after': '2' });
    expect(await kube.client.get(THINGS, at, call)).toMatchObject({
      ok: false,
      error: { code: 'TooManyRequests', retryAfterMs: 2_000 },
    });
    api.handler = (_asked, response) => json(response, 404, statusBody(404, 'NotFound'));
    expect(await kube.client.delete(THINGS, at, call)).toEqual(ok(false));
    api.handler = (_asked, response) => void response.writeHead(200).end('<html>');
    expect(await kube.client.get(THINGS, at, call)).toMatchObject({ ok: false, error: { code: 'BadResponse' } });
    api.handler = (_asked, response) => json(response, 200, { metadata: {} });
    expect(await kube.client.get(THINGS, at, call)).toMatchObject({ ok: false, error: { code: 'BadResponse' } });
  });

  it('end in time, also when the answer stops halfway', async () => {
    let closed = false;
    api.handler = (_asked, response) => {
      response.on('close', () => (closed = true));
      response.writeHead(200).write('{"met');
    };
    const result = await kube.client.get(THINGS, at, { ...call, timeoutMs: 100 });
    expect(result).toMatchObject({ ok: false, error: { code: 'Timeout' } });
    await until(() => closed, 1_000);
  });

  it('end with their signal, before and after they were sent', async () => {
    let closed = false;
    api.handler = (_asked, response) => void response.on('close', () => (closed = true));
    const one = new AbortController();
    const pending = kube.client.get(THINGS, at, { signal: one.signal });
    await until(() => api.asked.length === 1);
    one.abort();
    expect(await pending).toMatchObject({ ok: false, error: { code: 'Cancelled' } });
    expect(await kube.client.get(THINGS, at, { signal: one.signal })).toMatchObject({ error: { code: 'Cancelled' } });
    expect(api.asked).toHaveLength(1);
    await until(() => closed, 1_000);
  });

  it('are refused where nobody listens', async () => {
    const nobody = connectFake('http://127.0.0.1:1');
    expect(await nobody.client.get(THINGS, at, call)).toMatchObject({ error: { code: 'ConnectionRefused' } });
    await nobody.close();
  });

  it('repeat a read, but no write, when the connection dies', async () => {
    let broken = 0;
    api.handler = (_asked, response) => {
      if (broken++ === 0) response.socket?.resetAndDestroy();
      else json(response, 200, thing('a', 1));
    };
    expect((await kube.client.get(THINGS, at, call)).ok).toBe(true);
    expect(api.asked).toHaveLength(2);
    broken = 0;
    const written = await kube.client.create(THINGS, thing('a', 1), call);
    expect(written).toMatchObject({ ok: false, error: { code: 'ConnectionLost' } });
    expect(api.asked).toHaveLength(3);
  });

  it('read the credentials anew after a 401, once', async () => {
    let token = 'old';
    const credentials: Credentials = {
      ...staticCredentials(api.url),
      current: () =>
        Promise.resolve(
          ok({ server: new URL(api.url), headers: { authorization: token }, tls: {}, fingerprint: 'same' }),
        ),
      invalidate: () => void (token = 'new'),
    };
    const rotating = connectFake(api.url, credentials);
    api.handler = (asked, response) =>
      asked.headers.authorization === 'new'
        ? json(response, 200, thing('a', 1))
        : json(response, 401, statusBody(401, 'Unauthorized'));
    expect((await rotating.client.get(THINGS, at, call)).ok).toBe(true);
    expect(api.asked).toHaveLength(2);
    api.handler = (_asked, response) => json(response, 401, statusBody(401, 'Unauthorized'));
    expect(await rotating.client.get(THINGS, at, call)).toMatchObject({ error: { code: 'Unauthorized' } });
    expect(api.asked).toHaveLength(4);
    await rotating.close();
  });

  it('leave nothing hooked to a signal that lives as long as the process', async () => {
    api.handler = (_asked, response) => json(response, 200, thing('a', 1));
    let hooked = 0;
    const { signal } = stop;
    const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      hooked++;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      hooked--;
      remove(...args);
    };
    for (let i = 0; i < 20; i++) await kube.client.get(THINGS, at, call);
    expect(hooked).toBe(0);
  });
});

describe('streams', () => {
  const open = () =>
    kube.transport.stream({ method: 'GET', path: '/w', ...call, about: { verb: 'watch', resource: 'w' } });

  it('arrive piece by piece and close their socket when they are closed', async () => {
    api.handler = (_asked, response) => void response.writeHead(200).write('one');
    const stream = await open();
    if (!stream.ok) throw new Error(stream.error.code);
    const iterator = stream.value.chunks[Symbol.asyncIterator]();
    expect(Buffer.from((await iterator.next()).value ?? []).toString()).toBe('one');
    stream.value.close();
    stream.value.close();
    await expect(iterator.next()).rejects.toBeDefined();
    await until(() => api.connections === 0);
  });

  it('never starve requests', async () => {
    api.handler = (asked, response) =>
      asked.path === '/w' ? void response.writeHead(200).write('x') : json(response, 200, thing('a', 1));
    const all = await Promise.all(Array.from({ length: 40 }, open));
    expect(all.every((s) => s.ok)).toBe(true);
    expect((await kube.client.get(THINGS, at, { ...call, timeoutMs: 2_000 })).ok).toBe(true);
    for (const s of all) if (s.ok) s.value.close();
    await until(() => api.connections <= 1);
  });

  it('are an error when the server says no', async () => {
    api.handler = (_asked, response) => json(response, 410, statusBody(410, 'Expired'));
    expect(await open()).toMatchObject({ ok: false, error: { code: 'Gone' } });
  });
});
