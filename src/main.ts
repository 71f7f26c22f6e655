#!/usr/bin/env node
/** argv to controller | agent | cli. The only place that ends the process. */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { CommandResult, Io } from './cli/types.ts';

declare const __VERSION__: string;

/** SIGTERM and SIGINT ask to stop; whatever runs has its time limits, so a second signal needs no other meaning. */
function stopSignal(): AbortSignal {
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => stop.abort());
  return stop.signal;
}

async function controller(args: readonly string[]): Promise<CommandResult> {
  const { CONTROLLER_HELP, parseControllerArgs, runController } = await import('./controllers/controller.ts');
  if (args.includes('--help') || args.includes('-h')) return { code: 0, stdout: CONTROLLER_HELP };
  const { hostname } = await import('node:os');
  const options = parseControllerArgs(args, process.env, { hostname: hostname(), version: __VERSION__ });
  if ('usage' in options) return { code: 2, stderr: `error: ${options.usage}\n\n${CONTROLLER_HELP}` };
  await runController(options, stopSignal());
  return { code: 0 };
}

async function agent(args: readonly string[]): Promise<CommandResult> {
  const { AGENT_HELP, parseAgentArgs, runAgent } = await import('./agent/agent.ts');
  if (args.includes('--help') || args.includes('-h')) return { code: 0, stdout: AGENT_HELP };
  const options = parseAgentArgs(args, process.env, __VERSION__);
  if ('usage' in options) return { code: 2, stderr: `error: ${options.usage}\n\n${AGENT_HELP}` };
  await runAgent(options, stopSignal());
  return { code: 0 };
}

async function cli(argv: readonly string[]): Promise<CommandResult> {
  const { runCli } = await import('./cli/index.ts');
  const io: Io = {
    readFile: async (path) => (path === '-' ? readFileSync(0) : readFile(path)),
    fds: { stdin: 0, stdout: 1 },
    stderrIsTTY: process.stderr.isTTY === true,
    stdoutIsTTY: process.stdout.isTTY === true,
    env: process.env,
    signal: stopSignal(),
  };
  return runCli(argv, io);
}

function run([name, ...args]: readonly string[]): Promise<CommandResult> {
  switch (name) {
    case 'controller':
      return controller(args);
    case 'agent':
      return agent(args);
    case undefined:
      return cli([]);
    default:
      return cli([name, ...args]);
  }
}

const result = await run(process.argv.slice(2));
if (result.stdout !== undefined) process.stdout.write(result.stdout);
if (result.stderr !== undefined) process.stderr.write(result.stderr);
process.exitCode = result.code;
