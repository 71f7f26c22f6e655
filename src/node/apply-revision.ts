/**
 * Makes this node run a revision, alone: without the API, through kills and reboots. Gather, decide, act:
 *   1. a journal that is there is brought to its end first (resume.ts);
 *   2. the target plans, the rules of checks.ts judge; a refusal changes no file;
 *   3. where the API server will restart, its turn is awaited elsewhere (`turn`): not now, and nothing is changed;
 *   4. the journal is written (intent, texts of the manifest before and after), then the revision's files, then the
 *      manifest by rename;
 *   5. the node's own API server is watched until it has proven the revision, or it is rolled back (follow.ts).
 * Disk errors come back as a value; the file that was being written is whole, and the next call goes on from the journal.
 */
import type { Finding } from '../api/findings.ts';
import type { Minor } from '../api/versions.ts';
import { diskCode } from '../host/disk-error.ts';
import type { Digest, Revision } from '../render/types.ts';
import type { NodeState, ProbeRules } from '../rollout/node-state.ts';
import { DEFAULT_RULES } from '../rollout/node-state.ts';
import type { Turn } from '../rollout/turn.ts';
import { parseRecord, recordPath } from '../targets/record.ts';
import type { ServerView } from '../targets/server.ts';
import type { HostChange, HostObserved, Plan } from '../targets/types.ts';
import { applyAll, applyChange, bytesOf } from './apply.ts';
import { keepBefore } from './before-image.ts';
import { CHECKS, runChecks } from './checks.ts';
import type { Check } from './checks.ts';
import { lookForDrift } from './drift.ts';
import { processesBefore } from './facts.ts';
import { follow } from './follow.ts';
import type { Node } from './follow.ts';
import { placeGuard } from './guard-pod.ts';
import type { GuardPod } from './guard-pod.ts';
import type { NodeHost } from './host.ts';
import type { ApplyOutcome } from './outcome.ts';
import type { Place } from './place.ts';
import { roomForLog } from './room.ts';
import { logMarks } from './running.ts';
import { holdPath, readState, writeState } from './state-file.ts';
import type { Journal, StateFile } from './state-file.ts';
import { livingPods } from './stuck-pod.ts';

export type ApplyInput = {
  readonly host: NodeHost;
  readonly spec: Place;
  /** null takes away exactly what was added. */
  readonly to: Revision | null;
  /** Of the running API server; null where it is not known. */
  readonly version: Minor | null;
  readonly rules?: ProbeRules;
  /** Try a revision again that this node went back from. */
  readonly again?: boolean;
  readonly checks?: readonly Check[];
  /** Stands by while the manifest is changed; absent where there is no image to start it from. */
  readonly guard?: GuardPod;
  /** Digests whose folders stay, besides those that this node needs; `All` for who may not write there, or cannot know. */
  readonly keep?: readonly string[] | 'All';
  /**
   * Asked right before the journal is written, and only where the API server will restart: undoing is never asked for.
   * Absent for who needs no leave, such as `patch` on a node by hand.
   */
  readonly turn?: (signal: AbortSignal) => Promise<Turn>;
  /** Told of each new state, for status. */
  readonly onState?: (s: StateFile) => void;
  readonly signal: AbortSignal;
};

/** Runs `act`; a disk's error is a value, the signal's end too, everything else is a bug. */
export async function guarded<T = ApplyOutcome>(signal: AbortSignal, act: () => Promise<T>): Promise<T | ApplyOutcome> {
  try {
    return await act();
  } catch (e) {
    if (signal.aborted) return { kind: 'Interrupted' };
    const code = diskCode(e);
    if (code === null) throw e;
    return { kind: 'DiskFailed', code, message: e instanceof Error ? e.message : code };
  }
}

/** Brings the node to `to`, or says why not. One call at a time for a node. */
export const applyRevision = (input: ApplyInput): Promise<ApplyOutcome> => guarded(input.signal, () => run(input));

export const nodeOf = (input: ResumeInput): Node => ({
  host: input.host,
  spec: input.spec,
  rules: input.rules ?? DEFAULT_RULES,
  onState: input.onState ?? (() => undefined),
  keep: input.keep ?? [],
  signal: input.signal,
});

export type ResumeInput = Omit<ApplyInput, 'to' | 'version'>;

/** Brings a change that is in flight to its end, if there is one: what a process does first when it starts. */
export function resume(input: ResumeInput): Promise<ApplyOutcome> {
  return guarded(input.signal, async () => {
    const { host, spec } = input;
    const file = await readState(host.disk, spec.layout.stateDir);
    if (file === null) return { kind: 'StateUnreadable' };
    return (await follow(nodeOf(input), file)).outcome;
  });
}

async function run(input: ApplyInput): Promise<ApplyOutcome> {
  const { host, spec, to } = input;
  const { stateDir } = spec.layout;
  if ((await host.disk.stat(holdPath(stateDir))) !== null) return { kind: 'OnHold' };
  const found = await readState(host.disk, stateDir);
  if (found === null) return { kind: 'StateUnreadable' };
  const resumed = await follow(nodeOf(input), found);
  if (resumed.file.journal !== null) return resumed.outcome;
  const { state } = resumed.file;
  if (isHeld(state, to) && input.again !== true) return { kind: 'Held', failure: resumed.file.lastFailure };
  return change(input, resumed.file);
}

/** This node went back from exactly this. An inconclusive end blames no revision. */
const isHeld = (state: NodeState, to: Revision | null): boolean =>
  state.phase === 'Held' && state.why !== 'Inconclusive' && state.refused === (to?.digest ?? null);

/** Plans, checks, and starts what the plan says. */
async function change(input: ApplyInput, file: StateFile): Promise<ApplyOutcome> {
  const { host, spec, to } = input;
  const seen = await spec.gather(host.disk, to);
  const plan = await planFor(input, file, seen);
  if ('refused' in plan) return { kind: 'Refused', findings: plan.refused };
  const edited = spec.edited(seen);
  const server = spec.server(seen);
  // What runs already is not judged anew: a disk that its log has filled meanwhile takes nothing back, and no rotated
  // certificate waits for it.
  const runs = !plan.restarts && currentOf(file) === to?.digest;
  if (to !== null && server !== null && !runs) {
    const findings = runChecks(input.checks ?? CHECKS, await checkFacts(input, to, server));
    if (findings.length > 0) return { kind: 'Refused', findings };
  }
  const at = plan.changes.findIndex((c) => 'path' in c && c.path === edited);
  const edit = plan.changes[at];
  const edits = edit?.do === 'WriteFile' || edit?.do === 'RemoveFile';
  if (at < 0 || !edits || !plan.restarts || server === null) {
    const changes = plan.changes.filter((c) => c.do !== 'RestartUnit');
    return settleWithoutRestart(input, file, { changes, findings: plan.findings });
  }
  if (server.restart !== null && host.units === undefined) return { kind: 'Refused', findings: [CANNOT_RESTART] };
  const turn = await input.turn?.(input.signal);
  if (turn?.granted === false) return { kind: 'NotItsTurn', wait: turn };
  // What the turn was waited for may have taken a while; what was planned for is checked again at the rename.
  const made = await journalOf(input, seen, { edit, server, changes: plan.changes });
  const journal = { ...made, ...earlierOf(file, to), ...doubtedOf(file, to) };
  return install(input, file, { journal, findings: plan.findings, before: plan.changes.slice(0, at), edit });
}

/**
 * What was set by hand and looks right is adopted without a restart only where the running process can have read no other
 * policy than the one that is there now. Of what systemd starts nobody can tell.
 */
async function planFor(input: ApplyInput, file: StateFile, seen: HostObserved): Promise<Plan<HostChange>> {
  const { host, spec, to, signal } = input;
  const plan = spec.plan(to, seen);
  if (to === null || 'refused' in plan || plan.restarts || currentOf(file) === to.digest) return plan;
  if (spec.kind !== 'StaticPod') return spec.plan(to, seen, false);
  const look = await lookForDrift({ host, spec, to, base: null, known: null, signal });
  return look.loaded === 'Unsure' ? spec.plan(to, seen, false) : plan;
}

async function checkFacts(input: ApplyInput, to: Revision, server: ServerView): Promise<Parameters<Check>[0]> {
  const { host, version, signal } = input;
  const roomBytes = await roomForLog(host.disk, to);
  const health = await host.probe(server.address, signal);
  return { to, version, server, health, hasCredentials: host.hasCredentials, roomBytes };
}

/** Nothing that the API server would notice: files are put right, the node is where it should be. */
async function settleWithoutRestart(
  input: ApplyInput,
  file: StateFile,
  plan: { readonly changes: readonly HostChange[]; readonly findings: readonly Finding[] },
): Promise<ApplyOutcome> {
  const { host, spec, to } = input;
  const overtaken = await applyAll(host.disk, plan.changes);
  if (overtaken !== null) return { kind: 'Overtaken', path: overtaken.path };
  const current = to?.digest ?? null;
  const { lastGood } = file.state;
  // What the API server already runs with has proven nothing new; a removal leaves nothing to remember.
  const next: StateFile = {
    state: { phase: 'Settled', current, lastGood: to === null ? null : lastGood },
    journal: null,
    lastFailure: file.lastFailure,
    probation: file.state.phase === 'Settled' && file.state.current === current ? file.probation : null,
  };
  if (plan.changes.length > 0 || file.state.phase !== 'Settled' || file.state.current !== current) {
    await writeState(host.disk, spec.layout.stateDir, next);
    input.onState?.(next);
  }
  return { kind: 'Settled', current, restarted: false, findings: plan.findings };
}

type Edit = Extract<HostChange, { do: 'WriteFile' | 'RemoveFile' }>;

const CANNOT_RESTART: Finding = {
  severity: 'error',
  code: 'CannotRestart',
  message:
    'The API server here is restarted by systemd, and this agent cannot reach it: run it as a service on the host, not in a container.',
  path: '',
};

const textOf = (bytes: Uint8Array): string => new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);

/** What the record will say beyond what it says now. */
function madeBy(changes: readonly HostChange[], record: string, now: Uint8Array | null): string[] {
  const change = changes.find((c) => c.do === 'WriteFile' && c.path === record);
  const next = change?.do === 'WriteFile' ? parseRecord(bytesOf(change.after)) : null;
  const before = new Set(now === null ? [] : parseRecord(now)?.made);
  return (next?.made ?? []).filter((d) => !before.has(d));
}

async function journalOf(
  input: ApplyInput,
  seen: HostObserved,
  plan: { readonly edit: Edit; readonly server: ServerView; readonly changes: readonly HostChange[] },
): Promise<Journal> {
  const { host, spec, to } = input;
  const { server, edit } = plan;
  const record = recordPath(spec.manifest, spec.layout);
  const recorded = seen.files.get(record) ?? null;
  const view = await processesBefore(host, server, input.signal);
  const before = seen.files.get(edit.path) ?? null;
  return {
    manifest: edit.path,
    before: before === null ? null : textOf(before.bytes),
    after: edit.do === 'RemoveFile' ? null : textOf(bytesOf(edit.after)),
    ...(server.restart === null ? {} : { restart: 'Due' as const }),
    record: { path: record, before: recorded === null ? null : textOf(recorded.bytes) },
    made: madeBy(plan.changes, record, recorded?.bytes ?? null),
    boot: view === null ? null : { id: view.bootId, at: view.now },
    knownLogs: [...(await logMarks(host, server, input.signal))],
    ...(server.runs.in === 'Pod' ? { pods: [...(await livingPods(host, server.runs))] } : {}),
    timeoutMs: (input.rules ?? DEFAULT_RULES).timeoutMs,
    confidential: to !== null && (to.confidential || to.webhook !== undefined),
  };
}

/** What is on probation is put right: that must not end it. */
function earlierOf(file: StateFile, to: Revision | null): Pick<Journal, 'earlier'> {
  if (file.probation === null || to === null || currentOf(file) !== to.digest) return {};
  const { from, lastGood, journal } = file.probation;
  return { earlier: { from, lastGood, journal } };
}

/** What was doubted once is not doubted again: not after it was committed, and not in a repair of it either. */
function doubtedOf({ lastFailure, probation, ...file }: StateFile, to: Revision | null): Pick<Journal, 'doubted'> {
  const digest = to?.digest ?? null;
  const before = lastFailure?.digest === digest && lastFailure.doubted === true;
  const onProbation =
    probation?.journal.doubted === true && file.state.phase === 'Settled' && file.state.current === digest;
  return before || onProbation ? { doubted: true } : {};
}

type Start = {
  readonly journal: Journal;
  readonly findings: readonly Finding[];
  /** Changes in front of the manifest's. */
  readonly before: readonly HostChange[];
  readonly edit: Edit;
};

const currentOf = (file: StateFile): Digest | null =>
  file.state.phase === 'Settled' || file.state.phase === 'Held' ? file.state.current : null;

/** Intent first, then the files, and last the manifest. */
async function install(input: ApplyInput, file: StateFile, start: Start): Promise<ApplyOutcome> {
  const { host, spec, to } = input;
  const { disk } = host;
  const digest = to?.digest ?? null;
  const intent: StateFile = {
    state: { phase: 'Installing', to: digest, from: currentOf(file), lastGood: file.state.lastGood, since: host.now() },
    journal: start.journal,
    lastFailure: file.lastFailure,
    probation: null,
  };
  await writeState(disk, spec.layout.stateDir, intent);
  input.onState?.(intent);
  const beforeEdit = await applyAll(disk, start.before);
  if (beforeEdit === null) await keepBefore(disk, start.journal);
  const findings = [...start.findings, ...(beforeEdit === null ? await standBy(input, start.journal) : [])];
  const overtaken = beforeEdit ?? (await applyChange(disk, start.edit));
  const followed = await follow(nodeOf(input), intent);
  if (overtaken !== null && followed.file.state.phase === 'Settled') return { kind: 'Overtaken', path: overtaken.path };
  if (followed.outcome.kind !== 'Settled') return followed.outcome;
  // It gave way to somebody who wrote the manifest anew.
  if (followed.outcome.current !== digest) return { kind: 'Overtaken', path: start.journal.manifest };
  if (to === null) return cleanUp(input, findings);
  return { ...followed.outcome, restarted: true, findings };
}

/**
 * The guard is in place before the manifest is touched; without one, whoever reads the outcome is told. None is placed
 * where this host's processes are hidden: it could not see that this process lives, and would act beside it.
 */
async function standBy({ host, spec, guard, to }: ApplyInput, { boot }: Journal): Promise<readonly Finding[]> {
  // Elsewhere the agent is a service that needs no API server to be started: it is its own guard.
  if (spec.kind !== 'StaticPod') return [];
  const change = `${to?.digest.slice(0, 16) ?? 'removal'}-${host.now()}`;
  if (guard !== undefined && boot !== null && (await placeGuard(host.disk, guard, spec, change))) return [];
  const message =
    'No guard stood by while the manifest was changed: after a reboot in that time, only this process could have rolled back.';
  return [{ severity: 'info', code: 'NoGuard', message, path: '' }];
}

/** After a removal: the API server no longer needs our files. */
async function cleanUp(input: ApplyInput, findings: readonly Finding[]): Promise<ApplyOutcome> {
  const { host, spec } = input;
  const plan = spec.plan(null, await spec.gather(host.disk, null));
  if ('changes' in plan) await applyAll(host.disk, plan.changes);
  return { kind: 'Settled', current: null, restarted: true, findings };
}
