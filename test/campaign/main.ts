/**
 * `npm run campaign`: dozens of ways to stop an API server or to lose its audit log, each done to real kube-apiservers with
 * the real controller and agents of the bundle, and what came of it, as a table. Exit code 1 when a row is not as expected.
 *
 * It works in a mount namespace of its own, where nodes have small disks that can be full or read-only; without the
 * right to make one (root, or user namespaces) it says so and fails, since rows that are left out would not be seen.
 */
import { spawn } from 'node:child_process';
import { setMaxListeners } from 'node:events';
import { parseArgs } from 'node:util';
import { temporaryFolder } from '../control-plane/reaper.ts';
import { BREAKAGES } from './breakages.ts';
import { runCampaign } from './runner.ts';
import type { Breakage } from './types.ts';
import { KINDS } from './types.ts';
import { isAsExpected, tableOf } from './verdict.ts';

const USAGE = `Usage: npm run campaign -- [--only ID,ID] [--kind N] [--list]

  --only ID,ID  these rows only
  --kind N      rows of one kind: ${KINDS.map((k, i) => `${i + 1} ${k}`).join(', ')}
  --list        names the rows, and runs none`;

const INSIDE = 'AUDITCONFIG_CAMPAIGN_INSIDE';

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
  const child = spawn('unshare', [...root, '--mount', '--propagation', 'private', '--', ...command], {
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
  await folder.remove();
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
  // Each wait of each lane listens to its end.
  setMaxListeners(0, signal);
  const began = performance.now();
  const rows = await runCampaign(asked.breakages, { say: (line) => console.log(line), signal });
  const wrong = rows.filter((r) => !isAsExpected(r));
  const minutes = (performance.now() - began) / 60_000;
  console.log(tableOf(rows));
  console.log(`\n${rows.length} ways, ${wrong.length} not as expected, ${minutes.toFixed(1)} minutes`);
  return wrong.length === 0 && rows.length === asked.breakages.length ? 0 : 1;
}
