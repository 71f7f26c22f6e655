/** The network between the parts, and etcd. */
import type { Breakage } from './types.ts';

const kind = 'network and etcd';

export const NETWORK: readonly Breakage[] = [
  {
    id: 'etcd-down-in-mid-rollout',
    kind,
    title: 'etcd dies right after the manifest’s rename, and is away for longer than anybody waits',
    nodes: 1,
    expect: 'inconclusive',
    run: async (lab) => {
      const before = await lab.first.manifest();
      await lab.begin();
      await lab.untilRenamed(lab.first, before);
      await lab.first.plane.etcd.kill();
      await lab.untilRolledBack(lab.first, 'Inconclusive');
      await lab.first.plane.etcd.start(lab.signal);
      await lab.untilHealed();
    },
  },
  {
    id: 'agent-cut-off',
    kind,
    title: 'the agent loses the API in the middle of a change, packets are dropped',
    nodes: 1,
    expect: 'healed',
    run: async (lab) => {
      const before = await lab.first.manifest();
      await lab.begin();
      await lab.untilRenamed(lab.first, before);
      lab.first.relay.set('Silent');
      await lab.until('it ends the change alone', async () => (await lab.first.state())?.state.phase === 'Settled');
      lab.first.relay.set('Open');
      await lab.untilHealed();
    },
  },
];
