/**
 * The floor: a client that knows already what is to be written and makes the operator's three writes a control plane, 8
 * control planes in flight over kept-alive connections. It decides nothing, watches nothing, and reads no answer.
 */
import { Agent, request } from 'undici';
import { BARE_AGENT } from './log.ts';
import { each } from './fleet.ts';
import type { Fleet } from './fleet.ts';
import { meter } from './meter.ts';
import type { Cost } from './meter.ts';
import { auditConfig, namespaceOf, workload } from './workload.ts';
import { pathOf } from '../../operator/install.ts';

type Live = {
  readonly metadata: { readonly uid: string; readonly generation: number };
  readonly spec: {
    readonly template: { readonly spec: { readonly containers: readonly { readonly args: string[] }[] } };
  };
  readonly status: object;
};
type Named = { readonly metadata: { readonly name: string; readonly creationTimestamp: string } };
type Write = { readonly method: 'POST' | 'PATCH'; readonly path: string; readonly type: string; readonly body: string };

const JSON_PATCH = 'application/json-patch+json';

/** What it will write: the operator's revision under another name, the same arguments anew, the same status. */
async function writesOf(fleet: Fleet, i: number, round: number): Promise<readonly Write[]> {
  const base = `/api/v1/namespaces/${namespaceOf(i)}/configmaps`;
  const live = (await fleet.must('GET', pathOf(workload(i)))) as Live;
  const config = (await fleet.must('GET', pathOf(auditConfig(i)))) as Live;
  const maps = ((await fleet.must('GET', `${base}?labelSelector=auditconfig.dev/bundle`)) as { items: Named[] }).items;
  const [newest] = [...maps].sort((a, b) => (a.metadata.creationTimestamp < b.metadata.creationTimestamp ? 1 : -1));
  if (newest === undefined) throw new Error(`no revision in ${namespaceOf(i)}`);
  const { metadata: _old, ...content } = newest;
  const copy = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `bare-${round}` }, ...content };
  const same = (uid: string) => ({ op: 'test', path: '/metadata/uid', value: uid });
  const args = [
    ...(live.spec.template.spec.containers[0]?.args ?? []).filter((a) => !a.startsWith('--max-requests')),
    `--max-requests-inflight=${400 + round}`,
  ];
  const patch = [
    same(live.metadata.uid),
    { op: 'replace', path: '/spec/template/spec/containers/0/args', value: args },
  ];
  // Other bytes of the same length, else the API server would write nothing.
  const status = JSON.parse(
    JSON.stringify(config.status).replaceAll(
      /is rolled out in|all pods of/g,
      (m) => m.slice(0, -1) + String(round % 10),
    ),
  ) as object;
  const told = [same(config.metadata.uid), { op: 'add', path: '/status', value: status }];
  return [
    { method: 'POST', path: base, type: 'application/json', body: JSON.stringify(copy) },
    { method: 'PATCH', path: pathOf(workload(i)), type: JSON_PATCH, body: JSON.stringify(patch) },
    { method: 'PATCH', path: `${pathOf(auditConfig(i))}/status`, type: JSON_PATCH, body: JSON.stringify(told) },
  ];
}

/** From the first write to the last answer. */
export type Bare = { readonly ms: number; readonly cost: Cost };

export async function bareRound(fleet: Fleet, round: number): Promise<Bare> {
  const all: (readonly Write[])[] = [];
  await each(fleet.count, 8, async (i) => {
    all[i] = await writesOf(fleet, i, round);
  });
  const dispatcher = new Agent({ connect: { ca: fleet.plane.ca }, connections: 8 });
  const headers = { authorization: `Bearer ${fleet.token}`, 'user-agent': BARE_AGENT, accept: 'application/json' };
  const send = async ({ method, path, type, body }: Write): Promise<void> => {
    const reply = await request(`${fleet.plane.url}${path}?fieldManager=auditconfig-controller`, {
      method,
      dispatcher,
      headers: { ...headers, 'content-type': type },
      body,
    });
    if (reply.statusCode >= 300) throw new Error(`${method} ${path}: ${reply.statusCode} ${await reply.body.text()}`);
    await reply.body.dump({ limit: 1e7 });
  };
  try {
    // A connection's handshake is no part of the work.
    await Promise.all(
      Array.from({ length: 8 }, () => request(`${fleet.plane.url}/version`, { dispatcher }).then((r) => r.body.dump())),
    );
    const cost = meter(fleet);
    const began = performance.now();
    await each(fleet.count, 8, async (i) => {
      for (const write of all[i] ?? []) await send(write);
    });
    return { ms: performance.now() - began, cost: cost() };
  } finally {
    await dispatcher.destroy();
  }
}
