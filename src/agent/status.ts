/**
 * What a node says of itself: the node room's state and the outcome of the last call, as AuditNode.status. Pure.
 * Messages come from checks, and from the API server's own last lines, which the node room keeps back for revisions
 * that hold parts of a Secret.
 */
import type { AuditNodeStatus } from '../api/auditnode.ts';
import type { Finding } from '../api/findings.ts';
import type { ApplyOutcome } from '../node/outcome.ts';
import type { StateFile } from '../node/state-file.ts';

export type Adopted = { readonly flags: readonly string[] };

export type Said = {
  /** The generation of spec that is being carried out. */
  readonly generation: number;
  /** What spec asks for; absent for a removal. */
  readonly digest?: string;
  /** null: it is not one that this version understands. */
  readonly file: StateFile | null;
  /** Of the last call; absent while it runs. */
  readonly outcome?: ApplyOutcome;
  /** The node is not as its revision left it: what is waited for, or why it was stopped (`reason`). */
  readonly drift?: { readonly reason?: string; readonly message: string };
  /** The bundle itself was no good. */
  readonly refused?: readonly Finding[];
  /** What this agent said last. */
  readonly before: AuditNodeStatus;
  readonly version?: string;
  /** Where the other nodes reach its API server. */
  readonly apiServer?: AuditNodeStatus['apiServer'];
  readonly agentVersion: string;
  /** RFC 3339. */
  readonly now: string;
};

const MAX_MESSAGE = 4_000;
const cut = (s: string): string => (s.length > MAX_MESSAGE ? `${s.slice(0, MAX_MESSAGE)}...` : s);

export const sentences = (findings: readonly Finding[]): string =>
  findings
    .filter((f) => f.severity === 'error')
    .map((f) => `${f.message} (${f.code})`)
    .join(' ');

type Failure = Pick<NonNullable<AuditNodeStatus['lastFailure']>, 'reason' | 'message'>;

/** The failure that stops this node from running what is asked; undefined while there is none. */
function failureOf(s: Said): Failure | undefined {
  const because = (reason: string, message: string): Failure => ({ reason, message: cut(message) });
  if (s.refused !== undefined) return because(s.refused[0]?.code ?? 'BundleMalformed', sentences(s.refused));
  if (s.drift?.reason !== undefined) return because(s.drift.reason, s.drift.message);
  switch (s.outcome?.kind) {
    case 'Refused':
      return because(
        s.outcome.findings.find((f) => f.severity === 'error')?.code ?? 'Refused',
        sentences(s.outcome.findings),
      );
    case 'RolledBack':
    case 'Held':
      return s.outcome.failure === null
        ? because('Held', 'this revision was tried before and did not work')
        : because(s.outcome.failure.reason, s.outcome.failure.message);
    case 'StateUnreadable':
      return because('StateUnreadable', "the agent's state file on the node is not one that this version understands");
    case 'Settled':
    case 'NotItsTurn':
    case 'OnHold':
    case 'Interrupted':
    case 'Overtaken':
    case 'DiskFailed':
    case undefined:
      return undefined;
  }
}

function messageOf(s: Said): string | undefined {
  if (s.drift !== undefined) return cut(s.drift.message);
  switch (s.outcome?.kind) {
    case 'OnHold':
      return 'a file HOLD on the node stops the agent; remove it to go on';
    case 'DiskFailed':
      return cut(`a file could not be written: ${s.outcome.message}; it is tried again`);
    case 'NotItsTurn':
      return cut(s.outcome.wait.message);
    case 'Overtaken':
      return `${s.outcome.path} was changed meanwhile; it is planned anew`;
    case 'Settled': {
      const told = s.outcome.findings.map((f) => f.message);
      return told.length === 0 ? undefined : cut(told.join(' '));
    }
    case 'Refused':
    case 'RolledBack':
    case 'Held':
    case 'StateUnreadable':
    case 'Interrupted':
    case undefined:
      return undefined;
  }
}

/** For what its API server is not restarted now, as the controller shows it. */
function waitingOf({ outcome }: Said): AuditNodeStatus['waiting'] {
  if (outcome?.kind !== 'NotItsTurn') return undefined;
  const { reason, node } = outcome.wait;
  return { reason, ...keep('node', node) };
}

/** Digests of the state file: null there is absence here. A file that cannot be read says nothing of either. */
function digestsOf({ file, before }: Said): Pick<AuditNodeStatus, 'current' | 'target' | 'lastKnownGood'> {
  if (file === null) return { ...keep('current', before.current), ...keep('lastKnownGood', before.lastKnownGood) };
  const { state } = file;
  const current =
    state.phase === 'Settled' || state.phase === 'Held'
      ? state.current
      : state.phase === 'RollingBack'
        ? null
        : state.from;
  const target =
    state.phase === 'Installing' || state.phase === 'Probing' || state.phase === 'RollingBack' ? state.to : null;
  return {
    ...(current === null ? {} : { current }),
    ...(target === null ? {} : { target }),
    ...(state.lastGood === null ? {} : { lastKnownGood: state.lastGood }),
  };
}

export function statusOf(s: Said): AuditNodeStatus {
  const failure = failureOf(s);
  const waiting = waitingOf(s);
  const settledPhase = s.file?.state.phase ?? 'Held';
  const busyPhase = waiting !== undefined ? 'Waiting' : s.drift !== undefined ? 'Drifted' : settledPhase;
  const phase = failure !== undefined ? 'Held' : busyPhase;
  const digests = digestsOf(s);
  const settled = phase === 'Settled' || phase === 'Held';
  const unchanged = s.before.current === digests.current && s.before.settledTime !== undefined;
  const settledTime = unchanged ? s.before.settledTime : s.now;
  const message = failure?.message ?? messageOf(s);
  // Of a removal that does not work, the revision that stays.
  const digest = s.digest ?? digests.current;
  return {
    observedGeneration: s.generation,
    phase,
    ...digests,
    ...(settled && s.outcome !== undefined ? { settledTime } : keep('settledTime', s.before.settledTime)),
    ...(message === undefined ? {} : { message }),
    ...keep('waiting', waiting),
    ...(failure === undefined || digest === undefined ? {} : { lastFailure: since(s, { digest, ...failure }) }),
    ...keep('apiServer', s.apiServer ?? s.before.apiServer),
    ...keep('kubernetesVersion', s.version ?? s.before.kubernetesVersion),
    agentVersion: s.agentVersion,
    ...keep('adopted', s.before.adopted),
  };
}

/** The time of a failure is that of its first report. */
function since(s: Said, failure: Failure & { readonly digest: string }): AuditNodeStatus['lastFailure'] {
  const old = s.before.lastFailure;
  const same = old?.digest === failure.digest && old.reason === failure.reason;
  return { ...failure, time: same ? old.time : s.now };
}

const keep = <K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } =>
  (value === undefined ? {} : { [key]: value }) as { [P in K]?: V };
