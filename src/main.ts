#!/usr/bin/env node
/** argv to controller | agent | guard | cli. The only place that ends the process. */
import { readFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { runCli } from './cli/index.ts';
import type { Io } from './cli/types.ts';

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());

const io: Io = {
  readFile: async (path) => (path === '-' ? readFileSync(0) : readFile(path)),
  fds: { stdin: 0, stdout: 1 },
  stderrIsTTY: process.stderr.isTTY === true,
  stdoutIsTTY: process.stdout.isTTY === true,
  env: process.env,
  signal: stop.signal,
};

const result = await runCli(process.argv.slice(2), io);
if (result.stdout !== undefined) process.stdout.write(result.stdout);
if (result.stderr !== undefined) process.stderr.write(result.stderr);
process.exitCode = result.code;
