/**
 * `auditconfig lint FILE...`: whether a kube-apiserver would load these policies, and what it would accept in silence
 * though no one means it. Also takes files of our own resources; what is needed for those is loaded only when one is there,
 * because this command is run by editors and hooks and has to start fast.
 */
import type { Finding } from '../api/findings.ts';
import { hasErrors } from '../api/findings.ts';
import type { Minor } from '../api/versions.ts';
import { byPlace, lintPolicy } from '../policy/lint.ts';
import { loadPolicy } from '../policy/load.ts';
import { asJson, asSarif, asText } from './lint-output.ts';
import type { LintedFile } from './lint-output.ts';
import { command, runCommand, wantsColors } from './parse.ts';
import { isOurs, isResult, readInput, usage, versionOf } from './policy-input.ts';
import type { CommandModule, CommandResult, Io } from './types.ts';

const EXAMPLES = `
Examples:
  auditconfig lint /etc/kubernetes/audit-policy.yaml
  auditconfig lint --kubernetes-version 1.35 policies/*.yaml
  auditconfig lint -o sarif auditconfig.yaml > results.sarif

Exit codes: 0 no error findings, 1 error findings, 2 wrong usage. Warnings do not fail.
`;

type Options = { readonly output: string; readonly kubernetesVersion?: string };

async function objectFindings(bytes: Uint8Array, version: Minor): Promise<readonly Finding[]> {
  const { lintObjects } = await import('./lint-objects.ts');
  return lintObjects(bytes, version, Date.now());
}

async function lintFile(file: string, version: Minor, io: Io): Promise<LintedFile> {
  const input = await readInput(file, io);
  if ('unreadable' in input) {
    const finding: Finding = { severity: 'error', code: 'FileUnreadable', message: input.unreadable, path: '' };
    return { file, valid: false, findings: [finding] };
  }
  if (isOurs(input.bytes)) {
    const findings = [...(await objectFindings(input.bytes, version))].sort(byPlace);
    return { file, valid: !hasErrors(findings), findings };
  }
  const loaded = loadPolicy(input.bytes, version);
  const findings = [...loaded.findings, ...lintPolicy(loaded, version)].sort(byPlace);
  return { file, valid: loaded.policy !== undefined, findings };
}

function printed(output: string, files: readonly LintedFile[], io: Io): string | undefined {
  switch (output) {
    case 'text':
      return asText(files, wantsColors(io));
    case 'json':
      return asJson(files);
    case 'sarif':
      return asSarif(files);
    default:
      return undefined;
  }
}

async function lint(names: readonly string[], o: Options, io: Io): Promise<CommandResult> {
  if (printed(o.output, [], io) === undefined) return usage(`--output must be text, json or sarif, not '${o.output}'`);
  const version = versionOf(o.kubernetesVersion);
  if (isResult(version)) return version;
  if (names.filter((name) => name === '-').length > 1) return usage('standard input can be read only once');
  const files: LintedFile[] = [];
  for (const name of names) files.push(await lintFile(name, version, io));
  const stdout = printed(o.output, files, io) ?? '';
  return { code: files.some((f) => hasErrors(f.findings)) ? 1 : 0, stdout };
}

export const run: CommandModule['run'] = (args, io) => {
  const program = command('lint', 'what a kube-apiserver would refuse in a policy, or accept though no one means it')
    .argument('<file...>', "audit policies or AuditConfigs; '-' is standard input")
    .option('-o, --output <format>', 'text, json or sarif', 'text')
    .option('--kubernetes-version <version>', 'version that has to load them (1.26 to 1.36, which is the default)')
    .addHelpText('after', EXAMPLES);
  return runCommand(program, args, (p) => lint(p.args, p.opts<Options>(), io));
};
