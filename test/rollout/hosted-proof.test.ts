/** When a hosted API server is asked, what its counters mean, and what is said of it as time passes. */
import { describe, expect, it } from 'vitest';
import { AuditCounterReader, PROBES, judgeCounted } from '../../src/analysis/hosted-proof.ts';
import type { AuditCounters } from '../../src/analysis/hosted-proof.ts';
import { WHO_AM_I } from '../../src/analysis/proof.ts';
import type { Chosen } from '../../src/analysis/proof.ts';
import type { AuditConfigStatus, HostedProofResult } from '../../src/api/auditconfig.ts';
import type { DeliveryResult } from '../../src/api/auditnode.ts';
import { Secret } from '../../src/render/types.ts';
import type { Digest, Revision } from '../../src/render/types.ts';
import { hostedDelivery, hostedVerified, lookDueIn, lookOf, withFound } from '../../src/rollout/hosted/proof.ts';
import type { Found } from '../../src/rollout/facts.ts';
import type { Proven } from '../../src/rollout/hosted/proof.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const NOW = Date.parse('2026-01-01T12:00:00Z');
const digest = 'a'.repeat(64) as Digest;
const other = 'b'.repeat(64);
const ago = (ms: number): string => new Date(NOW - ms).toISOString();

const chosen: Chosen = { probe: WHO_AM_I, expected: { level: 'Metadata', stages: ['ResponseComplete'] } };
const counters = (of: Partial<AuditCounters> = {}): AuditCounters => ({
  startedAt: 1,
  events: 100,
  levels: new Map([['Metadata', 50]]),
  logErrors: 3,
  ...of,
});

describe('counters of an API server', () => {
  const judge = (after: Partial<AuditCounters>): HostedProofResult =>
    judgeCounted(chosen, counters(), counters(after)).result;

  it.each([
    [
      'as many events as requests, at their level',
      { events: 105, levels: new Map([['Metadata', 55]]) },
      'EventCounted',
    ],
    ['more, by others', { events: 900, levels: new Map([['Metadata', 400]]) }, 'EventCounted'],
    ['none', {}, 'EventMissing'],
    ['one too few', { events: 104, levels: new Map([['Metadata', 54]]) }, 'EventMissing'],
    [
      'events of another level',
      {
        events: 105,
        levels: new Map([
          ['Metadata', 50],
          ['Request', 5],
        ]),
      },
      'EventMissing',
    ],
    [
      'events that its log could not take',
      { events: 105, levels: new Map([['Metadata', 55]]), logErrors: 4 },
      'EventMissing',
    ],
    ['those of another process', { startedAt: 2, events: 900, levels: new Map([['Metadata', 400]]) }, 'NoAnswer'],
  ] as const)('that grew by %s', (_, after, result) => {
    expect(judge(after)).toBe(result);
  });

  it('asks for each stage that is recorded', () => {
    const both: Chosen = {
      ...chosen,
      expected: { level: 'Metadata', stages: ['RequestReceived', 'ResponseComplete'] },
    };
    const after = (events: number): AuditCounters => counters({ events, levels: new Map([['Metadata', 55]]) });
    expect(judgeCounted(both, counters(), after(100 + PROBES)).result).toBe('EventMissing');
    expect(judgeCounted(both, counters(), after(100 + 2 * PROBES)).result).toBe('EventCounted');
  });

  it('are read from its metrics, and from nothing else', () => {
    const reader = new AuditCounterReader();
    for (const line of [
      '# TYPE apiserver_audit_event_total counter',
      'apiserver_audit_event_total 1234',
      'apiserver_audit_level_total{level="Metadata"} 1.2e+03',
      'apiserver_audit_level_total{level="None"} 7',
      'apiserver_audit_error_total{plugin="log"} 2',
      'apiserver_audit_error_total{plugin="webhook"} 9',
      'process_start_time_seconds 1.76e+09',
    ])
      reader.line(line);
    expect(reader.counters()).toEqual({
      startedAt: 1.76e9,
      events: 1234,
      levels: new Map([
        ['Metadata', 1200],
        ['None', 7],
      ]),
      logErrors: 2,
    });
    expect(new AuditCounterReader().counters()).toBeUndefined();
  });
});

const revision = (token?: string): Revision => ({
  digest,
  versions: ['1.36'],
  policy: new Uint8Array(),
  flags: [],
  confidential: false,
  ...(token === undefined
    ? {}
    : {
        webhook: new Secret(new TextEncoder().encode('{}')),
        credentials: new Secret({ token: new TextEncoder().encode(token) }),
      }),
});
const look = (token?: string) => lookOf(revision(token), { name: 'k' });
const found = (age: number, proof: HostedProofResult, hook?: [DeliveryResult, string?]): Found => ({
  proof: { digest, result: proof, time: ago(age), message: 'm' },
  ...(hook === undefined
    ? {}
    : {
        webhook: {
          digest,
          result: hook[0],
          time: ago(age),
          message: 'm',
          ...(hook[1] === undefined ? {} : { credentials: look(hook[1]).credentials ?? '' }),
        },
      }),
});

describe('a hosted API server is asked', () => {
  it('at once when nobody has, or about another revision, and once an hour where all is well', () => {
    expect(lookDueIn({}, look(), NOW)).toBe(0);
    expect(
      lookDueIn({ proof: { ...found(0, 'EventCounted').proof, digest: other } as Found['proof'] }, look(), NOW),
    ).toBe(0);
    expect(lookDueIn(found(10 * MINUTE, 'EventCounted'), look(), NOW)).toBe(50 * MINUTE);
    expect(lookDueIn(found(61 * MINUTE, 'NothingToObserve'), look(), NOW)).toBe(0);
  });

  it('every five minutes while something is wrong, and at once after a rotation', () => {
    for (const result of ['EventMissing', 'NoAnswer', 'Refused'] as const)
      expect(lookDueIn(found(MINUTE, result), look(), NOW)).toBe(4 * MINUTE);
    expect(lookDueIn(found(MINUTE, 'EventCounted', ['Failing', 'one']), look('one'), NOW)).toBe(4 * MINUTE);
    expect(lookDueIn(found(MINUTE, 'EventCounted', ['Delivering', 'one']), look('one'), NOW)).toBe(59 * MINUTE);
    expect(lookDueIn(found(MINUTE, 'EventCounted', ['Delivering', 'one']), look('two'), NOW)).toBe(0);
  });

  it('not more often where its clock is behind', () => {
    expect(lookDueIn(found(-HOUR, 'EventCounted'), look(), NOW)).toBe(HOUR);
  });
});

describe('what was found', () => {
  const proven = (memory: Found, of: Partial<Proven> = {}): Proven => ({
    memory,
    digest,
    asks: true,
    now: NOW,
    ...of,
  });
  const brief = ({ status, reason }: { status: string; reason: string }): string => `${status} ${reason}`;
  const verified = (p: Proven): string => brief(hostedVerified(p));
  const delivery = (p: Proven): string => brief(hostedDelivery(p));

  it('is said for three hours, of the revision that runs', () => {
    expect(verified(proven(found(0, 'EventCounted')))).toBe('True EventCounted');
    expect(verified(proven(found(0, 'EventMissing')))).toBe('False EventMissing');
    expect(verified(proven(found(0, 'NothingToObserve')))).toBe('Unknown NothingToObserve');
    expect(verified(proven(found(0, 'NoAnswer')))).toBe('Unknown Pending');
    expect(verified(proven(found(3 * HOUR, 'EventCounted')))).toBe('Unknown Pending');
    expect(verified(proven(found(0, 'EventCounted'), { digest: other }))).toBe('Unknown Pending');
    expect(verified(proven(found(0, 'EventCounted'), { digest: undefined }))).toBe('Unknown Pending');
    expect(verified(proven({}, { asks: false }))).toBe('Unknown NothingToObserve');
  });

  it('of its webhook is Unknown where nobody asks, or got no answer', () => {
    expect(delivery(proven(found(0, 'EventCounted', ['Delivering'])))).toBe('True Delivering');
    expect(delivery(proven(found(0, 'EventMissing', ['EventsLost'])))).toBe('False EventsLost');
    expect(delivery(proven(found(0, 'NoAnswer')))).toBe('Unknown Pending');
    expect(delivery(proven({}, { asks: false }))).toBe('Unknown Pending');
  });

  it('stands in status until something newer was found, and goes when nobody is to ask', () => {
    const memory: NonNullable<AuditConfigStatus['workload']> = {
      digest,
      ...found(MINUTE, 'EventCounted', ['Delivering']),
    };
    const k = { name: 'k' };
    expect(withFound(memory, undefined, k)).toEqual(memory);
    expect(withFound(memory, found(2 * MINUTE, 'NoAnswer'), k)).toEqual(memory);
    expect(withFound(memory, found(0, 'NoAnswer'), k)).toEqual({ digest, ...found(0, 'NoAnswer') });
    expect(withFound(memory, found(0, 'NoAnswer'), undefined)).toEqual({ digest });
  });

  it('by one kubeconfig says nothing once another Secret, or another key of it, is named: it is asked anew', () => {
    const by = (age: number, kubeconfig: string): Found => {
      const { proof, ...rest } = found(age, 'EventCounted', ['Delivering']);
      return { ...(proof === undefined ? {} : { proof: { ...proof, kubeconfig } }), ...rest };
    };
    const memory = { digest, ...by(MINUTE, 'k/admin') };
    const k = { name: 'k', key: 'admin' };
    expect(withFound(memory, by(2 * MINUTE, 'k/admin'), k)).toEqual(memory);
    for (const other of [{ name: 'k' }, { name: 'k', key: 'user' }, { name: 'l', key: 'admin' }]) {
      const left = withFound(memory, by(0, 'k/admin'), other);
      expect([left, lookDueIn(left, look(), NOW), verified(proven(left))]).toEqual([{ digest }, 0, 'Unknown Pending']);
    }
    const newer = by(0, 'l');
    expect(withFound(memory, newer, { name: 'l' })).toEqual({ digest, ...newer });
    // One that is older by its clock is of the Secret that is named now.
    const older = by(HOUR, 'l');
    expect(withFound(memory, older, { name: 'l' })).toEqual({ digest, ...older });
  });
});
