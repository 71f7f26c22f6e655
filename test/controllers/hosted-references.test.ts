/** References outside of the operator's namespace: which are watched, how many, for how long, and what is told of them. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ReferenceWatches } from '../../src/controllers/hosted/references.ts';
import type { ReferenceTo } from '../../src/controllers/hosted/references.ts';
import type { DataView } from '../../src/controllers/resources.ts';
import type { Kube } from '../../src/kube/connect.ts';
import { createLogger } from '../../src/telemetry/logger.ts';

const log = createLogger({ name: 'test', level: 'silent' });
const to = (name: string): ReferenceTo => ({ kind: 'Secret', namespace: 'tenant', name });
const view: DataView = { kind: 'Secret', data: {}, binaryData: undefined };

/** A watch of one object, played. */
class Played {
  readonly handlers: (() => void)[] = [];
  object: DataView | undefined;
  synced = false;
  ended = false;
  #sync: ((is: boolean) => void)[] = [];

  readonly store = { get: () => this.object };
  onChange = (handler: () => void): (() => void) => {
    this.handlers.push(handler);
    return () => undefined;
  };
  whenSynced = (): Promise<boolean> => new Promise((resolve) => void this.#sync.push(resolve));
  run = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve) =>
      signal.addEventListener('abort', () => {
        this.ended = true;
        for (const done of this.#sync) done(false);
        resolve();
      }),
    );

  becomes(object: DataView | undefined): void {
    this.object = object;
    for (const handler of this.handlers) handler();
  }
  sync(): void {
    this.synced = true;
    for (const done of this.#sync.splice(0)) done(true);
  }
}

describe('references in namespaces of tenants', () => {
  const watched = new Map<string, Played>();
  const wanted = new Set<string>();
  let told: string[];
  let watches: ReferenceWatches;
  let stop: AbortController;
  let running: Promise<void>;

  beforeEach(() => {
    vi.useFakeTimers();
    watched.clear();
    wanted.clear();
    told = [];
    const reflect = ({ fieldSelector = '' }: { fieldSelector?: string }): Played => {
      const played = new Played();
      watched.set(fieldSelector.replace('metadata.name=', ''), played);
      return played;
    };
    watches = new ReferenceWatches({
      kube: { reflect } as unknown as Pick<Kube, 'reflect'>,
      isWanted: ({ name }) => wanted.has(name),
      changed: (kind, key) => told.push(`${kind}/${key}`),
      log,
      max: 2,
    });
    stop = new AbortController();
    running = watches.run(stop.signal);
  });
  afterEach(async () => {
    stop.abort();
    await running;
    vi.useRealTimers();
  });
  const follow = (name: string, seen: 'There' | 'Absent' = 'There'): Played => {
    wanted.add(name);
    watches.follow(to(name), seen);
    return watched.get(name) ?? new Played();
  };

  it('are asked for until their watch knows them, and never again', () => {
    const a = follow('a');
    expect(watches.known(to('a'))).toBeUndefined();
    a.object = view;
    a.sync();
    expect(watches.known(to('a'))).toBe(view);
    a.becomes(undefined);
    expect([watches.known(to('a')), told]).toEqual([null, ['Secret/tenant/a']]);
    watches.follow(to('a'), 'There');
    expect(watched.get('a')).toBe(a);
  });

  it('that went between the answer and the watch are told, and those that were never there are not', async () => {
    follow('gone').sync();
    follow('absent', 'Absent').sync();
    await vi.advanceTimersByTimeAsync(0);
    expect(told).toEqual(['Secret/tenant/gone']);
  });

  it('are let go with their first change after nobody refers to them, which is not told', () => {
    const a = follow('a');
    wanted.clear();
    a.becomes(view);
    expect([a.ended, told, watches.known(to('a'))]).toEqual([true, [], undefined]);
  });

  it('beyond the limit are told every ten minutes, and watched once there is room', async () => {
    const a = follow('a');
    follow('b');
    follow('c');
    expect([...watched.keys()]).toEqual(['a', 'b']);
    await vi.advanceTimersByTimeAsync(10 * 60_000);
    expect(told).toEqual(['Secret/tenant/c']);
    wanted.delete('a');
    watches.follow(to('c'), 'There');
    expect([a.ended, watched.has('c')]).toEqual([true, true]);
    await vi.advanceTimersByTimeAsync(10 * 60_000);
    expect(told).toEqual(['Secret/tenant/c']);
  });

  it('end with the term of their leader', async () => {
    const a = follow('a');
    stop.abort();
    await running;
    follow('late');
    expect([a.ended, watched.has('late')]).toEqual([true, false]);
  });
});
