/** What a differential run says of itself: counts, load rate, and each disagreement with its bytes. */
import { MAY_BE_REFUSED } from './allowed.ts';
import type { Coverage } from './coverage.ts';
import { percent } from './coverage.ts';
import { shown } from './minimize.ts';
import type { Disagreement, Report } from './run.ts';

const share = (part: number, of: number): string => (of === 0 ? '-' : `${((100 * part) / of).toFixed(1)}%`);

export function summaryOf(report: Report): string {
  const origins = [...report.origins].sort(([a], [b]) => (a < b ? -1 : 1));
  const refused = [...report.refused].map(([code, n]) => `${n} ${code} (${MAY_BE_REFUSED[code] ?? ''})`);
  return [
    `${report.policies} policies, ${share(report.loaded, report.policies)} load; ${report.requests} requests, ` +
      `${share(report.matched, report.requests)} matched by a rule`,
    origins.map(([name, o]) => `${name} ${o.asked} (${share(o.loaded, o.asked)} load)`).join(', '),
    `refused by us only: ${refused.length === 0 ? 'none' : refused.join(', ')}; ` +
      `API server not of one mind: ${report.undecided}; disagreements: ${report.disagreements.length}`,
  ].join('\n');
}

export function describeDisagreement(d: Disagreement): string {
  const value = (x: unknown): string => (typeof x === 'string' ? x : JSON.stringify(x));
  return [
    `${d.kind} (Kubernetes ${d.version}, ${d.origin} policy)`,
    `  bytes:  ${shown(d.text)}`,
    ...(d.request === undefined ? [] : [`  request: ${JSON.stringify(d.request)}`]),
    `  ours:   ${value(d.ours)}`,
    `  theirs: ${value(d.theirs)}`,
  ].join('\n');
}

export function describeCoverage(c: Coverage): string {
  const packages = [...c.packages].map(([name, of]) => `  ${percent(of).toFixed(1).padStart(5)}%  ${name}`);
  return [`API server code reached: ${percent(c.total).toFixed(2)}% of ${c.total.all} statements`, ...packages].join(
    '\n',
  );
}
