/**
 * `auditconfig evaluate --policy FILE < requests.jsonl`: the decision of a kube-apiserver for each request, one JSON
 * line each, as fast as a disk reads. The lines come from evaluate-stream.ts; here are only the flags.
 */
import type { CommandModule, CommandResult, Io } from './types.ts';
import { command, runCommand } from './parse.ts';
import { compilePolicy } from '../policy/evaluate.ts';
import { evaluateStream } from './evaluate-stream.ts';
import { isResult, policyFrom, usage, versionOf } from './policy-input.ts';

const EXAMPLES = `
A request line has the shape of a SubjectAccessReview spec. Without "user" there is no user information at all.

Examples:
  echo '{"user":"alice","groups":["system:authenticated"],"resourceAttributes":{"verb":"get","version":"v1",
    "resource":"pods","subresource":"log","namespace":"default","name":"x"}}' | tr -d '\\n' |
    auditconfig evaluate --policy audit-policy.yaml
  auditconfig evaluate --policy audit-policy.yaml --kubernetes-version 1.35 < requests.jsonl > decisions.jsonl

A decision: {"level":"Metadata","rule":3,"omitStages":["RequestReceived"],"omitManagedFields":false}
"rule" counts from 0 and is null where no rule matches. Lines that are no requests are named on standard error, by
their number; then the exit code is 1.
`;

type Options = { readonly policy?: string; readonly kubernetesVersion?: string };

async function evaluate({ policy: path, kubernetesVersion }: Options, io: Io): Promise<CommandResult> {
  if (path === undefined) return usage('--policy FILE is required (see --help)');
  if (path === '-') return usage('the policy cannot come from standard input: the requests do');
  const version = versionOf(kubernetesVersion);
  if (isResult(version)) return version;
  const file = await policyFrom(path, version, io);
  if (isResult(file)) return file;
  const bad = await evaluateStream(compilePolicy(file.policy), io);
  return bad === '' ? { code: 0 } : { code: 1, stderr: bad };
}

export const run: CommandModule['run'] = (args, io) => {
  const program = command('evaluate', "a kube-apiserver's decision for each request on standard input")
    .option('--policy <file>', 'the audit policy')
    .option('--kubernetes-version <version>', 'version whose rules apply (1.26 to 1.36, which is the default)')
    .allowExcessArguments(false)
    .addHelpText('after', EXAMPLES);
  return runCommand(program, args, (p) => evaluate(p.opts<Options>(), io));
};
