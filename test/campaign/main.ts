/**
 * `npm run campaign`: dozens of ways to stop an API server or to lose its audit log, each done to real kube-apiservers with
 * the real controller and agents of the bundle, and what came of it, as a table. Exit code 1 when a row is not as expected,
 * twice; up to three such rows are run once more, which the last lines say. One that is stopped from outside (a signal, or
 * the end of the time that CI gives it) shows the table so far, and fails.
 *
 * It works in a mount namespace of its own, where nodes have small disks that can be full or read-only; without the
 * right to make one (root, or user namespaces) it says so and fails, since rows that are left out would not be seen.
 */
import { setMaxListeners } from 'node:events';
import { parseArgs } from 'node:util';
import { spawnReaped, temporaryFolder } from '../control-plane/reaper.ts';
import { BREAKAGES } from './breakages.ts';
import { Lab } from './lab.ts';
import { runCampaign } from './runner.ts';
import type { Breakage } from './types.ts';
import { KINDS } from './types.ts';
import { isGreen, summaryOf, tableOf } from './verdict.ts';
import type { Row } from './verdict.ts';

const USAGE = `Usage: npm run campaign -- [--only ID,ID] [--kind N] [--list]

  --only ID,ID  these rows only
  --kind N      rows of one kind: ${KINDS.map((k, i) => `${i + 1} ${k}`).join(', ')}
  --list        names the rows, and runs none`;

const INSIDE = 'AUDITCONFIG_CAMPAIGN_INSIDE';
/** A lab that is just being started cannot be stopped before it is up, which may take minutes on a busy machine. */
const CLEARING_MS = 10_000;

type Asked = { readonly breakages: readonly Breakage[]; readonly list: boolean };

function parse(args: readonly string[]): Asked | undefined {
  const string = { type: 'string' } as const;
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { only: string, kind: string, list: { type: 'boolean' } },
    });
    const only = values.only?.split(',');
    const kind = values.kind === undefined ? undefined : KINDS[Number(values.kind) - 1];
    const known = only?.every((id) => BREAKAGES.some((b) => b.id === id)) ?? true;
    if (!known || (values.kind !== undefined && kind === undefined)) return undefined;
    const breakages = BREAKAGES.filter((b) => (only?.includes(b.id) ?? true) && (kind ?? b.kind) === b.kind);
    return { breakages, list: values.list === true };
  } catch {
    return undefined;
  }
}

/** This command again, in a mount namespace of its own and with a folder for all that it leaves behind. */
async function runInside(args: readonly string[], signal: AbortSignal): Promise<number> {
  const folder = temporaryFolder('auditconfig-campaign');
  const root = process.getuid?.() === 0 ? [] : ['--map-root-user'];
  const command = [process.execPath, 'test/house/run.mjs', 'campaign', ...args];
  // In a process group of its own: a signal to all of ours comes once, from here.
  const child = spawnReaped('unshare', [...root, '--mount', '--propagation', 'private', '--', ...command], {
    stdio: 'inherit',
    env: { ...process.env, [INSIDE]: 'yes', TMPDIR: folder.path },
  });
  const stop = (): void => void child.kill('SIGTERM');
  signal.addEventListener('abort', stop, { once: true });
  const code = await new Promise<number>((resolve) => {
    child.once('error', (e) => {
      console.error(`no mount namespace could be made: ${e.message}`);
      resolve(1);
    });
    child.once('close', (c) => resolve(c ?? 1));
  });
  // What was killed may still be ending; the reaper looks again.
  await folder.remove().catch(() => undefined);
  return code;
}

export async function main(args: readonly string[], signal: AbortSignal): Promise<number> {
  const asked = parse(args);
  if (asked === undefined) {
    console.error(USAGE);
    return 2;
  }
  if (asked.list) {
    for (const b of asked.breakages) console.log(`${b.id.padEnd(36)} ${b.expect.padEnd(12)} ${b.title}`);
    return 0;
  }
  if (process.env[INSIDE] === undefined) return runInside(args, signal);
  return run(asked.breakages, signal);
}

/** Some seconds after the end of the signal: what is not cleared up by then, the reaper clears up (reaper.ts). */
const untilStopped = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    signal.addEventListener('abort', () => setTimeout(resolve, CLEARING_MS), { once: true });
  });

async function run(asked: readonly Breakage[], signal: AbortSignal): Promise<number> {
  // Each wait of each lane listens to its end.
  setMaxListeners(0, signal);
  const began = performance.now();
  const rows: Row[] = [];
  const tell = (): void => {
    const minutes = (performance.now() - began) / 60_000;
    const inOrder = [...rows].sort((a, b) => asked.indexOf(a.breakage) - asked.indexOf(b.breakage));
    console.log(`${tableOf(inOrder)}\n\n${summaryOf({ asked, rows, minutes, stopped: signal.aborted })}`);
  };
  // At once, and before anything is cleared up: whoever stops it may not wait for that.
  signal.addEventListener('abort', tell, { once: true });
  const campaign = runCampaign(asked, {
    say: (line) => console.log(line),
    done: (row) => rows.push(row),
    startLab: (nodes, s) => Lab.start(nodes, s),
    signal,
  });
  try {
    await Promise.race([campaign, untilStopped(signal)]);
  } catch (e) {
    if (!signal.aborted) tell();
    throw e;
  } finally {
    signal.removeEventListener('abort', tell);
  }
  if (signal.aborted) return 1;
  tell();
  return isGreen(asked, rows) ? 0 : 1;
}
