/**
 * Follows a change that is in flight to its end: asks src/rollout/node-state.ts what to do with the facts of the moment,
 * does it, and writes the new state before it goes on. Starts anywhere: right after the rename, or in the next life of a
 * process that was killed. Called by apply-revision.ts, by resume() of agent and guard, and by probation.ts.
 */
import { diskCode } from '../host/disk-error.ts';
import { installFile, removeFolder } from '../host/install.ts';
import type { PodName } from '../host/pod-logs.ts';
import type { Disk } from '../host/types.ts';
import type { NodeState, ProbeRules, Reason, Step } from '../rollout/node-state.ts';
import { nextStep } from '../rollout/node-state.ts';
import { ROOT_OWNER, sha256 } from '../targets/host-layout.ts';
import type { StaticPodSpec } from '../targets/static-pod.ts';
import { serverView } from '../targets/static-pod/server.ts';
import { revertEdit } from '../targets/static-pod/undo.ts';
import { dropBefore, putBack } from './before-image.ts';
import { compareManifest, Watch } from './facts.ts';
import { removeGuard } from './guard-pod.ts';
import type { NodeHost } from './host.ts';
import type { ApplyOutcome } from './outcome.ts';
import { pruneRevisions } from './prune.ts';
import { writeState } from './state-file.ts';
import type { Failure, Journal, Probation, StateFile } from './state-file.ts';
import { borrowed, returned } from './stuck-pod.ts';

export type Node = {
  readonly host: NodeHost;
  readonly spec: StaticPodSpec;
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
    const facts = await watch.look(node.host, { ...now, stateDir: node.spec.layout.stateDir }, node.signal);
    if (facts?.hold === true) return { file, outcome: { kind: 'OnHold' } };
    const step: Step =
      facts === null
        ? { do: 'RollBack', why: 'NotHealthyInTime' }
        : nextStep(file.state, facts, { ...node.rules, ...limitOf(now.journal) });
    if (step.do === 'Wait') {
      await node.host.sleep(POLL_MS, node.signal);
      continue;
    }
    file = await act(node, now, step);
    watch = new Watch();
    node.onState(file);
  }
  await tidy(node, file);
  return { file, outcome: outcomeOf(file) };
}

const limitOf = ({ timeoutMs }: Journal): Partial<ProbeRules> => (timeoutMs === undefined ? {} : { timeoutMs });

/** Nothing is in flight: the guard goes, whoever left it behind, and so does what nothing comes back to. */
async function tidy(node: Node, file: StateFile): Promise<void> {
  const { disk } = node.host;
  await removeGuard(disk, node.spec.manifest);
  if (file.probation === null) await dropBefore(disk, node.spec.manifest);
  if (node.keep !== 'All') await pruneRevisions(node.host, node.spec, file, node.keep);
}

/** What is in flight has no probation: a newer change ends that of the one before it. */
async function save(node: Node, next: InFlight | Omit<StateFile, 'probation'>): Promise<StateFile> {
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
    case 'RestoreManifest':
      return restore(node, now);
    case 'BorrowUid':
      return borrowUid(node, now);
    case 'EndRollBack':
      return endRollBack(node, now, step.verdict);
  }
}

/** The rename did not happen: the record goes back to what it was, the node to where it was. */
async function abandon(node: Node, { state, journal, lastFailure }: InFlight): Promise<StateFile> {
  await undoFiles(node, journal);
  const current = state.phase === 'Installing' ? state.from : null;
  return save(node, { state: { phase: 'Settled', current, lastGood: state.lastGood }, journal: null, lastFailure });
}

/** From here on it is on probation; a removal is not: what it would go back to is taken away now. */
async function commit(
  node: Node,
  state: Extract<NodeState, { phase: 'Probing' }>,
  journal: Journal,
): Promise<StateFile> {
  const settled: NodeState = { phase: 'Settled', current: state.to, lastGood: state.to };
  const probation = state.to === null ? null : await probationOf(node.host, state, journal);
  const file: StateFile = { state: settled, journal: null, lastFailure: null, probation };
  await writeState(node.host.disk, node.spec.layout.stateDir, file);
  return file;
}

async function probationOf(
  host: NodeHost,
  { from, lastGood }: Extract<NodeState, { phase: 'Probing' }>,
  journal: Journal,
): Promise<Probation> {
  const view = await host.processes();
  const boot = view === null || journal.boot === null ? null : { id: view.bootId, at: view.now };
  return { from, lastGood, journal: { ...journal, boot }, starts: await countStarts(host, journal) };
}

const podOf = (journal: Journal): PodName | null => {
  const server = serverView(new TextEncoder().encode(journal.after));
  return server === null ? null : { namespace: server.namespace, name: server.pod, container: server.container };
};

/** Starts of the container that runs with our edit; null where they cannot be counted. */
export async function countStarts(host: NodeHost, journal: Journal): Promise<number | null> {
  const pod = podOf(journal);
  return pod === null ? null : host.starts(pod, new Set(journal.knownLogs));
}

const HEADS: Readonly<Record<Reason, string>> = {
  CrashLoop: 'kube-apiserver does not stay up',
  NotHealthyInTime: 'kube-apiserver did not become ready in time',
  OutOfMemory: 'kube-apiserver ran out of memory',
  DiskError: 'a file could not be written',
};

/** The API server's own last words are the reason; of a confidential revision they are not repeated. */
async function lastWords(node: Node, journal: Journal, why: Reason): Promise<string> {
  const pod = podOf(journal);
  const words = pod === null ? null : await node.host.lastWords(pod, new Set(journal.knownLogs));
  const head = HEADS[why];
  if (journal.confidential)
    return `${head}. Its last lines are in its log on the node; they may hold parts of a Secret.`;
  return words === null || words.lines.length === 0 ? `${head}.` : `${head}:\n${words.lines.join('\n')}`;
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
 * Decided once and written down, so that a process that is killed now goes on rolling back. Where that cannot be written,
 * the manifest goes back first: a rename needs no space, and the manifest of before says it all to the next life.
 */
export async function beginRollBack(node: Node, back: Back, why: Reason): Promise<StateFile> {
  const { journal, ...digests } = back;
  const time = node.host.now();
  const failure: Failure = { digest: back.bad, reason: why, message: await lastWords(node, journal, why), time };
  const next: NodeState = { phase: 'RollingBack', ...digests, why, since: time };
  // Whether the previous flags run is then told by the flags alone: the kubelet may not have acted yet.
  const boot = journal.boot === null ? null : { ...journal.boot, at: 0 };
  const file: InFlight = { state: next, journal: { ...journal, boot }, lastFailure: failure };
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
  const bytes = await node.host.disk.read(journal.manifest);
  const is = compareManifest(bytes, journal);
  if (bytes === null || (is !== 'After' && is !== 'Borrowed')) return { ...now, probation: null };
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  // First what needs no space; the record follows when the rollback ends.
  if (is === 'After' && (await putBack(node.host.disk, journal))) return { ...now, probation: null };
  if (is === 'Borrowed') return replace(node, { ...now, journal: await sinceNow(node, journal, text) }, bytes);
  // Their edit of ours that cannot be told apart: our last good text is better than an API server that does not start.
  const before = text === journal.after ? journal.before : (revertEdit(text, journal) ?? journal.before);
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
  if (bytes === null || text === null || compareManifest(bytes, now.journal) !== 'Before')
    return { ...now, probation: null };
  return replace(node, { ...now, journal: { ...now.journal, borrowed: text } }, bytes, text);
}

/** Written down first: if the rename is not reached, the manifest still reads as it did, and this is done again. */
async function replace(node: Node, next: InFlight, seen: Uint8Array, text = next.journal.before): Promise<StateFile> {
  const file = await save(node, next);
  await installFile(node.host.disk, {
    path: next.journal.manifest,
    bytes: new TextEncoder().encode(text),
    mode: 0o600,
    owner: ROOT_OWNER,
    guard: (is) => is !== null && sha256(is) === sha256(seen),
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

async function endRollBack(node: Node, now: InFlight, verdict: Reason | 'Inconclusive'): Promise<StateFile> {
  const { state, lastFailure } = now;
  if (state.phase !== 'RollingBack') return { ...now, probation: null };
  // Not healthy after the rollback either: something else is broken, and the revision is not blamed.
  const blamed = verdict === 'Inconclusive' ? null : state.bad;
  await undoFiles(node, now.journal);
  const held: NodeState = { phase: 'Held', current: state.to, lastGood: state.lastGood, refused: blamed, why: verdict };
  const failure = lastFailure === null ? null : { ...lastFailure, reason: verdict };
  return save(node, { state: held, journal: null, lastFailure: failure });
}
