/**
 * Records every interval in which this node served and did not record what its revision says (rules:
 * src/analysis/gaps.ts), in a file of the state folder, so that neither a restart of the agent nor an API that is away
 * loses one or tells one twice. The process is looked at in /proc whenever another one has taken its place; what proof
 * found comes from proof.ts. An API server that is down serves nothing, which is no gap.
 */
import { z } from 'zod';
import type { AuditNodeStatus, ProofResult } from '../api/auditnode.ts';
import { GAP_REASONS, NO_GAPS, dismiss, hear, reasonOfFlags } from '../analysis/gaps.ts';
import type { Gap, GapReason, Gaps, Heard } from '../analysis/gaps.ts';
import { installFile, makeFolder } from '../host/install.ts';
import type { ProcessId } from '../host/processes.ts';
import type { EventEnd } from '../kube/events.ts';
import { delay } from '../kube/wait.ts';
import { diskCode } from '../host/disk-error.ts';
import type { NodeHost } from '../node/host.ts';
import type { Place } from '../node/place.ts';
import { readState } from '../node/state-file.ts';
import type { StateFile } from '../node/state-file.ts';
import { auditFlagsOf, portOf } from '../targets/audit-flags.ts';
import { ROOT_OWNER, isWithin, sha256 } from '../targets/host-layout.ts';
import { parseRecord, recordPath } from '../targets/record.ts';
import { UNKNOWN_PORT } from '../targets/server.ts';
import type { GapMetrics } from '../telemetry/gap-metrics.ts';
import type { Logger } from '../telemetry/logger.ts';

export type GapOptions = {
  readonly host: NodeHost;
  readonly spec: Place;
  readonly metrics: GapMetrics;
  readonly log: Logger;
  /** For status. */
  readonly report: (gaps: AuditNodeStatus['gaps']) => void;
  /** Tells that one has ended, and later what became of that; false: nobody would hear it now. Asked until it is heard. */
  readonly tell: (gap: Gap, done: (how: EventEnd) => void) => boolean;
};

const LOOK_MS = 2_000;
/** Of what was told and not heard. */
const TELL_AGAIN_MS = 60_000;
/** More would be told by nobody's leave: an object may have 25 events at once. */
const MAX_UNTOLD = 20;

const reason = z.enum(GAP_REASONS);
const open = z.object({ start: z.number(), reason });
const gap = open.extend({ end: z.number() });
const file = z.object({
  version: z.literal(1),
  said: z.object({ process: reason.nullable(), proof: reason.nullable() }),
  open: open.nullable(),
  closed: z.array(gap),
  /** Those of which nobody has heard yet, oldest first. */
  untold: z.array(gap).default([]),
  until: z.number(),
  /** When an event was found last, in ms since 1970. */
  provenAt: z.number().nullable(),
});
type Memory = Omit<z.infer<typeof file>, 'version'>;
const EMPTY: Memory = { ...NO_GAPS, said: { ...NO_GAPS.said }, closed: [], untold: [], provenAt: null };

type Running = ProcessId & { readonly flags: ReadonlyMap<string, string>; readonly startedAt: number };

const PROVEN: Readonly<Record<ProofResult, GapReason | 'Found' | 'Nothing'>> = {
  EventFound: 'Found',
  EventMissing: 'EventMissing',
  WrongLevel: 'WrongLevel',
  LogMissing: 'LogMissing',
  NothingToObserve: 'Nothing',
  NoAnswer: 'Nothing',
  TooBusy: 'Nothing',
};

const timestamp = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

export class GapKeeper {
  readonly #o: GapOptions;
  #known: Running | null = null;
  #memory: Memory | null = null;
  /** What is being told, and when the next may be. */
  readonly #telling = new Set<string>();
  #tellAt = 0;
  /** One change after the other. */
  #queue: Promise<void> = Promise.resolve();

  constructor(options: GapOptions) {
    this.#o = options;
  }

  /** Until the signal aborts. Never throws. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#quietly(async () => {
      const memory = await this.#read();
      this.#o.metrics.open(memory.open !== null);
      this.#tell(memory);
    });
    while (!signal.aborted) {
      await this.look();
      await this.tellAll();
      await delay(LOOK_MS, signal);
    }
    await this.#queue;
  }

  /** Which process runs, if it is another than before; `again`: whichever it is, since the node's state has changed. */
  look(again = false): Promise<void> {
    return this.#quietly(async () => {
      const known = this.#known;
      if (!again && known !== null && (await this.#o.host.lives(known))) return;
      this.#known = await this.#running();
      await this.#judge();
    });
  }

  /** Of what nobody has heard yet, unless that was tried just before. */
  tellAll(): Promise<void> {
    return this.#quietly(async () => {
      const { untold } = await this.#read();
      if (untold.length > 0 && this.#o.host.ticks() >= this.#tellAt) for (const g of untold) this.#tellOf(g);
    });
  }

  /** Once at a time. It is taken from the list when it has been heard, and waits there over the agent's lives. */
  #tellOf(g: Gap): void {
    const key = keyOf(g);
    if (this.#telling.has(key)) return;
    this.#telling.add(key);
    const told = this.#o.tell(g, (how) => {
      this.#telling.delete(key);
      if (how === 'Lost') this.#tellAt = this.#o.host.ticks() + TELL_AGAIN_MS;
      else void this.#quietly(() => this.#heard(key));
    });
    if (!told) this.#telling.delete(key);
  }

  async #heard(key: string): Promise<void> {
    const memory = await this.#read();
    const untold = memory.untold.filter((g) => keyOf(g) !== key);
    if (untold.length === memory.untold.length) return;
    const { host, spec } = this.#o;
    this.#memory = { ...memory, untold };
    await write(host, spec, this.#memory);
  }

  /** What a proof found. */
  proven(result: ProofResult): Promise<void> {
    return this.#quietly(async () => {
      const is = PROVEN[result];
      if (is === 'Nothing') return;
      const now = this.#o.host.now();
      const memory = await this.#read();
      if (is === 'Found')
        await this.#save({ ...memory, provenAt: now }, hear(memory, { by: 'proof', reason: null, from: now }));
      else await this.#save(memory, hear(memory, { by: 'proof', reason: is, from: memory.provenAt ?? now }));
    });
  }

  async #judge(): Promise<void> {
    const { host, spec } = this.#o;
    const state = await readState(host.disk, spec.layout.stateDir);
    if (state === null) return;
    const record = await host.disk.read(recordPath(spec.manifest, spec.layout));
    const promise = promisedBy(state, record !== null);
    const memory = await this.#read();
    if (promise === 'Nothing') {
      await this.#save({ ...memory, provenAt: null }, dismiss(memory, host.now()));
      return this.#forget();
    }
    const running = this.#known;
    if (running === null || promise === 'InFlight') return;
    const adopted = record === null ? '' : await adoptedPolicy(host, spec, record);
    const missing = reasonOfFlags(running.flags, (p) => isWithin(p, spec.layout.revisionsDir) || p === adopted);
    const back = state.state.phase === 'Held' && state.state.current === null;
    const from = back ? Math.max(running.startedAt, state.lastFailure?.time ?? 0) : running.startedAt;
    const why = missing !== null && back ? 'RolledBack' : missing;
    await this.#save(memory, hear(memory, { by: 'process', reason: why, from }));
  }

  /** The newest API server on the manifest's port; on any, where the manifest is none that can be read: it runs all the same. */
  async #running(): Promise<Running | null> {
    const { host, spec } = this.#o;
    const port = (await spec.now(host.disk))?.address.port ?? UNKNOWN_PORT;
    const view = await host.processes();
    const p = view?.apiServers.findLast(({ args }) => port === UNKNOWN_PORT || portOf(args) === port);
    if (view === null || p === undefined) return null;
    const startedAt = host.now() - (view.now - p.startedAt);
    return { pid: p.pid, start: p.startedAt, boot: view.bootId, flags: auditFlagsOf(p.args), startedAt };
  }

  /** Written down before it is told, so that nothing is told twice. */
  async #save(memory: Memory, { gaps, ended }: Heard): Promise<void> {
    const { host, spec, metrics, log } = this.#o;
    const untold = [...memory.untold, ...ended].slice(-MAX_UNTOLD).map((g) => ({ ...g }));
    const next: Memory = { ...mutable(gaps), untold, provenAt: memory.provenAt };
    const old = await this.#read();
    if (JSON.stringify(next) === JSON.stringify(old)) return;
    await write(host, spec, next);
    this.#memory = next;
    metrics.open(next.open !== null);
    for (const gap of ended) {
      metrics.ended(gap.reason, (gap.end - gap.start) / 1000);
      log.warn({ ...gap, start: timestamp(gap.start), end: timestamp(gap.end) }, 'an interval without audit has ended');
      this.#tellOf(gap);
    }
    if (next.open !== null && old.open === null)
      log.warn({ ...next.open, start: timestamp(next.open.start) }, 'this node does not record what it should');
    if (ended.length > 0 || JSON.stringify(next.open) !== JSON.stringify(old.open)) this.#tell(next);
  }

  /** A node that is audited by nobody's promise keeps no file of ours. */
  async #forget(): Promise<void> {
    const { host, spec } = this.#o;
    this.#memory = EMPTY;
    if ((await host.disk.read(pathOf(spec))) === null) return;
    await host.disk.remove(pathOf(spec));
    await host.disk.syncDir(spec.layout.stateDir);
  }

  #tell({ open: now, closed }: Memory): void {
    const all = [...closed.map((g) => ({ ...g })), ...(now === null ? [] : [now])].slice(-10);
    this.#o.report(
      all.map((g) => ({
        start: timestamp(g.start),
        ...('end' in g && typeof g.end === 'number' ? { end: timestamp(g.end) } : {}),
        reason: g.reason,
      })),
    );
  }

  async #read(): Promise<Memory> {
    if (this.#memory !== null) return this.#memory;
    const { host, spec } = this.#o;
    const bytes = await host.disk.read(pathOf(spec));
    return (this.#memory = bytes === null ? EMPTY : parse(bytes));
  }

  #quietly(act: () => Promise<void>): Promise<void> {
    const done = this.#queue.then(act).catch((e: unknown) => {
      this.#o.log.warn({ errno: diskCode(e) ?? String(e) }, 'intervals without audit cannot be recorded now');
    });
    this.#queue = done;
    return done;
  }
}

const keyOf = ({ start, end, reason: why }: Gap): string => `${why}/${start}/${end}`;

const mutable = ({ said, open: now, closed, until }: Gaps): Omit<Memory, 'provenAt' | 'untold'> => ({
  said: { ...said },
  open: now === null ? null : { ...now },
  closed: closed.map((g) => ({ ...g })),
  until,
});

/** `Nothing`: none of ours was ever proven here, or it was removed. `InFlight`: the first one is just being installed. */
function promisedBy({ state, journal }: StateFile, hasRecord: boolean): 'Audit' | 'Nothing' | 'InFlight' {
  if (journal !== null) {
    const from = state.phase === 'Installing' || state.phase === 'Probing' ? state.from : null;
    return from === null ? 'InFlight' : 'Audit';
  }
  if (state.phase === 'Held') return 'Audit';
  return state.phase === 'Settled' && (state.current !== null || hasRecord) ? 'Audit' : 'Nothing';
}

/** A policy file that was there before us, and is used as it stands. */
async function adoptedPolicy({ disk }: NodeHost, spec: Place, bytes: Uint8Array): Promise<string> {
  const record = parseRecord(bytes);
  const server = record === null ? null : (await spec.view(disk, record.manifest))(record.after);
  return server?.auditFlags.get('--audit-policy-file') ?? '';
}

const pathOf = (spec: Pick<Place, 'layout'>): string => `${spec.layout.stateDir}/gaps.json`;

function parse(bytes: Uint8Array): Memory {
  try {
    const { version: _, ...memory } = file.parse(JSON.parse(new TextDecoder().decode(bytes)));
    return memory;
  } catch {
    return EMPTY;
  }
}

async function write({ disk }: NodeHost, spec: Pick<Place, 'layout'>, memory: Memory): Promise<void> {
  const bytes = new TextEncoder().encode(`${JSON.stringify({ version: 1, ...memory }, null, 2)}\n`);
  const old = await disk.read(pathOf(spec));
  if (old !== null && sha256(old) === sha256(bytes)) return;
  await makeFolder(disk, spec.layout.stateDir, 0o700, ROOT_OWNER);
  await installFile(disk, { path: pathOf(spec), bytes, mode: 0o600, owner: ROOT_OWNER, guard: () => true });
}
