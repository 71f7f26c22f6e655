/**
 * Watches a committed revision for a while longer (rules: src/rollout/probation.ts), and goes back to the last known good
 * where the API server keeps falling over. One look every few seconds, never while a change is in flight: who calls this
 * sees to it that nothing else changes the node meanwhile. Called by the agent.
 */
import { diskCode } from '../host/disk-error.ts';
import type { ProcessView } from '../host/processes.ts';
import { PROBATION, probationStep } from '../rollout/probation.ts';
import type { ProbationFacts, ProbationRules } from '../rollout/probation.ts';
import type { ServerView } from '../targets/server.ts';
import { guarded, nodeOf } from './apply-revision.ts';
import type { ResumeInput } from './apply-revision.ts';
import { compareManifest, stampOf } from './facts.ts';
import { beginRollBack, countStarts, editedServer, follow } from './follow.ts';
import { placeGuard } from './guard-pod.ts';
import type { ApplyOutcome } from './outcome.ts';
import { hasFlags, lookAt, processesOf } from './running.ts';
import { holdPath, readState, writeState } from './state-file.ts';
import type { Probation, StateFile } from './state-file.ts';

/** `None`: nothing is on probation. */
export type Looked = { readonly kind: 'None' | 'Watching' | 'Passed' } | ApplyOutcome;

type Glance = { readonly startedAt: number | null; readonly oomKills: number | null };

const runningWith = (view: ProcessView, server: ServerView): number | null =>
  processesOf(view, server).find((p) => hasFlags(p, server))?.startedAt ?? null;

export class ProbationWatch {
  readonly #rules: ProbationRules;
  /** Which probation the rest is about, since when, and from what on it counts. */
  #of = '';
  #counts = '';
  #last: Glance | null = null;
  readonly #starts = new Set<number>();
  #began = 0;
  /** The manifest as it was seen last, and since when. */
  #stamp: string | null = null;
  #stampSince = 0;

  constructor(rules: ProbationRules = PROBATION) {
    this.#rules = rules;
  }

  /** One look, and what has to be done then, to its end. */
  look(input: ResumeInput): Promise<Looked> {
    return guarded<Looked>(input.signal, () => this.#look(input));
  }

  async #look(input: ResumeInput): Promise<Looked> {
    const { host, spec } = input;
    const { stateDir } = spec.layout;
    const file = await readState(host.disk, stateDir);
    if (file === null || file.state.phase !== 'Settled' || file.probation === null) return { kind: 'None' };
    const view = await host.processes();
    const probation = await anchored(input, file.probation, view);
    if (probation !== file.probation) await writeState(host.disk, stateDir, { ...file, probation });
    const facts = await this.#facts(input, probation);
    const step = probationStep(facts, this.#rules);
    if (step.do === 'Wait') return { kind: 'Watching' };
    if (step.do === 'CountAnew') {
      await countAnew(input);
      return { kind: 'Watching' };
    }
    if (step.do === 'End') {
      const passed: StateFile = { ...file, probation: null };
      await writeState(host.disk, stateDir, passed);
      await follow(nodeOf(input), passed);
      return { kind: 'Passed' };
    }
    const node = nodeOf(input);
    const { from: to, lastGood, journal } = probation;
    const back = await beginRollBack(node, { bad: file.state.current, to, lastGood, journal }, step.why);
    node.onState(back);
    if (journal.boot !== null) await standBy(input);
    return (await follow(node, back)).outcome;
  }

  async #facts(input: ResumeInput, probation: Probation): Promise<ProbationFacts> {
    const { host, spec, signal } = input;
    const { journal } = probation;
    const stamp = await stampOf(host.disk, spec, journal.manifest);
    this.#beginWith(probation, stamp, host.ticks());
    const server = await editedServer(input, journal);
    const view = server === null ? await host.processes() : (await lookAt(host, server, signal)).view;
    const startedAt = view === null || server === null ? null : runningWith(view, server);
    if (startedAt !== null) this.#starts.add(startedAt);
    const now: Glance = { startedAt, oomKills: await host.oomKills() };
    const counted = await countStarts(input, journal);
    const logged = counted === null || probation.starts === null ? 0 : counted - probation.starts;
    const around = await spec.view(host.disk, journal.manifest);
    const outOfMemory = wasKilled(this.#last, now);
    this.#last = now;
    const isOurs = compareManifest(await host.disk.read(journal.manifest), journal, around) === 'After';
    const age = view === null || startedAt === null ? 0 : view.now - startedAt;
    return {
      hold: (await host.disk.stat(holdPath(spec.layout.stateDir))) !== null,
      manifest: isOurs ? (stamp === probation.stamp ? 'AsLeft' : 'Touched') : 'NotOurs',
      upMs: Math.min(age, host.ticks() - this.#stampSince),
      crashes: Math.max(logged, this.#starts.size - 1),
      outOfMemory,
      elapsedMs: view !== null && journal.boot !== null ? view.now - journal.boot.at : host.ticks() - this.#began,
    };
  }

  #beginWith({ journal: { boot }, starts, stamp }: Probation, seen: string | null, ticks: number): void {
    const of = `${boot?.id}/${boot?.at}`;
    const counts = `${of}/${starts}/${stamp}`;
    if (this.#of !== of) this.#began = ticks;
    if (this.#stamp !== seen) this.#stampSince = ticks;
    if (this.#counts !== counts) {
      this.#last = null;
      this.#starts.clear();
    }
    [this.#of, this.#counts, this.#stamp] = [of, counts, seen];
  }
}

/** What has ended until now is nobody's fault: somebody touched the manifest, or the agent itself ended the process. */
export async function countAnew(node: Pick<ResumeInput, 'host' | 'spec' | 'signal'>): Promise<void> {
  const { disk } = node.host;
  const { stateDir } = node.spec.layout;
  const file = await readState(disk, stateDir);
  if (file === null || file.state.phase !== 'Settled' || file.probation === null) return;
  const { journal } = file.probation;
  const [starts, stamp] = [await countStarts(node, journal), await stampOf(disk, node.spec, journal.manifest)];
  await writeState(disk, stateDir, { ...file, probation: { ...file.probation, starts, stamp } });
}

/** As with an installation, none where processes are hidden. On a full disk the rollback goes on without a guard: without the rollback there is no API server. */
async function standBy({ host, spec, guard }: ResumeInput): Promise<void> {
  if (guard === undefined || spec.kind !== 'StaticPod') return;
  await placeGuard(host.disk, guard, spec, `back-${host.now()}`).catch((e: unknown) => {
    if (diskCode(e) === null) throw e;
  });
}

/** A reboot ends every process and is no crash: times and counts begin anew with it. */
async function anchored(input: ResumeInput, p: Probation, view: ProcessView | null): Promise<Probation> {
  if (view === null || p.journal.boot === null || p.journal.boot.id === view.bootId) return p;
  const boot = { id: view.bootId, at: view.now };
  return { ...p, journal: { ...p.journal, boot }, starts: await countStarts(input, p.journal) };
}

/** Between two looks the process ended, and the kernel killed something for want of memory. */
const wasKilled = (before: Glance | null, now: Glance): boolean =>
  before !== null &&
  before.startedAt !== null &&
  before.startedAt !== now.startedAt &&
  before.oomKills !== null &&
  now.oomKills !== null &&
  now.oomKills > before.oomKills;
