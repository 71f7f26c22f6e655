/** The agent's side of the one Lease, against an API server in memory that keeps resource versions. */
import { beforeEach, describe, expect, it } from 'vitest';
import { createRestartTurn } from '../../src/agent/turn.ts';
import { INSTANCES_ANNOTATION, RESTART_LEASE, printInstances } from '../../src/api/restart-lease.ts';
import type { Instance } from '../../src/api/restart-lease.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { LeaseStore } from '../rollout/lease-store.ts';

const never = new AbortController().signal;
const log = createLogger({ name: 'test', level: 'silent' });
const NOW = Date.parse('2026-03-04T12:00:00Z');
const THREE: readonly Instance[] = [
  { node: 'cp-1', host: '10.0.0.1', port: 6443 },
  { node: 'cp-2', host: '10.0.0.2' },
  { node: 'cp-3', host: '10.0.0.3', port: 7443 },
];

let store: LeaseStore;
let asked: string[];
let down: Set<string>;
let duringQuestion: () => void;

const agent = (node: string) =>
  createRestartTurn({
    client: store.client(),
    namespace: 'bundles',
    node,
    nodeUid: () => `uid-${node}`,
    ownPort: async () => 6443,
    askPeer: async ({ host, port }) => {
      asked.push(`${host}:${port}`);
      duringQuestion();
      return down.has(host) ? 'ConnectionRefused' : null;
    },
    log,
    now: () => NOW,
  });

beforeEach(() => {
  store = new LeaseStore();
  store.make({ name: RESTART_LEASE, annotations: { [INSTANCES_ANNOTATION]: printInstances(THREE) } });
  asked = [];
  down = new Set();
  duringQuestion = () => undefined;
});

const write = (all: readonly Instance[]): void => store.annotate({ [INSTANCES_ANNOTATION]: printInstances(all) });

describe("a node's turn", () => {
  it('is taken after every other API server was asked, at the port of the asking one where none is known', async () => {
    expect(await agent('cp-1').take(never)).toEqual({ granted: true });
    expect(asked.sort()).toEqual(['10.0.0.2:6443', '10.0.0.3:7443']);
    expect(store.holder).toBe('cp-1/uid-cp-1');
  });

  it('is not taken while another node has it, and nobody is asked', async () => {
    await agent('cp-2').take(never);
    asked = [];
    expect(await agent('cp-1').take(never)).toMatchObject({ granted: false, reason: 'LeaseHeld', node: 'cp-2' });
    expect(asked).toEqual([]);
  });

  it('is still its own after its process was killed', async () => {
    await agent('cp-1').take(never);
    expect(await agent('cp-1').take(never)).toEqual({ granted: true });
  });

  it('waits for an API server that is not ready, holding nothing meanwhile', async () => {
    down.add('10.0.0.3');
    const turn = await agent('cp-1').take(never);
    expect(turn).toMatchObject({ granted: false, reason: 'PeerNotReady', node: 'cp-3' });
    expect(store.holder).toBe('');
    expect(store.writes).toBe(0);
  });

  it('waits for one whose address nobody knows', async () => {
    write([{ node: 'cp-1' }, { node: 'cp-2' }]);
    expect(await agent('cp-1').take(never)).toMatchObject({ reason: 'PeerNotReady', node: 'cp-2' });
  });

  it('does not wait for one that is not ready where allowDegraded says so', async () => {
    down.add('10.0.0.3');
    write(THREE.map((i) => ({ ...i, allowDegraded: true })));
    expect(await agent('cp-1').take(never)).toEqual({ granted: true });
  });

  it('waits all the same where no other of several is ready: the last API server stays', async () => {
    down.add('10.0.0.2').add('10.0.0.3');
    write(THREE.map((i) => ({ ...i, allowDegraded: true })));
    expect(await agent('cp-1').take(never)).toMatchObject({ granted: false, reason: 'PeerNotReady', node: 'cp-2' });
  });

  it('asks nobody where allowDegraded is set and one other is all there is', async () => {
    down.add('10.0.0.2');
    write(THREE.slice(0, 2).map((i) => ({ ...i, allowDegraded: true })));
    expect(await agent('cp-1').take(never)).toEqual({ granted: true });
    expect(asked).toEqual([]);
  });

  it('is not taken where another was quicker between the question and the write', async () => {
    duringQuestion = () => {
      if (store.holder === '') store.set('cp-2/uid-cp-2');
    };
    expect(await agent('cp-1').take(never)).toMatchObject({ reason: 'LeaseHeld', node: 'cp-2' });
    expect(store.holder).toBe('cp-2/uid-cp-2');
  });

  it('is asked for anew where another took it and gave it back between the question and the write', async () => {
    let once = true;
    duringQuestion = () => {
      if (!once) return;
      once = false;
      store.set('cp-2/uid-cp-2');
      store.set('');
    };
    expect(await agent('cp-1').take(never)).toEqual({ granted: true });
    expect(asked).toHaveLength(4);
  });

  it('is not taken under rules that have just changed', async () => {
    duringQuestion = () => write(THREE.map((i) => ({ ...i, paused: true })));
    expect(await agent('cp-1').take(never)).toMatchObject({ reason: 'Paused' });
    expect(store.holder).toBe('');
  });

  it('waits for the next window, and knows how long', async () => {
    write(THREE.map((i) => ({ ...i, windows: [{ start: '22:00', durationMinutes: 60 }] })));
    expect(await agent('cp-1').take(never)).toMatchObject({ reason: 'OutsideWindow', afterMs: 10 * 3_600_000 });
  });

  it('does not come without a Lease, nor with one that the controller did not write', async () => {
    write([]);
    expect(await agent('cp-1').take(never)).toMatchObject({ reason: 'NotAnInstance' });
    store.annotate({ [INSTANCES_ANNOTATION]: '{"of":"another version"}' });
    expect(await agent('cp-1').take(never)).toMatchObject({ reason: 'LeaseMissing' });
    store.remove();
    expect(await agent('cp-1').take(never)).toMatchObject({ reason: 'LeaseMissing' });
  });

  it('does not come while the API is away', async () => {
    store.away = true;
    expect(await agent('cp-1').take(never)).toMatchObject({ reason: 'LeaseUnreadable' });
  });

  it('is given back by its holder, and by nobody else', async () => {
    await agent('cp-1').take(never);
    expect(await agent('cp-2').giveBack(never)).toBe(true);
    expect(store.holder).toBe('cp-1/uid-cp-1');
    expect(await agent('cp-1').giveBack(never)).toBe(true);
    expect(store.holder).toBe('');
  });

  it('is not given back while the API is away', async () => {
    await agent('cp-1').take(never);
    store.away = true;
    expect(await agent('cp-1').giveBack(never)).toBe(false);
  });

  it('of an undoing takes a free Lease, and leaves a held one', async () => {
    down.add('10.0.0.2');
    await agent('cp-1').announce(never);
    expect(store.holder).toBe('cp-1/uid-cp-1');
    await agent('cp-3').announce(never);
    expect(store.holder).toBe('cp-1/uid-cp-1');
  });
});
