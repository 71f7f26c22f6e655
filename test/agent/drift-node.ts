/** A node in memory with a keeper of drift: people edit files, the agent sees it at once, or starts anew. */
import { expect } from 'vitest';
import { DriftKeeper } from '../../src/agent/drift.ts';
import { applyRevision } from '../../src/node/apply-revision.ts';
import type { NodeHost } from '../../src/node/host.ts';
import type { Place } from '../../src/node/place.ts';
import type { Revision } from '../../src/render/types.ts';
import type { DriftStep } from '../../src/rollout/drift.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import type { MemoryDisk } from '../host/memory-disk.ts';

export const never = new AbortController().signal;
const log = createLogger({ name: 'test', level: 'error' });

type Playable = { readonly disk: MemoryDisk; readonly now: number; readonly host: NodeHost };
type Parts<W> = { readonly world: W; readonly spec: Place; readonly file: string };

export class DriftNode<W extends Playable> {
  readonly world: W;
  readonly spec: Place;
  readonly host: NodeHost;
  keeper: DriftKeeper;
  /** The file that is edited. */
  readonly #file: string;

  constructor({ world, spec, file }: Parts<W>) {
    this.world = world;
    this.spec = spec;
    this.#file = file;
    world.disk.clock = () => world.now;
    this.host = world.host;
    this.keeper = this.#keeper();
  }

  #keeper(): DriftKeeper {
    const { host, spec } = this;
    const rules = { quietMs: 120_000 };
    return new DriftKeeper({ host, spec, root: '/nonexistent', rules, log, onChange: () => undefined });
  }

  /** The agent starts anew. */
  async restart(): Promise<void> {
    this.keeper = this.#keeper();
    await this.keeper.begin(never);
  }

  async install(to: Revision | null): Promise<void> {
    const { spec } = this;
    const host = this.keeper.listening();
    const outcome = await applyRevision({ host, spec, to, version: '1.36', signal: never });
    expect(outcome.kind).toBe('Settled');
    await this.keeper.see(never);
    await this.keeper.settled(to, outcome.kind === 'Settled' && outcome.restarted, never);
  }

  get text(): string {
    return this.world.disk.text(this.#file) ?? '';
  }

  /** Somebody saves another text, and the agent sees it at once. */
  edit(change: (text: string) => string): Promise<void> {
    return this.put(this.#file, change(this.text));
  }

  async put(path: string, text: string): Promise<void> {
    this.world.disk.put(path, text);
    await this.keeper.see(never);
  }

  pass(ms: number): Promise<void> {
    return this.host.sleep(ms, never);
  }

  async step(to: Revision, again?: string): Promise<DriftStep> {
    return (await this.keeper.judge(to, again, never)).step;
  }
}
