/** Timing that bears a busy machine: what is compared is run in turn, and medians are taken. */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

export type Command = { readonly argv: readonly string[]; readonly input?: string };

/** `taskset -c 0` in front, where the machine has it. */
export function onOneCpu(): readonly string[] {
  return spawnSync('taskset', ['-c', '0', 'true']).status === 0 ? ['taskset', '-c', '0'] : [];
}

/** Milliseconds from start to end of a process, file in, /dev/null out. Throws where it fails. */
export function wholeProcess({ argv, input }: Command, prefix: readonly string[]): number {
  const stdin = openSync(input ?? '/dev/null', 'r');
  const stdout = openSync('/dev/null', 'w');
  const [program = '', ...args] = [...prefix, ...argv];
  const start = performance.now();
  const { status } = spawnSync(program, args, { stdio: [stdin, stdout, 'inherit'] });
  const ms = performance.now() - start;
  closeSync(stdin);
  closeSync(stdout);
  if (status !== 0) throw new Error(`${argv.join(' ')} ended with ${status}`);
  return ms;
}
