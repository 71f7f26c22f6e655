/**
 * Runs breakages one after the other in labs that serve as long as they can be brought back to where they began; a row
 * that leaves a lab which cannot is not as expected, whatever it showed. Called by main.ts.
 */
import { Lab } from './lab.ts';
import type { Breakage } from './types.ts';
import { verdictOf } from './verdict.ts';
import type { Row, Seen } from './verdict.ts';

const messageOf = (e: unknown): string => (e instanceof Error ? e.message : String(e));

/** Why this row did not end well; undefined where it did. Throws only for the campaign's own end. */
async function attempt(signal: AbortSignal, act: () => Promise<void>): Promise<string | undefined> {
  try {
    await act();
    return undefined;
  } catch (e) {
    signal.throwIfAborted();
    return messageOf(e);
  }
}

async function look(lab: Lab, breakage: Breakage): Promise<Seen> {
  const failed = await attempt(lab.signal, async () => {
    await lab.mark();
    await breakage.run(lab);
    await lab.untilAudited();
  });
  const faults = failed === undefined ? await lab.faults() : [failed];
  return {
    evidence: lab.evidence,
    down: lab.nodes.map((n) => lab.meter.seconds(n.name)),
    overlaps: lab.meter.overlaps,
    faults,
  };
}

/** The lab of so many nodes, new where the last one is worn. */
class Labs {
  readonly #labs = new Map<1 | 3, Lab>();
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  async get(nodes: 1 | 3, fresh: boolean): Promise<Lab> {
    if (fresh) await this.drop(nodes);
    const lab = this.#labs.get(nodes) ?? (await Lab.start(nodes, this.#signal));
    this.#labs.set(nodes, lab);
    return lab;
  }
  async drop(nodes: 1 | 3): Promise<void> {
    await this.#labs.get(nodes)?.stop();
    this.#labs.delete(nodes);
  }
  async stop(): Promise<void> {
    for (const nodes of this.#labs.keys()) await this.drop(nodes);
  }
}

async function runOne(labs: Labs, breakage: Breakage, say: (line: string) => void, signal: AbortSignal): Promise<Row> {
  const lab = await labs.get(breakage.nodes, breakage.fresh === true);
  const began = performance.now();
  const seen = await look(lab, breakage);
  const seconds = (performance.now() - began) / 1000;
  const words = lab.words();
  const stuck = await attempt(signal, () => lab.reset());
  const all = stuck === undefined ? seen : { ...seen, faults: [...seen.faults, `and it stays so: ${stuck}`] };
  const verdict = verdictOf(all);
  if (verdict.outcome !== breakage.expect)
    say(`${breakage.id}: ${verdict.outcome}\n${verdict.why.join('\n')}\n${words}`);
  if (stuck !== undefined || breakage.fresh === true) await labs.drop(breakage.nodes);
  return { breakage, seen: all, verdict, seconds };
}

/** In the order given, but those of one lab after the other. */
export async function runCampaign(
  breakages: readonly Breakage[],
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<readonly Row[]> {
  const labs = new Labs(signal);
  const rows: Row[] = [];
  try {
    for (const nodes of [1, 3] as const) {
      for (const breakage of breakages.filter((b) => b.nodes === nodes)) {
        const row = await runOne(labs, breakage, say, signal);
        rows.push(row);
        say(`${row.verdict.outcome.padEnd(12)} ${row.seconds.toFixed(1).padStart(6)} s  ${breakage.id}`);
      }
      await labs.drop(nodes);
    }
  } finally {
    await labs.stop();
  }
  return [...rows].sort((a, b) => breakages.indexOf(a.breakage) - breakages.indexOf(b.breakage));
}
