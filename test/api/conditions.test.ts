/** Conditions: when their times move, and what Ready, Reconciling and Stalled say. */
import { describe, expect, it } from 'vitest';
import { removeCondition, setCondition, summarize, withSummary } from '../../src/api/conditions.ts';
import type { Condition, Verdict } from '../../src/api/conditions.ts';

const T1 = '2026-11-21T09:00:00Z';
const T2 = '2026-11-21T10:00:00Z';
const moment = { now: T1, generation: 3 };
const later = { now: T2, generation: 3 };
const valid: Verdict = { type: 'Accepted', status: 'True', reason: 'Valid', message: 'm' };
const list = (...verdicts: Verdict[]): readonly Condition[] =>
  verdicts.reduce<readonly Condition[]>((l, v) => setCondition(l, v, moment), []);
const accepted = (reason: 'Valid' | 'InvalidPolicy' | 'ReferenceUnreadable'): Verdict => ({
  type: 'Accepted',
  status: reason === 'Valid' ? 'True' : 'False',
  reason,
  message: `accepted ${reason}`,
});
const rolledOut = (reason: 'Complete' | 'Removed' | 'Progressing' | 'NodeHeld' | 'Paused'): Verdict => ({
  type: 'RolledOut',
  status: reason === 'Complete' || reason === 'Removed' ? 'True' : 'False',
  reason,
  message: `rolled out ${reason}`,
});

describe('setCondition', () => {
  it('gives back the very same list when nothing changes, so that nothing is written', () => {
    const before = list(valid);
    expect(setCondition(before, valid, later)).toBe(before);
  });

  it('keeps the transition time while the status stays, and moves it when it changes', () => {
    const before = list(valid);
    const [sameStatus] = setCondition(before, { ...valid, message: 'other' }, later);
    expect(sameStatus).toMatchObject({ message: 'other', lastTransitionTime: T1 });
    const [changed] = setCondition(before, { ...valid, status: 'Unknown', reason: 'Pending' }, later);
    expect(changed).toMatchObject({ status: 'Unknown', lastTransitionTime: T2 });
  });

  it('notes the generation that it was judged for', () => {
    const [next] = setCondition(list(valid), valid, { now: T2, generation: 4 });
    expect(next).toMatchObject({ observedGeneration: 4, lastTransitionTime: T1 });
  });

  it('leaves the conditions of other writers alone', () => {
    const foreign: Condition = { type: 'Theirs', status: 'True', reason: 'R', message: '', lastTransitionTime: T1 };
    expect(setCondition([foreign], valid, moment)[0]).toBe(foreign);
    expect(removeCondition([foreign], 'Stalled')).toEqual([foreign]);
  });

  it('cuts a message to what the API allows', () => {
    expect(setCondition([], { ...valid, message: 'x'.repeat(40_000) }, moment)[0]?.message).toHaveLength(32_768);
  });
});

describe('the summary', () => {
  const cases: readonly (readonly [string, readonly Verdict[], readonly [string, string, string]])[] = [
    ['knows nothing before anything was judged', [], ['Unknown', 'Pending', 'Reconciling']],
    ['stalls on a policy that does not load', [accepted('InvalidPolicy'), rolledOut('Complete')], ['False', 'InvalidPolicy', 'Stalled']],
    ['goes on when a reference could not be read now', [accepted('ReferenceUnreadable')], ['False', 'ReferenceUnreadable', 'Reconciling']],
    ['waits for the nodes', [accepted('Valid'), rolledOut('Progressing')], ['False', 'Progressing', 'Reconciling']],
    ['stalls on a held node', [accepted('Valid'), rolledOut('NodeHeld')], ['False', 'NodeHeld', 'Stalled']],
    ['stalls while paused', [accepted('Valid'), rolledOut('Paused')], ['False', 'Paused', 'Stalled']],
    ['is ready when all nodes have it', [accepted('Valid'), rolledOut('Complete')], ['True', 'Ready', 'None']],
    ['is ready, and says so, when all is removed', [accepted('Valid'), rolledOut('Removed')], ['True', 'Disabled', 'None']],
    [
      'is not held back by a proof that cannot be had',
      [accepted('Valid'), rolledOut('Complete'), { type: 'Verified', status: 'Unknown', reason: 'NothingToObserve', message: '' }],
      ['True', 'Ready', 'None']
    ],
    [
      'is not ready when an event is proven missing',
      [accepted('Valid'), rolledOut('Complete'), { type: 'Verified', status: 'False', reason: 'EventMissing', message: '' }],
      ['False', 'EventMissing', 'None']
    ],
    [
      'is not ready while degraded',
      [accepted('Valid'), rolledOut('Complete'), { type: 'Degraded', status: 'True', reason: 'DriftFight', message: '' }],
      ['False', 'DriftFight', 'Stalled']
    ],
    [
      'is ready when Degraded is False',
      [accepted('Valid'), rolledOut('Complete'), { type: 'Degraded', status: 'False', reason: 'AsExpected', message: '' }],
      ['True', 'Ready', 'None']
    ],
  ]; // prettier-ignore

  it.each(cases)('%s', (_name, verdicts, expected) => {
    const result = summarize(list(...verdicts), 3);
    expect([result.ready.status, result.ready.reason, result.work]).toEqual(expected);
  });

  it('does not take an older generation for this one', () => {
    expect(summarize(list(accepted('Valid'), rolledOut('Complete')), 4).ready.status).toBe('Unknown');
  });

  it('has Reconciling and Stalled only while they are true, as kstatus wants', () => {
    const types = (l: readonly Condition[]): string[] => l.map((c) => c.type).sort();
    const working = withSummary(list(accepted('Valid'), rolledOut('Progressing')), moment);
    expect(types(working)).toEqual(['Accepted', 'Ready', 'Reconciling', 'RolledOut']);
    const stalled = withSummary(setCondition(working, rolledOut('NodeHeld'), later), later);
    expect(types(stalled)).toEqual(['Accepted', 'Ready', 'RolledOut', 'Stalled']);
    const done = withSummary(setCondition(stalled, rolledOut('Complete'), later), later);
    expect(types(done)).toEqual(['Accepted', 'Ready', 'RolledOut']);
    expect(withSummary(done, later)).toBe(done);
  });
});
