/** Who spends this machine's processor time: the controller, the API server, etcd, or the bench itself. */
import { readFileSync } from 'node:fs';
import { cpuMs } from '../process-cost.ts';
import type { Fleet } from './fleet.ts';

/** ms. */
type Used = {
  readonly controller: number;
  readonly apiServer: number;
  readonly etcd: number;
  /** This process: the bare client, or who reads the API server's log meanwhile. */
  readonly bench: number;
};

export type Cost = {
  /** Of all that this machine could do, how much it did; 0 to 1. */
  readonly busy: number;
  readonly used: Used;
};

/** ms that all processors of this machine have worked, and have been there for, since it started. */
function machine(): { readonly busy: number; readonly all: number } {
  const [, ...ticks] = (/^cpu .*$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[0] ?? '').split(/ +/).map(Number);
  const all = ticks.slice(0, 8).reduce((sum, t) => sum + t, 0);
  return { busy: (all - (ticks[3] ?? 0) - (ticks[4] ?? 0)) * 10, all: all * 10 };
}

function usedBy({ controller, plane }: Fleet): Used {
  return {
    controller: controller === undefined || controller.exit !== undefined ? 0 : cpuMs(controller.pid),
    apiServer: cpuMs(plane.apiserver.pid),
    etcd: cpuMs(plane.etcd.pid),
    bench: cpuMs(process.pid),
  };
}

/** From now until it is asked. */
export function meter(fleet: Fleet): () => Cost {
  const [from, before] = [machine(), usedBy(fleet)];
  return () => {
    const [to, after] = [machine(), usedBy(fleet)];
    const spent = (who: keyof Used): number => after[who] - before[who];
    return {
      busy: (to.busy - from.busy) / Math.max(1, to.all - from.all),
      used: {
        controller: spent('controller'),
        apiServer: spent('apiServer'),
        etcd: spent('etcd'),
        bench: spent('bench'),
      },
    };
  };
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
export const toldCost = ({ busy, used }: Cost): string =>
  `machine busy ${(100 * busy).toFixed(0)}%: controller ${seconds(used.controller)}, API server ${seconds(used.apiServer)}, etcd ${seconds(used.etcd)}, bench ${seconds(used.bench)}`;
