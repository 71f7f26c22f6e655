/**
 * `npm run fuzz -- --minutes N [--seed S] [--mixture real|odd]`: the differential run without an end but the clock. Prints its seed, a line
 * every half minute, and each disagreement, minimized, with its bytes; exits 1 where there was one. No coverage.
 */
import { parseArgs } from 'node:util';
import { judgeBinary } from './binary.ts';
import { ENGINE } from './engine.ts';
import { Judge } from './judge.ts';
import { MIXTURES, policies } from './policies.ts';
import { Random } from './random.ts';
import { describeDisagreement, summaryOf } from './report.ts';
import type { Report } from './run.ts';
import { differential, emptyReport } from './run.ts';

const EVERY_MS = 30_000;

async function judge(version: '1.35' | '1.36', signal: AbortSignal): Promise<Judge> {
  const answer = await judgeBinary(version, 'plain', signal);
  if ('unavailable' in answer) throw new Error(`no judge for Kubernetes ${version}: ${answer.unavailable}`);
  return new Judge(answer.binary);
}

/** Prints what is new since `seen`, and gives how much there is now. */
function tell(report: Report, seen: number): number {
  for (const d of report.disagreements.slice(seen)) console.log(describeDisagreement(d));
  return report.disagreements.length;
}

/** Exit code 0 without a disagreement, 1 with. `signal` ends the run early, with its summary. */
export async function main(args: readonly string[], signal: AbortSignal): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string', default: '1' },
      seed: { type: 'string' },
      requests: { type: 'string', default: '40' },
      mixture: { type: 'string', default: 'real' },
    },
  });
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(values.seed);
  const [minutes, requests] = [Number(values.minutes), Number(values.requests)];
  if (!(minutes > 0) || !Number.isInteger(seed) || !(requests > 0))
    throw new Error('--minutes, --seed, --requests take numbers');
  if (values.mixture !== 'real' && values.mixture !== 'odd') throw new Error('--mixture is real or odd');
  const mixture = MIXTURES[values.mixture];
  console.log(`seed ${seed}, ${minutes} min, ${values.mixture} policies`);
  const judges = { '1.36': await judge('1.36', signal), '1.35': await judge('1.35', signal) };
  const report = emptyReport();
  const end = Date.now() + minutes * 60_000;
  let next = Date.now() + EVERY_MS;
  let seen = 0;
  const enough = (): boolean => {
    if (Date.now() > next) {
      next = Date.now() + EVERY_MS;
      seen = tell(report, seen);
      console.log(
        `${report.policies} policies, ${report.requests} requests, ${report.disagreements.length} disagreements`,
      );
    }
    return signal.aborted || Date.now() > end;
  };
  try {
    await differential({ engine: ENGINE, judges, report }, policies(new Random(seed), mixture), {
      seed,
      requests,
      enough,
    });
  } finally {
    await Promise.all([judges['1.36'].close(), judges['1.35'].close()]);
  }
  tell(report, seen);
  console.log(summaryOf(report));
  return report.disagreements.length === 0 ? 0 : 1;
}
