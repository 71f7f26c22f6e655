/** Who acts on a node: the agent or the guard, never both, whoever came first, was killed, or was there before a reboot. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isAlive, ownProcess } from '../../src/host/processes.ts';
import { claimName, judgeClaims, parseClaim, takeClaim, waitForClaim } from '../../src/node/claim.ts';
import type { Claim, Role } from '../../src/node/claim.ts';
import type { NodeHost } from '../../src/node/host.ts';
import { MANIFEST, nodeWith, SPEC } from '../targets/static-pod-host.ts';
import { World } from './world.ts';

const STATE_DIR = SPEC.layout.stateDir;
const POD =
  'apiVersion: v1\nkind: Pod\nmetadata: {name: kube-apiserver}\nspec: {containers: [{name: a, command: [kube-apiserver]}]}\n';

const newWorld = (): World => new World(nodeWith(POD), MANIFEST, () => 'good');
const claimOf = (role: Role, pid: number, boot = 'boot-1'): Claim => ({ role, process: { pid, start: 1, boot } });

/** The host as one of its processes sees it. */
function as(w: World, pid: number): NodeHost {
  w.alive.add(pid);
  return { ...w.host, disk: w.disk, me: async () => ({ pid, start: 1, boot: w.bootId }) };
}
const isTaken = async (host: NodeHost, role: Role): Promise<boolean> =>
  'taken' in (await takeClaim(host, STATE_DIR, role));
const claims = async (w: World): Promise<readonly string[]> => (await w.disk.list(STATE_DIR)) ?? [];

describe('the names of claims', () => {
  it('say who it is, and come back as they were', () => {
    const claim: Claim = { role: 'guard', process: { pid: 7, start: 1234, boot: '1f0c-ab' } };
    expect(parseClaim(claimName(claim))).toEqual(claim);
  });

  it.each(['state.json', 'HOLD', 'claim-agent-x-1-b', 'claim-other-1-1-b', '.claim-agent-1-1-b'])(
    '%s is none',
    (name) => expect(parseClaim(name)).toBeNull(),
  );
});

describe('the verdict over claims', () => {
  const names = [claimOf('agent', 1), claimOf('guard', 2)].map(claimName);
  it('is busy where another one lives, and knows the dead ones', () => {
    const mine = claimName(claimOf('agent', 1));
    expect(judgeClaims(names, mine, () => true)).toEqual({ busy: claimOf('guard', 2), stale: [] });
    expect(judgeClaims(names, mine, () => false)).toEqual({ busy: null, stale: [claimName(claimOf('guard', 2))] });
    expect(judgeClaims([mine, 'state.json'], mine, () => true)).toEqual({ busy: null, stale: [] });
  });
});

describe('agent and guard', () => {
  it.each([
    ['agent', 'guard'],
    ['guard', 'agent'],
    ['agent', 'agent'],
    ['guard', 'guard'],
  ] as const)('while the %s has it, the %s waits; then it gets it', async (first, second) => {
    const w = newWorld();
    const [one, two] = [as(w, 1), as(w, 2)];
    const taken = await takeClaim(one, STATE_DIR, first);
    if (!('taken' in taken)) throw new Error('nobody was there');
    expect(await isTaken(two, second)).toBe(false);
    await taken.taken();
    expect(await isTaken(two, second)).toBe(true);
    expect(await claims(w)).toEqual([claimName(claimOf(second, 2))]);
  });

  it('a killed one bars nobody, and its claim is cleared away', async () => {
    const w = newWorld();
    await takeClaim(as(w, 1), STATE_DIR, 'agent');
    w.alive.delete(1);
    expect(await isTaken(as(w, 2), 'guard')).toBe(true);
    expect(await claims(w)).toEqual([claimName(claimOf('guard', 2))]);
  });

  it('a claim of another boot bars nobody, even where its pid is in use again', async () => {
    const w = newWorld();
    await takeClaim(as(w, 1), STATE_DIR, 'agent');
    w.reboot();
    as(w, 1);
    expect(await isTaken(as(w, 2), 'guard')).toBe(true);
  });

  it('never both have it, wherever the one is interrupted by the other', async () => {
    let pairs = 0;
    for (let at = 0; at < 12; at++) {
      const w = newWorld();
      const [agent, guard] = [as(w, 1), as(w, 2)];
      let calls = 0;
      let other: boolean | undefined;
      const meddle = async (): Promise<void> => {
        if (calls++ === at) other = await isTaken(guard, 'guard');
      };
      const disk = {
        ...agent.disk,
        list: async (p: string) => (await meddle(), w.disk.list(p)),
        create: async (...a: Parameters<typeof w.disk.create>) => (await meddle(), w.disk.create(...a)),
        remove: async (p: string) => (await meddle(), w.disk.remove(p)),
        makeDir: async (...a: Parameters<typeof w.disk.makeDir>) => (await meddle(), w.disk.makeDir(...a)),
        stat: async (p: string) => (await meddle(), w.disk.stat(p)),
        syncDir: async (p: string) => (await meddle(), w.disk.syncDir(p)),
      };
      // Both made the folder: whose attempt fails tries again.
      const mine = await isTaken({ ...agent, disk }, 'agent').catch((e: unknown) => {
        expect(e).toMatchObject({ code: 'EEXIST' });
        return false;
      });
      if (other === undefined) continue;
      pairs++;
      expect(mine && other, `interrupted at ${at}`).toBe(false);
    }
    expect(pairs).toBeGreaterThan(4);
  });

  it('who waits is told once what for, and gets it when the other one dies', async () => {
    const w = newWorld();
    const [guard, agent] = [as(w, 1), as(w, 2)];
    await takeClaim(guard, STATE_DIR, 'guard');
    const told: unknown[] = [];
    const since = w.now;
    w.onTick = () => w.now - since > 3_000 && w.alive.delete(1);
    const signal = new AbortController().signal;
    const release = await waitForClaim(agent, STATE_DIR, { role: 'agent', pollMs: 250, onObstacle: (x) => told.push(x), signal }); // prettier-ignore
    expect(told).toEqual([claimOf('guard', 1)]);
    await release?.();
    expect(w.disk.text(STATE_DIR)).toBeNull();
    expect(await w.disk.list(STATE_DIR)).toBeNull();
  });
});

describe('processes of this machine', () => {
  it.each([
    ['S', true],
    ['Z', false],
    ['X', false],
  ])('in state %s live: %s; who has ended is not waited for', async (state, lives) => {
    const proc = await mkdtemp(join(tmpdir(), 'auditconfig-proc-'));
    try {
      await mkdir(join(proc, 'sys/kernel/random'), { recursive: true });
      await mkdir(join(proc, '7'));
      await writeFile(join(proc, 'sys/kernel/random/boot_id'), 'b\n');
      await writeFile(join(proc, '7/stat'), `7 (a) Z) ${state} ${'1 '.repeat(18)}100 0\n`);
      expect(await isAlive({ pid: 7, start: 1_000, boot: 'b' }, proc)).toBe(lives);
    } finally {
      await rm(proc, { recursive: true });
    }
  });

  it('live until they are killed, and are no others with the same number', async () => {
    const me = await ownProcess();
    expect(await isAlive(me)).toBe(true);
    expect(await isAlive({ ...me, start: me.start + 10 })).toBe(false);
    expect(await isAlive({ ...me, boot: 'another' })).toBe(false);
    const child = spawn('sleep', ['60']);
    await once(child, 'spawn');
    const stat = { ...me, pid: child.pid ?? 0 };
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await isAlive(stat)).toBe(false);
  });
});
