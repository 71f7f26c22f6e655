/** Files and disks of the node: full, read-only, deleted, in the way, or edited. */
import { cp, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
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
    waits: true,
    run: async (lab) => {
      await lab.first.disks.fill('log');
      await lab.untilCondition('Verified', 'False', 'EventMissing');
      await lab.first.disks.mend('log');
      await lab.untilCondition('Verified', 'True');
    },
  },
  {
    id: 'manifests-disk-full',
    kind,
    title: 'there is no room beside the manifest for the one that is to take its place',
    nodes: 1,
    expect: 'healed',
    run: (lab) => changeOn(lab, 'manifests', 'fill'),
  },
  {
    id: 'state-file-of-nobody',
    kind,
    title: "the agent's journal is garbage (a disk that lied, a program of another version)",
    nodes: 1,
    expect: 'refused',
    run: async (lab) => {
      const path = lab.first.at('/var/lib/auditconfig/state.json');
      const good = await readFile(path);
      await writeFile(path, good.subarray(0, good.length / 2));
      await lab.begin();
      await lab.untilNodeRefused(lab.first, 'StateUnreadable');
      await writeFile(path, good);
    },
  },
  {
    id: 'manifest-is-a-link',
    kind,
    title: 'the manifest is a symbolic link into a Git checkout, which a rename would cut',
    nodes: 1,
    expect: 'refused',
    run: async (lab) => {
      const { manifestPath } = lab.first.plane;
      const elsewhere = lab.first.at('/var/lib/kube-apiserver.yaml');
      await cp(manifestPath, elsewhere);
      const link = join(dirname(manifestPath), '.link');
      await symlink(elsewhere, link);
      await rename(link, manifestPath);
      await lab.mark();
      await lab.begin();
      await lab.untilNodeRefused(lab.first, 'ManifestIsLink');
      await lab.first.writeManifest(await readFile(elsewhere, 'utf8'));
    },
  },
  {
    id: 'manifest-moved-away-in-mid-change',
    kind,
    title: 'somebody restarts the API server by moving its manifest away and back, in the middle of a change',
    nodes: 1,
    expect: 'healed',
    run: async (lab) => {
      const before = await lab.first.manifest();
      await lab.begin();
      await lab.untilRenamed(lab.first, before);
      const moved = await lab.first.manifest();
      await lab.first.removeManifest();
      await lab.sleep(4_000);
      await lab.first.writeManifest(moved);
      await lab.untilHealed();
    },
  },
  {
    id: 'policy-file-cut-off',
    kind,
    title: 'the policy file is cut off to nothing, and then the API server restarts',
    nodes: 1,
    expect: 'healed',
    run: async (lab) => {
      await truncate(await lab.first.policyFile());
      await lab.first.plane.kill('SIGKILL');
      await lab.untilSettled();
    },
  },
  {
    id: 'revision-folder-deleted',
    kind,
    title: 'the folder of the running revision is deleted, and then the API server restarts',
    nodes: 1,
    expect: 'healed',
    run: async (lab) => {
      const policy = await lab.first.policyFile();
      await rm(dirname(policy), { recursive: true });
      await lab.first.plane.kill('SIGKILL');
      await lab.until('the policy is there again', async () => (await readFile(policy)).length > 0);
      await lab.untilSettled();
    },
  },
  {
    id: 'revision-folder-deleted-without-an-agent',
    kind,
    title: 'the same while no agent runs: it finds an API server that crash-loops',
    nodes: 3,
    expect: 'healed',
    run: async (lab) => {
      const policy = await lab.first.policyFile();
      await lab.first.killAgent();
      await rm(dirname(policy), { recursive: true });
      await lab.first.plane.kill('SIGKILL');
      await lab.sleep(3_000);
      lab.first.startAgent();
      await lab.until('the policy is there again', async () => (await readFile(policy)).length > 0);
      await lab.untilSettled();
    },
  },
];
