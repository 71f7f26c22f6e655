import { describe, expect, it } from 'vitest';
import type { Policy, Rule } from '../../src/api/audit.ts';
import { DETECTIONS, coverage, describeGap } from '../../src/analysis/detections.ts';
import { bodiesLeaked } from '../../src/analysis/leaks.ts';
import { PRESET_NAMES, presetPolicy } from '../../src/policy/presets.ts';
import { redactSensitive } from '../../src/policy/redact.ts';

const rule = (over: Partial<Rule>): Rule => ({
  ...{ level: 'Metadata', users: [], userGroups: [], verbs: [], resources: [], namespaces: [] },
  ...{ nonResourceURLs: [], omitStages: [], ...over },
});
const policy = (...rules: readonly Partial<Rule>[]): Policy => ({
  rules: rules.map(rule),
  omitStages: [],
  omitManagedFields: false,
});
const core = (...resources: string[]): Rule['resources'] => [{ group: '', resources, resourceNames: [] }];

const missed = (p: Policy): string[] => coverage(p).flatMap((c) => (c.seen ? [] : [c.detection.id]));
const leaks = (p: Policy): string[] => bodiesLeaked(p).map((l) => `${l.verb} ${l.group}/${l.resource} ${l.rule}`);

describe('the detections', () => {
  it('have names of their own and ask for at least one request each', () => {
    expect(new Set(DETECTIONS.map((d) => d.id)).size).toBe(DETECTIONS.length);
    expect(DETECTIONS.filter((d) => d.variants.length === 0)).toEqual([]);
  });

  it('are as many as known, by least level', () => {
    const by = (level: string): number => DETECTIONS.filter((d) => d.level === level).length;
    expect([DETECTIONS.length, by('Metadata'), by('Request'), by('RequestResponse')]).toEqual([31, 24, 6, 1]);
  });

  it.each([
    ['balanced', 31],
    ['metadata', 24],
    ['minimal', 13],
    ['recommended', 27],
    ['basic', 12],
    ['sample', 27],
    ['default', 24],
    ['write-request-bodies', 31],
    ['all-request-bodies', 31],
    ['none', 0],
  ] as const)('are seen by the preset %s: %i', (name, seen) => {
    expect(DETECTIONS.length - missed(presetPolicy(name)).length).toBe(seen);
  });

  it('cover every preset in the line above', () => {
    expect(PRESET_NAMES).toHaveLength(10);
  });
});

describe('coverage', () => {
  it('misses an exec that only the end of would show', () => {
    const p = policy({ resources: core('pods/exec'), omitStages: ['ResponseStarted'] }, { level: 'RequestResponse' });
    expect(missed(p)).toEqual(['exec']);
    expect(coverage(p).find((c) => !c.seen)?.why[0]).toMatchObject({ code: 'Stages', decision: { rule: 0 } });
  });

  it('misses an exec over a websocket, which is a get', () => {
    expect(
      missed(policy({ level: 'None', verbs: ['get'], resources: core('pods/exec') }, { level: 'RequestResponse' })),
    ).toEqual(['exec']);
  });

  it('misses refused credentials where ResponseStarted is omitted for all', () => {
    const p = { ...policy({ level: 'RequestResponse' }), omitStages: ['ResponseStarted'] } as const;
    expect(missed(p)).toEqual(['exec', 'attach', 'anonymous']);
  });

  it('does not take the level alone for a body: a patched ClusterRole needs the answer', () => {
    expect(missed(policy({ level: 'Request' }))).toEqual(['clusterrole-patch']);
  });

  it('says which request is missed, at which level, by which rule', () => {
    const [gap] =
      coverage(policy({ level: 'None', resources: core('secrets') }, { level: 'RequestResponse' }))[0]?.why ?? [];
    expect(gap).toMatchObject({ code: 'Level', request: { verb: 'list', resource: 'secrets' }, decision: { rule: 0 } });
    expect(gap === undefined ? '' : describeGap(gap)).toBe('list secrets by alice: logged at None (rules[0])');
  });
});

describe('leaks', () => {
  it.each(['balanced', 'metadata', 'minimal', 'recommended', 'basic', 'none'] as const)('has none: %s', (name) => {
    expect(bodiesLeaked(presetPolicy(name))).toEqual([]);
  });

  it('are those that the documentation of a preset admits', () => {
    expect(leaks(presetPolicy('sample'))).toEqual(['create', 'update', 'patch'].map((v) => `${v} /configmaps 5`));
    const resources = (name: 'default' | 'write-request-bodies' | 'all-request-bodies'): string[] => [
      ...new Set(bodiesLeaked(presetPolicy(name)).map((l) => l.resource)),
    ];
    expect(resources('default')).toEqual(['oauthaccesstokens', 'oauthauthorizetokens']);
    const tokens = ['oauthaccesstokens', 'oauthauthorizetokens', 'useroauthaccesstokens'];
    expect(resources('write-request-bodies')).toEqual(['configmaps', ...tokens]);
    expect(resources('all-request-bodies')).toEqual(['configmaps', 'imagestreams/secrets', ...tokens]);
  });

  it.each(PRESET_NAMES)('are gone from %s once sensitive bodies are redacted', (name) => {
    expect(bodiesLeaked(redactSensitive(presetPolicy(name)))).toEqual([]);
  });

  it('are found behind users, groups, namespaces and names that only some requests have', () => {
    const p = policy(
      { resources: core('secrets'), users: ['alice'] },
      { level: 'None', userGroups: ['ops'] },
      {
        level: 'Request',
        users: ['alice', 'bob'],
        userGroups: ['ops', 'dev'],
        namespaces: ['shop'],
        verbs: ['update'],
        resources: [{ group: '', resources: ['secrets'], resourceNames: ['db'] }],
      },
      { level: 'None' },
    );
    expect(leaks(p)).toEqual(['update /secrets 2']);
  });

  it('are not where an earlier rule takes all such requests', () => {
    const sensitive = {
      resources: [
        ...core('secrets', 'configmaps', 'serviceaccounts/token'),
        ...['authentication.k8s.io', 'image.openshift.io', 'route.openshift.io', 'oauth.openshift.io'].map((group) => ({
          group,
          resources: [],
          resourceNames: [],
        })),
      ],
    };
    expect(leaks(policy(sensitive, { level: 'RequestResponse' }))).toEqual([]);
  });

  it('are a token in an answer, not in what asks for it', () => {
    expect(leaks(policy({ level: 'Request', resources: core('serviceaccounts/*') }))).toEqual([]);
    expect(leaks(policy({ level: 'RequestResponse', resources: core('serviceaccounts/*') }))).toContain(
      'create /serviceaccounts/token 0',
    );
  });
});
