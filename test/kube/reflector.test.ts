import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createReflector } from '../../src/kube/reflector.ts';
import type { Reflector } from '../../src/kube/reflector.ts';
import { noKubeMetrics } from '../../src/telemetry/kube-metrics.ts';
import { silentLogger } from '../../src/telemetry/logger.ts';
import { FakeApi, connectFake, json, statusBody } from './fake-api.ts';
import type { Connected, Handler } from './fake-api.ts';
import { THINGS, numberIn, until } from './things.ts';
import { record } from './waits.ts';

/** What a well-behaved API server holds; tests replace `watch` or `list` to misbehave. */
let objects: Map<string, { version: string; n: number }>;
let watches: { response: ServerResponse; from: string | null }[];
let list: Handler;
let watch: Handler;
let ready: Handler;
let api: FakeApi;
let kube: Connected;
let stop: AbortController;
let running: Promise<unknown>[];

const item = (name: string) => {
  const o = objects.get(name);
  return { metadata: { name, namespace: 'd', resourceVersion: o?.version }, spec: { n: o?.n } };
};
const event = (type: string, object: unknown): string => `${JSON.stringify({ type, object })}\n`;

beforeEach(async () => {
  objects = new Map([
    ['a', { version: '1', n: 1 }],
    ['b', { version: '2', n: 2 }],
  ]);
  watches = [];
  running = [];
  list = (_asked, response) =>
    json(response, 200, { metadata: { resourceVersion: '10' }, items: [...objects.keys()].map(item) });
  watch = ({ query }, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
    watches.push({ response, from: query.get('resourceVersion') });
  };
  ready = (_asked, response) => void response.writeHead(200).end('ok');
  api = await new FakeApi().listen();
  api.handler = (asked, response) => {
    if (asked.path === '/readyz') ready(asked, response);
    else (asked.query.has('watch') ? watch : list)(asked, response);
  };
  kube = connectFake(api.url);
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  await Promise.all(running);
  await kube.close();
  await api.close();
});

type Thing = { n: number | undefined };
function start(more: object = {}): { things: Reflector<Thing, 'odd'>; changes: string[] } {
  const things = createReflector<Thing, 'odd'>({
    resource: THINGS,
    ...kube,
    log: silentLogger,
    metrics: noKubeMetrics,
    project: (o) => ({ n: numberIn(o, 'spec') }),
    indexes: { odd: (t) => ((t.n ?? 0) % 2 === 1 ? ['yes'] : ['no']) },
    random: () => 0.5,
    ...more,
  });
  const changes: string[] = [];
  things.onChange((c) => changes.push(`${c.type} ${c.key}`));
  running.push(things.run(stop.signal));
  return { things, changes };
}
const asked = (what: 'list' | 'watch') =>
  api.asked.filter((a) => a.path !== '/readyz' && a.query.has('watch') === (what === 'watch'));
/** What reflectors wait for from now until it is asked, in ms as they asked for it; less a tenth by `random`. */
function reflectorWaits(begunBefore = Infinity): () => readonly number[] {
  const recording = record('');
  return () =>
    recording
      .end()
      .waits.filter((w) => w.by.startsWith('kube/reflector.ts') && w.begun < begunBefore)
      .map((w) => Math.round(w.ms));
}
const watched = (n: number): Promise<void> => until(() => watches.length >= n, 10_000);

describe('a reflector', () => {
  it('lists, then follows the watch from the version of the list', async () => {
    const { things, changes } = start();
    expect(things.synced).toBe(false);
    expect(await things.whenSynced(stop.signal)).toBe(true);
    await watched(1);
    expect(watches[0]?.from).toBe('10');
    expect(changes).toEqual(['Added d/a', 'Added d/b']);
    objects.set('a', { version: '11', n: 5 });
    watches[0]?.response.write(event('MODIFIED', item('a')));
    watches[0]?.response.write(event('DELETED', { metadata: { name: 'b', namespace: 'd', resourceVersion: '12' } }));
    await until(() => changes.length === 4);
    expect(changes.slice(2)).toEqual(['Updated d/a', 'Deleted d/b']);
    expect(things.store.get('d/a')).toEqual({ n: 5 });
    expect(things.store.size).toBe(1);
    const query = asked('watch')[0]?.query;
    expect(query?.get('allowWatchBookmarks')).toBe('true');
    expect(Number(query?.get('timeoutSeconds'))).toBe(450);
  });

  it('lists in pages and keeps the version of the last', async () => {
    list = ({ query }, response) =>
      query.get('continue') === null
        ? json(response, 200, { metadata: { resourceVersion: '10', continue: 'more' }, items: [item('a')] })
        : json(response, 200, { metadata: { resourceVersion: '10' }, items: [item('b')] });
    const { things } = start({ pageSize: 1 });
    await things.whenSynced(stop.signal);
    expect(things.store.size).toBe(2);
    expect(asked('list')).toHaveLength(2);
  });

  it('answers from its indexes, also after objects moved and went', async () => {
    const { things } = start();
    await things.whenSynced(stop.signal);
    await watched(1);
    expect(things.store.keysBy('odd', 'yes')).toEqual(['d/a']);
    objects.set('a', { version: '11', n: 4 });
    watches[0]?.response.write(event('MODIFIED', item('a')));
    await until(() => things.store.keysBy('odd', 'no').length === 2);
    expect(things.store.by('odd', 'yes')).toEqual([]);
    watches[0]?.response.write(event('DELETED', item('a')));
    await until(() => things.store.keysBy('odd', 'no').length === 1);
  });

  it('resumes after a watch that ended from the last bookmark, without a list', async () => {
    const { things } = start();
    await things.whenSynced(stop.signal);
    await watched(1);
    watches[0]?.response.write(event('BOOKMARK', { metadata: { resourceVersion: 'opaque-42' } }));
    watches[0]?.response.end();
    await watched(2);
    expect(watches[1]?.from).toBe('opaque-42');
    expect(asked('list')).toHaveLength(1);
  });

  it.each([
    ['as HTTP status', (r: ServerResponse) => json(r, 410, statusBody(410, 'Expired'))],
    [
      'inside the stream',
      (r: ServerResponse) => void r.writeHead(200).write(event('ERROR', statusBody(410, 'Expired'))),
    ],
  ])(
    'lists at once when its version is gone (%s), and tells what was deleted and added meanwhile',
    async (_name, gone) => {
      const { things, changes } = start();
      await things.whenSynced(stop.signal);
      await watched(1);
      objects.delete('a');
      objects.set('c', { version: '20', n: 3 });
      const good = watch;
      watch = (_a, response) => {
        watch = good;
        gone(response);
      };
      const waited = reflectorWaits();
      watches[0]?.response.end();
      await watched(2);
      // After the watch that ended, as after any, and once more, a little longer.
      expect(waited()).toEqual([90, 144]);
      expect(changes.slice(2).sort()).toEqual(['Added d/c', 'Deleted d/a']);
      expect(asked('list')).toHaveLength(2);
    },
  );

  it.each([
    ['as HTTP status', (r: ServerResponse) => json(r, 410, statusBody(410, 'Expired'))],
    ['inside the stream', (r: ServerResponse) => void r.writeHead(200).end(event('ERROR', statusBody(410, 'Expired')))],
  ])('does not storm a server to which every version is gone (%s)', async (_name, gone) => {
    watch = (_a, response) => gone(response);
    const { things, changes } = start();
    await things.whenSynced(stop.signal);
    await until(() => asked('list').length >= 5);
    // At once, then 100 ms, and 1.6 times as long each: whatever the machine is busy with, waits are not shorter. Those
    // are 160, 256 and 410 ms, less a tenth, since the first wait of 100 ms is the one that was not waited for.
    const at = asked('list').map((a) => a.at);
    const waits = at.slice(1).map((t, i) => t - (at[i] ?? 0));
    expect(waits[1]).toBeGreaterThan(140);
    expect(waits[2]).toBeGreaterThan(225);
    expect(waits[3]).toBeGreaterThan(360);
    expect(asked('watch').length).toBeLessThanOrEqual(asked('list').length);
    expect(changes).toEqual(['Added d/a', 'Added d/b']);
  });

  it('lists from the start when a page is gone, and tells what went between the pages', async () => {
    let pages = 0;
    list = ({ query }, response) => {
      pages += 1;
      if (query.get('continue') === 'old') return json(response, 410, statusBody(410, 'Expired'));
      if (pages === 1)
        return json(response, 200, { metadata: { resourceVersion: '10', continue: 'old' }, items: [item('a')] });
      objects.delete('a');
      return json(response, 200, { metadata: { resourceVersion: '12' }, items: [item('b')] });
    };
    const { things, changes } = start({ pageSize: 1 });
    await things.whenSynced(stop.signal);
    await watched(1);
    expect(watches[0]?.from).toBe('12');
    expect(changes).toEqual(['Added d/a', 'Added d/b', 'Deleted d/a']);
    expect(pages).toBe(3);
  });

  it('counts what it holds, with the other caches of the resource, and nothing when it has ended', async () => {
    let held = 0;
    const metrics = { ...noKubeMetrics, stored: (_resource: string, more: number) => void (held += more) };
    const one = new AbortController();
    const other = createReflector<Thing, never>({
      resource: THINGS,
      ...kube,
      log: silentLogger,
      metrics,
      project: () => ({ n: 0 }),
      indexes: {},
    });
    const ended = other.run(one.signal);
    running.push(ended);
    const { things } = start({ metrics });
    await things.whenSynced(stop.signal);
    await other.whenSynced(stop.signal);
    await watched(2);
    expect(held).toBe(4);
    objects.set('c', { version: '11', n: 5 });
    for (const w of watches) w.response.write(event('ADDED', item('c')));
    await until(() => held === 6);
    for (const w of watches) w.response.write(event('MODIFIED', { ...item('c'), spec: { n: 6 } }));
    for (const w of watches) w.response.write(event('DELETED', item('a')));
    await until(() => held === 4);
    one.abort();
    await ended;
    expect(held).toBe(2);
  });

  it('tells nothing about what a second list shows unchanged', async () => {
    const { things, changes } = start();
    await things.whenSynced(stop.signal);
    await watched(1);
    watches[0]?.response.write(event('ERROR', statusBody(410, 'Expired')));
    await watched(2);
    expect(changes).toEqual(['Added d/a', 'Added d/b']);
  });

  it('tells which version a watch told of, and none where a list may have left out what came before', async () => {
    const { things } = start();
    const versions: (string | undefined)[] = [];
    things.onChange(({ version }) => versions.push(version));
    await things.whenSynced(stop.signal);
    await watched(1);
    objects.set('a', { version: '11', n: 5 });
    watches[0]?.response.write(event('MODIFIED', item('a')));
    await until(() => versions.length === 3);
    objects.set('a', { version: '12', n: 6 });
    watches[0]?.response.write(event('ERROR', statusBody(410, 'Expired')));
    await until(() => versions.length === 4);
    expect(versions).toEqual([undefined, undefined, '11', undefined]);
  });

  it('goes on after rubbish, torn lines, in-stream errors and broken connections', async () => {
    const { things, changes } = start();
    await things.whenSynced(stop.signal);
    const endings: ((r: ServerResponse) => void)[] = [
      (r) => void r.write('{"type":"ADDED","obj\n'),
      (r) => void r.end('{"type":"ADDED","object":{"metadata":{"na'),
      (r) => void r.write(event('ERROR', statusBody(500, 'InternalError'))),
      (r) => void r.socket?.resetAndDestroy(),
    ];
    for (const [i, end] of endings.entries()) {
      await watched(i + 1);
      end(watches[i]?.response as ServerResponse);
    }
    await watched(endings.length + 1);
    objects.set('z', { version: '99', n: 9 });
    watches.at(-1)?.response.write(event('ADDED', item('z')));
    await until(() => changes.includes('Added d/z'));
  });

  it('does not storm a server that ends every watch at once', async () => {
    watch = (_a, response) => void response.writeHead(200).end();
    const { things } = start();
    await things.whenSynced(stop.signal);
    await sleep(2_000);
    // 100 ms, then 1.6 times as long each: six in two seconds.
    expect(asked('watch').length).toBeGreaterThanOrEqual(4);
    expect(asked('watch').length).toBeLessThanOrEqual(8);
  });

  it('does not storm a server that answers 429, and honours its Retry-After', async () => {
    watch = (_a, response) => json(response, 429, statusBody(429, 'TooManyRequests'), { 'retry-after': '1' });
    const { things } = start();
    await things.whenSynced(stop.signal);
    await sleep(2_500);
    expect(asked('watch').length).toBeGreaterThanOrEqual(2);
    expect(asked('watch').length).toBeLessThanOrEqual(3);
  });

  it('drops a watch that is silent for too long, and resumes', async () => {
    const { things } = start({ idleMs: 150 });
    await things.whenSynced(stop.signal);
    await watched(2);
    expect(asked('list')).toHaveLength(1);
    await until(() => api.connections <= 3);
  });

  it('keeps a watch that is silent but for its bookmarks', async () => {
    const { things } = start({ idleMs: 600 });
    await things.whenSynced(stop.signal);
    await watched(1);
    for (let i = 0; i < 8; i++) {
      await sleep(120);
      watches[0]?.response.write(event('BOOKMARK', { metadata: { resourceVersion: `${20 + i}` } }));
    }
    expect(watches).toHaveLength(1);
  });

  it('is not broken by a handler that throws', async () => {
    const { things, changes } = start();
    things.onChange(() => {
      throw new Error('a bug');
    });
    const after: string[] = [];
    things.onChange((c) => after.push(c.key));
    await things.whenSynced(stop.signal);
    await watched(1);
    objects.set('c', { version: '11', n: 1 });
    watches[0]?.response.write(event('ADDED', item('c')));
    await until(() => after.includes('d/c'));
    expect(changes).toHaveLength(3);
  });

  it('ends with its signal and leaves no connection, whatever it is doing', async () => {
    const { things } = start();
    await things.whenSynced(stop.signal);
    await watched(1);
    stop.abort();
    await Promise.all(running);
    await kube.close();
    await until(() => api.connections === 0);
  });
});

/** A restarted server: it answers 410 to every version from before. The list after it says `restarted`. */
const forgetful =
  (good: Handler): Handler =>
  (a, response) => {
    if (a.query.get('resourceVersion') === '10') json(response, 410, statusBody(410, 'Expired'));
    else good(a, response);
  };
const restartedList: Handler = (_asked, response) =>
  json(response, 200, { metadata: { resourceVersion: 'restarted' }, items: [...objects.keys()].map(item) });

describe('a reflector of a server that dies', () => {
  it('drops a silent watch as soon as the server stops listening, waits quietly, and lists when it is back', async () => {
    running.push(kube.health.start(stop.signal));
    const { things, changes } = start();
    await things.whenSynced(stop.signal);
    await watched(1);
    await until(() => api.asked.some((a) => a.path === '/readyz'));
    await sleep(50);

    let isDropped = false;
    watches[0]?.response.on('close', () => (isDropped = true));
    api.stopListening();
    // Long before the next ping, and before the watch is silent for too long.
    await until(() => !kube.health.up);
    await until(() => isDropped);
    await sleep(1_500);
    objects.delete('a');
    const listsBefore = asked('list').length;
    list = restartedList;
    watch = forgetful(watch);
    const waited = reflectorWaits();
    await api.listen();
    await until(() => changes.includes('Deleted d/a'));
    // At once, when health says so.
    expect(waited()).toEqual([]);
    expect(asked('list').length - listsBefore).toBe(1);
    expect(kube.health.up).toBe(true);
  });

  it('asks only for readyz while it is not ready, at most a few times a second, however many reflectors there are', async () => {
    running.push(kube.health.start(stop.signal));
    const all = Array.from({ length: 8 }, () => start());
    for (const { things } of all) await things.whenSynced(stop.signal);
    await watched(8);
    ready = (_a, response) => void response.writeHead(500).end();
    list = (_a, response) => void response.writeHead(503).end();
    watch = list;
    api.breakAll();
    await until(() => !kube.health.up);
    api.asked.length = 0;
    const begun = performance.now();
    const probes = (): number => api.asked.filter((a) => a.path === '/readyz').length;
    await until(() => performance.now() - begun > 3_000 && probes() >= 4, 15_000);
    const [readyz, seconds] = [probes(), (performance.now() - begun) / 1_000];
    expect(readyz).toBeLessThanOrEqual(5 * seconds);
    // Each had perhaps one try under way when the news came.
    expect(api.asked.length - readyz).toBeLessThanOrEqual(16);
  });

  it('does not take a 403 on readyz for ready while the server starts', async () => {
    running.push(kube.health.start(stop.signal));
    const { things } = start();
    await things.whenSynced(stop.signal);
    await watched(1);
    ready = (_a, response) => void response.writeHead(500).end();
    api.breakAll();
    await until(() => !kube.health.up);
    ready = (_a, response) => void response.writeHead(403).end();
    await sleep(1_000);
    expect(kube.health.up).toBe(false);
    ready = (_a, response) => void response.writeHead(200).end();
    await until(() => kube.health.up);
  });

  it('comes back within moments where custom resources answer 429 with Retry-After for a second after readyz', async () => {
    running.push(kube.health.start(stop.signal));
    const { things, changes } = start();
    await things.whenSynced(stop.signal);
    await watched(1);
    const goodWatch = watch;
    const busy: Handler = (_a, response) =>
      json(response, 429, statusBody(429, 'TooManyRequests', 'storage is (re)initializing'), { 'retry-after': '1' });
    ready = (_a, response) => void response.writeHead(500).end();
    list = busy;
    watch = busy;
    api.breakAll();
    await until(() => !kube.health.up);
    objects.set('n', { version: '50', n: 1 });
    ready = (_a, response) => void response.writeHead(200).end();
    await until(() => kube.health.up);
    // Less than the time for which a server is taken to warm up, so that a busy machine makes no difference.
    const waited = reflectorWaits(performance.now() + 4_000);
    const refused = api.asked.length;
    await until(() => api.asked.filter((a, i) => i >= refused && a.path !== '/readyz').length >= 5);
    list = restartedList;
    watch = forgetful(goodWatch);
    await until(() => changes.includes('Added d/n'));
    // Never for the second that it was told to wait, and never not at all.
    const waits = waited();
    expect(waits.length).toBeGreaterThan(0);
    expect(waits.filter((ms) => ms < 80 || ms > 300)).toEqual([]);
  });

  it('does not make up afterwards for the waits that it cut short while the server warmed up', async () => {
    let sinceUpMs = 0;
    const health = { up: true, sinceUpMs: () => sinceUpMs, onTrouble: () => () => undefined };
    const whenUp = (): Promise<void> => Promise.resolve();
    list = (_a, response) => json(response, 503, statusBody(503, 'ServiceUnavailable'));
    const { changes } = start({ health: { ...health, whenUp, start: whenUp } });
    // As often as makes 27 s of the wait that grows by 1.6.
    await until(() => asked('list').length >= 12);
    sinceUpMs = 10_000;
    const waited = reflectorWaits();
    const asks = asked('list').length;
    await until(() => asked('list').length >= asks + 3);
    list = restartedList;
    await until(() => changes.includes('Added d/b'));
    expect(Math.max(...waited())).toBeLessThan(2_000);
  });
});
