/**
 * `npm run bench:fleet`: a whole datacenter of hosted control planes in a real API server, and the controller that ships.
 * How long a changed enforced preset takes to reach all of them, against a bare client that makes the same writes in the
 * same run; what it asks the API server for, by the API server's own audit log; its memory; how soon it works again after
 * the API server was killed. The exit code is 1 where a target is missed. With `--profile DIR` each controller leaves there
 * what it spent its processor time on.
 */
import { parseArgs } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { Random } from '../../judge/random.ts';
import { median } from '../timing.ts';
import { bareRound } from './bare.ts';
import type { Bare } from './bare.ts';
import { Failovers } from './failover.ts';
import { Fleet } from './fleet.ts';
import type { Memory } from './fleet.ts';
import { counted, inFlight } from './log.ts';
import type { Entry } from './log.ts';
import { meter, toldCost } from './meter.ts';
import type { Cost } from './meter.ts';
import { auditConfig, namespaceOf } from './workload.ts';

type Claim = { readonly text: string; readonly met: boolean };
const say = (text: string): void => console.log(text);
const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
const mb = (n: number): string => `${n.toFixed(0)} MB`;
const told = (m: Memory): string =>
  `${mb(m.rss)}; heap ${mb(m.heap)} of ${mb(m.reserved)}, outside of it ${mb(m.external)}`;

const isWork = (e: Entry): boolean => e.what !== 'leases' && e.what !== 'events';
const statuses = (all: readonly Entry[]): number =>
  all.filter((e) => e.verb === 'patch' && e.what === 'auditconfigs/status' && e.code < 300).length;
const patches = (all: readonly Entry[]): number =>
  all.filter((e) => e.verb === 'patch' && e.what === 'deployments' && e.code < 300).length;

const PATIENCE_MS = 600_000;
/** Each is new to the fleet: a revision that was published before costs no create. */
const PRESETS = ['minimal', 'recommended', 'balanced', 'basic', 'sample', 'default', 'none'] as const;

type Change = {
  readonly ms: number;
  readonly cost: Cost;
  readonly looks: number;
  readonly entries: readonly Entry[];
};
/** Time from the change of the datacenter to the answer to the last status of a control plane. */
async function change(fleet: Fleet, round: number, signal: AbortSignal): Promise<Change> {
  await fleet.log.read();
  const looksBefore = await fleet.looks();
  const cost = meter(fleet);
  const began = Date.now();
  await fleet.preset(PRESETS[round % PRESETS.length] ?? 'minimal');
  const done = (all: readonly Entry[]): boolean => patches(all) >= fleet.count && statuses(all) >= fleet.count;
  const reached = await fleet.log.until(done, PATIENCE_MS, signal);
  if (!done(reached))
    throw new Error(
      `${patches(reached)} of ${fleet.count} were reached; ${fleet.controller?.lines.slice(-5).join('\n')}`,
    );
  const used = { cost: cost(), looks: (await fleet.looks()) - looksBefore };
  const last = reached.filter((e) => ['deployments', 'auditconfigs/status'].includes(e.what)).map((e) => e.at);
  // What comes too late, or twice, counts too.
  await sleep(3_000);
  return { ms: Math.max(...last) - began, ...used, entries: [...reached, ...(await fleet.log.read())] };
}

async function speed(fleet: Fleet, rounds: number, signal: AbortSignal): Promise<readonly Claim[]> {
  const times: { readonly ours: Change; readonly bare: Bare }[] = [];
  for (let round = 0; round < rounds && !signal.aborted; round++) {
    const ours = await change(fleet, round, signal);
    await fleet.settle();
    await fleet.quiet(2_000, signal);
    await fleet.stopController();
    await fleet.log.read();
    const bare = await bareRound(fleet, round);
    const entries = (await fleet.log.read()).filter((e) => e.bare && e.verb !== 'get');
    times.push({ ours, bare });
    const work = ours.entries.filter((e) => e.what !== 'leases');
    say(
      `  round ${round + 1}: ${seconds(ours.ms)}, bare client ${seconds(bare.ms)}, ${(ours.ms / bare.ms).toFixed(2)}`,
    );
    say(
      `    in flight ${inFlight(work).toFixed(1)}, ${inFlight(entries).toFixed(1)}; ${(ours.looks / fleet.count).toFixed(1)} looks a control plane; events ${work.filter((e) => e.what === 'events').length}`,
    );
    say(`    ${toldCost(ours.cost)}`);
    say(`    bare client: ${toldCost(bare.cost)}`);
    await fleet.settle();
    fleet.startController();
    await fleet.quiet(4_000, signal);
    // It put its own edit over the bare client's.
    await fleet.settle();
    await fleet.quiet(2_000, signal);
  }
  const ratio = median(times.map((t) => t.ours.ms / t.bare.ms));
  const looks = Math.max(...times.map((t) => t.ours.looks)) / fleet.count;
  const counts = counted((times.at(-1)?.ours.entries ?? []).filter(isWork));
  for (const [what, n] of Object.entries(counts)) say(`  ${String(n).padStart(6)} ${what}`);
  const is = (what: string): boolean => counts[what] === fleet.count;
  return [
    { text: `${ratio.toFixed(2)} times the bare client's time (at most 1.2)`, met: ratio <= 1.2 },
    {
      text: 'one revision, one workload patch and one status patch a control plane',
      met:
        is('patch deployments') && is('patch auditconfigs/status') && counts['create configmaps'] === fleet.count + 1,
    },
    // A second writer of the bench's own, as a late status, may cause one more here and there.
    { text: `${looks.toFixed(2)} looks a control plane (one)`, met: looks < 1.1 },
  ];
}

async function idle(fleet: Fleet, ms: number, signal: AbortSignal): Promise<readonly Claim[]> {
  await fleet.quiet(4_000, signal);
  await sleep(ms, undefined, { signal });
  const counts = counted(await fleet.log.read());
  say(`  ${JSON.stringify(counts)}`);
  return [
    { text: `${ms / 1000} s idle: the lease only`, met: Object.keys(counts).every((k) => k.endsWith(' leases')) },
  ];
}

async function memory(fleet: Fleet, signal: AbortSignal): Promise<readonly Claim[]> {
  const taken = [await fleet.memory()];
  for (let i = 0; i < 4; i++) {
    await fleet.plane.kill('SIGKILL');
    await fleet.plane.start();
    await sleep(5_000, undefined, { signal });
    await fleet.quiet(2_000, signal);
    taken.push(await fleet.memory());
  }
  for (const [i, m] of taken.entries()) say(`  ${i} restarts: ${told(m)}`);
  const [first, last] = [taken[0]?.rss ?? Infinity, taken.at(-1)?.rss ?? Infinity];
  const worst = Math.max(...taken.map((m) => m.rss));
  return [
    { text: `${mb(worst)} at most (below 170 MB at 2,000)`, met: worst < 170 },
    {
      text: `${mb(last - first)} more after four restarts of the API server (at most a tenth)`,
      met: last < first * 1.1,
    },
  ];
}

/** ms from readyz until a change that was made then is in the workload. */
async function recovery(fleet: Fleet, outage: number, i: number, signal: AbortSignal): Promise<number> {
  await fleet.plane.kill('SIGKILL');
  await sleep(outage, undefined, { signal });
  await fleet.plane.start();
  const began = Date.now();
  const base = auditConfig(i);
  // No datacenter has a word in this, so that it reaches the flags.
  const log = { retention: { maxAgeDays: 7 + i } };
  await fleet.apply({ ...base, spec: { ...(base['spec'] as object), log } });
  const here = (e: Entry): boolean =>
    e.verb === 'patch' && e.what === 'deployments' && e.name === namespaceOf(i) && e.at >= began;
  const seen = await fleet.log.until((all) => all.some(here), 60_000, signal);
  const at = seen.find(here)?.at;
  await fleet.quiet(2_000, signal);
  return at === undefined ? Infinity : at - began;
}

async function recoveries(fleet: Fleet, signal: AbortSignal): Promise<readonly Claim[]> {
  const short: number[] = [];
  for (let i = 0; i < 3; i++) short.push(await recovery(fleet, 0, i, signal));
  const long = await recovery(fleet, 22_000, 3, signal);
  say(`  after kill -9: ${short.map(seconds).join(', ')}; after an outage of 22 s: ${seconds(long)}`);
  return [
    {
      text: `a change at readyz reconciled within ${seconds(Math.max(...short))} (at most 2)`,
      met: Math.max(...short) <= 2_000,
    },
    { text: `after an outage longer than the lease within ${seconds(long)} (at most 4)`, met: long <= 4_000 },
  ];
}

const FAILOVERS = 20;
const AT_ONCE = 3;

/** A small fleet of its own: what counts is the moment, and each takes until the lease is free again. */
async function failovers(signal: AbortSignal): Promise<readonly Claim[]> {
  const fleet = await Fleet.start(12, signal);
  try {
    const chance = new Random(1);
    const scene = new Failovers(fleet, { maxUnavailable: AT_ONCE, random: () => chance.below(1_000) / 1_000 });
    const all = await scene.run(FAILOVERS, signal);
    for (const f of all)
      say(
        `  killed after ${f.killedAfterMs} ms, ${f.back}: at most ${f.most} at once, ${seconds(f.ms)}, not once: ${f.notOnce.join(' ') || 'none'}`,
      );
    return [
      { text: `${all.length} leaders killed in mid-wave, all converged`, met: all.length === FAILOVERS },
      { text: `never more than ${AT_ONCE} control planes at once`, met: all.every((f) => f.most <= AT_ONCE) },
      { text: 'no workload was patched twice', met: all.every((f) => f.notOnce.length === 0) },
    ];
  } finally {
    await fleet.stop();
  }
}

export async function main(args: readonly string[], signal: AbortSignal): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      count: { type: 'string', default: '500' },
      rounds: { type: 'string', default: '3' },
      idle: { type: 'string', default: '60' },
      only: { type: 'string' },
      profile: { type: 'string' },
    },
  });
  const count = Number(values.count);
  const claims: Claim[] = [];
  const part = async (name: string, title: string, run: () => Promise<readonly Claim[]>): Promise<void> => {
    if (values.only !== undefined && !values.only.split(',').includes(name)) return;
    say(`\n== ${title}`);
    for (const claim of await run()) {
      claims.push(claim);
      say(`  ${claim.met ? 'ok  ' : 'MISS'} ${claim.text}`);
    }
  };
  await part('failover', 'the leader is killed in the middle of a wave', () => failovers(signal));
  if (values.only === 'failover') return claims.every((c) => c.met) ? 0 : 1;
  say(`\n${count} hosted control planes are made`);
  const fleet = await Fleet.start(count, signal);
  try {
    fleet.profile = values.profile;
    await fleet.preset('metadata');
    fleet.startController();
    await fleet.log.until((all) => statuses(all) >= count && patches(all) >= count, PATIENCE_MS, signal);
    await fleet.settle();
    await fleet.quiet(3_000, signal);
    const first = await fleet.memory();
    say(`all have their first revision; the controller takes ${told(first)}`);
    await part('speed', 'a changed enforced preset, waves off', () => speed(fleet, Number(values.rounds), signal));
    await part('idle', 'idle', () => idle(fleet, Number(values.idle) * 1000, signal));
    await part('memory', 'memory of the controller', () => memory(fleet, signal));
    await part('recovery', 'after the API server was killed', () => recoveries(fleet, signal));
  } finally {
    await fleet.stop();
  }
  return claims.every((c) => c.met) ? 0 : 1;
}
