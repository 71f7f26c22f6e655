/**
 * The strings of one dimension of a policy, found by their bytes: a table of hashes, and the bytes to compare with.
 * Only ASCII strings are in it: a line with anything else is read by JSON.parse (see scan.ts).
 */
import { Symbols } from './symbols.ts';

const SEED = 0x811c9dc5 | 0;

/** Hashing as the scanner does it while it goes along: start with `HASH_SEED`, then one step a byte (FNV-1a). */
export const HASH_SEED: number = SEED;
export const hashStep = (hash: number, byte: number): number => Math.imul(hash ^ byte, 0x01000193);

const isAscii = (s: string): boolean => /^[\u0020-\u007e]*$/.test(s);

export class ByteSymbols {
  /** Finds nothing. */
  static readonly EMPTY = new ByteSymbols(new Symbols());
  readonly #mask: number;
  /** Four numbers a slot: hash, number of the string (0: free slot), where its bytes begin and end in `#text`. */
  readonly #slots: Int32Array;
  readonly #text: Uint8Array;
  /** No string at all: there is nothing to hash for. */
  readonly isEmpty: boolean;

  constructor(symbols: Symbols) {
    const strings = [...symbols.entries()].filter(([s]) => isAscii(s));
    this.isEmpty = strings.length === 0;
    this.#mask = 2 ** Math.ceil(Math.log2(strings.length * 4 + 4)) - 1;
    this.#slots = new Int32Array((this.#mask + 1) * 4);
    this.#text = new TextEncoder().encode(strings.map(([s]) => s).join(''));
    let start = 0;
    for (const [s, id] of strings) {
      this.#add(id, start, start + s.length);
      start += s.length;
    }
  }

  #add(id: number, start: number, end: number): void {
    let hash = SEED;
    for (let i = start; i < end; i++) hash = hashStep(hash, this.#text[i] ?? 0);
    let slot = this.#first(hash);
    while (this.#slots[slot + 1] !== 0) slot = this.#after(slot);
    this.#slots.set([hash, id, start, end], slot);
  }

  #first(hash: number): number {
    return ((hash ^ (hash >>> 15)) & this.#mask) * 4;
  }

  #after(slot: number): number {
    return (slot + 4) & (this.#mask * 4 + 3);
  }

  /** Number of the string with these bytes and this hash, 0 where there is none. */
  find(hash: number, bytes: Uint8Array, start: number, end: number): number {
    for (let slot = this.#first(hash); ; slot = this.#after(slot)) {
      const id = this.#slots[slot + 1] ?? 0;
      if (id === 0 || (this.#slots[slot] === hash && this.#equals(slot, bytes, start, end))) return id;
    }
  }

  #equals(slot: number, bytes: Uint8Array, start: number, end: number): boolean {
    const from = this.#slots[slot + 2] ?? 0;
    if ((this.#slots[slot + 3] ?? 0) - from !== end - start) return false;
    for (let i = start, k = from; i < end; i++, k++) if (bytes[i] !== this.#text[k]) return false;
    return true;
  }
}
