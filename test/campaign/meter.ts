/**
 * How long each API server was down: a loop for each that asks its /readyz, with nothing in between, every 75 ms. Down is
 * whatever is not 200: no answer, or a server that says that it is not ready. Intervals are kept, so that two at once can
 * be told from one after the other.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { withDeadline } from '../control-plane/deadline.ts';

export type Down = { readonly node: string; readonly from: number; readonly to: number };

const EVERY_MS = 75;
/** A machine that starts three API servers at once answers late; a server that hangs answers never. */
const NO_ANSWER_MS = 5_000;
/** Later than that, it was this process that stood still, and it saw nothing. */
const BLIND_MS = 3_000;
/** A connection that an ending server had closed is found out at once. */
const AT_ONCE_MS = 500;

export type Metered = { readonly name: string; readonly url: string; readonly ca: string };

export class Meter {
  readonly #downs: Down[] = [];
  readonly #since = new Map<string, number>();
  readonly #ended = new AbortController();
  readonly #loops: readonly Promise<void>[];
  #judgedFrom = 0;

  constructor(servers: readonly Metered[]) {
    this.#loops = servers.map((s) => this.#watch(s));
  }

  /** A new row begins. */
  reset(): void {
    this.#downs.length = 0;
    this.#judgedFrom = performance.now();
    for (const name of this.#since.keys()) this.#since.set(name, performance.now());
  }

  /** The fault itself took several down, and that is over: two at once count from here on. */
  judgeFromHere(): void {
    this.#judgedFrom = performance.now();
  }

  /** Intervals so far, those that last included. Milliseconds of a clock that nobody sets. */
  get downs(): readonly Down[] {
    const now = performance.now();
    return [...this.#downs, ...[...this.#since].map(([node, from]) => ({ node, from, to: now }))];
  }

  seconds(node: string): number {
    return this.downs.filter((d) => d.node === node).reduce((sum, d) => sum + (d.to - d.from) / 1000, 0);
  }

  isDown(node: string): boolean {
    return this.#since.has(node);
  }

  /** Two API servers that were down at the same moment, since judging began. */
  get overlaps(): readonly string[] {
    return overlapping(this.downs, this.#judgedFrom);
  }

  async stop(): Promise<void> {
    this.#ended.abort();
    await Promise.all(this.#loops);
  }

  async #watch({ name, url, ca }: Metered): Promise<void> {
    const agent = new Agent({ connect: { ca }, connections: 1 });
    const { signal } = this.#ended;
    while (!signal.aborted) {
      const asked = performance.now();
      let ready = await isReady(url, agent);
      // A connection that an ending server closed is no answer; its successor's is.
      if (!ready && performance.now() - asked < AT_ONCE_MS) ready = await isReady(url, agent);
      if (!ready && performance.now() - asked > AT_ONCE_MS + NO_ANSWER_MS + BLIND_MS) continue;
      const since = this.#since.get(name);
      if (!ready && since === undefined) this.#since.set(name, asked);
      if (ready && since !== undefined) {
        this.#downs.push({ node: name, from: since, to: asked });
        this.#since.delete(name);
      }
      await sleep(EVERY_MS, undefined, { signal }).catch(() => undefined);
    }
    await agent.destroy();
  }
}

const isReady = (url: string, dispatcher: Agent): Promise<boolean> =>
  withDeadline(NO_ANSWER_MS, undefined, async (signal) => {
    const { statusCode, body } = await request(`${url}/readyz`, { dispatcher, signal });
    await body.dump();
    return statusCode === 200;
  }).catch(() => false);

/** Pure: pairs of nodes whose intervals meet after `from`, with for how long. */
export function overlapping(downs: readonly Down[], from: number): readonly string[] {
  const found: string[] = [];
  for (const [i, a] of downs.entries())
    for (const b of downs.slice(i + 1)) {
      const ms = Math.min(a.to, b.to) - Math.max(a.from, b.from, from);
      if (a.node !== b.node && ms > 0) found.push(`${a.node} and ${b.node} at once for ${(ms / 1000).toFixed(1)} s`);
    }
  return found;
}
