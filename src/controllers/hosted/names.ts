/**
 * Addresses of names, kept fresh: each name is asked for once in the time that its answer is good for, whoever needs it, and
 * nobody is woken where the answer is the same. An address stays for a while after it was last answered, since receivers of
 * many addresses answer with some of them at a time, and connections outlive an answer. A resolver that fails changes
 * nothing. Called by egress-watch.ts.
 */
import { Resolver } from 'node:dns/promises';
import { delay, onAbort, scope } from '../../kube/wait.ts';
import type { Random, Scope } from '../../kube/wait.ts';

export type Answered = { readonly address: string; readonly ttlSeconds: number };
/** Undefined: nobody answered. Empty: there is no such name, or it has no address. */
export type Resolve = (name: string, signal: AbortSignal) => Promise<readonly Answered[] | undefined>;

const MIN_MS = 30_000;
const MAX_MS = 3_600_000;
const FAILED_MS = 60_000;
/** After it was last answered. */
const KEPT_MS = 15 * 60_000;
const MAX_ADDRESSES = 64;

/** When each address was answered last, in ms. */
export type Seen = ReadonlyMap<string, number>;

/** What is known after an answer; the oldest of too many go. */
export function remember(before: Seen, answer: readonly Answered[], now: number): Seen {
  const all = new Map([...before].filter(([, at]) => now - at < KEPT_MS));
  for (const { address } of answer) all.set(address, now);
  return new Map([...all].sort(([, a], [, b]) => b - a).slice(0, MAX_ADDRESSES));
}

/** When to ask again. */
export function askAgainMs(answer: readonly Answered[] | undefined, random: Random): number {
  if (answer === undefined || answer.length === 0) return FAILED_MS * (1 + random() / 5);
  const least = Math.min(...answer.map((r) => r.ttlSeconds)) * 1000;
  return Math.min(MAX_MS, Math.max(MIN_MS, least)) * (1 + random() / 5);
}

const NOT_THERE: ReadonlySet<unknown> = new Set(['ENOTFOUND', 'ENODATA']);

/** Asks the servers of this pod, unless others are given, for IPv4 and IPv6; search lists and /etc/hosts do not count. */
export async function resolveName(
  name: string,
  signal: AbortSignal,
  servers?: readonly string[],
): Promise<readonly Answered[] | undefined> {
  const resolver = new Resolver({ timeout: 5_000, tries: 2 });
  if (servers !== undefined) resolver.setServers(servers);
  const unhook = onAbort(signal, () => resolver.cancel());
  const ask = async (
    one: Promise<readonly { address: string; ttl: number }[]>,
  ): Promise<readonly Answered[] | undefined> => {
    try {
      return (await one).map(({ address, ttl }) => ({ address, ttlSeconds: ttl }));
    } catch (e) {
      return NOT_THERE.has((e as { code?: unknown }).code) ? [] : undefined;
    }
  };
  try {
    const answers = await Promise.all([
      ask(resolver.resolve4(name, { ttl: true })),
      ask(resolver.resolve6(name, { ttl: true })),
    ]);
    const found = answers.flatMap((a) => a ?? []);
    return found.length === 0 && answers.includes(undefined) ? undefined : found;
  } finally {
    unhook();
  }
}

type Followed = {
  readonly life: Scope;
  /** Of the loop that follows it. */
  readonly ended: Promise<void>;
  /** Resolves with the first answer. */
  readonly first: Promise<void>;
  seen: Seen | undefined;
};

export type NamesOptions = {
  readonly resolve: Resolve;
  /** The addresses of a name have changed. */
  readonly changed: (name: string) => void;
  readonly now: () => number;
  readonly random: Random;
};

export class Names {
  readonly #o: NamesOptions;
  readonly #followed = new Map<string, Followed>();

  constructor(options: NamesOptions) {
    this.#o = options;
  }

  /** Follows a name until `only` leaves it out, or until the signal aborts. */
  follow(name: string, signal: AbortSignal): void {
    if (this.#followed.has(name) || signal.aborted) return;
    const life = scope([signal]);
    let told = (): void => undefined;
    const first = new Promise<void>((resolve) => (told = resolve));
    const of: Followed = { life, first, seen: undefined, ended: this.#loop(name, life, () => told()) };
    this.#followed.set(name, of);
  }

  /** Follows no other names any more; resolves when they have ended. */
  async only(names: ReadonlySet<string>): Promise<void> {
    const others = [...this.#followed].filter(([name]) => !names.has(name));
    for (const [name, { life }] of others) {
      this.#followed.delete(name);
      life.abort('Unneeded');
    }
    await Promise.all(others.map(([, { ended }]) => ended));
  }

  /** Undefined: not known yet, although it was waited for. */
  async addressesOf(name: string, waitMs: number, signal: AbortSignal): Promise<readonly string[] | undefined> {
    const of = this.#followed.get(name);
    if (of === undefined) return undefined;
    if (of.seen === undefined) {
      const wait = scope([signal], waitMs);
      await Promise.race([of.first, new Promise<void>((resolve) => onAbort(wait.signal, resolve))]);
      wait.dispose();
    }
    return of.seen === undefined ? undefined : [...of.seen.keys()].sort();
  }

  async #loop(name: string, life: Scope, told: () => void): Promise<void> {
    // The entry is there when the first answer comes.
    await Promise.resolve();
    while (!life.signal.aborted) {
      const answer = await this.#o.resolve(name, life.signal);
      const of = this.#followed.get(name);
      if (life.signal.aborted || of?.life !== life) break;
      const before = of.seen;
      if (answer !== undefined) of.seen = remember(before ?? new Map(), answer, this.#o.now());
      const isOther = [...(of.seen?.keys() ?? [])].sort().join() !== [...(before?.keys() ?? [])].sort().join();
      if (of.seen !== undefined) told();
      if (of.seen !== undefined && (before === undefined || isOther)) this.#o.changed(name);
      await delay(askAgainMs(answer, this.#o.random), life.signal);
    }
    life.dispose();
    told();
  }
}
