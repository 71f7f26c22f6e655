/** Two at once: agents, editors, operators, upgrades, and hands that hold an older or another truth. */
import type { Breakage } from './types.ts';

const kind = 'concurrency';

export const CONCURRENCY: readonly Breakage[] = [
  {
    id: 'two-agents',
    kind,
    title: 'two agents run on one node while a change arrives (an old pod that hangs, a debugging session)',
    nodes: 1,
    expect: 'healed',
    run: async (lab) => {
      const second = lab.first.spareAgent();
      try {
        await lab.sleep(1_500);
        const starts = (): number => lab.first.plane.runner?.events.filter((e) => e.what === 'Started').length ?? 0;
        const before = starts();
        await lab.roll();
        // The API server once, the guard once.
        if (starts() - before !== 2) throw new Error(`${starts() - before} pods were started where two are enough`);
      } finally {
        second.signal('SIGKILL');
        await second.exited;
      }
    },
  },
];
