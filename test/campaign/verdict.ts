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
