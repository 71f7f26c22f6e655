/**
 * The strings of a policy as small numbers, one numbering for each dimension of a request. A string that the policy
 * never names is 0, whatever it is: the engine (segment.ts) compares numbers only. Both ways into the engine, from
 * attributes (evaluate.ts) and from bytes (scan.ts), translate by these tables.
 */
import { ENDINGS, endingOf } from './endings.ts';

/** Numbers from 1 on in the order of the first `intern`; 0 is every string that was not interned. */
export class Symbols {
  readonly #ids = new Map<string, number>();
  /** Endings of interned strings: most strings of a request are in no policy, and fall out here without being hashed. */
  readonly #known = new Uint8Array(ENDINGS);
  /** By number. */
  readonly #endings: number[] = [0];

  intern(s: string): number {
    const known = this.#ids.get(s);
    if (known !== undefined) return known;
    this.#known[endingOf(s)] = 1;
    this.#ids.set(s, this.#ids.size + 1);
    this.#endings.push(endingOf(s));
    return this.#ids.size;
  }

  of(s: string): number {
    return this.#known[endingOf(s)] === 0 ? 0 : (this.#ids.get(s) ?? 0);
  }

  /** The ending of an interned string. */
  endingOf(id: number): number {
    return this.#endings[id] ?? 0;
  }

  /** How many numbers there are, with 0. */
  get count(): number {
    return this.#ids.size + 1;
  }

  entries(): IterableIterator<[string, number]> {
    return this.#ids.entries();
  }
}

/** Number of the empty subresource; 0 would mean one that no rule names. */
export const NO_SUBRESOURCE = 1;

export class SymbolTables {
  readonly user = new Symbols();
  readonly userGroup = new Symbols();
  readonly verb = new Symbols();
  readonly namespace = new Symbols();
  readonly group = new Symbols();
  readonly resource = new Symbols();
  readonly subresource = new Symbols();
  readonly name = new Symbols();

  constructor() {
    this.subresource.intern('');
  }
}
