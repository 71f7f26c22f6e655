/** Worker and prover speak of one node; what reaches the API is both, and nothing of another revision. */
import { describe, expect, it } from 'vitest';
import { joinReports } from '../../src/agent/measured.ts';
import { logDelayMs } from '../../src/agent/proof-place.ts';
import { whoIn } from '../../src/analysis/proof.ts';
import type { AuditNodeStatus } from '../../src/api/auditnode.ts';

const [A, B] = ['a'.repeat(64), 'b'.repeat(64)];
const proof = (digest: string): NonNullable<AuditNodeStatus['proof']> => ({
  digest,
  result: 'EventFound',
  time: '2026-11-21T10:00:00Z',
});

function joined(before: AuditNodeStatus = {}) {
  const sent: AuditNodeStatus[] = [];
  let settled = 0;
  const reporter = joinReports(
    { report: (s) => void sent.push(s), remind: () => undefined, run: () => Promise.resolve() },
    () => before,
    (phase) => void (settled += phase === 'Settled' ? 1 : 0),
  );
  return { reporter, sent, settled: () => settled };
}

describe('joined reports', () => {
  it('hold what was proven, whoever speaks last', () => {
    const { reporter, sent } = joined();
    reporter.report({ phase: 'Settled', current: A });
    reporter.measured({ proof: proof(A) });
    reporter.report({ phase: 'Settled', current: A, message: 'm' });
    expect(sent.map((s) => s.proof?.digest)).toEqual([undefined, A, A]);
    expect(sent[2]).toMatchObject({ message: 'm' });
  });

  it('keep the words of a former life until there are new ones', () => {
    const { reporter, sent } = joined({ proof: proof(A), retention: { digest: A, measuredDays: 3 } });
    reporter.report({ phase: 'Settled', current: A });
    expect(sent[0]).toMatchObject({ proof: { digest: A }, retention: { measuredDays: 3 } });
  });

  it.each([
    ['another revision runs', { phase: 'Settled', current: B }],
    ['nothing of ours runs', { phase: 'Settled' }],
  ] as const)('hold nothing that was proven before %s', (_, status) => {
    const { reporter, sent } = joined({ proof: proof(A), retention: { digest: A } });
    reporter.measured({ proof: proof(A) });
    reporter.report(status);
    expect(sent).toEqual([status]);
  });

  it('hold gaps whatever revision runs: they are the node’s own', () => {
    const gaps = [{ start: '2026-11-21T10:00:00Z', reason: 'FlagsMissing' }];
    const { reporter, sent } = joined({ proof: proof(A), gaps });
    reporter.report({ phase: 'Settled', current: B });
    expect(sent).toEqual([{ phase: 'Settled', current: B, gaps }]);
  });

  it('wake the prover when the node has settled, and only then', () => {
    const { reporter, settled } = joined();
    reporter.report({ phase: 'Probing', target: A });
    expect(settled()).toBe(0);
    reporter.report({ phase: 'Settled', current: A });
    expect(settled()).toBe(1);
  });
});

describe('how long an event takes to the log', () => {
  it.each([
    [{ '--audit-log-mode': 'blocking', '--audit-log-batch-max-wait': '30s' }, 5_000],
    [{ '--audit-log-mode': 'blocking-strict' }, 5_000],
    [{ '--audit-log-mode': 'batch', '--audit-log-batch-max-wait': '3s' }, 8_000],
    [{ '--audit-log-mode': 'batch', '--audit-log-batch-max-wait': '500ms' }, 5_500],
    [{ '--audit-log-mode': 'batch' }, 35_000],
    [{ '--audit-log-mode': 'batch', '--audit-log-batch-max-wait': '1m30s' }, 35_000],
  ])('%j', (flags, want) => {
    expect(logDelayMs(new Map(Object.entries(flags)))).toBe(want);
  });
});

describe('who the agent is', () => {
  it.each([
    [{ status: { userInfo: { username: 'u', groups: ['g'] } } }, { user: 'u', groups: ['g'] }],
    [{ status: { userInfo: { username: 'u' } } }, { user: 'u', groups: [] }],
    [{ status: { userInfo: { username: '' } } }, undefined],
    [{ status: {} }, undefined],
    [undefined, undefined],
  ])('%j', (answer, want) => {
    expect(whoIn(answer)).toEqual(want);
  });
});
