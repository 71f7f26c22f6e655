/**
 * `npm run bench`: how fast the policy engine is, against the API server's own code and against itself. Machines differ,
 * so that no absolute time fails it; the exit code is 1 where a ratio is missed: `evaluate` at least twice as fast as
 * the Go judge on the same lines, and a thousand rules at most one and a half times as dear as thirty.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { RequestAttributes } from '../../src/api/audit.ts';
import { emitPolicy } from '../../src/policy/emit.ts';
import { compilePolicy } from '../../src/policy/evaluate.ts';
import { judgeBinary } from '../judge/binary.ts';
import { median, onOneCpu, wholeProcess } from './timing.ts';
import { lineOf, policyOfSize, requestsOf } from './workload.ts';

const BUNDLE = resolve(import.meta.dirname, '../../dist/auditconfig.js');
const LINES = 200_000;
const RUNS = 5;

type Claim = { readonly text: string; readonly met: boolean };

/** The judge's binary: given, or built. */
async function judgeOf(given: string | undefined, signal: AbortSignal): Promise<string> {
  if (given !== undefined) return given;
  const answer = await judgeBinary('1.36', 'plain', signal);
  if ('unavailable' in answer) throw new Error(`no judge to compare with: ${answer.unavailable}`);
  return answer.binary;
}

/** The same answers first: a fast wrong answer is none. */
function sameAnswers(ours: readonly string[], theirs: readonly string[], input: string): boolean {
  const outputs = [ours, theirs].map(([program = '', ...args]) => {
    const options = { input: readFileSync(input), maxBuffer: 1 << 30 };
    return spawnSync(program, args, options).stdout;
  });
  return outputs[0] !== undefined && outputs[1] !== undefined && outputs[0].equals(outputs[1]);
}

function againstJudge(judge: string, dir: string): Claim[] {
  const policy = join(dir, 'policy.yaml');
  const input = join(dir, 'requests.jsonl');
  writeFileSync(policy, emitPolicy(policyOfSize(30)));
  writeFileSync(
    input,
    requestsOf(LINES)
      .map((r) => `${lineOf(r)}\n`)
      .join(''),
  );
  const ours = [process.execPath, BUNDLE, 'evaluate', '--policy', policy];
  const theirs = [judge, 'evaluate', '--policy', policy];
  const prefix = onOneCpu();
  const times = Array.from({ length: RUNS }, () => ({
    ours: wholeProcess({ argv: ours, input }, prefix),
    theirs: wholeProcess({ argv: theirs, input }, prefix),
  }));
  const [mine, go] = [median(times.map((t) => t.ours)), median(times.map((t) => t.theirs))];
  const ratio = go / mine;
  const cpu = prefix.length > 0 ? 'one CPU' : 'all CPUs (no taskset)';
  console.log(`evaluate, ${LINES} lines, 30 rules, ${cpu}: ${mine.toFixed(0)} ms, Go ${go.toFixed(0)} ms`);
  return [
    { text: 'the same answers as the Go judge', met: sameAnswers(ours, theirs, input) },
    { text: `${ratio.toFixed(2)} times the Go judge's throughput (at least 2)`, met: ratio >= 2 },
  ];
}

/** Nanoseconds a decision: by the clock, and of processor time, where others' load counts less. */
type Cost = { readonly cpu: number; readonly wall: number };

/** Once over all requests. */
function pass(
  decide: (r: RequestAttributes) => { readonly rule: number | null },
  requests: readonly RequestAttributes[],
): Cost {
  let matched = 0;
  const began = performance.now();
  const start = process.cpuUsage();
  for (const r of requests) if (decide(r).rule !== null) matched++;
  const { user, system } = process.cpuUsage(start);
  const wall = ((performance.now() - began) * 1e6) / requests.length;
  if (matched !== requests.length) throw new Error('the policy of this benchmark matches every request');
  return { cpu: ((user + system) * 1000) / requests.length, wall };
}

const AIM = 5;

/** Both figures: by the clock is what a caller sees, and on a busy machine it says little about the engine. */
function printRate(rules: number, costs: readonly Cost[]): void {
  const [cpu, wall] = [1000 / median(costs.map((c) => c.cpu)), 1000 / median(costs.map((c) => c.wall))];
  const verdict = cpu >= AIM ? 'reached' : 'NOT reached here';
  console.log(
    `  ${rules} rules: ${cpu.toFixed(2)} million decisions a second of processor time, ${wall.toFixed(2)} by the clock` +
      (rules === 30 ? ` (aim: ${AIM} of processor time, ${verdict})` : ''),
  );
}

function inProcess(): Claim[] {
  const few = compilePolicy(policyOfSize(30)).decide;
  const many = compilePolicy(policyOfSize(1000)).decide;
  // Through JSON, so that strings are what a parser gives: each its own.
  const requests = JSON.parse(JSON.stringify(requestsOf(LINES))) as RequestAttributes[];
  const rounds = Array.from({ length: 15 }, () => ({ few: pass(few, requests), many: pass(many, requests) })).slice(4);
  const ratio = median(rounds.map((r) => r.many.cpu / r.few.cpu));
  console.log(`in process, ${LINES} distinct requests, nothing remembered:`);
  printRate(
    30,
    rounds.map((r) => r.few),
  );
  printRate(
    1000,
    rounds.map((r) => r.many),
  );
  return [{ text: `1000 rules cost ${ratio.toFixed(2)} times 30 rules (at most 1.5)`, met: ratio <= 1.5 }];
}

function lintColdStart(dir: string): void {
  const argv = [process.execPath, BUNDLE, 'lint', join(dir, 'policy.yaml')];
  const ms = median(Array.from({ length: RUNS }, () => wholeProcess({ argv }, [])));
  const node = median(Array.from({ length: RUNS }, () => wholeProcess({ argv: [process.execPath, '-e', '0'] }, [])));
  console.log(
    `lint of 30 rules, cold start: ${ms.toFixed(0)} ms (aim: 150), of which Node alone ${node.toFixed(0)} ms`,
  );
}

/** `--judge FILE`: a judge that is built already. Exit code 1 where a claim is not met. */
export async function main(args: readonly string[], signal: AbortSignal): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { judge: { type: 'string' } } });
  const dir = mkdtempSync(join(tmpdir(), 'auditconfig-bench-'));
  try {
    const claims = [...againstJudge(await judgeOf(values.judge, signal), dir), ...inProcess()];
    lintColdStart(dir);
    for (const c of claims) console.log(`${c.met ? 'ok  ' : 'MISS'} ${c.text}`);
    return claims.every((c) => c.met) ? 0 : 1;
  } finally {
    rmSync(dir, { recursive: true });
  }
}
