/**
 * The one place that speaks to systemd: what a unit is doing, restarting it, and its last words from the journal. Every
 * call has a time limit and ends with the caller's signal. Nothing here decides; src/node/host.ts hands it to the node
 * room. What systemd refuses comes back as a sentence, never thrown.
 */
import { execFile } from 'node:child_process';
import { tellingLines } from './pod-logs.ts';
import { processOf } from './processes.ts';
import type { ApiServerProcess } from './processes.ts';

export type UnitState = {
  /** `active`, `activating`, `failed`, ... */
  readonly active: string;
  /** Its main process; null where nothing runs. */
  readonly process: ApiServerProcess | null;
  /** Starts by systemd itself since somebody started the unit. */
  readonly restarts: number;
};

export type Units = {
  /** null where systemd does not answer. */
  readonly show: (unit: string, signal: AbortSignal) => Promise<UnitState | null>;
  /** Asks for a restart, and does not wait for it: it may take a minute. null when it was taken, else what was said. */
  readonly restart: (unit: string, how: { readonly reload: boolean }, signal: AbortSignal) => Promise<string | null>;
  /** Where the unit's journal ends now; null where it cannot be read. */
  readonly cursor: (unit: string, signal: AbortSignal) => Promise<string | null>;
  /** What it said behind a cursor that tells why it ended. */
  readonly lastWords: (unit: string, cursor: string | null, signal: AbortSignal) => Promise<readonly string[]>;
};

const TIMEOUT_MS = 10_000;
/** A reload reads every unit of the host. */
const RELOAD_TIMEOUT_MS = 60_000;
const MAX_BYTES = 4 * 1024 * 1024;
const MAX_LINES = '400';

type Ran = { readonly ok: boolean; readonly stdout: string; readonly said: string };
export type Run = (file: string, args: readonly string[], signal: AbortSignal, timeoutMs: number) => Promise<Ran>;

const run: Run = (file, args, signal, timeout) =>
  new Promise((resolve) => {
    const options = {
      signal,
      timeout,
      maxBuffer: MAX_BYTES,
      env: { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C' },
    };
    execFile(file, [...args], options, (error, stdout, stderr) => {
      const said = stderr.trim() === '' ? (error?.message ?? '') : stderr.trim();
      resolve({ ok: error === null, stdout, said });
    });
  });

const field = (text: string, name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(text)?.[1] ?? '';

async function stateOf(shown: string, proc: string): Promise<UnitState> {
  const number = (name: string): number => Number(field(shown, name)) || 0;
  const pid = number('MainPID');
  const process = pid === 0 ? null : await processOf(pid, proc);
  return { active: field(shown, 'ActiveState'), process, restarts: number('NRestarts') };
}

/** `exec` runs a program; a test plays it. */
export function systemdUnits(proc = '/proc', exec: Run = run): Units {
  return {
    show: async (unit, signal) => {
      const args = ['show', '--property=ActiveState,MainPID,NRestarts', '--', unit];
      const { ok, stdout } = await exec('systemctl', args, signal, TIMEOUT_MS);
      return ok ? stateOf(stdout, proc) : null;
    },
    restart: async (unit, { reload }, signal) => {
      if (reload) {
        const reloaded = await exec('systemctl', ['daemon-reload'], signal, RELOAD_TIMEOUT_MS);
        if (!reloaded.ok) return reloaded.said;
      }
      // A unit that crashed too often is not started again before somebody says that it may (StartLimitBurst=).
      await exec('systemctl', ['reset-failed', '--', unit], signal, TIMEOUT_MS);
      const asked = await exec('systemctl', ['restart', '--no-block', '--', unit], signal, TIMEOUT_MS);
      return asked.ok ? null : asked.said;
    },
    cursor: async (unit, signal) => {
      const args = ['--unit', unit, '--lines', '0', '--show-cursor', '--quiet', '--no-pager'];
      const { stdout } = await exec('journalctl', args, signal, TIMEOUT_MS);
      return /^-- cursor: (.+)$/m.exec(stdout)?.[1] ?? null;
    },
    lastWords: async (unit, cursor, signal) => {
      const from = cursor === null ? [] : ['--after-cursor', cursor];
      const args = ['--unit', unit, '--output', 'cat', '--lines', MAX_LINES, '--no-pager', '--quiet', ...from];
      const { stdout } = await exec('journalctl', args, signal, TIMEOUT_MS);
      return tellingLines(stdout.split('\n'));
    },
  };
}
