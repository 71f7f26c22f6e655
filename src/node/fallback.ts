/**
 * The way back from a webhook that blocks requests: before a revision with such a webhook is installed, its Batch twin is
 * prepared, files and all, so that neither the API nor a byte of disk is needed when the receiver dies. Falling back is an
 * undoing: journalled and guarded as any change, asked of nobody, and not taken back by itself. Called by src/agent/worker.ts.
 *
 * 1. `fallback.json` holds the twin as it would be published, of this revision alone; read as if a stranger had written it.
 * 2. What is about to be done is in it before it is done: a process that is killed in between ends it in its next life.
 * 3. Afterwards the node is Held on the twin, and the blocking revision is not tried again until something changes.
 */
import { z } from 'zod';
import type { Minor } from '../api/versions.ts';
import { installFile, makeFolder } from '../host/install.ts';
import type { Disk } from '../host/types.ts';
import { batchTwin } from '../render/batch-twin.ts';
import { fromBundle } from '../render/bundle/read.ts';
import { toBundle } from '../render/bundle/write.ts';
import type { Digest, Revision } from '../render/types.ts';
import { credentialsDigest } from '../render/webhook/credentials.ts';
import { DEFAULT_RULES } from '../rollout/node-state.ts';
import { isWithin, revisionDir, ROOT_OWNER } from '../targets/host-layout.ts';
import type { HostPath } from '../targets/types.ts';
import { applyAll } from './apply.ts';
import { applyRevision, guarded, nodeOf } from './apply-revision.ts';
import type { ApplyInput, ResumeInput } from './apply-revision.ts';
import { follow } from './follow.ts';
import type { ApplyOutcome } from './outcome.ts';
import { readState, writeState } from './state-file.ts';
import type { StateFile } from './state-file.ts';

export const fallbackPath = (stateDir: HostPath): HostPath => `${stateDir}/fallback.json`;

const hex = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .transform((d) => d as Digest);
const file = z.object({
  version: z.literal(1),
  of: hex,
  twin: hex,
  /** Of the webhook's credentials that the twin was prepared with. */
  credentials: z.string().nullable(),
  /** When it was begun to fall back, in ms since the epoch; null: never. */
  began: z.number().nullable(),
  objects: z.array(z.looseObject({ metadata: z.looseObject({ name: z.string() }) })).max(3),
});
export type Fallback = Readonly<z.infer<typeof file>>;

/** Null: nothing is prepared, or nothing that can be understood. */
export async function readFallback(disk: Disk, stateDir: HostPath): Promise<Fallback | null> {
  const bytes = await disk.read(fallbackPath(stateDir));
  if (bytes === null) return null;
  try {
    return file.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    return null;
  }
}

/** It may hold a Secret: for root alone. */
async function write(disk: Disk, stateDir: HostPath, fallback: Fallback): Promise<void> {
  const bytes = new TextEncoder().encode(`${JSON.stringify(fallback)}\n`);
  await makeFolder(disk, stateDir, 0o700, ROOT_OWNER);
  await installFile(disk, { path: fallbackPath(stateDir), bytes, mode: 0o600, owner: ROOT_OWNER, guard: () => true });
}

/** What runs may still need it: it goes when the node has settled on another revision, or on none. */
export async function forgetFallback(disk: Disk, stateDir: HostPath, current: Digest | null): Promise<void> {
  if ((await disk.read(fallbackPath(stateDir))) === null) return;
  const state = (await readState(disk, stateDir))?.state;
  if (state?.phase !== 'Settled' || state.current !== current) return;
  await disk.remove(fallbackPath(stateDir));
  await disk.syncDir(stateDir);
}

/** The twin, as far as what is prepared can be trusted: checked as any bundle is. */
export function twinIn(fallback: Fallback, version: Minor): Revision | undefined {
  const [bundle, webhook, credentials] = fallback.objects;
  const input = { bundle, webhook, credentials, digest: fallback.twin, versions: [version] };
  return fromBundle(input).revision;
}

type Prepare = Pick<ApplyInput, 'host' | 'spec' | 'signal'> & { readonly to: Revision };

/** Before `to` is installed, and again where its credentials are others. Undefined: all is as it should be. */
export function prepareFallback(input: Prepare): Promise<ApplyOutcome | undefined> {
  return guarded<undefined>(input.signal, async () => {
    const { host, spec, to } = input;
    const { disk } = host;
    const { stateDir } = spec.layout;
    const before = await readFallback(disk, stateDir);
    const twin = batchTwin(to);
    if (twin === undefined) {
      await forgetFallback(disk, spec.layout.stateDir, to.digest);
      return undefined;
    }
    const used = twin.credentials?.reveal();
    const credentials = used === undefined ? null : credentialsDigest(used);
    // Folders that an installation is to make are its own, so that its removal takes them away: files follow it then.
    if ((await disk.stat(spec.layout.revisionsDir)) !== null) await prepareFiles(input, twin);
    if (before?.twin === twin.digest && before.credentials === credentials) return undefined;
    await write(disk, stateDir, {
      version: 1,
      of: to.digest,
      twin: twin.digest,
      credentials,
      began: before?.of === to.digest ? before.began : null,
      objects: toBundle(twin, '-').map((o) => ({ ...o })),
    });
    return undefined;
  });
}

/** Its folder, as its plan makes it; the rest of the plan waits. A plan that is refused is so for the revision too. */
async function prepareFiles({ host, spec }: Prepare, twin: Revision): Promise<void> {
  const plan = spec.plan(twin, await spec.gather(host.disk, twin));
  if ('refused' in plan) return;
  const dir = revisionDir(twin.digest, spec.layout);
  await applyAll(
    host.disk,
    plan.changes.filter(
      (c) => (c.do === 'MakeDir' || c.do === 'WriteFile' || c.do === 'Give') && isWithin(c.path, dir),
    ),
  );
}

/** After a twin that did not come up either: another try may just restart an API server that cannot help it. */
const TRY_AGAIN_MS = 3_600_000;

/** One that was begun and killed, or that a person took back, has shown nothing. */
const failedAt = ({ lastFailure }: StateFile, { twin, began }: Fallback): number | null =>
  lastFailure?.digest === twin ? began : null;

export type Due = { readonly fallback: Fallback; readonly twin: Revision };

/** What would be fallen back to now; undefined where nothing is prepared for what runs, or it was tried just before. */
export async function dueFallback(
  { host, spec }: Pick<ResumeInput, 'host' | 'spec'>,
  version: Minor,
): Promise<Due | undefined> {
  const found = await readState(host.disk, spec.layout.stateDir);
  const fallback = await readFallback(host.disk, spec.layout.stateDir);
  if (found === null || fallback === null || found.journal !== null) return undefined;
  const { state } = found;
  if ((state.phase !== 'Settled' && state.phase !== 'Held') || state.current !== fallback.of) return undefined;
  const failed = failedAt(found, fallback);
  if (failed !== null && host.now() - failed < TRY_AGAIN_MS) return undefined;
  const twin = twinIn(fallback, version);
  return twin === undefined ? undefined : { fallback, twin };
}

export const FALLEN_BACK =
  "the webhook's receiver kept requests waiting, and this API server was not serving for a minute: its webhook is in mode Batch now; another revision, another credential of the webhook, or a new value of the annotation auditconfig.dev/again on this AuditNode tries again";

/**
 * What is stuck does not end when it is asked to: systemd kills it after 90 seconds (TimeoutStopSec=), a kubelet after 30, and only
 * then does the twin start. Whoever gave up before would go back to what hangs.
 */
const STOPS_MS = 240_000;

/** To the twin, and to stay there. `RolledBack`: the API server is not well with it either, and has what it had. */
export async function fallBack(input: Omit<ApplyInput, 'to' | 'turn'>, due: Due): Promise<ApplyOutcome> {
  const { host, spec } = input;
  const begun = await guarded<undefined>(input.signal, async () => {
    await write(host.disk, spec.layout.stateDir, { ...due.fallback, began: host.now() });
    return undefined;
  });
  if (begun !== undefined) return begun;
  // What runs differs by one flag from it: nothing of it is judged anew.
  const { timeoutMs, ...rules } = input.rules ?? DEFAULT_RULES;
  const patient = { ...rules, timeoutMs: Math.max(timeoutMs, STOPS_MS) };
  const outcome = await applyRevision({ ...input, rules: patient, to: due.twin, checks: [], again: true });
  return outcome.kind === 'Settled' ? ((await endFallback(input)) ?? outcome) : outcome;
}

/** Where the twin was begun and runs: the node is held on it. Also what a process does first that was killed in between. */
export function endFallback(input: ResumeInput): Promise<ApplyOutcome | undefined> {
  return guarded<ApplyOutcome | undefined>(input.signal, async () => {
    const { host, spec } = input;
    const { stateDir } = spec.layout;
    const found = await readState(host.disk, stateDir);
    const fallback = await readFallback(host.disk, stateDir);
    if (found === null || fallback === null || fallback.began === null || found.journal !== null) return undefined;
    const { state } = found;
    if (state.phase !== 'Settled' || state.current !== fallback.twin) return undefined;
    const failure = { digest: fallback.of, reason: 'WebhookFallback', message: FALLEN_BACK, time: fallback.began };
    const held: StateFile = {
      state: {
        phase: 'Held',
        current: fallback.twin,
        lastGood: fallback.twin,
        refused: fallback.of,
        why: 'WebhookFallback',
      },
      journal: null,
      lastFailure: failure,
      probation: null,
    };
    await writeState(host.disk, stateDir, held);
    await follow(nodeOf(input), held);
    input.onState?.(held);
    return { kind: 'RolledBack', failure };
  });
}

/** Digests whose folders stay besides: what would be fallen back to. */
export async function keptFor(disk: Disk, stateDir: HostPath): Promise<readonly string[]> {
  const fallback = await readFallback(disk, stateDir);
  return fallback === null ? [] : [fallback.twin];
}
