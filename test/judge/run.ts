/**
 * The differential run: policies and requests from one seed, each asked of the API server's own code and of the engine,
 * and the answers compared. `npm test` runs it to a fixed count (differential.plane.test.ts), `npm run fuzz` for minutes.
 */
import type { Minor } from '../../src/api/versions.ts';
import type { PlaneVersion } from '../control-plane/versions.ts';
import { MAY_BE_REFUSED } from './allowed.ts';
import type { Difference, Engine, Ours } from './disagreement.ts';
import { difference, loadOurs } from './disagreement.ts';
import type { Judge, Verdict } from './judge.ts';
import { minimized } from './minimize.ts';
import type { Generated, Origin } from './policies.ts';
import { Random } from './random.ts';
import type { RequestLine } from './requests.ts';
import { requestsFor } from './requests.ts';
import { bytesOf } from './vocabulary.ts';

export type Judges = Readonly<Record<PlaneVersion, Judge>>;

export type Disagreement = Difference & { readonly version: Minor; readonly origin: Origin; readonly text: string };

export type Report = {
  policies: number;
  loaded: number;
  requests: number;
  /** Requests that some rule matched. */
  matched: number;
  /** Policies and loaded ones by where they came from. */
  readonly origins: Map<Origin, { asked: number; loaded: number }>;
  /** Refused by us only, by code; each code is on the allowed list. */
  readonly refused: Map<string, number>;
  /** Policies on which the API server itself does not always say the same (Go's maps have no order). */
  undecided: number;
  readonly disagreements: Disagreement[];
};

export const emptyReport = (): Report => ({
  policies: 0,
  loaded: 0,
  requests: 0,
  matched: 0,
  origins: new Map(),
  refused: new Map(),
  undecided: 0,
  disagreements: [],
});

type Question = Generated & { readonly version: PlaneVersion; readonly requests: number; readonly seed: number };

export type Differential = {
  readonly engine: Engine;
  readonly judges: Judges;
  readonly report: Report;
};

/** Questions that the judge has not answered yet: also what bounds memory. */
const IN_FLIGHT = 48;
const SHOW_AT_MOST = 8;

function count(report: Report, origin: Origin, theirs: Verdict): void {
  const of = report.origins.get(origin) ?? { asked: 0, loaded: 0 };
  report.origins.set(origin, of);
  of.asked++;
  report.policies++;
  if (theirs.policy === undefined) return;
  of.loaded++;
  report.loaded++;
  const decisions = theirs.decisions ?? [];
  report.requests += decisions.length;
  report.matched += decisions.filter((d) => d.rule !== null).length;
}

/** The code under which a policy may be refused by us alone. */
function allowedRefusal(found: Difference, ours: Ours): string | undefined {
  if (found.kind !== 'RefusedByUs') return undefined;
  const codes = ours.findings.filter((f) => f.severity === 'error').map((f) => f.code);
  return codes.every((c) => c in MAY_BE_REFUSED) ? codes[0] : undefined;
}

/** Asks both sides once. */
async function compare(d: Differential, q: Question): Promise<{ ours: Ours; theirs: Verdict; found?: Difference }> {
  const bytes = bytesOf(q.text);
  const ours = loadOurs(d.engine, bytes, q.version);
  const lines: RequestLine[] =
    ours.policy === undefined ? [] : requestsFor(ours.policy, new Random(q.seed), q.requests);
  const judge = d.judges[q.version];
  const theirs = await judge.ask(bytes, lines);
  const found = difference(d.engine, ours, theirs, lines);
  return found === undefined ? { ours, theirs } : { ours, theirs, found };
}

const AGAIN = 12;

/** True where the judge's answers to one question differ among themselves. */
async function isUndecided(d: Differential, q: Question): Promise<boolean> {
  const answers = await Promise.all(Array.from({ length: AGAIN }, () => d.judges[q.version].ask(bytesOf(q.text), [])));
  return new Set(answers.map((a) => JSON.stringify([a.policy, a.warnings, a.error === undefined]))).size > 1;
}

async function settle(d: Differential, q: Question, found: Difference): Promise<void> {
  if (await isUndecided(d, q)) {
    d.report.undecided++;
    return;
  }
  if (d.report.disagreements.length >= SHOW_AT_MOST) return;
  const { kind } = found;
  const code = (x: Difference): unknown => (kind === 'RefusedByUs' ? String(x.ours).split(':')[0] : kind);
  const fails = async (text: string): Promise<boolean> => {
    const again = (await compare(d, { ...q, text })).found;
    return again?.kind === kind && code(again) === code(found);
  };
  const text = await minimized(q.text, fails);
  const last = (await compare(d, { ...q, text })).found ?? found;
  d.report.disagreements.push({ ...last, version: q.version, origin: q.origin, text });
}

async function answer(d: Differential, q: Question): Promise<void> {
  const { ours, theirs, found } = await compare(d, q);
  count(d.report, q.origin, theirs);
  if (found === undefined) return;
  const allowed = allowedRefusal(found, ours);
  if (allowed === undefined) await settle(d, q, found);
  else d.report.refused.set(allowed, (d.report.refused.get(allowed) ?? 0) + 1);
}

/**
 * Asks every question of `from` in turn with `requests` requests each, alternating between the versions, until it ends
 * or `enough` says so, or too much has gone wrong to go on.
 */
export async function differential(
  d: Differential,
  from: Iterable<Generated>,
  options: { readonly seed: number; readonly requests: number; readonly enough: (r: Report) => boolean },
): Promise<void> {
  const random = new Random(options.seed ^ 0x5eed);
  const open: Promise<void>[] = [];
  let i = options.seed & 1;
  for (const generated of from) {
    if (options.enough(d.report) || d.report.disagreements.length >= SHOW_AT_MOST) break;
    const version: PlaneVersion = i++ % 2 === 0 ? '1.36' : '1.35';
    const one = answer(d, { ...generated, version, requests: options.requests, seed: random.uint32() });
    one.catch(() => {}); // Awaited below; a second rejection must not go unhandled meanwhile.
    open.push(one);
    if (open.length >= IN_FLIGHT) await open.shift();
  }
  await Promise.all(open);
}
