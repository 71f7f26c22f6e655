/**
 * `auditconfig diff`: what `patch` would change, as a unified diff; what differs from the AuditConfig is drift. Reads
 * only. Contents of Secrets are never shown.
 */
import { withPlaceFlags } from './node-place.ts';
import { command, runCommand } from './parse.ts';
import { findingLines } from './patch.ts';
import { planPatch, showPlan } from './patch-plan.ts';
import type { PatchOptions } from './patch-plan.ts';
import type { CommandResult, Io } from './types.ts';

const EXAMPLES = `
Examples:
  auditconfig diff --manifest /etc/kubernetes/manifests/kube-apiserver.yaml -f auditconfig.yaml
  auditconfig diff --unit kube-apiserver.service -f auditconfig.yaml
  auditconfig diff --manifest /etc/kubernetes/manifests/kube-apiserver.yaml --remove`;

export async function run(args: readonly string[], io: Io): Promise<CommandResult> {
  const program = withPlaceFlags(command('diff', 'show what patch would change, as a unified diff'))
    .option('-f, --filename <file>', "the AuditConfig; '-' is standard input")
    .option('--remove', 'show what a removal would change', false)
    .option('--kubernetes-version <version>', "must load on it (default: that of a manifest's image)")
    .addHelpText('after', EXAMPLES);
  return runCommand(program, args, async (p) => diff(p.opts<PatchOptions>(), io));
}

async function diff(options: PatchOptions, io: Io): Promise<CommandResult> {
  const plan = await planPatch(options, io);
  if (plan.kind === 'NoInput') return plan.result;
  const stderr = findingLines(plan.findings);
  return plan.kind === 'Refused' ? { code: 1, stderr } : { code: 0, stdout: showPlan(plan), stderr };
}
