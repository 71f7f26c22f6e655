/** Processes that end at the wrong moment: agent, controller, API server, the whole machine. */
import { writeFile } from 'node:fs/promises';
import { brokenPolicy, forged, installUnchecked, policyOf } from './by-hand.ts';
import { IMPATIENT } from './lab.ts';
import type { Lab } from './lab.ts';
import type { Breakage } from './types.ts';

const kind = 'crashes and reboots';

/** Power off right after the rename; only static pods come back, and the agent when there is an API. */
async function rebootAfter(lab: Lab, of: ReturnType<typeof forged>): Promise<void> {
  const { first: node } = lab;
  await node.killAgent();
  await installUnchecked(node, of);
  await node.reboot();
  await lab.until('the API server comes back without an agent', async () => {
    await node.plane.ready(AbortSignal.timeout(1_000));
    return (await node.state())?.journal === null;
  });
  node.startAgent();
  await lab.untilHealed();
}

export const CRASHES: readonly Breakage[] = [
  {
    id: 'agent-killed-again-and-again',
    kind,
    title: 'the agent is killed a dozen times while it changes a node',
    nodes: 1,
    expect: 'healed',
    run: async (lab) => {
      await lab.begin();
      for (let i = 0; i < 12; i++) {
        await lab.sleep(100 + Math.random() * 900);
        await lab.first.killAgent();
        lab.first.startAgent();
      }
      await lab.untilHealed();
    },
  },
  {
    id: 'reboot-with-a-broken-revision',
    kind,
    title: 'the node reboots right after the rename of a manifest that no API server starts with',
    nodes: 1,
    expect: 'healed',
    run: (lab) => rebootAfter(lab, brokenPolicy('reboot')),
  },
  {
    id: 'reboot-in-mid-change',
    kind,
    title: 'the node reboots right after the rename of a good manifest',
    nodes: 1,
    expect: 'healed',
    run: (lab) =>
      rebootAfter(lab, forged({ policy: policyOf([{ level: 'None', users: ['x'] }, { level: 'Metadata' }]) })),
  },
  {
    id: 'api-server-falls-over-on-probation',
    kind,
    title: 'the API server comes up with a new revision, and then falls over three times',
    nodes: 1,
    expect: 'healed',
    run: async (lab) => {
      await lab.begin();
      await lab.untilSettled();
      await lab.mark();
      for (let i = 0; i < 3; i++) {
        await lab.first.plane.kill('SIGKILL');
        await lab.first.plane.ready(lab.signal);
      }
      await lab.untilRolledBack(lab.first, 'CrashLoop');
    },
  },
  {
    id: 'api-server-killed-once',
    kind,
    title: 'the API server is killed once after its change: that is no reason to go back',
    nodes: 1,
    expect: 'healed',
    run: async (lab) => {
      await lab.roll();
      const digest = (await lab.first.state())?.state;
      await lab.mark();
      await lab.first.plane.kill('SIGKILL');
      await lab.first.plane.ready(lab.signal);
      await lab.sleep(6_000);
      if (JSON.stringify((await lab.first.state())?.state) !== JSON.stringify(digest))
        throw new Error('it went back for one crash');
    },
  },
  {
    id: 'out-of-memory-on-probation',
    kind,
    title: 'the kernel kills the API server for want of memory, minutes after its new revision was found healthy',
    nodes: 1,
    expect: 'healed',
    waits: true,
    run: async (lab) => {
      const killed = (count: number): Promise<void> =>
        writeFile(lab.first.at('/proc/vmstat'), `pgfault 1\noom_kill ${count}\n`);
      await killed(0);
      await lab.begin();
      await lab.untilSettled();
      // The watch over the probation looks every five seconds (later on a busy machine), and tells by the difference.
      await lab.sleep(25_000);
      await lab.mark();
      await killed(1);
      await lab.first.plane.kill('SIGKILL');
      await lab.untilRolledBack(lab.first, 'OutOfMemory');
    },
  },
  {
    id: 'agent-suspended',
    kind,
    title: 'the agent stands still for 40 s in the middle of a change, longer than the change may take (a paused VM)',
    nodes: 1,
    expect: 'healed',
    waits: true,
    run: async (lab) => {
      const before = await lab.first.manifest();
      await lab.begin(IMPATIENT);
      await lab.untilRenamed(lab.first, before);
      lab.first.agent?.signal('SIGSTOP');
      await lab.sleep(40_000);
      lab.first.agent?.signal('SIGCONT');
      await lab.waitLonger();
      await lab.untilHealed();
    },
  },
  {
    id: 'rollback-killed',
    kind,
    title: 'agent and guard are killed again and again while they go back from a manifest that stops the API server',
    nodes: 1,
    expect: 'healed',
    run: async (lab) => {
      await lab.first.killAgent();
      await installUnchecked(lab.first, brokenPolicy('rollback-killed'));
      for (let i = 0; i < 6; i++) {
        lab.first.startAgent();
        await lab.sleep(300 + Math.random() * 1_700);
        lab.first.killGuard();
        await lab.first.killAgent();
      }
      lab.first.startAgent();
      await lab.untilHealed();
    },
  },
  {
    id: 'power-cuts',
    kind,
    title: 'agent, controller, API server and etcd die at once, three times in one change',
    nodes: 1,
    expect: 'healed',
    run: async (lab) => {
      const { plane } = lab.first;
      await lab.begin();
      for (let i = 0; i < 3; i++) {
        await lab.sleep(Math.random() * 2_500);
        await Promise.all([lab.killController(), lab.first.reboot(), plane.etcd.kill()]);
        await plane.etcd.start(lab.signal);
        // What a kubelet starts when there is an API again.
        await plane.ready(lab.signal);
        lab.startController();
        lab.first.startAgent();
      }
      await lab.untilHealed();
    },
  },
  {
    id: 'controller-killed-in-mid-rollout',
    kind,
    title: 'the controller is killed five times in a rollout over three nodes',
    nodes: 3,
    expect: 'healed',
    run: async (lab) => {
      await lab.begin();
      for (let i = 0; i < 5; i++) {
        await lab.sleep(500 + Math.random() * 3_000);
        await lab.killController();
        lab.startController();
      }
      await lab.untilHealed();
    },
  },
  {
    id: 'one-of-three-reboots-in-mid-change',
    kind,
    title: 'the first of three nodes reboots right after its manifest was renamed',
    nodes: 3,
    expect: 'healed',
    run: async (lab) => {
      const before = await lab.manifests();
      await lab.begin();
      const node = await lab.untilAnyRenamed(before);
      await node.reboot();
      await node.plane.ready(lab.signal);
      node.startAgent();
      await lab.untilHealed();
    },
  },
];
