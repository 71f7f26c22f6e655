/**
 * `auditconfig patch`: auditing for one node without a cluster. Writes the policy and edits the one file that has the flags
 * (a manifest, a unit, a drop-in of K3s or RKE2), of which every other byte stays; `--remove` gives back what was there.
 * Restarts nothing itself and waits for nothing: that is the agent's job. Findings of error severity change no file.
 */
import { randomUUID } from 'node:crypto';
import { applyAll } from '../node/apply.ts';
import { recordPath, backupsDir } from '../targets/record.ts';
import { withPlaceFlags } from './node-place.ts';
import { command, runCommand } from './parse.ts';
import { planPatch, showPlan } from './patch-plan.ts';
import type { PatchOptions, PatchPlan, Placed } from './patch-plan.ts';
import { findingLine } from './render.ts';
import type { CommandResult, Io } from './types.ts';

type Options = PatchOptions & { readonly dryRun: boolean };

const EXAMPLES = `
Writes /etc/kubernetes/auditconfig/revisions/DIGEST/policy.yaml and then the file with the flags: a manifest, which the
kubelet restarts; a unit's ExecStart=; or config.yaml.d/99-auditconfig.yaml of K3s or RKE2. Units are restarted by you.
A backup of that file is kept in /var/lib/auditconfig/backups. What was set by hand before is given back by --remove.

Examples:
  auditconfig patch --manifest /etc/kubernetes/manifests/kube-apiserver.yaml -f auditconfig.yaml --dry-run
  auditconfig patch --manifest /etc/kubernetes/manifests/kube-apiserver.yaml -f auditconfig.yaml
  auditconfig patch --unit kube-apiserver.service -f auditconfig.yaml
  auditconfig patch --target k3s -f auditconfig.yaml --kubernetes-version 1.36
  auditconfig patch --manifest /mnt/etc/kubernetes/manifests/kube-apiserver.yaml --root /mnt --remove`;

export async function run(args: readonly string[], io: Io): Promise<CommandResult> {
  const program = withPlaceFlags(
    command('patch', 'write policy and flags where a node has them, or take them out again'),
  )
    .option('-f, --filename <file>', "the AuditConfig; '-' is standard input")
    .option('--remove', 'take away exactly what was added', false)
    .option('--dry-run', 'show what would change, and change nothing', false)
    .option('--kubernetes-version <version>', "must load on it (default: that of a manifest's image)")
    .addHelpText('after', EXAMPLES);
  return runCommand(program, args, async (p) => patch(p.opts<Options>(), io));
}

export const findingLines = (all: readonly Placed[]): string => all.map((p) => findingLine(p.file, p.finding)).join('');

const errorCode = (e: unknown): string | null =>
  e instanceof Error && 'code' in e && typeof e.code === 'string' ? e.code : null;

async function patch(options: Options, io: Io): Promise<CommandResult> {
  try {
    const plan = await planPatch(options, io);
    if (plan.kind === 'NoInput') return plan.result;
    const stderr = findingLines(plan.findings);
    if (plan.kind === 'Refused') return { code: 1, stderr: `${stderr}Nothing was changed.\n` };
    if (options.dryRun) return { code: 0, stdout: showPlan(plan), stderr };
    return await write(plan, stderr);
  } catch (e) {
    const code = errorCode(e);
    if (code === null) throw e;
    // The file with the flags is written last and by rename: it is whole, the old or the new one.
    return { code: 1, stderr: `error: ${e instanceof Error ? e.message : code}\n` };
  }
}

async function write(plan: Extract<PatchPlan, { kind: 'Plan' }>, stderr: string): Promise<CommandResult> {
  const { disk, at, shown } = plan.place;
  if (plan.changes.length === 0) return { code: 0, stdout: 'Nothing to change.\n', stderr };
  const files = plan.changes.filter((c) => c.do !== 'RestartUnit');
  const guarded = await applyAll(disk, files, randomUUID());
  if (guarded !== null)
    return {
      code: 1,
      stderr: `${stderr}error: ${shown(guarded.path)} was changed by someone else meanwhile; run this again\n`,
    };
  const isOwn = (path: string): boolean =>
    path === recordPath(at.manifest, at.layout) || path.startsWith(backupsDir(at.layout));
  const written = files.filter((c) => c.do === 'WriteFile' || c.do === 'RemoveFile');
  const lines = written.map((c) => {
    const what =
      c.do === 'RemoveFile'
        ? 'removed'
        : isOwn(c.path)
          ? 'kept for removal'
          : c.before === null
            ? 'created'
            : 'changed';
    return `${what.padEnd(16)} ${shown(c.path)}\n`;
  });
  return { code: 0, stdout: lines.join('') + restartNote(plan), stderr };
}

/** Who restarts the API server: the kubelet by itself, a unit only when somebody says so. */
function restartNote({ changes, restarts }: Extract<PatchPlan, { kind: 'Plan' }>): string {
  if (!restarts) return '';
  const unit = changes.find((c) => c.do === 'RestartUnit');
  if (unit === undefined)
    return 'The kubelet restarts kube-apiserver now. Nobody watches it come back, and no guard stands by.\n';
  const reload = unit.reload ? 'systemctl daemon-reload && ' : '';
  return `Nothing restarts by itself. It takes effect with: ${reload}systemctl restart ${unit.unit}\n`;
}
