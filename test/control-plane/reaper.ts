/**
 * Nothing outlives the process that started it: not when a test ends early, not when vitest is killed with SIGKILL.
 *
 * A `sh` beside this process reads from a pipe which processes and temporary folders there are. When the pipe closes,
 * which the system does for a dead process too, it kills what is still on its list, with the process group
 * of each (compilers below `go build`), and removes the folders. It is in a session of
 * its own, so that Ctrl-C does not reach it. Everything that test/control-plane starts is spawned here.
 *
 * Each process puts itself on the list before it becomes its program: told by its parent afterwards, one whose parent is
 * killed in between would run on. (Seen on a busy machine: the program had written its first lines by then.)
 */
import { spawn } from 'node:child_process';
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { mkdtempSync, realpathSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SCRIPT = `
pids=' ' dirs=''
while read -r what value; do
  case $what in
    pid) pids="$pids$value " ;;
    gone) pids="\${pids%% $value *} \${pids#* $value }" ;;
    dir) dirs="$dirs$value
" ;;
  esac
done
for pid in $pids; do kill -9 "-$pid" 2>/dev/null || kill -9 "$pid" 2>/dev/null; done
[ "$pids" = ' ' ] || sleep 1
printf '%s' "$dirs" | while read -r dir; do [ -d "$dir" ] && rm -rf "$dir"; done
`;

const REGISTERED = 'echo "pid $$" >&3; exec "$@" 3>&-';

let reaper: ChildProcess | undefined;

/** The pipe to it, open for as long as this process and whoever has not registered yet. */
function pipeToReaper(): NonNullable<ChildProcess['stdin']> {
  if (reaper === undefined) {
    reaper = spawn('/bin/sh', ['-c', SCRIPT], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
    reaper.unref();
    const pipe = reaper.stdin;
    // A pipe that holds the event loop would keep vitest from ending.
    if (pipe instanceof Socket) pipe.unref();
    pipe?.on('error', () => undefined);
  }
  if (reaper.stdin === null) throw new Error('the reaper has no pipe');
  return reaper.stdin;
}

const tell = (line: string): void => void pipeToReaper().write(`${line}\n`);

/**
 * spawn() of a child that dies with this process at the latest, in a process group of its own. A program that is not there
 * ends with 127 and a line on standard error, as in a shell.
 */
export function spawnReaped(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  const { stdio = 'pipe' } = options;
  const [stdin, stdout, stderr] = typeof stdio === 'string' ? [stdio, stdio, stdio] : stdio;
  const child = spawn('/bin/sh', ['-c', REGISTERED, 'sh', command, ...args], {
    ...options,
    stdio: [stdin, stdout, stderr, pipeToReaper()],
    detached: true,
  });
  const { pid } = child;
  if (pid !== undefined) child.once('exit', () => tell(`gone ${pid}`));
  return child;
}

/** A new folder under the system's temporary folder, removed with this process at the latest. */
export function temporaryFolder(prefix: string): { readonly path: string; remove(): Promise<void> } {
  const path = mkdtempSync(join(realpathSync(tmpdir()), `${prefix}-`));
  tell(`dir ${path}`);
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }) };
}
