/**
 * What a node remembers between two lives of a process, in one file that is written whole or not at all: its state, and,
 * while a change is in flight, the journal of it. The journal alone decides what a restarted process (or the guard) does.
 * It holds the manifest's texts, and never a policy or a Secret.
 */
import { z } from 'zod';
import { installFile, makeFolder, stagingPath } from '../host/install.ts';
import type { Disk } from '../host/types.ts';
import type { Digest } from '../render/types.ts';
import type { NodeState } from '../rollout/node-state.ts';
import { ROOT_OWNER, sha256 } from '../targets/host-layout.ts';
import type { HostPath } from '../targets/types.ts';

const digest = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .transform((d) => d as Digest);
const optional = digest.nullable();
const reason = z.enum(['CrashLoop', 'NotHealthyInTime', 'OutOfMemory', 'DiskError']);

const state = z.discriminatedUnion('phase', [
  z.object({ phase: z.literal('Settled'), current: optional, lastGood: optional }),
  z.object({ phase: z.literal('Installing'), to: optional, from: optional, lastGood: optional, since: z.number() }),
  z.object({ phase: z.literal('Probing'), to: optional, from: optional, lastGood: optional, since: z.number() }),
  z.object({
    phase: z.literal('RollingBack'),
    bad: optional,
    to: optional,
    lastGood: optional,
    why: reason,
    /** Something else may have been the cause (src/rollout/blame.ts). */
    doubt: z.enum(['StorageAway', 'Rebooted']).optional(),
    since: z.number(),
  }),
  z.object({
    phase: z.literal('Held'),
    current: optional,
    lastGood: optional,
    refused: optional,
    why: z.enum([...reason.options, 'Inconclusive', 'Rescued', 'WebhookFallback']),
  }),
]);

const change = z.object({
  manifest: z.string(),
  /**
   * Texts of the edited file (a manifest, a unit, a drop-in) before and after; null: no such file. After a rollback
   * `before` is what was put back.
   */
  before: z.string().nullable(),
  after: z.string().nullable(),
  /** Of a unit: whether the restart that this phase needs was asked for. */
  restart: z.enum(['Due', 'Done']).optional(),
  /** The target's record as it was, to be put back with the manifest; null where there was none. */
  record: z.object({ path: z.string(), before: z.string().nullable() }).nullable(),
  /** Folders that this change makes: gone again with it, where nothing is in them. */
  made: z.array(z.string()),
  /** When the phase began, in ms since boot, and of which boot: compared with the start of processes. */
  boot: z.object({ id: z.string(), at: z.number() }).nullable(),
  /**
   * Starts of the pod that were seen, in which boot, and how many of them were of boots before it: those have ended with
   * the boot, and did not crash. Absent while there was one at most, in the boot in which the phase began.
   */
  counted: z.object({ boot: z.string(), before: z.number(), seen: z.number() }).optional(),
  /** `before` under the UID of the pod that is in its way, once that was needed (stuck-pod.ts). */
  borrowed: z.string().optional(),
  /** Folders of the pod's logs that were there before. */
  knownLogs: z.array(z.string()),
  /** UIDs of the API server's pods that had processes then: commonly one. */
  pods: z.array(z.string()).optional(),
  /** How long this change may take, in ms: what a later process holds itself to as well. */
  timeoutMs: z.number().optional(),
  /** The revision came from a Secret: the API server's words about it are not repeated. */
  confidential: z.boolean(),
  /** The second try of a revision that was doubted: there is no third. */
  doubted: z.boolean().optional(),
});

const journal = change.extend({
  /** This is a repair, and what it puts right is on probation: what that would go back to. */
  earlier: z.object({ from: optional, lastGood: optional, journal: change }).optional(),
});

/** What is needed to go back from what was committed, while it is on probation. */
const probation = z.object({
  from: optional,
  lastGood: optional,
  /** Of the change that was committed; `boot` is when the probation began. */
  journal: change,
  /** Starts of the API server's container that were counted by then; null where they cannot be counted. */
  starts: z.number().nullable(),
  /** The manifest as it was then (facts.ts): whoever touches it later changes that. */
  stamp: z.string().nullable().optional(),
});

const failure = z.object({
  digest: optional,
  reason: z.string(),
  message: z.string(),
  time: z.number(),
  /** This revision has had its one benefit of the doubt here. */
  doubted: z.boolean().optional(),
});

const file = z.object({
  version: z.literal(1),
  state,
  journal: journal.nullable(),
  lastFailure: failure.nullable(),
  probation: probation.nullable().default(null),
});

export type Journal = Readonly<z.infer<typeof journal>>;
export type Failure = Readonly<z.infer<typeof failure>>;
export type Probation = Readonly<z.infer<typeof probation>>;
export type StateFile = {
  readonly state: NodeState;
  readonly journal: Journal | null;
  readonly lastFailure: Failure | null;
  /** Of `state.current`; null where it has proven itself. */
  readonly probation: Probation | null;
};

export const EMPTY: StateFile = {
  state: { phase: 'Settled', current: null, lastGood: null },
  journal: null,
  lastFailure: null,
  probation: null,
};

export const statePath = (stateDir: HostPath): HostPath => `${stateDir}/state.json`;
export const holdPath = (stateDir: HostPath): HostPath => `${stateDir}/HOLD`;

/** `null`: there is a file that is not ours to understand; nothing may be done then. */
export async function readState(disk: Disk, stateDir: HostPath): Promise<StateFile | null> {
  const bytes = await disk.read(statePath(stateDir));
  if (bytes === null) return EMPTY;
  try {
    const { version: _, ...known } = file.parse(JSON.parse(new TextDecoder().decode(bytes)));
    return known;
  } catch {
    return null;
  }
}

const isEmpty = ({ state, journal, lastFailure, probation }: StateFile): boolean =>
  journal === null &&
  lastFailure === null &&
  probation === null &&
  state.phase === 'Settled' &&
  state.current === null &&
  state.lastGood === null;

/** A node with nothing to remember keeps no file, nor what a failed write of it left. */
async function forget(disk: Disk, stateDir: HostPath): Promise<void> {
  await disk.remove(stagingPath(statePath(stateDir)));
  if ((await disk.read(statePath(stateDir))) === null) return;
  await disk.remove(statePath(stateDir));
  await disk.syncDir(stateDir);
}

export async function writeState(disk: Disk, stateDir: HostPath, s: StateFile): Promise<void> {
  if (isEmpty(s)) return forget(disk, stateDir);
  const bytes = new TextEncoder().encode(`${JSON.stringify({ version: 1, ...s }, null, 2)}\n`);
  const old = await disk.read(statePath(stateDir));
  if (old !== null && sha256(old) === sha256(bytes)) return;
  await makeFolder(disk, stateDir, 0o700, ROOT_OWNER);
  await installFile(disk, { path: statePath(stateDir), bytes, mode: 0o600, owner: ROOT_OWNER, guard: () => true });
}
