/** What the controller writes on the Lease for restarts, and when it takes it from its holder. */
import { describe, expect, it } from 'vitest';
import { parseInstances, printInstances } from '../../src/api/restart-lease.ts';
import { holderVerdict, inFlight, planOf } from '../../src/rollout/restart-plan.ts';
import type { PlanConfig, PlanNode } from '../../src/rollout/restart-plan.ts';

const CONTROL_PLANE = { 'node-role.kubernetes.io/control-plane': '' };
const node = (name: string, more: Partial<PlanNode> = {}): PlanNode => ({
  name,
  uid: `uid-${name}`,
  labels: CONTROL_PLANE,
  internalIp: `10.0.0.${name}`,
  ...more,
});
const config = (rollout: unknown, more: Partial<PlanConfig> = {}): PlanConfig => ({
  key: 'ns/main',
  uid: 'c1',
  creationTimestamp: '2026-01-01T00:00:00Z',
  nodeSelector: CONTROL_PLANE,
  deleting: false,
  spec: { rollout },
  ...more,
});
const NOW = 10_000_000;

describe('the instances of a control plane', () => {
  it('are the nodes that are labelled so, chosen or told, each where it is reached', () => {
    const nodes = [
      node('3', { labels: {} }),
      node('2', { labels: { audit: 'yes' } }),
      node('1'),
      node('4', { labels: {}, owner: 'c1', status: { apiServer: { host: '192.0.2.4', port: 7443 } } }),
    ];
    const configs = [config({}, { nodeSelector: { audit: 'yes' } })];
    expect(planOf({ nodes, configs, before: [] })).toEqual([
      { node: '1', host: '10.0.0.1' },
      { node: '2', host: '10.0.0.2' },
      { node: '4', host: '192.0.2.4', port: 7443 },
    ]);
  });

  it('have the rules of the AuditConfig that has them', () => {
    const windows = [{ start: '22:00', durationMinutes: 60 }];
    const configs = [
      config({ paused: true, allowDegraded: false, windows }),
      config({ allowDegraded: true }, { key: 'ns/younger', uid: 'c2', nodeSelector: { other: 'yes' } }),
    ];
    const nodes = [node('1'), node('2', { labels: { other: 'yes' } })];
    expect(planOf({ nodes, configs, before: [] })).toEqual([
      { node: '1', host: '10.0.0.1', paused: true, windows },
      { node: '2', host: '10.0.0.2', allowDegraded: true },
    ]);
  });

  it('of an AuditConfig that is deleted are not paused by it', () => {
    const configs = [config({ paused: true }, { deleting: true })];
    expect(planOf({ nodes: [node('1')], configs, before: [] })).toEqual([{ node: '1', host: '10.0.0.1' }]);
  });

  it('of a spec that cannot be read keep their rules; without any, nothing is restarted', () => {
    const configs = [config({ windows: 'at night' })];
    const before = [{ node: '1', allowDegraded: true as const }];
    expect(planOf({ nodes: [node('1'), node('2')], configs, before })).toEqual([
      { node: '1', host: '10.0.0.1', allowDegraded: true },
      { node: '2', host: '10.0.0.2', paused: true },
    ]);
  });

  it('are written the same whatever their order, and read as they were written', () => {
    const all = planOf({ nodes: [node('2'), node('1')], configs: [config({ paused: true })], before: [] });
    expect(printInstances([...all].reverse())).toBe(printInstances(all));
    expect(parseInstances(printInstances(all))).toEqual(all);
  });

  it.each([[undefined], [''], ['{}'], ['[{"node":"UPPER"}]'], ['[{"node":"a","windows":[{"start":"25:00"}]}]']])(
    'are not read from %j',
    (text) => {
      expect(parseInstances(text)).toBeUndefined();
    },
  );
});

describe('the holder of the Lease', () => {
  const rules = { allowDegraded: true, timeoutSeconds: 300 };
  const away = { uid: 'u', ready: false, since: NOW - 20 * 60_000 };
  it.each([
    ['keeps it while its Node is there', { ...away, ready: true }, rules, { free: false, lookAgain: true }],
    ['loses it when its Node is gone', undefined, rules, { free: true, why: 'NodeDeleted' }],
    ['loses it when its Node was made anew', { ...away, uid: 'v' }, rules, { free: true, why: 'NodeDeleted' }],
    ['keeps it however long it is away', { ...away, since: 0 }, { ...rules, allowDegraded: false }, { free: false, lookAgain: false }],
    ['loses it after that where allowDegraded is set', away, rules, { free: true, why: 'NodeDead' }],
    ['keeps it until then', { ...away, since: away.since + 1 }, rules, { free: false, lookAgain: true }],
    ['keeps it longer where a change may take longer', away, { ...rules, timeoutSeconds: 301 }, { free: false, lookAgain: true }],
  ] as const)('%s', (_name, held, given, expected) => {
    expect(holderVerdict('n/u', held, given, NOW)).toEqual(expected);
  }); // prettier-ignore

  it('is the node whose change is in flight, where somebody deleted the Lease', () => {
    const nodes = [node('1', { status: { phase: 'Waiting' } }), node('2', { status: { phase: 'Probing' } })];
    expect(inFlight(nodes)).toBe('2/uid-2');
    expect(inFlight([node('1', { status: { phase: 'Settled' } })])).toBeUndefined();
  });
});
