/** Which request proves that events arrive, and what follows from what was found. */
import { describe, expect, it } from 'vitest';
import { chooseProbe, eventIn, judgeProof, probesFor, WHO_AM_I } from '../../src/analysis/proof.ts';
import type { Chosen, Observation } from '../../src/analysis/proof.ts';
import { compilePolicy } from '../../src/policy/evaluate.ts';
import { loadPolicy } from '../../src/policy/load.ts';
import { PRESET_NAMES, presetPolicy } from '../../src/policy/presets.ts';

const NAMESPACE = 'auditconfig-system';
const AGENT = `system:serviceaccount:${NAMESPACE}:auditconfig-agent`;
const WHO = {
  user: AGENT,
  groups: ['system:serviceaccounts', `system:serviceaccounts:${NAMESPACE}`, 'system:authenticated'],
};
const PROBES = probesFor('cp-1', 'auditconfig-bundles');

function chosenFor(rules: string): Chosen | undefined {
  const text = `apiVersion: audit.k8s.io/v1\nkind: Policy\n${rules}`;
  const { policy, findings } = loadPolicy(new TextEncoder().encode(text), '1.36');
  if (policy === undefined) throw new Error(JSON.stringify(findings));
  return chooseProbe(compilePolicy(policy).decide, WHO, PROBES);
}
const named = (c: Chosen | undefined): string | undefined =>
  c === undefined ? undefined : `${c.probe.name} at ${c.expected.level}`;

describe('the request that is chosen', () => {
  it.each([
    ['everything is recorded', 'rules: [{level: Metadata}]', 'SelfSubjectReview at Metadata'],
    ['bodies are recorded', 'rules: [{level: RequestResponse}]', 'SelfSubjectReview at RequestResponse'],
    [
      'only Secrets are recorded',
      'rules: [{level: Request, resources: [{group: "", resources: [secrets]}]}]',
      'get secrets at Request',
    ],
    [
      'only ConfigMaps are recorded',
      'rules: [{level: Metadata, resources: [{group: "", resources: [configmaps]}]}]',
      'get configmaps at Metadata',
    ],
    [
      'creation is not recorded, reading is',
      'rules: [{level: None, verbs: [create, get]}, {level: Metadata}]',
      'list auditnodes at Metadata',
    ],
    ['only paths are recorded', 'rules: [{level: Metadata, nonResourceURLs: [/version]}]', '/version at Metadata'],
    [
      'the first rule that matches leaves the agent out',
      `rules: [{level: None, users: ["${AGENT}"]}, {level: Metadata}]`,
      undefined,
    ],
    ['nothing is recorded', 'rules: [{level: None}]', undefined],
    ['no rule matches', 'rules: [{level: Metadata, users: [alice]}]', undefined],
    [
      'both stages of a request are left out',
      'omitStages: [RequestReceived]\nrules: [{level: Metadata, omitStages: [ResponseComplete]}]',
      undefined,
    ],
  ])('where %s', (_, rules, want) => {
    expect(named(chosenFor(rules))).toBe(want);
  });

  it('is looked for in the stages that are kept', () => {
    expect(chosenFor('omitStages: [RequestReceived]\nrules: [{level: Metadata}]')?.expected.stages).toEqual([
      'ResponseComplete',
    ]);
  });

  it('is there for every preset but the one that records nothing', () => {
    const none = PRESET_NAMES.filter(
      (n) => chooseProbe(compilePolicy(presetPolicy(n)).decide, WHO, PROBES) === undefined,
    );
    expect(none).toEqual(['none']);
  });

  it('never asks for a namespace that the agent was not told', () => {
    expect(probesFor('cp-1', undefined).map((p) => p.name)).toEqual([
      'SelfSubjectReview',
      'list auditnodes',
      '/version',
    ]);
  });
});

const ID = 'a3f1c2d4-0000-4000-8000-000000000001';
const event = (more: object = {}): string =>
  JSON.stringify({
    kind: 'Event',
    apiVersion: 'audit.k8s.io/v1',
    level: 'Metadata',
    auditID: ID,
    stage: 'ResponseComplete',
    requestURI: '/version',
    verb: 'get',
    user: { username: 'x' },
    ...more,
  });

describe('the event in a line', () => {
  it.each([
    ['an event with the ID', event(), { level: 'Metadata', stage: 'ResponseComplete' }],
    ['an event that has the ID somewhere else', event({ auditID: 'other', userAgent: ID }), undefined],
    ['a torn event', event().slice(0, -5), undefined],
    ['JSON that is no event', JSON.stringify({ auditID: ID }), undefined],
    ['a line of the Legacy format', `2026-11-21T10:00:00.5Z AUDIT: id="${ID}" stage="ResponseComplete" ip="::1"`, {}],
    ['another line of the Legacy format', `2026-11-21T10:00:00Z AUDIT: id="other" user="${ID}"`, undefined],
    ['an empty line', '', undefined],
  ])('%s', (_, line, want) => {
    expect(eventIn(line, ID)).toEqual(want);
  });
});

describe('the judgement', () => {
  const chosen: Chosen = { probe: WHO_AM_I, expected: { level: 'Metadata', stages: ['ResponseComplete'] } };
  const rows: readonly [string, Observation, string][] = [
    ['an event at the level that was predicted', { kind: 'Seen', event: { level: 'Metadata' } }, 'EventFound'],
    ['an event whose format tells no level', { kind: 'Seen', event: {} }, 'EventFound'],
    ['an event at a lower or higher level', { kind: 'Seen', event: { level: 'Request' } }, 'WrongLevel'],
    ['no event', { kind: 'NotSeen', log: 'Present' }, 'EventMissing'],
    ['no log', { kind: 'NotSeen', log: 'Absent' }, 'LogMissing'],
    ['a log that cannot be kept up with', { kind: 'NotSeen', log: 'TooBusy' }, 'TooBusy'],
    ['no answer', { kind: 'NoAnswer', why: 'refused' }, 'NoAnswer'],
  ];
  it.each(rows)('%s', (_, seen, want) => {
    expect(judgeProof(chosen, seen, '/var/log/audit.log').result).toBe(want);
  });
});
