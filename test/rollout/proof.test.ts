/** What nodes proved and measured, as conditions: the worst wins, and what is old or about something else does not count. */
import { describe, expect, it } from 'vitest';
import type { AuditNodeStatus, ProofResult } from '../../src/api/auditnode.ts';
import { PROOF_STALE_MS, proofEndsIn, retentionVerdict, verifiedVerdict } from '../../src/rollout/proof.ts';
import type { ProofOf } from '../../src/rollout/proof.ts';
import { decide } from '../../src/rollout/decide.ts';
import { timestamp } from '../../src/rollout/turn.ts';
import { World } from './world.ts';

const NOW = Date.parse('2026-11-21T10:00:00Z');
const [A, B] = ['a'.repeat(64), 'b'.repeat(64)];
const proofOf = (result: ProofResult, more: object = {}): AuditNodeStatus['proof'] => ({
  digest: A,
  result,
  time: timestamp(NOW),
  ...more,
});
const node = (result: ProofResult | null, more: Partial<AuditNodeStatus> = {}, isThere = true): ProofOf => ({
  name: 'n',
  isThere,
  status: { current: A, ...(result === null ? {} : { proof: proofOf(result) }), ...more },
});

describe('Verified', () => {
  const found = node('EventFound');
  it.each([
    ['all nodes found theirs', [found, found], 'True EventFound'],
    ['one misses its event', [found, node('EventMissing'), node(null)], 'False EventMissing'],
    ['one has no log', [found, node('LogMissing')], 'False EventMissing'],
    ['one records at another level', [node('WrongLevel'), found], 'False EventMissing'],
    ['one was not asked yet', [found, node(null)], 'Unknown Pending'],
    ['one is unknown altogether', [found, { name: 'n', isThere: false, status: undefined }], 'Unknown Pending'],
    ['one could not be asked', [found, node('NoAnswer')], 'Unknown Pending'],
    ['one was too busy', [found, node('TooBusy')], 'Unknown Pending'],
    ['nothing can be observed on one', [found, node('NothingToObserve')], 'Unknown NothingToObserve'],
    ['a proof is about another revision', [node('EventFound', { current: B })], 'Unknown Pending'],
    ['so is a missing event', [node('EventMissing', { current: B })], 'Unknown Pending'],
    ['a node does not run what is wanted', [node('EventFound', {}, false)], 'Unknown Pending'],
    ['and misses its event besides', [node('EventMissing', {}, false)], 'False EventMissing'],
    ['there is no node', [], 'Unknown NothingToObserve'],
  ])('%s', (_, nodes, want) => {
    const { status, reason } = verifiedVerdict(nodes, NOW);
    expect(`${status} ${reason}`).toBe(want);
  });

  it('becomes Unknown when an agent has not looked for three hours, and the controller wakes for it', () => {
    expect(verifiedVerdict([found], NOW + PROOF_STALE_MS - 1).status).toBe('True');
    expect(verifiedVerdict([found], NOW + PROOF_STALE_MS)).toMatchObject({ status: 'Unknown', reason: 'Pending' });
    expect(proofEndsIn([found], NOW + 1_000)).toBe(PROOF_STALE_MS - 1_000);
    expect(proofEndsIn([found], NOW + PROOF_STALE_MS)).toBeUndefined();
  });

  it('says nothing of when it was looked, so that an hourly proof writes no AuditConfig', () => {
    const later = node('EventFound', {
      proof: proofOf('EventFound', { time: timestamp(NOW + 3_600_000), auditID: 'x' }),
    });
    expect(verifiedVerdict([later], NOW)).toEqual(verifiedVerdict([found], NOW));
  });
});

describe('RetentionMet', () => {
  const keeps = (name: string, measuredDays: number | null, digest = A): ProofOf => ({
    name,
    isThere: true,
    status: { current: A, retention: { digest, ...(measuredDays === null ? {} : { measuredDays }) } },
  });
  it.each([
    ['all nodes keep enough', [keeps('a', 30), keeps('b', 31)], 'Met', 30],
    ['one keeps too little', [keeps('a', 30), keeps('b', 3)], 'TooShort', 3],
    ['one keeps too little, and another is young', [keeps('a', null), keeps('b', 3)], 'TooShort', 3],
    ['one is young', [keeps('a', 30), keeps('b', null)], 'NotMeasured', 30],
    ['one measured another revision', [keeps('a', 30), keeps('b', 3, B)], 'NotMeasured', 30],
    ['there is no node', [], 'NotMeasured', undefined],
  ])('%s', (_, nodes, reason, days) => {
    const v = retentionVerdict(nodes, { requestedDays: 30, noLog: false });
    expect([v.verdict.reason, v.measuredDays]).toEqual([reason, days]);
  });

  it('warns where the log shares a disk with etcd, whatever else it says', () => {
    const [one, other] = [keeps('a', 30), keeps('b', 31)];
    const shared: ProofOf = {
      ...other,
      status: { ...other.status, retention: { digest: A, measuredDays: 31, sharesDiskWithEtcd: true } },
    };
    const told = (nodes: readonly ProofOf[]): string =>
      retentionVerdict(nodes, { requestedDays: 30, noLog: false }).verdict.message;
    expect(told([one, shared])).toContain('on b the log shares a disk with etcd');
    expect(told([one, other])).not.toContain('etcd');
  });

  it('is not measured where there is no file', () => {
    const v = retentionVerdict([keeps('a', 3)], { requestedDays: 30, noLog: true });
    expect([v.verdict.status, v.verdict.reason, v.measuredDays]).toEqual(['Unknown', 'NotMeasured', undefined]);
  });
});

describe('decide', () => {
  function proven(result: ProofResult, measuredDays = 30): World {
    const w = new World(['a', 'b']);
    w.run();
    for (const [name, n] of w.nodes) {
      const digest = n.status.current ?? '';
      const is = name === 'b' ? result : 'EventFound';
      const proof = { digest, result: is, time: timestamp(w.now), message: 'm' };
      n.status = { ...n.status, proof, retention: { digest, measuredDays } };
    }
    w.act(decide(w.facts()));
    return w;
  }
  it.each([
    ['EventFound', 'True', 'EventFound', 'True'],
    ['EventMissing', 'False', 'EventMissing', 'False'],
    ['NothingToObserve', 'Unknown', 'NothingToObserve', 'True'],
    ['NoAnswer', 'Unknown', 'Pending', 'True'],
  ] as const)('a node that says %s: Verified, and Ready with it', (result, status, reason, ready) => {
    const w = proven(result);
    expect(w.condition('Verified')).toMatchObject({ status, reason });
    expect(w.condition('Ready')?.status).toBe(ready);
  });

  it('shows what the worst node keeps, without holding Ready back', () => {
    const w = proven('EventFound', 2);
    expect(w.status.retention).toEqual({ requestedDays: 30, measuredDays: 2 });
    expect(w.condition('RetentionMet')).toMatchObject({ status: 'False', reason: 'TooShort' });
    expect(w.condition('Ready')?.status).toBe('True');
  });

  it('says nothing of nodes that are not to be audited', () => {
    const w = proven('EventMissing');
    w.change({ state: 'Disabled' });
    w.run();
    expect(w.condition('Verified')).toMatchObject({ status: 'Unknown', reason: 'NothingToObserve' });
    expect(w.condition('Ready')).toMatchObject({ status: 'True', reason: 'Disabled' });
  });
});
