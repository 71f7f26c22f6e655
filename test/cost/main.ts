/**
 * `npm run bench:cost`: what auditing costs an API server, for each preset: processor time, memory and bytes of log for one
 * recorded workload (replay.ts). Each preset's API server runs beside one without auditing of its own, and both get the
 * same requests in turn, so that what the machine does otherwise meets both. An API server without auditing that is
 * compared with another one says what such a comparison is worth. docs/cost.md has the table; absolute figures are this
 * machine's, what carries over is the ratio.
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
/** `ratios`: of processor time to that of the API server beside it, pass by pass. `logBytes`: per 1,000 requests. */
type Cost = { readonly ratios: readonly number[]; readonly moreMiB: number; readonly logBytes: number };

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

const PLAIN: Variant = 'no auditing';

async function started(variant: Variant, replay: Replay, signal: AbortSignal): Promise<ControlPlane> {
  const { flags = [], files } = flagsOf(variant);
  return startControlPlane({
    version: '1.36',
    users: replay.users,
    // The record's Pods have no service accounts.
    flags: ['--disable-admission-plugins=ServiceAccount', ...flags],
    ...(files === undefined ? {} : { files }),
    signal,
  });
}

/** One pass over the record: processor time in ms of that API server. */
async function pass(plane: ControlPlane, replay: Replay): Promise<number> {
  const { pid } = plane.apiserver;
  const before = cpuMs(pid);
  const refused = await replay.pass(plane);
  if (refused > replay.requests / 50) throw new Error(`${refused} of ${replay.requests} requests were refused`);
  return cpuMs(pid) - before;
}

async function inTurn([base, other]: readonly [ControlPlane, ControlPlane], replay: Replay, run: Run): Promise<Cost> {
  for (const plane of [base, other]) {
    await replay.prepare(plane);
    // The first passes fill caches, and their requests for things that are not there yet differ.
    for (let i = 0; i < WARM_PASSES; i++) await replay.pass(plane);
  }
  const bytes = logBytes(other.root);
  const ratios: number[] = [];
  for (let i = 0; i < run.passes && !run.signal.aborted; i++) {
    const isOther = i % 2 === 0;
    const first = await pass(isOther ? other : base, replay);
    const second = await pass(isOther ? base : other, replay);
    ratios.push(isOther ? first / second : second / first);
  }
  return {
    ratios,
    moreMiB: rssMiB(other.apiserver.pid) - rssMiB(base.apiserver.pid),
    logBytes: (logBytes(other.root) - bytes) / ((run.passes * replay.requests) / 1000),
  };
}

async function costOf(variant: Variant, replay: Replay, run: Run): Promise<Cost> {
  const base = await started(PLAIN, replay, run.signal);
  try {
    const other = await started(variant, replay, run.signal);
    try {
      return await inTurn([base, other], replay, run);
    } finally {
      await other.stop();
    }
  } finally {
    await base.stop();
  }
}

const WARM_PASSES = 3;
type Run = { readonly passes: number; readonly rounds: number; readonly signal: AbortSignal };

const quantile = (values: readonly number[], q: number): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length * q)] ?? Number.NaN;

function row(variant: Variant, costs: readonly Cost[]): string {
  const ratios = costs.flatMap((c) => c.ratios);
  const more = median(costs.map((c) => c.moreMiB));
  const bytes = median(costs.map((c) => c.logBytes));
  const cells = [
    variant === PLAIN ? variant : `\`${variant}\``,
    median(ratios).toFixed(2),
    `${quantile(ratios, 0.25).toFixed(2)} to ${quantile(ratios, 0.75).toFixed(2)}`,
    `${more >= 0 ? '+' : ''}${more.toFixed(0)}`,
    (bytes / 1024).toFixed(0),
  ];
  return `| ${cells.join(' | ')} |`;
}

export async function main(args: readonly string[], signal: AbortSignal): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: { passes: { type: 'string', default: '16' }, rounds: { type: 'string', default: '2' } },
  });
  const run: Run = { passes: Number(values.passes), rounds: Number(values.rounds), signal };
  const replay = replayOf();
  const variants: readonly Variant[] = [PLAIN, ...PRESET_NAMES];
  const costs = new Map<Variant, Cost[]>(variants.map((v) => [v, []]));
  for (let round = 0; round < run.rounds; round++)
    for (const variant of variants) {
      const cost = await costOf(variant, replay, run);
      costs.get(variant)?.push(cost);
      console.error(`round ${round + 1}: ${row(variant, [cost])}`);
    }
  console.log('| preset | CPU, of no auditing | half of all pairs | memory, MiB | log KiB per 1,000 requests |');
  console.log('|---|---|---|---|---|');
  for (const variant of variants) console.log(row(variant, costs.get(variant) ?? []));
  return 0;
}
