/** The watch over a webhook: how often it looks, what it remembers between two looks, and what it says. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DeliveryWatch } from '../../src/agent/delivery.ts';
import { batchWaitMs } from '../../src/analysis/delivery.ts';
import { eachLine } from '../../src/kube/server-metrics.ts';
import type { AuditNodeStatus } from '../../src/api/auditnode.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { applyUnguarded, SPEC, worldWith } from '../node/fixture.ts';
import { revision } from '../targets/revisions.ts';

const KUBECONFIG = '{"clusters":[{"cluster":{"server":"https://r:1/"}}]}';
const HOUR = 3_600_000;
const SECOND = 1_000;

type Server = { startedAt: number; events: number; taken: number; failed: number; lost: number; answers: boolean };

async function watched(webhook: string | null = KUBECONFIG) {
  const w = worldWith();
  const to = revision({
    ...(webhook === null ? {} : { webhook, flags: { '--audit-webhook-mode': 'blocking' } }),
  });
  await applyUnguarded(w, to);
  const server: Server = { startedAt: 1, events: 10, taken: 10, failed: 0, lost: 0, answers: true };
  const said: NonNullable<AuditNodeStatus['webhook']>[] = [];
  let reads = 0;
  let credentials = 'c1';
  const stop = new AbortController();
  const looked: [string, number][] = [];
  const watch = new DeliveryWatch({
    host: { ...w.host, ticks: () => Date.now(), now: () => Date.now() },
    spec: SPEC,
    read: (_address, onLine) => {
      reads += 1;
      onLine(`process_start_time_seconds ${server.startedAt}`);
      onLine(`apiserver_audit_event_total ${server.events}`);
      onLine(`apiserver_audit_error_total{plugin="webhook"} ${server.lost}`);
      onLine(`rest_client_requests_total{code="200",host="r:1",method="POST"} ${server.taken}`);
      onLine(`rest_client_requests_total{code="500",host="r:1",method="POST"} ${server.failed}`);
      return Promise.resolve(server.answers);
    },
    credentials: () => credentials,
    intervalMs: HOUR,
    report: ({ webhook: found }) => found !== undefined && void said.push(found),
    metrics: { looked: (result, lost) => void looked.push([result, lost]), silent: () => void looked.push(['', 0]) },
    log: createLogger({ name: 'test', level: 'silent' }),
  });
  const ended = watch.run(stop.signal);
  return {
    server,
    said,
    looked,
    to,
    watch,
    reads: () => reads,
    rotate: () => void (credentials = 'c2'),
    stop: async () => {
      stop.abort();
      await ended;
    },
    results: () => said.map((s) => s.result),
    pass: (ms: number) => vi.advanceTimersByTimeAsync(ms),
  };
}

describe('the watch over a webhook', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('looks once an hour while it takes events, twice at its metrics', async () => {
    const t = await watched();
    const traffic = setInterval(() => void ((t.server.events += 1), (t.server.taken += 1)), SECOND);
    await t.pass(10 * SECOND);
    expect(t.said).toEqual([
      {
        digest: t.to.digest,
        result: 'Delivering',
        time: expect.any(String) as string,
        message: expect.any(String) as string,
      },
    ]);
    expect(t.reads()).toBe(2);
    await t.pass(3 * HOUR + 60 * SECOND);
    expect(t.results()).toEqual(['Delivering', 'Delivering', 'Delivering', 'Delivering']);
    expect(t.reads()).toBe(8);
    clearInterval(traffic);
    await t.stop();
  });

  it('looks every five minutes while it fails, and tells of what was lost when it takes events again', async () => {
    const t = await watched();
    let fails = true;
    const traffic = setInterval(() => {
      t.server.events += 1;
      if (fails) t.server.failed += 1;
      else t.server.taken += 1;
    }, SECOND);
    await t.pass(10 * SECOND);
    expect(t.results()).toEqual(['Failing']);
    t.server.lost += 40;
    await t.pass(6 * 60 * SECOND);
    expect(t.results()).toEqual(['Failing', 'Failing']);
    expect(t.looked.at(-1)).toEqual(['Failing', 40]);
    t.server.lost += 2;
    fails = false;
    await t.pass(6 * 60 * SECOND);
    expect(t.results().slice(2)).toEqual(['EventsLost']);
    expect(t.said.at(-1)?.message).toContain('2 events lost');
    await t.pass(6 * 60 * SECOND);
    expect(t.results().slice(3)).toEqual(['Delivering']);
    expect(t.looked.map(([, lost]) => lost)).toEqual([0, 40, 2, 0]);
    clearInterval(traffic);
    await t.stop();
  });

  it('says at the next poll that it has recovered, and does not wait for what failed before', async () => {
    const t = await watched();
    let fails = true;
    const traffic = setInterval(() => {
      t.server.events += 1;
      if (fails) t.server.failed += 1;
      t.server.taken += 1;
    }, SECOND);
    await t.pass(3 * SECOND);
    expect(t.said).toEqual([]);
    fails = false;
    await t.pass(10 * SECOND);
    expect(t.results()).toEqual(['Delivering']);
    clearInterval(traffic);
    await t.stop();
  });

  it('tells within the hour of what was lost between two looks, though both found it well', async () => {
    const t = await watched();
    const traffic = setInterval(() => void ((t.server.events += 1), (t.server.taken += 1)), SECOND);
    await t.pass(10 * SECOND);
    t.server.lost = 7;
    await t.pass(HOUR + 30 * SECOND);
    expect(t.results()).toEqual(['Delivering', 'EventsLost']);
    clearInterval(traffic);
    await t.stop();
  });

  it('says that there was nothing to deliver, after it has waited for as long as an attempt may take', async () => {
    const t = await watched();
    await t.pass(30 * SECOND);
    expect(t.said).toEqual([]);
    await t.pass(20 * SECOND);
    expect(t.results()).toEqual(['NoTraffic']);
    await t.stop();
  });

  it('looks at once after a rotation, and when the node has settled on another revision', async () => {
    const t = await watched();
    const traffic = setInterval(() => void (t.server.taken += 1), SECOND);
    await t.pass(10 * SECOND);
    t.watch.wake();
    await t.pass(10 * SECOND);
    expect(t.said.length).toBe(1);
    t.rotate();
    t.watch.wake();
    await t.pass(10 * SECOND);
    expect(t.said.length).toBe(2);
    clearInterval(traffic);
    await t.stop();
  });

  it('says nothing that half of the metrics would say', async () => {
    const t = await watched();
    t.server.answers = false;
    await t.pass(10 * SECOND);
    expect(t.results()).toEqual(['NoAnswer']);
    await t.stop();
  });

  it('reads nothing where there is no webhook', async () => {
    const t = await watched(null);
    await t.pass(2 * HOUR);
    expect([t.reads(), t.said]).toEqual([0, []]);
    expect(t.looked.every(([result]) => result === '')).toBe(true);
    await t.stop();
  });
});

describe('metrics that arrive in pieces', () => {
  it('are whole lines', async () => {
    const lines: string[] = [];
    const text = Buffer.from('eins\nzwölf 2\n\nende');
    const chunks = async function* () {
      for (const byte of text) yield await Promise.resolve(Uint8Array.of(byte));
    };
    await eachLine(chunks(), (l) => void lines.push(l));
    expect(lines).toEqual(['eins', 'zwölf 2', '', 'ende']);
  });
});

it('a webhook waits for its batch unless it has none', () => {
  const of = (flags: Record<string, string>): number => batchWaitMs('webhook', new Map(Object.entries(flags)));
  expect(of({})).toBe(30_000);
  expect(of({ '--audit-webhook-batch-max-wait': '2s' })).toBe(2_000);
  expect(of({ '--audit-webhook-mode': 'blocking', '--audit-webhook-batch-max-wait': '2s' })).toBe(0);
});
