/**
 * What an API server has forgotten: etcd is compacted while a watch is away, and between two pages of a list. Exactly one
 * list follows, nothing is lost, and the watch goes on. Without a watch cache, so that it is etcd itself that says so.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { KubeClient } from '../../src/kube/client.ts';
import { createReflector } from '../../src/kube/reflector.ts';
import type { ByteStream, Transport } from '../../src/kube/transport.ts';
import { noKubeMetrics } from '../../src/telemetry/kube-metrics.ts';
import { silentLogger } from '../../src/telemetry/logger.ts';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import { THINGS, connectTo, installThings, must, numberIn, thing, until } from './things.ts';

let plane: ControlPlane;
const stop = new AbortController();
const call = { signal: stop.signal };
const of = { ...call, fieldManager: 'test' };

beforeAll(async () => {
  plane = await startControlPlane({ version: '1.36', flags: ['--watch-cache=false'] });
});
afterAll(async () => {
  stop.abort();
  await plane?.stop();
});

const WAIT_MS = 60_000;

it('a watch and a list whose version etcd has forgotten are followed by one list, and nothing is lost', async () => {
  const kube = connectTo(plane);
  await installThings(kube.client, stop.signal);
  const put = (name: string, n: number) => must(() => kube.client.apply(THINGS, thing(name, n), of));
  for (const name of ['a', 'b', 'c']) await put(name, 1);

  const listed: string[] = [];
  const gone: string[] = [];
  let betweenPages: (() => Promise<unknown>) | undefined;
  const page: KubeClient['page'] = async (resource, how, next) => {
    if (next !== undefined) {
      const once = betweenPages;
      betweenPages = undefined;
      await once?.();
    }
    const answer = await kube.client.page(resource, how, next);
    if (!answer.ok) gone.push(`list ${answer.error.code}`);
    return answer;
  };
  let open = Promise.resolve();
  let streams: ByteStream[] = [];
  const stream: Transport['stream'] = async (request) => {
    await open;
    const answer = await kube.transport.stream(request);
    if (!answer.ok) gone.push(`watch ${answer.error.code}`);
    else streams.push(answer.value);
    return answer;
  };
  const things = createReflector<number | undefined, never>({
    resource: THINGS,
    client: { page } as unknown as KubeClient,
    transport: { stream },
    health: kube.health,
    log: silentLogger,
    metrics: {
      ...noKubeMetrics,
      listed: (_resource, why) => void listed.push(why),
      watchEnded: (_r, why) => void gone.push(`watch ended ${why}`),
    },
    project: (o) => numberIn(o, 'spec'),
    indexes: {},
    pageSize: 2,
  });
  const changes: string[] = [];
  things.onChange((c) => changes.push(`${c.type} ${c.key}`));
  const running = things.run(stop.signal);
  await things.whenSynced(stop.signal);
  await until(() => streams.length === 1, WAIT_MS);
  expect(listed).toEqual(['Start']);

  // Away: what it had seen is forgotten before it is back.
  let letGo = (): void => undefined;
  open = new Promise((resolve) => (letGo = resolve));
  const [first] = streams;
  streams = [];
  changes.length = 0;
  first?.close();
  await must(() => kube.client.delete(THINGS, { namespace: 'default', name: 'a' }, call));
  await put('b', 2);
  await put('d', 1);
  await plane.etcd.compact();
  gone.length = 0;
  letGo();
  await until(() => changes.length >= 3, WAIT_MS);
  await until(() => streams.length === 2, WAIT_MS);
  expect(changes.sort()).toEqual(['Added default/d', 'Deleted default/a', 'Updated default/b']);
  expect(listed).toEqual(['Start', 'Gone']);
  expect(gone).toEqual(['watch ended Gone']);
  await put('b', 3);
  await until(() => things.store.get('default/b') === 3, WAIT_MS);

  // Between two pages: the second one is refused, and the list begins anew.
  open = new Promise((resolve) => (letGo = resolve));
  const last = streams.at(-1);
  streams = [];
  changes.length = 0;
  gone.length = 0;
  betweenPages = async () => {
    await must(() => kube.client.delete(THINGS, { namespace: 'default', name: 'b' }, call));
    await put('e', 1);
    await plane.etcd.compact();
  };
  last?.close();
  // Twice: the version that etcd is compacted at is still there, and a watch from just before it goes on.
  await put('c', 2);
  await put('c', 3);
  await plane.etcd.compact();
  letGo();
  await until(() => changes.length >= 3, WAIT_MS);
  await until(() => streams.length === 2, WAIT_MS);
  expect([...changes].sort()).toEqual(['Added default/e', 'Deleted default/b', 'Updated default/c']);
  expect(listed).toEqual(['Start', 'Gone', 'Gone']);
  expect(gone.filter((g) => g.startsWith('list'))).toEqual(['list Gone']);
  await put('e', 2);
  await until(() => things.store.get('default/e') === 2, WAIT_MS);
  stop.abort();
  await running;
  await kube.close();
});
