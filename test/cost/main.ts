/**
 * `npm run bench:cost`: what auditing costs an API server, for each preset, against the same API server without auditing
 * in the same run: processor time, memory and bytes of log for one recorded workload (replay.ts). Each preset gets a
 * control plane of its own, in turn, several times over; medians are printed, and docs/cost.md has the table.
 * Absolute figures are this machine's: what carries over is the ratio.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { PRESET_NAMES } from '../../src/api/preset-names.ts';
import type { PresetName } from '../../src/api/preset-names.ts';
import { effectiveOf } from '../../src/config/merge.ts';
import { buildRevision } from '../../src/render/revision.ts';
import { DEFAULT_LAYOUT, resolveFlags, revisionDir } from '../../src/targets/host-layout.ts';
import { cpuMs, rssMiB } from '../bench/process-cost.ts';
import { median } from '../bench/timing.ts';
import { startControlPlane } from '../control-plane/plane.ts';
import type { ControlPlane, PlaneOptions } from '../control-plane/plane.ts';
import { replayOf } from './replay.ts';
import type { Replay } from './replay.ts';

/** One variant: an API server without auditing, or with a preset as an AuditConfig renders it. */
type Variant = PresetName | 'no auditing';
type Cost = { readonly cpuMs: number; readonly rssMiB: number; readonly logBytes: number };

const LOG_DIR = '/var/log/kube-audit';

function flagsOf(variant: Variant): Pick<PlaneOptions, 'flags' | 'files'> {
  if (variant === 'no auditing') return { flags: [] };
  const effective = effectiveOf({ policy: { preset: variant } });
  const { revision, findings } = buildRevision({ effective, references: {}, versions: ['1.36'] });
  if (revision === undefined) throw new Error(`${variant}: ${JSON.stringify(findings)}`);
  const onHost = (value: string): string => (value.startsWith('/') ? `{root}${value}` : value);
  return {
    flags: resolveFlags(revision, DEFAULT_LAYOUT).map(({ name, value }) => `${name}=${onHost(value)}`),
    files: {
      [`${revisionDir(revision.digest, DEFAULT_LAYOUT).slice(1)}/policy.yaml`]: new TextDecoder().decode(
        revision.policy,
      ),
      [`${LOG_DIR.slice(1)}/.made`]: '',
    },
  };
}

function logBytes(root: string): number {
  const dir = join(root, LOG_DIR);
  try {
    return readdirSync(dir).reduce((sum, name) => sum + statSync(join(dir, name)).size, 0);
  } catch {
    return 0;
  }
}

async function measure(plane: ControlPlane, replay: Replay, passes: number): Promise<Cost> {
  await replay.prepare(plane);
  // The first pass fills caches, and its requests for things that are not there yet differ.
  await replay.pass(plane);
  const pid = plane.apiserver.pid;
  if (pid === undefined) throw new Error('the API server is not there');
  const [cpu, bytes] = [cpuMs(pid), logBytes(plane.root)];
  for (let i = 0; i < passes; i++) {
    const refused = await replay.pass(plane);
    if (refused > replay.requests / 50) throw new Error(`${refused} of ${replay.requests} requests were refused`);
  }
  const thousands = (passes * replay.requests) / 1000;
  return {
    cpuMs: (cpuMs(pid) - cpu) / thousands,
    rssMiB: rssMiB(pid),
    logBytes: (logBytes(plane.root) - bytes) / thousands,
  };
}

async function costOf(variant: Variant, replay: Replay, run: Run): Promise<Cost> {
  const { flags = [], files } = flagsOf(variant);
  const plane = await startControlPlane({
    version: '1.36',
    users: replay.users,
    // The record's Pods have no service accounts.
    flags: ['--disable-admission-plugins=ServiceAccount', ...flags],
    ...(files === undefined ? {} : { files }),
    signal: AbortSignal.any([run.signal]),
  });
  try {
    return await measure(plane, replay, run.passes);
  } finally {
    await plane.stop();
  }
}

type Run = { readonly passes: number; readonly rounds: number; readonly signal: AbortSignal };

function row(variant: Variant, costs: readonly Cost[], base: Cost): string {
  const cpu = median(costs.map((c) => c.cpuMs));
  const rss = median(costs.map((c) => c.rssMiB));
  const bytes = median(costs.map((c) => c.logBytes));
  const cells = [
    variant === 'no auditing' ? variant : `\`${variant}\``,
    cpu.toFixed(0),
    (cpu / base.cpuMs).toFixed(2),
    `${rss - base.rssMiB >= 0 ? '+' : ''}${(rss - base.rssMiB).toFixed(0)}`,
    (bytes / 1024).toFixed(0),
  ];
  return `| ${cells.join(' | ')} |`;
}

export async function main(args: readonly string[], signal: AbortSignal): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: { passes: { type: 'string', default: '15' }, rounds: { type: 'string', default: '3' } },
  });
  const run: Run = { passes: Number(values.passes), rounds: Number(values.rounds), signal };
  const replay = replayOf();
  const variants: readonly Variant[] = ['no auditing', ...PRESET_NAMES];
  const costs = new Map<Variant, Cost[]>(variants.map((v) => [v, []]));
  for (let round = 0; round < run.rounds; round++)
    for (const variant of variants) {
      const cost = await costOf(variant, replay, run);
      costs.get(variant)?.push(cost);
      console.error(`round ${round + 1}: ${variant} ${JSON.stringify(cost)}`);
    }
  const plain = costs.get('no auditing') ?? [];
  const base: Cost = {
    cpuMs: median(plain.map((c) => c.cpuMs)),
    rssMiB: median(plain.map((c) => c.rssMiB)),
    logBytes: 0,
  };
  console.log('| preset | CPU ms per 1,000 requests | of no auditing | memory, MiB | log KiB per 1,000 requests |');
  console.log('|---|---|---|---|---|');
  for (const variant of variants) console.log(row(variant, costs.get(variant) ?? [], base));
  return 0;
}
