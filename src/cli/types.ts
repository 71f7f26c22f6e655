/** What a command gets and gives. Commands never end the process and never touch process.* themselves. */

export type ExitCode = 0 | 1 | 2;

/** The edges of a command: smallest set of effects, handed in. */
export type Io = {
  /** Argument bytes by file name; `-` is standard input. Throws NodeJS.ErrnoException. */
  readonly readFile: (path: string) => Promise<Uint8Array>;
  /** File descriptors for commands that stream. */
  readonly fds: { readonly stdin: number; readonly stdout: number };
  readonly stderrIsTTY: boolean;
  readonly stdoutIsTTY: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
};

export type CommandResult = { readonly code: ExitCode; readonly stdout?: string; readonly stderr?: string };

/** One file a command. `args` are those after the command's name. */
export type CommandModule = { readonly run: (args: readonly string[], io: Io) => Promise<CommandResult> };
