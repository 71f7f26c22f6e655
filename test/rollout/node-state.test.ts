/** The decisions of one node, from facts alone. */
import { describe, expect, it } from 'vitest';
import type { Digest } from '../../src/render/types.ts';
import { DEFAULT_RULES, nextStep } from '../../src/rollout/node-state.ts';
import type { NodeFacts, NodeState, Step } from '../../src/rollout/node-state.ts';

const A = 'a'.repeat(64) as Digest;
const B = 'b'.repeat(64) as Digest;
const RULES = { ...DEFAULT_RULES, timeoutMs: 60_000, minReadyMs: 10_000 };

const HEALTHY: NodeFacts = {
  hold: false,
  manifest: 'After',
  health: 'Ready',
  process: 'New',
  wentDown: true,
  crashes: 0,
  readyInARow: 3,
  readyMs: 10_000,
  blockedMs: 0,
  watchedMs: 12_000,
};
const INSTALLING: NodeState = { phase: 'Installing', to: B, from: A, lastGood: A, since: 0 };
const PROBING: NodeState = { phase: 'Probing', to: B, from: A, lastGood: A, since: 0 };
const BACK: NodeState = { phase: 'RollingBack', bad: B, to: A, lastGood: A, why: 'CrashLoop', since: 0 };

const step = (state: NodeState, facts: Partial<NodeFacts>): Step => nextStep(state, { ...HEALTHY, ...facts }, RULES);

describe('a node that probes', () => {
  it.each<[string, Partial<NodeFacts>, Step]>([
    ['commits what is ready often and long enough in a new process', {}, { do: 'Commit' }],
    ['waits while the old process answers', { process: 'Old' }, { do: 'Wait' }],
    ['waits while no process is seen, whoever answers', { process: 'None' }, { do: 'Wait' }],
    [
      'waits where processes are hidden and nothing was seen to go down',
      { process: 'Hidden', wentDown: false },
      { do: 'Wait' },
    ],
    ['commits where processes are hidden and it went down', { process: 'Hidden' }, { do: 'Commit' }],
    ['takes 401 and 403 for alive, not ready', { health: 'Forbidden' }, { do: 'Wait' }],
    ['wants several ready answers in a row', { readyInARow: 2 }, { do: 'Wait' }],
    ['wants them for minReadyMs', { readyMs: 9_999 }, { do: 'Wait' }],
    [
      'goes back at the second crash',
      { process: 'None', health: 'Down', crashes: 2 },
      { do: 'RollBack', why: 'CrashLoop' },
    ],
    ['does not go back at the first', { process: 'None', health: 'Down', crashes: 1 }, { do: 'Wait' }],
    [
      'goes back when the time is over',
      { health: 'NotReady', watchedMs: 60_000 },
      { do: 'RollBack', why: 'NotHealthyInTime' },
    ],
    ['gives one that is healthy at the end its minReadyMs', { readyMs: 1_000, watchedMs: 60_000 }, { do: 'Wait' }],
    ['and not more', { readyMs: 1_000, watchedMs: 70_000 }, { do: 'RollBack', why: 'NotHealthyInTime' }],
    ['but has it seen ready several times', { readyInARow: 2, readyMs: 500, watchedMs: 1e9 }, { do: 'Wait' }],
    ['does nothing on hold, whatever happens', { hold: true, crashes: 9, watchedMs: 1e9 }, { do: 'Wait' }],
  ])('%s', (_, facts, want) => {
    expect(step(PROBING, facts)).toEqual(want);
  });
});

describe('a node that was interrupted', () => {
  it.each<[string, NodeState, Partial<NodeFacts>, Step]>([
    ['before the rename forgets the change', INSTALLING, { manifest: 'Before' }, { do: 'Abandon' }],
    ['and does so where someone else wrote the manifest', INSTALLING, { manifest: 'Other' }, { do: 'Abandon' }],
    ['after the rename probes', INSTALLING, { manifest: 'After' }, { do: 'StartProbing' }],
    ['in a rollback restores what is not restored', BACK, { manifest: 'After' }, { do: 'RestoreManifest' }],
    [
      'in a rollback ends it when the API server is back',
      BACK,
      { manifest: 'Before' },
      { do: 'EndRollBack', verdict: 'CrashLoop' },
    ],
    [
      'in a rollback leaves what someone else wrote',
      BACK,
      { manifest: 'Other' },
      { do: 'EndRollBack', verdict: 'CrashLoop' },
    ],
    [
      'in a rollback waits while the bad pod is about to end',
      BACK,
      { manifest: 'Before', health: 'Down', process: 'None', blockedMs: 14_999 },
      { do: 'Wait' },
    ],
    [
      'in a rollback takes the place of a dead pod that the kubelet does not delete',
      BACK,
      { manifest: 'Before', health: 'Down', process: 'None', blockedMs: 15_000 },
      { do: 'BorrowUid' },
    ],
    [
      'gives one that runs its grace period first',
      BACK,
      { manifest: 'Before', health: 'NotReady', process: 'Old', blockedMs: 59_999 },
      { do: 'Wait' },
    ],
    [
      'and no longer',
      BACK,
      { manifest: 'Before', health: 'NotReady', process: 'Old', blockedMs: 60_000 },
      { do: 'BorrowUid' },
    ],
    [
      'under a borrowed UID waits without end',
      BACK,
      { manifest: 'Borrowed', health: 'NotReady', watchedMs: 1e9 },
      { do: 'Wait' },
    ],
    ['gives the UID back when the API server is there', BACK, { manifest: 'Borrowed' }, { do: 'RestoreManifest' }],
    [
      'blames nobody where it does not come back',
      BACK,
      { manifest: 'Before', health: 'Down', watchedMs: 60_000 },
      { do: 'EndRollBack', verdict: 'Inconclusive' },
    ],
    [
      'and asks one that just came back several times',
      BACK,
      { manifest: 'Before', readyInARow: 1, watchedMs: 1e9 },
      { do: 'Wait' },
    ],
    ['rests when nothing is in flight', { phase: 'Settled', current: A, lastGood: A }, {}, { do: 'Rest' }],
  ])('%s', (_, state, facts, want) => {
    expect(step(state, facts)).toEqual(want);
  });
});
