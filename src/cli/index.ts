/**
 * The table of commands. Each is loaded only when it is asked for: `lint` and `evaluate` must not pay for the
 * Kubernetes client.
 */
import type { CommandModule, CommandResult, Io } from './types.ts';

type Entry = { readonly name: string; readonly summary: string; readonly load: () => Promise<CommandModule> };

export const COMMANDS: readonly Entry[] = [
  {
    name: 'lint',
    summary: 'what a kube-apiserver would refuse in a policy, or accept though no one means it',
    load: () => import('./lint.ts'),
  },
  {
    name: 'explain',
    summary: 'which rule of a policy decides about a request, and why earlier ones do not',
    load: () => import('./explain.ts'),
  },
  {
    name: 'explain-config',
    summary: 'which resource set each field of an AuditConfig, its own or a datacenter, and what it overrode',
    load: () => import('./explain-config.ts'),
  },
  {
    name: 'render',
    summary: 'print what an AuditConfig becomes: flags, policy, and where each setting is from',
    load: () => import('./render.ts'),
  },
  {
    name: 'patch',
    summary: 'write policy and flags where a node has them, or take them out again',
    load: () => import('./patch.ts'),
  },
  {
    name: 'prestage',
    summary: 'put a revision on a node before its kube-apiserver starts: before kubeadm join or upgrade',
    load: () => import('./prestage.ts'),
  },
  { name: 'diff', summary: 'show what patch would change, as a unified diff', load: () => import('./diff.ts') },
  {
    name: 'status',
    summary: 'how far the AuditConfigs of a cluster and their nodes are, and why',
    load: () => import('./status.ts'),
  },
  {
    name: 'evaluate',
    summary: "a kube-apiserver's decision for each request on standard input",
    load: () => import('./evaluate.ts'),
  },
  {
    name: 'simulate',
    summary: 'what another policy would have written of a log that was recorded',
    load: () => import('./simulate.ts'),
  },
  { name: 'presets', summary: 'list the policies that ship here, or print one', load: () => import('./presets.ts') },
  {
    name: 'logs',
    summary: 'answer the seven questions for each event of an audit log',
    load: () => import('./logs.ts'),
  },
];

function help(): string {
  const width = Math.max(...COMMANDS.map((c) => c.name.length), 10);
  const rows = [
    ...COMMANDS.map((c) => `  ${c.name.padEnd(width)}  ${c.summary}`),
    `  ${'controller'.padEnd(width)}  run the operator's controller in a cluster`,
    `  ${'agent'.padEnd(width)}  run the node agent on a control-plane node`,
    `  ${'guard'.padEnd(width)}  bring a change to its end in the agent's place, without the API`,
  ];
  return `Usage: auditconfig COMMAND [options]\n\nDeclares, proves and rolls out the audit configuration of kube-apiservers.\n\nCommands:\n${rows.join('\n')}\n\n'auditconfig COMMAND --help' explains a command, with examples.\n\nExit codes: 0 done, 1 findings of error severity or an input that cannot be read, 2 wrong usage.\n`;
}

declare const __VERSION__: string;

/** Of the commands that main.ts runs itself `help NAME` shows nothing more than the table. */
const ELSEWHERE = ['controller', 'agent', 'guard'] as const;

const names = (): readonly string[] => [...COMMANDS.map((c) => c.name), ...ELSEWHERE];
const isNamed = (name: string): boolean => names().includes(name) || name.startsWith('-');

async function unknown(name: string): Promise<CommandResult> {
  const { didYouMean } = await import('../policy/suggest.ts');
  return { code: 2, stderr: `error: unknown command '${name}'${didYouMean(name, names())}\n\n${help()}` };
}

export async function runCli(argv: readonly string[], io: Io): Promise<CommandResult> {
  const [name, ...args] = argv;
  if (name === undefined) return { code: 2, stderr: help() };
  if (name === 'help' && COMMANDS.some((c) => c.name === args[0])) return runCli([...args.slice(0, 1), '--help'], io);
  if (name === 'help' && args[0] !== undefined && !isNamed(args[0])) return unknown(args[0]);
  if (name === '--help' || name === '-h' || name === 'help') return { code: 0, stdout: help() };
  if (name === '--version' || name === '-V') return { code: 0, stdout: `${__VERSION__}\n` };
  const entry = COMMANDS.find((c) => c.name === name);
  if (entry === undefined) return unknown(name);
  return (await entry.load()).run(args, io);
}
