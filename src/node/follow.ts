/**
 * Follows a change that is in flight to its end: asks src/rollout/node-state.ts what to do with the facts of the moment,
 * does it, and writes the new state before it goes on. Starts anywhere: right after the rename, or in the next life of a
 * process that was killed. Called by apply-revision.ts, by resume() of agent and guard, and by probation.ts.
 */
import { diskCode } from '../host/disk-error.ts';
import { installFile, removeFile, removeFolder } from '../host/install.ts';
import type { Disk } from '../host/types.ts';
import type { NodeState, ProbeRules, Reason, Step } from '../rollout/node-state.ts';
import { nextStep } from '../rollout/node-state.ts';
import { ROOT_OWNER, sha256 } from '../targets/host-layout.ts';
import type { ServerView } from '../targets/server.ts';
import type { HostPath } from '../targets/types.ts';
import { dropBefore, putBack } from './before-image.ts';
import { compareManifest, stampOf, wantedServer, Watch } from './facts.ts';
import { failureNow, judged } from './failure.ts';
import { removeGuard } from './guard-pod.ts';
import type { NodeHost } from './host.ts';
import type { ApplyOutcome } from './outcome.ts';
import type { Place } from './place.ts';
import { pruneRevisions } from './prune.ts';
import { dueRestart, askRestart } from './restart-unit.ts';
import { startsOf } from './running.ts';
import { writeState } from './state-file.ts';
import type { Failure, Journal, Probation, StateFile } from './state-file.ts';
import { borrowed, returned } from './stuck-pod.ts';

export type Node = {
  readonly host: NodeHost;
  readonly spec: Place;
  readonly rules: ProbeRules;
  readonly onState: (s: StateFile) => void;
  /** Digests whose folders stay, besides those that this node needs; `All` for who may not write there, or cannot know. */
  readonly keep: readonly string[] | 'All';
  readonly signal: AbortSignal;
};

export type Followed = { readonly file: StateFile; readonly outcome: ApplyOutcome };

const POLL_MS = 250;

type InFlight = { readonly state: NodeState; readonly journal: Journal; readonly lastFailure: Failure | null };

const outcomeOf = (file: StateFile): ApplyOutcome => {
  if (file.state.phase === 'Held')
    return file.lastFailure === null
      ? { kind: 'Held', failure: null }
      : { kind: 'RolledBack', failure: file.lastFailure };
  const current = file.state.phase === 'Settled' ? file.state.current : null;
  return { kind: 'Settled', current, restarted: false, findings: [] };
};

/** Until nothing is in flight any more. Throws what the disk throws, and the signal's reason; the journal stays then. */
export async function follow(node: Node, from: StateFile): Promise<Followed> {
  let file = from;
  let watch = new Watch();
  while (file.journal !== null) {
    const now: InFlight = { state: file.state, journal: file.journal, lastFailure: file.lastFailure };
    const facts = await watch.look(node.host, { ...now, spec: node.spec }, node.signal);
    if (facts?.hold === true) return { file, outcome: { kind: 'OnHold' } };
    const step: Step =
      facts === null
        ? { do: 'RollBack', why: 'NotHealthyInTime' }
        : nextStep(file.state, facts, { ...node.rules, ...limitOf(now.journal) });
    if (step.do === 'Wait') {
      const counted = watch.news(now.journal);
      if (facts !== null && dueRestart(now, facts)) file = await restart(node, now, facts.process === 'New');
      else if (counted !== undefined) file = await trySave(node, { ...now, journal: { ...now.journal, counted } });
      await node.host.sleep(POLL_MS, node.signal);
      continue;
    }
    file = await act(node, now, step);
    watch = new Watch();
    node.onState(file);
  }
  await tidy(node, file, from.journal?.manifest);
  return { file, outcome: outcomeOf(file) };
}

const limitOf = ({ timeoutMs }: Journal): Partial<ProbeRules> => (timeoutMs === undefined ? {} : { timeoutMs });

/** Asked for once a phase; where systemd does not take it, it is asked again, until the time of the phase is over. */
async function restart(node: Node, now: InFlight, isNew: boolean): Promise<StateFile> {
  const view = await node.spec.view(node.host.disk, now.journal.manifest);
  const done = isNew || (await askRestart(node.host, wantedServer(now.state, now.journal, view), node.signal));
  return done ? trySave(node, { ...now, journal: { ...now.journal, restart: 'Done' } }) : { ...now, probation: null };
}

/** Nothing is in flight: the guard goes, whoever left it behind, and so does what nothing comes back to. */
async function tidy(node: Node, file: StateFile, changed?: HostPath): Promise<void> {
  const { disk } = node.host;
  if (node.spec.kind === 'StaticPod') await removeGuard(disk, node.spec.manifest);
  if (file.probation === null) await dropBefore(disk, changed ?? node.spec.manifest);
  if (node.keep !== 'All') await pruneRevisions(node.host, node.spec, file, node.keep);
}

type Next = Omit<StateFile, 'probation'> & Partial<Pick<StateFile, 'probation'>>;

/** What is in flight has no probation: a newer change ends that of the one before it, unless it is a repair. */
async function save(node: Node, next: InFlight | Next): Promise<StateFile> {
  const file: StateFile = { probation: null, ...next };
  await writeState(node.host.disk, node.spec.layout.stateDir, file);
  return file;
}

/** As save, where what is written down is only of use to the next life: a full disk stops nothing. */
async function trySave(node: Node, next: InFlight): Promise<StateFile> {
  try {
    return await save(node, next);
  } catch (e) {
    if (diskCode(e) === null) throw e;
    return { probation: null, ...next };
  }
}

/** Does a step, and gives the state that follows from it, which is on disk by then. */
async function act(node: Node, now: InFlight, step: Step): Promise<StateFile> {
  const { state, journal, lastFailure } = now;
  switch (step.do) {
    case 'Rest':
    case 'Wait':
      return save(node, { state, journal: null, lastFailure });
    case 'Abandon':
      return abandon(node, now);
    case 'StartProbing':
      return state.phase === 'Installing'
        ? trySave(node, { state: { ...state, phase: 'Probing' }, journal, lastFailure })
        : { ...now, probation: null };
    case 'Commit':
      return state.phase === 'Probing' ? commit(node, state, journal) : { ...now, probation: null };
    case 'RollBack':
      return startRollBack(node, now, step.why);
    case 'GiveWay':
      return giveWay(node, now, step.rescue);
    case 'RestoreManifest':
      return restore(node, now);
    case 'BorrowUid':
      return borrowUid(node, now);
    case 'EndRollBack':
      return endRollBack(node, now, step);
  }
}

/** The rename did not happen: the record goes back to what it was, the node to where it was. */
async function abandon(node: Node, { state, journal, lastFailure }: InFlight): Promise<StateFile> {
  await undoFiles(node, journal);
  const current = state.phase === 'Installing' ? state.from : null;
  const settled: NodeState = { phase: 'Settled', current, lastGood: state.lastGood };
  return save(node, { state: settled, journal: null, lastFailure, probation: interrupted(journal) });
}

/** A probation that a repair came into, and that goes on: what is there now is not as it was left. */
const interrupted = ({ earlier }: Journal): Probation | null =>
  earlier === undefined ? null : { ...earlier, starts: null, stamp: null };

const RESCUED =
  'somebody changed the manifest while the API server was not getting ready with this revision: that may be a rescue, and is not undone';

/** The record stays: if a part of our edit is in what they wrote, it tells what was there before us. */
async function giveWay(node: Node, { state, journal, lastFailure }: InFlight, rescue: boolean): Promise<StateFile> {
  if (state.phase !== 'Probing') return { state, journal, lastFailure, probation: null };
  const { from: current, lastGood, to } = state;
  const settled: NodeState = { phase: 'Settled', current, lastGood };
  if (!rescue) return save(node, { state: settled, journal: null, lastFailure, probation: interrupted(journal) });
  const failure: Failure = { digest: to, reason: 'Rescued', message: RESCUED, time: node.host.now() };
  const held: NodeState = { phase: 'Held', current, lastGood, refused: to, why: 'Rescued' };
  return save(node, { state: held, journal: null, lastFailure: failure });
}

/** From here on it is on probation; a removal is not: what it would go back to is taken away now. */
async function commit(
  node: Node,
  state: Extract<NodeState, { phase: 'Probing' }>,
  journal: Journal,
): Promise<StateFile> {
  const settled: NodeState = { phase: 'Settled', current: state.to, lastGood: state.to };
  const probation = state.to === null ? null : await probationOf(node, state, journal);
  const file: StateFile = { state: settled, journal: null, lastFailure: null, probation };
  await writeState(node.host.disk, node.spec.layout.stateDir, file);
  return file;
}

async function probationOf(
  node: Node,
  { from, lastGood }: Extract<NodeState, { phase: 'Probing' }>,
  { earlier, ...journal }: Journal,
): Promise<Probation> {
  const view = await node.host.processes();
  const boot = view === null || journal.boot === null ? null : { id: view.bootId, at: view.now };
  const stamp = await stampOf(node.host.disk, node.spec, journal.manifest);
  const starts = await countStarts(node, journal);
  const probation: Probation = { from, lastGood, journal: { ...journal, boot }, starts, stamp };
  return earlier === undefined ? probation : carriedOn(node, probation, earlier);
}

/**
 * A repair proves nothing about the revision that was on probation. That goes on, and back to what was there before the
 * revision, with all that others wrote since: not to what was repaired.
 */
async function carriedOn(
  { host, spec }: Node,
  repair: Probation,
  { from, lastGood, journal: was }: NonNullable<Journal['earlier']>,
): Promise<Probation> {
  const { after, boot } = repair.journal;
  const before = after === null ? undefined : await spec.revert(host.disk, after, was);
  if (before === undefined) return repair;
  const since = was.boot?.id === boot?.id ? was.boot : boot;
  const made = [...new Set([...was.made, ...repair.journal.made])];
  return { ...repair, from, lastGood, journal: { ...repair.journal, before, record: was.record, made, boot: since } };
}

/** The API server that runs with our edit. */
export async function editedServer(
  { host, spec }: Pick<Node, 'host' | 'spec'>,
  j: Journal,
): Promise<ServerView | null> {
  return (await spec.view(host.disk, j.manifest))(j.after);
}

/** Starts of what runs with our edit; null where they cannot be counted. */
export async function countStarts(
  node: Pick<Node, 'host' | 'spec' | 'signal'>,
  journal: Journal,
): Promise<number | null> {
  const server = await editedServer(node, journal);
  return server === null ? null : startsOf(node.host, server, journal.knownLogs, node.signal);
}

async function startRollBack(node: Node, now: InFlight, why: Reason): Promise<StateFile> {
  const { state, journal } = now;
  if (state.phase !== 'Probing' && state.phase !== 'Installing') return { ...now, probation: null };
  return beginRollBack(node, { bad: state.to, to: state.from, lastGood: state.lastGood, journal }, why);
}

type Back = Pick<Extract<NodeState, { phase: 'RollingBack' }>, 'bad' | 'to' | 'lastGood'> & {
  readonly journal: Journal;
};

/**
 * Of a static pod, whether the previous flags run is told by the flags alone: the kubelet may not have acted yet. A unit is
 * restarted in any case, and only a process that began after that is the one of before.
 */
async function backwards({ host }: Node, journal: Journal): Promise<Journal> {
  if (journal.restart === undefined) return { ...journal, boot: journal.boot && { ...journal.boot, at: 0 } };
  const view = await host.processes();
  return { ...journal, restart: 'Due', boot: view === null ? null : { id: view.bootId, at: view.now } };
}

/**
 * Decided once and written down, so that a process that is killed now goes on rolling back. Where that cannot be written,
 * the manifest goes back first: a rename needs no space, and the manifest of before says it all to the next life.
 */
export async function beginRollBack(node: Node, back: Back, why: Reason): Promise<StateFile> {
  const { journal, ...digests } = back;
  const fallen = { bad: back.bad, why, journal, server: await editedServer(node, journal) };
  const { failure, doubt } = await failureNow(node.host, fallen, node.signal);
  const doubtful = doubt === null ? {} : { doubt };
  const next: NodeState = { phase: 'RollingBack', ...digests, why, ...doubtful, since: failure.time };
  const file: InFlight = { state: next, journal: await backwards(node, journal), lastFailure: failure };
  try {
    return await save(node, file);
  } catch (e) {
    if (diskCode(e) === null || !(await putBack(node.host.disk, journal))) throw e;
    return { probation: null, ...file };
  }
}

/** Our edit out of the manifest: the text before it where nobody came between, else only what is ours. */
async function restore(node: Node, now: InFlight): Promise<StateFile> {
  const { journal } = now;
  const { disk } = node.host;
  const bytes = await disk.read(journal.manifest);
  const is = compareManifest(bytes, journal, await node.spec.view(disk, journal.manifest));
  if (is !== 'After' && is !== 'Borrowed') return { ...now, probation: null };
  const text = bytes === null ? null : new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  // First what needs no space; the record follows when the rollback ends.
  if (is === 'After' && (await putBack(disk, journal))) return { ...now, probation: null };
  if (is === 'Borrowed' && text !== null)
    return replace(node, { ...now, journal: await sinceNow(node, journal, text) }, bytes);
  // Their edit of ours that cannot be told apart: our last good text is better than an API server that does not start.
  const reverted = text === null || text === journal.after ? undefined : await node.spec.revert(disk, text, journal);
  const before = reverted === undefined ? journal.before : reverted;
  await undoFiles(node, journal);
  return replace(node, { ...now, journal: { ...journal, before } }, bytes);
}

/** A process that began under the borrowed UID says nothing about the manifest as it was. */
async function sinceNow({ host }: Node, journal: Journal, text: string): Promise<Journal> {
  const view = await host.processes();
  const boot = view === null ? journal.boot : { id: view.bootId, at: view.now };
  return { ...journal, before: returned(text, journal), boot };
}

/** The restored pod takes the place of the one that is in its way. Where that cannot be, it goes on waiting. */
async function borrowUid(node: Node, now: InFlight): Promise<StateFile> {
  const bytes = await node.host.disk.read(now.journal.manifest);
  const text = await borrowed(node.host, now.journal);
  const view = await node.spec.view(node.host.disk, now.journal.manifest);
  if (bytes === null || text === null || compareManifest(bytes, now.journal, view) !== 'Before')
    return { ...now, probation: null };
  return replace(node, { ...now, journal: { ...now.journal, borrowed: text } }, bytes, text);
}

/** Written down first: if the rename is not reached, the manifest still reads as it did, and this is done again. */
async function replace(
  node: Node,
  next: InFlight,
  seen: Uint8Array | null,
  text = next.journal.before,
): Promise<StateFile> {
  const file = await save(node, next);
  const guard = (is: Uint8Array | null): boolean =>
    is === null ? seen === null : seen !== null && sha256(is) === sha256(seen);
  const path = next.journal.manifest;
  if (text === null) await removeFile(node.host.disk, path, guard);
  else
    await installFile(node.host.disk, {
      path,
      bytes: new TextEncoder().encode(text),
      mode: 0o600,
      owner: ROOT_OWNER,
      guard,
    });
  return file;
}

/** What was there before: the record, and folders that this change made, where nothing is in them. */
async function undoFiles(node: Node, journal: Journal): Promise<void> {
  const { disk } = node.host;
  const made = [...journal.made].sort((a, b) => b.length - a.length);
  for (const dir of made) await removeFolder(disk, dir);
  if (journal.record !== null) await restoreRecord(disk, journal.record);
}

async function restoreRecord(disk: Disk, record: NonNullable<Journal['record']>): Promise<void> {
  if (record.before === null) {
    if ((await disk.read(record.path)) === null) return;
    await disk.remove(record.path);
    await disk.syncDir(record.path.slice(0, record.path.lastIndexOf('/')));
    return;
  }
  const bytes = new TextEncoder().encode(record.before);
  const is = await disk.read(record.path);
  if (is !== null && sha256(is) === sha256(bytes)) return;
  await installFile(disk, { path: record.path, bytes, mode: 0o600, owner: ROOT_OWNER, guard: () => true });
}

async function endRollBack(
  node: Node,
  { state, journal, lastFailure }: InFlight,
  step: Extract<Step, { do: 'EndRollBack' }>,
): Promise<StateFile> {
  if (state.phase !== 'RollingBack') return { state, journal, lastFailure, probation: null };
  const { verdict } = step;
  // Something else is broken, or may have been: the revision is not blamed.
  const blamed = verdict === 'Inconclusive' ? null : state.bad;
  await undoFiles(node, journal);
  const held: NodeState = { phase: 'Held', current: state.to, lastGood: state.lastGood, refused: blamed, why: verdict };
  return save(node, { state: held, journal: null, lastFailure: judged(lastFailure, step, journal) });
}
