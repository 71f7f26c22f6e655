/**
 * Runs breakages one after the other in labs that serve as long as they can be brought back to where they began; a row
 * that leaves a lab which cannot is not as expected, whatever it showed. The few that were not as expected are run once
 * more from nothing when all others are done. Called by main.ts.
 */
import type { Lab } from './lab.ts';
import type { Breakage } from './types.ts';
import { isAsExpected, toRunAgain, verdictOf } from './verdict.ts';
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

export type Campaign = {
  readonly say: (line: string) => void;
  /** Told of each row as it ends; of one that is run twice, twice. */
  readonly done: (row: Row) => void;
  readonly startLab: (nodes: Breakage['nodes'], signal: AbortSignal) => Promise<Lab>;
  readonly signal: AbortSignal;
};

/** A lane's lab, made anew where the last one is worn. */
class LaneLab {
  #lab: Lab | undefined;
  readonly #campaign: Campaign;

  constructor(campaign: Campaign) {
    this.#campaign = campaign;
  }

  async get(b: Breakage): Promise<Lab> {
    if (b.fresh === true) await this.drop();
    return (this.#lab ??= await this.#campaign.startLab(b.nodes, this.#campaign.signal));
  }
  async drop(): Promise<void> {
    const lab = this.#lab;
    this.#lab = undefined;
    await lab?.stop();
  }
}

async function runOne(lane: LaneLab, breakage: Breakage, { say, signal }: Campaign): Promise<Row> {
  let lab: Lab;
  try {
    lab = await lane.get(breakage);
  } catch (e) {
    signal.throwIfAborted();
    say(messageOf(e));
    const seen: Seen = { evidence: undefined, down: [], overlaps: [], faults: ['no lab came up'] };
    return { breakage, seen, verdict: verdictOf(seen), seconds: 0 };
  }
  const began = performance.now();
  const seen = await look(lab, breakage);
  const seconds = (performance.now() - began) / 1000;
  const words = lab.words();
  const stuck = await attempt(signal, () => lab.reset());
  const all = stuck === undefined ? seen : { ...seen, faults: [...seen.faults, `and it stays so: ${stuck}`] };
  const verdict = verdictOf(all);
  if (verdict.outcome !== breakage.expect)
    say(`${breakage.id}: ${verdict.outcome}\n${verdict.why.join('\n')}\n${words}`);
  if (stuck !== undefined || breakage.fresh === true) await lane.drop();
  return { breakage, seen: all, verdict, seconds };
}

/** Rows that mostly wait have a lane and a lab of their own; so have those that need three nodes. */
const laneOf = (b: Breakage): string => `${b.nodes}${b.waits === true ? ' waiting' : ''}`;

/** One after the other in one lab. */
async function runLane(breakages: readonly Breakage[], c: Campaign): Promise<void> {
  const lane = new LaneLab(c);
  try {
    for (const breakage of breakages) c.done(await runOne(lane, breakage, c));
  } finally {
    await lane.drop();
  }
}

/** Lanes side by side. One that fails ends the campaign, and the others have cleared up by then. */
async function runLanes(breakages: readonly Breakage[], c: Campaign): Promise<void> {
  const lanes = [...new Set(breakages.map(laneOf))].map((lane) => breakages.filter((b) => laneOf(b) === lane));
  const ends = await Promise.allSettled(lanes.map((lane) => runLane(lane, c)));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}

/** Rejects where its signal ends it; nothing runs any more by then. */
export async function runCampaign(breakages: readonly Breakage[], campaign: Campaign): Promise<void> {
  const { say } = campaign;
  const rows: Row[] = [];
  const done = (row: Row): void => {
    rows.push(row);
    campaign.done(row);
    say(`${row.verdict.outcome.padEnd(12)} ${row.seconds.toFixed(1).padStart(6)} s  ${row.breakage.id}`);
  };
  const c = { ...campaign, done };
  await runLanes(breakages, c);
  const again = toRunAgain(rows);
  if (again.length > 0) say(`\nonce more, from nothing: ${again.map((b) => b.id).join(', ')}`);
  else if (!rows.every(isAsExpected)) say('\nso many are not as expected that none is run once more');
  // Each in a lab of its own, with the machine to itself.
  for (const breakage of again) await runLane([breakage], c);
}
