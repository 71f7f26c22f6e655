/** What an API server counts of its webhook, read from its metrics, and what that says. */
import { describe, expect, it } from 'vitest';
import { CounterReader, judgeDelivery, receiverOf, since } from '../../src/analysis/delivery.ts';
import type { Counters } from '../../src/analysis/delivery.ts';

const HOST = 'audit.example.org:8443';
const METRICS = `# HELP apiserver_audit_event_total [ALPHA] Counter of audit events generated and sent to the audit backend.
# TYPE apiserver_audit_event_total counter
apiserver_audit_event_total 1.2e+03
apiserver_audit_error_total{plugin="webhook"} 7
apiserver_audit_error_total{plugin="buffered"} 5
apiserver_audit_error_total{plugin="truncate"} 3
apiserver_audit_error_total{plugin="log"} 100
apiserver_audit_level_total{level="Metadata"} 99
process_start_time_seconds 1.79e+09
rest_client_requests_total{code="200",host="${HOST}",method="POST"} 40
rest_client_requests_total{code="201",host="${HOST}",method="POST"} 2
rest_client_requests_total{code="500",host="${HOST}",method="POST"} 4
rest_client_requests_total{code="<error>",host="${HOST}",method="POST"} 9
rest_client_requests_total{code="200",host="127.0.0.1:6443",method="GET"} 77777
`;

function read(text: string, flags: Record<string, string> = {}, host = HOST): Counters | undefined {
  const reader = new CounterReader({ host, flags: new Map(Object.entries(flags)) });
  for (const line of text.split('\n')) reader.line(line);
  return reader.counters();
}

describe('the metrics of an API server', () => {
  it('are read as far as they concern the receiver', () => {
    expect(read(METRICS)).toEqual({
      startedAt: 1.79e9,
      events: 1200,
      lost: 15,
      taken: 42,
      failed: new Map([
        ['500', 4],
        ['<error>', 9],
      ]),
    });
  });

  it('count what the log may have lost for nobody', () => {
    const log = { '--audit-log-path': '/var/log/a.log' };
    expect(read(METRICS, log)?.lost).toBe(15);
    expect(read(METRICS, { ...log, '--audit-log-mode': 'batch' })?.lost).toBe(10);
    expect(read(METRICS, { ...log, '--audit-log-truncate-enabled': 'true' })?.lost).toBe(12);
  });

  it('know the receiver in whatever case its name is written', () => {
    expect(read(METRICS, {}, HOST.toUpperCase())?.taken).toBe(42);
    expect(read(METRICS, {}, 'audit.example.org')?.taken).toBe(0);
  });

  it('are none where the text is something else', () => {
    expect(read('<html>\nForbidden\n')).toBeUndefined();
    expect(read('process_start_time_seconds x')).toBeUndefined();
  });
});

const counters = (c: Partial<Omit<Counters, 'failed'>> & { failed?: Record<string, number> } = {}): Counters => ({
  startedAt: 1,
  events: 0,
  lost: 0,
  taken: 0,
  ...c,
  failed: new Map(Object.entries(c.failed ?? {})),
});
const START = counters({ events: 100, lost: 5, taken: 10, failed: { '500': 2 } });
const after = (more: Parameters<typeof counters>[0], from = START): Counters =>
  counters({
    startedAt: from.startedAt,
    events: from.events + (more?.events ?? 0),
    lost: from.lost + (more?.lost ?? 0),
    taken: from.taken + (more?.taken ?? 0),
    failed: {
      '500': 2 + (more?.failed?.['500'] ?? 0),
      ...(more?.failed?.['<error>'] ? { '<error>': more.failed['<error>'] } : {}),
    },
  });

describe('a webhook', () => {
  type Row = [string, Parameters<typeof counters>[0], { isOver?: boolean; last?: Counters }, string | undefined];
  it.each<Row>([
    ['delivers when a request was taken and nothing was lost', { events: 3, taken: 1 }, {}, 'Delivering'],
    ['is looked at longer while nothing has ended', { events: 3 }, {}, undefined],
    ['has no traffic when there was no event', {}, { isOver: true }, 'NoTraffic'],
    ['fails when events came up and no request ends', { events: 3 }, { isOver: true }, 'Failing'],
    ['is looked at longer after one failed attempt', { events: 3, failed: { '<error>': 1 } }, {}, undefined],
    ['fails after one failed attempt when nothing better comes', { failed: { '500': 1 } }, { isOver: true }, 'Failing'],
    ['fails after two', { failed: { '500': 2 } }, {}, 'Failing'],
    ['fails where events are dropped before they are sent', { lost: 1 }, { isOver: true }, 'Failing'],
    ['is looked at longer when some is taken and some is not', { taken: 1, failed: { '500': 1 } }, {}, undefined],
    ['delivers when what failed is repeated', { taken: 1, failed: { '500': 1 } }, { isOver: true }, 'Delivering'],
    ['has lost events when a batch was given up meanwhile', { taken: 2, lost: 400 }, { isOver: true }, 'EventsLost'],
    [
      'has lost events since the look before',
      { taken: 2 },
      { last: counters({ events: 50, lost: 1, taken: 5 }) },
      'EventsLost',
    ],
    [
      'has lost what the process that came since then has lost',
      { taken: 2 },
      { last: counters({ startedAt: 0, lost: 9 }) },
      'EventsLost',
    ],
    ['is not blamed twice', { taken: 2 }, { last: START }, 'Delivering'],
  ])('%s', (_name, more, { isOver = false, last }, expected) => {
    const found = judgeDelivery({ first: START, now: after(more), last, isOver });
    expect(found?.result).toBe(expected);
  });

  it('is judged anew in another process of the API server', () => {
    const now = counters({ startedAt: 2, events: 3, taken: 1 });
    expect(since(START, now)).toMatchObject({ events: 3, taken: 1, lost: 0 });
    expect(judgeDelivery({ first: START, now, last: START, isOver: false })?.result).toBe('Delivering');
  });

  it('is told of with numbers, and with no word of the kubeconfig', () => {
    const failing = judgeDelivery({
      first: START,
      now: after({ lost: 1, failed: { '500': 3, '<error>': 2 } }),
      last: undefined,
      isOver: false,
    });
    expect(failing?.message).toBe(
      'every attempt failed: 3 with HTTP 500, 2 without an answer; 1 event lost since the last look',
    );
    expect(failing?.lost).toBe(1);
  });
});

describe('the receiver', () => {
  it.each<[string, string | undefined]>([
    ['{"clusters":[{"cluster":{"server":"https://audit.example.org:8443/events"}}]}', HOST],
    ['{"clusters":[{"cluster":{"server":"http://[fd00::1]:80"}}]}', '[fd00::1]:80'],
    ['{"clusters":[]}', undefined],
    ['null', undefined],
    ['{', undefined],
  ])('of %s is %s', (kubeconfig, host) => {
    expect(receiverOf(kubeconfig)).toBe(host);
  });
});
