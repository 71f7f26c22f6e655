/** The verbs, status, events and watches against a real API server: what a fake can only assume. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectKube } from '../../src/kube/connect.ts';
import type { Kube } from '../../src/kube/connect.ts';
import { kubeConfigCredentials } from '../../src/kube/credentials.ts';
import { EVENTS, createEventRecorder } from '../../src/kube/events.ts';
import { createStatusWriter } from '../../src/kube/status.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { noKubeMetrics } from '../../src/telemetry/kube-metrics.ts';
import { silentLogger } from '../../src/telemetry/logger.ts';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { CONFIGMAPS, THINGS, connectTo, installThings, must, numberIn, thing, until } from './things.ts';

describe.each(['1.36', '1.35'] as const)('a kube-apiserver %s', (version) => {
  let plane: ControlPlane;
  let kube: Kube;
  const stop = new AbortController();
  const call = { signal: stop.signal };
  const at = (name: string) => ({ namespace: 'default', name });
  const manager = { ...call, fieldManager: 'test' };

  beforeAll(async () => {
    plane = await startControlPlane({ version, users: { nobody: [] } });
    kube = connectTo(plane);
    await installThings(kube.client, stop.signal);
  });
  afterAll(async () => {
    stop.abort();
    await kube?.close();
    await plane?.stop();
  });

  it('answers each verb with the object, and each refusal with its code', async () => {
    const { client } = kube;
    expect(await client.create(THINGS, thing('v', 1), call)).toMatchObject({ ok: true });
    expect(await client.create(THINGS, thing('v', 1), call)).toMatchObject({ error: { code: 'AlreadyExists' } });
    const applied = await client.apply(THINGS, thing('v', 2), manager);
    expect(applied).toMatchObject({ ok: false, error: { code: 'Conflict' } });
    expect(numberIn(await must(() => client.apply(THINGS, thing('v', 2), { ...manager, force: true })), 'spec')).toBe(
      2,
    );
    expect(numberIn(await must(() => client.mergePatch(THINGS, at('v'), { spec: { n: 3 } }, call)), 'spec')).toBe(3);
    const replace = (from: number) =>
      client.jsonPatch(
        THINGS,
        at('v'),
        [
          { op: 'test', path: '/spec/n', value: from },
          { op: 'replace', path: '/spec/n', value: from + 1 },
        ],
        call,
      );
    expect(await replace(3)).toMatchObject({ ok: true, value: { spec: { n: 4 } } });
    expect(await replace(3)).toMatchObject({ error: { code: 'Invalid' } });
    const bad = await client.mergePatch(THINGS, at('v'), { spec: { n: -1 } }, call);
    expect(bad).toMatchObject({ error: { code: 'Invalid', causes: [{ field: 'spec.n' }] } });
    const stale = { metadata: { resourceVersion: '1' }, spec: { n: 9 } };
    expect(await client.mergePatch(THINGS, at('v'), stale, call)).toMatchObject({ error: { code: 'Conflict' } });
    expect(await client.delete(THINGS, at('v'), { ...call, uid: 'other' })).toMatchObject({
      error: { code: 'Conflict' },
    });
    expect(await client.delete(THINGS, at('v'), call)).toEqual({ ok: true, value: true });
    expect(await client.delete(THINGS, at('v'), call)).toEqual({ ok: true, value: false });
    expect(await client.get(THINGS, at('v'), call)).toMatchObject({ error: { code: 'NotFound' } });
  });

  it('says who may not', async () => {
    const as = (token: string): Kube => {
      const text = JSON.stringify({
        'current-context': 'x',
        contexts: [{ name: 'x', context: { cluster: 'x', user: 'x' } }],
        clusters: [
          {
            name: 'x',
            cluster: { server: plane.url, 'certificate-authority-data': Buffer.from(plane.ca).toString('base64') },
          },
        ],
        users: [{ name: 'x', user: { token } }],
      });
      return connectKube({
        credentials: kubeConfigCredentials({ from: 'Text', text }),
        log: silentLogger,
        metrics: noKubeMetrics,
        userAgent: 't',
      });
    };
    for (const [token, code] of [
      [plane.tokens['nobody'] ?? '', 'Forbidden'],
      ['wrong', 'Unauthorized'],
    ] as const) {
      const other = as(token);
      expect(await other.client.get(THINGS, at('x'), call)).toMatchObject({ error: { code } });
      await other.close();
    }
  });

  it('gives pages, selections and metadata alone', async () => {
    for (let i = 0; i < 7; i++) {
      const labels = { odd: String(i % 2 === 1) };
      const metadata = { namespace: 'default', name: `m${i}`, labels };
      const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { big: 'x' } };
      await must(() => kube.client.create(CONFIGMAPS, map, call));
    }
    const selected = { ...call, namespace: 'default', labelSelector: 'odd=true', pageSize: 2 };
    const whole = await must(() => kube.client.list(CONFIGMAPS, selected));
    expect(whole.map((o) => o.metadata.name)).toEqual(['m1', 'm3', 'm5']);
    expect(whole[0]?.['data']).toEqual({ big: 'x' });
    const bare = await must(() => kube.client.list(CONFIGMAPS, { ...selected, metadataOnly: true }));
    expect(bare).toHaveLength(3);
    expect(bare[0]).not.toHaveProperty('data');
    const reflector = kube.reflect<KubeObject>({
      ...selected,
      resource: CONFIGMAPS,
      metadataOnly: true,
      indexes: {},
      project: (o) => o,
    });
    const own = new AbortController();
    const run = reflector.run(own.signal);
    await reflector.whenSynced(own.signal);
    await must(() => kube.client.mergePatch(CONFIGMAPS, at('m0'), { metadata: { labels: { odd: 'true' } } }, call));
    await until(() => reflector.store.size === 4);
    expect(reflector.store.get('default/m0')).not.toHaveProperty('data');
    own.abort();
    await run;
  });

  it('takes a status only for the object of that uid, and drops what is no longer said', async () => {
    const { client } = kube;
    const made = await must(() => client.create(THINGS, thing('s', 1), call));
    const writer = createStatusWriter({ client, resource: THINGS, fieldManager: 'operator', metrics: noKubeMetrics });
    const { signal } = stop;
    expect(await writer.apply(made, { n: 1, note: 'x' }, signal)).toEqual({ ok: true, value: true });
    expect(await writer.apply(made, { n: 1, note: 'x' }, signal)).toEqual({ ok: true, value: false });
    expect(await writer.apply(made, { n: 2 }, signal)).toEqual({ ok: true, value: true });
    const now = await must(() => client.get(THINGS, at('s'), call));
    expect(now['status']).toEqual({ n: 2 });
    expect(
      await createStatusWriter({ client, resource: THINGS, fieldManager: 'operator', metrics: noKubeMetrics }).apply(
        now,
        { n: 2 },
        signal,
      ),
    ).toEqual({ ok: true, value: false });
    await client.delete(THINGS, at('s'), call);
    await must(() => client.create(THINGS, thing('s', 5), call));
    expect(await writer.apply(made, { n: 3 }, signal)).toMatchObject({ ok: false, error: { code: 'Conflict' } });
    const fresh = await must(() => client.get(THINGS, at('s'), call));
    expect(fresh).not.toHaveProperty('status');
    expect(await writer.apply(fresh, { n: -1 }, signal)).toMatchObject({ error: { code: 'Invalid' } });
  });

  it('takes our events and counts their repeats', async () => {
    const regarding = await must(() => kube.client.create(THINGS, thing('e', 1), call));
    const own = new AbortController();
    const recorder = createEventRecorder({
      client: kube.client,
      health: kube.health,
      log: silentLogger,
      metrics: noKubeMetrics,
      reportingController: 'test.dev/operator',
      reportingInstance: 'pod-1',
    });
    const run = recorder.run(own.signal);
    const event = { regarding, type: 'Warning', reason: 'Broke', action: 'Install', note: 'it broke' } as const;
    for (let i = 0; i < 3; i++) recorder.record(event);
    const seen = () => kube.client.list(EVENTS, { ...call, namespace: 'default', fieldSelector: 'reason=Broke' });
    await until(async () => {
      const all = await seen();
      const series = all.ok ? all.value[0]?.['series'] : undefined;
      return JSON.stringify(series ?? null).includes('"count":3');
    });
    expect(await must(seen)).toHaveLength(1);
    own.abort();
    await run;
  });

  it('that was told to end is left at once, though another client keeps it alive with a watch', async () => {
    const health = new AbortController();
    const other = connectTo(plane);
    const running = other.health.start(health.signal);
    const things = other.reflect<KubeObject>({ resource: THINGS, indexes: {}, project: (o) => o });
    const run = things.run(health.signal);
    await things.whenSynced(health.signal);
    await sleep(300);
    const agent = new Agent({ connect: { ca: plane.ca }, bodyTimeout: 0 });
    const foreign = await request(`${plane.url}/api/v1/pods?watch=1`, {
      dispatcher: agent,
      headers: { authorization: `Bearer ${plane.tokens['admin'] ?? ''}` },
    });
    foreign.body.on('error', () => undefined);
    const begun = performance.now();
    const gone = plane.kill('SIGTERM').then(() => performance.now() - begun);
    // The canary's next ping, after 30 s, would tell it too.
    await until(() => !other.health.up, 20_000);
    const noticed = performance.now() - begun;
    const stillThere = plane.apiserver.running;
    console.log(JSON.stringify({ version, noticedDyingMs: Math.round(noticed), stillThere }));
    // Otherwise this has shown nothing: the other watch does hold it.
    expect(stillThere).toBe(true);
    await agent.destroy();
    await plane.kill('SIGKILL');
    await gone;
    await plane.start();
    await must(() => kube.client.create(THINGS, thing('after', 1), call));
    await until(() => things.store.get('default/after') !== undefined, 60_000);
    health.abort();
    await Promise.all([running, run]);
    await other.close();
  });
});
