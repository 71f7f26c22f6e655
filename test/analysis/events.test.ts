import { describe, expect, it } from 'vitest';
import { answersOf } from '../../src/analysis/answers.ts';
import type { Answers } from '../../src/analysis/answers.ts';
import { parseAuditEvent } from '../../src/analysis/events.ts';

/** As kube-apiserver 1.36 wrote it for `kubectl exec` through a proxy, by an impersonating admin. */
const EVENT = {
  kind: 'Event',
  apiVersion: 'audit.k8s.io/v1',
  level: 'Request',
  auditID: '6a9bd7b2-7d6a-4b0f-9f43-0c4f1d3c3a11',
  stage: 'ResponseStarted',
  requestURI: '/api/v1/namespaces/shop/pods/web-1/exec?command=sh&container=app',
  verb: 'create',
  user: { username: 'kubernetes-admin', uid: 'x', groups: ['system:masters', 'system:authenticated'], extra: {} },
  impersonatedUser: { username: 'bob', groups: ['developers', 'system:authenticated'] },
  sourceIPs: ['203.0.113.9', '198.51.100.1', '10.0.0.7'],
  userAgent: 'kubectl/v1.36.3 (linux/amd64)',
  objectRef: { resource: 'pods', namespace: 'shop', name: 'web-1', apiVersion: 'v1', subresource: 'exec' },
  responseStatus: { metadata: {}, code: 403, status: 'Failure', reason: 'Forbidden', message: 'no' },
  requestObject: { password: 'hunter2' },
  requestReceivedTimestamp: '2026-11-21T08:00:00.123456Z',
  stageTimestamp: '2026-11-21T08:00:00.130456Z',
  annotations: { 'authorization.k8s.io/decision': 'forbid', 'audit.k8s.io/truncated': 'true' },
};

function answers(value: unknown): Answers {
  const read = parseAuditEvent(value);
  if ('problem' in read) throw new Error(read.problem.code);
  return answersOf(read.event, { file: 'audit.log', line: 7 });
}

const problem = (value: unknown): string => {
  const read = parseAuditEvent(value);
  return 'problem' in read ? `${read.problem.code} ${read.problem.path}`.trim() : 'none';
};

describe('the seven questions', () => {
  it('are answered from what the event says, the claims apart', () => {
    expect(answers(EVENT)).toEqual({
      when: {
        received: '2026-11-21T08:00:00.123456Z',
        observed: '2026-11-21T08:00:00.130456Z',
        tookMilliseconds: 7,
      },
      what: {
        verb: 'create',
        level: 'Request',
        code: 403,
        reason: 'Forbidden',
        decision: 'forbid',
        bodies: ['request'],
        truncated: true,
      },
      onWhat: {
        object: { group: '', version: 'v1', resource: 'pods', subresource: 'exec', namespace: 'shop', name: 'web-1' },
      },
      toWhere: { uri: EVENT.requestURI },
      observedWhere: { file: 'audit.log', line: 7, stage: 'ResponseStarted', auditID: EVENT.auditID },
      fromWhere: {
        address: '10.0.0.7',
        claimed: { addresses: ['203.0.113.9', '198.51.100.1'], userAgent: EVENT.userAgent },
      },
      who: {
        user: 'kubernetes-admin',
        groups: ['system:masters', 'system:authenticated'],
        actingAs: { username: 'bob', groups: ['developers', 'system:authenticated'] },
      },
      annotations: EVENT.annotations,
    });
  });

  it('never hold a body', () => {
    expect(JSON.stringify(answers(EVENT))).not.toContain('hunter2');
  });

  it('are answered by the path where no resource was asked for, and by nobody where credentials were refused', () => {
    const refused = {
      ...EVENT,
      level: 'Metadata',
      user: {},
      impersonatedUser: undefined,
      objectRef: undefined,
      requestObject: undefined,
      requestURI: '/version?timeout=32s',
      sourceIPs: undefined,
      userAgent: undefined,
      responseStatus: undefined,
      annotations: undefined,
      stageTimestamp: null,
    };
    expect(answers(refused)).toMatchObject({ onWhat: { path: '/version' }, who: { groups: [] } });
    expect(answers(refused).who).not.toHaveProperty('user');
    expect(answers(refused).when).toEqual({ received: EVENT.requestReceivedTimestamp });
    expect(answers(refused).fromWhere).toEqual({ claimed: { addresses: [] } });
    expect(answers(refused).what).toEqual({ verb: 'create', level: 'Metadata', bodies: [], truncated: false });
  });

  it('ignore fields that newer API servers add', () => {
    expect(problem({ ...EVENT, authenticationMetadata: { impersonationConstraint: 'x' }, other: [1] })).toBe('none');
  });
});

describe('a value that is no audit event', () => {
  it.each([
    ['a list', [EVENT], 'EventNotAnObject'],
    ['null', null, 'EventNotAnObject'],
    ['an Event of the core group', { ...EVENT, apiVersion: 'v1' }, 'EventWrongKind kind'],
    ['another kind', { ...EVENT, kind: 'Policy' }, 'EventWrongKind kind'],
    ['an event without a stage', { ...EVENT, stage: undefined }, 'EventFieldMissing stage'],
    ['a stage that is none', { ...EVENT, stage: 'ResponseCompleted' }, 'EventUnknownValue stage'],
    ['a level that is none', { ...EVENT, level: 'metadata' }, 'EventUnknownValue level'],
    ['an event without an ID', { ...EVENT, auditID: null }, 'EventFieldMissing auditID'],
    ['a verb that is a number', { ...EVENT, verb: 1 }, 'EventWrongType verb'],
    ['a user that is a string', { ...EVENT, user: 'alice' }, 'EventWrongType user'],
    ['groups with a number', { ...EVENT, user: { groups: [1] } }, 'EventWrongType user.groups'],
    ['an address that is a number', { ...EVENT, sourceIPs: [1] }, 'EventWrongType sourceIPs'],
    ['a reference with a number', { ...EVENT, objectRef: { name: 1 } }, 'EventWrongType objectRef.name'],
    ['a code that is a string', { ...EVENT, responseStatus: { code: '200' } }, 'EventWrongType responseStatus.code'],
    ['an annotation that is a number', { ...EVENT, annotations: { a: 1 } }, 'EventWrongType annotations.a'],
  ])('is refused by name: %s', (_, value, code) => {
    expect(problem(value)).toBe(code);
  });
});
