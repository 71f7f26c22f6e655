/**
 * One server process of a control plane: started, its last words kept, ended politely and then not.
 * Used by etcd, the API server run directly, and the manifest runner.
 */
import type { ChildProcess } from 'node:child_process';
import { spawnReaped } from './reaper.ts';

export type Command = {
  readonly file: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Called for each whole line, before it can be seen that the process is gone. */
  readonly onLine?: (stream: 'stdout' | 'stderr', line: string) => void;
};

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

const KEPT_LINES = 2_000;

export class ServerProcess {
  /** undefined where the system could not start the program at all. */
  readonly pid: number | undefined;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** Settles when the process is gone; never rejects. */
  readonly exited: Promise<Exit>;
  #exit: Exit | undefined;
  readonly #lines: string[] = [];
  readonly #child: ChildProcess;

  constructor(command: Command) {
    this.startedAt = Date.now();
    this.#child = spawnReaped(command.file, command.args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(command.env === undefined ? {} : { env: { ...command.env } }),
      ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
    });
    this.pid = this.#child.pid;
    this.#keep('stdout', command.onLine);
    this.#keep('stderr', command.onLine);
    this.exited = new Promise((resolve) => {
      const settle = (exit: Exit): void => {
        this.#exit ??= exit;
        resolve(this.#exit);
      };
      this.#child.once('error', (error) => {
        this.#lines.push(error.message);
        settle({ code: 127, signal: null });
      });
      // 'close' and not 'exit': its last words are read by then.
      this.#child.once('close', (code, signal) => settle({ code, signal }));
    });
  }

  /** How it ended; undefined while it runs. */
  get exit(): Exit | undefined {
    return this.#exit;
  }

  /** Its last lines on standard output and standard error, oldest first. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  #keep(name: 'stdout' | 'stderr', onLine: Command['onLine']): void {
    let rest = '';
    const add = (line: string): void => {
      this.#lines.push(line);
      onLine?.(name, line);
    };
    const take = (chunk: string): void => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      lines.forEach(add);
      if (this.#lines.length > KEPT_LINES) this.#lines.splice(0, this.#lines.length - KEPT_LINES);
    };
    const stream = this.#child[name];
    stream?.setEncoding('utf8').on('data', take);
    stream?.once('end', () => {
      if (rest !== '') add(rest);
    });
  }

  /** Sends a signal; a process that is gone is not an error. */
  signal(signal: NodeJS.Signals): void {
    if (this.#exit === undefined) this.#child.kill(signal);
  }

  /** SIGTERM, and SIGKILL when it is still there after `graceMs`. */
  async end(graceMs: number): Promise<Exit> {
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.signal('SIGKILL'), graceMs);
    try {
      return await this.exited;
    } finally {
      clearTimeout(timer);
    }
  }
}
