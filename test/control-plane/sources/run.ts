/** Runs a program to its end and gives what it said. For the sources, which ask `go`, `docker` and kube-apiserver. */
import { spawnReaped } from '../reaper.ts';

export type Ran = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

export type RunOptions = {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal;
  /** Milliseconds, after which the program is killed; `code` is then null. */
  readonly timeoutMs?: number;
  /** Called for each line on standard error as it comes. */
  readonly onStderrLine?: (line: string) => void;
};

/** A program that cannot be started gives code null and the reason as stderr. Rejects only when aborted. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return new Promise((resolve, reject) => {
    options.signal?.throwIfAborted();
    const child = spawnReaped(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: { ...options.env } }),
    });
    let stdout = '';
    let stderr = '';
    let rest = '';
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) options.onStderrLine?.(line);
    });
    // The whole group: `go build` has compilers below it.
    const kill = (): void => {
      if (child.pid !== undefined) killGroup(child.pid);
    };
    const timer = options.timeoutMs === undefined ? undefined : setTimeout(kill, options.timeoutMs);
    options.signal?.addEventListener('abort', kill, { once: true });
    const done = (): void => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', kill);
    };
    child.once('error', (error) => {
      done();
      resolve({ code: null, stdout, stderr: error.message });
    });
    child.once('close', (code) => {
      done();
      if (options.signal?.aborted === true)
        reject(new Error(`${command} was aborted`, { cause: options.signal.reason }));
      else resolve({ code, stdout, stderr });
    });
  });
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended meanwhile.
  }
}
