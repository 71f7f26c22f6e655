/** Two at once: agents, editors, operators, upgrades, and hands that hold an older or another truth. */
import { watch } from 'node:fs';
import { basename } from 'node:path';
import { BUNDLES_NAMESPACE, ROOT, applyOrThrow, kustomized, pathOf } from '../operator/install.ts';
import type { Manifest } from '../operator/install.ts';
import { forged, policyOf, publish, tell } from './by-hand.ts';
import type { Lab } from './lab.ts';
import type { LabNode } from './node.ts';
import type { Breakage } from './types.ts';

const kind = 'concurrency';

/** Good, published, and wanted by nobody any more. */
const stale = (mark: string): ReturnType<typeof forged> =>
  forged({ policy: policyOf([{ level: 'None', users: [mark] }, { level: 'Metadata' }]) });

/** Calls `edit` once, at the moment when the agent stages the manifest that it is about to rename over the old one. */
async function atTheRename(lab: Lab, node: LabNode, edit: () => Promise<void>): Promise<void> {
  const folder = node.at('/etc/kubernetes/manifests');
  const staged = `.${basename(node.plane.manifestPath)}.auditconfig-staged`;
  let editing: Promise<void> | undefined;
  const watcher = watch(folder, (_kind, name) => {
    if (name === staged) editing ??= edit();
  });
  try {
    await lab.begin();
    await lab.until('the agent stages a manifest', () => Promise.resolve(editing !== undefined));
    await editing;
  } finally {
    watcher.close();
  }
}

/** What `kubeadm upgrade` writes: a new image, and nothing that it does not know of. */
const upgraded = (node: LabNode): string => node.original.replace(/(kube-apiserver:v[\d.]+)/, '$1-upgraded');

/** A change that is not about auditing; it restarts the API server as any does. */
const withVerbosity = (manifest: string, v: number): string =>
  manifest.replace(/^( +- )(?:--v=\d+|--allow-privileged=true)$/m, `$1--v=${v}`);

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
  {
    id: 'stale-revision',
    kind,
    title: 'a node is told by hand to run an older revision, which is still published',
    nodes: 1,
    expect: 'healed',
    run: async (lab) => {
      const old = stale('one');
      await publish(lab, old);
      await tell(lab, lab.first, old);
      await lab.until('it is put right', async () => {
        const named = (await lab.auditNode(lab.first))?.spec.desired.revision;
        return named?.digest !== old.digest;
      });
      await lab.untilSettled();
    },
  },
  {
    id: 'stale-revision-everywhere',
    kind,
    title: 'all three nodes are told at once to run an older revision, past the controller that paces them',
    nodes: 3,
    expect: 'healed',
    run: async (lab) => {
      const old = stale('three');
      await lab.killController();
      await publish(lab, old);
      await Promise.all(lab.nodes.map((n) => tell(lab, n, old)));
      await lab.sleep(10_000);
      lab.startController();
      await lab.untilSettled();
    },
  },
  {
    id: 'tampered-bundle',
    kind,
    title: 'a published revision is replaced by one that audits nothing, under the same name',
    nodes: 1,
    expect: 'refused',
    run: async (lab) => {
      await lab.killController();
      const named = (await lab.auditNode(lab.first))?.spec.desired.revision;
      const metadata = { name: named?.name ?? '', namespace: BUNDLES_NAMESPACE };
      const bundle = { apiVersion: 'v1', kind: 'ConfigMap', metadata };
      const old = (await lab.get(bundle)) as Manifest & { data: Record<string, string> };
      await lab.delete(bundle);
      const data = { ...old.data, 'policy.yaml': policyOf([{ level: 'None' }]) };
      await lab.apply({ ...bundle, data });
      await lab.first.killAgent();
      lab.first.startAgent();
      await lab.untilNodeRefused(lab.first, 'BundleDigest');
      lab.startController();
      await lab.untilSettled();
    },
  },
  {
    id: 'edited-at-the-rename',
    kind,
    title: 'somebody saves the manifest at the very moment when the agent is about to rename its own over it',
    nodes: 1,
    expect: 'healed',
    run: async (lab) => {
      const original = await lab.first.manifest();
      await atTheRename(lab, lab.first, async () => lab.first.writeManifest(withVerbosity(original, 1)));
      await lab.untilHealed();
      if (!(await lab.first.manifest()).includes('--v=1')) throw new Error('their edit was lost');
    },
  },
  {
    id: 'two-auditconfigs',
    kind,
    title: 'a second AuditConfig for the same node, of another mind',
    nodes: 1,
    expect: 'refused',
    run: async (lab) => {
      await lab.apply(lab.config({ state: 'Disabled' }, 'younger'));
      await lab.untilNotAccepted('TargetConflict', 'younger');
    },
  },
  {
    id: 'spec-changes-again-and-again',
    kind,
    title: 'four revisions in six seconds, while the first is still being rolled out over three nodes',
    nodes: 3,
    expect: 'healed',
    run: async (lab) => {
      for (let i = 0; i < 4; i++) {
        await lab.begin();
        await lab.sleep(1_500);
      }
      await lab.untilHealed();
    },
  },
  {
    id: 'crds-deleted-in-mid-rollout',
    kind,
    title: 'the CRD of AuditConfigs is deleted in the middle of a rollout over three nodes, and comes back',
    nodes: 3,
    expect: 'healed',
    run: async (lab) => {
      const crd = kustomized(`${ROOT}/deploy`).find((o) => o.metadata.name === 'auditconfigs.auditconfig.dev');
      if (crd === undefined) throw new Error('deploy/ has no such CRD');
      const before = await lab.manifests();
      await lab.begin();
      await lab.untilAnyRenamed(before);
      await lab.delete(crd);
      await lab.until('it is gone', async () => (await lab.request('GET', pathOf(crd))).status === 404);
      await lab.sleep(5_000);
      await applyOrThrow(lab, crd);
      await lab.until('it is served', async () => {
        const { status } = await lab.request('GET', '/apis/auditconfig.dev/v1alpha1/auditconfigs');
        return status === 200;
      });
      await lab.roll();
    },
  },
  {
    id: 'upgrade-in-mid-rollout',
    kind,
    title: 'kubeadm upgrades the first of three nodes just when it is being changed, and forgets the flags',
    nodes: 3,
    expect: 'healed',
    run: async (lab) => {
      const before = await lab.manifests();
      await lab.begin();
      const node = await lab.untilAnyRenamed(before);
      await node.writeManifest(upgraded(node));
      await lab.untilHealed();
      if (!(await node.manifest()).includes('-upgraded')) throw new Error('the upgrade was lost');
    },
  },
  {
    id: 'ansible-rewrites-all-manifests',
    kind,
    title: 'Ansible writes all three manifests anew at once, without our flags: its own restarts, and then ours',
    nodes: 3,
    expect: 'healed',
    run: async (lab) => {
      const since = Date.now();
      await Promise.all(lab.nodes.map((n) => n.writeManifest(withVerbosity(n.original, 3))));
      for (const n of lab.nodes) await n.plane.ready(lab.signal, since);
      await lab.until('all are up', () => Promise.resolve(!lab.nodes.some((n) => lab.meter.isDown(n.name))));
      lab.meter.judgeFromHere();
      await lab.untilSettled();
    },
  },
];
