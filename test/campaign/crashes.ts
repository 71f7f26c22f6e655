/** Processes that end at the wrong moment: agent, controller, API server, the whole machine. */
import { brokenPolicy, forged, installUnchecked, policyOf } from './by-hand.ts';
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
];
