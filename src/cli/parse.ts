/**
 * Commander, tamed: it neither prints nor exits, so that a command's help, usage errors and output all come back as a
 * value. Exit code 2 is wrong usage, as everywhere in this program.
 */
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import type { Option } from 'commander';
import type { CommandResult, Io } from './types.ts';

/** A command named `auditconfig NAME` whose errors and help are values (see runCommand). */
export function command(name: string, summary: string): Command {
  return new Command(`auditconfig ${name}`).description(summary).showHelpAfterError('(see --help)');
}

/** Parses `args` with `program` and calls `action` with it; usage errors give code 2, `--help` code 0. */
export async function runCommand(
  program: Command,
  args: readonly string[],
  action: (program: Command) => Promise<CommandResult>,
): Promise<CommandResult> {
  let out = '';
  let err = '';
  program.exitOverride().configureOutput({ writeOut: (s) => (out += s), writeErr: (s) => (err += s) });
  const twice = listenForSecondValues(program);
  try {
    program.parse(args, { from: 'user' });
  } catch (e) {
    if (!(e instanceof CommanderError)) throw e;
    return { code: e.exitCode === 0 ? 0 : 2, stdout: out, stderr: err };
  }
  const [flag] = twice();
  if (flag !== undefined) return { code: 2, stderr: `error: option '${flag}' takes one value, and two were given\n` };
  return action(program);
}

/** Commander lets the last of two values win; of two files the first would be left out and nobody told. */
function listenForSecondValues(program: Command): () => readonly string[] {
  const values = new Map<Option, Set<unknown>>(program.options.map((o) => [o, new Set()]));
  for (const [option, seen] of values) program.on(`option:${option.name()}`, (value: unknown) => seen.add(value));
  const isList = (o: Option): boolean => Array.isArray(program.getOptionValue(o.attributeName()));
  return () => [...values].filter(([o, seen]) => seen.size > 1 && !isList(o)).map(([o]) => o.flags);
}

/** A parser for an option that takes one of a few words. */
export const choice =
  <T extends string>(words: readonly T[]) =>
  (given: string): T => {
    const found = words.find((w) => w === given);
    if (found === undefined) throw new InvalidArgumentError(`One of ${words.join(', ')}.`);
    return found;
  };

/**
 * Whether standard output gets colors: a terminal does, a pipe or a file does not. NO_COLOR (https://no-color.org) turns
 * them off and FORCE_COLOR on, as for commander's own output: NO_COLOR wins, and FORCE_COLOR=0 is another way to say it.
 */
export function wantsColors({ env, stdoutIsTTY }: Pick<Io, 'env' | 'stdoutIsTTY'>): boolean {
  const force = env['FORCE_COLOR'];
  if (env['NO_COLOR'] || force === '0' || force === 'false') return false;
  return (force ?? '') !== '' || (stdoutIsTTY && env['TERM'] !== 'dumb');
}
