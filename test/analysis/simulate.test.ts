/** What another policy would have written of a record: exact where all was recorded, and unknown where it was not. */
import { describe, expect, it } from 'vitest';
import { Requests, Simulator } from '../../src/analysis/simulate.ts';
import type { RecordedEvent, Simulation } from '../../src/analysis/simulate.ts';
import type { AuditEvent } from '../../src/analysis/events.ts';
import type { Level, Policy, RequestAttributes, Rule, Stage } from '../../src/api/audit.ts';
import { compilePolicy } from '../../src/policy/evaluate.ts';
import { PRESET_NAMES, presetPolicy } from '../../src/policy/presets.ts';
import { goJson, recordedEvents, writtenBy } from './recorded.ts';

function simulate(policy: Policy, events: readonly RecordedEvent[]): Simulation {
  const [simulator, requests] = [new Simulator(policy), new Requests()];
  for (const recorded of events) simulator.see(recorded, requests.stagesAt(recorded.event));
  return simulator.result();
}

const lines: readonly RecordedEvent[] = recordedEvents().map(({ raw, event, request }) => ({
  ...{ event, request, bytes: Buffer.byteLength(goJson(raw)) + 1 },
  ...(raw['requestObject'] === undefined ? {} : { requestObject: raw['requestObject'] }),
  ...(raw['responseObject'] === undefined ? {} : { responseObject: raw['responseObject'] }),
}));

describe('of a record in which everything is', () => {
  it.each(PRESET_NAMES)('%s would have written these very events, to the byte, and nothing is unknown', (name) => {
    const policy = presetPolicy(name);
    const { written, rules, unknown } = simulate(policy, lines);
    const { bytes, lines: events } = writtenBy(policy, recordedEvents());
    expect(written).toEqual({ events, bytes });
    expect(unknown).toEqual({ bodies: 0, managedFields: 0, stages: {} });
    const sums = rules.map((r) => [r.events, r.bytes, r.dropped]);
    expect([0, 1, 2].map((i) => sums.reduce((sum, r) => sum + (r[i] ?? 0), 0))).toEqual([
      ...[events, bytes],
      lines.length - events,
    ]);
  });

  it('names what is lost, the most first, and every byte of it', () => {
    const { lost, written } = simulate(presetPolicy('none'), lines);
    expect(written).toEqual({ events: 0, bytes: 0 });
    expect(lost.reduce((sum, l) => sum + l.bytes, 0)).toBe(lines.reduce((sum, l) => sum + l.bytes, 0));
    expect(lost[0]).toMatchObject({ verb: 'update', what: 'coordination.k8s.io/leases', kept: 'None', events: 80 });
    expect(lost.map((l) => l.bytes)).toEqual(lost.map((l) => l.bytes).sort((a, b) => b - a));
    // Three nodes are one kind of user.
    expect(lost.filter((l) => l.user.startsWith('system:node:')).every((l) => l.user === 'system:node:*')).toBe(true);
  });
});

const RULE: Rule = {
  ...{ level: 'RequestResponse', users: [], userGroups: [], verbs: [], resources: [] },
  ...{ namespaces: [], nonResourceURLs: [], omitStages: [] },
};
const everything = (over: Partial<Rule> = {}): Policy => ({
  rules: [{ ...RULE, ...over }],
  omitStages: [],
  omitManagedFields: false,
});

const REQUEST: RequestAttributes = {
  ...{ kind: 'Resource', user: 'alice', groups: [], verb: 'create', group: '', version: 'v1' },
  ...{ resource: 'pods', subresource: '', namespace: 'shop', name: '' },
};
const BYTES = 1_000;
type Over = { readonly stage?: Stage; readonly level?: Level; readonly id?: string } & Partial<RecordedEvent>;
function recorded({ stage = 'ResponseComplete', level = 'Metadata', id = '1', ...over }: Over = {}): RecordedEvent {
  const event: AuditEvent = {
    ...{ level, stage, auditID: id, verb: 'create', requestURI: '/', user: { username: 'alice', groups: [] } },
    ...{ sourceIPs: [], annotations: {}, bodies: [] },
  };
  return { event, request: REQUEST, bytes: BYTES, ...over };
}
const received = recorded({ stage: 'RequestReceived' });

describe('what the record has not', () => {
  it('is unknown and never nothing: bodies', () => {
    const { unknown, written } = simulate(everything(), [received, recorded()]);
    expect(unknown).toEqual({ bodies: 1, managedFields: 0, stages: {} });
    // Metadata becomes RequestResponse in both, and that is all that can be told.
    expect(written).toEqual({ events: 2, bytes: 2 * (BYTES + 7) });
  });

  it('is nothing where the request has no such body', () => {
    const read = { request: { ...REQUEST, verb: 'get' } };
    const events = [recorded({ stage: 'RequestReceived', ...read }), recorded(read)];
    expect(simulate(everything({ level: 'Request' }), events).unknown.bodies).toBe(0);
    expect(simulate(everything(), events).unknown.bodies).toBe(1);
  });

  it('is unknown where the API server cut the event short', () => {
    const whole = recorded({ level: 'RequestResponse' });
    const cut = { ...whole, event: { ...whole.event, annotations: { 'audit.k8s.io/truncated': 'true' } } };
    expect(simulate(everything(), [received, whole]).unknown.bodies).toBe(0);
    expect(simulate(everything(), [received, cut]).unknown.bodies).toBe(1);
  });

  it('is unknown and never nothing: stages', () => {
    const watch = { request: { ...REQUEST, verb: 'watch' } };
    const events = [
      recorded(),
      recorded({ id: '2', ...watch }),
      { ...received, event: { ...received.event, auditID: '3' } },
    ];
    expect(simulate(everything({ level: 'Metadata' }), events).unknown.stages).toEqual({
      RequestReceived: 2,
      ResponseStarted: 1,
    });
    const omitted = everything({ level: 'Metadata', omitStages: ['RequestReceived'] });
    expect(simulate(omitted, events).unknown.stages).toEqual({ ResponseStarted: 1 });
    expect(simulate(everything({ level: 'None' }), events).unknown.stages).toEqual({});
  });

  it('is unknown and never nothing: managed fields', () => {
    const responseObject = { metadata: { name: 'x', uid: 'u' } };
    const lacking = recorded({ level: 'RequestResponse', requestObject: {}, responseObject });
    expect(simulate(everything(), [received, lacking]).unknown.managedFields).toBe(1);
    const list = { ...lacking, responseObject: { metadata: {}, items: [responseObject] } };
    expect(simulate(everything(), [received, list]).unknown.managedFields).toBe(1);
    const has = { ...lacking, responseObject: { metadata: { ...responseObject.metadata, managedFields: [] } } };
    expect(simulate(everything(), [received, has]).unknown.managedFields).toBe(0);
    expect(simulate(everything({ omitManagedFields: true }), [received, lacking]).unknown.managedFields).toBe(0);
  });
});

describe('managed fields that are left out', () => {
  const managedFields = [{ manager: 'a<b' }];
  const bytes = Buffer.byteLength(',"managedFields":[{"manager":"a\\u003cb"}]');
  const object = { metadata: { name: 'x', managedFields } };
  const less = (over: Partial<RecordedEvent>): number => {
    const event = recorded({ level: 'RequestResponse', requestObject: {}, responseObject: {}, ...over });
    return BYTES - simulate(everything({ omitManagedFields: true }), [event]).written.bytes;
  };

  it('are those of objects, of items and of rows of a table', () => {
    expect(less({ responseObject: object })).toBe(bytes);
    expect(less({ responseObject: { metadata: {}, items: [object, object] } })).toBe(2 * bytes);
    expect(less({ responseObject: { metadata: {}, rows: [{ cells: [], object }] } })).toBe(bytes);
    expect(less({ requestObject: object, responseObject: object })).toBe(2 * bytes);
  });

  it('are lost, as all that is left out; a lower level alone takes nothing away', () => {
    const event = recorded({ level: 'RequestResponse', requestObject: {}, responseObject: object });
    const kept = { verb: 'create', what: 'pods', user: 'alice', kept: 'RequestResponse', events: 1, bytes };
    expect(simulate(everything({ omitManagedFields: true }), [event]).lost).toEqual([kept]);
    const bare = recorded({ level: 'RequestResponse', stage: 'RequestReceived' });
    expect(simulate(everything({ level: 'Metadata' }), [bare]).lost).toEqual([]);
  });

  it('stay in a patch, which is logged as it was sent', () => {
    expect(less({ request: { ...REQUEST, verb: 'patch' }, requestObject: object })).toBe(0);
    expect(less({ request: { ...REQUEST, verb: 'patch' }, responseObject: object })).toBe(bytes);
  });
});

it('decides as the policy engine does, and knows the rule', () => {
  const policy = presetPolicy('recommended');
  const { decide } = compilePolicy(policy);
  const decided = new Set(lines.map((l) => decide(l.request).rule));
  expect(new Set(simulate(policy, lines).rules.map((r) => r.rule))).toEqual(decided);
});

it('remembers no more requests than it has to', () => {
  const requests = new Requests();
  const at = (auditID: string, stage: Stage): ReadonlySet<Stage> | undefined =>
    requests.stagesAt({ ...recorded().event, auditID, stage });
  at('first', 'RequestReceived');
  for (let i = 0; i < 100_000; i++) at(String(i), 'RequestReceived');
  expect(at('first', 'ResponseComplete')).toEqual(new Set(['ResponseComplete']));
  expect(at('99999', 'ResponseComplete')).toEqual(new Set(['RequestReceived', 'ResponseComplete']));
  expect(at('99999', 'ResponseComplete')).toEqual(new Set(['ResponseComplete']));
});
