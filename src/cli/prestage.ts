/**
 * `auditconfig prestage`: puts a revision's files and the log's folder on a node before its kube-apiserver starts there
 * for the first time: before `kubeadm join --control-plane`, where kubeadm-config is kept in step. Judges the bundle as the
 * agent would, writes nothing that is there already, starts nothing, and touches no manifest. Errors change no file.
 */
import { randomUUID } from 'node:crypto';
import { hasErrors } from '../api/findings.ts';
import type { Finding } from '../api/findings.ts';
import { NEWEST } from '../api/versions.ts';
import type { Minor } from '../api/versions.ts';
import { realDisk } from '../host/disk.ts';
import type { Disk } from '../host/types.ts';
import { applyAll } from '../node/apply.ts';
import { REVISION_CHECKS, runChecks } from '../node/checks.ts';
import { gather } from '../node/gather.ts';
import { roomForLog } from '../node/room.ts';
import { fromBundle } from '../render/bundle/read.ts';
import type { Revision } from '../render/types.ts';
import { DEFAULT_LAYOUT } from '../targets/host-layout.ts';
import { prestage } from '../targets/prestage.ts';
import type { PrestageSpec } from '../targets/prestage.ts';
import { readManifest } from '../targets/static-pod/manifest.ts';
import { readerOf } from '../targets/static-pod/mounts.ts';
import type { HostChange, Owner } from '../targets/types.ts';
import { versionOfManifest } from './image-version.ts';
import { command, runCommand } from './parse.ts';
import { noRoot } from './node-place.ts';
import { isResult, usage, versionOf } from './policy-input.ts';
import { bundlesInFile, bundlesOfCluster } from './prestage-input.ts';
import type { Bundles, ClusterOptions } from './prestage-input.ts';
import { findingLine } from './render.ts';
import type { CommandResult, Io } from './types.ts';

const MANIFEST = '/etc/kubernetes/manifests/kube-apiserver.yaml';

type Options = ClusterOptions & {
  readonly filename?: string;
  readonly root: string;
  readonly owner?: string;
  readonly kubernetesVersion?: string;
  readonly dryRun: boolean;
};

const EXAMPLES = `
Writes /etc/kubernetes/auditconfig/revisions/DIGEST/policy.yaml (and the webhook's files), and makes the log's folder, so that
the first kube-apiserver of this node finds what kubeadm-config names (kubeadmConfig: Sync). A join without it leaves a
kube-apiserver that cannot open its policy file: run this, and join again. Run it as root, before kubeadm.

Examples:
  auditconfig prestage --kubeconfig admin.conf
  auditconfig prestage --kubeconfig admin.conf control-plane --dry-run
  kubectl get configmap -n auditconfig-bundles auditconfig-0123456789abcdef -o yaml > bundle.yaml
  auditconfig prestage -f bundle.yaml
  auditconfig render -f auditconfig.yaml -o bundle | auditconfig prestage -f - --root /mnt`;

export async function run(args: readonly string[], io: Io): Promise<CommandResult> {
  const program = command('prestage', 'put a revision on a node before its kube-apiserver starts')
    .argument('[name]', 'with --kubeconfig: the AuditConfig, where there are several')
    .option('-f, --filename <file>', "the published ConfigMap or Secret, and its webhook's; '-' is standard input")
    .option('--kubeconfig <file>', 'fetch what the AuditConfig has, and what kubeadm-config names')
    .option('--context <name>', 'context of the kubeconfig')
    .option('-n, --namespace <name>', 'only AuditConfigs of this namespace')
    .option('--root <dir>', 'goes before every host path, for a mounted disk', '/')
    .option('--owner <uid[:gid]>', "the API server's user (default: that of its manifest, else root)")
    .option(
      '--kubernetes-version <version>',
      "must load on it (default: the manifest's or the cluster's, else the newest)",
    )
    .option('--dry-run', 'show what would be written, and write nothing', false)
    .addHelpText('after', EXAMPLES);
  return runCommand(program, args, async (p) => stage(p.args[0], p.opts<Options>(), io));
}

function ownerOf(text: string): Owner | undefined {
  const [, uid, gid] = /^(\d{1,9})(?::(\d{1,9}))?$/.exec(text) ?? [];
  return uid === undefined ? undefined : { uid: Number(uid), gid: Number(gid ?? '0') };
}

/** Of a manifest that is there already: an upgrade, or a join that was tried before. */
async function knownHere(disk: Disk): Promise<{ readonly owner?: Owner; readonly version?: Minor }> {
  const bytes = await disk.read(MANIFEST);
  const read = bytes === null ? null : readManifest(bytes);
  if (bytes === null || read === null || !('ok' in read)) return {};
  const version = versionOfManifest(bytes);
  return { owner: readerOf(read.ok), ...(version === undefined ? {} : { version }) };
}

async function stage(name: string | undefined, o: Options, io: Io): Promise<CommandResult> {
  if ((o.filename === undefined) === (o.kubeconfig === undefined))
    return usage('give either -f FILE or --kubeconfig FILE (see --help)');
  if (o.filename !== undefined && (name ?? o.namespace ?? o.context) !== undefined)
    return usage('a name, --namespace and --context belong to --kubeconfig');
  const asked = o.owner === undefined ? undefined : ownerOf(o.owner);
  if (o.owner !== undefined && asked === undefined) return usage(`--owner must be UID or UID:GID, not '${o.owner}'`);
  const given = o.kubernetesVersion === undefined ? undefined : versionOf(o.kubernetesVersion);
  if (given !== undefined && isResult(given)) return given;
  const missing = noRoot(o.root);
  if (missing !== undefined) return missing;
  const bundles = o.filename === undefined ? await bundlesOfCluster(name, o, io) : await bundlesInFile(o.filename, io);
  if (isResult(bundles)) return bundles;
  try {
    const disk = realDisk(o.root);
    const here = await knownHere(disk);
    const version = given ?? here.version ?? bundles.version ?? NEWEST;
    const owner = asked ?? here.owner ?? { uid: 0, gid: 0 };
    return await place(bundles, {
      o,
      disk,
      version,
      spec: { layout: DEFAULT_LAYOUT, manifest: MANIFEST, owner },
    });
  } catch (e) {
    if (!(e instanceof Error && 'syscall' in e)) throw e;
    return { code: 1, stderr: `error: ${e.message}\n` };
  }
}

type At = { readonly o: Options; readonly disk: Disk; readonly version: Minor; readonly spec: PrestageSpec };

type Judged = { readonly changes: readonly HostChange[]; readonly findings: readonly Finding[] };

/** As the agent judges what it was told, before anything is written. */
async function judge(revision: Revision, { disk, version, spec }: At): Promise<Judged> {
  const roomBytes = await roomForLog(disk, revision);
  const checked = runChecks(REVISION_CHECKS, { to: revision, version, roomBytes });
  if (hasErrors(checked)) return { changes: [], findings: checked };
  const plan = prestage.plan(revision, await gather(disk, prestage, revision, spec), spec);
  return 'refused' in plan
    ? { changes: [], findings: plan.refused }
    : { changes: plan.changes, findings: plan.findings };
}

/** All of them, or none. */
async function place(bundles: Bundles, at: At): Promise<CommandResult> {
  const loaded = bundles.all.map((b) => fromBundle({ ...b, versions: [at.version] }));
  const judged: Judged[] = [];
  for (const { revision, findings } of loaded)
    judged.push(revision === undefined ? { changes: [], findings } : await judge(revision, at));
  const findings = judged.flatMap((j) => j.findings);
  const stderr = bundles.notes.join('') + findings.map((f) => findingLine(bundles.from, f)).join('');
  if (hasErrors(findings)) return { code: 1, stderr: `${stderr}Nothing was written.\n` };
  const changes = judged.flatMap((j) => j.changes);
  const shown = (path: string): string => (at.o.root === '/' ? path : `${at.o.root.replace(/\/+$/, '')}${path}`);
  const lines = changes.flatMap((c) =>
    'path' in c ? [`${at.o.dryRun ? 'would write' : 'written'}  ${shown(c.path)}\n`] : [],
  );
  const names = loaded.map((l) => l.revision?.digest.slice(0, 16)).join(' and ');
  if (changes.length === 0) return { code: 0, stdout: `Revision ${names} is here already.\n`, stderr };
  if (at.o.dryRun) return { code: 0, stdout: lines.join(''), stderr };
  const guarded = await applyAll(at.disk, changes, randomUUID());
  if (guarded !== null)
    return {
      code: 1,
      stderr: `${stderr}error: ${shown(guarded.path)} was changed by someone else meanwhile; run this again\n`,
    };
  return { code: 0, stdout: `${lines.join('')}Revision ${names} is here.\n`, stderr };
}
