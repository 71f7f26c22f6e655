/** What came of a row, from what was seen and not from what was meant. Pure; runner.ts gathers. */
import type { Evidence } from './lab.ts';
import type { Breakage, Outcome } from './types.ts';

export type Seen = {
  readonly evidence: Evidence | undefined;
  /** Seconds that each API server was down, in the order of the nodes. */
  readonly down: readonly number[];
  /** Two API servers that were down at once, although the fault itself was over. */
  readonly overlaps: readonly string[];
  /** Why it is not whole again: what the row waited for in vain, and what was found at its end. */
  readonly faults: readonly string[];
};

export type Verdict = { readonly outcome: Outcome | 'lost'; readonly why: readonly string[] };

export function verdictOf(seen: Seen): Verdict {
  const faults = [...seen.faults, ...seen.overlaps];
  if (faults.length > 0) return { outcome: 'lost', why: faults };
  const { evidence } = seen;
  if (evidence?.kind === 'refused' && evidence.touched)
    return { outcome: 'lost', why: ['it was refused, and yet something was touched'] };
  return { outcome: evidence?.kind ?? 'healed', why: [] };
}

export type Row = {
  readonly breakage: Breakage;
  readonly seen: Seen;
  readonly verdict: Verdict;
  readonly seconds: number;
};

export const isAsExpected = ({ breakage, verdict }: Row): boolean => verdict.outcome === breakage.expect;

/** As many rows may be run once more, from nothing: what else a machine does decides what falls into their waits. */
export const TWICE_AT_MOST = 3;

/** Those to run once more: all that were not as expected, or none where they are too many for chance. */
export function toRunAgain(rows: readonly Row[]): readonly Breakage[] {
  const wrong = rows.filter((r) => !isAsExpected(r)).map((r) => r.breakage);
  return wrong.length <= TWICE_AT_MOST ? wrong : [];
}

/** The attempts at each way, first one first. */
function attemptsOf(rows: readonly Row[]): readonly (readonly [Row, ...Row[]])[] {
  const by = new Map<Breakage, [Row, ...Row[]]>();
  for (const row of rows) {
    const before = by.get(row.breakage);
    if (before === undefined) by.set(row.breakage, [row]);
    else before.push(row);
  }
  return [...by.values()];
}

/** What counts of a way is its last attempt. */
const counted = (rows: readonly Row[]): readonly Row[] => attemptsOf(rows).map((all) => all.at(-1) ?? all[0]);

/** Every way that was asked for was run, and ended as expected. */
export const isGreen = (asked: readonly Breakage[], rows: readonly Row[]): boolean =>
  asked.length > 0 && counted(rows).filter(isAsExpected).length === asked.length;

export type Ended = {
  readonly asked: readonly Breakage[];
  /** In the order in which they ended; a way that was run twice has two. */
  readonly rows: readonly Row[];
  readonly minutes: number;
  /** By a signal, before all were run. */
  readonly stopped: boolean;
};

const told = ({ verdict }: Row): string =>
  verdict.why.length === 0 ? verdict.outcome : `${verdict.outcome} (${verdict.why.join('; ')})`;

const twiceLines = (rows: readonly Row[]): readonly string[] =>
  attemptsOf(rows)
    .filter((all) => all.length > 1)
    .map((all) => `run twice: row ${all[0].breakage.id}: ${all.map(told).join(', then ')}`);

/** Of all attempts, those too that were repeated. */
function threeNodesLine(rows: readonly Row[]): string {
  const three = rows.filter((r) => r.breakage.nodes === 3);
  const met = three.filter((r) => r.seen.overlaps.length > 0);
  const how = met.length === 0 ? 'never two down at once' : `two down at once in ${met.length}: ${met.map((r) => r.breakage.id).join(', ')}`; // prettier-ignore
  return `on three nodes: ${three.length} runs, ${how}`;
}

function downLine(rows: readonly Row[]): string {
  const downs = rows.flatMap((r) => r.seen.down.map((s) => ({ s, id: r.breakage.id }))).filter((d) => d.s > 0);
  const [longest, ...rest] = downs.sort((a, b) => b.s - a.s);
  if (longest === undefined) return 'no API server was down';
  const middle = (rest[Math.floor(downs.length / 2) - 1] ?? longest).s;
  return `an API server was down for ${middle.toFixed(1)} s (median), at most ${longest.s.toFixed(1)} s (${longest.id})`;
}

/** The numbers, the total last: what a reader of CI's output looks for. */
export function summaryOf({ asked, rows, minutes, stopped }: Ended): string {
  const last = counted(rows);
  const good = last.filter(isAsExpected);
  const of = (outcome: Outcome): string => `${good.filter((r) => r.verdict.outcome === outcome).length} ${outcome}`;
  const wrong = last.length - good.length;
  const notRun = asked.filter((b) => !last.some((r) => r.breakage === b));
  const left = notRun.length === 0 ? '' : `, ${notRun.length} not run`;
  const came = `${good.length} as expected (${(['healed', 'refused', 'inconclusive'] as const).map(of).join(', ')}), ${wrong} not${left}`;
  const twice = twiceLines(rows);
  return [
    ...twice,
    threeNodesLine(rows),
    downLine(rows),
    ...(notRun.length === 0 ? [] : [`not run: ${notRun.map((b) => b.id).join(', ')}`]),
    `${stopped ? 'STOPPED from outside: ' : ''}${asked.length} ways: ${came}; ${twice.length} run twice; ${minutes.toFixed(1)} minutes`,
  ].join('\n');
}

const HEADS = ['', 'breakage', 'nodes', 'expected', 'came', 'down, s', 'row, s', 'what is done to it'] as const;

/** A table by kind; seconds are those that each API server was down. */
export function tableOf(rows: readonly Row[]): string {
  const cells = rows.map((r) => [
    isAsExpected(r) ? 'ok' : 'NOT',
    r.breakage.id,
    String(r.breakage.nodes),
    r.breakage.expect,
    r.verdict.outcome,
    r.seen.down.map((s) => s.toFixed(1)).join(' / '),
    r.seconds.toFixed(0),
    r.breakage.title,
  ]);
  const widths = HEADS.map((h, i) => Math.max(h.length, ...cells.map((c) => c[i]?.length ?? 0)));
  const line = (c: readonly string[]): string =>
    c.map((s, i) => s.padEnd(widths[i] ?? 0)).join('  ').trimEnd(); // prettier-ignore
  const kinds = [...new Set(rows.map((r) => r.breakage.kind))];
  return kinds
    .flatMap((kind) => [
      '',
      `${kind}:`,
      line(HEADS),
      ...cells.filter((_, i) => rows[i]?.breakage.kind === kind).map(line),
    ])
    .join('\n');
}
