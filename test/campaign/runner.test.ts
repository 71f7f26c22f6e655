/** What the runner makes of rows, without any API server: a lab that only counts stands in for the real one. */
import { expect, it } from 'vitest';
import type { Lab } from './lab.ts';
import { runCampaign } from './runner.ts';
import type { Breakage } from './types.ts';
import { isGreen, summaryOf } from './verdict.ts';
import type { Row } from './verdict.ts';

/** Labs that were started and not stopped, and how many there were. */
const labs = { open: 0, all: 0 };

function countingLab(signal: AbortSignal): Lab {
  labs.open++;
  labs.all++;
  const nothing = (): Promise<void> => Promise.resolve();
  const lab = {
    signal,
    nodes: [{ name: 'cp-1' }],
    meter: { seconds: () => 2, overlaps: [] },
    evidence: undefined,
    mark: nothing,
    untilAudited: nothing,
    reset: nothing,
    faults: () => Promise.resolve([]),
    words: () => '',
    stop: () => Promise.resolve(void labs.open--),
  };
  return lab as unknown as Lab;
}

/** Heals in the attempts that are told. */
function breakage(id: string, heals: (attempt: number) => boolean, run?: () => Promise<void>): Breakage {
  let attempt = 0;
  const fails = (): Promise<void> => (heals(++attempt) ? Promise.resolve() : Promise.reject(new Error('not in 300 s')));
  return { id, kind: 'concurrency', title: id, nodes: 1, expect: 'healed', run: run ?? fails };
}

async function campaign(asked: readonly Breakage[], stop = new AbortController()) {
  Object.assign(labs, { open: 0, all: 0 });
  const rows: Row[] = [];
  const ended = await runCampaign(asked, {
    say: () => undefined,
    done: (row) => rows.push(row),
    startLab: (_nodes, signal) => Promise.resolve(countingLab(signal)),
    signal: stop.signal,
  }).catch((e: unknown) => e);
  const summary = summaryOf({ asked, rows, minutes: 1, stopped: stop.signal.aborted }).split('\n');
  return { rows, ended, summary, outcomes: rows.map((r) => `${r.breakage.id} ${r.verdict.outcome}`) };
}

const always = (): boolean => true;
const never = (): boolean => false;
const second = (attempt: number): boolean => attempt === 2;

it('a row that is lost is run once more at the end, in a new lab, and both outcomes are told', async () => {
  const asked = [breakage('once', second), breakage('good', always)];
  const { outcomes, summary, rows } = await campaign(asked);
  expect(outcomes).toEqual(['once lost', 'good healed', 'once healed']);
  expect(labs).toEqual({ open: 0, all: 2 });
  expect(isGreen(asked, rows)).toBe(true);
  expect(summary[0]).toBe('run twice: row once: lost (not in 300 s), then healed');
  expect(summary.at(-1)).toMatch(/^2 ways: 2 as expected \(2 healed, 0 refused, 0 inconclusive\), 0 not; 1 run twice;/);
});

it('what is lost twice fails', async () => {
  const asked = [breakage('bad', never), breakage('good', always)];
  const { outcomes, summary, rows } = await campaign(asked);
  expect(outcomes).toEqual(['bad lost', 'good healed', 'bad lost']);
  expect(isGreen(asked, rows)).toBe(false);
  expect(summary[0]).toContain('run twice: row bad: lost (not in 300 s), then lost');
  expect(summary.at(-1)).toMatch(/^2 ways: 1 as expected .* 1 not; 1 run twice;/);
});

it('more than three lost rows are no chance: none is run again', async () => {
  const asked = ['a', 'b', 'c', 'd'].map((id) => breakage(id, second));
  const { outcomes, rows } = await campaign(asked);
  expect(outcomes).toEqual(['a lost', 'b lost', 'c lost', 'd lost']);
  expect(isGreen(asked, rows)).toBe(false);
});

it('a campaign that is stopped keeps the rows so far, stops its labs, and says which ways were not run', async () => {
  const stop = new AbortController();
  const stopping = (): Promise<void> => {
    stop.abort();
    return Promise.reject(stop.signal.reason as Error);
  };
  const asked = [breakage('first', always), breakage('second', always, stopping), breakage('third', always)];
  const { outcomes, ended, summary, rows } = await campaign(asked, stop);
  expect(outcomes).toEqual(['first healed']);
  expect(ended).toBe(stop.signal.reason);
  expect(labs.open).toBe(0);
  expect(isGreen(asked, rows)).toBe(false);
  expect(summary).toContain('not run: second, third');
  expect(summary.at(-1)).toMatch(/^STOPPED from outside: 3 ways: 1 as expected .* 2 not run;/);
});
