#!/usr/bin/env node
/** argv to controller | agent | guard | cli. The only place that ends the process. */
import { readFile } from 'node:fs/promises';
import { addAbortSignal } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { writeAll } from './cli/fd-writer.ts';
import type { CommandResult, Io } from './cli/types.ts';

declare const __VERSION__: string;

/** SIGTERM and SIGINT ask to stop; whatever runs has its time limits, so a second signal needs no other meaning. */
function stopSignal(): AbortSignal {
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => stop.abort());
  return stop.signal;
}

async function controller(args: readonly string[]): Promise<CommandResult> {
  const { CONTROLLER_HELP, parseControllerArgs, whyNoController } = await import('./controllers/options.ts');
  if (args.includes('--help') || args.includes('-h')) return { code: 0, stdout: CONTROLLER_HELP };
  const { hostname } = await import('node:os');
  const options = parseControllerArgs(args, process.env, { hostname: hostname(), version: __VERSION__ });
  if ('usage' in options) return { code: 2, stderr: `error: ${options.usage}\n\n${CONTROLLER_HELP}` };
  const why = whyNoController(options);
  if (why !== undefined) return { code: 2, stderr: `error: ${why}\n` };
  const { runController } = await import('./controllers/controller.ts');
  await runController(options, stopSignal());
  return { code: 0 };
}

async function guard(args: readonly string[]): Promise<CommandResult> {
  const { GUARD_HELP, parseGuardArgs, runGuard } = await import('./node/guard.ts');
  if (args.includes('--help') || args.includes('-h')) return { code: 0, stdout: GUARD_HELP };
  const options = parseGuardArgs(args);
  if ('usage' in options) return { code: 2, stderr: `error: ${options.usage}\n\n${GUARD_HELP}` };
  await runGuard(options, stopSignal());
  return { code: 0 };
}

async function agent(args: readonly string[]): Promise<CommandResult> {
  const { AGENT_HELP, parseAgentArgs, whyNoAgent } = await import('./agent/options.ts');
  if (args.includes('--help') || args.includes('-h')) return { code: 0, stdout: AGENT_HELP };
  const options = parseAgentArgs(args, process.env, __VERSION__);
  if ('usage' in options) return { code: 2, stderr: `error: ${options.usage}\n\n${AGENT_HELP}` };
  const why = whyNoAgent(options);
  if (why !== undefined) return { code: 2, stderr: `error: ${why}\n` };
  const { runAgent } = await import('./agent/agent.ts');
  await runAgent(options, stopSignal());
  return { code: 0 };
}

/** Commands that a signal must not end between two writes. Any other is ended at once, as Ctrl-C is expected to. */
const FINISHES = new Set(['patch', 'prestage']);

async function cli(argv: readonly string[]): Promise<CommandResult> {
  const { runCli } = await import('./cli/index.ts');
  const signal = FINISHES.has(argv[0] ?? '') ? stopSignal() : new AbortController().signal;
  const io: Io = {
    // Never read synchronously: that fails where standard input does not block, and holds signals up where it does.
    readFile: (path) => (path === '-' ? buffer(addAbortSignal(signal, process.stdin)) : readFile(path)),
    fds: { stdin: 0, stdout: 1 },
    stderrIsTTY: process.stderr.isTTY === true,
    stdoutIsTTY: process.stdout.isTTY === true,
    env: process.env,
    signal,
  };
  try {
    return await runCli(argv, io);
  } catch (e) {
    return { code: 1, stderr: `error: ${sentence(e)}\n` };
  }
}

/** What the system refused is the user's to mend (a full disk); all else is a fault of ours, to be reported. */
function sentence(e: unknown): string {
  if (!(e instanceof Error)) return `this is a bug: ${String(e)}`;
  if ('syscall' in e) return e.message;
  return `this is a bug: ${process.env['AUDITCONFIG_DEBUG'] === undefined ? `${e.message} (AUDITCONFIG_DEBUG=1 says where)` : (e.stack ?? e.message)}`;
}

function run([name, ...args]: readonly string[]): Promise<CommandResult> {
  switch (name) {
    case 'controller':
      return controller(args);
    case 'agent':
      return agent(args);
    case 'guard':
      return guard(args);
    case undefined:
      return cli([]);
    default:
      return cli([name, ...args]);
  }
}

/** A reader that has gone (`| head`) is no fault; whatever else keeps the output from being whole is one. */
async function print({ code, stdout = '', stderr = '' }: CommandResult): Promise<CommandResult['code']> {
  const { signal } = new AbortController();
  try {
    await writeAll(1, stdout, signal);
    await writeAll(2, stderr, signal);
    return code;
  } catch (e) {
    await writeAll(2, `error: cannot write the output: ${sentence(e)}\n`, signal).catch(() => undefined);
    return code === 0 ? 1 : code;
  }
}

process.exitCode = await print(await run(process.argv.slice(2)));
