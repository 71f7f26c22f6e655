import { describe, expect, it } from 'vitest';
import { nextNode } from '../../src/rollout/next-node.ts';
import type { Desired, NodeView } from '../../src/rollout/next-node.ts';

const A: Desired = { type: 'Revision', digest: 'a' };
const B: Desired = { type: 'Revision', digest: 'b' };
const GONE: Desired = { type: 'Removed' };
const RULES = { paused: false, minReadyMs: 30_000, maxFailures: 1 };
const NOW = 1_000_000;

const fresh = (name: string): NodeView => ({ name, assigned: null, observed: false, current: null });
const at = (name: string, d: Desired, settledAt = 0): NodeView => ({
  name,
  assigned: d,
  observed: true,
  phase: 'Settled',
  current: d.type === 'Revision' ? d.digest : null,
  settledAt,
});
const flying = (name: string, assigned: Desired): NodeView => ({
  name,
  assigned,
  observed: true,
  phase: 'Probing',
  current: null,
});
/** Its agent has never reported. */
const silent = (name: string, assigned: Desired): NodeView => ({ name, assigned, observed: false, current: null });
const held = (name: string, digest: string): NodeView => ({
  name,
  assigned: { type: 'Revision', digest },
  observed: true,
  phase: 'Held',
  current: null,
  refused: digest,
});

type Asked = { want: Desired } & Partial<typeof RULES & { opensAt: number }>;

/** Its agent waits for its turn. */
const waits = (name: string, assigned: Desired, reason = 'LeaseHeld', node?: string): NodeView => ({
  ...at(name, B),
  assigned,
  phase: 'Waiting',
  waiting: { reason, message: '', ...(node === undefined ? {} : { node }) },
});

const cases: readonly [string, readonly NodeView[], Desired, object][] = [
  ['no node matches: the rollout stops and says so', [], A, { kind: 'Stopped', why: 'NoNodes' }],
  ['the first of fresh nodes is the first by name', [fresh('n2'), fresh('n1')], A, { kind: 'Assign', node: 'n1' }],
  [
    'a node in flight blocks every other',
    [flying('n1', A), fresh('n2')],
    A,
    { kind: 'Wait', why: 'InFlight', node: 'n1' },
  ],
  [
    'a spec that its agent has not seen is in flight too',
    [{ ...at('n1', B), assigned: A, observed: false }, fresh('n2')],
    A,
    { kind: 'Wait', why: 'Unanswered', node: 'n1' },
  ],
  [
    'a spec that nobody wants, which its agent may be stuck with, is put right',
    [at('n0', B), { ...at('n1', A), observed: false }],
    B,
    { kind: 'Assign', node: 'n1' },
  ],
  [
    'but not while another node is in flight',
    [flying('n0', A), { ...at('n1', B), observed: false }],
    A,
    { kind: 'Wait', why: 'InFlight', node: 'n0' },
  ],
  [
    'a spec that points at another object is put right, also where that object was refused',
    [{ ...held('n1', 'a'), assigned: { type: 'Revision', digest: 'a', at: 'ConfigMap/elsewhere/x' } }],
    A,
    { kind: 'Assign', node: 'n1' },
  ],
  [
    'the next waits for minReadySeconds after its predecessor',
    [at('n1', A, NOW - 10_000), at('n2', B)],
    A,
    { kind: 'Wait', why: 'MinReady', node: 'n2', afterMs: 20_000 },
  ],
  ['and then gets it', [at('n1', A, NOW - 30_000), at('n2', B)], A, { kind: 'Assign', node: 'n2' }],
  [
    'a node whose clock is hours ahead does not hold the rest for hours',
    [at('n1', A, NOW + 7_200_000), at('n2', B)],
    A,
    { kind: 'Assign', node: 'n2' },
  ],
  [
    'one whose clock is a little ahead is waited for',
    [at('n1', A, NOW + 5_000), at('n2', B)],
    A,
    { kind: 'Wait', why: 'MinReady', node: 'n2', afterMs: 35_000 },
  ],
  ['all at the wanted revision: done', [at('n1', A, NOW), at('n2', A, NOW)], A, { kind: 'Done' }],
  [
    'a node that rolled this back stops the rollout',
    [held('n1', 'a'), fresh('n2')],
    A,
    { kind: 'Stopped', why: 'NodeHeld', node: 'n1' },
  ],
  [
    'a newer revision pre-empts a held node, which comes first',
    [at('a0', A, 0), held('n1', 'a')],
    B,
    { kind: 'Assign', node: 'n1' },
  ],
  [
    'removal is rolled out node by node as well',
    [at('n1', GONE, 0), at('n2', A)],
    GONE,
    { kind: 'Assign', node: 'n2' },
  ],
  [
    'an agent that never spoke holds the rollout',
    [silent('n1', A), fresh('n2')],
    A,
    { kind: 'Wait', why: 'AgentSilent', node: 'n1' },
  ],
  ['but what it was asked may still change', [silent('n1', A), fresh('n2')], B, { kind: 'Assign', node: 'n1' }],
];

describe('nextNode', () => {
  it.each(cases)('%s', (_name, nodes, want, expected) => {
    expect(nextNode(nodes, want, RULES, NOW)).toEqual(expected);
  });

  it.each<[string, readonly NodeView[], Asked, object]>([
    [
      'a node whose agent waits for its turn is waited for',
      [waits('n1', A), at('n2', B)],
      { want: A },
      { kind: 'Wait', why: 'NotItsTurn', node: 'n1' },
    ],
    ['a newer revision pre-empts that', [waits('n1', A), at('n2', B)], { want: B }, { kind: 'Assign', node: 'n1' }],
    [
      'what is stuck is asked anew although another waits for it',
      [flying('n1', B), waits('n2', A, 'PeerNotReady', 'n1')],
      { want: A },
      { kind: 'Assign', node: 'n1' },
    ],
    [
      'who is waited for, and may be mended by what is wanted, is next',
      [waits('n1', A, 'PeerNotReady', 'n3'), at('n2', B), at('n3', B)],
      { want: A },
      { kind: 'Assign', node: 'n3' },
    ],
    [
      'but not while paused',
      [waits('n1', A, 'PeerNotReady', 'n3'), at('n2', B), at('n3', B)],
      { want: A, paused: true },
      { kind: 'Wait', why: 'NotItsTurn', node: 'n1' },
    ],
    [
      'and not where it runs that already',
      [waits('n1', A, 'PeerNotReady', 'n3'), at('n2', B), at('n3', A)],
      { want: A },
      { kind: 'Wait', why: 'NotItsTurn', node: 'n1' },
    ],
    [
      'outside of windows nothing begins',
      [at('n1', A), at('n2', B)],
      { want: A, opensAt: NOW + 5_000 },
      { kind: 'Wait', why: 'OutsideWindow', node: 'n2', afterMs: 5_000 },
    ],
    ['and what is done is done', [at('n1', A), at('n2', A)], { want: A, opensAt: NOW + 5_000 }, { kind: 'Done' }],
    [
      'fewer failures than maxFailures do not stop the rest',
      [held('n1', 'a'), at('n2', B)],
      { want: A, maxFailures: 2 },
      { kind: 'Assign', node: 'n2' },
    ],
    [
      'as many do',
      [held('n1', 'a'), held('n2', 'a'), at('n3', B)],
      { want: A, maxFailures: 2 },
      { kind: 'Stopped', why: 'NodeHeld', node: 'n1' },
    ],
    [
      'when all others are there, a failed one is said',
      [held('n1', 'a'), at('n2', A)],
      { want: A, maxFailures: 2 },
      { kind: 'Stopped', why: 'NodeHeld', node: 'n1' },
    ],
    [
      'a removal that a node refuses stops, too',
      [{ ...held('n1', 'a'), assigned: GONE }, at('n2', A)],
      { want: GONE },
      { kind: 'Stopped', why: 'NodeHeld', node: 'n1' },
    ],
    [
      'an unhealthy node comes before healthy ones',
      [at('n1', B), { ...at('n2', B), isUnhealthy: true }],
      { want: A },
      { kind: 'Assign', node: 'n2' },
    ],
    [
      'a failed one before it',
      [at('n1', B), { ...at('n2', B), isUnhealthy: true }, held('n3', 'b')],
      { want: A },
      { kind: 'Assign', node: 'n3' },
    ],
    [
      'a dead node holds nobody back where that is allowed',
      [{ ...flying('n1', A), isDead: true }, at('n2', B)],
      { want: A },
      { kind: 'Assign', node: 'n2' },
    ],
    [
      'and is said in the end',
      [{ ...flying('n1', A), isDead: true }, at('n2', A)],
      { want: A },
      { kind: 'Wait', why: 'Dead', node: 'n1' },
    ],
    [
      'but another in flight does',
      [{ ...flying('n1', A), isDead: true }, flying('n2', A), at('n3', B)],
      { want: A },
      { kind: 'Wait', why: 'InFlight', node: 'n2' },
    ],
  ])('%s', (_name, nodes, { want, ...rules }, expected) => {
    expect(nextNode(nodes, want, { ...RULES, ...rules }, NOW)).toMatchObject(expected);
  });

  it('waits for a node on which the change of another AuditConfig is in flight', () => {
    expect(nextNode([fresh('n1')], A, { ...RULES, busy: 'x1' }, NOW)).toEqual({
      kind: 'Wait',
      why: 'InFlight',
      node: 'x1',
    });
    expect(nextNode([at('n1', A)], A, { ...RULES, busy: 'x1' }, NOW)).toEqual({ kind: 'Done' });
  });

  it('gives another certificate or token to all at once: that restarts nothing', () => {
    const [old, fresh2]: readonly Desired[] = ['1', '2'].map((credentials) => ({ ...A, credentials }));
    if (old === undefined || fresh2 === undefined) throw new Error('two are made');
    const settled = at('n2', old, NOW);
    const rules = { ...RULES, paused: true, opensAt: NOW + 1_000, busy: 'x1' };
    expect(nextNode([flying('n1', old), settled], fresh2, rules, NOW)).toEqual({ kind: 'Assign', node: 'n1' });
    const told = { ...flying('n1', fresh2), observed: false };
    expect(nextNode([told, settled], fresh2, rules, NOW)).toEqual({ kind: 'Assign', node: 'n2' });
    expect(nextNode([at('n1', fresh2), at('n2', fresh2)], fresh2, rules, NOW)).toEqual({ kind: 'Done' });
    // Another revision is no rotation, whatever its credentials are.
    expect(nextNode([settled], { ...B, credentials: '1' }, rules, NOW)).toMatchObject({ kind: 'Stopped' });
    // Nor is a webhook that had none before: its kubeconfig is another one.
    expect(nextNode([at('n1', old)], A, RULES, NOW)).toEqual({ kind: 'Assign', node: 'n1' });
  });

  it('assigns nothing while paused, but says who waits', () => {
    expect(nextNode([fresh('n1')], A, { ...RULES, paused: true }, NOW)).toEqual({
      kind: 'Stopped',
      why: 'Paused',
      node: 'n1',
    });
  });

  it('brings any number of nodes there, one at a time', () => {
    let nodes: NodeView[] = ['c', 'a', 'b'].map(fresh);
    const order: string[] = [];
    for (let i = 0; i < 10; i++) {
      const next = nextNode(nodes, A, { ...RULES, minReadyMs: 0 }, NOW);
      if (next.kind !== 'Assign') break;
      order.push(next.node);
      nodes = nodes.map((n) => (n.name === next.node ? at(n.name, A, NOW) : n));
    }
    expect(order).toEqual(['a', 'b', 'c']);
    expect(nextNode(nodes, A, RULES, NOW)).toEqual({ kind: 'Done' });
  });
});
