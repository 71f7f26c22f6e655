/**
 * Holds a revision in place: watches what starts the API server and the files that its flags name, bears witness to edits,
 * and says what is to be done about them (rules: src/rollout/drift.ts). It changes nothing but its own memory; the worker
 * acts. No API server is asked for anything but its health, by its own node, when something differs.
 */
import { diskCode } from '../host/disk-error.ts';
import { firstTimeFrom } from '../host/log-files.ts';
import { FolderWatch } from '../host/watch-folders.ts';
import { delay, scope } from '../kube/wait.ts';
import { lookForDrift } from '../node/drift.ts';
import type { DriftLook } from '../node/drift.ts';
import { forgetDrift, readDrift, writeDrift } from '../node/drift-file.ts';
import type { DriftMemory } from '../node/drift-file.ts';
import { EditWitness, TICK_MS } from '../node/edits.ts';
import { guardPath } from '../node/guard-pod.ts';
import type { NodeHost } from '../node/host.ts';
import type { Place } from '../node/place.ts';
import { readState } from '../node/state-file.ts';
import type { Revision } from '../render/types.ts';
import { beforeInstall, driftStep } from '../rollout/drift.ts';
import type { DriftRules, DriftStep, Edited } from '../rollout/drift.ts';
import { baseOf, parentOf, logFileOf } from '../targets/host-layout.ts';
import type { Logger } from '../telemetry/logger.ts';
import { timeIn } from './retention.ts';

export type DriftOptions = {
  readonly host: NodeHost;
  readonly spec: Place;
  /** Where the host's file system is. */
  readonly root: string;
  readonly rules: DriftRules;
  readonly log: Logger;
  /** Something was changed, or it is time to look again. */
  readonly onChange: () => void;
};

export type Judged = {
  readonly step: DriftStep;
  /** What differs: `-` is there, `+` is wanted. */
  readonly diff: readonly string[];
  /** Of the process that would be ended. */
  readonly process: DriftLook['process'];
  /** This stop was not said before. */
  readonly isNew: boolean;
  /** The webhook's certificate or token on disk is not the one that it should be. */
  readonly credentials: DriftLook['credentials'];
  /** A person wants a revision tried again that this node went back from. */
  readonly again: boolean;
};

const JUST_NOW: DriftStep = { do: 'Wait', why: 'Settling', afterMs: 100 };

const NOTHING: Judged = {
  step: { do: 'Nothing' },
  diff: [],
  process: null,
  isNew: false,
  again: false,
  credentials: 'Same',
};

/** Whatever inotify misses is found then. Only files of this node are read. */
const VERIFY_MS = 5 * 60_000;
/** An event this long before an edit shows that the API server served then. */
const SERVED_MS = 10_000;

export class DriftKeeper {
  readonly #o: DriftOptions;
  readonly #witness: EditWitness;
  /** The edited file as it was when nothing differed from the revision of that digest. */
  #base: { readonly digest: string; readonly text: string | null } | null = null;
  /** The state that a person told us to put right all the same. */
  #forgiven: string | null = null;
  #dirty = false;
  #wake: (() => void) | undefined;

  constructor(options: DriftOptions) {
    this.#o = options;
    this.#witness = new EditWitness(options.host, options.spec);
  }

  /** Watches until the signal aborts. Never throws: drift must not stop an agent. */
  async run(signal: AbortSignal): Promise<void> {
    const { root, log, onChange } = this.#o;
    const folders = new FolderWatch(root, (dir, name) => this.#told(dir, name));
    const quietly = async (act: () => Promise<void>): Promise<void> =>
      act().catch((e: unknown) => log.warn({ errno: diskCode(e) ?? String(e) }, 'the node’s files cannot be watched'));
    const ticks = setInterval(() => void this.tick(signal).catch(() => undefined), TICK_MS);
    try {
      await quietly(async () => {
        folders.watch(await this.#folders());
        await this.begin(signal);
      });
      while (!signal.aborted) {
        if (!this.#dirty) await this.#pause(signal);
        if (signal.aborted) return;
        this.#dirty = false;
        await quietly(async () => {
          await this.see(signal);
          folders.watch(await this.#folders());
        });
        onChange();
      }
    } finally {
      clearInterval(ticks);
      folders.close();
    }
  }

  /** A look at the process, every other second (src/node/edits.ts). Throws what the disk says. */
  tick(signal: AbortSignal): Promise<void> {
    return this.#witness.tick(signal);
  }

  /** What is there now: nobody knows when it was made. */
  begin(signal: AbortSignal): Promise<void> {
    return this.#witness.begin(signal);
  }

  /** A file was changed just now. */
  see(signal: AbortSignal): Promise<void> {
    return this.#witness.see(signal);
  }

  /** The host for whoever follows a change: what is found ready there is known here at once. */
  listening(): NodeHost {
    return this.#witness.listening(this.#o.host);
  }

  /** A node has settled on `to`. After a restart its process is known to have read what was installed. */
  async settled(to: Revision | null, restarted: boolean, signal: AbortSignal): Promise<void> {
    const { host, spec } = this.#o;
    if (to === null) return forgetDrift(host.disk, spec.layout.stateDir);
    const look = await this.#look(to, null, signal);
    if (look.kind !== 'None') return;
    this.#base = { digest: to.digest, text: look.text };
    if (look.process === null) return;
    await this.#witness.proves(look.process);
    // Of one that was only found in place, the files tell.
    if (look.loaded !== 'Right' && !restarted) return;
    const { boot, start } = look.process;
    await this.#remember({ loaded: { boot, start } });
  }

  /** Before a restart or a write of ours: so that one that is killed now is counted too. */
  async correcting(): Promise<void> {
    const { host, spec } = this.#o;
    const { corrections } = await readDrift(host.disk, spec.layout.stateDir);
    await this.#remember({ corrections: [...corrections, host.now()] });
  }

  /** What to do before `to` is asked of the node room. `again`: a person's word, of which only a new one counts. */
  async judge(to: Revision | null, again: string | undefined, signal: AbortSignal): Promise<Judged> {
    const { host, spec, rules } = this.#o;
    const { stateDir } = spec.layout;
    const file = await readState(host.disk, stateDir);
    if (to === null || file === null || file.journal !== null) return NOTHING;
    if (file.state.phase !== 'Settled') return { ...NOTHING, again: await this.#isNewWord(again) };
    await this.#witness.catchUp(signal);
    const { print } = await spec.sources(host.disk);
    const memory = await this.#heard(to, again, print);
    const look = await this.#look(to, memory.loaded, signal);
    // What was edited since is not what the witness knows of: it is looked at again.
    if ((await spec.sources(host.disk)).print !== print) return { ...NOTHING, step: JUST_NOW };
    const edited = await this.#edited(to, print, look);
    const quietMs = this.#quietMs(edited, look);
    if (file.state.current !== to.digest) return { ...NOTHING, step: beforeInstall({ ...look, quietMs }, rules) };
    const { corrections } = memory;
    const facts = { ...look, edited, quietMs, corrections, stopped: memory.stopped?.why ?? null, now: host.now() };
    const step = driftStep(facts, rules);
    const { text: _text, diff: _diff, ...told } = facts;
    if (step.do !== 'Nothing') this.#o.log.info({ ...told, step }, 'drift');
    await this.#note(to, step, { memory, look });
    return {
      step,
      diff: look.diff,
      process: look.process,
      isNew: step.do === 'Stop' && memory.stopped === null,
      again: false,
      credentials: look.credentials,
    };
  }

  #look(to: Revision, known: DriftMemory['loaded'], signal: AbortSignal): Promise<DriftLook> {
    const { host, spec } = this.#o;
    const base = this.#base?.digest === to.digest ? this.#base.text : null;
    return lookForDrift({ host, spec, to, base, known, signal });
  }

  /** Each word counts once. */
  async #isNewWord(again: string | undefined): Promise<boolean> {
    const { host, spec } = this.#o;
    if (again === undefined || again === (await readDrift(host.disk, spec.layout.stateDir)).again) return false;
    await this.#remember({ again });
    return true;
  }

  /** Another revision, and a person's new word, end a stop. */
  async #heard(to: Revision, again: string | undefined, print: string): Promise<DriftMemory> {
    const { disk } = this.#o.host;
    const { stateDir } = this.#o.spec.layout;
    const memory = await readDrift(disk, stateDir);
    const isNewWord = again !== undefined && again !== memory.again;
    if (isNewWord) this.#forgiven = print;
    const other = memory.stopped !== null && memory.stopped.digest !== to.digest;
    if (!isNewWord && !other) return memory;
    const next = { ...memory, again: again ?? memory.again, stopped: null, corrections: [] };
    await writeDrift(disk, stateDir, next);
    return next;
  }

  async #edited(to: Revision, print: string, look: DriftLook): Promise<Edited> {
    if (look.kind === 'None' || this.#forgiven === print) return 'Serving';
    const seen = this.#witness.edited(print);
    return seen === 'Unknown' ? this.#byLog(to, look) : seen;
  }

  /** Nobody watched; but the log itself tells whether the API server served until the edit. */
  async #byLog(to: Revision, look: DriftLook): Promise<Edited> {
    const log = logFileOf(to);
    if (log === null || look.changedAt === null) return 'Unknown';
    const at = look.changedAt;
    const event = await firstTimeFrom(this.#o.root, log.path, { at: at - SERVED_MS, timeOf: timeIn });
    return event !== undefined && event <= at ? 'Serving' : 'Unknown';
  }

  #quietMs(edited: Edited, look: DriftLook): number {
    const seen = this.#witness.quietMs();
    if (seen !== Infinity || edited === 'Down' || look.changedAt === null || look.kind === 'None') return seen;
    return Math.max(0, this.#o.host.now() - look.changedAt);
  }

  async #note(
    to: Revision,
    step: DriftStep,
    { memory, look }: { memory: DriftMemory; look: DriftLook },
  ): Promise<void> {
    if (step.do === 'Stop' && memory.stopped === null)
      await this.#remember({ stopped: { why: step.why, digest: to.digest, time: this.#o.host.now() } });
    if (look.kind !== 'None') return;
    this.#base = { digest: to.digest, text: look.text };
    if (step.do !== 'Nothing') return;
    const loaded =
      look.loaded === 'Right' && look.process !== null
        ? { boot: look.process.boot, start: look.process.start }
        : memory.loaded;
    await this.#remember({ stopped: null, loaded });
  }

  async #remember(change: Partial<DriftMemory>): Promise<void> {
    const { disk } = this.#o.host;
    const { stateDir } = this.#o.spec.layout;
    const memory = await readDrift(disk, stateDir);
    const next = { ...memory, ...change };
    if (JSON.stringify(next) !== JSON.stringify(memory)) await writeDrift(disk, stateDir, next);
  }

  async #folders(): Promise<readonly string[]> {
    const { host, spec } = this.#o;
    return (await spec.sources(host.disk)).folders;
  }

  #told(dir: string, name: string | null): void {
    const { kind, manifest } = this.#o.spec;
    // Nobody reads these, neither kubelet nor systemd: they are staged.
    if (name?.startsWith('.') === true) return;
    if (kind === 'StaticPod' && dir === parentOf(manifest) && name !== null) {
      if (name === baseOf(guardPath(manifest))) return;
      if (name !== baseOf(manifest)) return this.#witness.disturbed();
    }
    this.#dirty = true;
    this.#wake?.();
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const pause = scope([signal], VERIFY_MS);
    this.#wake = () => pause.abort('changed');
    await delay(VERIFY_MS, pause.signal);
    pause.dispose();
    this.#wake = undefined;
  }
}

/** A sentence for status: what is waited for, and what a person can do. */
export function driftMessage(step: DriftStep, diff: readonly string[]): string {
  const what = diff.length === 0 ? '' : `: ${diff.slice(0, 8).join(' ')}`;
  switch (step.do) {
    case 'Nothing':
    case 'Repair':
      return '';
    case 'Wait':
      return `${WAITS[step.why]}${what}`;
    case 'Stop':
      return `${STOPS[step.why]}${what}`;
  }
}

const WAITS: Readonly<Record<Extract<DriftStep, { do: 'Wait' }>['why'], string>> = {
  Hold: 'a file HOLD on the node stops the agent, and something differs from the revision',
  Unreadable: 'what starts the API server cannot be read as such; it is left alone',
  Rewritten:
    'what starts the API server was written anew; it is patched again when the API server is ready and nobody has changed it for a while',
  Settling: 'what starts the API server was just changed',
  Starting: 'the API server is just starting; then its flags are put right',
  NotReady: 'the API server may have read another policy; it is restarted when it is ready',
};

const AGAIN = 'a new revision, or another value of the annotation auditconfig.dev/again on this AuditNode, goes on';
const STOPS: Readonly<Record<Extract<DriftStep, { do: 'Stop' }>['why'], string>> = {
  Rescued: `audit settings were changed while the API server was down, or while nobody watched: that may be a rescue, and is not undone; ${AGAIN}`,
  DriftFight: `three corrections within an hour were undone again; find who else writes these settings; ${AGAIN}`,
};
