/** Files and disks of the node: full, read-only, deleted, in the way, or edited. */
import { cp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DiskName } from './disks.ts';
import type { Lab } from './lab.ts';
import type { Breakage } from './types.ts';

const kind = 'files and disks';

/** A change arrives while a disk takes nothing; for a while nothing may happen, and then it goes on by itself. */
async function changeOn(lab: Lab, disk: DiskName, how: 'fill' | 'readOnly'): Promise<void> {
  const { first: node } = lab;
  const before = await node.manifest();
  await node.disks[how](disk);
  await lab.begin();
  await lab.until('the agent says that a file cannot be written', async () =>
    (await lab.auditNode(node))?.status?.message?.includes('could not be written'),
  );
  if ((await node.manifest()) !== before || lab.meter.seconds(node.name) > 0)
    throw new Error('the API server was touched although the change could not be finished');
  await node.disks.mend(disk);
  await lab.untilHealed();
}

export const FILES_AND_DISKS: readonly Breakage[] = [
  {
    id: 'state-disk-full',
    kind,
    title: "the disk of the agent's journal is full when a change arrives",
    nodes: 1,
    expect: 'healed',
    run: (lab) => changeOn(lab, 'state', 'fill'),
  },
  {
    id: 'revisions-disk-full',
    kind,
    title: 'there is no room for the policy file when a change arrives',
    nodes: 1,
    expect: 'healed',
    run: (lab) => changeOn(lab, 'revisions', 'fill'),
  },
  {
    id: 'manifests-read-only',
    kind,
    title: "the kubelet's manifests are on a disk that went read-only when a change arrives",
    nodes: 1,
    expect: 'healed',
    run: (lab) => changeOn(lab, 'manifests', 'readOnly'),
  },
  {
    id: 'state-disk-full-in-mid-change',
    kind,
    title: "the disk of the agent's journal fills up right after the manifest's rename",
    nodes: 1,
    expect: 'healed',
    run: async (lab) => {
      const before = await lab.first.manifest();
      await lab.begin();
      await lab.untilRenamed(lab.first, before);
      await lab.first.disks.fill('state');
      await lab.sleep(8_000);
      await lab.first.disks.mend('state');
      await lab.untilHealed();
    },
  },
  {
    id: 'second-definition',
    kind,
    title: 'a backup of the manifest lies in the kubelet’s folder, which takes it for the pod itself',
    nodes: 1,
    expect: 'refused',
    run: async (lab) => {
      const backup = join(lab.first.at('/etc/kubernetes/manifests'), 'kube-apiserver.yaml.bak');
      await cp(lab.first.plane.manifestPath, backup);
      const since = Date.now();
      await lab.first.plane.ready(lab.signal, since);
      await lab.mark();
      await lab.begin();
      await lab.untilNodeRefused(lab.first, 'SecondDefinition');
      // Whoever reads the refusal takes it away, and the kubelet starts the other definition.
      const removed = Date.now();
      await rm(backup);
      await lab.first.plane.ready(lab.signal, removed);
    },
  },
  {
    id: 'log-folder-read-only',
    kind,
    title: 'the log moves to a folder on a disk that is read-only: the API server does not start',
    nodes: 1,
    expect: 'healed',
    run: async (lab) => {
      await lab.first.disks.readOnly('spare');
      const log = { type: 'File', file: { path: '/var/log/spare/audit.log' }, retention: { maxBackups: 2, maxSize: '1Mi' } }; // prettier-ignore
      await lab.begin({ log });
      await lab.untilRolledBack(lab.first, 'CrashLoop');
    },
  },
  {
    id: 'log-path-in-the-way',
    kind,
    title: 'where the log is to be there is a file for a folder, or a folder for a file',
    nodes: 1,
    expect: 'refused',
    run: async (lab) => {
      await writeFile(lab.first.at('/var/log/taken'), '');
      for (const [path, code] of [
        ['/var/log/taken/audit.log', 'LogFolderNotAFolder'],
        ['/var/log/spare', 'LogPathNotAFile'],
      ] as const) {
        await lab.begin({ log: { type: 'File', file: { path }, retention: { maxBackups: 2, maxSize: '1Mi' } } });
        await lab.untilNodeRefused(lab.first, code);
      }
    },
  },
  {
    id: 'log-disk-full',
    kind,
    title: 'the disk of the log is full while the API server writes to it',
    nodes: 1,
    expect: 'healed',
    run: async (lab) => {
      await lab.first.disks.fill('log');
      await lab.untilCondition('Verified', 'False', 'EventMissing');
      await lab.first.disks.mend('log');
      await lab.untilCondition('Verified', 'True');
    },
  },
];
