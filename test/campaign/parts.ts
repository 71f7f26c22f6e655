/** What a lab is made of beside its planes: installed, wired up, and taken down again. Called by lab.ts. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stopControlPlanes } from '../control-plane/plane.ts';
import type { ControlPlane } from '../control-plane/plane.ts';
import type { temporaryFolder } from '../control-plane/reaper.ts';
import { createNode, installOperator, kubeconfigOf, tokenOf } from '../operator/install.ts';
import type { Disks } from './disks.ts';
import { LabNode } from './node.ts';
import { Relay } from './relay.ts';

export type Folder = ReturnType<typeof temporaryFolder>;
export type Beginnings = {
  readonly planes: readonly ControlPlane[];
  /** By the root of their node. */
  readonly disks: ReadonlyMap<string, Disks>;
  readonly folder: Folder;
  /** All that were started, also by a start that fails. */
  readonly relays: Relay[];
};

/** deploy/ installed, and for the controller and each agent a network and credentials of its own. */
export async function partsOf({
  planes,
  disks,
  folder,
  relays,
}: Beginnings): Promise<{ readonly nodes: readonly LabNode[]; readonly controllerRelay: Relay }> {
  const [first] = planes;
  if (first === undefined) throw new Error('a lab has a node');
  await installOperator(first);
  const relay = async (): Promise<Relay> => {
    const by = await Relay.start(planes.map(({ host, port }) => ({ host, port })));
    relays.push(by);
    return by;
  };
  const credentials = async (name: string, by: Relay, token: string): Promise<string> => {
    const path = join(folder.path, `${name}.kubeconfig`);
    await writeFile(path, kubeconfigOf({ url: by.url, ca: first.ca }, token), { mode: 0o600 });
    return path;
  };
  const controllerRelay = await relay();
  await credentials('controller', controllerRelay, await tokenOf(first, 'auditconfig-controller'));
  const nodes: LabNode[] = [];
  for (const [i, plane] of planes.entries()) {
    const node = await createNode(first, `cp-${i + 1}`, plane.host);
    const by = await relay();
    const token = await tokenOf(first, 'auditconfig-agent', node);
    const mounted = disks.get(plane.root);
    if (mounted === undefined) throw new Error('a node without its disks');
    const kubeconfig = await credentials(node.name, by, token);
    const original = await readFile(plane.manifestPath, 'utf8');
    nodes.push(new LabNode({ name: node.name, plane, disks: mounted, relay: by, kubeconfig, original }));
  }
  return { nodes, controllerRelay };
}

export async function stopParts({ planes, folder, relays }: Omit<Beginnings, 'disks'>): Promise<void> {
  for (const relay of relays) await relay.close();
  await stopControlPlanes(planes);
  await folder.remove();
}
