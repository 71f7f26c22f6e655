/**
 * The policy engine against the API server's own code, in `npm test`: at least 2,000 policies and 200,000 requests from
 * one seed, split over both versions, with no disagreement; and how much of the API server's code that reached.
 * AUDITCONFIG_SEED=N runs the same again. Without a Go toolchain it is skipped, but not where CI is set.
 */
import { describe, expect, it } from 'vitest';
import type { Coverage } from './coverage.ts';
import { coverageOf, percent } from './coverage.ts';
import type { Engine } from './disagreement.ts';
import { ENGINE } from './engine.ts';
import { coveredJudges } from './judges.ts';
import { fixedPolicies, policies } from './policies.ts';
import { Random } from './random.ts';
import { regressions } from './regressions.ts';
import { describeCoverage, describeDisagreement, summaryOf } from './report.ts';
import type { Judges, Report } from './run.ts';
import { differential, emptyReport } from './run.ts';

const POLICIES = 14_000;
const REQUESTS = 200_000;
const REQUESTS_EACH = 40;

const given = process.env['AUDITCONFIG_SEED'];
/** One seed for everybody: a red run says something of the change, not of the day. `npm run fuzz` looks for new ones. */
const seed = given === undefined ? 20_261_121 : Number(given);

/** All of a run: what earlier runs taught (both versions), what is always asked, and then from the seed. */
async function everything(judges: Judges, report: Report): Promise<void> {
  const d = { engine: ENGINE, judges, report };
  const never = (): boolean => false;
  for (const parity of [0, 1])
    await differential(d, regressions(), { seed: parity, requests: REQUESTS_EACH, enough: never });
  await differential(d, fixedPolicies(), { seed, requests: REQUESTS_EACH, enough: never });
  const enough = (r: Report): boolean => r.policies >= POLICIES && r.requests >= REQUESTS;
  await differential(d, policies(new Random(seed)), { seed, requests: REQUESTS_EACH, enough });
}

/** Policies that stand for real ones: as they are, edited, or made of two. */
const ofRealOnes = (r: Report): number =>
  (['real', 'edited', 'spliced'] as const).reduce((sum, o) => sum + (r.origins.get(o)?.asked ?? 0), 0);

function expectCoverage(coverage: Coverage): void {
  console.log(describeCoverage(coverage));
  const wrong = coverage.wronglyExcluded.map((b) => `${b.file}:${b.from} ${b.function}`);
  expect(wrong, 'reached, but relevant.ts says that it cannot be').toEqual([]);
  expect(coverage.total.all).toBeGreaterThan(2000);
  expect(percent(coverage.total)).toBeGreaterThanOrEqual(95);
}

describe('the policy engine and the API server', () => {
  it('agree on validity, rules, warnings, levels, stages and managed fields', { timeout: 600_000 }, async (context) => {
    const covered = await coveredJudges();
    if (typeof covered === 'string') {
      if (process.env['CI'] !== undefined) throw new Error(`no judge: ${covered}`);
      console.log(`SKIPPED, the policy engine is not compared with the API server: ${covered}`);
      context.skip(covered);
      return;
    }
    const report = emptyReport();
    console.log(`seed: AUDITCONFIG_SEED=${seed}`);
    try {
      await everything(covered.judges, report);
    } finally {
      console.log(summaryOf(report));
    }
    expect(report.disagreements.map(describeDisagreement).join('\n')).toBe('');
    expect(report.policies).toBeGreaterThanOrEqual(2000);
    expect(report.requests).toBeGreaterThanOrEqual(REQUESTS);
    expect(report.loaded / report.policies).toBeGreaterThanOrEqual(0.4);
    expect(ofRealOnes(report) / report.policies).toBeGreaterThanOrEqual(0.5);
    expectCoverage(coverageOf(await covered.finish()));
  });

  it('would be seen to disagree, were a rule read wrongly', { timeout: 120_000 }, async (context) => {
    const covered = await coveredJudges();
    if (typeof covered === 'string') return context.skip(covered);
    const report = emptyReport();
    const broken: Engine = {
      ...ENGINE,
      load: (bytes, version) => ENGINE.load(bytes, version === '1.35' ? '1.36' : version),
    };
    try {
      await differential({ engine: broken, judges: covered.judges, report }, policies(new Random(7)), {
        ...{ seed: 7, requests: 5 },
        enough: (r) => r.disagreements.length > 0 || r.policies > 3000,
      });
    } finally {
      await covered.finish();
    }
    expect(report.disagreements.map((d) => [d.kind, d.version])).toContainEqual(['AcceptedByUs', '1.35']);
  });
});
